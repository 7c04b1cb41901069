"""Take the picture of the page of audio2live that the README shows.

    python -m benchmarks.screenshot docs/live.jpg

It needs chromium and chromedriver, plays a sound to the page, and keeps that of some moments in which there
is most to see, with the controls open. Further flags are those of audio2live.py.
"""

import io
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image, ImageFilter, ImageStat

from tests.browser import NO_CARD, Browser

SIZE = (1280, 800)
SHOWN = (960, 600)
MOMENTS = 12
SOUND = Path("examples/song.ogg")


def take(url: str, sound: Path) -> Image.Image:
    """Open the page, play the sound, and return what the window shows."""
    browser = Browser(*NO_CARD)
    pictures = []
    try:
        browser.resize(*SIZE)
        browser.open(url)
        browser.attach("#file-input", sound)
        browser.wait_for("document.body.classList.contains('seen')")
        browser.click("#adjust")
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(MOMENTS):
                time.sleep(1)
                path = Path(folder) / "page.png"
                browser.screenshot(path)
                pictures.append(Image.open(io.BytesIO(path.read_bytes())).convert("RGB"))
    finally:
        browser.close()
    return max(pictures, key=sharpness)


def sharpness(picture: Image.Image) -> float:
    """How much there is to see: the deviation of its edges."""
    return ImageStat.Stat(picture.convert("L").filter(ImageFilter.FIND_EDGES)).stddev[0]


def main() -> None:
    """Take the picture."""
    target, *flags = sys.argv[1:]
    command = [sys.executable, "audio2live.py", "--port", "0", *flags]
    samples, rate = soundfile.read(SOUND)
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        with tempfile.TemporaryDirectory() as folder:
            sound = Path(folder) / f"{SOUND.stem}.wav"
            soundfile.write(sound, np.tile(samples.T, 12).T, rate)
            picture = take(server.stdout.readline().strip(), sound)
    finally:
        server.terminate()
        server.wait(60)
    picture.resize(SHOWN, Image.Resampling.LANCZOS).save(target, quality=82, optimize=True)
    print(target)


if __name__ == "__main__":
    main()
