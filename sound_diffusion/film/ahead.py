"""Works ahead in a thread of its own, so that whoever needs what comes next does not wait for it."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")

MOST_READY = 4  # items: more would only take memory


def ahead(items: Generator[Item, None, None]) -> Generator[Item, None, None]:
    """Yield items that a thread takes from an iterator before they are asked for.

    Parameters
    ----------
    items : generator
        Nobody else may use it meanwhile. It is closed at the end.

    Yields
    ------
    item
        In their order; what is raised there is raised in its place. Closing ends the thread and `items`.
    """
    end: Any = object()
    with contextlib.closing(items), ThreadPoolExecutor(1, thread_name_prefix="ahead") as executor:
        ready = deque(executor.submit(next, items, end) for _ in range(MOST_READY))
        try:
            while (item := ready.popleft().result()) is not end:
                ready.append(executor.submit(next, items, end))
                yield item
        finally:
            for future in ready:
                future.cancel()
