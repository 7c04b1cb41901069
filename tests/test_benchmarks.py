"""Benchmarks are run by hand; what they use of the program has to be there all the same."""

import importlib
from pathlib import Path

import pytest

import benchmarks
from benchmarks import questions

MODULES = sorted(path.stem for path in Path(benchmarks.__file__).parent.glob("[!_]*.py"))


@pytest.mark.parametrize("name", MODULES)
def test_a_benchmark_says_how_it_is_started(name):
    module = importlib.import_module(f"benchmarks.{name}")
    if hasattr(module, "main"):
        assert f"\n    python -m benchmarks.{name}" in (module.__doc__ or "").replace(
            "OMP_NUM_THREADS=1 ", ""
        )


def test_what_becomes_of_text_and_sound_is_asked_of_a_model_that_reads(reading_folder, capsys):
    words = [
        "--only",
        "text",
        "--model",
        str(reading_folder),
        "--sound",
        "examples/bell.wav",
        "--offset",
        "0",
    ]
    assert questions.main([*words, "--offset", "0", "--size", "64"]) == 0
    rows = {
        line[:22].strip(): [*map(float, line[22:].split())]
        for line in capsys.readouterr().out.splitlines()[2:-1]
    }
    assert rows["--text-weight 0"][0] == 0
    assert rows["--text-weight 1"][1] == 0
    assert rows["--text-weight 0.5"][0] > 0
