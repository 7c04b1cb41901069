"""Model files as users have them: any framing, old names, variants, shards, and no line but ours."""

import json
import logging
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from sound_diffusion.errors import ModelError  # noqa: E402
from sound_diffusion.model.folders import chosen_weights  # noqa: E402
from sound_diffusion.model.load import load_model  # noqa: E402
from sound_diffusion.model.tensors import open_tensor_file, read_tensors  # noqa: E402
from sound_diffusion.painting import paint  # noqa: E402

UNET = "diffusion_pytorch_model"
OLD_NAMES = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


def framed(header, data, length=None):
    """A .safetensors file with blanks behind its header up to a length."""
    text = json.dumps(header).encode()
    text = text.ljust(length or len(text))
    return struct.pack("<Q", len(text)) + text + data


def contents(path):
    file = open_tensor_file(path)
    return {name: tensor.tolist() for name, tensor in read_tensors(file, torch.float32).items()}, file.notes


ENTRY = {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
DATA = struct.pack("<2f", 1.5, -2.0)


@settings(deadline=None, max_examples=60)
@given(length=st.integers(64, 70_000), data=st.data())
def test_a_safetensors_file_may_have_a_header_of_any_length(length, data):
    """Also one that begins as a pickle, an archive, a web page or a pointer does."""
    first = data.draw(st.sampled_from([None, 0x80, ord("P"), ord("<"), ord("v"), ord("G"), 0xEF, ord("\n")]))
    if first is not None:
        length = max(64, length & ~0xFF) + first
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.bin"
        path.write_bytes(framed(ENTRY, DATA, length))
        assert contents(path) == ({"a": [1.5, -2.0]}, {})


@pytest.mark.parametrize("length", [0x4B50, 0x8080, 0x0280, 0x3C3C])
def test_two_bytes_of_a_header_length_that_look_like_another_kind(length, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(framed(ENTRY, DATA, length))
    assert contents(tmp_path / "model.safetensors")[0] == {"a": [1.5, -2.0]}


@pytest.mark.parametrize("notes", [None, {}, {"format": "pt"}, {"format": "pt", "step": 5}, "pt", []])
def test_any_metadata(notes, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(framed(ENTRY | {"__metadata__": notes}, DATA))
    kept = {"format": "pt"} if notes and isinstance(notes, dict) else {}
    assert contents(tmp_path / "model.safetensors") == ({"a": [1.5, -2.0]}, kept)


def test_a_safetensors_file_that_is_cut_is_called_so_whatever_its_first_byte(tmp_path):
    for length in (0x80, 0x50, 0x3C, 0x100):
        whole = framed(ENTRY, DATA, max(64, length))
        for kept in (30, len(whole) - 1):
            (tmp_path / "model.safetensors").write_bytes(whole[:kept])
            with pytest.raises(ModelError, match="cut short"):
                open_tensor_file(tmp_path / "model.safetensors")


def test_a_gguf_file_is_named(tmp_path):
    (tmp_path / "model.gguf").write_bytes(b"GGUF\x03\x00\x00\x00" + bytes(100))
    with pytest.raises(ModelError, match="a GGUF file"):
        open_tensor_file(tmp_path / "model.gguf")


# --- diffusers folders


@pytest.fixture
def folder(tiny_model_folder, tmp_path):
    return shutil.copytree(tiny_model_folder, tmp_path / "tiny")


def pixels(model):
    embedding = np.random.default_rng(0).random((77, 32), dtype=np.float32)
    return np.asarray(paint(model, embedding, steps=2))


def old_names(tensors):
    """Names of attention as diffusers had them before 0.17."""

    def old(name):
        if ".attentions." in name and "transformer_blocks" not in name:
            for today, before in OLD_NAMES.items():
                name = name.replace(f".{today}.", f".{before}.")
        return name

    return {old(name): tensor for name, tensor in tensors.items()}


def test_old_names_in_a_folder_and_in_a_vae(folder, tiny_model, tmp_path):
    path = folder / "vae" / f"{UNET}.safetensors"
    tensors = old_names(load_file(path))
    assert sum(".query." in name for name in tensors) == 4
    save_file(tensors, path)
    save_file(tensors, tmp_path / "vae.safetensors")
    torch.save({"state_dict": tensors}, tmp_path / "vae.ckpt")
    expected = pixels(tiny_model)
    assert np.array_equal(pixels(load_model(str(folder), device="cpu")), expected)
    for vae in ("vae.safetensors", "vae.ckpt"):
        loaded = load_model(tiny_model.name, device="cpu", vae=tmp_path / vae)
        assert np.array_equal(pixels(loaded), expected)


def test_old_names_in_a_unet(folder, tmp_path):
    from diffusers import UNet2DConditionModel

    config = json.loads((folder / "unet" / "config.json").read_text())
    config |= {"down_block_types": ["AttnDownBlock2D", "CrossAttnDownBlock2D"]}
    torch.manual_seed(0)
    UNet2DConditionModel.from_config(config).save_pretrained(folder / "unet")
    expected = pixels(load_model(str(folder), device="cpu"))
    path = folder / "unet" / f"{UNET}.safetensors"
    tensors = old_names(load_file(path))
    assert any(".query." in name for name in tensors)
    save_file(tensors, path)
    assert np.array_equal(pixels(load_model(str(folder), device="cpu")), expected)


def split(path, variant, form):
    """Put a part's weights into other files, as libraries write them, and delete the one they were in."""
    tensors = load_file(path)
    path.unlink()
    names, middle = sorted(tensors), f".{variant}" if variant else ""
    halves = [{name: tensors[name] for name in names[i::2]} for i in range(2)]
    if form == "bin":
        torch.save(tensors, path.with_name(f"{UNET}{middle}.bin"))
    elif form == "whole":
        save_file(tensors, path.with_name(f"{UNET}{middle}.safetensors"))
    else:
        for number, half in enumerate(halves, 1):
            shard = f"-{number:05}-of-00002"
            stem = f"{UNET}{middle}{shard}" if form == "shards" else f"{UNET}{shard}{middle}"
            save_file(half, path.with_name(f"{stem}.safetensors"))


@pytest.mark.parametrize("variant", ["", "fp16", "non_ema", "my-own"])
@pytest.mark.parametrize("form", ["whole", "bin", "shards", "old shards"])
def test_a_folder_with_one_form_of_its_weights_alone(folder, tiny_model, variant, form, capfd):
    for part in ("unet", "vae"):
        split(folder / part / f"{UNET}.safetensors", variant, form)
    model = load_model(str(folder), device="cpu")
    assert np.array_equal(pixels(model), pixels(tiny_model))
    assert capfd.readouterr() == ("", "")


def test_half_precision_weights_are_loaded_as_they_are(folder):
    for part in ("unet", "vae"):
        path = folder / part / f"{UNET}.safetensors"
        halves = {name: tensor.half() for name, tensor in load_file(path).items()}
        save_file(halves, path.with_name(f"{UNET}.fp16.safetensors"))
        path.unlink()
    model = load_model(str(folder), device="cpu")
    assert model.pipeline.unet.dtype == torch.float32
    name, half = next(iter(load_file(folder / "unet" / f"{UNET}.fp16.safetensors").items()))
    assert torch.equal(model.pipeline.unet.state_dict()[name], half.float())


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["model.fp16.safetensors", "model.safetensors", "pytorch_model.bin"], ["model.safetensors"]),
        (["model.bf16.safetensors", "model.fp16.safetensors"], ["model.fp16.safetensors"]),
        (["pytorch_model.bin", "model.fp16.safetensors", "model.onnx"], ["model.fp16.safetensors"]),
        (["openvino_model.bin", "flax_model.msgpack", "config.json"], []),
        (["model-00001-of-00002.safetensors"], []),
        (["model-00001-of-00002.safetensors", "pytorch_model.bin"], ["pytorch_model.bin"]),
        (["model-00001-of-00001.safetensors"], ["model-00001-of-00001.safetensors"]),
    ],
)
def test_which_files_of_a_part_are_read(names, chosen):
    assert chosen_weights(names) == chosen


@pytest.mark.parametrize("what", ["no weights", "a shard missing", "a tensor missing"])
def test_what_is_missing_is_not_called_damaged(folder, what):
    path = folder / "unet" / f"{UNET}.safetensors"
    if what == "a tensor missing":
        tensors = load_file(path)
        del tensors["conv_in.bias"]
        save_file(tensors, path)
    else:
        split(path, "", "shards")
        for shard in path.parent.glob("*1-of*" if what == "a shard missing" else "*.safetensors"):
            shard.unlink()
    with pytest.raises(ModelError, match="no weights in it|conv_in.bias is missing") as caught:  # noqa: RUF043
        load_model(str(folder), device="cpu")
    assert "damaged" not in str(caught.value)
    assert "\n" not in str(caught.value)


# --- what is not said by libraries


def test_libraries_write_nothing_beside_our_lines(folder, tmp_path):
    """In a process of its own, where advice is given at import, with a model of which libraries say much."""
    import soundfile

    root = Path(__file__).parents[1]
    soundfile.write(tmp_path / "tone.wav", np.sin(np.arange(20_000) / 20), 44_100)
    split(folder / "unet" / f"{UNET}.safetensors", "fp16", "bin")
    path = folder / "vae" / f"{UNET}.safetensors"
    save_file(old_names(load_file(path)) | {"some.counter": torch.zeros(1)}, path)
    flags = ["--device", "cpu", "--outdir", str(tmp_path / "out"), "--quiet"]
    command = [sys.executable, str(root / "audio2img.py"), "--prompt", str(tmp_path / "tone.wav")]
    run = subprocess.run(
        [*command, "--model", str(folder), *flags], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")


def test_what_a_library_logs_by_itself_does_not_reach_stderr(audio2img, sine_file, monkeypatch):
    from sound_diffusion import job

    load = job.load_model

    def talk(*arguments, **options):
        logging.getLogger("some.library").error("look at me")
        return load(*arguments, **options)

    monkeypatch.setattr(job, "load_model", talk)
    outcome = audio2img("--prompt", sine_file, "--quiet")
    assert (outcome.code, outcome.err) == (0, "")
