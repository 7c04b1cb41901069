"""The embedded model: rows that know their place, what is heard in them, and mirrored noise."""

import json
import math
import shutil

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file, save_file

from sound_diffusion.errors import ModelError
from sound_diffusion.latents import decode_latents, encode_pictures
from sound_diffusion.model.defaults import SAMPLERS
from sound_diffusion.model.load import load_model
from sound_diffusion.model.mirrored import mirrored, mirrored_scheduler
from sound_diffusion.model.model import Model
from sound_diffusion.model.sound_encoder import SoundEncoder, load_sound_encoder, row_positions
from sound_diffusion.painting import paint, paint_latents
from sound_diffusion.settings import settings_for

ROWS = 77


@pytest.mark.parametrize("width", [1, 2, 31, 768])
def test_row_positions_are_the_sinusoidal_code(width):
    code = row_positions(width)
    assert code.shape == (ROWS, width)
    assert code.dtype == torch.float32
    for row, column in [(0, 0), (5, 0), (76, width - 1), (40, width // 2)]:
        angle = row / 10_000 ** (2 * (column // 2) / width)
        expected = math.sin(angle) if column % 2 == 0 else math.cos(angle)
        assert float(code[row, column]) == pytest.approx(expected, abs=1e-6)


def test_a_new_encoder_hears_nothing():
    embeddings = torch.randn(3, ROWS, 768, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(SoundEncoder()(embeddings), embeddings + row_positions(768))


@pytest.mark.parametrize("width", [32, 100, 768, 1024, 2048])
def test_any_width(width):
    assert SoundEncoder(width)(torch.zeros(2, ROWS, width)).shape == (2, ROWS, width)


def test_what_is_heard_in_a_row_changes_its_neighbours_alone():
    torch.manual_seed(0)
    encoder = SoundEncoder(64, reach=5)
    torch.nn.init.normal_(encoder.expand.weight)
    quiet = torch.zeros(1, ROWS, 64)
    click = quiet.clone()
    click[0, 40] = 1
    with torch.no_grad():
        rows = (encoder(click) - encoder(quiet)).abs().amax(2)[0].nonzero().flatten().tolist()
    assert rows == [38, 39, 40, 41, 42]


def test_it_can_tell_a_tone_from_noise_of_the_same_sum():
    """What no linear map of a row could: the encoder learns it from a few examples in a few steps."""
    torch.manual_seed(0)
    encoder, told = SoundEncoder(64), torch.nn.Linear(64, 1)
    noise = torch.rand(40, ROWS, 64)
    tone = torch.zeros(40, ROWS, 64).scatter_(2, torch.randint(64, (40, ROWS, 1)), 1.0) * noise.sum(2, True)
    sounds, noisy = torch.cat([noise, tone]), torch.cat([torch.ones(40), torch.zeros(40)])
    optimizer = torch.optim.Adam([*encoder.parameters(), *told.parameters()], lr=3e-3)
    for _ in range(30):
        error = (told(encoder(sounds).mean(1))[:, 0] - noisy).square().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
    assert error.item() < 0.05


@pytest.fixture
def folder(tiny_model_folder, tmp_path):
    return shutil.copytree(tiny_model_folder, tmp_path / "tiny")


def test_the_declared_encoder_is_loaded_in_float32_and_saved_in_any_dtype(folder, rng):
    load_sound_encoder(folder / "sound_encoder", 32).half().save_pretrained(folder / "sound_encoder")
    model = load_model(str(folder), device="cpu")
    assert {p.dtype for p in model.sound_encoder.parameters()} == {torch.float32}
    embeddings = rng.standard_normal((2, ROWS, 32)).astype(np.float32)
    states = model.encode_sounds(embeddings)
    assert states.dtype == torch.float32
    assert not states.requires_grad
    assert np.abs(states.numpy() - embeddings).max() > 1


def test_without_the_declaration_embeddings_reach_the_unet_as_they_are(folder, rng):
    path = folder / "sound_diffusion.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"sound_encoder": False}))
    embeddings = rng.standard_normal((1, ROWS, 32)).astype(np.float32)
    model = load_model(str(folder), device="cpu")
    assert type(model) is Model
    np.testing.assert_array_equal(model.encode_sounds(embeddings).numpy(), embeddings)


def test_a_model_whose_encoder_was_not_copied_is_refused(folder):
    shutil.rmtree(folder / "sound_encoder")
    with pytest.raises(ModelError, match="sound_encoder/") as caught:
        load_model(str(folder), device="cpu")
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_an_encoder_of_another_width_is_refused(folder):
    SoundEncoder(16).save_pretrained(folder / "sound_encoder")
    with pytest.raises(ModelError, match="16 columns"):
        load_model(str(folder), device="cpu")


def test_a_broken_encoder_is_refused(folder):
    next((folder / "sound_encoder").glob("*.safetensors")).write_bytes(b"half of a file")
    with pytest.raises(ModelError, match="the sound encoder cannot be loaded"):
        load_model(str(folder), device="cpu")


# --- pictures


def test_encoded_pictures_come_back_better_than_the_encoder_alone_brings_them():
    model = load_model("cymatics", device="cpu")
    settings = settings_for(model.defaults)
    y, x = np.mgrid[-1:1:256j, -1:1:256j]
    rings = np.stack([np.cos(9 * np.hypot(x, y)), np.cos(7 * x) * np.cos(7 * y), y * x], axis=-1)
    picture = Image.fromarray(((rings + 1) * 127.5).astype(np.uint8))

    def error(encode):
        latents = encode(model, [picture], settings, [0])
        [back] = decode_latents(model, latents)
        return np.square(np.asarray(back, dtype=float) - np.asarray(picture)).mean()

    def alone(*arguments):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(model), "encode_pixels", Model.encode_pixels)
            return encode_pictures(*arguments)

    assert error(encode_pictures) < 0.8 * error(alone)


# --- mirrored noise


def test_a_sound_encoder_of_a_former_version_is_named(tmp_path):
    encoder = SoundEncoder(32)
    encoder.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "diffusion_pytorch_model.safetensors")
    former = {name: tensor for name, tensor in weights.items() if not name.startswith("tell")}
    save_file(former, tmp_path / "diffusion_pytorch_model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"tell.weight is missing"):
        load_sound_encoder(tmp_path, 32)


def is_symmetric(x: torch.Tensor) -> bool:
    across = [x.flip(-1), x.flip(-2)] + ([x.mT] if x.shape[-1] == x.shape[-2] else [])
    return all(torch.equal(x, image) for image in across)


@given(height=st.integers(1, 20), width=st.integers(1, 20), seed=st.integers(0, 99))
def test_every_size_becomes_symmetric_and_stays_so(height, width, seed):
    noise = torch.randn(2, 4, height, width, generator=torch.manual_seed(seed))
    symmetric = mirrored(noise)
    assert symmetric.shape == noise.shape
    assert is_symmetric(symmetric)
    assert torch.equal(mirrored(symmetric), symmetric)
    for plate, values in zip(symmetric.flatten(0, 1), noise.flatten(0, 1), strict=True):
        assert torch.isin(plate, values).all()


def test_every_value_keeps_its_distribution():
    noise = mirrored(torch.randn(20_000, 6, 6, generator=torch.manual_seed(0)))
    torch.testing.assert_close(noise.mean(0), torch.zeros(6, 6), atol=0.04, rtol=0)
    torch.testing.assert_close(noise.std(0), torch.ones(6, 6), atol=0.03, rtol=0)


def test_a_picture_is_kept_as_it_is_under_mirrored_noise():
    plain, scheduler = DDIMScheduler(), mirrored_scheduler(DDIMScheduler)()
    latents, noise = torch.randn(2, 1, 4, 8, 8, generator=torch.manual_seed(0))
    timestep = torch.tensor([500])
    noisy = scheduler.add_noise(latents, noise, timestep)
    assert torch.equal(noisy, plain.add_noise(latents, mirrored(noise), timestep))


def test_what_a_step_leaves_is_mirrored_in_both_forms():
    scheduler = mirrored_scheduler(DDIMScheduler)()
    scheduler.set_timesteps(2)
    output, sample = torch.randn(2, 1, 4, 8, 8, generator=torch.manual_seed(0))
    stepped = scheduler.step(output, scheduler.timesteps[0], sample)
    assert is_symmetric(stepped.prev_sample)
    assert not is_symmetric(sample)
    [alone, *_] = scheduler.step(output, scheduler.timesteps[0], sample, return_dict=False)
    assert torch.equal(alone, stepped.prev_sample)


@pytest.mark.parametrize("declared", [True, False])
def test_a_model_that_declares_it_begins_with_mirrored_noise(declared, tiny_model_folder, rng, tmp_path):
    folder = shutil.copytree(tiny_model_folder, tmp_path / "plate")
    defaults = json.loads((folder / "sound_diffusion.json").read_text())
    (folder / "sound_diffusion.json").write_text(json.dumps(defaults | {"mirrored_noise": declared}))
    model, seen = load_model(str(folder), device="cpu"), []
    model.pipeline.unet.register_forward_pre_hook(lambda _module, arguments: seen.append(arguments[0]))
    paint(model, rng.random((77, 32), dtype=np.float32), steps=3)
    assert [is_symmetric(latents) for latents in seen] == [declared] * 3
    seen.clear()
    start = torch.randn(1, 4, 8, 8, generator=torch.manual_seed(1))
    chosen = settings_for(model.defaults, steps=4, strength=0.5)
    for over in (None, start):
        paint_latents(model, [rng.random((77, 32), dtype=np.float32)], [0], chosen, over, mirrored=False)
    assert not any(is_symmetric(latents) for latents in seen)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_paints_symmetric_figures(sampler, tiny_model_folder, rng, tmp_path):
    folder = shutil.copytree(tiny_model_folder, tmp_path / "plate")
    defaults = json.loads((folder / "sound_diffusion.json").read_text())
    (folder / "sound_diffusion.json").write_text(json.dumps(defaults | {"mirrored_noise": True}))
    model, seen = load_model(str(folder), device="cpu"), []
    model.pipeline.unet.register_forward_pre_hook(lambda _module, arguments: seen.append(arguments[0]))
    embedding = rng.random((77, 32), dtype=np.float32)
    paint(model, embedding, sampler=sampler, steps=4)
    assert all(is_symmetric(latents) for latents in seen)
    eta = {"eta": 0.7} if sampler == "ddim" else {}
    picture = Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    seen.clear()
    paint(model, embedding, sampler=sampler, steps=4, strength=0.5, init_image=picture, **eta)
    assert not is_symmetric(seen[0])  # the picture itself
    assert is_symmetric(seen[-1])
