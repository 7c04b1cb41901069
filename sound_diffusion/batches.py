"""Batches: as many pictures at once as the memory of the device takes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from sound_diffusion.errors import OutOfMemoryError

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batches:
    """Paints in batches, which become smaller where the memory does not suffice.

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
        self, device: str, items: Sequence[Item], paint: Callable[[Sequence[Item]], list[Result]]
    ) -> Iterator[tuple[Sequence[Item], list[Result]]]:
        """Paint some items.

        Parameters
        ----------
        device : str
            Of the model.
        items : sequence
        paint : callable
            Paints several items at once.

        Yields
        ------
        batch : sequence
            Of the items, in order.
        painted : list
            What `paint` made of it.

        Raises
        ------
        OutOfMemoryError
            If the memory does not suffice for one item.
        """
        done = 0
        while done < len(items):
            batch = items[done : done + (1 if device == "cpu" else self._size)]
            try:
                painted = paint(batch)
            except OutOfMemoryError:
                if len(batch) == 1:
                    raise
                self._shrink(len(batch))
            else:
                yield batch, painted
                done += len(batch)

    def _shrink(self, count: int) -> None:
        """Halve the size of a batch of `count` that was too large, and give back what it took."""
        import torch

        self._size = count // 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if self._announce:
            logger.warning("the memory does not take %d pictures at once: %d from here on", count, self._size)
