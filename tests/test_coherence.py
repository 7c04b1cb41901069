"""Colours that are kept over a film: no flicker, no dead palette, and the same bytes when it goes on."""

import numpy as np
import pytest
import soundfile
from PIL import Image

from sound_diffusion.constants import SAMPLE_RATE
from sound_diffusion.film.colors import COLOR_SPACES, Coherence, to_lab
from sound_diffusion.starting_pictures import load_picture
from tests.films import frames_of, interrupt_after
from tests.test_between_films import make, sound  # noqa: F401  (fixtures)

FLAGS = (
    "--color-coherence",
    "LAB",
    "--color-strength",
    "0.8",
    "--fps",
    "6",
    "--strength",
    "0.5 + 0.5*(t == 8)",
)


@pytest.fixture
def two_seconds(tmp_path, rng):
    path = tmp_path / "noise.wav"
    y = rng.uniform(-0.5, 0.5, 2 * SAMPLE_RATE) * (0.1 + (np.arange(2 * SAMPLE_RATE) % 11_025 < 2_000))
    soundfile.write(path, y.astype(np.float32) / 2, SAMPLE_RATE, subtype="FLOAT")
    return path


@pytest.mark.parametrize("space", COLOR_SPACES[1:])
@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_colours_flicker_and_drift_less_and_do_not_die(rng, space, strength):
    """Of frames whose light jumps and whose colour drifts away."""
    hues, light = np.linspace(0, 120, 48), rng.uniform(60, 200, 48)
    grain = rng.uniform(0.2, 1, (24, 24, 3))
    colors = np.stack([light, light - hues / 3, light - hues / 2], axis=-1)[:, None, None]
    frames = [Image.fromarray(frame) for frame in (grain * colors).clip(0, 255).astype(np.uint8)]
    coherence = Coherence(space, strength, range(12))
    matched = [coherence.match(frame, index) for index, frame in enumerate(frames)]
    assert matched[:12] == frames[:12]
    before, after = (np.array([to_lab(np.asarray(each)) for each in film]) for film in (frames, matched))
    means = [film.mean((1, 2)) for film in (before, after)]
    flicker = [np.linalg.norm(np.diff(mean[12:], axis=0), axis=1).mean() for mean in means]
    drift = [np.linalg.norm(mean[-12:].mean(0) - mean[:12].mean(0)) for mean in means]
    assert flicker[1] < (1 - 0.5 * strength) * flicker[0]
    assert drift[1] < (1 - 0.5 * strength) * drift[0]
    deviation = after.std((1, 2)).mean(0)
    assert (deviation > 0.5 * after[:12].std((1, 2)).mean(0)).all()


def test_a_film_goes_on_to_the_same_bytes(make, two_seconds, tmp_path, monkeypatch):  # noqa: F811
    assert make(*FLAGS, path=two_seconds, outdir="whole") == (0, [])
    for calls in (4, 4):
        with monkeypatch.context() as patched:
            interrupt_after(patched, calls, KeyboardInterrupt())
            assert make(*FLAGS, path=two_seconds)[0] == 130
    assert make(*FLAGS, path=two_seconds)[0] == 0
    made, whole = (tmp_path / name / "noise" for name in ("out", "whole"))
    assert frames_of(made) == frames_of(whole)
    assert make(*FLAGS[2:], path=two_seconds, outdir="none")[0] == 2  # the strength has nothing to act upon


def test_other_shards_find_the_first_second(make, two_seconds, tmp_path):  # noqa: F811
    assert make(*FLAGS, path=two_seconds, outdir="whole") == (0, [])
    for shard in ("2/2", "1/2"):
        assert make(*FLAGS, "--shard", shard, path=two_seconds)[0] == 0
    assert frames_of(tmp_path / "out" / "noise") == frames_of(tmp_path / "whole" / "noise")


def test_frames_between_are_matched_as_those_that_are_painted(make, two_seconds, tmp_path):  # noqa: F811
    flags = (
        "--color-coherence",
        "RGB",
        "--cadence",
        "2",
        "--zoom",
        "1.02",
        "--fps",
        "8",
        "--strength",
        "0.4",
    )
    assert make(*flags, path=two_seconds)[0] == 0
    frames = [load_picture(path) for path in sorted((tmp_path / "out" / "noise" / "frames").glob("*.png"))]
    levels = np.array([np.asarray(frame, dtype=float).mean((0, 1)) for frame in frames])
    wanted = levels[:8:2].mean(0)
    assert np.abs(levels[8:] - wanted).max() < 3
