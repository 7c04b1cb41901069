"""Models: where a name leads, what a folder declares, what is refused."""

import json
import shutil

import pytest

from sound_diffusion import model_files
from sound_diffusion.errors import ModelError, ParameterError
from sound_diffusion.model_files import (
    ModelDefaults,
    find_model,
    fingerprint,
    model_name,
    read_defaults,
    read_width,
)
from sound_diffusion.models import load_model


@pytest.fixture
def models_folder(tmp_path, monkeypatch):
    """A models/ folder with the embedded model and one more, as far as finding them goes."""
    folder = tmp_path / "models"
    for name in ("cymatics", "own"):
        (folder / name).mkdir(parents=True)
        (folder / name / "model_index.json").write_text("{}")
    monkeypatch.setattr(model_files, "MODELS_FOLDER", folder)
    return folder


# --- names


def test_auto_is_the_users_checkpoint_or_else_the_embedded_model(models_folder):
    assert find_model("auto") == models_folder / "cymatics"
    checkpoint = models_folder / "ldm" / "stable-diffusion-v1" / "model.ckpt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    assert find_model("auto") == checkpoint
    assert model_name("auto") == "ldm/stable-diffusion-v1/model.ckpt"
    assert find_model(model_name("auto")) == checkpoint


def test_names_paths_and_hub_ids(models_folder, tmp_path, monkeypatch):
    assert find_model("own") == models_folder / "own"
    assert find_model(str(models_folder / "own")) == models_folder / "own"
    assert model_name(str(models_folder / "own")) == "own"
    for name in ("own.safetensors", "own.ckpt"):
        (tmp_path / name).touch()
        assert find_model(str(tmp_path / name)) == tmp_path / name
        assert model_name(str(tmp_path / name)) == str(tmp_path / name)
    assert find_model("stabilityai/sd-turbo") == "stabilityai/sd-turbo"
    assert model_name("stabilityai/sd-turbo") == "stabilityai/sd-turbo"
    monkeypatch.chdir(models_folder)
    assert find_model("own").resolve() == models_folder / "own"


@pytest.mark.parametrize("name", ["nothing", "no/such/folder", "gone/model.ckpt", "a b/c"])
def test_no_such_model(models_folder, name):
    with pytest.raises(ModelError, match="no model.*models/ldm/stable-diffusion-v1/model.ckpt"):  # noqa: RUF043
        find_model(name)


def test_what_is_there_but_no_model(models_folder, tmp_path):
    (tmp_path / "notes.txt").write_text("not a model")
    with pytest.raises(ModelError, match="not a diffusers folder"):
        find_model(str(tmp_path))
    with pytest.raises(ModelError, match=r"notes\.txt"):
        read_defaults(find_model(str(tmp_path / "notes.txt")))


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
    assert read_defaults("some/hub-id") == ModelDefaults()
    assert (ModelDefaults().steps, ModelDefaults().guidance) == (50, 7.5)


def test_declared_defaults(tiny_model_folder):
    defaults = read_defaults(tiny_model_folder)
    assert (defaults.steps, defaults.guidance, defaults.height, defaults.width) == (4, 2.0, 64, 64)
    assert defaults.window == 0.25
    assert read_width(tiny_model_folder) == 32
    assert read_width("some/hub-id") is None


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
        '{"row_positions": "rotary"}',
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
    before = fingerprint(folder)
    assert before == fingerprint(folder)
    weights = next(folder.rglob("unet/*.safetensors"))
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert fingerprint(folder) != before
    assert fingerprint("some/hub-id") is None


# --- loading


def test_loaded_model_says_what_it_is(tiny_model, tiny_model_folder):
    assert tiny_model.name == str(tiny_model_folder)
    assert (tiny_model.device, tiny_model.precision) == ("cpu", "full")
    assert (tiny_model.width, tiny_model.size_factor) == (32, 8)
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
        ({"device": "cpu", "precision": "double"}, "precision 'double'.*auto, full, autocast"),
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
