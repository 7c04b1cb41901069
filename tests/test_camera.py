"""The camera moves as Deforum's does, and colours are matched as scikit-image does."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sound_diffusion.film.camera import BORDERS, Feedback, Motion, add_noise, feed_back, move, sharpen
from sound_diffusion.film.colors import COLOR_SPACES, from_lab, histograms, match_colors, to_lab


def picture_of(pixels):
    return Image.fromarray(np.asarray(pixels).astype(np.uint8))


def pixels_of(picture):
    return np.asarray(picture).astype(int)


@pytest.fixture
def picture(rng):
    """Smooth colours and noise, 48 wide and 40 high."""
    y, x = np.mgrid[0:40, 0:48]
    smooth = np.stack([5 * x, 6 * y, 120 + 60 * np.sin(x / 5)], axis=-1)
    return picture_of(np.clip(smooth + 8 * rng.standard_normal((40, 48, 3)), 0, 255))


def spots(*places, size=(61, 81)):
    """Soft white spots at (x, y), one a channel."""
    y, x = np.mgrid[0 : size[0], 0 : size[1]]
    return picture_of(
        np.stack([230 * np.exp(-((x - px) ** 2 + (y - py) ** 2) / 8) for px, py in places], axis=-1)
    )


def centres(picture):
    """Centre of the light of every channel, (x, y)."""
    pixels = pixels_of(picture).astype(float)
    y, x = np.mgrid[0 : pixels.shape[0], 0 : pixels.shape[1]]
    return [
        ((x * channel).sum() / channel.sum(), (y * channel).sum() / channel.sum())
        for channel in np.moveaxis(pixels, -1, 0)
    ]


def opencv(point, motion, width, height):
    """Map a point by getRotationMatrix2D(centre, angle, zoom) @ translation, as Deforum does."""
    alpha = motion.zoom * math.cos(math.radians(motion.angle))
    beta = motion.zoom * math.sin(math.radians(motion.angle))
    cx, cy = (width - 1) / 2, (height - 1) / 2
    rotation = np.array(
        [[alpha, beta, (1 - alpha) * cx - beta * cy], [-beta, alpha, beta * cx + (1 - alpha) * cy], [0, 0, 1]]
    )
    translation = np.array([[1, 0, motion.translation_x], [0, 1, motion.translation_y], [0, 0, 1]])
    return (rotation @ translation @ [*point, 1])[:2]


@pytest.mark.parametrize(
    "motion",
    [
        Motion(zoom=1.2),
        Motion(zoom=0.8),
        Motion(angle=20),
        Motion(angle=-35),
        Motion(translation_x=7.5),
        Motion(translation_y=-6.25),
        Motion(zoom=1.1, angle=30, translation_x=4, translation_y=-3),
    ],
)
def test_spots_go_where_deforum_takes_them(motion):
    places = [(40, 30), (52, 24), (30, 38)]
    moved = move(spots(*places), motion)
    for before, after in zip(places, centres(moved), strict=True):
        np.testing.assert_allclose(after, opencv(before, motion, 81, 61), atol=0.05)


def test_a_quarter_turn_is_against_the_clock(rng):
    pixels = rng.integers(0, 256, (32, 32, 3))
    np.testing.assert_array_equal(pixels_of(move(picture_of(pixels), Motion(angle=90))), np.rot90(pixels))


class TestBorders:
    def test_wrap(self, picture):
        moved = pixels_of(move(picture, Motion(translation_x=5, translation_y=-3), "wrap"))
        np.testing.assert_array_equal(moved, np.roll(pixels_of(picture), (-3, 5), (0, 1)))

    @pytest.mark.parametrize("border", ["replicate", "reflect"])
    def test_replicate_and_reflect(self, picture, border):
        padded = np.pad(pixels_of(picture), ((4, 0), (0, 6), (0, 0)), mode=BORDERS[border])
        moved = pixels_of(move(picture, Motion(translation_x=-6, translation_y=4), border))
        np.testing.assert_array_equal(moved, padded[:40, 6:])

    def test_far_away(self, picture):
        pixels = pixels_of(picture)
        np.testing.assert_array_equal(pixels_of(move(picture, Motion(translation_x=480), "wrap")), pixels)
        np.testing.assert_array_equal(pixels_of(move(picture, Motion(translation_x=960), "reflect")), pixels)
        expected = np.broadcast_to(pixels[:, :1], pixels.shape)
        np.testing.assert_array_equal(pixels_of(move(picture, Motion(translation_x=999))), expected)


def test_what_is_symmetric_stays_so(rng):
    quarter = rng.integers(0, 256, (16, 16, 3))
    half = np.concatenate([quarter, quarter[::-1]])
    pixels = np.concatenate([half, half[:, ::-1]], axis=1)
    for border in BORDERS:
        zoomed = pixels_of(move(picture_of(pixels), Motion(zoom=1.07), border))
        assert np.abs(zoomed - zoomed[::-1]).max() <= 1
        assert np.abs(zoomed - zoomed[:, ::-1]).max() <= 1


def test_nothing_done_is_the_picture_itself(picture):
    assert feed_back(picture, Feedback()) is picture
    assert move(picture, Motion()) is picture
    assert match_colors(picture, histograms(picture, "LAB"), "LAB", 0.0) is picture


@settings(deadline=None, max_examples=60)
@given(
    st.builds(
        Motion,
        zoom=st.floats(1e-3, 1e3),
        angle=st.floats(-1e4, 1e4),
        translation_x=st.floats(-1e5, 1e5),
        translation_y=st.floats(-1e5, 1e5),
    ),
    st.sampled_from(list(BORDERS)),
)
def test_any_motion_gives_a_picture(motion, border):
    grey = picture_of(np.full((16, 24, 3), 77))
    moved = move(grey, motion, border)
    assert (moved.mode, moved.size) == ("RGB", (24, 16))
    assert (pixels_of(moved) == 77).all()


def scikit_image(channel, reference):
    """skimage.exposure.match_histograms of one channel."""
    _, inverse, counts = np.unique(channel, return_inverse=True, return_counts=True)
    values, wanted = np.unique(reference, return_counts=True)
    matched = np.interp(np.cumsum(counts) / channel.size, np.cumsum(wanted) / reference.size, values)
    return matched[inverse].reshape(channel.shape)


def test_rgb_is_matched_as_scikit_image_does(picture, rng):
    reference = picture_of(rng.normal((90, 140, 60), (20, 30, 10), (50, 60, 3)).clip(0, 255))
    matched = pixels_of(match_colors(picture, histograms(reference, "RGB"), "RGB", 1.0))
    for channel in range(3):
        expected = scikit_image(pixels_of(picture)[..., channel], pixels_of(reference)[..., channel])
        np.testing.assert_allclose(matched[..., channel], expected, atol=0.51)


def test_lab_is_matched_in_lab(picture, rng):
    reference = picture_of(rng.normal((120, 100, 90), (20, 20, 20), (50, 60, 3)).clip(0, 255))
    matched = to_lab(np.asarray(match_colors(picture, histograms(reference, "LAB"), "LAB", 1.0)))
    wanted = to_lab(np.asarray(reference))
    for share in (10, 50, 90):
        np.testing.assert_allclose(
            np.percentile(matched, share, axis=(0, 1)), np.percentile(wanted, share, axis=(0, 1)), atol=2.5
        )


@pytest.mark.parametrize("space", COLOR_SPACES[1:])
def test_its_own_colours_change_nothing(picture, space):
    again = picture
    for _ in range(3):
        again = match_colors(again, histograms(picture, space), space, 1.0)
    np.testing.assert_array_equal(pixels_of(again), pixels_of(picture))


@pytest.mark.parametrize("space", ["LAB", "HSV", "RGB"])
def test_half_of_the_way(space):
    dark, light = (picture_of(np.full((8, 8, 3), level)) for level in (40, 200))
    half = pixels_of(match_colors(dark, histograms(light, space), space, 0.5)).mean()
    whole = pixels_of(match_colors(dark, histograms(light, space), space, 1.0)).mean()
    assert whole == pytest.approx(200, abs=2)
    assert 90 < half < 130


@pytest.mark.parametrize("level", [0, 255])
def test_a_black_or_white_reference(picture, level):
    matched = pixels_of(
        match_colors(picture, histograms(picture_of(np.full((9, 9, 3), level)), "LAB"), "LAB", 1.0)
    )
    assert np.abs(matched - level).max() <= 3


def test_lab_of_known_colours():
    colours = np.array([[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 0, 255], [119, 119, 119]], np.uint8)
    expected = [[0, 0, 0], [100, 0, 0], [53.24, 80.09, 67.20], [32.30, 79.19, -107.86], [50.03, 0, 0]]
    np.testing.assert_allclose(to_lab(colours), expected, atol=0.03)


def test_lab_and_back(rng):
    colours = rng.integers(0, 256, (5000, 3)).astype(np.uint8)
    np.testing.assert_allclose(255 * from_lab(to_lab(colours)), colours, atol=0.01)


def test_sharpening_steepens_edges():
    step = np.zeros((9, 20, 3))
    step[:, :10], step[:, 10:] = 100, 150
    sharp = pixels_of(sharpen(picture_of(step), 0.5))
    assert sharp[4, 9, 0] < 100
    assert sharp[4, 10, 0] > 150
    assert (sharp[:, :5] == 100).all()
    assert sharpen(picture_of(step), 0).tobytes() == picture_of(step).tobytes()


def test_noise_has_deforums_deviation():
    grey = picture_of(np.full((200, 200, 3), 128))
    noisy = pixels_of(add_noise(grey, 0.065, seed=3)) - 128
    assert noisy.std() == pytest.approx(0.065 * 127.5, rel=0.02)
    assert add_noise(grey, 0.065, seed=3).tobytes() == add_noise(grey, 0.065, seed=3).tobytes()
    assert add_noise(grey, 0.065, seed=3).tobytes() != add_noise(grey, 0.065, seed=4).tobytes()


def test_the_order_is_deforums(picture):
    feedback = Feedback(Motion(zoom=1.1, angle=2), "wrap", sharpen=0.2, noise=0.05, seed=9)
    by_hand = add_noise(sharpen(move(picture, feedback.motion, "wrap"), 0.2), 0.05, 9)
    assert feed_back(picture, feedback).tobytes() == by_hand.tobytes()
