"""The options of audio2video."""
# ruff: noqa: RUF009  (option declares a field)

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

from sound_diffusion.errors import ModelError, ParameterError, shorten
from sound_diffusion.film.camera import BORDERS
from sound_diffusion.film.colors import COLOR_SPACES
from sound_diffusion.formulas.prompts import PromptSchedule, read_prompts
from sound_diffusion.formulas.schedules import Limits, Schedule, Scheduled, parse_schedule
from sound_diffusion.interpolation import INTERPOLATIONS
from sound_diffusion.model.defaults import DEFAULTS_FILE, ModelDefaults
from sound_diffusion.options.between import NEWER, PACE, BetweenFrames
from sound_diffusion.options.common import (
    count_option,
    fps_option,
    paths_option,
    picture_option,
    scale_option,
    scheduled,
    seed_option,
    share_option,
    text_option,
)
from sound_diffusion.options.declaration import (
    FORMULA,
    above,
    fraction,
    option,
    options_of,
    values_of,
    within,
)
from sound_diffusion.presets import preset_names, read_preset

STRENGTH = 0.4
CHAIN = "latent"
ALWAYS_DECLARED = ("strength", "steps", "local_contrast")  # for frames that do not go on from others too
CHANGE = "what changes over a film"
CAMERA = ("zoom", "angle", "translation_x", "translation_y", "color_coherence", "sharpen", "noise")

_newer_option = partial(picture_option, group=CHANGE, since=NEWER)
_camera_option = partial(picture_option, group="camera", since=NEWER)
_camera = partial(scheduled, _camera_option)


@dataclass(frozen=True, kw_only=True)
class FilmOptions(BetweenFrames):
    """What audio2video takes."""

    script: ClassVar[str] = "audio2video.py"

    paths: tuple[Path, ...] = paths_option("sounds", "--path")
    outdir: Path | None = option(Path("outputs/audio2video-samples"), "folder for runs", metavar="FOLDER")
    fps: Fraction = fps_option(
        Fraction(12), "frames a second: a number or a fraction such as 24000/1001", check=above(0, 1000)
    )
    strength: Scheduled | None = scheduled(
        picture_option,
        "--strength",
        Limits(0, 1),
        None,
        f"how much of the last frame is forgotten (default: the model's, else {STRENGTH})",
    )
    guidance: Scheduled | None = scheduled(scale_option, "--scale", Limits())
    text_weight: Scheduled | None = scheduled(share_option, "--text-weight", Limits(0, 1))
    gain: Scheduled = scheduled(
        _newer_option, "--gain", Limits(-1000, 1000), 1.0, "what the scaled sound is multiplied by"
    )
    window: Fraction | None = picture_option(
        None,
        "sound in a frame (default: the model's, else 1/fps)",
        parse=fraction,
        metavar="SECONDS",
        check=above(0, 60),
        label="window of {} s (--window)",
    )
    mode: str = picture_option("img2img", "over the last frame or not", choices=("img2img", "txt2img"))
    chain: str | None = picture_option(
        None,
        "over what a frame is painted: the last one's latents, unless the picture has been changed since; or "
        f"always its picture (default: the model's, else {CHAIN})",
        choices=("latent", "picture"),
        since=NEWER,
    )
    seed: int = seed_option(42, "seed of the noise that becomes the first frame", entry="film_seed")
    textpromptend: str | None = text_option(None, "the words at the end of a film", needs=("textprompt",))
    prompts: PromptSchedule | None = text_option(
        None,
        "words over time: a file or a text, lines such as 0:10 : words --neg others, or Deforum's JSON",
        parse=read_prompts,
        metavar="FILE|TEXT",
        since=NEWER,
    )
    interpolation: str = text_option(
        "slerp",
        "the way from words to words, and from key to key of --interpolate",
        choices=INTERPOLATIONS,
        needs=("prompts|interpolate",),
        since=NEWER,
    )
    zoom: Scheduled = _camera("--zoom", Limits(0.001, 1000), 1.0, "factor by which a frame grows")
    angle: Scheduled = _camera("--angle", Limits(), 0.0, "degrees by which a frame turns, against the clock")
    translation_x: Scheduled = _camera(
        "--translation_x", Limits(), 0.0, "pixels by which a frame moves to the right"
    )
    translation_y: Scheduled = _camera("--translation_y", Limits(), 0.0, "pixels by which a frame moves down")
    border: str = _camera_option("replicate", "what comes in from outside", choices=tuple(BORDERS))
    color_coherence: str = _camera_option(
        "none", "keep the colours of the first second, in this colour space", choices=COLOR_SPACES
    )
    color_strength: float = _camera_option(
        1.0, "how far the colours are brought back", check=within(0, 1), needs=("color_coherence",)
    )
    sharpen: float = _camera_option(0.0, "amount of an unsharp mask", check=within(0, 100))
    noise: Scheduled = _camera(
        "--noise", Limits(0, 100), 0.0, "noise that a frame gets before it is painted over"
    )
    series: Path | None = picture_option(
        None,
        "numbers over time for formulas: CSV with the column seconds and one for each variable",
        metavar="FILE.csv",
        reads="file",
        group=CHANGE,
        since=NEWER,
    )
    preset: str | None = option(
        None,
        f"options to begin with: {', '.join(preset_names())}, or a TOML file; what you say counts more",
        metavar="NAME|FILE.toml",
        group=CHANGE,
    )
    describe: bool = option(False, "plot and list what follows the sound, without painting", group=CHANGE)
    export_schedule: str | None = option(
        None,
        "print an option or a formula as keyframes of all frames",
        metavar="NAME|FORMULA",
        group=CHANGE,
    )
    allow_flashing: bool = option(False, "do not warn of films that flash", group=CHANGE)
    batch_size: int | None = count_option(
        None, "frames at once with --mode txt2img (default: as many as the memory of a GPU takes)"
    )
    preview: int | None = count_option(
        None, "make a film of every N-th frame, to judge by", label="every {}-th frame (--preview)"
    )
    output: Path | None = option(None, "the film, or only .mp4, .mkv, .webm or .gif", metavar="FILM")
    audio: bool = option(True, "put the sound into the film")
    keep_frames: bool = option(True, "keep the frames when the film is done")
    force: bool = option(False, "start over where the folder holds another film")
    wait: bool = option(False, "wait where another run makes the same film")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mode == "img2img" and (self.batch_size or 1) > 1:
            raise ParameterError(
                f"--batch-size {self.batch_size} with --mode img2img", "1: each frame needs the one before"
            )
        if self.mode == "txt2img" and self.init_image is not None:
            raise ParameterError("--init-img with --mode txt2img", "--mode img2img")
        if self.prompts is not None and self.textprompt is not None:
            raise ParameterError("--prompts together with --textprompt", "one of them")
        self._check_chain()

    def _check_chain(self) -> None:
        """Refuse what needs a frame before, where each frame is painted by itself."""
        if self.over_pictures:
            return
        for each in options_of(type(self)):
            value = getattr(self, each.name)
            if (each.name in (*CAMERA, "chain") and value != each.default) or (
                each.name == "strength" and isinstance(value, Schedule)
            ):
                raise ParameterError(
                    f"{each.flag} {shorten(str(value))} with --mode txt2img",
                    "--mode img2img, where each frame goes on from the one before",
                )
        if (self.batch_size or 1) > 1 and isinstance(self.guidance, Schedule):
            raise ParameterError(
                f"--batch-size {self.batch_size} with a --scale that changes", "1, or one number"
            )

    @classmethod
    def expand(cls, words: Sequence[str]) -> list[str]:
        """Put the options of a preset before all others."""
        names = values_of("--preset", words)
        return [*(read_preset(names[-1]).words if names else []), *words]

    @property
    def texts(self) -> list[str]:
        """All words that the model would have to read."""
        over_time = [] if self.prompts is None else [prompt.text for _, prompt in self.prompts.keys]
        return [*super().texts, *over_time]

    @property
    def over_pictures(self) -> bool:
        """Whether each frame is painted over the one before."""
        return self.mode == "img2img"

    def with_declared(self, defaults: ModelDefaults) -> Self:
        """Fill in what a model declares for films; a strength there always is."""
        read = {each.name: each.kind for each in options_of(type(self))}
        declared: dict[str, Any] = {"strength": STRENGTH, "chain": CHAIN}
        try:
            for name, value in defaults.film.items():
                declared[name] = read[name](value) if isinstance(value, str) else value
            if not self.over_pictures:  # these are declared for frames that go on from each other
                declared = {name: value for name, value in declared.items() if name in ALWAYS_DECLARED}
                if isinstance(declared["strength"], Schedule):
                    declared["strength"] = STRENGTH
            return replace(
                self, **{name: each for name, each in declared.items() if getattr(self, name) is None}
            )
        except ParameterError as error:
            raise ModelError(f"{DEFAULTS_FILE}: {error}") from error

    def completed(self, settings: Mapping[str, Any], defaults: ModelDefaults) -> Self:
        """Fill in window, pace, batches, mode of the seeds: a fixed one makes chained pictures bloom."""
        window = Fraction(str(defaults.window)) if self.window is None and defaults.window else self.window
        seed_mode = self.seed_mode or ("increment" if self.over_pictures else "fixed")
        by_music = self.pace is None and self.spacing == "music"
        pace = parse_schedule("onset", "--pace", PACE) if by_music else self.pace
        alone = self.over_pictures or isinstance(self.guidance, Schedule)
        size = 1 if alone else self.batch_size
        return replace(self, **settings, window=window, seed_mode=seed_mode, pace=pace, batch_size=size)


SCHEDULED = tuple(each.name for each in options_of(FilmOptions) if each.metavar == FORMULA)
"""The numbers that may change over a film."""
