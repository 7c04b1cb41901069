"""A job: what all sounds of a run have in common, checked before anything heavy is loaded."""

from __future__ import annotations

import logging
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from sound_diffusion.conditioning import Words
from sound_diffusion.files import check_place
from sound_diffusion.formulas.schedules import Schedule
from sound_diffusion.model.defaults import ModelDefaults, read_defaults, read_width, reads_text
from sound_diffusion.model.find import find_model
from sound_diffusion.model.load import load_model
from sound_diffusion.model.model import Model, cannot_read
from sound_diffusion.options import Options
from sound_diffusion.options.declaration import check_there
from sound_diffusion.recipe import option_entries
from sound_diffusion.settings import PaintSettings, settings_for, steps_to_run
from sound_diffusion.starting_pictures import load_picture

if TYPE_CHECKING:
    from PIL import Image

logger = logging.getLogger(__name__)

PAINTED = [field.name for field in fields(PaintSettings)]
AnyOptions = TypeVar("AnyOptions", bound=Options)


@dataclass(frozen=True)
class Job(Generic[AnyOptions]):
    """What all sounds of a run have in common.

    Attributes
    ----------
    options : Options
        With what the model declares filled in.
    defaults : ModelDefaults
        What the model declares.
    settings : PaintSettings
    init_image : PIL.Image.Image or None
        The picture to start from.
    """

    options: AnyOptions
    defaults: ModelDefaults
    settings: PaintSettings
    init_image: Image.Image | None

    @classmethod
    def plan(cls, options: AnyOptions) -> Self:
        """Bring what the user wants and what the model declares together, without loading the model.

        Parameters
        ----------
        options : Options

        Returns
        -------
        job : Job

        Raises
        ------
        ModelError
            If there is no such model.
        OutputError
            If results cannot be written where they are wanted.
        ParameterError
            If the options and the model do not go together, or the picture to start from cannot be read.
        """
        check_place(options.folder)
        location = find_model(options.model)
        defaults = read_defaults(location.path)
        options = options.with_declared(defaults)
        wanted = {name: getattr(options, name) for name in PAINTED if hasattr(options, name)}
        scheduled = {name: value for name, value in wanted.items() if isinstance(value, Schedule)}
        settings = settings_for(defaults, **wanted | dict.fromkeys(scheduled))
        over_pictures = options.over_pictures and "strength" not in scheduled
        n_steps = steps_to_run(settings) if over_pictures else settings.steps
        for bend in options.bend:
            bend.check(n_steps)
        if options.texts and not reads_text(location.path):
            raise cannot_read(location.name, options.texts[0][:50])
        if options.negative_prompt and settings.guidance <= 1 and "guidance" not in scheduled:
            logger.warning(
                "--negative-prompt does nothing with --scale %g (above 1 it does)", settings.guidance
            )
        if options.init_image is not None:
            check_there(options.init_image, "file", "--init-img")
        start = None if options.init_image is None else load_picture(options.init_image)
        painted = {name: getattr(settings, name) for name in wanted}
        return cls(options.completed(painted | scheduled, defaults), defaults, settings, start)

    @cached_property
    def words(self) -> Words:
        """The words of the options."""
        return Words.of(self.options)

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """What the recipes of all sounds have in common: files that may be large are read once."""
        return option_entries(self.options)

    @property
    def columns(self) -> int | None:
        """Columns D of the model's embeddings, if they can be told before it is loaded."""
        return read_width(find_model(self.options.model).path)

    @cached_property
    def model(self) -> Model:
        """The model, loaded when it is asked for first."""
        options = self.options
        return load_model(
            options.model,
            device=options.device,
            precision=options.precision,
            vae=options.vae,
            lora=options.lora,
            lora_strength=options.lora_strength,
            low_memory=options.low_memory,
            safety_checker=options.safety_checker,
            compiled=options.compile,
            runtime=options.runtime,
        )
