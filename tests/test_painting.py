"""Painting: what settings are, what seeds and strengths do, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from sound_diffusion.errors import EmbeddingError, PaintingError, ParameterError
from sound_diffusion.model.model import Model
from sound_diffusion.painting import fit_picture, paint, paint_batch
from sound_diffusion.settings import PaintSettings
from sound_diffusion.starting_pictures import load_picture

SIZE = {"height": 64, "width": 64}


def settings(**changes):
    return PaintSettings(**({"steps": 3, "guidance": 2.0, **SIZE} | changes))


@pytest.fixture
def embedding():
    return np.random.default_rng(0).normal(size=(77, 32)).astype(np.float32)


def pixels(picture):
    return np.asarray(picture).astype(int)


# --- seeds


def test_same_seed_same_picture(tiny_model, embedding):
    first, second = (paint(tiny_model, embedding, seed=5) for _ in range(2))
    assert first.tobytes() == second.tobytes()
    assert (first.size, first.mode) == ((64, 64), "RGB")
    assert paint(tiny_model, embedding, seed=6).tobytes() != first.tobytes()
    assert paint(tiny_model, embedding + 1, seed=5).tobytes() != first.tobytes()


def test_a_picture_does_not_depend_on_its_batch(tiny_model, embedding):
    alone = paint(tiny_model, embedding, seed=8, steps=3)
    batch = paint_batch(tiny_model, [embedding] * 3, [7, 8, 9], settings())
    assert np.abs(pixels(batch[1]) - pixels(alone)).max() <= 1
    assert np.abs(pixels(batch[0]) - pixels(batch[2])).max() > 1


def noise_that_reaches_the_model(model, embedding, seed, **options):
    """Paint, and catch the first noise that the UNet is given."""
    seen = []

    def catch(_module, arguments):
        seen.append(arguments[0].detach().float().cpu().numpy())

    handle = model.pipeline.unet.register_forward_pre_hook(catch)
    try:
        paint(model, embedding, seed=seed, steps=1, guidance=1.0, **options)
    finally:
        handle.remove()
    return seen[0]


def test_noise_is_drawn_on_the_cpu_from_the_seed_alone(tiny_model, embedding):
    import torch

    expected = torch.randn((1, 4, 8, 8), generator=torch.Generator("cpu").manual_seed(11)).numpy()
    torch.manual_seed(1)
    noise = noise_that_reaches_the_model(tiny_model, embedding, 11)
    np.testing.assert_allclose(noise, expected, rtol=1e-5)
    state = torch.random.get_rng_state()
    noise_that_reaches_the_model(tiny_model, embedding, 11)
    assert torch.equal(state, torch.random.get_rng_state())


def test_half_precision_gets_the_same_noise(tiny_model_folder, tiny_model, embedding):
    from sound_diffusion.model.load import load_model

    half = load_model(str(tiny_model_folder), device="cpu", precision="autocast")
    assert half.precision == "autocast"
    np.testing.assert_array_equal(
        noise_that_reaches_the_model(half, embedding, 3),
        noise_that_reaches_the_model(tiny_model, embedding, 3),
    )
    assert np.abs(pixels(paint(half, embedding)) - pixels(paint(tiny_model, embedding))).mean() < 8


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_seed_out_of_range(tiny_model, embedding, seed):
    with pytest.raises(ParameterError, match=f"seed {seed}"):
        paint(tiny_model, embedding, seed=seed)
    assert paint(tiny_model, embedding, seed=2**63 - 1, steps=1).size == (64, 64)


# --- samplers, sizes, guidance


def test_every_setting_reaches_the_picture(tiny_model, embedding):
    pictures = [
        paint(tiny_model, embedding, **options).tobytes()
        for options in (
            {},
            {"sampler": "plms"},
            {"eta": 1.0},
            {"steps": 3},
            {"guidance": 1.0},
            {"guidance": 5.0},
        )
    ]
    assert len(set(pictures)) == len(pictures)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (72, 40), (64, 136)])
def test_sizes_are_multiples_of_eight(tiny_model, embedding, height, width):
    assert paint(tiny_model, embedding, steps=1, height=height, width=width).size == (width, height)


def test_unconditional_embedding_without_a_text_encoder_is_zero(tiny_model, embedding):
    seen = []

    def catch(_module, _arguments, named):
        seen.append(named["encoder_hidden_states"].numpy())

    handle = tiny_model.pipeline.unet.register_forward_pre_hook(catch, with_kwargs=True)
    paint(tiny_model, embedding, steps=1)
    handle.remove()
    assert not seen[0][0].any()
    np.testing.assert_array_equal(seen[0][1], tiny_model.encode_sounds(embedding[None])[0].numpy())
    assert np.abs(seen[0][1] - embedding).max() > 0.1


def test_on_step_is_called_after_each_step(tiny_model, embedding):
    steps = []
    paint_batch(tiny_model, [embedding], [0], settings(), on_step=lambda: steps.append(1))
    assert len(steps) == 3


# --- painting over a picture


def gradient(size=(64, 64)):
    x = np.linspace(0, 255, size[0])[None, :, None]
    return Image.fromarray(np.broadcast_to(x, (size[1], size[0], 3)).astype(np.uint8))


def test_strength_from_unchanged_to_forgotten(tiny_model, embedding):
    start = gradient()
    painted = {
        strength: paint(tiny_model, embedding, init_image=start, strength=strength, steps=4)
        for strength in (0.0, 0.25, 0.75, 1.0)
    }
    assert painted[0.0].tobytes() == start.tobytes()
    assert painted[1.0].tobytes() == paint(tiny_model, embedding, steps=4).tobytes()
    assert len({picture.tobytes() for picture in painted.values()}) == 4


@pytest.mark.parametrize("sampler", ["ddim", "plms"])
def test_strength_counts_the_steps(tiny_model, embedding, sampler):
    steps = []
    chosen = settings(steps=8, strength=0.5, sampler=sampler)
    paint_batch(tiny_model, [embedding], [0], chosen, [gradient()], on_step=lambda: steps.append(1))
    assert 4 <= len(steps) <= 5  # PLMS calls the model twice at its first step


@pytest.mark.parametrize(("sampler", "most"), [("ddim", 1000), ("lcm", 50)])
@pytest.mark.parametrize("strength", [0.0001, 0.1, 0.4, 0.7, 0.99])
def test_few_steps_begin_where_the_strength_says(tiny_model, embedding, sampler, most, strength):
    begun = []

    def catch(_module, arguments):
        begun.append(float(arguments[1]))

    chosen = settings(steps=2, strength=strength, sampler=sampler, few_steps=True)
    handle = tiny_model.pipeline.unet.register_forward_pre_hook(catch)
    try:
        paint_batch(tiny_model, [embedding], [0], chosen, [gradient()])
    finally:
        handle.remove()
    guided = begun[:: len(begun) // 2]
    assert len(guided) == 2
    assert guided[0] == pytest.approx(max(1000 * strength, 2000 / most), abs=1000 / most + 1)


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_timesteps_of_ones_own_are_those_of_whole_steps(tiny_model, embedding, strength):
    """Where as many even steps lead from noise as it takes, the pictures are those of diffusers."""
    chosen = settings(steps=2, strength=strength)
    few = replace(chosen, few_steps=True)
    whole = replace(chosen, steps=4 if strength == 0.5 else 2)
    pictures = [paint_batch(tiny_model, [embedding], [0], s, [gradient()])[0] for s in (few, whole)]
    assert pictures[0].tobytes() == pictures[1].tobytes()


def test_strength_without_a_step(tiny_model, embedding):
    with pytest.raises(ParameterError, match="gives no step at all"):
        paint(tiny_model, embedding, init_image=gradient(), strength=0.1, steps=4)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "LA"])
def test_any_kind_of_picture_is_fitted(mode):
    fitted = fit_picture(gradient((100, 50)).convert(mode), settings())
    assert (fitted.size, fitted.mode) == ((64, 64), "RGB")


def test_fitting_crops_about_the_centre():
    wide = Image.new("RGB", (192, 64), "red")
    wide.paste(Image.new("RGB", (64, 64), "blue"), (64, 0))
    assert set(fit_picture(wide, settings()).get_flattened_data()) == {(0, 0, 255)}


def test_orientation_of_a_photograph_is_kept(tmp_path):
    sideways = Image.new("RGB", (64, 64), "red")
    sideways.paste(Image.new("RGB", (64, 32), "blue"), (0, 0))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    sideways.save(tmp_path / "photo.png", exif=exif)
    fitted = fit_picture(load_picture(tmp_path / "photo.png"), settings())
    assert fitted.getpixel((5, 5)) == (255, 0, 0)


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n", None])
def test_picture_that_cannot_be_read(tmp_path, content):
    path = tmp_path / "start.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ParameterError, match="cannot be read.*a PNG, JPEG or WebP file"):  # noqa: RUF043
        load_picture(path)
    gradient().save(tmp_path / "whole.png")
    path.write_bytes((tmp_path / "whole.png").read_bytes()[:100])
    with pytest.raises(ParameterError, match="cannot be read"):
        load_picture(path)
    with pytest.raises(ParameterError, match="cannot be read"):
        load_picture(tmp_path)


# --- what is refused


def test_embedding_that_does_not_fit(tiny_model):
    with pytest.raises(EmbeddingError, match=r"\(77, 768\).*\(77, 32\)"):
        paint(tiny_model, np.zeros((77, 768)))
    with pytest.raises(EmbeddingError, match="NaN"):
        paint(tiny_model, np.full((77, 32), np.nan))


def test_one_seed_and_one_start_for_each(tiny_model, embedding):
    for embeddings, seeds, starts in (([], [], None), ([embedding], [1, 2], None), ([embedding], [1], [])):
        with pytest.raises(ParameterError, match="one seed for each"):
            paint_batch(tiny_model, embeddings, seeds, settings(), starts)


@pytest.mark.parametrize("precision", ["full", "autocast"])
def test_picture_with_nan_is_an_error_that_says_what_to_change(tiny_model, embedding, precision):
    model = Model("tiny", tiny_model.pipeline, tiny_model.defaults, "cpu", precision)
    remedy = "lower --scale" if precision == "full" else "--precision full"
    with pytest.raises(PaintingError, match=f"seed 4 holds NaN.*{remedy}") as caught:
        paint(model, embedding, seed=4, guidance=3e38)
    assert caught.value.exit_code == 1


def test_model_that_needs_more_memory_than_there_is(tiny_model, embedding, monkeypatch):
    import torch

    def exhausted(*_arguments, **_named):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore lines")

    monkeypatch.setattr(tiny_model.pipeline.unet, "forward", exhausted)
    with pytest.raises(PaintingError, match=r"memory.*--H, --W or --n_samples"):
        paint(tiny_model, embedding)
