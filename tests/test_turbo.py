"""Models that their scheduler shows to be made for one step."""

import json

import pytest

from sound_diffusion.model.defaults import read_defaults

TURBO = {"_class_name": "EulerAncestralDiscreteScheduler", "timestep_spacing": "trailing"}


@pytest.mark.parametrize(
    ("changes", "steps"),
    [
        ({}, 1),
        ({"_class_name": "EulerDiscreteScheduler", "prediction_type": "epsilon"}, 1),
        ({"timestep_spacing": "leading"}, 50),
        ({"prediction_type": "v_prediction"}, 50),
        ({"rescale_betas_zero_snr": True}, 50),
        ({"_class_name": "DDIMScheduler"}, 50),
    ],
)
def test_turbo_models_take_one_step(changes, steps, tmp_path):
    (tmp_path / "scheduler").mkdir()
    (tmp_path / "scheduler" / "scheduler_config.json").write_text(json.dumps(TURBO | changes))
    defaults = read_defaults(tmp_path)
    assert (defaults.steps, defaults.few_steps) == (steps, steps == 1)
    assert (defaults.sampler, defaults.guidance) == (("euler", 1.0) if steps == 1 else ("ddim", 7.5))
