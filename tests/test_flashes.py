"""Flashes are counted as the WCAG define them."""

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from sound_diffusion.film.flashes import changes_within_a_second, relative_luminance
from sound_diffusion.film.run_folder import RunFolder


@pytest.mark.parametrize(
    ("color", "luminance"),
    [
        ((0, 0, 0), 0),
        ((255, 255, 255), 1),
        ((255, 0, 0), 0.2126),
        ((0, 255, 0), 0.7152),
        ((188, 188, 188), 0.5029),
    ],
)
def test_luminance(color, luminance):
    assert relative_luminance(Image.new("RGB", (5, 3), color)) == pytest.approx(luminance, abs=1e-3)


def test_luminance_of_a_picture_is_a_mean():
    picture = Image.new("RGB", (4, 4))
    picture.paste((255, 255, 255), (0, 0, 4, 1))
    assert relative_luminance(picture) == pytest.approx(0.25)


RECIPE = {
    "steps": 2, "sampler": "ddim", "guidance": 1.0, "seed": 0, "width": 4, "height": 4, "model": "cymatics",
    "textprompt": "white",
}  # fmt: skip


def test_luminance_of_a_frame_is_noted_or_measured(tmp_path):
    folder = RunFolder(tmp_path)
    folder.frames.mkdir()
    white = Image.new("RGB", (4, 4), "white")
    white.save(folder.frame(0))  # by another program
    folder.save_frame(1, white, RECIPE)  # by an earlier version
    folder.save_frame(2, white, RECIPE | {"luminance": 0.25})
    luminances = [folder.luminance(index) for index in range(3)]
    assert luminances == pytest.approx([1.0, 1.0, 0.25])


def count_flashes(luminances, fps):
    """Flashes, which are two changes each, of the second that has the most."""
    return changes_within_a_second(luminances, fps)[1].max(initial=0) // 2


def square(hertz, seconds=2, fps=24, low=0.0, high=1.0):
    """A light that goes on and off."""
    phase = np.arange(seconds * fps) * hertz / fps % 1
    return np.where(phase < 0.5, high, low)


@pytest.mark.parametrize("hertz", [1, 2, 3, 4, 6, 12])
def test_a_light_that_goes_on_and_off(hertz):
    assert abs(count_flashes(square(hertz), Fraction(24)) - hertz) <= 1
    assert (count_flashes(square(hertz), Fraction(24)) > 3) == (hertz > 3)


@pytest.mark.parametrize(
    ("low", "high", "flashes"),
    [(0.4, 0.49, 0), (0.4, 0.51, 6), (0.85, 1.0, 0), (0.79, 0.9, 6), (0.0, 0.1, 6)],
)
def test_what_counts_as_a_change(low, high, flashes):
    assert abs(count_flashes(square(6, low=low, high=high), Fraction(24)) - flashes) <= (flashes > 0)


def test_changes_add_up_over_frames():
    wave = 0.5 + 0.3 * np.sin(2 * np.pi * 5 * np.arange(120) / 60)
    assert count_flashes(wave, Fraction(60)) in (4, 5)
    assert count_flashes(np.linspace(0, 1, 200), Fraction(60)) == 0


def test_ripples_within_a_change_are_none_of_their_own(rng):
    noisy = square(2) * 0.8 + 0.04 * rng.random(48)
    assert count_flashes(noisy, Fraction(24)) <= 2


def test_a_dip_and_a_blink_count_alike():
    blink, dip = np.zeros(24), np.ones(24)
    blink[10], dip[10] = 1, 0
    assert count_flashes(blink, Fraction(24)) == count_flashes(dip, Fraction(24)) == 1


@pytest.mark.parametrize("luminances", [[], [0.5], [0.2, 0.9]])
def test_too_short_to_flash(luminances):
    assert count_flashes(luminances, Fraction(12)) == 0
