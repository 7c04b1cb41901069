"""Signals with known answers, and models built small from their configurations."""

import functools
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import settings

from sound_diffusion.constants import SAMPLE_RATE  # the package says how threads wait, before torch

# What hypothesis draws is the same in every run of CI, and new everywhere else.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")


# SOUND_DIFFUSION_MANY_KILLS=1 python -m pytest -k kill: at twenty moments rather than at some.
MANY_KILLS = bool(os.environ.get("SOUND_DIFFUSION_MANY_KILLS"))
# A folder that the processes of one run share: each takes modules that no other has taken, see .ci/run.
TAKEN = os.environ.get("SOUND_DIFFUSION_TAKEN")
REPOSITORY = Path(__file__).parent.parent
SHARED_FOLDERS: set[str] = set()  # of miniatures that no test changes

# A shell ignores Ctrl-C for what it starts in the background, and so would all that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Threads that wait for each other cost small models more than they bring, most of all on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Two processes that compile librosa's functions at once can leave a cache that ends later ones by a segfault.
if TAKEN:
    os.environ["NUMBA_CACHE_DIR"] = str(Path(TAKEN, f"numba_{os.getpid()}"))


@functools.cache
def _take(module: str) -> bool:
    try:
        Path(TAKEN, module).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def pytest_runtest_protocol(item):
    """Leave out what another process has taken."""
    return True if TAKEN and not _take(item.path.name) else None


@pytest.fixture(scope="session")
def tiny_model_folder(tmp_path_factory):
    """A diffusers folder of the structure of models/cymatics, with random weights and a width of 32."""
    from tests.tiny_checkpoints import save_tiny_cymatics

    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_tiny_cymatics(folder)
    declared = {
        "steps": 4,
        "guidance": 2.0,
        "height": 64,
        "width": 64,
        "scaling": {"fft": "log"},
        "sound_encoder": True,
        "window": 0.25,
    }
    (folder / "sound_diffusion.json").write_text(json.dumps(declared))
    SHARED_FOLDERS.add(str(folder))
    return folder


@pytest.fixture(scope="session")
def tiny_model(tiny_model_folder, shared_models):
    """The tiny model, loaded on the CPU."""
    return shared_models(tiny_model_folder)


@pytest.fixture(scope="session")
def shared_models():
    """Load a miniature on the CPU, once for all tests."""
    from sound_diffusion.model.load import load_model

    return functools.cache(lambda folder: load_model(str(folder), device="cpu"))


@pytest.fixture(autouse=True)
def loads_are_shared(shared_models, monkeypatch):
    """Give scripts the loaded miniature where they want one of the folders that all tests share as it is."""
    from sound_diffusion import job
    from sound_diffusion.model import load as loading

    load_model, cpu_precision = job.load_model, loading.cpu_precision

    def load(name="auto", *, device="auto", precision="auto", lora_strength=1.0, **options):
        as_it_is = device in ("auto", "cpu") and precision in ("auto", "full") and not any(options.values())
        if name in SHARED_FOLDERS and as_it_is and loading.cpu_precision is cpu_precision:
            return shared_models(Path(name))
        return load_model(name, device=device, precision=precision, lora_strength=lora_strength, **options)

    monkeypatch.setattr(job, "load_model", load)


@pytest.fixture(autouse=True)
def plain_contact_sheets(request, monkeypatch):
    """Save contact sheets with nothing in them, unless a test is marked: they outlast a tiny film."""
    if not request.node.get_closest_marker("contact_sheet"):
        monkeypatch.setattr("sound_diffusion.plots.contact_sheet", lambda *_: None)


@pytest.fixture(scope="session")
def reading_folder(tmp_path_factory):
    """A tiny Stable Diffusion 1.x with a text encoder, as a diffusers folder."""
    from tests.tiny_checkpoints import build_pipeline

    folder = tmp_path_factory.mktemp("models") / "reading"
    build_pipeline("sd1").save_pretrained(folder)
    SHARED_FOLDERS.add(str(folder))
    return folder


@pytest.fixture(scope="session")
def xl_folder(tmp_path_factory):
    """A tiny Stable Diffusion XL, as a diffusers folder."""
    from tests.tiny_checkpoints import build_pipeline

    folder = tmp_path_factory.mktemp("models") / "xl"
    build_pipeline("sdxl_base").save_pretrained(folder)
    SHARED_FOLDERS.add(str(folder))
    return folder


@pytest.fixture
def rng():
    """A generator of random numbers that is the same in every run."""
    return np.random.default_rng(0)


@pytest.fixture
def sound(tmp_path, rng):
    """Most of a second of noise with a fading level."""
    path = tmp_path / "noise.wav"
    y = rng.uniform(-0.5, 0.5, 31_000) * np.linspace(1, 0, 31_000)
    soundfile.write(path, y.astype(np.float32), SAMPLE_RATE, subtype="FLOAT")
    return path


@pytest.fixture(scope="session")
def sine():
    """Two seconds of a 440 Hz sine at half of full scale."""
    time = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    return (0.5 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)


@pytest.fixture
def sine_file(sine, tmp_path) -> Path:
    """The sine as a wav file."""
    path = tmp_path / "sine.wav"
    soundfile.write(path, sine, SAMPLE_RATE)
    return path


@dataclass(frozen=True)
class Outcome:
    """What a run of a script left behind."""

    code: int
    out: str
    err: str

    @property
    def paths(self) -> list[Path]:
        """The paths that it printed."""
        return [Path(line) for line in self.out.splitlines()]

    @property
    def error(self) -> str:
        """Its one error line."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert ": error: " in lines[0]
        assert "Traceback" not in self.err
        return lines[0]


@pytest.fixture
def model_loads(monkeypatch):
    """List every load that a script asks for."""
    from sound_diffusion import job

    loads: list[str] = []
    load_model = job.load_model

    def load(name="auto", **options):
        loads.append(name)
        return load_model(name, **options)

    monkeypatch.setattr(job, "load_model", load)
    return loads


@pytest.fixture(scope="session")
def film_process():
    """A process that makes films as it is asked, see tests/kill_and_resume.py."""
    with subprocess.Popen(
        [sys.executable, REPOSITORY / "tests" / "kill_and_resume.py"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "PYTHONWARNINGS": "ignore"},
    ) as process:
        yield process
        process.stdin.close()


@pytest.fixture
def kill_and_resume(film_process):
    """Make a film in runs that are killed at random moments, or a whole one; return how many were killed."""

    def make(sound, model, folder, *flags, kill=True) -> int:
        argv = ["--path", sound, "--model", model, "--outdir", folder, *flags, "--quiet", "--device", "cpu"]
        asked = {"frames": str(folder / sound.stem / "frames"), "kill": kill, "argv": [*map(str, argv)]}
        film_process.stdin.write(json.dumps(asked) + "\n")
        film_process.stdin.flush()
        kills, code = json.loads(film_process.stdout.readline())
        assert code == 0
        return kills

    return make


@pytest.fixture
def audio2img(model_loads, tiny_model_folder, tmp_path, capsys):
    """Run ``audio2img.main`` with the tiny model, results in ``tmp_path / "out"``."""
    import audio2img

    def run(*words) -> Outcome:
        capsys.readouterr()
        where = ["--model", str(tiny_model_folder), "--device", "cpu", "--outdir", str(tmp_path / "out")]
        code = audio2img.main([*where, *map(str, words)])
        return Outcome(code, *capsys.readouterr())

    return run


@pytest.fixture
def make(tiny_model_folder, sound, tmp_path, capsys):
    """Return a function that runs audio2video and returns exit status, lines of stdout and of stderr."""
    import audio2video

    def run(*flags, path=None, outdir="out"):
        paths = [str(each) for each in (path if isinstance(path, list) else [path or sound])]
        argv = [
            "--path",
            *paths,
            "--model",
            str(tiny_model_folder),
            "--outdir",
            str(tmp_path / outdir),
            "--quiet",
        ]
        code = audio2video.main([*argv, "--device", "cpu", *map(str, flags)])
        captured = capsys.readouterr()
        return code, captured.out.splitlines(), captured.err.splitlines()

    return run


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def start_picture(tmp_path):
    from PIL import Image

    path = tmp_path / "start.png"
    Image.effect_noise((80, 64), 60).convert("RGB").save(path)
    return path


@pytest.fixture
def page(tiny_model, tiny_model_folder, tmp_path):
    """A page that is connected, with the tiny model ready."""
    from tests.live_pages import Page, serving, tiny_options

    options = tiny_options(tiny_model_folder, tmp_path)
    with serving(options, load=lambda: tiny_model) as (address, _), Page(address) as page:
        yield page.wait_until_ready()
