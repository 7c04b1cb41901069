"""ONNX Runtime in the place of torch: when it is chosen, and that it paints the same picture."""

import importlib.util

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from sound_diffusion.errors import ParameterError  # noqa: E402
from sound_diffusion.model import onnx_runtime  # noqa: E402
from sound_diffusion.model.load import load_model  # noqa: E402
from sound_diffusion.model.onnx_runtime import choose_runtime  # noqa: E402
from sound_diffusion.painting import paint  # noqa: E402

INSTALLED = all(importlib.util.find_spec(name) for name in onnx_runtime.PACKAGES)


@pytest.fixture
def there(monkeypatch):
    """Say which of the packages are there."""

    def there(*names):
        monkeypatch.setattr(
            onnx_runtime.importlib.util, "find_spec", lambda name: name if name in names else None
        )

    return there


def test_it_is_used_where_it_is_there_and_suits(there):
    there("onnxruntime", "onnx")
    assert choose_runtime("auto", suitable=True) == choose_runtime("onnx", suitable=True) == "onnx"
    assert choose_runtime("auto", suitable=False) == choose_runtime("torch", suitable=True) == "torch"
    with pytest.raises(ParameterError, match=r"--runtime onnx \(expected the embedded model"):
        choose_runtime("onnx", suitable=False)


def test_without_it_torch_computes(there):
    there("onnxruntime")
    assert choose_runtime("auto", suitable=True) == "torch"
    with pytest.raises(ParameterError, match=r"onnx is not installed .*pip install onnxruntime onnx"):
        choose_runtime("onnx", suitable=True)
    with pytest.raises(ParameterError, match="runtime 'tvm'"):
        choose_runtime("tvm", suitable=True)


@pytest.mark.skipif(not INSTALLED, reason="ONNX Runtime is not installed")
def test_it_paints_what_torch_paints(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    by_torch = load_model("cymatics", device="cpu", runtime="torch", precision="full")
    embedding = np.abs(np.random.default_rng(0).normal(size=(77, by_torch.width))).astype(np.float32)
    for _ in range(2):  # the second reads what the first has written
        by_onnx = load_model("cymatics", device="cpu", runtime="onnx")
        assert by_onnx.arithmetic["runtime"] == "onnx"
        for settings in ({}, {"guidance": 2.0}, {"height": 128, "width": 128}):  # torch computes the others
            pictures = [
                np.asarray(paint(model, embedding, **settings), float) for model in (by_torch, by_onnx)
            ]
            assert np.abs(pictures[0] - pictures[1]).mean() < 0.05
    assert len(list(tmp_path.rglob("*.onnx"))) == 2
    assert not list(tmp_path.rglob("*.part"))
