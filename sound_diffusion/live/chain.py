"""Painting a take, frame after frame, each by what was heard up to its end and over the picture before.

Nothing here knows of time as it passes: the same sound, settings and frames give the same pictures, now or
from a recording.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np

from sound_diffusion.constants import LARGEST_SEED, N_ROWS, SAMPLE_RATE
from sound_diffusion.errors import ParameterError
from sound_diffusion.film.camera import Feedback, Motion, feed_back
from sound_diffusion.film.colors import Coherence
from sound_diffusion.film.controls import Controls, schedules_of
from sound_diffusion.film.moved_noise import add_up
from sound_diffusion.film.noise import Circle, NoisePath, NoisePoint
from sound_diffusion.film.painter import FilmPainter
from sound_diffusion.film.painter import Painted as PaintedFrame
from sound_diffusion.film.path import Heard
from sound_diffusion.film.timeline import Frame, timeline_of
from sound_diffusion.formulas.schedules import Schedule, plain_number
from sound_diffusion.formulas.variables import Variables
from sound_diffusion.job import Job
from sound_diffusion.model.model import Model
from sound_diffusion.options import FilmOptions, LiveOptions
from sound_diffusion.options.films import SCHEDULED
from sound_diffusion.sound.description import LIVE_SECONDS, DescriptorStream
from sound_diffusion.sound.descriptors import DESCRIPTORS, levels
from sound_diffusion.sound.features import extract_at, get_feature
from sound_diffusion.typing import DoubleArray, FloatArray

if TYPE_CHECKING:
    from PIL import Image

LiveJob = Job[LiveOptions]
LONGEST_TAKE = 2**31  # samples, 13 hours: what the number of a picture and a seed have room for
# Samples after its last moment that a frame waits for; fft and mel spectra need as many.
LOOKAHEAD = SAMPLE_RATE // 40
RESTING = dict.fromkeys(SCHEDULED, 0.0) | {"strength": 0.4, "guidance": 1.0, "gain": 1.0, "zoom": 1.0}
"""What a formula stands for that has given no number yet."""
MOST_MISSED = 30  # frames whose motion is made up for in one step


@dataclass(frozen=True)
class _Here:
    """The noise of one frame."""

    point: NoisePoint

    def at(self, place: float) -> NoisePoint:
        """Return it, whatever the place."""
        return self.point


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
    frame = timeline_of(LONGEST_TAKE, options)[index]
    if get_feature(options.feature).windowed:
        return frame
    return replace(frame, window=Fraction(N_ROWS * width, SAMPLE_RATE))


def samples_needed(options: LiveOptions, index: int, width: int) -> int:
    """Count the samples of a take that are waited for before a frame is painted: as :func:`frame_of`."""
    frame, feature = frame_of(options, index, width), get_feature(options.feature)
    end = int(frame.end * SAMPLE_RATE)
    if not feature.windowed:
        return end
    after = feature.reach(width)[1]
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
        self._before: PaintedFrame | None = None
        self._coherence: Coherence | None = None
        self._numbers: dict[str, float] = {}
        self._walked = 0.0  # seeds
        self._way: Motion | None = None  # of the camera, since it moved first

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
        controls = Controls(options, numbers=numbers, noise=self._noise(index, options, numbers))
        here = replace(frame, position=missed, step=missed)
        feedback = controls.feedback(here)
        start = self._start(feedback, job)
        ways = self._ways(here, feedback.motion, controls.forgets_all(here.position))
        scaling = job.defaults.scaling_for(options.feature, options.scaling)
        timeline, film_job = timeline_of(LONGEST_TAKE, options), cast("Job[FilmOptions]", job)
        parts = (self._model, film_job, timeline, controls, scaling, options.feature)
        painter = FilmPainter(*parts, ways, self._keep_colors(index, options))
        conditioning = painter.condition(here, Heard(self._feature(frame, options)))
        [painted] = painter.paint([here], [conditioning], [index], start)
        self._last, self._before = index, painted
        now = {name: float(values[-1]) for name, values in numbers.items()}
        return Painted(frame, painted.picture, now, held)

    def _start(self, feedback: Feedback, job: LiveJob) -> PaintedFrame | Image.Image | None:
        """Return what is painted over: the frame before, as it is or changed; at first a picture."""
        if self._before is None:
            return job.init_image
        changed = feed_back(self._before.picture, feedback)
        if changed is self._before.picture and self._coherence is None:
            return self._before
        return changed

    def _keep_colors(self, index: int, options: LiveOptions) -> Coherence | None:
        """Keep the colours of the second since that is asked for."""
        space, strength, kept = options.color_coherence, options.color_strength, self._coherence
        if space == "none":
            self._coherence = None
        elif kept is None or kept.space != space:
            self._coherence = Coherence(space, strength, range(index, index + math.ceil(self._fps)))
        else:
            kept.strength = strength
        return self._coherence

    def _ways(self, frame: Frame, step: Motion, anew: bool) -> dict[int, Motion] | None:
        """Return how far the camera has come; None as long as it has not moved."""
        if self._way is None and step.is_still:
            return None
        [self._way] = add_up([((self._way or Motion()).then(step), anew)])
        return {frame.index: self._way}

    def _noise(
        self, index: int, options: LiveOptions, numbers: Mapping[str, DoubleArray]
    ) -> NoisePath | None:
        """Say what noise a frame has that goes on from the one before; None: that of its seed."""
        if options.seed_mode == "circle":
            assert options.loop_seconds is not None
            return Circle(options.seed, float(options.loop_seconds * options.fps))
        if options.seed_mode != "walk":
            return None
        rates = numbers.get("walk_rate")
        rate = (plain_number(options.walk_rate) or 0.0) if rates is None else float(np.mean(rates[1:]))
        self._walked += rate * (index - (self._last or 0)) / float(options.fps)
        whole = math.floor(self._walked)
        one, other = ((options.seed + whole + n) % (LARGEST_SEED + 1) for n in (0, 1))
        return _Here(NoisePoint(one, other, self._walked - whole))

    def _describe(self, frame: Frame) -> None:
        end = int(frame.end * SAMPLE_RATE)
        rows = self._stream.push(self._sound.read(self._heard, end), last=True)
        self._heard = end
        self._rows.extend(rows)

    def _feature(self, frame: Frame, options: LiveOptions) -> FloatArray:
        moments, width = frame.moments, self._model.width
        before, after = get_feature(options.feature).reach(width)
        first, heard = int(moments[0]) - before, samples_needed(options, frame.index, width)
        samples = self._sound.read(first, max(min(int(moments[-1]) + after + 1, heard), first))
        return extract_at(samples, moments - first, options.feature, width)

    def _evaluate(
        self, schedules: Mapping[str, Schedule], index: int, missed: int
    ) -> tuple[dict[str, DoubleArray], dict[str, str]]:
        """Work schedules out for the newest frames: `missed` + 1 numbers each, the last of which count."""
        if not schedules:
            return {}, {}
        raw = np.array(self._rows)
        descriptors = dict(zip(DESCRIPTORS, levels(raw).T, strict=True))
        variables = Variables(len(raw), self._fps, descriptors, first_frame=index + 1 - len(raw))
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
