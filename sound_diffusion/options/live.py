"""The options of audio2live."""
# ruff: noqa: RUF009  (option declares a field)

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar, Self

from sound_diffusion.constants import SEED_MODES
from sound_diffusion.model.defaults import ModelDefaults
from sound_diffusion.options.common import fps_option, picture_option
from sound_diffusion.options.declaration import above, at_least, option, values_of, within
from sound_diffusion.options.films import FilmOptions

PAGE = "page"
CIRCLE_SECONDS = Fraction(30)


@dataclass(frozen=True, kw_only=True)
class LiveOptions(FilmOptions):
    """What audio2live takes: what a film takes, but for what needs a file or the whole of a sound."""

    script: ClassVar[str] = "audio2live.py"
    left_out: ClassVar[frozenset[str]] = frozenset(
        {
            "paths", "input_folder", "from_file", "skip_existing", "offset", "duration", "mode",
            "textpromptend", "prompts", "interpolation", "series", "describe", "export_schedule",
            "allow_flashing", "batch_size", "preview", "output", "audio", "keep_frames", "force", "wait",
            "loop", "interpolate", "spacing", "pace", "cadence", "bend", "shard",
        }
    )  # fmt: skip

    outdir: Path | None = option(Path("outputs/live"), "folder for what is recorded", metavar="FOLDER")
    fps: Fraction = fps_option(
        Fraction(30), "the most frames a second, and what t counts", check=above(0, 120)
    )
    seed_mode: str | None = picture_option(
        None,
        "noise of each frame (default: the model's, else increment); walk and circle go on from frame to "
        f"frame, circle in --loop-seconds (default: {CIRCLE_SECONDS})",
        choices=SEED_MODES,
    )
    size: int | None = option(None, "height and width, for --H and --W", metavar="PIXELS", group="model")
    host: str = option(
        "127.0.0.1", "address to listen at; beyond this machine, the page's address has a token", group=PAGE
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
        sizes = values_of("--size", words)
        return [*(f"{side}={sizes[-1]}" for side in ("--H", "--W") if sizes), *expanded]

    def completed(self, settings: Mapping[str, Any], defaults: ModelDefaults) -> Self:
        """Fill in the time of a circle, which has no end to be told by."""
        done = super().completed(settings, defaults)
        circles = done.seed_mode == "circle" and done.loop_seconds is None
        return replace(done, loop_seconds=CIRCLE_SECONDS) if circles else done

    def with_changed(self, **changed: Any) -> Self:
        """Change some of them; those that mean nothing any more go back to what they are by default."""
        declared = {each.name: each for each in fields(self) if each.init}
        values = {name: getattr(self, name) for name in declared} | changed
        forgotten = meaningless(values) - changed.keys()
        return type(self)(**values | {name: declared[name].default for name in forgotten})


def meaningless(values: Mapping[str, Any]) -> set[str]:
    """Name the options that mean nothing beside the others, and may not be set then."""
    means_something = {
        "text_weight": values["textprompt"] is not None and values["textstrength"] is None,
        "color_strength": values["color_coherence"] != "none",
        "walk_rate": values["seed_mode"] == "walk",
        "loop_seconds": values["seed_mode"] == "circle",
    }
    return {name for name, does in means_something.items() if not does}
