"""Tiny autoencoders in the place of a model's VAE: in a folder, in a file, as the two files of taesd."""

import json
import shutil

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny
from PIL import Image
from safetensors.torch import save_file

import sound_diffusion as sd
from sound_diffusion.errors import ModelError
from sound_diffusion.model.additions import load_vae
from sound_diffusion.options import PictureOptions

SIZES = {"encoder_block_out_channels": (8,) * 4, "decoder_block_out_channels": (8,) * 4}


@pytest.fixture(scope="module")
def tiny_vae():
    torch.manual_seed(0)
    return AutoencoderTiny(**SIZES).eval()


def painted(model, **options):
    embedding = np.full((77, model.width), 0.1, dtype=np.float32)
    return np.asarray(sd.paint(model, embedding, seed=3, **options))


def test_a_model_folder_may_have_one(tiny_model_folder, tiny_vae, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny_model_folder, folder)
    shutil.rmtree(folder / "vae")
    tiny_vae.save_pretrained(folder / "vae")
    index = json.loads((folder / "model_index.json").read_text())
    index["vae"] = ["diffusers", "AutoencoderTiny"]
    (folder / "model_index.json").write_text(json.dumps(index))
    model = sd.load_model(str(folder), device="cpu")
    assert painted(model).shape == (64, 64, 3)
    start = Image.new("RGB", (64, 64), "teal")
    over = painted(model, init_image=start, strength=0.5)
    assert (over != painted(model)).any()
    given = sd.load_model(str(tiny_model_folder), device="cpu", vae=PictureOptions(vae=folder / "vae").vae)
    np.testing.assert_array_equal(painted(given), painted(model))
    np.testing.assert_array_equal(painted(given, init_image=start, strength=0.5), over)


def test_the_two_files_of_taesd(tiny_model, tmp_path):
    torch.manual_seed(1)
    whole = AutoencoderTiny().state_dict()  # in its published size
    for part, shift in (("encoder", 0), ("decoder", 1)):
        tensors = {}
        for name, values in whole.items():
            if name.startswith(part):
                number, rest = name.removeprefix(f"{part}.layers.").split(".", 1)
                tensors[f"{int(number) + shift}.{rest}"] = values
        save_file(tensors, tmp_path / f"taesd_{part}.safetensors")
    for part in ("encoder", "decoder"):
        vae = load_vae(tmp_path / f"taesd_{part}.safetensors", tiny_model.pipeline.vae)
        assert all(torch.equal(values, whole[name]) for name, values in vae.state_dict().items())
    (tmp_path / "taesd_encoder.safetensors").unlink()
    with pytest.raises(ModelError, match="one half of a tiny autoencoder"):
        load_vae(tmp_path / "taesd_decoder.safetensors", tiny_model.pipeline.vae)


def test_one_of_other_latents_is_refused(tiny_model, tmp_path):
    AutoencoderTiny(latent_channels=16, **SIZES).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"16 latent channels.*4"):
        load_vae(tmp_path / "diffusion_pytorch_model.safetensors", tiny_model.pipeline.vae)
