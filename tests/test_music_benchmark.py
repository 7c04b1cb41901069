from __future__ import annotations

import colorsys
import json

import numpy as np
import pytest
import soundfile
from scipy.ndimage import gaussian_filter, shift

pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("accelerate")

from benchmarks import film_measures, jury, measures, music
from benchmarks.painters import Painter
from benchmarks.pieces import ALTERATIONS, Piece

RATE = 44_100
NOTES = 220 * 2 ** (np.array([0, 4, 7, 2, 9, 5]) / 12)


def melody(seconds: float = 6.0) -> np.ndarray:
    """Six notes of different loudness, one a second, each with a sharp attack."""
    t = np.arange(round(seconds * RATE)) / RATE
    which = np.minimum(t.astype(int), 5)
    level = np.array([0.2, 0.6, 0.1, 0.8, 0.3, 0.5])[which] * np.exp(-2 * (t % 1))
    return (level * np.sin(2 * np.pi * NOTES[which] * t)).astype(np.float32)


def tiles(values: np.ndarray) -> np.ndarray:
    """Make a film of even grey frames."""
    return np.broadcast_to(np.round(values)[:, None, None, None], (len(values), 8, 8, 3)).astype(np.uint8)


def heard() -> film_measures.Heard:
    return film_measures.Heard.of(melody(), np.empty(72))


def test_light_that_is_the_loudness_correlates_with_it():
    sound = heard()
    seen = film_measures.Seen.of(tiles(255 * sound.loudness / sound.loudness.max()))
    assert film_measures.loudness_and_light(sound, seen)[0] > 0.97


@pytest.mark.parametrize("relation", [film_measures.onsets_and_rise, film_measures.onsets_and_change])
def test_attacks_are_found_at_once_or_one_frame_late(relation):
    sound = heard()
    steps = np.cumsum(sound.onsets) / sound.onsets.sum() * 250
    for late, values in enumerate((steps, np.concatenate([[0], steps[:-1]]))):
        lags = relation(sound, film_measures.Seen.of(tiles(values)))
        assert lags[late] > lags[1 - late]
        assert lags[late] > 0.5


def test_hues_that_follow_the_chroma_follow_the_harmony():
    sound = heard()
    hues = np.array([colorsys.hsv_to_rgb(i / 12, 1, 1) for i in range(12)])
    film = np.round(255 * sound.chroma[:, None, :, None] * hues).astype(np.uint8)
    assert film_measures.harmony_and_hue(sound, film_measures.Seen.of(film))[0] > 0.8
    assert film_measures.harmony_and_hue(sound, film_measures.Seen.of(tiles(np.full(72, 9.0)))) == [0.0]


def test_hues_do_not_depend_on_light():
    picture = np.random.default_rng(0).integers(0, 100, (16, 16, 3), np.uint8)
    np.testing.assert_allclose(
        film_measures.hue_histogram(picture), film_measures.hue_histogram(2 * picture), atol=1e-6
    )


def test_deviation_of_black_and_white():
    assert film_measures.deviation(tiles(np.array([0, 255, 0, 255]))) == pytest.approx(0.5)


@pytest.mark.parametrize("moved", [(0, 0), (1, -0.5), (5, 3)])
def test_optical_flow_finds_a_shift(moved):
    image = gaussian_filter(np.random.default_rng(0).standard_normal((80, 96)), 4)
    image = (image - image.min()) / np.ptp(image)
    flow = film_measures.optical_flow(image, shift(image, moved, order=3, mode="nearest"))
    np.testing.assert_allclose(flow[:, 16:-16, 16:-16].mean((1, 2)), moved, atol=0.05)


def test_movement_at_the_attacks_is_aligned():
    onsets = film_measures.onset_times(melody())
    movement = np.zeros(72)
    movement[12:72:12] = 1
    assert film_measures.av_align(onsets, movement, 12) > 0.7
    assert film_measures.av_align(onsets, np.roll(movement, 6), 12) == 0
    assert film_measures.av_align(onsets, np.zeros(72), 12) == 0


def test_what_hardly_varies_is_not_blown_up():
    rng = np.random.default_rng(0)
    vectors = np.stack([rng.standard_normal(50), np.full(50, 0.3)], 1)
    z = measures.standardised(vectors)
    np.testing.assert_allclose(z.std(0), [1, 0], atol=1e-9)
    assert np.abs(measures.standardised(vectors + np.array([0, 1e-4]), vectors)[:, 1]).max() < 0.2


@pytest.mark.parametrize("change", ALTERATIONS)
def test_altered_sounds_are_nearly_the_same(change):
    t = np.arange(8 * RATE) / RATE
    piece = Piece("tone", (0.5 * np.sin(2 * np.pi * 440 * t)).astype(np.float32), 1.0)
    y, altered = piece.moment(), ALTERATIONS[change](piece)
    assert altered.shape == y.shape
    spectrum = np.abs(np.fft.rfft(altered * np.hanning(len(y))))
    cents = 1200 * np.log2(spectrum.argmax() / 3 / 440)
    decibels = 20 * np.log10(altered.std() / y.std())
    assert cents == pytest.approx(30 if "cents" in change else 0, abs=1)
    assert decibels == pytest.approx(-1 if "dB" in change else 0, abs=0.5 if "MP3" in change else 0.05)


def test_the_interval_holds_the_mean():
    values = np.random.default_rng(0).random(40)
    low, high = music.interval(values)
    assert values.mean() - 0.15 < low < values.mean() < high < values.mean() + 0.15


@pytest.fixture
def pieces(tmp_path, monkeypatch):
    """Two pieces of eight seconds, and one that is too short; films show one."""
    monkeypatch.setattr("benchmarks.pieces.FILM", 1.0)
    folder = tmp_path / "pieces"
    folder.mkdir()
    for name, y in {"one": melody(8), "two": melody(8)[::-1], "short": melody(2)}.items():
        soundfile.write(folder / f"{name}.wav", y, RATE)
    return folder


@pytest.mark.filterwarnings("ignore:n_fft=")  # the lowest octaves of one second
def test_the_table_of_the_teacher(pieces, tmp_path, capsys):
    sheets = ["--sheet", str(tmp_path / "sheet.png"), "--films", str(tmp_path / "films")]
    music.main(["--sounds", str(pieces), "--teacher-only", "--seeds", "2", *sheets])
    table = capsys.readouterr().out
    assert "1 sounds shorter than 8 s are left out" in table
    for name in ("recognition of 2 pieces", "loudness - light", "MP3", "AV-Align, the same"):
        assert name in table
    assert "nan" not in table
    assert (tmp_path / "sheet-teacher.png").exists()
    assert (tmp_path / "films" / "films-teacher.png").exists()


def test_a_folder_without_music_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="at least 2"):
        music.main(["--sounds", str(tmp_path)])


def test_the_model_paints_as_the_script_does(model_loads, tiny_model_folder):
    film = Painter("model", str(tiny_model_folder), flags=("--fps", "10")).film(melody(0.3))
    assert film.shape[0] == 3
    assert film.dtype == np.uint8
    with pytest.raises(SystemExit):
        Painter("model", str(tiny_model_folder), flags=("--fps", "0")).film(melody(0.3))


def test_the_jury_is_told_no_names(pieces, tmp_path, monkeypatch):
    monkeypatch.setattr(jury, "Painter", lambda _, model: Painter("teacher", model))
    models = ["--before", "cymatics", "--after", "cymatics", "--pairs", "2", "--films", "1"]
    jury.main(["--sounds", str(pieces), "--out", str(tmp_path / "jury"), *models])
    files = sorted(path.name for path in (tmp_path / "jury").iterdir())
    assert files == ["film-01.png", "pair-01.png", "pair-02.png", "questions.txt"]
    key = json.loads((tmp_path / "jury-key.json").read_text())
    assert {key["pair-01"]["sound"], key["pair-02"]["sound"]} == {"one", "two"}
    assert {key["pair-01"]["A"], key["pair-02"]["A"]} == {"before", "after"}
    assert all({sheet["A"], sheet["B"]} == {"before", "after"} for sheet in key.values())
