import dataclasses
import io
import pickle
import socket
import tempfile
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402

from sound_diffusion.errors import ModelError  # noqa: E402
from sound_diffusion.model import checkpoint, families  # noqa: E402
from sound_diffusion.model.additions import load_vae  # noqa: E402
from sound_diffusion.model.checkpoint import load_checkpoint_pipeline  # noqa: E402
from sound_diffusion.model.defaults import read_defaults  # noqa: E402
from sound_diffusion.model.families import CONFIGS, family_of  # noqa: E402
from sound_diffusion.model.folders import folder_parts  # noqa: E402
from sound_diffusion.model.tensors import open_tensor_file, read_tensors  # noqa: E402
from tests.tiny_checkpoints import (  # noqa: E402
    FAMILIES,
    build_pipeline,
    original_tensors,
    save_checkpoints,
)

# diffusers' schedulers and NumPy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

PREDICTION_TYPES = {"sd2_768v": "v_prediction"}
UNET = "model.diffusion_model."


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Make any socket an error, and leave the libraries to think that there is a network."""

    def refuse(*arguments, **options):
        raise AssertionError("a socket was asked for")

    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(socket.socket, "__init__", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="module", params=FAMILIES)
def saved(request):
    """A tiny model of a family in every form."""
    with tempfile.TemporaryDirectory() as folder:
        pipeline = build_pipeline(request.param, vocabulary=100)
        pipeline.set_progress_bar_config(disable=True)
        yield request.param, pipeline, save_checkpoints(pipeline, request.param, Path(folder))


def conditions(pipeline):
    """Return what its text encoders make of the first tokens of the vocabulary."""
    tokens = torch.arange(77)[None]
    with torch.no_grad():
        encoded = [
            encoder(tokens, output_hidden_states=True)
            for encoder in (pipeline.text_encoder, getattr(pipeline, "text_encoder_2", None))
            if encoder is not None
        ]
    if len(encoded) == 1:
        return {"prompt_embeds": encoded[0][0]}
    joined = torch.cat([output.hidden_states[-2] for output in encoded], dim=-1)
    return {"prompt_embeds": joined, "pooled_prompt_embeds": encoded[1].text_embeds}


def paint(pipeline):
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(0)
    options = {"num_inference_steps": 2, "height": 64, "width": 64, "guidance_scale": 1.0}
    return pipeline(**conditions(pipeline), **options, generator=generator, output_type="np").images[0]


def test_every_form_of_a_model_gives_the_same_picture(saved):
    _, built, paths = saved
    expected = paint(built)
    parts = folder_parts(paths["folder"], torch_dtype=torch.float32)
    assert parts.keys() >= {"unet", "vae", "text_encoder"}
    folder = type(built).from_pretrained(paths["folder"], local_files_only=True, **parts)
    assert np.array_equal(paint(folder), expected)
    for form in paths.keys() - {"folder"}:
        loaded = load_checkpoint_pipeline(paths[form], torch_dtype=torch.float32)
        assert type(loaded) is type(built)
        assert type(loaded.scheduler) is type(built.scheduler)
        assert not any(module.training for module in (loaded.unet, loaded.vae, loaded.text_encoder))
        assert loaded.unet.config.sample_size == built.unet.config.sample_size
        assert np.array_equal(paint(loaded), expected), form
    assert expected.std() > 0.01


def test_the_family_is_read_from_the_tensors(saved):
    name, _, paths = saved
    for form in paths.keys() - {"folder"}:
        family = family_of(open_tensor_file(paths[form]))
        assert family.name == FAMILIES[name].name
        assert family.width == FAMILIES[name].width
        assert family.prediction_type == PREDICTION_TYPES.get(name, "epsilon")
        assert family.config_folder == CONFIGS / name


@pytest.mark.parametrize("saved", ["sd2_base"], indirect=True)
@pytest.mark.parametrize(("measured", "size"), [("epsilon", 512), ("v_prediction", 768)])
def test_a_file_that_does_not_say_what_it_predicts(saved, measured, size, monkeypatch):
    """It is measured once, and painted in the size that goes with the result."""
    _, built, paths = saved
    measurements = []

    def measure(*parts):
        measurements.append(parts)
        return measured

    checkpoint._measure_file.cache_clear()
    monkeypatch.setattr(families, "SD2_PREDICTION_TYPES", {})
    monkeypatch.setattr(checkpoint, "_measured_prediction_type", measure)
    assert family_of(open_tensor_file(paths["ckpt"])).prediction_type is None
    assert (read_defaults(paths["ckpt"]).height, read_defaults(paths["ckpt"]).width) == (size, size)
    loaded = load_checkpoint_pipeline(paths["ckpt"], torch_dtype=torch.float32)
    assert len(measurements) == 1
    assert loaded.scheduler.config.prediction_type == measured
    assert loaded.unet.config.sample_size * 8 == size
    if measured == "epsilon":
        assert np.array_equal(paint(loaded), paint(built))


def test_prompts_are_encoded_alike(tmp_path):
    built = build_pipeline("sd1")
    save_file(original_tensors(built, "sd1"), tmp_path / "model.safetensors")
    loaded = load_checkpoint_pipeline(tmp_path / "model.safetensors", torch_dtype=torch.float32)
    (tmp_path / "model.safetensors").unlink()
    options = {"device": "cpu", "num_images_per_prompt": 1, "do_classifier_free_guidance": True}
    prompt = "a red juicy apple floating in outer space, like a planet"
    expected = built.encode_prompt(prompt, **options)
    encoded = loaded.encode_prompt(prompt, **options)
    assert all(torch.equal(*pair) for pair in zip(encoded, expected, strict=True))


@pytest.mark.parametrize("saved", ["sd1"], indirect=True)
def test_weights_are_loaded_in_the_wanted_dtype(saved):
    _, _, paths = saved
    loaded = load_checkpoint_pipeline(paths["ckpt"], torch_dtype=torch.float16)
    parameters = [*loaded.unet.parameters(), *loaded.vae.parameters(), *loaded.text_encoder.parameters()]
    assert {parameter.dtype for parameter in parameters} == {torch.float16}
    assert not any(parameter.is_meta for parameter in parameters)


@pytest.mark.parametrize("saved", ["sd1"], indirect=True)
def test_a_vae_of_its_own(saved, tmp_path):
    family, built, paths = saved
    tensors = original_tensors(built, family)
    prefix = "first_stage_model."
    alone = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
    torch.save({"state_dict": alone}, tmp_path / "vae.pt")
    in_folder = paths["folder"] / "vae/diffusion_pytorch_model.safetensors"
    for path in (tmp_path / "vae.pt", paths["safetensors"], in_folder):
        vae = load_vae(path, built.vae)
        latents = torch.ones(1, 4, 8, 8)
        with torch.no_grad():
            assert torch.equal(vae.decode(latents).sample, built.vae.decode(latents).sample)
    with pytest.raises(ModelError, match=r"a VAE alone.*--vae"):
        family_of(open_tensor_file(tmp_path / "vae.pt"))


@pytest.mark.parametrize("saved", ["sd1"], indirect=True)
def test_damaged_models_are_named_and_refused(saved, tmp_path):
    family, built, _ = saved
    tensors = original_tensors(built, family)
    path = tmp_path / "damaged.safetensors"

    def refused(changes, match):
        kept = {name: tensor for name, tensor in (tensors | changes).items() if tensor is not None}
        save_file(kept, path)
        with pytest.raises(ModelError, match=match) as caught:
            load_checkpoint_pipeline(path, torch_dtype=torch.float32)
        assert len(str(caught.value).splitlines()) == 1

    time = f"{UNET}time_embed.0.weight"
    refused({time: tensors[time][:, :5].contiguous()}, r"UNet: time_embedding.linear_1.weight of shape")
    refused({time: None}, r"UNet: time_embedding.linear_1.weight is missing")
    refused({f"{UNET}input_blocks.1.0.out_layers.3.weight": None}, "UNet: sizes cannot be told")
    channels = f"{UNET}input_blocks.1.0.out_layers.3.weight"
    refused({channels: tensors[channels][:33].contiguous()}, "UNet: .*sizes that make no model")
    refused({"first_stage_model.encoder.down.0.block.0.conv1.weight": None}, "VAE: sizes cannot be told")


@pytest.mark.parametrize(("gain", "expected"), [(1.0, "epsilon"), (0.0, "v_prediction")])
def test_what_a_unet_predicts_is_measured(gain, expected):
    """One that gives noise back predicts noise; one that gives something else predicts v."""

    class Unet(torch.nn.Module):
        dtype = torch.float32

        def forward(self, sample, timestep, prompt):
            other = torch.randn(sample.shape, generator=torch.Generator().manual_seed(1))
            output = gain * sample + 0.1 * other
            return dataclasses.make_dataclass("Output", ["sample"])(output)

    def tokenizer(text, **options):
        return dataclasses.make_dataclass("Tokens", ["input_ids"])(torch.zeros(1, 77))

    measured = checkpoint._measured_prediction_type(Unet(), tokenizer, lambda tokens: (tokens,))
    assert measured == expected


def test_the_vocabulary_is_that_of_clip():
    from transformers import CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(CONFIGS / "clip", model_max_length=77)
    assert len(tokenizer) == 49_408
    assert tokenizer("a photo of a cat").input_ids == [49_406, 320, 1_125, 539, 320, 2_368, 49_407]


def test_the_vocabulary_is_derived_from_what_open_clip_ships(tmp_path):
    """From a wheel in miniature: the numbers of the tokens follow from the merges."""
    import gzip
    import zipfile

    from training import vocabulary

    merges = gzip.compress(b"header\na b\nab c</w>\n")
    with zipfile.ZipFile(tmp_path / "open_clip_torch.whl", "w") as archive:
        archive.writestr(vocabulary.MERGES_FILE, merges)
    vocabulary.main([str(tmp_path / "open_clip_torch.whl"), "--outdir", str(tmp_path)])
    assert (tmp_path / "merges.txt").read_text().splitlines()[1:] == ["a b", "ab c</w>"]
    saved = (CONFIGS / "clip/merges.txt").read_text(encoding="utf-8").splitlines()[1:]
    numbered = vocabulary.number_tokens(saved)
    assert numbered["<|endoftext|>"] == 49_407
    assert numbered["cat</w>"] == 2_368


def test_reading_asks_for_the_memory_of_one_copy(tmp_path):
    """Tensors are read one at a time: nothing of a part that is not asked for."""
    tensors = {"a": torch.ones(1000), "b": torch.ones(1000)}
    torch.save(tensors, tmp_path / "two.ckpt")
    file = open_tensor_file(tmp_path / "two.ckpt")
    [(name, tensor)] = read_tensors(file, torch.float16, ["b"]).items()
    assert name == "b"
    assert tensor.untyped_storage().nbytes() == 2000
    buffer = io.BytesIO()
    torch.save(tensor, buffer)
    assert len(buffer.getvalue()) < 5000


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"<!doctype html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (pickle.dumps(print, 2), "it contains print"),
        (None, "an inpainting model"),
    ],
)
def test_the_script_says_what_is_wrong_with_a_checkpoint(content, named, sine_file, tmp_path, capsys):
    import audio2img

    path = tmp_path / "model.ckpt"
    if content is None:
        torch.save({f"{UNET}input_blocks.0.0.weight": torch.zeros(8, 9, 3, 3)}, path)
    else:
        path.write_bytes(content)
    options = ["--prompt", sine_file, "--ckpt", path, "--outdir", tmp_path / "outputs", "--quiet"]
    assert audio2img.main([str(option) for option in options]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    [line] = captured.err.splitlines()
    assert named in line
    assert not (tmp_path / "outputs").exists()
