"""Noise goes where the camera goes, and stays white."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, map_coordinates

from sound_diffusion.film.camera import Motion, _sources
from sound_diffusion.film.moved_noise import FARTHEST, add_up, draw_octave, mirrored_octave, moved_noise, turn
from sound_diffusion.model.mirrored import mirrored

SIDE = 32
STEPS = [
    Motion(zoom=1.04),
    Motion(zoom=0.97),
    Motion(angle=5),
    Motion(translation_x=0.7),
    Motion(translation_y=-0.6),
    Motion(zoom=1.03, angle=-2, translation_x=0.4, translation_y=0.3),
]
numbers = st.floats(-1e9, 1e9)
motions = st.builds(Motion, st.floats(0.001, 1000), numbers, numbers, numbers)


def noise_at(way, channels=24, draw=draw_octave, height=SIDE, width=SIDE):
    side = 4 * max(height, width)
    return moved_noise(lambda octave: draw(7, octave, channels, side), way, height, width)


@pytest.mark.parametrize("n_steps", [0, 1, 10, 57])
@pytest.mark.parametrize("step", STEPS)
def test_noise_stays_standard_normal_and_white(step, n_steps):
    noise = noise_at(add_up([(step, False)] * n_steps)[-1] if n_steps else Motion())
    assert noise.mean() == pytest.approx(0, abs=0.03)
    assert noise.std() == pytest.approx(1, abs=0.03)
    for other in (noise[:, 1:] * noise[:, :-1], noise[:, :, 1:] * noise[:, :, :-1]):
        assert other.mean() == pytest.approx(0, abs=0.06)
    power = np.abs(np.fft.fft2(noise)) ** 2 / SIDE**2
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE)))
    for low in (0.05, 0.15, 0.25, 0.35):
        ring = (frequency >= low) & (frequency < low + 0.1)
        assert power[:, ring].mean() == pytest.approx(1, abs=0.12)


@pytest.mark.parametrize("step", STEPS)
def test_noise_moves_as_a_picture_does(step):
    way = add_up([(step, False)] * 9)[-1]
    before, after, other = (noise_at(each) for each in (way, way.then(step), Motion(angle=170)))
    x, y = _sources(step, SIDE, SIDE)
    inside = (slice(None), slice(4, -4), slice(4, -4))

    def alike(noise):  # what can be interpolated: the low frequencies
        soft, moved = (gaussian_filter(each, (0, 1.5, 1.5)) for each in (noise, before))
        moved = np.array([map_coordinates(channel, (y, x), order=3) for channel in moved])
        return np.corrcoef(soft[inside].ravel(), moved[inside].ravel())[0, 1]

    assert alike(after) > 0.97
    assert abs(alike(other)) < 0.3


def test_a_shift_by_whole_pixels_moves_the_numbers():
    still, moved = noise_at(Motion()), noise_at(Motion(translation_x=3, translation_y=-2))
    np.testing.assert_allclose(moved[:, :-2, 3:], still[:, 2:, :-3], atol=1e-4)


@pytest.mark.parametrize("quarters", [1, 2, -1])
def test_a_quarter_turn_turns_the_numbers(quarters):
    still, turned = noise_at(Motion()), noise_at(Motion(angle=90 * quarters))
    np.testing.assert_allclose(turned, np.rot90(still, quarters, axes=(1, 2)), atol=1e-4)


def test_turning_keeps_the_power():
    noise = draw_octave(1, 0, 8, 64)
    turned = turn(noise, math.radians(33))
    assert np.square(turned).sum() == pytest.approx(
        np.square(noise).sum(), rel=0.03
    )  # but for the highest frequency


@pytest.mark.parametrize(("height", "width"), [(16, 16), (8, 20)])
@pytest.mark.parametrize("zoom", [1.0, 1.3, 0.4])
def test_mirror_images_stay_such_under_zoom(zoom, height, width):
    noise = torch.from_numpy(noise_at(Motion(zoom), 4, mirrored_octave, height, width))
    torch.testing.assert_close(noise, mirrored(noise), atol=1e-4, rtol=0)


def test_octaves_and_seeds_differ():
    drawn = [draw_octave(seed, octave, 2, 16) for seed in (0, 2**63 - 1) for octave in (-40, 0, 1)]
    assert len({each.tobytes() for each in drawn}) == len(drawn)


@settings(max_examples=30, deadline=None)
@given(steps=st.lists(motions, min_size=1, max_size=30))
def test_any_way_gives_noise(steps):
    way = add_up((step, False) for step in steps)[-1]
    assert np.isfinite(noise_at(way, 1, height=4, width=6)).all()


def test_ways_begin_anew():
    step, far = Motion(1.5, 10, 1, 2), Motion(translation_x=2 * FARTHEST)
    once, again, anew, after, lost = add_up([(step, False)] * 2 + [(step, True), (step, False), (far, False)])
    assert once == after == step
    assert again == step.then(step)
    assert anew == lost == Motion()


def test_a_step_after_another_is_one_motion():
    one, other = Motion(1.2, 20, 3, -1), Motion(0.7, -35, 2, 5)
    both = one.then(other)
    x, y = (each - 5 for each in _sources(both, 11, 11))
    middle = [each - 5 for each in _sources(other, 11, 11)]
    cosine, sine = (f(math.radians(one.angle)) / one.zoom for f in (math.cos, math.sin))
    np.testing.assert_allclose(x, cosine * middle[0] - sine * middle[1] - one.translation_x, atol=1e-9)
    np.testing.assert_allclose(y, sine * middle[0] + cosine * middle[1] - one.translation_y, atol=1e-9)
    assert one.then(one.inverse).zoom == pytest.approx(1)
