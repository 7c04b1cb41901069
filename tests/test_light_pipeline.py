"""The pipeline of the embedded model paints what diffusers' own paints, and is imported faster."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel

from sound_diffusion.latents import decode_latents, encode_pictures
from sound_diffusion.model import light_pipeline
from sound_diffusion.model.light_autoencoder import LightAutoencoder
from sound_diffusion.model.light_pipeline import LightPipeline, load_light_pipeline
from sound_diffusion.model.load import load_model
from sound_diffusion.painting import paint_latents
from sound_diffusion.settings import settings_for

REPOSITORY = Path(__file__).parent.parent
SLOW_TO_IMPORT = ("peft", "scipy.stats", "torch._dynamo", "transformers")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A diffusers folder of the kind of models/cymatics, with two residual blocks of a level."""
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16, 16),
        layers_per_block=2,
        norm_num_groups=4,
        attention_head_dim=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=32,
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
        resnet_time_scale_shift="scale_shift",
        time_embedding_dim=16,
        use_linear_projection=True,
    )
    vae = AutoencoderTiny(
        encoder_block_out_channels=(4,) * 4,
        decoder_block_out_channels=(4,) * 4,
        num_encoder_blocks=(0, 1, 1, 1),
        num_decoder_blocks=(1, 1, 0, 1),
        scaling_factor=0.7,
    )
    scheduler = DDIMScheduler(
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        steps_offset=1,
    )
    others = dict.fromkeys(("text_encoder", "tokenizer", "safety_checker", "feature_extractor"))
    pipeline = StableDiffusionPipeline(
        unet=unet, vae=vae, scheduler=scheduler, requires_safety_checker=False, **others
    )
    place = tmp_path_factory.mktemp("models") / "light"
    pipeline.save_pretrained(place)
    declared = {"steps": 2, "guidance": 1.0, "height": 64, "width": 64, "mirrored_noise": True}
    (place / "sound_diffusion.json").write_text(json.dumps(declared))
    return place


@pytest.fixture(scope="module")
def light(folder):
    """The model of the folder as it is loaded."""
    return load_model(str(folder), device="cpu")


@pytest.fixture(scope="module")
def plain(folder):
    """The same with diffusers' own classes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(light_pipeline, "load_light_pipeline", lambda *_: None)
        return load_model(str(folder), device="cpu")


def test_what_is_loaded(light, plain):
    assert isinstance(light.pipeline, LightPipeline)
    assert isinstance(plain.pipeline, StableDiffusionPipeline)
    assert light.width == plain.width == 32
    assert light.dtype == plain.dtype == torch.float32


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize(
    "chosen",
    [
        {},
        {"steps": 4, "guidance": 3.0, "eta": 0.5},
        {"height": 72, "width": 88},
        {"sampler": "plms", "steps": 4},
        {"sampler": "euler", "steps": 3, "guidance": 2.0},
        {"few_steps": True, "steps": 2},
    ],
)
def test_the_bits_are_those_of_diffusers(chosen, light, plain):
    embeddings = list(np.random.default_rng(0).random((2, 77, 32), dtype=np.float32))
    settings = settings_for(light.defaults, **chosen)
    over = settings_for(light.defaults, **chosen, strength=0.6)
    made = []
    for model in (light, plain):
        latents = paint_latents(model, embeddings, [1, 2], settings)
        pictures = decode_latents(model, latents)
        start = encode_pictures(model, pictures, settings, [3, 4])
        made.append((latents, pictures, start, paint_latents(model, embeddings, [1, 2], over, start)))
    for ours, theirs in zip(*made, strict=True):
        if isinstance(ours, list):
            assert [each.tobytes() for each in ours] == [each.tobytes() for each in theirs]
        else:
            assert torch.equal(ours, theirs)
            assert ours.stride() == theirs.stride()


@pytest.mark.parametrize("size", [(64, 64), (72, 40), (8, 16)])
def test_a_last_stage_without_blocks_is_folded(size):
    """Nothing changes but the last bits, at the edges either."""
    torch.manual_seed(0)
    vae = AutoencoderTiny(decoder_block_out_channels=(4,) * 4, num_decoder_blocks=(1, 1, 1, 0)).eval()
    light = LightAutoencoder(vae.config)
    light.load_state_dict(vae.state_dict())
    latents = torch.randn(2, 4, size[0] // 8, size[1] // 8)
    with torch.inference_mode():
        expected = vae.decode(latents).sample
        light.decoder.fold()
        [pixels] = light.decode(latents)
    torch.testing.assert_close(pixels, expected, rtol=0, atol=1e-5)
    assert len(light.decoder.layers) == len(vae.decoder.layers) - 2


def test_the_decoder_of_the_embedded_model_is_folded():
    model = load_model("cymatics", device="cpu", precision="full", runtime="torch")
    vae = AutoencoderTiny.from_pretrained(REPOSITORY / "models/cymatics/vae").eval()
    latents = torch.randn(1, 4, 8, 12)
    with torch.inference_mode():
        [pixels] = model.pipeline.vae.decode(latents)
        torch.testing.assert_close(pixels, vae.decode(latents).sample, rtol=0, atol=1e-4)
    assert len(model.pipeline.vae.decoder.layers) == len(vae.decoder.layers) - 2
    model.pipeline.vae.decoder.fold()  # a second time changes nothing


def test_other_networks_are_left_to_diffusers(folder, tmp_path):
    for part, entry in (("unet", {"dropout": 0.1}), ("unet", {"of_later": 1}), ("vae", {"act_fn": "gelu"})):
        place = tmp_path / f"{part} {next(iter(entry))}"
        place.mkdir()
        for own in folder.iterdir():
            (place / own.name).symlink_to(own)
        (place / part).unlink()
        (place / part).mkdir()
        config = json.loads((folder / part / "config.json").read_text())
        (place / part / "config.json").write_text(json.dumps(config | entry))
        assert load_light_pipeline(place, torch.float32) is None


def test_the_embedded_model_imports_no_more_than_it_needs():
    code = f"""
import sys
from sound_diffusion.model.load import load_model
from sound_diffusion.painting import paint
import numpy as np
paint(load_model("cymatics", device="cpu", runtime="torch"), np.zeros((77, 768)))
print([name for name in {SLOW_TO_IMPORT!r} if name in sys.modules])
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=True)
    assert done.stdout.strip() == "[]"
