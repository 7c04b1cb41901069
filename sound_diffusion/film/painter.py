"""Paints the frames of a film, and decodes what lies between them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from sound_diffusion.bending import Bending
from sound_diffusion.conditioning import Conditioning, condition
from sound_diffusion.film.camera import Motion, move
from sound_diffusion.film.colors import Coherence
from sound_diffusion.film.controls import Controls
from sound_diffusion.film.moved_noise import MovedNoiseMaker
from sound_diffusion.film.noise import NoiseMaker, NoisePoint, arc
from sound_diffusion.film.path import Heard
from sound_diffusion.film.timeline import Frame, Timeline
from sound_diffusion.job import Job
from sound_diffusion.latents import Seed, decode_latents, encode_pictures, fit_picture, seeded
from sound_diffusion.model.model import Model
from sound_diffusion.options import FilmOptions
from sound_diffusion.painting import paint_latents
from sound_diffusion.settings import PaintSettings, steps_to_run
from sound_diffusion.typing import FloatArray

if TYPE_CHECKING:
    import torch
    from PIL import Image


class Painted:
    """A frame as it was painted.

    Parameters
    ----------
    frame : Frame
    latents : torch.Tensor [shape=(1, channels, height, width)]
    picture : PIL.Image.Image or callable
        RGB, or what returns it. That is called once, when and where the picture is asked for first: what
        goes on from latents needs none, so that another thread can decode them.
    """

    def __init__(
        self, frame: Frame, latents: torch.Tensor, picture: Image.Image | Callable[[], Image.Image]
    ) -> None:
        self.frame, self.latents = frame, latents
        self._picture, self._decoding = picture, threading.Lock()

    @property
    def picture(self) -> Image.Image:
        """The picture, RGB."""
        with self._decoding:
            if callable(self._picture):
                self._picture = self._picture()
            return self._picture


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
    coherence : Coherence, optional
        What keeps the colours of frames that are painted one over the other. None: nothing does.
    """

    model: Model
    job: Job[FilmOptions]
    timeline: Timeline
    controls: Controls
    scaling: str
    feature: str
    ways: Mapping[int, Motion] | None = None
    coherence: Coherence | None = None

    def paint(
        self,
        frames: Sequence[Frame],
        conditionings: Sequence[Conditioning],
        places: Sequence[float],
        start: Painted | Image.Image | None = None,
        approached: tuple[torch.Tensor | Image.Image, float] | None = None,
    ) -> list[Painted]:
        """Paint several frames at once.

        Parameters
        ----------
        frames : sequence of Frame
        conditionings : sequence of Conditioning
            What each is painted from, of :meth:`condition`.
        places : sequence of float
            Where each is along the way of the film, in frames; its noise is that of the place.
        start : Painted or PIL.Image.Image, optional
            What one frame is painted over. The latents of a frame are taken as they are, unless the options
            ask for pictures; a picture, such as one that camera, colours or sharpening have changed, is
            encoded.
        approached : (torch.Tensor or PIL.Image.Image, float), optional
            Latents, or a picture, that `start` is brought nearer to, and by how much, in [0, 1].

        Returns
        -------
        painted : list of Painted
        """
        settings = self.controls.settings(self.job.settings, frames[0])
        generators = seeded([frame.seed for frame in frames])
        over = None
        if start is not None and settings.strength < 1:
            over = self._latents_of(start, settings, generators)
            if approached is not None:
                goal, share = approached
                over = between(over, self._goal(goal, start, settings, frames[0], generators), share)
            if settings.strength == 0:
                kept = over.contiguous()
                if approached is not None:
                    return [Painted(frames[0], kept, partial(self._decode, kept, frames[0]))]
                picture = start.picture if isinstance(start, Painted) else start
                return [Painted(frames[0], kept, fit_picture(picture, settings))]
            over = self._with_noise(over, frames[0])
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
        return self._painted(frames, painted)

    def _latents_of(
        self, start: Painted | Image.Image, settings: PaintSettings, seeds: Sequence[Seed]
    ) -> torch.Tensor:
        if not isinstance(start, Painted):
            return encode_pictures(self.model, [start], settings, seeds)
        if self.job.options.chain == "latent":
            return start.latents
        return encode_pictures(self.model, [start.picture], settings, seeds)

    def _with_noise(self, latents: torch.Tensor, frame: Frame) -> torch.Tensor:
        """Add noise to what a frame is painted over, as symmetric and as moved as that of the frame."""
        amount = self.controls.noise_in_latents(frame)
        if amount == 0:
            return latents
        noise = self._make_moved_noise([NoisePoint(frame.seed_of_addition)], [self._way(frame)])
        return latents + amount * noise.to(latents)

    def _goal(
        self,
        goal: torch.Tensor | Image.Image,
        start: Painted | Image.Image,
        settings: PaintSettings,
        frame: Frame,
        generators: Sequence[Seed],
    ) -> torch.Tensor:
        """Return the latents of what is approached.

        A VAE may draw from the generator before the noise is drawn. One drawing for every frame lets the same
        seed give the noise that it gave where the picture itself was painted over.
        """
        import torch

        if isinstance(goal, torch.Tensor):
            return goal
        drawn = not (isinstance(start, Painted) and self.job.options.chain == "latent")
        return encode_pictures(self.model, [goal], settings, [frame.seed] if drawn else generators)

    def _painted(self, frames: Sequence[Frame], latents: torch.Tensor) -> list[Painted]:
        """Return frames with their latents; several at once are decoded at once, where memory may lack."""
        # In memory as they are when they are loaded: the order there decides the last bits of what follows.
        ordered = latents.contiguous()
        if len(frames) == 1:
            return [Painted(frames[0], ordered, partial(self._decode, ordered, frames[0]))]
        pictures = self._decode_all(ordered, frames)
        return [
            Painted(frame, ordered[number : number + 1], picture)
            for number, (frame, picture) in enumerate(zip(frames, pictures, strict=True))
        ]

    def between(self, before: Painted, after: Painted, n_steps: int) -> Iterator[Painted]:
        """Make the frames between two that are painted, of latents between theirs.

        Parameters
        ----------
        before, after : Painted
        n_steps : int
            Frames from the one to the other.

        Yields
        ------
        made : Painted
            Its picture is moved by the camera as far as it has come.
        """
        first = before.frame.index
        if n_steps < 2:
            return
        way = self._motion(first, first + n_steps)
        goal = after.latents
        if not way.is_still:  # as the camera sees it before it has moved
            settings = self.controls.settings(self.job.settings, after.frame)
            # Its picture may have the colours of the first second, which these frames get when decoded.
            picture = (
                after.picture if self.coherence is None else self._decode_raw(after.latents, after.frame)
            )
            back = move(picture, way.inverse, self.controls.options.border)
            goal = encode_pictures(self.model, [back], settings, [after.frame.seed])
        for index in range(first + 1, first + n_steps):
            frame, latents = self.timeline[index], between(before.latents, goal, (index - first) / n_steps)
            yield Painted(frame, latents, partial(self._decode_moved, latents, frame, first))

    def _decode_moved(self, latents: torch.Tensor, frame: Frame, first: int) -> Image.Image:
        """Decode a frame as it looks after the camera has moved from frame `first` to it."""
        motion = self._motion(first, frame.index)
        return move(self._decode(latents, frame), motion, self.controls.options.border)

    def _decode(self, latents: torch.Tensor, frame: Frame) -> Image.Image:
        picture = self._decode_raw(latents, frame)
        if self.coherence is None:
            return picture
        return self.coherence.match(picture, frame.index)

    def _decode_raw(self, latents: torch.Tensor, frame: Frame) -> Image.Image:
        return self._decode_all(latents, [frame])[0]

    def _decode_all(self, latents: torch.Tensor, frames: Sequence[Frame]) -> list[Image.Image]:
        contrast = self.job.settings.local_contrast
        return decode_latents(self.model, latents, [frame.seed for frame in frames], contrast)

    def _motion(self, first: int, last: int) -> Motion:
        """Return how the camera moves after frame `first` up to frame `last`, both by their index."""
        stride = self.timeline.stride
        return self.controls.motion(range(first * stride + 1, min(last, len(self.timeline) - 1) * stride + 1))

    def condition(self, frame: Frame, heard: Heard) -> Conditioning:
        """Return what the model is given for a frame."""
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
