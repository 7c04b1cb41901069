"""Between the frames: key frames, spacing, noise that goes on, loops, cadence."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sound_diffusion.constants import LARGEST_SEED, SAMPLE_RATE
from sound_diffusion.errors import ParameterError
from sound_diffusion.film.camera import Motion, move
from sound_diffusion.film.keys import Keys, at_the_pace, equal_times, even_places
from sound_diffusion.film.noise import Circle, FromKeyToKey, NoisePoint, Walk, arc, on_circle
from sound_diffusion.film.path import KeyFeatures, Listener, Ring, features_at
from sound_diffusion.film.timeline import Timeline

films = st.builds(
    lambda n, every, closed: Keys(n, min(every, n - 1), closed),
    st.integers(2, 200),
    st.integers(1, 60),
    st.booleans(),
)


@given(films)
def test_every_frame_is_between_two_keys(keys):
    frames = keys.frames
    assert frames[0] == 0
    assert keys.closed or frames[-1] == keys.n_frames - 1
    assert all(0 < b - a <= keys.every for a, b in itertools.pairwise(keys.ends))
    for place in range(keys.n_frames):
        between = keys.locate(place)
        assert 0 <= between.share < 1
        before, after = frames[between.before], frames[between.after]
        after += keys.n_frames * (after < before)
        assert before + between.share * (after - before) == pytest.approx(place)
        assert (between.share == 0) == (place in frames)


@given(films)
def test_keys_of_a_loop_are_about_equally_far_apart(keys):
    gaps = {b - a for a, b in itertools.pairwise(keys.ends)}
    assert not keys.closed or max(gaps) - min(gaps) <= 1


@given(films, st.integers(0, 2**32))
def test_the_music_is_never_off_the_clock_at_the_keys(keys, seed):
    pace = np.random.default_rng(seed).exponential(size=keys.n_frames) ** 2
    places = at_the_pace(keys, pace)
    assert (np.diff(places) >= 0).all()
    np.testing.assert_array_equal(places[keys.frames], keys.frames)


def test_the_steps_of_music_are_its_onsets():
    keys, pace = Keys(9, 4), np.array([9, 0, 1, 0, 3, 0, 0, 0, 0], dtype=float)
    np.testing.assert_allclose(at_the_pace(keys, pace), [0, 0, 1, 1, 4, 5, 6, 7, 8])
    closed = at_the_pace(Keys(8, 4, closed=True), np.array([6.0, 0, 1, 0, 3, 2, 0, 0]))
    np.testing.assert_allclose(closed, [0, 0, 1, 1, 4, 5, 5, 5])


@given(films, st.floats(0.8, 4))
def test_even_steps_are_even(keys, bend):
    def seen(place):
        return (place / keys.n_frames) ** bend * 100  # a film that hurries, or slows down

    places = even_places(keys, lambda a, b: abs(seen(b) - seen(a)))
    assert (np.diff(places) >= 0).all()
    assert places[0] == 0
    steps = np.diff(seen(places))
    assert keys.n_frames < 12 or steps.max() <= 2 * np.median(steps)
    assert len(places) == keys.n_frames
    assert keys.closed or places[-1] == keys.n_frames - 1


@given(films)
def test_the_last_gap_of_a_loop_slows_down(keys):
    places = equal_times(keys)
    start = keys.ends[-2] if keys.closed else keys.n_frames
    np.testing.assert_array_equal(places[: start + 1], np.arange(keys.n_frames)[: start + 1])
    if keys.closed:
        steps = np.diff([*places[start:], keys.n_frames])
        assert (steps > 0).all()
        assert len(steps) < 3 or 0.4 < steps[-1] < 0.9
        assert steps.max() < 1.2


def test_a_film_that_stands_still_has_equal_times():
    keys = Keys(7, 3)
    np.testing.assert_array_equal(even_places(keys, lambda _a, _b: 0.0), equal_times(keys))


def test_a_jump_is_not_split_for_ever():
    calls = []

    def distance(a, b):
        calls.append((a, b))
        return float(a < 3.3 <= b)

    places = even_places(Keys(9, 4), distance)
    assert len(calls) < 200
    assert (np.diff(places) >= 0).all()
    assert places[-1] == 8


@pytest.mark.parametrize(("n_frames", "every", "closed"), [(5, 6, False), (5, 5, True), (5, 0, False)])
def test_keys_further_apart_than_the_film_is_long(n_frames, every, closed):
    with pytest.raises(ParameterError, match=r"--interpolate \d of a film of 5 frames"):
        Keys(n_frames, every, closed)


def draw(seed):
    """Noise of a seed."""
    return np.random.default_rng(seed).standard_normal((4, 16, 16)).astype(np.float32)


@given(st.integers(0, 1000), st.floats(0, 1))
def test_noise_between_two_seeds_keeps_its_deviation(seed, share):
    mixed = arc(draw(seed), draw(seed + 1), share)
    low, high = sorted(float(np.linalg.norm(draw(each))) for each in (seed, seed + 1))
    assert low * (1 - 1e-5) <= float(np.linalg.norm(mixed)) <= high * (1 + 1e-5)


@given(st.floats(-10, 10))
def test_noise_on_a_circle_keeps_its_deviation(angle):
    one, other = draw(1), draw(2)
    assert np.linalg.norm(on_circle(one, other, angle)) == pytest.approx(np.linalg.norm(one), rel=1e-5)
    np.testing.assert_allclose(
        on_circle(one, other, angle + 2 * math.pi), on_circle(one, other, angle), atol=1e-5
    )


def test_a_walk_goes_from_seed_to_seed_at_its_rate():
    walk = Walk(10, np.full(9, 2.0), 4.0)
    points = [walk.at(frame) for frame in range(9)]
    assert [(point.seed, point.share) for point in points[:4]] == [(10, 0), (10, 0.5), (11, 0), (11, 0.5)]
    assert points[8].seed == 14
    np.testing.assert_array_equal(points[2].mix(draw), draw(11))


@given(st.lists(st.floats(0, 3), min_size=2, max_size=50))
def test_a_closed_walk_ends_where_it_begins(rates):
    walk = Walk(3, np.array(rates), 4.0, closed=True)
    first, last = walk.at(0), walk.at(len(rates) - 1e-9)
    assert first == NoisePoint(3, 4, 0.0)
    steps = float(np.sum(rates))
    if steps > 1e-3 and rates[0] > 1e-3:
        assert last.other == 3
        assert last.share == pytest.approx(1, abs=1e-3)
    seeds = {walk.at(frame).seed for frame in range(len(rates))}
    assert seeds <= set(range(3, 3 + walk.ring))


def test_a_walk_past_the_largest_seed_is_refused():
    with pytest.raises(ParameterError, match="lower --seed or --walk-rate"):
        Walk(LARGEST_SEED - 3, np.full(100, 1.0), 4.0)
    Walk(LARGEST_SEED - 30, np.full(100, 1.0), 4.0)


def test_a_circle_is_gone_round_once():
    circle = Circle(5, 8.0)
    np.testing.assert_allclose(circle.at(8.0).mix(draw), draw(5), atol=1e-6)
    steps = [
        np.linalg.norm(circle.at(frame).mix(draw) - circle.at((frame + 1) % 8).mix(draw))
        for frame in range(8)
    ]
    assert max(steps) == pytest.approx(min(steps), rel=1e-4)


def test_noise_from_key_to_key_is_that_of_the_keys_at_the_keys():
    path = FromKeyToKey(Keys(9, 4), [7, 11, 15])
    assert [path.at(place).seed for place in (0, 4, 8)] == [7, 11, 15]
    assert path.at(6) == NoisePoint(11, 15, 0.5)
    np.testing.assert_array_equal(path.at(4).mix(draw), draw(11))


@given(
    st.integers(1, 400), st.integers(1, 90), st.integers(0, 1000), st.integers(0, 1000), st.integers(0, 50)
)
def test_a_ring_of_sound_has_no_beginning(n_samples, block, before, after, silence):
    y = np.arange(1, n_samples + 1, dtype=np.float32)
    period = n_samples + silence
    ring = Ring(lambda: (y[at : at + block] for at in range(0, n_samples, block)), period)
    unrolled = np.concatenate(list(ring.unroll(before, after)))
    padded = np.concatenate([y, np.zeros(silence, dtype=np.float32)])
    np.testing.assert_array_equal(unrolled, padded[np.arange(-before, period + after) % period])


def test_a_loop_comes_nearer_over_its_last_second():
    timeline = Timeline(n_samples=5 * SAMPLE_RATE, fps=Fraction(12), loop=True, seed_mode="fixed")
    shares = [timeline.approach(frame) for frame in range(60)]
    assert shares[:48] == [0.0] * 48
    assert (np.diff(shares[47:]) > 0).all()
    assert 0.9 < shares[-1] < 1


def test_the_inverse_of_a_motion_undoes_it(rng):
    from PIL import Image
    from scipy.ndimage import gaussian_filter

    smooth = gaussian_filter(rng.uniform(0, 255, (64, 64, 3)), (4, 4, 0))
    smooth = (smooth - smooth.min()) / np.ptp(smooth) * 255
    picture = Image.fromarray(smooth.astype(np.uint8))
    motion = Motion(1.1, 20.0, 3.0, -2.0)
    there_and_back = move(move(picture, motion), motion.inverse)
    middle = (slice(20, 44), slice(20, 44))
    difference = np.abs(np.asarray(there_and_back).astype(int) - np.asarray(picture).astype(int))[middle]
    assert difference.max() <= 3
    assert (motion.inverse.inverse.zoom, motion.inverse.inverse.translation_x) == (
        pytest.approx(1.1),
        pytest.approx(3.0),
    )


def sound_of(y, block=1000):
    """Return a function that opens a sound."""
    return lambda: iter([y[at : at + block] for at in range(0, len(y), block)])


@pytest.mark.parametrize("loop", [False, True])
@pytest.mark.parametrize(("every", "window"), [(4, None), (5, "1/4"), (1, None)])
def test_every_sample_is_in_the_window_of_a_key(every, window, loop):
    y = np.zeros(20_000, dtype=np.float32)
    wanted = None if window is None else Fraction(window)
    timeline = Timeline(
        n_samples=len(y), fps=Fraction(24), window=wanted, interpolate=every, loop=loop, seed_mode="fixed"
    )
    heard = np.zeros(timeline.period, dtype=bool)
    for position in timeline.keys.frames:
        key = timeline.key(position)
        first, stop = (round(SAMPLE_RATE * place) for place in (key.end - key.window, key.end))
        places = np.arange(first, stop)
        heard[places % timeline.period if loop else places[(places >= 0) & (places < timeline.period)]] = True
    assert heard[: len(y)].all()


def test_frames_at_keys_hear_what_the_keys_hear(rng):
    y = rng.uniform(-0.5, 0.5, 20_000).astype(np.float32)
    timeline = Timeline(n_samples=len(y), fps=Fraction(24), interpolate=4, seed_mode="fixed")
    frames = [timeline[index] for index in range(len(timeline))]
    listener = Listener(sound_of(y), timeline, 32)
    heard = [each for _, each in listener.hear(frames, range(len(frames)))]
    for position in timeline.keys.frames:
        assert heard[position].after is None
        np.testing.assert_array_equal(listener.between_keys(position).before, heard[position].before)
    assert heard[1].share == 0.25
    np.testing.assert_array_equal(heard[1].after, heard[4].before)
    # From any frame on, the same.
    for start in (1, 4, 7):
        later = Listener(sound_of(y), timeline, 32).hear(frames[start:], range(start, len(frames)))
        for (_, one), other in zip(later, heard[start:], strict=True):
            np.testing.assert_array_equal(one.before, other.before)


def test_without_keys_frames_hear_what_they_always_did(rng):
    y = rng.uniform(-0.5, 0.5, 20_000).astype(np.float32)
    timeline = Timeline(n_samples=len(y), fps=Fraction(24), window=Fraction(1, 10))
    frames = [timeline[index] for index in range(len(timeline))]
    listened = Listener(sound_of(y), timeline, 32).hear(frames, range(len(frames)))
    for (_, heard), (_, matrix) in zip(
        listened, features_at(sound_of(y)(), timeline, "fft", 32), strict=True
    ):
        np.testing.assert_array_equal(heard.before, matrix)


def test_in_a_loop_a_frame_hears_the_end_before_the_beginning(rng):
    y = rng.uniform(-0.5, 0.5, 44_100 // 2).astype(np.float32)
    shifted = np.roll(y, 44_100 // 4)
    films = [
        Timeline(n_samples=len(y), fps=Fraction(12), window=Fraction(1, 5), loop=True, seed_mode="fixed")
        for _ in range(2)
    ]
    one, other = (
        [
            heard.before
            for _, heard in Listener(sound_of(sound), film, 32).hear([film[i] for i in range(6)], range(6))
        ]
        for sound, film in zip((y, shifted), films, strict=True)
    )
    for frame in range(6):
        np.testing.assert_allclose(other[(frame + 3) % 6], one[frame], atol=1e-5)


def test_key_features_are_read_once_on_the_way_on():
    opened = []

    def open_from(number):
        opened.append(number)
        return iter([np.full(1, each, dtype=np.float32) for each in range(number, 9)])

    features = KeyFeatures(open_from)
    assert [int(features.at(number)[0]) for number in (2, 3, 2, 3, 4, 3, 5)] == [2, 3, 2, 3, 4, 3, 5]
    assert opened == [2]
    assert int(features.at(1)[0]) == 1
    assert opened == [2, 1]
