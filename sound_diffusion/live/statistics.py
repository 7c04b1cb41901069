"""How fast it goes: what the pages are told, and what ``--stats`` writes."""

from __future__ import annotations

import statistics
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from sound_diffusion.files import output_error
from sound_diffusion.live.painter import Shown

RECENT_SECONDS = 2.0  # of which a page is told
PATIENCE = 2.0  # seconds until a picture that no page says it has shown is written down without that
COLUMNS = "seconds,frame,painting_ms,sending_ms,shown_ms,dropped"


@dataclass
class _Row:
    index: int
    sent: float
    heard: float
    painting: float
    dropped: int
    shown_ms: float | None = None


class Statistics:
    """Of the pictures since the sound began.

    Parameters
    ----------
    path : Path, optional
        A CSV file for all of them: seconds since the program began, number of the frame, milliseconds of
        painting, from hearing to sending, and from hearing to the screen, as the page says; frames before it
        that there was no time for.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._recent: deque[_Row] = deque()
        self._waiting: deque[_Row] = deque()
        self._began = time.monotonic()
        self._dropped = 0
        self._file: IO[str] | None = None
        if path is not None:
            try:
                self._file = path.open("w", encoding="utf-8", newline="")
                self._file.write(COLUMNS + "\n")
            except OSError as error:
                raise output_error(path, error, "--stats") from None

    def begin(self) -> None:
        """Forget what was before: the sound begins anew."""
        self._recent.clear()
        self._dropped = 0

    def add(self, picture: Shown) -> None:
        """Count a picture that is on its way."""
        now = time.monotonic()
        row = _Row(picture.painted.frame.index, now, picture.heard.arrival, picture.seconds, picture.dropped)
        self._recent.append(row)
        self._dropped += picture.dropped
        while self._recent[0].sent < now - RECENT_SECONDS:
            self._recent.popleft()
        if self._file is not None:
            self._waiting.append(row)
            self._write(now - PATIENCE)

    def see(self, index: int, latency_ms: float) -> None:
        """Note that a picture is on the screen."""
        for row in self._waiting:
            if row.index == index:
                row.shown_ms = latency_ms

    def message(self, dropped: int) -> dict[str, Any] | None:
        """Say how the last two seconds were; None where there was nothing.

        Parameters
        ----------
        dropped : int
            Pictures that one page has not got.
        """
        since = time.monotonic() - RECENT_SECONDS
        recent = [row for row in self._recent if row.sent >= since]
        if not recent:
            return None
        return {
            "type": "stats",
            "fps": round(len(recent) / RECENT_SECONDS, 2),
            "latency_ms": round(statistics.median(row.sent - row.heard for row in recent) * 1000, 1),
            "painting_ms": round(statistics.median(row.painting for row in recent) * 1000, 1),
            "dropped": self._dropped + dropped,
        }

    def close(self) -> None:
        """Write what is left."""
        if self._file is not None:
            self._write(float("inf"))
            self._file.close()
            self._file = None

    def _write(self, until: float) -> None:
        assert self._file is not None
        while self._waiting and self._waiting[0].sent <= until:
            row = self._waiting.popleft()
            shown = "" if row.shown_ms is None else f"{row.shown_ms:.1f}"
            when, painting, took = row.sent - self._began, row.painting * 1000, (row.sent - row.heard) * 1000
            self._file.write(f"{when:.3f},{row.index},{painting:.1f},{took:.1f},{shown},{row.dropped}\n")
        self._file.flush()
