"""The package from Python: its names, and what importing it costs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import sound_diffusion


@pytest.mark.parametrize("name", sound_diffusion.__all__)
def test_every_public_name_is_there_and_documented(name):
    assert name in dir(sound_diffusion)
    assert getattr(sound_diffusion, name).__doc__


def test_unknown_name():
    with pytest.raises(AttributeError, match="attribute pain"):
        _ = sound_diffusion.pain


def test_import_loads_nothing_heavy():
    code = (
        "import sys, sound_diffusion; print(sorted({'numpy', 'torch', 'librosa', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("folder", "below"), [("sound", ()), ("formulas", ()), ("model", ("sound",))])
def test_folders_import_from_below_alone(folder, below):
    everywhere = {"errors", "typing", "constants", "installation"}
    for path in Path(sound_diffusion.__file__).with_name(folder).glob("*.py"):
        imported = set(
            re.findall(r"(?:from|import) sound_diffusion\.(\w+)", path.read_text(encoding="utf-8"))
        )
        assert imported <= {folder, *below} | everywhere, path.name


def test_libraries_are_told_to_sleep_and_to_repeat_themselves_unless_the_user_says_otherwise():
    told = {"OMP_WAIT_POLICY": "PASSIVE", "OPENBLAS_NUM_THREADS": "1", "MKL_CBWR": "AUTO"}
    own = {"OMP_WAIT_POLICY": "ACTIVE", "OPENBLAS_NUM_THREADS": "3", "MKL_CBWR": "COMPATIBLE"}
    code = f"import os, sound_diffusion; print({{name: os.environ[name] for name in {list(told)}}})"
    bare = {name: value for name, value in os.environ.items() if name not in own}
    for environment, expected in ((bare, told), (bare | own, own)):
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        assert done.stdout.strip() == str(expected)


@pytest.mark.parametrize("package", ["training", "benchmarks"])
def test_training_and_benchmarks_tell_them_before_torch_is_imported(package):
    code = f"import sys, {package}; print('sound_diffusion' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True False"
