"""Batches: as many pictures at once as the memory of the device takes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from sound_diffusion.conditioning import Conditioning
from sound_diffusion.errors import OutOfMemoryError
from sound_diffusion.model.model import Model
from sound_diffusion.painting import paint_batch
from sound_diffusion.settings import PaintSettings

if TYPE_CHECKING:
    from PIL import Image

logger = logging.getLogger(__name__)


class Batches:
    """Paints pictures in batches, which become smaller where the memory does not suffice.

    On a CPU every picture is painted alone: a batch gains nothing there, and so the bytes of a picture do not
    depend on its company.

    Parameters
    ----------
    largest : int
        Pictures at once to begin with, at least 1.
    announce : bool
        Whether to say so when they become fewer.
    """

    def __init__(self, largest: int, *, announce: bool = True) -> None:
        self._size, self._announce = largest, announce

    def paint(
        self,
        model: Model,
        conditionings: Sequence[Conditioning],
        seeds: Sequence[int],
        settings: PaintSettings,
        init_images: Sequence[Image.Image] | None = None,
        on_step: Callable[[int], object] | None = None,
    ) -> Iterator[list[Image.Image]]:
        """Paint pictures, as :func:`sound_diffusion.painting.paint_batch` takes them.

        Parameters
        ----------
        on_step : callable, optional
            Called after each denoising step with the number of pictures that took it.

        Yields
        ------
        pictures : list of PIL.Image.Image
            Of every batch, in order.

        Raises
        ------
        OutOfMemoryError
            If the memory does not suffice for one picture.
        """
        done = 0
        while done < len(seeds):
            size = 1 if model.device == "cpu" else self._size
            batch = slice(done, done + size)
            count = len(seeds[batch])
            report = None if on_step is None else lambda count=count: on_step(count)
            starts = None if init_images is None else init_images[batch]
            try:
                pictures = paint_batch(model, conditionings[batch], seeds[batch], settings, starts, report)
            except OutOfMemoryError:
                if count == 1:
                    raise
                self._shrink(count)
                continue
            yield pictures
            done += count

    def _shrink(self, count: int) -> None:
        """Halve the size of a batch of `count` that was too large, and give back what it took."""
        import torch

        self._size = count // 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if self._announce:
            logger.warning("the memory does not take %d pictures at once: %d from here on", count, self._size)
