"""One bar on stderr."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NoReturn, TypeAlias

from sound_diffusion.shards import Shard

if TYPE_CHECKING:
    from tqdm import tqdm

ProgressBar: TypeAlias = "Callable[[], tqdm[NoReturn]]"


@contextlib.contextmanager
def progress_bar(total: int, unit: str, *, quiet: bool, shard: Shard | None = None) -> Iterator[ProgressBar]:
    """Count units of work.

    Parameters
    ----------
    total : int
        Units of work.
    unit : str
        What one of them is called.
    quiet : bool
        Whether no bar is shown.
    shard : Shard, optional
        Named by the bar, where there are others.

    Yields
    ------
    bar : callable
        Returns the bar. It is drawn when it is asked for first, so that an early error stands alone.
    """
    with contextlib.ExitStack() as stack:

        @functools.cache
        def draw() -> tqdm[NoReturn]:
            from tqdm import tqdm
            from tqdm.contrib.logging import logging_redirect_tqdm

            logger = logging.getLogger("sound_diffusion")
            filters = [each for handler in logger.handlers for each in handler.filters]
            # Warnings are written above the bar, not into it.
            stack.enter_context(logging_redirect_tqdm([logger]))
            for handler in logger.handlers:  # put in the place of others by tqdm, without their filters
                handler.filters = handler.filters or list(filters)
            name = f"shard {shard}" if shard is not None and shard.count > 1 else None
            bar = tqdm(total=total, unit=unit, desc=name, disable=quiet, dynamic_ncols=True)
            return stack.enter_context(bar)

        yield draw


def extend(bar: tqdm[NoReturn], total: int, done: int) -> None:
    """Add `total` units to the work ahead, of which `done` were done in an earlier run."""
    if not bar.disable:
        bar.total = (bar.total or 0) + total
        bar.initial += done
        bar.update(done)
