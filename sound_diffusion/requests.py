"""What a user can ask of both scripts, checked before anything heavy is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sound_diffusion.diffusion import PaintSettings, check_seeds, settings_for, steps_to_run
from sound_diffusion.embeddings import SCALINGS
from sound_diffusion.errors import ParameterError
from sound_diffusion.features import get_feature
from sound_diffusion.models import ModelDefaults

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
    model, device, precision : str
        As for :func:`sound_diffusion.load_model`.
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
    steps: int | None = None
    guidance: float | None = None
    height: int | None = None
    width: int | None = None
    sampler: str = "ddim"
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

    def scaling_for(self, defaults: ModelDefaults) -> str:
        """Resolve ``auto`` to the scaling that the model declares for the feature."""
        return defaults.scaling.get(self.feature, "none") if self.scaling == "auto" else self.scaling
