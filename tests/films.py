"""Pictures and films that tests have made, and runs that are stopped."""

import re
import subprocess

import imageio_ffmpeg
import numpy as np
from PIL import Image

from sound_diffusion.film import painter


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture).astype(int)


def n_frames_in(film):
    """Count the frames of a film by decoding it."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", film, "-map", "0:v", "-fps_mode", "passthrough"]
    command += ["-f", "null", "-"]
    said = subprocess.run(command, capture_output=True, check=True).stderr.decode(errors="replace")
    return int(re.findall(r"frame=\s*(\d+)", said)[-1])


def frames_of(folder):
    """Return the bytes of all frames of a run folder, in order."""
    return [path.read_bytes() for path in sorted((folder / "frames").glob("*.png"))]


def pixels_of(folder):
    """Return the pixels of all frames of a run folder: (n, height, width, 3)."""
    return np.stack([pixels(path) for path in sorted((folder / "frames").glob("*.png"))])


def interrupt_after(monkeypatch, count, error):
    """Let painting fail with `error` after `count` calls."""
    paint, calls = painter.paint_latents, []

    def failing(*args, **kwargs):
        if len(calls) == count:
            raise error
        calls.append(1)
        return paint(*args, **kwargs)

    monkeypatch.setattr(painter, "paint_latents", failing)


def assert_same_films(one, two):
    """Compare two run folders byte by byte."""
    assert frames_of(one) == frames_of(two)
    film = f"{one.name}.mp4"
    assert (one / film).read_bytes() == (two / film).read_bytes()
    assert not list(one.rglob(".*"))
