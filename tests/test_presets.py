"""Presets are files of options that become words of a command line."""

import pytest

from sound_diffusion.errors import ParameterError
from sound_diffusion.presets import preset_names, read_preset


def preset_of(folder, text):
    path = folder / "mine.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_preset(str(path))


def test_options_become_words(tmp_path):
    preset = preset_of(
        tmp_path,
        """
        description = "Slow."
        strength = "0.2 + 0.5*onset"
        zoom = 1.02
        color-coherence = "LAB"
        audio = false
        allow-flashing = true
        translation_x = -3
        bend = ["rotate@3: 1", "flip@50%: onset"]
        """,
    )
    assert preset.description == "Slow."
    assert preset.words == [
        "--strength=0.2 + 0.5*onset",
        "--zoom=1.02",
        "--color-coherence=LAB",
        "--no-audio",
        "--allow-flashing",
        "--translation_x=-3",
        "--bend=rotate@3: 1",
        "--bend=flip@50%: onset",
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("strength = ", "cannot be read"),
        ("[strength]\nvalue = 1", "strength = {'value': 1} (expected a text"),
        ("strength = [1, [2]]", "strength = [1, [2]]"),
        ("strength = nan", "strength = nan"),
        ("day = 2020-01-01", "day = 2020-01-01"),
        ('"--strength" = 1', "'--strength' (expected the name of a flag"),
        ('preset = "pulse"', "'preset'"),
        ("description = 3", "description = 3 (expected a text"),
        (b"strength = '\xff'", "cannot be read"),
        ("a = " + "[" * 3000, "cannot be read"),
        ("#" * 2_000_000, "2000000 bytes"),
    ],
)
def test_errors_are_one_line(tmp_path, text, found):
    with pytest.raises(ParameterError) as error:
        preset_of(tmp_path, text)
    assert str(error.value).startswith("--preset ")
    assert found in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["puls", "../pulse", "x" * 5000, "a\x00b"])
def test_no_such_preset(name):
    with pytest.raises(ParameterError, match="--preset"):
        read_preset(name)


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("puls", r"puls: no such preset .*did you mean pulse\?"),
        ("mine.toml", "mine.toml: no such file; check"),
        ("no/pulse", "no/pulse: no such file"),
    ],
)
def test_a_preset_that_is_not_there(name, pattern):
    with pytest.raises(ParameterError, match=f"--preset {pattern}"):
        read_preset(name)


def test_a_folder_is_none(tmp_path):
    with pytest.raises(ParameterError, match="cannot be read"):
        read_preset(str(tmp_path))


@pytest.mark.parametrize("name", preset_names())
def test_those_of_the_package(name):
    preset = read_preset(name)
    assert preset.description
    assert preset.options
