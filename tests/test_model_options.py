"""What is added to a model when it is loaded: a VAE, a LoRA, a safety checker, less memory."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from sound_diffusion.errors import ModelError  # noqa: E402
from sound_diffusion.model import load as models  # noqa: E402
from sound_diffusion.painting import paint  # noqa: E402
from tests.tiny_checkpoints import build_pipeline, original_tensors  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny Stable Diffusion 1.x in which the first tokens are all there is."""
    folder = tmp_path_factory.mktemp("models") / "sd1"
    build_pipeline("sd1", vocabulary=100).save_pretrained(folder)
    return folder


@pytest.fixture
def settings():
    return {"steps": 1, "guidance": 1.0, "height": 64, "width": 64}


def without_text(model):
    """A model whose tiny vocabulary is not asked for the empty prompt."""
    model.pipeline.text_encoder = None
    return model


def test_a_vae_of_its_own(folder, tmp_path):
    other = build_pipeline("sd1", vocabulary=100)
    prefix = "first_stage_model."
    tensors = original_tensors(other, "sd1").items()
    torch.save(
        {n.removeprefix(prefix): t + 1 for n, t in tensors if n.startswith(prefix)}, tmp_path / "vae.pt"
    )
    model = models.load_model(str(folder), device="cpu", vae=tmp_path / "vae.pt")
    expected = other.vae.decoder.conv_in.weight + 1
    assert torch.equal(model.pipeline.vae.decoder.conv_in.weight, expected)
    assert model.pipeline.vae.config.scaling_factor == other.vae.config.scaling_factor


def test_less_memory_changes_no_small_picture(folder, settings):
    embedding = np.zeros((77, 768), dtype=np.float32)
    plain = without_text(models.load_model(str(folder), device="cpu"))
    small = without_text(models.load_model(str(folder), device="cpu", low_memory=True))
    assert small.pipeline.vae.use_tiling
    assert np.array_equal(paint(plain, embedding, **settings), paint(small, embedding, **settings))


def test_a_flagged_picture_is_named(folder, settings, tmp_path, caplog):
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
    from transformers import CLIPConfig, CLIPImageProcessorPil

    pipeline = build_pipeline("sd1", vocabulary=100)
    vision = {"hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 1, "num_attention_heads": 4}
    config = CLIPConfig(vision_config=vision | {"image_size": 30, "patch_size": 2}, projection_dim=64)
    checker = StableDiffusionSafetyChecker(config)
    checker.concept_embeds.data.normal_()
    checker.concept_embeds_weights.data.fill_(-2)
    processor = CLIPImageProcessorPil(size={"shortest_edge": 30}, crop_size={"height": 30, "width": 30})
    pipeline.register_modules(safety_checker=checker, feature_extractor=processor)
    pipeline.save_pretrained(tmp_path / "checked")

    embedding = np.zeros((77, 768), dtype=np.float32)
    checked = without_text(models.load_model(str(tmp_path / "checked"), device="cpu", safety_checker=True))
    assert not np.asarray(paint(checked, embedding, seed=7, **settings)).any()
    assert "flagged the picture of seed 7: it is black" in caplog.text
    off = without_text(models.load_model(str(tmp_path / "checked"), device="cpu"))
    assert np.asarray(paint(off, embedding, seed=7, **settings)).any()
    with pytest.raises(ModelError, match="no safety checker in it"):
        models.load_model(str(folder), device="cpu", safety_checker=True)


def test_the_size_of_pictures_is_that_of_the_training(folder, tmp_path):
    assert models.read_defaults(folder).height == 512
    tensors = original_tensors(build_pipeline("sdxl_base", vocabulary=100), "sdxl_base")
    torch.save(tensors, tmp_path / "xl.ckpt")
    assert models.read_defaults(tmp_path / "xl.ckpt").height == 1024


def test_an_inpainting_folder_is_named(tmp_path):
    import diffusers

    pipeline = build_pipeline("sd1", vocabulary=100)
    config = dict(pipeline.unet.config) | {"in_channels": 9}
    pipeline.register_modules(unet=diffusers.UNet2DConditionModel.from_config(config))
    pipeline.save_pretrained(tmp_path / "inpainting")
    with pytest.raises(ModelError, match="an inpainting model with 9 input channels"):
        models.load_model(str(tmp_path / "inpainting"), device="cpu")
