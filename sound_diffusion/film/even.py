"""Even steps: how far an interpolated film goes is seen by painting it, more often where it changes most."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace

import numpy as np

from sound_diffusion.files import make_folder, write_atomically
from sound_diffusion.film.keys import even_places
from sound_diffusion.film.painter import FilmPainter
from sound_diffusion.film.path import Listener
from sound_diffusion.film.run_folder import RunFolder
from sound_diffusion.starting_pictures import load_picture
from sound_diffusion.typing import DoubleArray, FloatArray

KEPT = 40  # pictures in memory


def find_even_places(painter: FilmPainter, listener: Listener, folder: RunFolder) -> DoubleArray:
    """Find the places at which the steps of a film are even, or read what an earlier run has found.

    Parameters
    ----------
    painter : FilmPainter
    listener : Listener
    folder : RunFolder
        Which keeps what is painted on the way, so that a run that is stopped goes on.

    Returns
    -------
    places : np.ndarray [shape=(n_positions,), dtype=float64]
        Ascending.
    """
    keys = painter.timeline.keys
    assert keys is not None
    if not folder.places.exists():
        make_folder(folder.trials)
        trials = Trials(painter, listener, folder)
        places = even_places(keys, trials.distance)
        with write_atomically(folder.places) as file:
            file.write(json.dumps(places.tolist()).encode())
    folder.remove_trials()
    return np.array(json.loads(folder.places.read_text(encoding="utf-8")))


@dataclass(frozen=True)
class Trials:
    """The pictures by which even steps are found, painted one by one when they are asked for.

    Attributes
    ----------
    painter : FilmPainter
    listener : Listener
    folder : RunFolder
    """

    painter: FilmPainter
    listener: Listener
    folder: RunFolder
    _seen: dict[float, FloatArray] = field(default_factory=dict)

    def distance(self, one: float, other: float) -> float:
        """Return the mean absolute difference between the pictures at two places, of 255."""
        return float(np.abs(self._pixels(one) - self._pixels(other)).mean())

    def _pixels(self, place: float) -> FloatArray:
        place %= self.painter.timeline.n_positions  # a loop ends where it begins
        if place not in self._seen:
            file = self.folder.trial(place)
            if not file.exists():
                self._paint(place)
            while len(self._seen) >= KEPT:
                del self._seen[next(iter(self._seen))]
            self._seen[place] = np.asarray(load_picture(file), dtype=np.float32)
        return self._seen[place]

    def _paint(self, place: float) -> None:
        timeline = self.painter.timeline
        position = timeline.position_of(place)
        frame = replace(timeline[0], position=position, seed=timeline.seed_at(position))
        conditioning = self.painter.condition(frame, self.listener.between_keys(place))
        [painted] = self.painter.paint([frame], [conditioning], [place])
        with write_atomically(self.folder.trial(place)) as file:
            painted.picture.save(file, "PNG")
