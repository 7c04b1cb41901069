"""Music for training: notes, harmony, rhythm, instruments, mastering, whole pieces from a seed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sound_diffusion.constants import SAMPLE_RATE
from training import song, voices
from training.arrangements import electronics, figures, harmony, mastering, pieces, rhythm, score, styles
from training.arrangements.composition import compose
from training.arrangements.score import Note, Part

needs_fluidsynth = pytest.mark.skipif(bool(score.missing_tools()), reason=str(score.missing_tools()))
needs_espeak = pytest.mark.skipif(bool(voices.missing_tools()), reason=str(voices.missing_tools()))
seeds = st.integers(0, 2**31)


def rng_of(seed=0):
    return np.random.default_rng(seed)


def decibels(y):
    return 10 * np.log10(np.mean(np.asarray(y, np.float64) ** 2) + 1e-12)


def spectrum(y):
    magnitude = np.abs(np.fft.rfft(y * np.hanning(len(y))))
    return np.fft.rfftfreq(len(y), 1 / SAMPLE_RATE), magnitude / magnitude.max()


# --- notes as MIDI


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0, "00"),
        (0x7F, "7f"),
        (0x80, "8100"),
        (0x2000, "c000"),
        (0x1FFFFF, "ffff7f"),
        (0x0FFFFFFF, "ffffff7f"),
    ],
)
def test_variable_length_numbers_as_in_the_standard(value, written):
    assert score.variable_length(value).hex() == written


def read_midi(data):
    """Read the events back: (seconds, message)."""
    assert data[:8] == b"MThd\x00\x00\x00\x06"
    assert data[8:14] == b"\x00\x00\x00\x01" + (480).to_bytes(2, "big")
    track = data[22:]
    assert data[14:18] == b"MTrk"
    assert int.from_bytes(data[18:22], "big") == len(track)
    events, tick, place = [], 0, 0
    while True:
        delta = 0
        while True:
            byte = track[place]
            place += 1
            delta = delta << 7 | byte & 0x7F
            if byte < 0x80:
                break
        tick += delta
        if track[place] == 0xFF:
            assert track[place:] == b"\xff\x2f\x00"
            return events
        size = 2 if track[place] >> 4 == 0xC else 3
        events.append((tick / 960, track[place : place + size]))
        place += size


def test_a_midi_file_says_what_the_parts_play():
    melody = Part(73, [Note(0.5, 0.25, 60, 1.0), Note(0.75, 0.5, 60, 0.5)])
    drums = Part("kit 40", [Note(1.0, 0.1, 36, 0.8)])
    events = read_midi(score.midi_file([melody, drums]))
    assert (0, bytes([0xC0, 73])) in events
    assert (0, bytes([0xC9, 40])) in events
    played = [(time, message) for time, message in events if message[0] >> 4 in (8, 9)]
    assert [time for time, _ in played] == sorted(time for time, _ in played)
    off = played.index((0.75, bytes([0x80, 60, 0])))
    on = played.index((0.75, bytes([0x90, 60, 64])))
    assert off < on  # a note that is repeated at once is heard twice
    assert (1.0, bytes([0x99, 36, 102])) in played


def test_more_parts_than_channels_are_refused():
    with pytest.raises((StopIteration, RuntimeError)):
        score.midi_file([Part(0, [])] * 16)


@needs_fluidsynth
def test_the_soundfont_plays_in_tune_and_in_time():
    y = score.play([Part(73, [Note(0.5, 1.0, 69, 0.9)])], 2 * SAMPLE_RATE)
    assert y.shape == (2 * SAMPLE_RATE,)
    assert np.abs(y[: SAMPLE_RATE // 2 - 100]).max() < 1e-3
    frequency, magnitude = spectrum(y[SAMPLE_RATE : SAMPLE_RATE + SAMPLE_RATE // 2])
    assert frequency[magnitude.argmax()] == pytest.approx(440, abs=4)


def test_what_is_missing_is_said(monkeypatch):
    monkeypatch.setattr(score.shutil, "which", lambda name: None)
    with pytest.raises(RuntimeError, match=r"fluidsynth is not installed.*apt-get install fluidsynth"):
        score.play([Part(0, [])], 100)
    with pytest.raises(RuntimeError, match=r"espeak-ng is not installed.*apt-get"):
        voices.speak(rng_of(), 1)


# --- harmony


def test_chords_of_c_major():
    key = harmony.key_of(0, "major")
    assert harmony.chord_on(key, 0, 3) == harmony.Chord(0, (0, 4, 7))
    assert harmony.chord_on(key, 4, 4) == harmony.Chord(7, (7, 11, 2, 5))
    assert harmony.chord_on(key, 5, 2) == harmony.Chord(9, (9, 4))
    assert harmony.key_of(9, "minor").scale == (9, 11, 0, 2, 4, 5, 7)


@given(pitch_class=st.integers(0, 11), pitch=st.floats(24, 100))
def test_the_nearest_pitch_of_a_class(pitch_class, pitch):
    found = harmony.nearest(pitch_class, pitch)
    assert found % 12 == pitch_class
    assert abs(found - pitch) <= 6


@given(seed=seeds, name=st.sampled_from(sorted(harmony.SCALES)))
@settings(max_examples=50)
def test_uncoloured_chords_are_of_the_key(seed, name):
    key = harmony.key_of(3, name)
    for chord in harmony.draw_chords(rng_of(seed), key, 8, colour=0, slow=0.5):
        outside = set(chord.tones) - set(key.scale)
        assert chord.root in key.scale
        assert name in ("minor", "mixolydian") or not outside  # the leading note; the sevenths of a blues
        assert len(outside) <= 1


# --- rhythm


def test_a_grid_keeps_its_tempo():
    grid = rhythm.make_grid(rng_of(), 10, tempo=120, meter=(3, 4))
    assert grid.bar == 12
    assert grid.at(grid.bar) == pytest.approx(1.5)
    assert grid.at(2) - grid.at(1) == pytest.approx(0.125)
    compound = rhythm.make_grid(rng_of(), 10, tempo=60, meter=(2, 6))
    assert compound.at(compound.bar) == pytest.approx(3.0)  # two dotted quarters of six sixteenths


@given(seed=seeds, swing=st.floats(0.05, 0.35))
@settings(max_examples=30)
def test_swing_delays_what_is_off_the_beat_and_keeps_the_order(seed, swing):
    straight = rhythm.make_grid(rng_of(seed), 4, 100, (4, 4))
    swung = rhythm.make_grid(rng_of(seed), 4, 100, (4, 4), swing)
    np.testing.assert_allclose(swung.times[::4], straight.times[::4])
    assert (swung.times >= straight.times - 1e-9).all()
    assert (swung.times > straight.times).any()
    assert (np.diff(swung.times) > 0).all()


@pytest.mark.parametrize("meter", [(4, 4), (3, 4), (2, 6), (7, 2)])
def test_a_bass_drum_on_every_beat(meter):
    grid = rhythm.make_grid(rng_of(), 10, 120, meter)
    notes = rhythm.drum_bar(rng_of(), grid, grid.bar, {36: "X..." if meter != (2, 6) else "X....."}, 1.0, 0.9)
    expected = [grid.at(grid.bar + beat * grid.steps) for beat in range(grid.beats)]
    assert [note.start for note in notes] == pytest.approx(expected, abs=0.02)


# --- what the layers play


@given(
    seed=seeds, layer=st.sampled_from(sorted(figures.LAYERS)), meter=st.sampled_from([(4, 4), (2, 6), (7, 2)])
)
@settings(max_examples=80, deadline=None)
def test_every_layer_stays_in_its_passage(seed, layer, meter):
    grid = rhythm.make_grid(rng_of(seed), 30, 110, meter)
    key = harmony.key_of(seed % 12, "minor")
    own = harmony.draw_chords(rng_of(seed), key, 4, 0.3, 0.3)
    passage = figures.Passage(grid, key, 2 * grid.bar, own, 0.8, (seed % 100) / 100)
    begin, end = grid.at(2 * grid.bar), grid.at(6 * grid.bar)
    for note in figures.LAYERS[layer](rng_of(seed), passage):
        assert begin - 0.05 < note.start < end + 0.05  # nobody plays to the sample
        assert note.start + note.duration < end + (end - begin) / 3
        assert 20 <= note.pitch <= 115
        assert 0 < note.velocity <= 1


def test_a_bass_plays_the_roots():
    grid = rhythm.make_grid(rng_of(), 30, 110, (4, 4))
    key = harmony.key_of(2, "major")
    own = [harmony.chord_on(key, degree, 3) for degree in (0, 3, 4)]
    passage = figures.Passage(grid, key, 0, own, 0.8, density=0.1)
    assert [note.pitch % 12 for note in figures.bass(rng_of(), passage)] == [2, 7, 9]


# --- whole pieces


@pytest.mark.parametrize("style", styles.STYLES, ids=lambda style: style.name)
def test_every_style_composes_the_same_piece_again(style):
    piece, again = (compose(rng_of(5), 20.0, style) for _ in range(2))
    assert piece.parts == again.parts
    assert piece.parts
    assert {part.instrument for part in piece.parts} <= {
        instrument for instruments in style.layers.values() for instrument in instruments
    }
    assert sum(not part.percussive for part in piece.parts) <= 15
    ends = [section.first + section.bars for section in piece.sections]
    assert [section.first for section in piece.sections] == [0, *ends[:-1]]
    assert set(style.beats) <= set(rhythm.BEATS)
    assert set(style.scales) <= set(harmony.SCALES)


def test_every_instrument_exists():
    for style in styles.STYLES:
        for name, instruments in style.layers.items():
            for instrument in instruments:
                part = Part(instrument, [])
                assert part.percussive == (name == "drums")
                if isinstance(instrument, int):
                    assert 0 <= instrument < 128
                elif not part.sampled and not part.percussive:
                    assert instrument in electronics.PATCHES


def check_samples(y, seconds):
    assert y.dtype == np.float32
    assert y.shape == (round(seconds * SAMPLE_RATE),)
    assert np.isfinite(y).all()
    assert np.abs(y).max() <= 0.97


@needs_fluidsynth
def test_a_seed_gives_the_same_piece_again():
    y, again, other = (pieces.render_piece(seed, 4.0) for seed in (3, 3, 4))
    check_samples(y, 4.0)
    np.testing.assert_array_equal(y, again)
    assert not np.array_equal(y, other)
    assert decibels(y) > -50


@needs_espeak
def test_a_seed_gives_the_same_voice_again():
    spoken = {seed: voices.render_voice(seed, 2.0) for seed in range(4)}
    for seed, y in spoken.items():
        check_samples(y, 2.0)
        assert decibels(y) > -60
        np.testing.assert_array_equal(y, voices.render_voice(seed, 2.0))


# --- instruments of our own


def test_a_sine_is_in_tune_and_a_saw_has_its_partials():
    note = [Note(0, 1.0, 69, 1.0)]
    frequency, magnitude = spectrum(electronics.play_notes("sub", note, SAMPLE_RATE, rng_of()))
    assert frequency[magnitude.argmax()] == pytest.approx(440, abs=1)
    y = electronics.cycle("saw", 0.5, 30)
    partials = np.abs(np.fft.rfft(y))[1:31]
    np.testing.assert_allclose(partials / partials[0], 1 / np.arange(1, 31), rtol=1e-6)
    assert np.abs(np.fft.rfft(y))[31:].max() < 1e-6 * partials[0]


def test_a_square_has_odd_partials_only():
    partials = np.abs(np.fft.rfft(electronics.cycle("pulse", 0.5, 9)))[1:10]
    np.testing.assert_allclose(partials[1::2], 0, atol=1e-9 * partials[0])
    np.testing.assert_allclose(partials[::2] / partials[0], 1 / np.arange(1, 10, 2), rtol=1e-6)


@pytest.mark.parametrize("name", sorted(electronics.PATCHES))
def test_every_patch_sounds_while_its_note_lasts(name):
    notes = [Note(0.2, 0.5, 57, 0.9)]
    y = electronics.play(Part(name, notes), 3 * SAMPLE_RATE, rng_of())
    assert np.isfinite(y).all()
    assert np.abs(y[: round(0.2 * SAMPLE_RATE) - 1]).max() == 0
    assert decibels(y[round(0.3 * SAMPLE_RATE) : round(0.7 * SAMPLE_RATE)]) > -45
    assert decibels(y[round(2.2 * SAMPLE_RATE) :]) < -70
    louder = electronics.play(Part(name, notes, 6.0), 3 * SAMPLE_RATE, rng_of())
    assert decibels(louder) - decibels(y) == pytest.approx(6, abs=0.01)


@pytest.mark.parametrize("name", ["drums machine", "drums console"])
def test_drums_strike_when_they_should(name):
    keys = {key for beat in rhythm.BEATS.values() for key in beat} | set(rhythm.FILL)
    for key in keys:
        y = electronics.play(Part(name, [Note(0.1, 0.1, key, 0.9)]), SAMPLE_RATE, rng_of())
        assert np.abs(y[: round(0.1 * SAMPLE_RATE)]).max() == 0
        assert decibels(y[round(0.1 * SAMPLE_RATE) : round(0.15 * SAMPLE_RATE)]) > -50


# --- mastering


def test_a_room_falls_by_sixty_decibels_in_its_time():
    response = mastering.impulse_response(1.5, rng_of())
    assert np.sum(response**2) == pytest.approx(1)
    middle = slice(round(0.2 * SAMPLE_RATE), round(0.3 * SAMPLE_RATE))
    later = slice(round(0.95 * SAMPLE_RATE), round(1.05 * SAMPLE_RATE))
    fall = decibels(response[middle]) - decibels(response[later])
    assert fall == pytest.approx(60 * 0.75 / 1.5, abs=6)


@given(seed=seeds, gain=st.floats(0.1, 30))
@settings(max_examples=20, deadline=None)
def test_the_limiter_holds_its_ceiling_and_leaves_the_rest(seed, gain):
    y = gain * rng_of(seed).standard_normal(4000)
    limited = mastering.limit(y, 0.9)
    assert np.abs(limited).max() <= 0.9
    if np.abs(y).max() < 0.9:
        np.testing.assert_allclose(limited, y)


def test_the_compressor_turns_down_by_its_ratio():
    t = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    sine = np.sin(2 * np.pi * 440 * t)
    quiet = 0.01 * sine
    np.testing.assert_allclose(mastering.compress(quiet, 4, -24), quiet)
    inside = slice(SAMPLE_RATE // 4, -SAMPLE_RATE // 4)
    turned = decibels(mastering.compress(sine, 4, -24)[inside])
    assert turned == pytest.approx(-24 + (decibels(sine) + 24) / 4, abs=0.2)


def test_the_equaliser_brings_white_noise_nearer_to_its_slope():
    noise = rng_of().standard_normal(4 * SAMPLE_RATE)
    for match in (0.0, 0.5):
        y = mastering.equalise(noise, mastering.Master(slope=-3, match=match, top=20_000))
        frequency, power = np.fft.rfftfreq(len(y), 1 / SAMPLE_RATE), np.abs(np.fft.rfft(y)) ** 2
        low, high = (
            10 * np.log10(power[(frequency > f / 1.2) & (frequency < f * 1.2)].mean()) for f in (400, 3200)
        )
        assert low - high == pytest.approx(3 * 3 * match, abs=1)


@given(seed=seeds, level=st.sampled_from([0.0, 1e-3, 50.0]))
@settings(max_examples=6, deadline=None)
def test_any_mix_is_mastered_within_its_range(seed, level):
    rng = rng_of(seed)
    style = styles.STYLES[seed % len(styles.STYLES)]
    y = mastering.finish(level * rng.standard_normal(20_000), pieces.draw_master(rng, style), rng)
    assert y.dtype == np.float32
    assert np.isfinite(y).all()
    assert np.abs(y).max() <= 0.97
    assert (np.abs(y).max() > 0.01) == (level > 0)


def test_pumping_turns_down_at_the_bass_drum_and_comes_back():
    gain = pieces.pumping([0.5], 2 * SAMPLE_RATE, 12)
    assert (gain[: SAMPLE_RATE // 2] == 1).all()
    assert 20 * np.log10(gain[SAMPLE_RATE // 2]) == pytest.approx(-12, abs=0.01)
    assert gain[-1] == pytest.approx(1, abs=0.01)


# --- the song of the examples


def test_the_song_is_written_in_its_key():
    scale = {2, 4, 5, 7, 9, 10, 0}
    leading = {1}  # of the seventh chord before the drop
    for track in song.TRACKS:
        for note in track.part.notes:
            bar = int(round(note.start / song.BEAT, 6) // 4)
            assert note.pitch % 12 in scale | (leading if bar == 9 else set())


def test_the_song_begins_quietly_breaks_drops_and_ends():
    import soundfile

    assert song.PATH.stat().st_size < 500_000
    y, rate = soundfile.read(song.PATH)
    assert rate == SAMPLE_RATE
    assert 20 <= len(y) / rate <= 30

    def level(first, last):
        return decibels(y[round(first * song.BEAT * rate) : round(last * song.BEAT * rate)])

    drop = level(40, 56)
    assert level(0, 16) < drop - 8
    assert level(32, 36) < drop - 5
    assert level(song.BREATH + 0.25, 39.95) < drop - 5
    assert decibels(y[-4410:]) < -50
    assert np.abs(y).max() < 1
