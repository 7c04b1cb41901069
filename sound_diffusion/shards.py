"""Shards: the shares of one work that several processes have, each of which knows its own without asking."""

from __future__ import annotations

import heapq
import re
from collections.abc import Sequence
from dataclasses import dataclass

from sound_diffusion.errors import ParameterError

MOST_SHARDS = 100_000


@dataclass(frozen=True)
class Shard:
    """One share of a work that is divided.

    Attributes
    ----------
    index : int
        In [0, count).
    count : int
        Of all shares, at least 1.
    """

    index: int = 0
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read ``i/n``, which counts from 1.

        Raises
        ------
        ParameterError
            If it is not that.
        """
        match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text.strip(), re.ASCII)
        index, count = map(int, match.groups()) if match else (0, 0)
        if not 1 <= index <= count <= MOST_SHARDS:
            raise ParameterError(repr(text), f"i/n with i from 1 to n, n at most {MOST_SHARDS}, such as 2/8")
        return cls(index - 1, count)

    def __str__(self) -> str:
        return f"{self.index + 1}/{self.count}"

    def divided(self, index: int, count: int) -> Shard:
        """Return the share `index` of the `count` that this share is divided into."""
        return Shard(self.index * count + index, self.count * count)

    def share(self, costs: Sequence[float], first: int = 0) -> list[int]:
        """Say which items of a work are this share's.

        The dearest item goes to the share that has least to do, then the next one: with equal costs they go
        round. Every share comes to the same division.

        Parameters
        ----------
        costs : sequence of float
            Of each item, in any unit.
        first : int
            The share that is asked first, counted round, so that of many small works not all first items
            meet in one share.

        Returns
        -------
        items : list of int
            Ascending.
        """
        loads = [(0.0, turn, (first + turn) % self.count) for turn in range(self.count)]
        items = []
        for item in sorted(range(len(costs)), key=lambda item: (-costs[item], item)):
            load, turn, index = loads[0]
            heapq.heapreplace(loads, (load + costs[item], turn, index))
            if index == self.index:
                items.append(item)
        return sorted(items)
