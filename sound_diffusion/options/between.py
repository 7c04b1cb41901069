"""The options of audio2video that say how a film goes from frame to frame."""
# ruff: noqa: RUF009  (option declares a field)

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any

from sound_diffusion.constants import SEED_MODES, SHORTEST_LOOP
from sound_diffusion.errors import ParameterError, shorten
from sound_diffusion.film.keys import SPACINGS
from sound_diffusion.formulas.schedules import Limits, Scheduled
from sound_diffusion.options.common import Options, picture_option, scheduled
from sound_diffusion.options.declaration import above, at_least, fraction

NEWER = "0.2.0"
WALK_RATE = 1.0  # seeds a second
PACE = Limits(0)

_option = partial(picture_option, group="from frame to frame", since=NEWER)


@dataclass(frozen=True, kw_only=True)
class BetweenFrames(Options):
    """How a film goes from frame to frame."""

    fps: Fraction
    mode: str
    seed_mode: str | None = picture_option(
        None,
        "noise of each frame (default: the model's, else increment for img2img, fixed for txt2img); "
        "walk and circle go on from frame to frame",
        choices=SEED_MODES,
    )
    walk_rate: Scheduled = scheduled(
        _option, "--walk-rate", Limits(0, 1000), WALK_RATE, "seeds a second of --seed-mode walk"
    )
    loop: bool = _option(False, "end the film where it begins")
    loop_seconds: Fraction | None = _option(
        None,
        "go once round in this time with --seed-mode circle (default: in the film)",
        parse=fraction,
        metavar="SECONDS",
        check=above(0),
    )
    interpolate: int | None = _option(
        None,
        "with --mode txt2img, paint from the sound of every N frames, and go from one to the next",
        metavar="N",
        check=at_least(1),
    )
    spacing: str = _option(
        "time",
        "of the frames between: equal times, even steps to the eye, or at the pace of the music",
        choices=SPACINGS,
        needs=("interpolate",),
    )
    pace: Scheduled | None = scheduled(_option, "--pace", PACE, None, "of --spacing music (default: onset)")
    cadence: int = _option(
        1, "paint every N-th frame, and decode those between", metavar="N", check=at_least(1)
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_between()

    def _check_between(self) -> None:
        """Refuse what says nothing beside the other options."""
        if self.over_pictures and self.interpolate is not None:
            raise ParameterError(
                f"--interpolate {self.interpolate} with --mode img2img",
                "--mode txt2img",
                "or use --cadence, which goes between painted frames in both",
            )
        walks, circles = self.seed_mode == "walk", self.seed_mode == "circle"
        useless: list[tuple[str, Any, bool, str]] = [
            ("--walk-rate", self.walk_rate, self.walk_rate != WALK_RATE and not walks, "--seed-mode walk"),
            ("--loop-seconds", self.loop_seconds, not circles, "--seed-mode circle"),
            ("--pace", self.pace, self.spacing != "music", "--spacing music"),
        ]
        for flag, value, says_nothing, needed in useless:
            if value is not None and says_nothing:
                raise ParameterError(f"{flag} {shorten(str(value))} alone", f"{needed} as well")
        if self.loop_seconds is not None and self.loop_seconds * self.fps < SHORTEST_LOOP:
            raise ParameterError(
                f"--loop-seconds {self.loop_seconds} at {self.fps} frames a second: a loop of less than "
                f"{SHORTEST_LOOP} frames",
                f"{SHORTEST_LOOP} or more",
            )
