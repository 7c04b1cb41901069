"""How much may come in how much time."""

from __future__ import annotations

import time


class Allowance:
    """So much a second, and so much at once after a pause.

    Parameters
    ----------
    rate : float
        Units a second.
    burst : float
        Units that a pause saves up.
    """

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._left, self._at = burst, time.monotonic()

    def take(self, amount: float = 1.0) -> bool:
        """Use some of it up; False where there is not so much."""
        now = time.monotonic()
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        self._left -= amount
        return self._left >= 0
