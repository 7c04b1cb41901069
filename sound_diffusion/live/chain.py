"""Painting a take, frame after frame, each by what was heard up to its end and over the picture before.

Nothing here knows of time as it passes: the same sound, settings and frames give the same pictures, now or
from a recording.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Protocol

import numpy as np

from sound_diffusion.conditioning import condition
from sound_diffusion.constants import N_ROWS, SAMPLE_RATE
from sound_diffusion.errors import ParameterError
from sound_diffusion.film.camera import Feedback, feed_back
from sound_diffusion.film.controls import Controls, schedules_of
from sound_diffusion.film.schedules import Schedule
from sound_diffusion.film.timeline import Frame, Timeline
from sound_diffusion.film.variables import Variables
from sound_diffusion.job import Job
from sound_diffusion.latents import decode_latents, encode_pictures, seeded
from sound_diffusion.model.model import Model
from sound_diffusion.options import LiveOptions
from sound_diffusion.options.films import SCHEDULED
from sound_diffusion.painting import paint_latents
from sound_diffusion.settings import PaintSettings
from sound_diffusion.sound.descriptors import DESCRIPTORS, LIVE_SECONDS, DescriptorStream, levels
from sound_diffusion.sound.features import extract_at, get_feature
from sound_diffusion.typing import DoubleArray, FloatArray

if TYPE_CHECKING:
    import torch
    from PIL import Image

LiveJob = Job[LiveOptions]
LONGEST_TAKE = 2**31  # samples, 13 hours: what the number of a picture and a seed have room for
LOOKAHEAD = (
    SAMPLE_RATE // 40
)  # samples after its last moment that a frame waits for; fft and mel spectra need as many
RESTING = dict.fromkeys(SCHEDULED, 0.0) | {"strength": 0.4, "guidance": 1.0, "gain": 1.0, "zoom": 1.0}
"""What a formula stands for that has given no number yet."""
MOST_MISSED = 30  # frames whose motion is made up for in one step


class Sound(Protocol):
    """What was heard; zero before and after."""

    def read(self, first: int, stop: int) -> FloatArray:
        """Return samples `first` .. `stop` - 1."""


def frame_of(options: LiveOptions, index: int, width: int) -> Frame:
    """Say what frame `index` of a take is painted from; a feature that looks ahead in a film looks back here.

    Parameters
    ----------
    options : LiveOptions
        With what the model declares filled in.
    index : int
    width : int
        Columns D.
    """
    timeline = Timeline(
        n_samples=LONGEST_TAKE,
        fps=options.fps,
        window=options.window,
        feature=options.feature,
        seed=options.seed,
        seed_mode=options.seed_mode or "increment",
    )
    frame = timeline[index]
    if get_feature(options.feature).windowed:
        return frame
    return replace(frame, window=Fraction(N_ROWS * width, SAMPLE_RATE))


def samples_needed(frame: Frame, feature: str, width: int) -> int:
    """Count the samples of a take that are waited for before a frame is painted."""
    end = int(frame.end * SAMPLE_RATE)
    if not get_feature(feature).windowed:
        return end
    after = get_feature(feature).reach(width)[1]
    return max(end, int(frame.moments[-1]) + min(after, LOOKAHEAD) + 1)


@dataclass(frozen=True)
class Painted:
    """A picture of a take.

    Attributes
    ----------
    frame : Frame
    picture : PIL.Image.Image
    numbers : dict from str to float
        What formulas came to, by the names of the options.
    held : dict from str to str
        Options whose formulas have left what they may be, and a line about each.
    """

    frame: Frame
    picture: Image.Image
    numbers: dict[str, float]
    held: dict[str, str]


class Chain:
    """Paints frames of a take in ascending order. The previous picture and what was heard are its state.

    Parameters
    ----------
    model : Model
    sound : Sound
    fps : Fraction
        Frames a second.
    """

    def __init__(self, model: Model, sound: Sound, fps: Fraction) -> None:
        self._model = model
        self._sound = sound
        self._fps = fps
        self._stream = DescriptorStream(fps)
        self._rows: deque[DoubleArray] = deque(maxlen=max(1, round(LIVE_SECONDS * fps)))
        self._heard = 0  # samples that are described
        self._last: int | None = None
        self._previous: Image.Image | None = None
        self._latents: torch.Tensor | None = None
        self._first: Image.Image | None = None
        self._numbers: dict[str, float] = {}

    def paint(self, index: int, job: LiveJob) -> Painted:
        """Paint frame `index`, which comes after all that were painted.

        Parameters
        ----------
        index : int
        job : Job
            The settings as they are now.
        """
        options = job.options
        frame = frame_of(options, index, self._model.width)
        self._describe(frame)
        missed = min(index - self._last, MOST_MISSED) if self._last is not None else 1
        numbers, held = self._evaluate(schedules_of(options), index, missed)
        # The frames that were not painted are those that a preview leaves out: their motion adds up.
        controls, here = Controls(options, numbers=numbers), replace(frame, position=missed, step=missed)
        matrix = self._feature(frame, options.feature)
        conditioning = condition(
            self._model,
            matrix,
            job.defaults.scaling_for(options.feature, options.scaling),
            *controls.words(job.words, here, 0.0),
            controls.gain(here),
            options.feature,
        )
        settings = controls.settings(job.settings, here)
        seeds = seeded([frame.seed])
        start = self._start(controls.feedback(here), job, settings, seeds)
        self._latents = paint_latents(self._model, [conditioning], seeds, settings, start)
        [picture] = decode_latents(self._model, self._latents, [frame.seed])
        self._last, self._previous = index, picture
        self._first = None if options.color_coherence == "none" else self._first or picture
        return Painted(frame, picture, {name: float(values[-1]) for name, values in numbers.items()}, held)

    def _start(
        self, feedback: Feedback, job: LiveJob, settings: PaintSettings, seeds: list[torch.Generator]
    ) -> torch.Tensor | None:
        """Return what is painted over: the latents before; a picture that was changed is encoded anew."""
        previous = self._previous
        if previous is None:
            image = job.init_image
            return None if image is None else encode_pictures(self._model, [image], settings, seeds)
        fed_back = feed_back(previous, feedback, self._first)
        if fed_back is previous and self._latents is not None:
            return self._latents
        return encode_pictures(self._model, [fed_back], settings, seeds)

    def _describe(self, frame: Frame) -> None:
        end = int(frame.end * SAMPLE_RATE)
        rows = self._stream.push(self._sound.read(self._heard, end), last=True)
        self._heard = end
        self._rows.extend(rows)

    def _feature(self, frame: Frame, feature: str) -> FloatArray:
        before, after = get_feature(feature).reach(self._model.width)
        moments = frame.moments
        first = int(moments[0]) - before
        stop = max(
            min(int(moments[-1]) + after + 1, samples_needed(frame, feature, self._model.width)), first
        )
        return extract_at(self._sound.read(first, stop), moments - first, feature, self._model.width)

    def _evaluate(
        self, schedules: Mapping[str, Schedule], index: int, missed: int
    ) -> tuple[dict[str, DoubleArray], dict[str, str]]:
        """Work schedules out for the newest frames: `missed` + 1 numbers each, the last of which count."""
        if not schedules:
            return {}, {}
        raw = np.array(self._rows)
        variables = Variables(
            len(raw),
            self._fps,
            dict(zip(DESCRIPTORS, levels(raw).T, strict=True)),
            first_frame=index + 1 - len(raw),
        )
        numbers, held = {}, {}
        for name, schedule in schedules.items():
            try:
                values, problem = schedule.newest(variables, missed + 1)
            except ParameterError as error:
                values, problem = np.full(missed + 1, np.nan), error
            if problem is not None:
                held[name] = str(problem)
                values = np.clip(values, schedule.limits.low, schedule.limits.high)
                values[~schedule.limits.contain(values)] = self._numbers.get(name, RESTING[name])
            self._numbers[name] = float(values[-1])
            numbers[name] = values
        return numbers, held
