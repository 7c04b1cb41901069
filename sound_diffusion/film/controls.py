"""Controls: what the numbers and words of a film that follow its sound come to at every frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sound_diffusion.bending import work_out_amounts
from sound_diffusion.conditioning import Words
from sound_diffusion.errors import ParameterError
from sound_diffusion.film.camera import Feedback, Motion
from sound_diffusion.film.noise import NoisePath, noise_path
from sound_diffusion.film.timeline import Frame, Timeline
from sound_diffusion.formulas.prompts import PromptStep
from sound_diffusion.formulas.schedules import Schedule
from sound_diffusion.formulas.variables import TIME_VARIABLES, Series, Variables, no_beats, read_series
from sound_diffusion.options.films import SCHEDULED, FilmOptions
from sound_diffusion.settings import PaintSettings, gives_a_step, what_gives_a_step
from sound_diffusion.sound.description import Descriptors, describe_stream
from sound_diffusion.sound.descriptors import DESCRIPTORS
from sound_diffusion.sources import SoundSource
from sound_diffusion.typing import DoubleArray


@dataclass(frozen=True)
class Controls:
    """The numbers and words of a film at every frame.

    Attributes
    ----------
    options : FilmOptions
        What does not change over the film.
    stride : int
        Every n-th frame is shown. The arrays below hold those in between as well.
    numbers : mapping from str to np.ndarray [shape=(n,), dtype=float64]
        What each schedule comes to, by the name of its option.
    steps : sequence of PromptStep or None
        The prompts of every frame, where there are some over time.
    amounts : np.ndarray [shape=(n, n_bends), dtype=float64]
        Of the bends.
    noise : NoisePath or None
        None: each frame has the noise of its seed.
    """

    options: FilmOptions
    stride: int = 1
    numbers: Mapping[str, DoubleArray] = field(default_factory=dict)
    steps: Sequence[PromptStep] | None = None
    amounts: DoubleArray = field(default_factory=lambda: np.empty((0, 0)))
    noise: NoisePath | None = None

    def _number(self, name: str, position: int) -> float:
        values = self.numbers.get(name)
        return getattr(self.options, name) if values is None else float(values[position])

    @property
    def keeps_colors(self) -> bool:
        """Whether frames are given the colours of the first second."""
        return self.options.color_coherence != "none"

    def values(self, frame: Frame) -> dict[str, Any]:
        """Return what changes over the film, as it is at a frame, for the frame's recipe.

        Parameters
        ----------
        frame : Frame

        Returns
        -------
        values : dict
            The numbers by the names of their options; ``prompts``: the words before and after, and how much
            of the way between them is done.
        """
        position = frame.position
        values: dict[str, Any] = {name: self._number(name, position) for name in self.numbers}
        if self.steps is not None:
            step = self.steps[position]
            values["prompts"] = [step.before.text, step.after.text, step.share]
        if self.options.bend:
            values["bend"] = self.amounts[position].tolist()
        return values

    def settings(self, settings: PaintSettings, frame: Frame) -> PaintSettings:
        """Return how a frame is painted. A strength that gives no step at all keeps the frame before."""
        position = frame.position
        changed: dict[str, Any] = {
            name: self._number(name, position) for name in ("strength", "guidance") if name in self.numbers
        }
        settings = replace(settings, **changed)
        return settings if gives_a_step(settings) else replace(settings, strength=0.0)

    def check_steps(self, settings: PaintSettings) -> None:
        """Raise ParameterError for a strength that is not 0 by intention, and yet gives no frame a step."""
        strengths = self.numbers.get("strength", np.zeros(0))[:: self.stride]
        painted_over = strengths if self.options.init_image is not None else strengths[1:]
        steps = settings.steps
        if painted_over.any() and not settings.few_steps and not (painted_over * steps >= 1).any():
            highest = float(painted_over.max())
            raise ParameterError(
                f"--strength {self.options.strength}: at most {highest:.4g}, of {steps} steps none",
                "one at some frame",
                what_gives_a_step(steps, highest),
            )

    def forgets_all(self, index: int) -> bool:
        """Whether the frame of an index owes nothing to the one before."""
        return self._number("strength", index * self.stride) >= 1

    def cost(self, index: int) -> float:
        """Return what share of the steps the frame of an index takes."""
        return 1.0 if index == 0 else self._number("strength", index * self.stride)

    def gain(self, frame: Frame) -> float:
        """Return what the scaled sound of a frame is multiplied by."""
        return self._number("gain", frame.position)

    def words(self, words: Words, frame: Frame, position: float) -> tuple[Words, float]:
        """Return the words of a frame, and how much of the way from the first to the second is done.

        Parameters
        ----------
        words : Words
            Those of the film.
        frame : Frame
        position : float
            In the film, from 0 to 1.
        """
        index = frame.position
        if "text_weight" in self.numbers:
            words = replace(words, weight=self._number("text_weight", index))
        if self.steps is None:
            return words, position
        before, after, share = self.steps[index].before, self.steps[index].after, self.steps[index].share
        negatives = [words.negative if each.negative is None else each.negative for each in (before, after)]
        now = replace(
            words,
            prompt=before.text,
            end_prompt=after.text,
            negative=negatives[0],
            end_negative=negatives[1],
            interpolation=self.options.interpolation,
        )
        return now, share

    def pace(self, n_frames: int) -> DoubleArray:
        """Return at what pace the film goes from key to key, (n_frames,)."""
        return np.array([self._number("pace", position) for position in range(n_frames)])

    def motion(self, positions: Sequence[int]) -> Motion:
        """Return how the camera moves over some frames, by their positions: it adds up."""

        def over(name: str) -> list[float]:
            return [self._number(name, position) for position in positions]

        return Motion(
            float(np.prod(over("zoom"))),
            float(sum(over("angle"))),
            float(sum(over("translation_x"))),
            float(sum(over("translation_y"))),
        )

    def feedback(self, frame: Frame) -> Feedback:
        """Return what happens before a frame is painted, the motion of frames that are not among it."""
        last, options = frame.position, self.options
        return Feedback(
            self.motion(range(last - frame.step + 1, last + 1)),
            options.border,
            options.sharpen,
            0.0 if self._noise_in_latents else self._number("noise", last),
            frame.seed_of_addition,
        )

    def noise_in_latents(self, frame: Frame) -> float:
        """Return the deviation of the noise that the latents get that a frame is painted over.

        Where frames go on from latents it is added to these: noise between pixels is averaged away by the
        encoder. An initial picture gets none, as in Deforum.
        """
        return self._number("noise", frame.position) if self._noise_in_latents and frame.index else 0.0

    @property
    def _noise_in_latents(self) -> bool:
        return self.options.chain == "latent"


def schedules_of(options: FilmOptions) -> dict[str, Schedule]:
    """Return the options that change over the film, by their names."""
    values = {name: getattr(options, name) for name in SCHEDULED}
    return {name: value for name, value in values.items() if isinstance(value, Schedule)}


def known_names(options: FilmOptions) -> list[str]:
    """Name what formulas may speak of; ParameterError where the series cannot be read."""
    series = _series(options)
    return [*TIME_VARIABLES, *DESCRIPTORS, *(() if series is None else series.columns)]


def check_controls(options: FilmOptions, *others: Schedule) -> None:
    """Raise ParameterError where schedules use variables that there are not, or the series cannot be read."""
    known = known_names(options)
    for schedule in (*schedules_of(options).values(), *(bend.amount for bend in options.bend), *others):
        schedule.check_names(known)


def work_out(options: FilmOptions, sound: SoundSource, timeline: Timeline) -> Controls:
    """Work out all numbers and words of a film before the first frame is painted.

    Parameters
    ----------
    options : FilmOptions
        With what the model declares filled in.
    sound : SoundSource
        It is read where a schedule follows it.
    timeline : Timeline

    Returns
    -------
    controls : Controls

    Raises
    ------
    ParameterError
        If a number is out of range at some frame, or beats are counted in a sound that has none.
    """
    schedules, prompts = schedules_of(options), options.prompts
    amounts = [bend.amount for bend in options.bend]
    names = frozenset().union(*(schedule.names for schedule in (*schedules.values(), *amounts)))
    listens = bool(names & {*DESCRIPTORS, "beats"}) or (prompts is not None and prompts.in_beats)
    heard = hear(sound, timeline) if listens else None
    variables = variables_of(options, timeline, heard)
    numbers = {name: schedule.evaluate(variables) for name, schedule in schedules.items()}
    steps = None if prompts is None else prompts.steps(variables, closed=timeline.loop)
    return Controls(
        options,
        timeline.stride,
        numbers,
        steps,
        work_out_amounts(options.bend, variables),
        noise_path(options, timeline, numbers.get("walk_rate")),
    )


def hear(sound: SoundSource, timeline: Timeline) -> Descriptors:
    """Describe a sound by numbers for all frames, those that a preview leaves out among them."""
    return describe_stream(sound.stream(warn=False), timeline.fps)


def variables_of(options: FilmOptions, timeline: Timeline, heard: Descriptors | None) -> Variables:
    """Gather what formulas can speak of."""
    n_frames = len(replace(timeline, stride=1))
    return Variables(
        n_frames,
        timeline.fps,
        descriptors={} if heard is None else heard,
        find_beats=no_beats if heard is None else lambda: heard.beats,
        series=_series(options),
        seed=options.seed,
    )


def _series(options: FilmOptions) -> Series | None:
    return None if options.series is None else read_series(options.series, frozenset(DESCRIPTORS))
