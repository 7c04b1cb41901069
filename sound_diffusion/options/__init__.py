"""Every option of the scripts, once. :mod:`~sound_diffusion.options.declaration` says what follows."""

import functools
from typing import Any

from sound_diffusion.options.common import Options as Options
from sound_diffusion.options.declaration import Option as Option
from sound_diffusion.options.declaration import options_of as options_of
from sound_diffusion.options.films import FilmOptions as FilmOptions
from sound_diffusion.options.live import LiveOptions as LiveOptions
from sound_diffusion.options.pictures import MATRIX_SUFFIX as MATRIX_SUFFIX
from sound_diffusion.options.pictures import PictureOptions as PictureOptions

SCRIPTS: tuple[type[Options], ...] = (PictureOptions, FilmOptions, LiveOptions)


def path_flag(declared: type[Options]) -> str:
    """Return the flag of the sounds that a script works on; empty where it takes none."""
    return next((each.flag for each in options_of(declared) if each.name == "paths"), "")


def verify(**values: Any) -> None:
    """Raise ParameterError unless every value, by the name of its option, is one that the option may have."""
    declared = all_options()
    for name, value in values.items():
        if name in declared:
            declared[name].verify(value)


@functools.cache
def all_options() -> dict[str, Option]:
    """Return the options of all scripts by their names; what they declare differently is as films have it."""
    return {each.name: each for script in (*SCRIPTS, FilmOptions) for each in options_of(script)}
