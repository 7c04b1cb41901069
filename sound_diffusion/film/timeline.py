"""Time in a film: which samples and which seed every frame uses.

All times are exact fractions of a second, so that picture and sound cannot drift apart at any frame rate
and any length.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from sound_diffusion.constants import LARGEST_SEED, N_ROWS, SAMPLE_RATE
from sound_diffusion.errors import ParameterError
from sound_diffusion.options import verify
from sound_diffusion.sound.features import extract_at, get_feature
from sound_diffusion.typing import FloatArray, IntArray


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
    """

    index: int
    end: Fraction
    window: Fraction
    seed: int

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
    seed_mode : {"increment", "fixed", "random"}
        ``increment``: seed + index; ``fixed``: seed; ``random``: drawn from seed and index.
    stride : int
        Show every n-th frame only, at fps / n: the frames of a preview.
    """

    n_samples: int
    fps: Fraction
    window: Fraction | None = None
    feature: str = "fft"
    seed: int = 42
    seed_mode: str = "increment"
    stride: int = 1

    def __post_init__(self) -> None:
        if self.n_samples < 1:
            raise ParameterError(f"a sound of {self.n_samples} samples", "at least 1")
        verify(fps=self.fps, window=self.window, seed_mode=self.seed_mode, preview=self.stride)
        if self.seed_mode == "increment" and self.seed + len(self) * self.stride > LARGEST_SEED:
            raise ParameterError(f"seed {self.seed} and {len(self)} more", f"at most {LARGEST_SEED}")

    @property
    def shown_fps(self) -> Fraction:
        """Frames a second of the film as it is shown."""
        return self.fps / self.stride

    def __len__(self) -> int:
        """Count the frames that cover the sound: ceil(duration * fps) without a stride."""
        return math.ceil(Fraction(self.n_samples, SAMPLE_RATE) * self.shown_fps)

    def __getitem__(self, index: int) -> Frame:
        """Describe one frame; `index` counts the frames that are shown."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        position = index * self.stride
        windowed = get_feature(self.feature).windowed
        window = self.window if self.window is not None and windowed else 1 / self.fps
        return Frame(index, (position + 1) / self.fps, window, self._seed(position))

    def position(self, frame: Frame) -> float:
        """Return the place of a frame in the film, from 0 to 1."""
        return frame.index / max(len(self) - 1, 1)

    def _seed(self, position: int) -> int:
        if self.seed_mode == "increment":
            return self.seed + position
        if self.seed_mode == "fixed":
            return self.seed
        return int(np.random.default_rng([self.seed, position]).integers(2**32))


class SampleBuffer:
    """Random access to a stream of samples, as long as nobody looks back further than the last look.

    Parameters
    ----------
    blocks : iterator of np.ndarray [shape=(n,), dtype=float32]
        The sound, from its first sample on.
    """

    def __init__(self, blocks: Iterator[FloatArray]) -> None:
        self._blocks = blocks
        self._samples: FloatArray = np.zeros(0, dtype=np.float32)
        self._first = 0

    def read(self, first: int, stop: int) -> FloatArray:
        """Return samples first .. stop - 1, fewer at the end of the sound.

        `first` must not be less than in the call before.
        """
        assert first >= self._first, "the stream has gone past these samples"
        while self._first + len(self._samples) < stop:
            block = next(self._blocks, None)
            if block is None:
                break
            keep = self._samples[first - self._first :]
            # A jump ahead of all that was read leaves nothing to keep, and the stream to catch up with it.
            self._first = min(first, self._first + len(self._samples))
            self._samples = np.concatenate([keep, block])
        return self._samples[first - self._first : stop - self._first]


def frame_features(
    blocks: Iterator[FloatArray], timeline: Timeline, width: int, indices: Iterable[int] | None = None
) -> Iterator[tuple[Frame, FloatArray]]:
    """Evaluate the feature of frame after frame, in memory that does not grow with the sound.

    Parameters
    ----------
    blocks : iterator of np.ndarray [shape=(n,), dtype=float32]
        The sound, from its first sample on, as from :func:`sound_diffusion.stream_audio`.
    timeline : Timeline
    width : int
        Columns D: the width of the model's cross-attention.
    indices : iterable of int, optional
        Which frames, ascending; all of them if None.

    Yields
    ------
    frame : Frame
    matrix : np.ndarray [shape=(77, width), dtype=float32]
        The feature at the frame's moments, unscaled.
    """
    before, after = get_feature(timeline.feature).reach(width)
    buffer = SampleBuffer(blocks)
    for index in range(len(timeline)) if indices is None else indices:
        frame = timeline[index]
        moments = frame.moments
        first = max(int(moments[0]) - before, 0)
        samples = buffer.read(first, int(moments[-1]) + after + 1)
        yield frame, extract_at(samples, moments - first, timeline.feature, width)
