"""The wheel: what is in it, and that it paints where there is no repository."""

import importlib.metadata
import os
import shlex
import subprocess
import sys
import sysconfig
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import soundfile

import sound_diffusion
from sound_diffusion import installation

REPOSITORY = Path(__file__).resolve().parent.parent


def pip(*words) -> None:
    """Run pip without the network; what keeps it from working is a reason to skip."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        problem = (done.stderr.strip() or "no message").splitlines()[-1]
        if "No module named" in done.stderr or "no such option" in done.stderr:
            pytest.skip(f"cannot build or install a wheel here: {problem}")
        pytest.fail(done.stderr)


@dataclass(frozen=True)
class Environment:
    """An environment of its own into which only the wheel was installed."""

    wheel: Path
    folder: Path

    def run(self, command: str, *words, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run one of its commands, in a folder of the user's."""
        scripts = sysconfig.get_path("scripts", "venv", {"base": str(self.folder)})
        variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        return subprocess.run(
            [Path(scripts) / command, *map(str, words)],
            capture_output=True,
            text=True,
            check=True,
            cwd=cwd,
            env=variables,
        )


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Build the wheel and install it; the libraries are those of this environment."""
    pytest.importorskip("hatchling", reason="building a wheel without the network takes hatchling")
    pytest.importorskip("hatch_requirements_txt", reason="the wheel's dependencies take this plugin")
    folder = tmp_path_factory.mktemp("installed")
    pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder, REPOSITORY)
    [wheel] = folder.glob("*.whl")
    own = folder / "environment"
    venv.create(own, symlinks=os.name != "nt")
    python = sysconfig.get_path("scripts", "venv", {"base": str(own)}) + "/python"
    pip("--python", python, "install", "--no-deps", "--no-index", "--no-compile", wheel)
    libraries = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(own)}))
    (packages / "libraries.pth").write_text("\n".join(sorted(libraries)) + "\n")
    return Environment(wheel, own)


def test_the_wheel_has_the_program_the_embedded_model_and_nothing_else(environment):
    with zipfile.ZipFile(environment.wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = {
        path.relative_to(REPOSITORY)
        for folder in ("sound_diffusion", "models/cymatics")
        for path in (REPOSITORY / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    scripts = {path.name for path in REPOSITORY.glob("audio2*.py")}
    inside = {(Path("sound_diffusion") / path if path.parts[0] == "models" else path) for path in expected}
    assert names == {path.as_posix() for path in inside} | scripts


def test_version_and_dependencies_are_told_in_one_place(environment):
    [folder] = environment.folder.rglob("sound_diffusion-*.dist-info")
    told = importlib.metadata.Distribution.at(folder)
    assert told.version == sound_diffusion.__version__
    pins = (REPOSITORY / "requirements.txt").read_text().split()
    assert sorted(told.requires or []) == sorted(pins)
    commands = {entry.name for entry in told.entry_points if entry.group == "console_scripts"}
    assert commands == {path.stem for path in REPOSITORY.glob("audio2*.py")}


def test_the_installed_program_paints_where_there_is_no_repository(environment, sine, tmp_path):
    soundfile.write(tmp_path / "sine.wav", sine, 44_100)
    done = environment.run(
        "audio2img", "--prompt", "sine.wav", "--ddim_steps", 2, "--H", 64, "--W", 64, cwd=tmp_path
    )
    path = done.stdout.strip()
    assert path == os.path.join("outputs", "audio2img-samples", "sine", "00000.png")  # noqa: PTH118
    [command] = environment.run("audio2img", "--recipe", path, cwd=tmp_path).stdout.splitlines()
    assert shlex.split(command)[0] == "audio2img"
    assert "--model cymatics" in command


def test_the_installed_commands_say_how_they_are_called(environment, tmp_path):
    for name in ("audio2img", "audio2video", "audio2live"):
        text = environment.run(name, "--help", cwd=tmp_path).stdout
        assert text.startswith(f"usage: {name} ")
        assert "python " not in text
        assert ".py" not in text.replace(".npy", "")


def test_models_are_found_in_the_wheel_and_in_the_current_folder(environment, tmp_path):
    (tmp_path / "models" / "own").mkdir(parents=True)
    (tmp_path / "models" / "own" / "model_index.json").write_text("{}")
    code = "import sys; from sound_diffusion.model.find import find_model; print(find_model(sys.argv[1]))"
    names = ("auto", "cymatics", "own")
    found = [environment.run("python", "-c", code, name, cwd=tmp_path).stdout for name in names]
    auto, cymatics, own = (line.strip() for line in found)
    assert auto == cymatics
    assert Path(auto).is_relative_to(environment.folder)
    assert own == os.path.join("models", "own")  # noqa: PTH118


def test_in_the_repository_scripts_are_named_as_they_are_started(monkeypatch):
    text = "python audio2img.py --prompt a.wav, or audio2video.py"
    monkeypatch.setattr(installation, "INSTALLED", False)
    assert installation.as_typed(text) == text
    monkeypatch.setattr(installation, "INSTALLED", True)
    assert installation.as_typed(text) == "audio2img --prompt a.wav, or audio2video"
