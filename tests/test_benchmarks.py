"""Benchmarks are run by hand; what they use of the program has to be there all the same."""

import importlib
from pathlib import Path

import pytest

import benchmarks

MODULES = sorted(path.stem for path in Path(benchmarks.__file__).parent.glob("[!_]*.py"))


@pytest.mark.parametrize("name", MODULES)
def test_a_benchmark_says_how_it_is_started(name):
    module = importlib.import_module(f"benchmarks.{name}")
    if hasattr(module, "main"):
        assert f"\n    python -m benchmarks.{name}" in (module.__doc__ or "").replace(
            "OMP_NUM_THREADS=1 ", ""
        )
