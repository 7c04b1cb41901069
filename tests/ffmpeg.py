"""The bundled ffmpeg, which makes the sounds of tests."""

import subprocess

import imageio_ffmpeg


def ffmpeg(*words):
    """Run it; errors are shown and raised."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y", *map(str, words)]
    subprocess.run(command, check=True)
