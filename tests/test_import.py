"""The package from Python: its names, and what importing it costs."""

import subprocess
import sys

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
