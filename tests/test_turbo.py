"""Models that their scheduler shows to be made for one step."""

import json
import shutil

import pytest

from sound_diffusion.model.defaults import read_defaults
from sound_diffusion.recipe import read_recipe

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


@pytest.mark.parametrize("scheduler", [TURBO, {"_class_name": "LCMScheduler"}])
def test_a_film_of_few_steps_runs_all_of_them(scheduler, make, tiny_model_folder, tmp_path):
    folder = shutil.copytree(tiny_model_folder, tmp_path / "turbo")
    (folder / "sound_diffusion.json").unlink()
    path = folder / "scheduler" / "scheduler_config.json"
    noise = {"prediction_type": "epsilon", "rescale_betas_zero_snr": False}
    path.write_text(json.dumps(json.loads(path.read_text()) | noise | scheduler))
    size = ("--H", 64, "--W", 64, "--scaling", "none")
    code, _, err = make("--model", folder, "--fps", 4, "--ddim_steps", 2, *size)
    assert (code, err) == (0, [])
    recipe = read_recipe(tmp_path / "out" / "noise" / "frames" / "00001.png")
    assert (recipe["steps"], recipe["strength"]) == (2, 0.4)
