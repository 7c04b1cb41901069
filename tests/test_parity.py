"""Our pictures are those of the diffusers pipelines called directly: same embeddings, seed and steps."""

import tempfile
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from PIL import Image  # noqa: E402

from sound_diffusion.bending import Bending, parse_bend  # noqa: E402
from sound_diffusion.conditioning import Words, condition, condition_embedding  # noqa: E402
from sound_diffusion.film.noise import NoiseMaker, NoisePoint  # noqa: E402
from sound_diffusion.interpolation import slerp  # noqa: E402
from sound_diffusion.latents import decode_latents  # noqa: E402
from sound_diffusion.model.acceleration import speed_up  # noqa: E402
from sound_diffusion.model.defaults import SAMPLERS, ModelDefaults  # noqa: E402
from sound_diffusion.model.load import load_model  # noqa: E402
from sound_diffusion.model.model import Model  # noqa: E402
from sound_diffusion.painting import paint_batch, paint_latents  # noqa: E402
from sound_diffusion.settings import settings_for, steps_to_run  # noqa: E402
from tests.tiny_checkpoints import FAMILIES, build_pipeline, save_checkpoints  # noqa: E402

# diffusers' schedulers and NumPy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SIZE = 64
STEPS = 3
SEEDS = (5, 11)


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    """A family's name, and its tiny model as this program holds it."""
    pipeline = build_pipeline(request.param)
    for module in pipeline.components.values():
        if isinstance(module, torch.nn.Module):
            module.eval()
    pipeline.set_progress_bar_config(disable=True)
    speed_up(pipeline, "cpu")
    defaults = ModelDefaults(steps=STEPS, guidance=4.0, height=SIZE, width=SIZE)
    return request.param, Model(request.param, pipeline, defaults, "cpu", "full")


@pytest.fixture(scope="module")
def embeddings(family):
    """Two matrices, as two sounds would give them."""
    _, model = family
    return np.random.default_rng(0).standard_normal((2, 77, model.width)).astype(np.float32)


@pytest.fixture(scope="module")
def picture():
    """A picture to paint over."""
    pixels = np.random.default_rng(1).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def conditions(pipeline, embeddings, negative_prompt=None):
    """What stands for the prompt: nothing of it comes from this program."""
    encoded = pipeline.encode_prompt(
        "",
        device="cpu",
        num_images_per_prompt=len(embeddings),
        do_classifier_free_guidance=True,
        negative_prompt=negative_prompt,
    )
    given = {"prompt_embeds": torch.from_numpy(embeddings)}
    if len(encoded) == 2:
        return given | {"negative_prompt_embeds": encoded[1]}
    _, negative, pooled, negative_pooled = encoded
    return given | {
        "negative_prompt_embeds": negative,
        "pooled_prompt_embeds": pooled,
        "negative_pooled_prompt_embeds": negative_pooled,
    }


def directly(model, sampler, embeddings, guidance, negative_prompt=None, **options):
    """Paint with the pipeline of diffusers."""
    import diffusers

    name = type(model.pipeline).__name__
    if "image" in options:
        name = name.replace("Pipeline", "Img2ImgPipeline")
    pipeline = getattr(diffusers, name)(**model.pipeline.components)
    scheduler = getattr(diffusers, SAMPLERS[sampler])
    plms = {"skip_prk_steps": True} if sampler == "plms" else {}
    pipeline.scheduler = scheduler.from_config(model.pipeline.scheduler.config, **plms)
    pipeline.set_progress_bar_config(disable=True)
    with torch.no_grad():
        return pipeline(
            **conditions(pipeline, embeddings, negative_prompt),
            num_inference_steps=STEPS,
            guidance_scale=guidance,
            generator=[torch.Generator().manual_seed(seed) for seed in SEEDS],
            **options,
        ).images


def same(ours, theirs):
    return all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize(("sampler", "guidance"), [*((sampler, 4.0) for sampler in SAMPLERS), ("ddim", 1.0)])
def test_text_to_image(family, embeddings, sampler, guidance):
    _, model = family
    settings = settings_for(model.defaults, sampler=sampler, guidance=guidance)
    ours = paint_batch(model, embeddings, SEEDS, settings)
    assert same(ours, directly(model, sampler, embeddings, guidance, height=SIZE, width=SIZE))
    assert np.asarray(ours[0]).std() > 1


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_image_to_image(family, embeddings, picture, sampler):
    _, model = family
    settings = settings_for(model.defaults, sampler=sampler, strength=0.7)
    pictures = [picture, picture.rotate(90)]
    ours = paint_batch(model, embeddings, SEEDS, settings, pictures)
    assert same(ours, directly(model, sampler, embeddings, 4.0, image=pictures, strength=0.7))


@pytest.mark.parametrize("picture_to_paint_over", [False, True])
def test_negative_prompt(family, embeddings, picture, picture_to_paint_over):
    _, model = family
    pictures = [picture, picture.rotate(90)] if picture_to_paint_over else None
    conditionings = [condition(model, each, words=Words(negative="blurred, grey")) for each in embeddings]
    settings = settings_for(model.defaults, strength=0.7)
    ours = paint_batch(model, conditionings, SEEDS, settings, pictures)
    options = {"image": pictures, "strength": 0.7} if pictures else {"height": SIZE, "width": SIZE}
    assert same(ours, directly(model, "ddim", embeddings, 4.0, "blurred, grey", **options))
    assert not same(ours, paint_batch(model, embeddings, SEEDS, settings, pictures))


@pytest.mark.parametrize("picture_to_paint_over", [False, True])
def test_bends(family, embeddings, picture, picture_to_paint_over):
    _, model = family
    pictures = [picture, picture.rotate(90)] if picture_to_paint_over else None
    settings = settings_for(model.defaults, strength=0.7)
    n_steps = steps_to_run(settings) if pictures else STEPS
    bends = [parse_bend("add@1: 0"), parse_bend("multiply@2: 0")]
    bending = Bending(bends[: n_steps - 1], np.array([[0.3, 0.5]] * 2)[:, : n_steps - 1], SEEDS, n_steps)
    ours = paint_batch(model, embeddings, SEEDS, settings, pictures, bending=bending)

    def bend(_pipeline, index, _timestep, tensors):
        latents = tensors["latents"]
        return {"latents": latents + 0.3 if index == 0 else latents * 0.5 if index == 1 else latents}

    def bend_first(pipeline, index, timestep, tensors):
        return bend(pipeline, index, timestep, tensors) if index < n_steps - 1 else tensors

    options = {"image": pictures, "strength": 0.7} if pictures else {"height": SIZE, "width": SIZE}
    assert same(ours, directly(model, "ddim", embeddings, 4.0, callback_on_step_end=bend_first, **options))
    assert not same(ours, paint_batch(model, embeddings, SEEDS, settings, pictures))


def test_between_two_conditionings_and_two_seeds(family, embeddings):
    _, model = family
    settings = settings_for(model.defaults)
    one, other = (condition_embedding(model, each) for each in embeddings)
    noise = NoiseMaker(model, settings)([NoisePoint(SEEDS[0], SEEDS[1], 0.25)] * 2)
    between = [one.towards(other, 0.5, how) for how in ("slerp", "lerp")]
    ours = decode_latents(model, paint_latents(model, between, SEEDS, settings, noise=noise))
    embedded = np.stack([slerp(embeddings[0], embeddings[1], 0.5), (embeddings[0] + embeddings[1]) / 2])
    theirs = directly(model, "ddim", embedded, 4.0, latents=noise, height=SIZE, width=SIZE)
    assert same(ours, theirs)


@pytest.mark.parametrize("family", ["sd1", "sdxl_base"], indirect=True)
def test_every_kind_of_file_through_the_ordinary_path(family, embeddings):
    """A folder, a .safetensors and a .ckpt paint alike, with nothing said but where they are."""
    name, model = family
    settings = settings_for(model.defaults)
    expected = paint_batch(model, embeddings[:1], SEEDS[:1], settings)
    with tempfile.TemporaryDirectory() as folder:  # gigabytes, which tmp_path would keep
        for form, path in save_checkpoints(model.pipeline, name, Path(folder)).items():
            loaded = load_model(str(path), device="cpu")
            assert loaded.width == model.width
            assert same(paint_batch(loaded, embeddings[:1], SEEDS[:1], settings), expected), form
