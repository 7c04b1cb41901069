"""Time in a film: which samples and which seed every frame uses.

All times are exact fractions of a second, so that picture and sound cannot drift apart at any frame rate
and any length.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from sound_diffusion.constants import LARGEST_SEED, N_ROWS, SAMPLE_RATE, SHORTEST_LOOP
from sound_diffusion.errors import ParameterError
from sound_diffusion.film.keys import Keys
from sound_diffusion.options import FilmOptions, verify
from sound_diffusion.sound.features import get_feature
from sound_diffusion.typing import IntArray

APPROACH_SECONDS = 1.0  # in which a film goes back to its first frame


@dataclass(frozen=True)
class Frame:
    """One frame of a film: all that painting it needs, apart from the sound and the previous picture.

    Attributes
    ----------
    index : int
        0 for the first frame of the film.
    end : Fraction
        Seconds at which the frame ends; its newest moment lies just before.
    window : Fraction
        Seconds of sound that it shows.
    seed : int
        Of the noise.
    position : int
        The frame of the film at whose time it is, those that are not shown or not painted counted as well.
    step : int
        How many of these lie between it and the one that is painted before it, itself counted.
    """

    index: int
    end: Fraction
    window: Fraction
    seed: int
    position: int = 0
    step: int = 1

    @property
    def seed_of_addition(self) -> int:
        """Seed of the noise that is added to the frame before: no grain comes twice, whatever `seed` is."""
        return self.seed + (self.index + 1) * (LARGEST_SEED + 1)

    @property
    def moments(self) -> IntArray:
        """Sample positions of its rows: round(44100 * (end - window + j * window / 77)), shape (77,)."""
        first, step = SAMPLE_RATE * (self.end - self.window), SAMPLE_RATE * self.window / N_ROWS
        return np.array([round(first + j * step) for j in range(N_ROWS)])


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """The frames of a film.

    Attributes
    ----------
    n_samples : int
        Length of the sound at 44,100 Hz.
    fps : Fraction
        Frames a second.
    window : Fraction or None
        Seconds of sound in a frame. None: the duration of one frame, so that no column is used twice.
    feature : str
        A key of :data:`sound_diffusion.sound.features.FEATURES`. One that is not windowed reads what
        follows the frame's own time, whatever the window.
    seed : int
    seed_mode : str
        ``increment``: seed + index; ``fixed``: seed; ``random``: drawn from seed and index; ``ladder``: two
        up, one down; ``alternate``: seed and the next one in turn; ``walk`` and ``circle``: seed, as the
        noise itself goes on.
    stride : int
        Show every n-th frame only, at fps / n: the frames of a preview.
    cadence : int
        Paint every n-th of the frames that are shown, and the last one.
    interpolate : int or None
        Frames from key to key of a film that is interpolated.
    loop : bool
        Whether the film ends where it begins.
    """

    n_samples: int
    fps: Fraction
    window: Fraction | None = None
    feature: str = "fft"
    seed: int = 42
    seed_mode: str = "increment"
    stride: int = 1
    cadence: int = 1
    interpolate: int | None = None
    loop: bool = False

    def __post_init__(self) -> None:
        if self.n_samples < 1:
            raise ParameterError(f"a sound of {self.n_samples} samples", "at least 1")
        verify(fps=self.fps, window=self.window, seed_mode=self.seed_mode, preview=self.stride)
        farthest = {"increment": self.n_positions, "ladder": self.n_positions // 2 + 2}
        farthest |= {"alternate": 1, "circle": 1}
        last = self.seed + farthest.get(self.seed_mode, 0)
        if last > LARGEST_SEED:
            raise ParameterError(f"seed {self.seed} and {last - self.seed} more", f"at most {LARGEST_SEED}")

    def check_length(self) -> None:
        """Raise ParameterError where the film is too short for what is to happen in it."""
        n_frames = self.n_positions
        if self.loop and len(self) < SHORTEST_LOOP:
            raise ParameterError(
                f"--loop with {len(self)} frame{'s' * (len(self) > 1)}",
                f"{SHORTEST_LOOP} or more",
                "raise --fps",
            )
        if self.cadence > len(self):
            raise ParameterError(
                f"--cadence {self.cadence} of a film of {len(self)} frames", f"1 to {len(self)}"
            )
        if self.interpolate is not None:
            Keys(n_frames, self.interpolate, self.loop)

    @property
    def shown_fps(self) -> Fraction:
        """Frames a second of the film as it is shown."""
        return self.fps / self.stride

    def __len__(self) -> int:
        """Count the frames that cover the sound: ceil(duration * fps) without a stride."""
        return math.ceil(Fraction(self.n_samples, SAMPLE_RATE) * self.shown_fps)

    @property
    def n_positions(self) -> int:
        """Count the frames, those that a preview leaves out among them."""
        return math.ceil(Fraction(self.n_samples, SAMPLE_RATE) * self.fps)

    @property
    def period(self) -> int:
        """Samples after which a loop begins again."""
        return round(self.n_positions / self.fps * SAMPLE_RATE)

    @property
    def keys(self) -> Keys | None:
        """The key frames of a film that is interpolated, by their positions."""
        if self.interpolate is None:
            return None
        return Keys(self.n_positions, self.interpolate, self.loop)

    @property
    def painted(self) -> list[int]:
        """The frames that are painted, by their index; those between are decoded."""
        painted = list(range(0, len(self), self.cadence))
        if not self.loop and painted[-1] != len(self) - 1:
            painted.append(len(self) - 1)
        return painted

    def __getitem__(self, index: int) -> Frame:
        """Describe one frame; `index` counts the frames that are shown."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        position = index * self.stride
        since = index % self.cadence or min(self.cadence, index)  # the last frame may be nearer
        step = max(since, 1) * self.stride
        return Frame(index, (position + 1) / self.fps, self._window, self.seed_at(position), position, step)

    @property
    def _window(self) -> Fraction:
        windowed = get_feature(self.feature).windowed
        return self.window if self.window is not None and windowed else self.cadence / self.fps

    def approach(self, index: int) -> float:
        """Say how far a frame of a loop goes back to the first one, in [0, 1): 0 until the last second.

        That is what it hears, and the picture that it is painted over.
        """
        over = min(APPROACH_SECONDS * float(self.shown_fps), len(self) - 1) if self.loop else 0
        return max(0.0, (index + 1 - (len(self) - over)) / (over + 1)) if self.loop else 0.0

    def position_of(self, place: float) -> int:
        """Return the position that is nearest to a place on the way of the film."""
        return round(place) % self.n_positions

    def key(self, position: int) -> Frame:
        """Describe a key frame: it hears all of the sound since the one before, and not less than others.

        Before a sound that is no loop there is nothing to be heard, so that the first key hears its frame.
        """
        assert self.interpolate is not None
        end = (position + 1) / self.fps
        window = max(self._window, self.interpolate / self.fps)
        return Frame(
            position, end, window if self.loop else min(window, end), self.seed_at(position), position
        )

    def position(self, frame: Frame) -> float:
        """Return the place of a frame in the film, from 0 to 1."""
        if self.loop:  # there and back
            return 1 - abs(2 * frame.position / self.n_positions - 1)
        return min(frame.position / self.stride / max(len(self) - 1, 1), 1.0)

    def seed_at(self, position: int) -> int:
        """Return the seed of a frame by its position."""
        if self.seed_mode == "increment":
            return self.seed + position
        if self.seed_mode == "ladder":
            return self.seed + position // 2 + 2 * (position % 2)
        if self.seed_mode == "alternate":
            return self.seed + position % 2
        if self.seed_mode != "random":
            return self.seed
        return int(np.random.default_rng([self.seed, position]).integers(2**32))


def timeline_of(n_samples: int, options: FilmOptions) -> Timeline:
    """Lay out the frames of a film over a sound of `n_samples` at 44,100 Hz."""
    return Timeline(
        n_samples=n_samples,
        fps=options.fps,
        window=options.window,
        feature=options.feature,
        seed=options.seed,
        seed_mode=options.seed_mode or "increment",
        stride=options.preview or 1,
        cadence=options.cadence,
        interpolate=options.interpolate,
        loop=options.loop,
    )
