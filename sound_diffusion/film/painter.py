"""Paints the frames of a film, and decodes what lies between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sound_diffusion.bending import Bending
from sound_diffusion.conditioning import Conditioning, condition
from sound_diffusion.film.camera import Motion, move
from sound_diffusion.film.controls import Controls
from sound_diffusion.film.moved_noise import MovedNoiseMaker
from sound_diffusion.film.noise import NoiseMaker, NoisePoint, arc
from sound_diffusion.film.path import Heard
from sound_diffusion.film.timeline import Frame, Timeline
from sound_diffusion.job import Job
from sound_diffusion.latents import decode_latents, encode_pictures, fit_picture, seeded
from sound_diffusion.model.model import Model
from sound_diffusion.options import FilmOptions
from sound_diffusion.painting import paint_latents
from sound_diffusion.settings import PaintSettings, steps_to_run
from sound_diffusion.typing import FloatArray

if TYPE_CHECKING:
    import torch
    from PIL import Image


@dataclass(frozen=True)
class Painted:
    """A frame as it was painted: the latents, of shape (1, channels, height, width), and the picture."""

    frame: Frame
    latents: torch.Tensor
    picture: Image.Image


@dataclass(frozen=True)
class FilmPainter:
    """Paints the frames of a film.

    Attributes
    ----------
    model : Model
    job : Job
    timeline : Timeline
    controls : Controls
    scaling, feature : str
        As the recipe has them.
    ways : mapping from int to Motion, optional
        How far the camera has come at every frame, by its index. None: it never moves.
    """

    model: Model
    job: Job[FilmOptions]
    timeline: Timeline
    controls: Controls
    scaling: str
    feature: str
    ways: Mapping[int, Motion] | None = None

    def paint(
        self,
        frames: Sequence[Frame],
        heard: Sequence[Heard],
        places: Sequence[float],
        start: Image.Image | None = None,
        last: Painted | None = None,
        approached: tuple[torch.Tensor, float] | None = None,
    ) -> list[Painted]:
        """Paint several frames at once.

        Parameters
        ----------
        frames : sequence of Frame
        heard : sequence of Heard
            What each is painted from.
        places : sequence of float
            Where each is along the way of the film, in frames; its noise is that of the place.
        start : PIL.Image.Image, optional
            A picture to paint over, for one frame.
        last : Painted, optional
            What was painted before. Where `start` is its very picture, its latents are taken as they are,
            unless the options ask for pictures; what camera, colours or noise have changed is encoded.
        approached : (torch.Tensor, float), optional
            Latents that `start` is brought nearer to, and by how much, in [0, 1].

        Returns
        -------
        painted : list of Painted
        """
        settings = self.controls.settings(self.job.settings, frames[0])
        generators = seeded([frame.seed for frame in frames])
        over = None
        if start is not None and settings.strength < 1:
            kept = last is not None and start is last.picture and self.job.options.chain == "latent"
            over = last.latents if last is not None and kept else None
            if over is None:
                over = encode_pictures(self.model, [start], settings, generators)
            if approached is not None:
                over = between(over, *approached)
            if settings.strength == 0:
                picture = (
                    fit_picture(start, settings) if approached is None else self._decode(over, frames[0])
                )
                return [Painted(frames[0], over.contiguous(), picture)]
        conditionings = [self._condition(frame, each) for frame, each in zip(frames, heard, strict=True)]
        painted = paint_latents(
            self.model,
            conditionings,
            generators,
            settings,
            over,
            noise=self._noise(frames, places),
            on_step=self._bending(frames, settings, over is not None),
            mirrored=self._way(frames[0]).is_centred,
        )
        pictures = decode_latents(self.model, painted, [frame.seed for frame in frames])
        # In memory as they are when they are loaded: the order there decides the last bits of what follows.
        painted = painted.contiguous()
        return [
            Painted(frame, painted[number : number + 1], picture)
            for number, (frame, picture) in enumerate(zip(frames, pictures, strict=True))
        ]

    def between(self, before: Painted, after: Painted, n_steps: int) -> Iterator[tuple[Frame, Image.Image]]:
        """Decode the frames between two that are painted, from latents between theirs.

        Parameters
        ----------
        before, after : Painted
        n_steps : int
            Frames from the one to the other.

        Yields
        ------
        frame : Frame
        picture : PIL.Image.Image
            Moved by the camera as far as it has come.
        """
        first = before.frame.index
        if n_steps < 2:
            return
        border = self.controls.options.border
        way = self._motion(first, first + n_steps)
        goal = after.latents
        if not way.is_still:  # as the camera sees it before it has moved
            settings = self.controls.settings(self.job.settings, after.frame)
            back = move(after.picture, way.inverse, border)
            goal = encode_pictures(self.model, [back], settings, [after.frame.seed])
        for index in range(first + 1, first + n_steps):
            frame = self.timeline[index]
            latents = between(before.latents, goal, (index - first) / n_steps)
            yield frame, move(self._decode(latents, frame), self._motion(first, index), border)

    def _decode(self, latents: torch.Tensor, frame: Frame) -> Image.Image:
        return decode_latents(self.model, latents, [frame.seed])[0]

    def _motion(self, first: int, last: int) -> Motion:
        """Return how the camera moves after frame `first` up to frame `last`, both by their index."""
        stride = self.timeline.stride
        return self.controls.motion(range(first * stride + 1, min(last, len(self.timeline) - 1) * stride + 1))

    def _condition(self, frame: Frame, heard: Heard) -> Conditioning:
        words, position = self.controls.words(self.job.words, frame, self.timeline.position(frame))
        gain = self.controls.gain(frame)

        def made_of(matrix: FloatArray) -> Conditioning:
            made = condition(self.model, matrix, self.scaling, words, position, gain, self.feature)
            return made.encoded(self.model)

        if heard.after is None:
            return made_of(heard.before)
        how = self.job.options.interpolation
        return made_of(heard.before).towards(made_of(heard.after), heard.share, how)

    def _noise(self, frames: Sequence[Frame], places: Sequence[float]) -> torch.Tensor | None:
        path = self.controls.noise
        if self.ways is None:
            return None if path is None else self._make_noise([path.at(place) for place in places])
        seeds = [NoisePoint(frame.seed) for frame in frames]
        points = seeds if path is None else [path.at(place) for place in places]
        return self._make_moved_noise(points, [self._way(frame) for frame in frames])

    @cached_property
    def _make_noise(self) -> NoiseMaker:
        return NoiseMaker(self.model, self.job.settings)

    @cached_property
    def _make_moved_noise(self) -> MovedNoiseMaker:
        return MovedNoiseMaker(self.model, self.job.settings)

    def _way(self, frame: Frame) -> Motion:
        return Motion() if self.ways is None else self.ways[frame.index]

    def _bending(self, frames: Sequence[Frame], settings: PaintSettings, over_picture: bool) -> Any:
        bends = self.job.options.bend
        if not bends:
            return None
        n_steps = steps_to_run(settings) if over_picture else settings.steps
        amounts = self.controls.amounts[[frame.position for frame in frames]]
        seeds = [frame.seed for frame in frames]
        mirrored = self.job.defaults.mirrored_noise and self._way(frames[0]).is_centred
        return Bending(bends, amounts, seeds, n_steps, mirrored)


def between(one: torch.Tensor, other: torch.Tensor, share: float) -> torch.Tensor:
    """Go from latents to latents along an arc, on which they keep their deviation."""
    import torch

    if share == 0:
        return one
    arrays = [each.float().cpu().numpy() for each in (one, other)]
    return torch.from_numpy(arc(arrays[0], arrays[1], share)).to(one)
