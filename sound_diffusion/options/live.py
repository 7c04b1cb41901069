"""The options of audio2live."""
# ruff: noqa: RUF009  (option declares a field)

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

from sound_diffusion.film.noise import MOVING, SEED_MODES
from sound_diffusion.options.common import picture_option
from sound_diffusion.options.declaration import above, at_least, fraction, option, within
from sound_diffusion.options.films import FilmOptions

PAGE = "page"


@dataclass(frozen=True, kw_only=True)
class LiveOptions(FilmOptions):
    """What audio2live takes: what a film takes, but for what needs a file or the whole of a sound."""

    script: ClassVar[str] = "audio2live.py"
    left_out: ClassVar[frozenset[str]] = frozenset(
        {
            "paths", "input_folder", "from_file", "skip_existing", "offset", "duration", "mode",
            "textpromptend", "prompts", "interpolation", "series", "describe", "export_schedule",
            "allow_flashing", "batch_size", "preview", "output", "audio", "keep_frames", "force", "wait",
            "walk_rate", "loop", "loop_seconds", "interpolate", "spacing", "pace", "cadence", "bend",
            "shard",
        }
    )  # fmt: skip

    outdir: Path | None = option(Path("outputs/live"), "folder for what is recorded", metavar="FOLDER")
    fps: Fraction = picture_option(
        Fraction(30),
        "the most frames a second, and what t counts",
        parse=fraction,
        check=above(0, 120),
        label="{} frames a second (--fps)",
    )
    seed_mode: str | None = picture_option(
        None,
        "seed of each frame (default: the model's, else increment)",
        choices=tuple(mode for mode in SEED_MODES if mode not in MOVING),
    )
    size: int | None = option(None, "height and width, for --H and --W", metavar="PIXELS", group="model")
    host: str = option(
        "127.0.0.1", "address to listen at; beyond this machine, the page's has a token", group=PAGE
    )
    port: int = option(7860, "port; the next free one if it is taken", check=within(0, 65535), group=PAGE)
    open: bool = option(False, "open the page in a browser", group=PAGE)
    watchers: int = option(
        0, "how many pages may watch beside the one that is heard", check=at_least(0), metavar="N", group=PAGE
    )
    stats: Path | None = option(None, "write what each picture took", metavar="FILE.csv", group=PAGE)

    @classmethod
    def expand(cls, words: Sequence[str]) -> list[str]:
        """Write --size out, and put the options of a preset before all others."""
        expanded = super().expand(words)
        sizes = [
            value or following
            for (flag, equals, value), following in zip(
                (word.partition("=") for word in words), [*words[1:], ""], strict=True
            )
            if flag == "--size" and (equals or following)
        ]
        return [*(f"{side}={sizes[-1]}" for side in ("--H", "--W") if sizes), *expanded]
