"""What a user can ask of both scripts, checked before anything heavy is loaded."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from sound_diffusion.errors import ParameterError
from sound_diffusion.files import check_place
from sound_diffusion.model.find import ModelDefaults, find_model, fingerprint, model_name, read_defaults
from sound_diffusion.model.load import load_model
from sound_diffusion.model.model import Model
from sound_diffusion.painting import PaintSettings, check_seeds, settings_for, steps_to_run
from sound_diffusion.sound.audio import hash_file
from sound_diffusion.sound.embeddings import SCALINGS
from sound_diffusion.sound.features import get_feature
from sound_diffusion.starting_pictures import load_picture
from sound_diffusion.words import Words

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Plan", "Request"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """How sounds become pictures. None stands for what the model declares.

    Attributes
    ----------
    feature : str
        A key of :data:`sound_diffusion.sound.features.FEATURES`.
    scaling : str
        ``auto`` or one of :data:`sound_diffusion.sound.embeddings.SCALINGS`.
    offset, duration : float
        Seconds of the sound to skip, and to use at the most.
    model, device, precision, vae, lora, lora_strength, low_memory, safety_checker
        As for :func:`sound_diffusion.load_model`.
    words : Words or None
        A text beside the sound.
    steps, guidance, height, width, sampler, eta, strength
        As for :class:`sound_diffusion.PaintSettings`.
    seed : int
        Seed of the first picture.
    init_image : Path or None
        A picture to start from.
    outdir : Path
        Where results go.
    """

    feature: str = "fft"
    scaling: str = "auto"
    offset: float = 0.0
    duration: float | None = None
    model: str = "auto"
    device: str = "auto"
    precision: str = "auto"
    vae: Path | None = None
    lora: Path | None = None
    lora_strength: float = 1.0
    low_memory: bool = False
    safety_checker: bool = False
    words: Words | None = None
    steps: int | None = None
    guidance: float | None = None
    height: int | None = None
    width: int | None = None
    sampler: str | None = None
    eta: float = 0.0
    strength: float | None = None
    seed: int = 42
    init_image: Path | None = None
    outdir: Path

    def __post_init__(self) -> None:
        get_feature(self.feature)
        if self.scaling not in ("auto", *SCALINGS):
            raise ParameterError(f"unknown scaling {self.scaling!r}", f"auto, {', '.join(SCALINGS)}")
        check_seeds([self.seed])
        for flag, path in (("--vae", self.vae), ("--lora", self.lora)):
            if path is not None and not path.is_file():
                raise ParameterError(f"{flag} {path}: no such file", remedy="check the path")

    @property
    def over_pictures(self) -> bool:
        """Whether pictures are painted over others, so that the strength has to give a step."""
        return self.init_image is not None

    def settings(self, defaults: ModelDefaults) -> PaintSettings:
        """Fill in what the model declares.

        Parameters
        ----------
        defaults : ModelDefaults

        Returns
        -------
        settings : PaintSettings

        Raises
        ------
        ParameterError
            If a value is out of range.
        """
        settings = settings_for(
            defaults,
            steps=self.steps,
            guidance=self.guidance,
            height=self.height,
            width=self.width,
            sampler=self.sampler,
            eta=self.eta,
            strength=self.strength,
        )
        if self.over_pictures:
            steps_to_run(settings)
        return settings

    def load(self) -> Model:
        """Load the model that is wanted."""
        return load_model(
            self.model,
            device=self.device,
            precision=self.precision,
            vae=self.vae,
            lora=self.lora,
            lora_strength=self.lora_strength,
            low_memory=self.low_memory,
            safety_checker=self.safety_checker,
        )


AnyRequest = TypeVar("AnyRequest", bound=Request)


@dataclass(frozen=True)
class Plan(Generic[AnyRequest]):
    """A request with everything filled in that the model declares; made before the model is loaded.

    Attributes
    ----------
    request : Request
    defaults : ModelDefaults
        What the model declares.
    settings : PaintSettings
    init_image : PIL.Image.Image or None
        The picture to start from.
    """

    request: AnyRequest
    defaults: ModelDefaults
    settings: PaintSettings
    init_image: Image.Image | None

    @classmethod
    def of(cls, request: AnyRequest) -> Self:
        """Check a request against the model that it names, without loading the model.

        Parameters
        ----------
        request : Request

        Returns
        -------
        plan : Plan

        Raises
        ------
        ModelError
            If there is no such model.
        OutputError
            If results cannot be written where they are wanted.
        ParameterError
            If settings of the request and the model do not go together, or the picture to start from cannot
            be read.
        """
        check_place(request.outdir)
        defaults = read_defaults(find_model(request.model))
        return cls(
            request,
            defaults,
            request.settings(defaults),
            None if request.init_image is None else load_picture(request.init_image),
        )

    def recipe(self, sound: Path | None) -> dict[str, Any]:
        """Return all that decides what the pictures of a sound look like, in JSON types.

        Parameters
        ----------
        sound : Path or None
            None for a picture of a text alone.

        Returns
        -------
        recipe : dict
            Files are named by their path and identified by the SHA-256 of their contents, the model by its
            fingerprint.
        """
        recipe = _file_entries("sound", sound) | self._shared_entries
        return recipe | {"feature": "text"} if sound is None else recipe

    @cached_property
    def _shared_entries(self) -> dict[str, Any]:
        """What the recipes of all sounds have in common: files that may be large are read once."""
        request, words = self.request, self.request.words
        return {
            "offset": request.offset,
            "duration": request.duration,
            "feature": request.feature,
            "scaling": self.defaults.scaling_for(request.feature, request.scaling),
            "textprompt": None if words is None else words.prompt,
            "textpromptend": None if words is None else words.end_prompt,
            "text_weight": None if words is None else words.weight,
            "textstrength": None if words is None else words.strength,
            "model": model_name(request.model),
            "model_fingerprint": fingerprint(find_model(request.model)),
            **_file_entries("vae", request.vae),
            **_file_entries("lora", request.lora),
            "lora_strength": request.lora_strength,
            "low_memory": request.low_memory,
            "safety_checker": request.safety_checker,
            "device": request.device,
            "precision": request.precision,
            **_file_entries("init_image", request.init_image),
            **asdict(self.settings),
        }


def _file_entries(name: str, path: Path | None) -> dict[str, str | None]:
    return {
        name: None if path is None else str(path),
        f"{name}_sha256": None if path is None else hash_file(path),
    }
