"""In which precision a model computes on a CPU."""

from types import SimpleNamespace

import pytest

from sound_diffusion.model import load as loading
from sound_diffusion.model.defaults import ModelDefaults
from sound_diffusion.model.load import load_model
from sound_diffusion.model.model import Model

NATIVE = {"avx512_f": True, "avx512_bf16": True, "amx_bf16": False}


@pytest.mark.parametrize(
    ("capabilities", "n_parameters", "expected"),
    [
        (NATIVE, 860_000_000, "autocast"),
        ({"amx_bf16": True}, 860_000_000, "autocast"),
        (NATIVE, 12_000_000, "full"),
        ({"avx512_f": True, "avx512_bf16": False}, 860_000_000, "full"),
        ({"neon": True}, 860_000_000, "full"),
    ],
)
def test_bfloat16_is_for_large_models_where_the_cpu_has_it(capabilities, n_parameters, expected, monkeypatch):
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: capabilities)
    assert loading.cpu_precision(n_parameters) == expected


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
