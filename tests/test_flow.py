"""Optical flow finds the motion that the camera has made."""

import math

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from benchmarks.flow import affine_flow
from sound_diffusion.film.camera import Motion, add_noise, move


@pytest.fixture(scope="module")
def picture():
    """Clouds of every size."""
    rng = np.random.default_rng(3)
    clouds = sum(s * gaussian_filter(rng.standard_normal((128, 128, 3)), (s, s, 0)) for s in (1, 2, 4, 8, 16))
    return Image.fromarray(np.clip(128 + 90 * clouds, 0, 255).astype(np.uint8))


@pytest.mark.parametrize(
    "motion",
    [
        Motion(zoom=1.05),
        Motion(zoom=0.96),
        Motion(angle=4),
        Motion(angle=-2),
        Motion(translation_x=6),
        Motion(translation_y=-4.5),
        Motion(zoom=1.02, angle=1.5, translation_x=2, translation_y=3),
    ],
)
@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_motion_is_found(picture, motion, noise):
    flow = affine_flow(picture, add_noise(move(picture, motion, "reflect"), noise, 0))
    assert 1 + flow.divergence / 2 == pytest.approx(motion.zoom, abs=0.004)
    assert math.degrees(flow.curl / 2) == pytest.approx(motion.angle, abs=0.15)
    np.testing.assert_allclose(flow.mean, (motion.translation_x, motion.translation_y), atol=0.25)


@pytest.mark.parametrize("level", [0, 128])
def test_nothing_to_see(level):
    plain = Image.new("RGB", (64, 64), (level,) * 3)
    np.testing.assert_allclose(affine_flow(plain, plain).matrix, 0, atol=1e-9)
