"""In which precision a model computes on a CPU."""

from functools import partial
from types import SimpleNamespace

import pytest

from sound_diffusion.errors import ParameterError
from sound_diffusion.model import load as loading
from sound_diffusion.model.defaults import ModelDefaults
from sound_diffusion.model.load import load_model
from sound_diffusion.model.model import Model

NATIVE = {"avx512_f": True, "avx512_bf16": True, "amx_bf16": False}


@pytest.mark.parametrize(
    ("capabilities", "n_parameters", "has_tiny_vae", "expected"),
    [
        (NATIVE, 860_000_000, False, "autocast"),
        (NATIVE, 860_000_000, True, "autocast"),
        ({"amx_bf16": True}, 860_000_000, False, "autocast"),
        (NATIVE, 12_000_000, True, "mixed"),
        (NATIVE, 12_000_000, False, "full"),
        ({"avx512_f": True, "avx512_bf16": False}, 860_000_000, True, "full"),
        ({"neon": True}, 12_000_000, True, "full"),
    ],
)
def test_bfloat16_is_for_cpus_that_have_it_and_painting_with_it_for_large_models(
    capabilities, n_parameters, has_tiny_vae, expected, monkeypatch
):
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: capabilities)
    assert loading.cpu_precision(n_parameters, has_tiny_vae) == expected


@pytest.mark.parametrize("is_native", [True, False])
def test_auto_precision_on_a_cpu(tiny_model_folder, is_native, monkeypatch):
    import numpy as np
    import torch

    from sound_diffusion.painting import paint

    def load(precision):
        return load_model(str(tiny_model_folder), device="cpu", precision=precision)

    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx512_bf16": is_native})
    assert load("auto").precision == "full"
    monkeypatch.setattr(loading, "LARGE_UNET", 1)
    model, expected = load("auto"), "autocast" if is_native else "full"
    assert model.precision == expected
    assert load("full").precision == "full"
    assert model.pipeline.unet.dtype == torch.float32
    embedding = np.ones((77, 32), dtype=np.float32)
    assert np.array_equal(paint(model, embedding), paint(load(expected), embedding))


def test_mixed_precision_paints_in_float32_and_decodes_in_bfloat16(tiny_model_folder, monkeypatch):
    import numpy as np
    import torch

    from sound_diffusion.conditioning import condition
    from sound_diffusion.latents import decode_latents, encode_pictures
    from sound_diffusion.painting import paint_latents
    from sound_diffusion.settings import settings_for

    models = {
        name: load_model(str(tiny_model_folder), device="cpu", precision=name) for name in ("full", "mixed")
    }
    settings = settings_for(models["full"].defaults, steps=2)
    conditionings = [condition(models["full"], np.ones((77, 32), np.float32), "none")]
    painted = {name: paint_latents(model, conditionings, [0], settings) for name, model in models.items()}
    assert torch.equal(painted["full"], painted["mixed"])
    asked, vae = [], models["mixed"].pipeline.vae

    def ask(call, *args, **options):
        asked.append(torch.is_autocast_enabled("cpu"))
        return call(*args, **options)

    for name in ("decode", "encode"):
        monkeypatch.setattr(vae, name, partial(ask, getattr(vae, name)))
    pictures = {
        name: np.asarray(decode_latents(model, painted[name])[0], float) for name, model in models.items()
    }
    assert asked == [True]
    encode_pictures(models["mixed"], decode_latents(models["full"], painted["full"]), settings, [0])
    assert asked == [True, False]
    assert 0 < np.abs(pictures["full"] - pictures["mixed"]).max() < 8


def test_mixed_precision_is_for_a_cpu(tiny_model_folder, monkeypatch):
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    with pytest.raises(
        ParameterError, match=r"precision mixed on mps \(expected full or autocast, or the device cpu"
    ):
        load_model(str(tiny_model_folder), device="mps", precision="mixed")


def test_a_prompt_is_encoded_alike_whoever_asks_first():
    """Painting asks where bfloat16 is computed with, scaling and words ask before."""
    import numpy as np
    import torch

    torch.manual_seed(0)
    layer = torch.nn.Linear(8, 8)
    pipeline = SimpleNamespace(
        text_encoder=layer, encode_prompt=lambda prompt, **options: (layer(torch.ones(1, 77, 8)),)
    )
    before, within = (Model("m", pipeline, ModelDefaults(), "cpu", "autocast") for _ in range(2))
    expected = before.encode_negative()[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        np.testing.assert_array_equal(within.encode_negative()[0], expected)
