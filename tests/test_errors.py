"""Errors: what a message says, and which exit status it stands for."""

import pytest

from sound_diffusion import errors
from sound_diffusion.errors import FailedInputsError, SoundDiffusionError

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, SoundDiffusionError) and kind is not FailedInputsError
]


def test_message_is_value_expectation_remedy():
    assert str(SoundDiffusionError("height 65")) == "height 65"
    assert str(SoundDiffusionError("height 65", "a multiple of 8")) == "height 65 (expected a multiple of 8)"
    full = SoundDiffusionError("height 65", "a multiple of 8", "64 would do")
    assert str(full) == "height 65 (expected a multiple of 8); 64 would do"
    assert (full.found, full.expected, full.remedy) == ("height 65", "a multiple of 8", "64 would do")


def test_message_is_one_line():
    assert str(SoundDiffusionError("a\nb", "c\r\nd", "e\tf")) == "a b (expected c d); e f"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_the_root_and_an_exit_code(kind):
    assert issubclass(kind, SoundDiffusionError)
    assert kind("x").exit_code in (1, 2)


@pytest.mark.parametrize(
    ("kind", "builtin", "exit_code"),
    [
        (errors.ParameterError, ValueError, 2),
        (errors.AudioError, ValueError, 2),
        (errors.EmbeddingError, ValueError, 2),
        (errors.ModelError, ValueError, 2),
        (errors.PaintingError, RuntimeError, 1),
        (errors.VideoError, RuntimeError, 1),
        (errors.OutputError, OSError, 1),
    ],
)
def test_kind_is_the_builtin_that_it_resembles(kind, builtin, exit_code):
    assert issubclass(kind, builtin)
    assert kind("x").exit_code == exit_code
    assert str(kind("x", "y", "z")) == "x (expected y); z"


def test_failed_inputs_name_each_and_take_the_first_exit_code():
    first, second = errors.PaintingError("a.wav: NaN"), errors.AudioError("b.wav: empty")
    assert str(FailedInputsError([first, second])) == "a.wav: NaN; b.wav: empty"
    assert FailedInputsError([first, second]).exit_code == 1
    assert FailedInputsError([second, first]).exit_code == 2
