"""What is there already, and what of it is missing."""

import numpy as np
import soundfile

from sound_diffusion import pictures
from sound_diffusion.recipe import read_recipe


def test_skip_existing(audio2img, model_loads, sine_file):
    first = audio2img("--prompt", sine_file, "--skip-existing")
    assert len(first.paths) == 1
    model_loads.clear()
    second = audio2img("--prompt", sine_file, "--skip-existing")
    assert (second.code, second.out, second.err) == (0, "", "")
    assert model_loads == []
    for change in (["--seed", 1], ["--feature", "cqt"], ["--scale", 3], ["--offset", 0.1], ["--W", 72]):
        assert len(audio2img("--prompt", sine_file, "--skip-existing", *change).paths) == 1


def test_skip_existing_paints_what_is_missing(audio2img, sine_file):
    words = ["--prompt", sine_file, "--n_samples", 2, "--n_iter", 2]
    whole = audio2img(*words).paths
    for gone in (whole[1], whole[2]):
        gone.unlink()
    again = audio2img(*words, "--skip-existing")
    assert again.code == 0
    assert [read_recipe(path)["seed"] for path in again.paths] == [43, 44]
    assert all("grid" not in path.name for path in again.paths)
    assert audio2img(*words, "--skip-existing").paths == []


def test_skip_existing_makes_missing_plots_without_painting(audio2img, sine_file, monkeypatch):
    words = ["--prompt", sine_file, "--n_iter", 2, "--skip_grid"]
    painted = audio2img(*words, "--plot").paths
    assert [path.name for path in painted] == ["00000.png", "plot-00000.png", "00001.png", "plot-00001.png"]
    whole = painted[3].read_bytes()
    painted[3].unlink()
    monkeypatch.setattr(pictures, "paint_batch", None)
    again = audio2img(*words, "--plot", "--skip-existing", "--quiet")
    assert (again.code, again.err, again.paths) == (0, "", [painted[3]])
    assert painted[3].read_bytes() == whole
    assert audio2img(*words, "--plot", "--skip-existing").paths == []


def test_skip_existing_saves_a_missing_embedding_without_painting(
    audio2img, model_loads, sine_file, tmp_path, monkeypatch
):
    words = ["--prompt", sine_file, "--save-embedding", tmp_path / "a.npy"]
    whole = audio2img(*words).paths[0].read_bytes()
    (tmp_path / "a.npy").unlink()
    monkeypatch.setattr(pictures, "paint_batch", None)
    assert audio2img(*words, "--skip-existing").paths == [tmp_path / "a.npy"]
    assert (tmp_path / "a.npy").read_bytes() == whole
    model_loads.clear()
    assert audio2img(*words, "--skip-existing").paths == []
    assert model_loads == []


def test_skip_existing_looks_at_the_sound_and_not_at_its_name(audio2img, sine_file):
    audio2img("--prompt", sine_file)
    soundfile.write(sine_file, np.zeros(1000), 44_100)
    assert len(audio2img("--prompt", sine_file, "--skip-existing").paths) == 1
