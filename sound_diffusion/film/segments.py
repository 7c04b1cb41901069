"""Segments: the parts of a film that can be painted without each other."""

from __future__ import annotations

from dataclasses import dataclass

from sound_diffusion.film.controls import Controls
from sound_diffusion.film.timeline import Timeline

LARGEST_BATCH = 8  # frames at once; beyond it a GPU gains little
REST_OF_A_FRAME = 0.2  # what a frame costs beside its steps, in units of all steps


@dataclass(frozen=True)
class Segment:
    """Frames that one process paints in one go.

    Attributes
    ----------
    frames : range
    cost : float
        What painting them costs, in units of a frame that is painted from noise.
    """

    frames: range
    cost: float


def divide(controls: Controls, timeline: Timeline) -> list[Segment]:
    """Divide a film into segments: batches where each frame stands alone, else what lies between cuts.

    A cut is before a frame that forgets the one before entirely, at a strength of 1.

    Parameters
    ----------
    controls : Controls
    timeline : Timeline

    Returns
    -------
    segments : list of Segment
        In the order of the film. The first one begins with frame 0.
    """
    options, n_frames = controls.options, len(timeline)
    # What is decoded between two painted frames, or leads back to the first, needs both of them; even steps
    # are found by looking at the whole way.
    whole = timeline.cadence > 1 or options.spacing == "even" or (timeline.loop and options.over_pictures)
    if whole:
        return [Segment(range(n_frames), float(n_frames))]
    if not options.over_pictures:
        size = options.batch_size or LARGEST_BATCH
        batches = [range(start, min(start + size, n_frames)) for start in range(0, n_frames, size)]
        return [Segment(frames, float(len(frames))) for frames in batches]
    cuts = [index for index in range(1, n_frames) if controls.forgets_all(index)]
    chains = [range(start, end) for start, end in zip([0, *cuts], [*cuts, n_frames], strict=True)]
    return [
        Segment(frames, sum(map(controls.cost, frames)) + REST_OF_A_FRAME * len(frames)) for frames in chains
    ]
