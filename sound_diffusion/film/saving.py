"""Saves frames in a thread of its own, while the next ones are painted."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

MOST_WAITING = 8  # frames: more would only take memory, since one is painted after the other
BEHIND = 4


class Saver:
    """Does what it is given in a thread, one after the other, in the order in which it comes.

    Leaving its block waits until all is done, also after an error or Ctrl-C, so that nothing painted is lost.
    """

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="saver")
        self._waiting: deque[Future[Any]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._executor.shutdown(wait=True)
        if kind is None:
            self.flush()

    @property
    def is_behind(self) -> bool:
        """Whether so much is waiting that whoever paints had better do some of it."""
        return sum(1 for future in self._waiting if not future.done()) >= BEHIND

    def save(self, function: Callable[..., object], *arguments: Any) -> None:
        """Call a function later; wait where too much is waiting already.

        Raises
        ------
        Exception
            Whatever an earlier call has raised.
        """
        while len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft().result()
        self._waiting.append(self._executor.submit(function, *arguments))

    def flush(self) -> None:
        """Wait until all calls are done, and raise what the first one that failed has raised."""
        while self._waiting:
            self._waiting.popleft().result()
