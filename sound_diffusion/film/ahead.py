"""Works ahead in a thread of its own, so that whoever needs what comes next does not wait for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")

MOST_READY = 4  # items: more would only take memory


def ahead(items: Iterator[Item]) -> Generator[Item, None, None]:
    """Yield items that a thread takes from an iterator before they are asked for.

    Parameters
    ----------
    items : iterator
        Nobody else may use it meanwhile.

    Yields
    ------
    item
        In their order; what the iterator raises is raised in its place. Closing ends the thread.
    """
    end: Any = object()
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as executor:
        ready = deque(executor.submit(next, items, end) for _ in range(MOST_READY))
        try:
            while (item := ready.popleft().result()) is not end:
                ready.append(executor.submit(next, items, end))
                yield item
        finally:
            for future in ready:
                future.cancel()
