"""What a user can ask of both scripts, checked before anything heavy is loaded."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sound_diffusion.audio import hash_file
from sound_diffusion.diffusion import PaintSettings, check_seeds, settings_for, steps_to_run
from sound_diffusion.embeddings import SCALINGS
from sound_diffusion.errors import ParameterError
from sound_diffusion.features import get_feature
from sound_diffusion.model_files import ModelDefaults, find_model, fingerprint, model_name
from sound_diffusion.models import Model, load_model
from sound_diffusion.words import Words

__all__ = ["Request"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """How sounds become pictures. None stands for what the model declares.

    Attributes
    ----------
    feature : str
        A key of :data:`sound_diffusion.features.FEATURES`.
    scaling : str
        ``auto`` or one of :data:`sound_diffusion.embeddings.SCALINGS`.
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

    def settings(self, defaults: ModelDefaults, *, over_pictures: bool) -> PaintSettings:
        """Fill in what the model declares.

        Parameters
        ----------
        defaults : ModelDefaults
        over_pictures : bool
            Whether pictures are painted over others, so that the strength has to give a step.

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
        if over_pictures:
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

    def recipe(self, sound: Path | None, defaults: ModelDefaults, settings: PaintSettings) -> dict[str, Any]:
        """Return all that decides what the pictures of a sound look like, in JSON types.

        Parameters
        ----------
        sound : Path or None
            None for a picture of a text alone.
        defaults : ModelDefaults
        settings : PaintSettings

        Returns
        -------
        recipe : dict
            Files are named by their path and identified by the SHA-256 of their contents, the model by its
            fingerprint.
        """
        words = self.words
        return {
            **_file_entries("sound", sound),
            "offset": self.offset,
            "duration": self.duration,
            "feature": "text" if sound is None else self.feature,
            "scaling": defaults.scaling_for(self.feature, self.scaling),
            "textprompt": None if words is None else words.prompt,
            "textpromptend": None if words is None else words.end_prompt,
            "text_weight": None if words is None else words.weight,
            "textstrength": None if words is None else words.strength,
            "model": model_name(self.model),
            "model_fingerprint": fingerprint(find_model(self.model)),
            **_file_entries("vae", self.vae),
            **_file_entries("lora", self.lora),
            "lora_strength": self.lora_strength,
            "low_memory": self.low_memory,
            "safety_checker": self.safety_checker,
            "device": self.device,
            "precision": self.precision,
            **_file_entries("init_image", self.init_image),
            **asdict(settings),
        }


def _file_entries(name: str, path: Path | None) -> dict[str, str | None]:
    return {
        name: None if path is None else str(path),
        f"{name}_sha256": None if path is None else hash_file(path),
    }
