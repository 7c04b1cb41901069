"""Settings of painting: what they may be, and how many steps they run."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sound_diffusion.errors import ParameterError
from sound_diffusion.settings import (
    PaintSettings,
    few_step_timesteps,
    settings_for,
    steps_to_run,
    what_gives_a_step,
)

SIZE = {"height": 64, "width": 64}


def settings(**changes):
    return PaintSettings(**({"steps": 3, "guidance": 2.0, **SIZE} | changes))


@pytest.mark.parametrize(
    ("change", "pattern"),
    [
        ({"steps": 0}, "0 steps .--ddim_steps"),
        ({"guidance": float("nan")}, "guidance nan .--scale"),
        ({"guidance": float("inf")}, "guidance inf"),
        ({"height": 65}, "height 65 .--H. .expected a multiple of 8.; 64 would do"),
        ({"width": 0}, "width 0 .--W.*; 8 would do"),
        ({"width": -64}, "width -64"),
        ({"eta": 1.5}, "eta 1.5 .--ddim_eta.*in .0, 1"),
        ({"eta": 0.5, "sampler": "plms"}, "eta 0.5 with sampler plms"),
        ({"strength": -0.1}, "strength -0.1"),
        ({"strength": 1.01}, "strength 1.01"),
        ({"strength": float("nan")}, "strength nan"),
    ],
)
def test_bad_settings(change, pattern):
    with pytest.raises(ParameterError, match=pattern):
        settings(**change)


def test_settings_for_keeps_the_models_defaults_where_nothing_is_asked(tiny_model):
    chosen = settings_for(tiny_model.defaults, steps=None, guidance=None, width=128)
    assert chosen == PaintSettings(4, 2.0, 64, 128)


@pytest.mark.parametrize(
    ("steps", "strength", "count"), [(50, 1.0, 50), (50, 0.75, 37), (50, 0.02, 1), (3, 0.0, 0), (7, 0.5, 3)]
)
def test_strength_runs_the_last_steps(steps, strength, count):
    assert steps_to_run(settings(steps=steps, strength=strength)) == count


def test_strength_that_gives_no_step_says_which_would_do():
    for steps in range(2, 400):
        with pytest.raises(ParameterError, match="gives no step at all") as caught:
            steps_to_run(settings(steps=steps, strength=0.9 / steps))
        said = re.fullmatch(
            r"use --strength (\S+) or more, or --ddim_steps (\d+) or more", caught.value.remedy
        )
        strength, more = float(said[1]), int(said[2])
        assert steps_to_run(settings(steps=steps, strength=strength)) == 1
        assert strength - 1 / steps < 1e-4
        assert steps_to_run(settings(steps=more, strength=0.9 / steps)) == 1
        assert int((more - 1) * 0.9 / steps) == 0


@given(st.floats(0, 1, exclude_min=True, exclude_max=True))
def test_the_least_steps_of_a_strength(strength):
    said = re.search(r"--ddim_steps (\d+)", what_gives_a_step(1, strength))
    if said is None:
        assert int(1000 * strength) == 0
    else:
        assert int(int(said[1]) * strength) >= 1
        assert int((int(said[1]) - 1) * strength) == 0


@pytest.mark.parametrize(
    ("steps", "strength", "timesteps"),
    [
        (1, 0.4, [399]),
        (1, 0.45, [449]),
        (2, 0.4, [399, 199]),
        (7, 0.7, [699, 599, 499, 399, 299, 199, 99]),
        (2, 1.0, [999, 499]),
        (1, 0.001, [0]),
        (2, 0.0001, [1, 0]),
    ],
)
def test_models_of_few_steps_run_all_of_them_from_their_strength(steps, strength, timesteps):
    chosen = settings(steps=steps, strength=strength, few_steps=True)
    assert steps_to_run(chosen) == steps
    assert few_step_timesteps(chosen, 1000, 1000) == timesteps
    assert steps_to_run(settings(steps=steps, strength=0.0, few_steps=True)) == 0


@given(steps=st.integers(1, 60), strength=st.floats(0, 1, exclude_min=True), most=st.sampled_from([50, 1000]))
def test_timesteps_of_few_steps_fall_to_the_picture(steps, strength, most):
    chosen = settings(steps=steps, strength=strength, few_steps=True)
    timesteps = few_step_timesteps(chosen, 1000, most)
    assert len(timesteps) == min(steps, most)
    assert sorted(set(timesteps), reverse=True) == timesteps
    assert timesteps[-1] >= 0
    assert timesteps[0] <= 999
    assert all((timestep + 1) % (1000 // most) == 0 for timestep in timesteps)
