"""Models: where a name leads, what a folder declares, what is refused."""

import json
import shutil
from pathlib import Path

import pytest

from sound_diffusion.errors import ModelError, ParameterError, SoundDiffusionError
from sound_diffusion.job import Job
from sound_diffusion.model import find
from sound_diffusion.model.defaults import ModelDefaults, read_defaults, read_width
from sound_diffusion.model.find import find_model
from sound_diffusion.model.load import load_model
from sound_diffusion.options import FilmOptions, PictureOptions


@pytest.fixture
def models_folder(tmp_path, monkeypatch):
    """A models/ folder with the embedded model and one more, as far as finding them goes."""
    folder = tmp_path / "models"
    for name in ("cymatics", "own"):
        (folder / name).mkdir(parents=True)
        (folder / name / "model_index.json").write_text("{}")
    monkeypatch.setattr(find, "MODELS_FOLDER", folder)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return folder


# --- names


def test_auto_is_the_users_checkpoint_or_else_the_embedded_model(models_folder):
    assert find_model("auto").path == models_folder / "cymatics"
    checkpoint = models_folder / "ldm" / "stable-diffusion-v1" / "model.ckpt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    assert find_model("auto").path == checkpoint
    assert find_model("auto").name == "ldm/stable-diffusion-v1/model.ckpt"
    assert find_model(find_model("auto").name).path == checkpoint


def test_models_of_the_current_folder_have_names_too(models_folder, tmp_path):
    checkpoint = Path("models", "ldm", "stable-diffusion-v1", "model.ckpt")
    for path in (checkpoint, Path("models", "mine", "model_index.json"), Path("models", "own", "other.ckpt")):
        path.parent.mkdir(parents=True)
        path.touch()
    assert find_model("mine").path == Path("models", "mine")
    assert find_model("mine").name == find_model("models/mine").name == "mine"
    assert find_model("own").path == models_folder / "own"
    assert find_model("auto").path == checkpoint
    assert find_model("auto").name == "ldm/stable-diffusion-v1/model.ckpt"
    assert find_model(find_model("auto").name).path == checkpoint


def test_names_paths_and_hub_ids(models_folder, tmp_path, monkeypatch):
    assert find_model("own").path == models_folder / "own"
    assert find_model(str(models_folder / "own")).path == models_folder / "own"
    assert find_model(str(models_folder / "own")).name == "own"
    for name in ("own.safetensors", "own.ckpt"):
        (tmp_path / name).touch()
        assert find_model(str(tmp_path / name)).path == tmp_path / name
        assert find_model(str(tmp_path / name)).name == str(tmp_path / name)
    assert find_model("stabilityai/sd-turbo").name == "stabilityai/sd-turbo"
    monkeypatch.chdir(models_folder)
    assert find_model("own").path.resolve() == models_folder / "own"


@pytest.mark.parametrize("name", ["nothing", "no/such/folder", "gone/model.ckpt", "a b/c"])
def test_no_such_model(models_folder, name):
    with pytest.raises(ModelError, match="no model.*models/ldm/stable-diffusion-v1/model.ckpt"):  # noqa: RUF043
        find_model(name)


def test_what_is_there_but_no_model(models_folder, tmp_path):
    (tmp_path / "notes.txt").write_text("not a model")
    with pytest.raises(ModelError, match="not a diffusers folder"):
        find_model(str(tmp_path))
    with pytest.raises(ModelError, match=r"notes\.txt"):
        read_defaults(find_model(str(tmp_path / "notes.txt")).path)


def test_a_mistyped_path_is_not_looked_for_on_the_hub(tmp_path, monkeypatch):
    (tmp_path / "checkpoints").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="no model"):
        find_model("checkpoints/mistyped")


def test_names_that_no_file_system_takes():
    with pytest.raises(ModelError):
        find_model("x" * 5000)


# --- what a folder declares


def test_defaults_without_a_declaration(tmp_path):
    assert read_defaults(tmp_path) == ModelDefaults()
    assert (ModelDefaults().steps, ModelDefaults().guidance) == (50, 7.5)


def test_declared_defaults(tiny_model_folder):
    defaults = read_defaults(tiny_model_folder)
    assert (defaults.steps, defaults.guidance, defaults.height, defaults.width) == (4, 2.0, 64, 64)
    assert defaults.window == 0.25
    assert read_width(tiny_model_folder) == 32


def declare(model, folder, **entries):
    """Copy a model, and have it declare more."""
    shutil.copytree(model, folder)
    path = folder / "sound_diffusion.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def test_what_a_model_declares_for_films(tiny_model_folder, tmp_path):
    folder = tmp_path / "quick"
    film = {"steps": 1, "strength": 0.25, "seed_mode": "fixed"}
    declare(tiny_model_folder, folder, few_steps=True, film=film)

    def planned(kind=FilmOptions, **said):
        job = Job.plan(kind(paths=(tmp_path / "a.wav",), model=str(folder), outdir=tmp_path, **said))
        return job.options.steps, job.options.strength, getattr(job.options, "seed_mode", None)

    assert planned() == (1, 0.25, "fixed")
    assert planned(steps=3, strength=0.5, seed_mode="random") == (3, 0.5, "random")
    assert planned(mode="txt2img") == (1, 0.25, "fixed")
    assert planned(mode="txt2img", seed_mode="random") == (1, 0.25, "random")
    assert planned(PictureOptions) == (4, 0.75, None)
    assert Job.plan(FilmOptions(paths=(), model=str(folder), outdir=tmp_path)).settings.few_steps


@pytest.mark.parametrize(
    ("strength", "pattern"),
    [
        (2.0, r"strength 2.0 .expected a number in \[0, 1\]"),
        ("0.7 + 0.3*", r"sound_diffusion.json: "),
        ("", r"sound_diffusion.json: "),
    ],
)
def test_a_strength_that_no_film_can_have_is_refused(strength, pattern, tiny_model_folder, tmp_path):
    declare(tiny_model_folder, tmp_path / "model", film={"strength": strength})
    options = FilmOptions(paths=(tmp_path / "a.wav",), model=str(tmp_path / "model"), outdir=tmp_path)
    with pytest.raises(SoundDiffusionError, match=pattern):
        Job.plan(options)


def test_a_model_may_declare_a_formula_for_the_strength_of_films(tiny_model_folder, tmp_path):
    declare(tiny_model_folder, tmp_path / "model", film={"strength": "0.7 + 0.3*onset"})

    def planned(**said):
        options = FilmOptions(model=str(tmp_path / "model"), outdir=tmp_path, **said)
        return Job.plan(options).options.strength

    assert str(planned()) == "0.7 + 0.3*onset"
    assert planned(strength=0.5) == 0.5
    assert planned(mode="txt2img") == 0.4  # each frame by itself: there is nothing to forget


def test_a_model_may_declare_the_local_contrast_of_its_films(tiny_model_folder, tmp_path):
    declare(tiny_model_folder, tmp_path / "model", film={"local_contrast": 0.6})

    def planned(kind=FilmOptions, **said):
        return Job.plan(kind(model=str(tmp_path / "model"), outdir=tmp_path, **said)).settings.local_contrast

    assert planned() == planned(mode="txt2img") == 0.6
    assert planned(local_contrast=0.0) == 0.0
    assert planned(PictureOptions) == 0.0
    with pytest.raises(ParameterError, match=r"--local-contrast 11.0 .expected a number in \[0, 10\]"):
        planned(local_contrast=11.0)
    declare(tiny_model_folder, tmp_path / "other", local_contrast=0.25)
    for kind in (PictureOptions, FilmOptions):
        job = Job.plan(kind(model=str(tmp_path / "other"), outdir=tmp_path))
        assert job.settings.local_contrast == job.options.local_contrast == 0.25


def test_what_a_model_declares_wrongly_is_its_own_mistake(tiny_model_folder, tmp_path):
    declare(tiny_model_folder, tmp_path / "model", film={"local_contrast": 11})
    with pytest.raises(ModelError, match=r"sound_diffusion.json: --local-contrast 11 "):
        Job.plan(FilmOptions(model=str(tmp_path / "model"), outdir=tmp_path))


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "null",
        '"steps"',
        '{"stepz": 4}',
        '{"steps": "4"}',
        '{"steps": 0}',
        '{"steps": true}',
        '{"height": 64.5}',
        '{"guidance": null}',
        '{"scaling": null}',
        '{"scaling": {"fft": "loud"}}',
        '{"scaling": {"fft": ["clip"]}}',
        '{"window": 0}',
        '{"window": "1"}',
        '{"sound_encoder": "yes"}',
        '{"mirrored_noise": "yes"}',
        '{"few_steps": 2}',
        '{"film": 2}',
        '{"film": {"fps": 12}}',
        '{"film": {"steps": 1.5}}',
        '{"film": {"strength": true}}',
        b"\xff\xfe\x00",
    ],
)
def test_bad_declaration(tmp_path, text):
    path = tmp_path / "sound_diffusion.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ModelError) as caught:
        read_defaults(tmp_path)
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 2


def test_fingerprint_changes_with_the_weights(tiny_model_folder, tmp_path):
    folder = shutil.copytree(tiny_model_folder, tmp_path / "tiny")
    before = find_model(str(folder)).fingerprint()
    assert before == find_model(str(folder)).fingerprint()
    weights = next(folder.rglob("unet/*.safetensors"))
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert find_model(str(folder)).fingerprint() != before


# --- loading


def test_loaded_model_says_what_it_is(tiny_model, tiny_model_folder):
    assert tiny_model.name == str(tiny_model_folder)
    assert (tiny_model.device, tiny_model.precision) == ("cpu", "full")
    assert tiny_model.width == 32
    assert not tiny_model.has_text_encoder
    assert tiny_model.empty_prompt is None
    assert tiny_model.scaling_for("fft") == "log"
    assert tiny_model.scaling_for("waveform") == "none"
    assert tiny_model.scaling_for("fft", "range") == "range"


def test_pipelines_share_the_weights(tiny_model):
    text, image = tiny_model.pipeline_for("txt2img", "ddim"), tiny_model.pipeline_for("img2img", "plms")
    assert text.unet is image.unet is tiny_model.pipeline.unet
    assert text is tiny_model.pipeline_for("txt2img", "ddim")
    assert type(text.scheduler).__name__ == "DDIMScheduler"
    assert type(image.scheduler).__name__ == "PNDMScheduler"
    with pytest.raises(ParameterError, match="unknown sampler 'magic'"):
        tiny_model.pipeline_for("txt2img", "magic")


@pytest.mark.parametrize(
    ("options", "pattern"),
    [
        ({"device": "tpu"}, "device 'tpu'.*auto, cuda, mps, cpu"),
        ({"device": "cpu", "precision": "double"}, "precision 'double'.*auto, full, mixed, autocast"),
    ],
)
def test_bad_device_or_precision(tiny_model_folder, options, pattern):
    with pytest.raises(ParameterError, match=pattern):
        load_model(str(tiny_model_folder), **options)


def test_device_that_is_not_there(tiny_model_folder, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ParameterError, match=r"device cuda is not there.*cpu"):
        load_model(str(tiny_model_folder), device="cuda")


def broken(folder, part):
    """Damage one part of a diffusers folder."""
    if part == "no index":
        (folder / "model_index.json").write_text("{")
    elif part == "index is a list":
        (folder / "model_index.json").write_text("[1]")
    elif part == "no unet":
        shutil.rmtree(folder / "unet")
    elif part == "cut weights":
        weights = next(folder.rglob("unet/*.safetensors"))
        weights.write_bytes(weights.read_bytes()[:2000])
    elif part == "another kind":
        from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

        unet = UNet2DModel(
            sample_size=8,
            block_out_channels=(8, 8),
            down_block_types=("DownBlock2D",) * 2,
            up_block_types=("UpBlock2D",) * 2,
            norm_num_groups=4,
        )
        shutil.rmtree(folder)
        DDPMPipeline(unet=unet, scheduler=DDPMScheduler()).save_pretrained(folder)


@pytest.mark.parametrize("part", ["no index", "index is a list", "no unet", "cut weights", "another kind"])
def test_folder_that_cannot_be_loaded(tiny_model_folder, tmp_path, part, capfd):
    folder = shutil.copytree(tiny_model_folder, tmp_path / "tiny")
    broken(folder, part)
    with pytest.raises(ModelError) as caught:
        load_model(str(folder), device="cpu")
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    assert capfd.readouterr().err == ""


def test_declaration_of_the_tiny_model_is_json(tiny_model_folder):
    assert json.loads((tiny_model_folder / "sound_diffusion.json").read_text())["steps"] == 4
