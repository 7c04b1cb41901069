"""Training sounds from a corpus: windows, shares, fields of noise; and what is measured of them."""

import numpy as np
import pytest
import soundfile

import sound_diffusion as sd
from benchmarks import similarity
from sound_diffusion.constants import SAMPLE_RATE
from training import corpus, coverage, fields, whitening
from training.arrangements import score


def rng_of(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture
def folder(tmp_path):
    """Music that is a ramp, and a voice that is a constant."""
    corpus.open_corpus.cache_clear()
    for number in range(2):
        np.save(tmp_path / f"music_{number:05d}.npy", np.arange(-15_000, 15_000, dtype=np.int16))
    np.save(tmp_path / "voice_00007.npy", np.full(30_000, 8192, np.int16))
    return tmp_path


def test_a_window_is_cut_out_of_a_piece(folder):
    pieces = corpus.open_corpus(folder).music
    beyond = 0
    for seed in range(200):
        y = corpus.draw_window(rng_of(seed), pieces, 0.1)
        assert y.dtype == np.float32
        assert y.shape == (4410,)
        inside = np.flatnonzero(y)
        beyond += bool(y[0] == 0 or y[-1] == 0)
        np.testing.assert_allclose(np.diff(y[inside[0] : inside[-1]]), 1 / 32_768, atol=1e-7)
    assert 0 < beyond < 40


def test_draws_are_of_every_kind_by_their_shares_and_come_again(folder, monkeypatch):
    kinds = []
    monkeypatch.setattr(corpus, "draw_sound", lambda rng, seconds: kinds.append("sound"))
    monkeypatch.setattr(corpus, "draw_field", lambda rng, seconds: kinds.append("field"))
    monkeypatch.setattr(corpus, "draw_window", lambda rng, pieces, seconds: pieces)
    monkeypatch.setattr(
        corpus, "varied", lambda rng, pieces: kinds.append("voice" if len(pieces) == 1 else "music")
    )
    for seed in range(1000):
        corpus.draw(rng_of(seed), 0.1, folder)
    for kind, share in corpus.SHARES.items():
        assert kinds.count(kind) / 1000 == pytest.approx(share, abs=0.05)


def test_any_draw_is_finite_in_range_and_as_long_as_asked(folder):
    for seed in range(120):
        y, again = (corpus.draw(rng_of(seed), 0.2, folder) for _ in range(2))
        assert y.dtype == np.float32
        assert y.shape == (8820,)
        assert np.isfinite(y).all()
        assert np.abs(y).max() <= 1
        np.testing.assert_array_equal(y, again)
    lengths = {len(corpus.draw(rng_of(seed), None, folder)) for seed in range(6)}
    assert 0.75 * SAMPLE_RATE <= min(lengths) < max(lengths) <= 10 * SAMPLE_RATE


def test_a_cut_leaves_what_is_below():
    t = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    low, high = np.sin(2 * np.pi * 1000 * t), np.sin(2 * np.pi * 8000 * t)
    np.testing.assert_allclose(corpus.cut_above(low + high, 5000), low, atol=1e-9)


def test_no_corpus_is_an_error_that_says_how_to_make_one(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no corpus; run: python -m training.corpus --out"):
        corpus.open_corpus(tmp_path)


@pytest.mark.skipif(bool(score.missing_tools()), reason=str(score.missing_tools()))
def test_a_piece_is_written_once_and_whole(tmp_path):
    path = corpus.write_piece(5, tmp_path, 1.0)
    piece, before = np.load(path), path.stat().st_mtime_ns
    assert path.name == "music_00005.npy"
    assert piece.dtype == np.int16
    assert piece.shape == (SAMPLE_RATE,)
    assert corpus.write_piece(5, tmp_path, 1.0).stat().st_mtime_ns == before
    assert [other.name for other in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("field", fields.FIELDS, ids=lambda field: field.__name__)
@pytest.mark.parametrize("length", [64, 3000, SAMPLE_RATE])
def test_every_field_is_finite(field, length):
    for seed in range(3):
        y = field(rng_of(seed), length)
        assert y.shape == (length,)
        assert np.isfinite(y).all()


def test_fields_have_their_levels():
    for seed in range(20):
        y, again = (fields.draw_field(rng_of(seed), 0.5) for _ in range(2))
        np.testing.assert_array_equal(y, again)
        assert np.abs(y).max() <= 1
        assert 10 * np.log10(np.mean(y.astype(float) ** 2)) < -9.9


# --- what is measured


def test_measures_of_a_sine_and_of_noise():
    t = np.arange(round(0.75 * SAMPLE_RATE)) / SAMPLE_RATE
    sine = coverage.measure(0.5 * np.sin(2 * np.pi * 440 * t))
    assert sine["loudness"] == pytest.approx(-9.03, abs=0.01)
    assert sine["crest"] == pytest.approx(3.01, abs=0.01)
    assert sine["centroid"] == pytest.approx(np.log2(4.4), abs=0.05)
    assert sine["mid"] == pytest.approx(0, abs=0.1)
    assert sine["high"] < -30
    assert sine["chroma"] > 0.6
    noise = coverage.measure(0.1 * rng_of().standard_normal(len(t)))
    assert noise["flatness"] > -3 > sine["flatness"]
    assert noise["chroma"] < 0.02
    assert noise["bands"] == 64
    strokes = np.zeros(len(t))
    strokes[len(t) // 2 :] = 0.1 * rng_of().standard_normal(len(t) - len(t) // 2)
    assert coverage.measure(strokes)["onset"] > 20 > coverage.measure(np.ones(len(t)) * 0.1)["onset"]
    assert all(np.isfinite(list(coverage.measure(np.zeros(5000)).values())))


def test_coverage_is_one_of_the_same_and_zero_of_the_distant():
    rng = rng_of()
    real, files = rng.standard_normal((200, 3)), np.arange(200) // 10
    assert coverage.covered(real, files, real + 1e-6) == 1
    assert coverage.covered(real, files, rng.standard_normal((400, 3))) > 0.9
    assert coverage.covered(real, files, rng.standard_normal((400, 3)) + 20) == 0
    half = rng.standard_normal((400, 3))
    assert 0.3 < coverage.covered(real, files, half[half[:, 0] > 0]) < 0.8


def test_coverage_prints_both_side_by_side(folder, capsys):
    sounds = folder / "sounds"
    sounds.mkdir()
    for number in range(4):
        tone = 0.1 * rng_of(number).standard_normal(3 * SAMPLE_RATE)
        soundfile.write(sounds / f"{number}.wav", tone, SAMPLE_RATE)
    coverage.main(["--sounds", str(sounds), "--corpus", str(folder), "--count", "30"])
    printed = capsys.readouterr().out
    assert printed.count("music made") == len(coverage.measure(np.zeros(5000))) + 1
    assert "coverage, " in printed
    (sounds / "0.wav").unlink()
    with pytest.raises(SystemExit, match="2"):
        coverage.main(["--sounds", str(sounds), "--corpus", str(folder)])
    assert "3 sounds, expected at least 4" in capsys.readouterr().err


def test_whitening_measures_mean_and_deviation(folder, tmp_path):
    sounds = [rng_of(seed).uniform(-1, 1, 77 * 40).astype(np.float32) for seed in range(3)]
    rows = np.concatenate([sd.extract(y, "fft", 32) for y in sounds]).astype(np.float64)
    mean, deviation = whitening.mean_and_deviation(sounds, "fft", 32)
    np.testing.assert_allclose(mean, np.log1p(rows).mean(0), rtol=1e-5)
    np.testing.assert_allclose(deviation, np.log1p(rows).std(0), rtol=1e-4)
    out = tmp_path / "constants.npz"
    whitening.main(["--corpus", str(folder), "--count", "2", "--out", str(out)])
    with np.load(out) as made, np.load(whitening.CONSTANTS) as kept:
        assert {name: made[name].shape for name in made.files} == {
            name: kept[name].shape for name in kept.files
        }


def test_cosines_within_and_between_pieces():
    embeddings = np.zeros((4, 77, 2), np.float32)
    embeddings[:2, 1:, 0] = 1
    embeddings[2:, 1:, 1] = 3
    embeddings[:, 0] = 1000  # the start token does not count
    assert similarity.mean_cosines(embeddings, np.array([0, 0, 1, 1])) == pytest.approx((0, 1))


def test_similarity_prints_every_scaling(tmp_path, capsys):
    for number in range(2):
        soundfile.write(
            tmp_path / f"{number}.wav", 0.1 * rng_of(number).standard_normal(SAMPLE_RATE), SAMPLE_RATE
        )
    similarity.main(["--sounds", str(tmp_path), "--features", "fft"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("2 stretches of 2 sounds")
    assert lines[2] == "| feature | none | log | range | clip | whiten |"
    assert lines[-1].startswith("| fft | ")
