"""Speech and song: sentences of espeak-ng in many voices, and melodies sung on vowels."""

from __future__ import annotations

import io
import shutil
import subprocess

import numpy as np
import soundfile
from scipy.signal import resample_poly

from sound_diffusion.constants import SAMPLE_RATE
from training.arrangements import electronics
from training.arrangements.figures import Passage, melody
from training.arrangements.harmony import SCALES, draw_chords, key_of
from training.arrangements.mastering import Master, finish
from training.arrangements.rhythm import make_grid
from training.arrangements.score import Part

LANGUAGES = "en-us en-gb de fr es it pt nl pl sv fi tr el hi ru hu"
VARIANTS = "m1 m2 m3 m4 m5 m6 m7 f1 f2 f3 f4 f5 croak whisper klatt klatt2"
CONSONANTS = "b d f g h k l m n p r s t v w z br dr fl gr kl pr sh st tr"
VOWELS = "a e i o u ai au ei ou"


def missing_tools() -> str | None:
    """Say what is missing to speak, or return None."""
    if shutil.which("espeak-ng") is None:
        return "espeak-ng is not installed (Debian: apt-get install espeak-ng)"
    return None


def words(rng: np.random.Generator, count: int) -> str:
    """Make up words of one to four syllables, with commas, full stops and questions between them."""
    text = []
    for _ in range(count):
        syllables = int(rng.integers(1, 5))
        word = "".join(
            str(rng.choice(CONSONANTS.split())) + str(rng.choice(VOWELS.split())) for _ in range(syllables)
        )
        text.append(word + str(rng.choice(["", "", "", "", ",", ".", "?", "!"])))
    return " ".join(text)


def speak(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """Speak made-up words in a drawn voice, dry [shape=(n,)].

    Raises
    ------
    RuntimeError
        If espeak-ng is missing or fails.
    """
    if reason := missing_tools():
        raise RuntimeError(reason)
    voice = f"{rng.choice(LANGUAGES.split())}+{rng.choice(VARIANTS.split())}"
    speed, pitch = int(rng.integers(90, 300)), int(rng.integers(5, 95))
    text = words(rng, int(seconds * 4) + 4)
    command = ["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), "--stdout", "--stdin"]
    done = subprocess.run(command, input=text.encode(), capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise RuntimeError(f"espeak-ng failed ({done.returncode}): {said}")
    y, rate = soundfile.read(io.BytesIO(done.stdout), dtype="float64")
    return resample_poly(y, SAMPLE_RATE, rate)


def sing(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """Sing a melody on vowels, with a consonant of noise before most notes, dry [shape=(n,)]."""
    length = round(seconds * SAMPLE_RATE)
    grid = make_grid(rng, seconds, rng.uniform(60, 130), (4, 4), 0, 0.04)
    key = key_of(int(rng.integers(12)), str(rng.choice(list(SCALES))))
    passage = Passage(grid, key, 0, draw_chords(rng, key, grid.bars, 0.2, 0.5), 0.8, rng.uniform(0, 0.6))
    shift = int(rng.choice([-24, -12, -12, 0]))  # bass, tenor or alto, soprano
    notes = [note._replace(pitch=note.pitch + shift) for note in melody(rng, passage)]
    y = electronics.play(Part(str(rng.choice(["voice", "voice", "choir"])), notes), length, rng)
    for note in notes:
        if rng.random() < 0.7:
            low = rng.uniform(800, 5000)
            hiss = electronics.burst(rng, low, min(2.5 * low, 16_000), rng.uniform(0.01, 0.04))
            electronics.add_at(y, 0.05 * rng.random() * hiss, note.start - 0.05)
    return y


def render_voice(seed: int, seconds: float = 30.0) -> np.ndarray:
    """Speak (two in three) or sing, in a room.

    Parameters
    ----------
    seed : int
    seconds : float

    Returns
    -------
    np.ndarray [shape=(round(44100 * seconds),), dtype=float32]
        Mono, in [-0.97, 0.97]; a speech that ends sooner begins again.

    Raises
    ------
    RuntimeError
        If espeak-ng is missing.
    """
    rng = np.random.default_rng([14, seed])
    length = round(seconds * SAMPLE_RATE)
    y = speak(rng, seconds) if rng.random() < 0.67 else sing(rng, seconds)
    y = np.resize(y, length) if len(y) else np.zeros(length)
    master = Master(
        peak=-rng.exponential(5),
        gain=rng.uniform(-2, 8),
        room=rng.uniform(-40, -10),
        seconds=rng.uniform(0.3, 2),
        match=rng.uniform(0, 0.5),
        bass=rng.uniform(-12, 3),
        ratio=rng.uniform(1, 5),
        drive=rng.uniform(-12, 5),
        noise=rng.uniform(-95, -55),
    )
    return finish(y, master, rng)
