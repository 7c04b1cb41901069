"""How a number that may change over a film is declared as an option."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sound_diffusion.film.schedules import Limits, Schedule, Scheduled, parse_scheduled
from sound_diffusion.options.declaration import FORMULA


def scheduled(declare: Callable[..., Any], flag: str, limits: Limits, *said: Any) -> Any:
    """Declare a number that may change over a film."""

    def check(value: Scheduled) -> tuple[str, ...]:
        fits = isinstance(value, Schedule) or bool(limits.contain(np.array([value], dtype=np.float64))[0])
        return () if fits else (str(limits),)

    def parse(text: str) -> Scheduled:
        return parse_scheduled(text, flag, limits)

    flags = () if flag == "--scale" else (flag,)  # its declaration names it
    return declare(*said, *flags, parse=parse, check=check, metavar=FORMULA)
