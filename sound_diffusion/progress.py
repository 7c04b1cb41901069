"""One bar on stderr."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, TypeAlias

if TYPE_CHECKING:
    from tqdm import tqdm

__all__ = ["ProgressBar", "extend", "progress_bar"]

ProgressBar: TypeAlias = "tqdm[NoReturn]"
DELAY = (
    1e-3  # seconds: above 0, so that no bar is drawn before the first work, and an early error stands alone
)


def progress_bar(total: int, unit: str, *, quiet: bool) -> ProgressBar:
    """Return a bar that counts `total` units of work; it is drawn with the first of them, or with 0."""
    from tqdm import tqdm

    return tqdm(total=total, unit=unit, disable=quiet, delay=DELAY, dynamic_ncols=True)


def extend(bar: ProgressBar, total: int, done: int) -> None:
    """Add `total` units to the work ahead, of which `done` were done in an earlier run."""
    if not bar.disable:
        bar.total = (bar.total or 0) + total
        bar.initial += done
        bar.update(done)
