"""Makes the frames of a film, one after the other, and keeps in the run folder what the next ones need."""

from __future__ import annotations

import contextlib
from bisect import bisect_left
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from sound_diffusion.batches import Batches
from sound_diffusion.conditioning import Conditioning
from sound_diffusion.film.ahead import ahead
from sound_diffusion.film.camera import feed_back
from sound_diffusion.film.colors import Coherence
from sound_diffusion.film.controls import Controls
from sound_diffusion.film.even import find_even_places
from sound_diffusion.film.flashes import relative_luminance
from sound_diffusion.film.keys import at_the_pace, equal_times
from sound_diffusion.film.moved_noise import ways_over
from sound_diffusion.film.painter import FilmPainter, Painted
from sound_diffusion.film.path import Listener
from sound_diffusion.film.run_folder import RunFolder, compare_arithmetic
from sound_diffusion.film.saving import Saver
from sound_diffusion.film.segments import LARGEST_BATCH
from sound_diffusion.film.timeline import Frame, Timeline
from sound_diffusion.job import Job
from sound_diffusion.options import FilmOptions
from sound_diffusion.recipe import versions
from sound_diffusion.starting_pictures import load_picture
from sound_diffusion.typing import DoubleArray, FloatArray

if TYPE_CHECKING:
    import torch
    from PIL import Image


@dataclass(frozen=True)
class FrameMaker:
    """Makes the frames of a film.

    Attributes
    ----------
    open_blocks : callable
        Returns an iterator of the samples of its sound.
    job : Job
    timeline : Timeline
    controls : Controls
    folder : RunFolder
    recipe : dict
        Of the film.
    """

    open_blocks: Callable[[], Iterator[FloatArray]]
    job: Job[FilmOptions]
    timeline: Timeline
    controls: Controls
    folder: RunFolder
    recipe: dict[str, Any]

    def make(self, segments: Sequence[range], there: Set[int]) -> Generator[Frame, None, None]:
        """Make what is missing of some segments, each apart from the others; yield every frame that is made.

        They are saved in order by another thread; where the generator ends or is closed, all are.

        Parameters
        ----------
        segments : sequence of range
            Ascending, of :func:`sound_diffusion.film.segments.divide`. Some frames that are there are made
            again, and stay as they are.
        there : set of int
            The frames of the film that are there.
        """
        parts = [part for segment in segments if (part := self._to_paint(segment, there))]
        if self._coherence is not None and parts and parts[0][0] and set(self._first_second) - there:
            parts.insert(0, self._first_second)  # all segments need it; whoever is first saves it
        if there:
            compare_arithmetic(self.folder.frame(max(there)), self._frame_recipe)
        frames = [self._placed(index) for part in parts for index in part]
        with contextlib.closing(self._conditioned(frames)) as conditioned, self._saver:
            for part in parts:
                yield from self._make_part(islice(conditioned, len(part)), self._before(part[0]))

    def _conditioned(self, frames: Sequence[Frame]) -> Generator[tuple[Frame, Conditioning], None, None]:
        """Yield frames with what the model is given for them, which a thread works out ahead."""
        heard = self._listen().hear(frames, [self._places[frame.index] for frame in frames])
        made = ((frame, self._painter.condition(frame, each)) for frame, each in heard)
        # Parts of a model that move between devices cannot be used by two threads.
        return made if self.job.model.moves else ahead(made)

    def flush(self) -> None:
        """Wait until all frames that were made are saved."""
        self._saver.flush()

    @cached_property
    def _saver(self) -> Saver:
        return Saver()

    def _make_part(
        self, conditioned: Iterator[tuple[Frame, Conditioning]], last: Painted | None
    ) -> Iterator[Frame]:
        """Make and save frame after frame, the last painted one being the state."""
        while batch := list(islice(conditioned, self._largest_batch)):
            for each in self._paint(batch, last):
                yield from self._save_between(last, each, each.frame.index)
                if self._keeps_latents(each.frame.index):
                    latents = each.latents.float().cpu().numpy()
                    self._saver.save(self.folder.save_latents, each.frame.index, latents)
                yield self._save(each)
                last = each
        if self.timeline.loop and self.timeline.cadence > 1:
            yield from self._save_between(last, self._load(0), len(self.timeline))

    def _to_paint(self, segment: range, there: Set[int]) -> list[int]:
        """Return the frames that are painted, for those of a segment that are missing.

        A chain goes on from the last frame before the gap. On a GPU a whole batch is painted again, so that
        every frame is made in the same company as in one go.
        """
        first = next((index for index in segment if index not in there), None)
        if first is None:
            return []
        painted = self.timeline.painted
        stop = bisect_left(painted, segment.stop)
        batched = not self.job.options.over_pictures and self.job.model.device != "cpu"
        begin = bisect_left(painted, segment.start)
        # After the last painted frame of a loop come those that lead from it to the first one.
        start = max(begin, min(bisect_left(painted, first), stop - 1))
        if batched:
            start -= (start - begin) % self._largest_batch
        before = {painted[begin], painted[start - 1]} if start > begin else set()
        needed = filter(self._keeps_latents, before)
        lost = any(self.folder.load_latents(index) is None for index in needed)
        return painted[begin if lost else start : stop]

    def _before(self, index: int) -> Painted | None:
        """Return the painted frame before one, where that one owes something to it."""
        painted = self.timeline.painted
        alone = self.timeline.cadence == 1 and (
            not self.job.options.over_pictures or self.controls.forgets_all(index)
        )
        if index == 0:
            return self._run_in()
        return None if alone else self._load(painted[bisect_left(painted, index) - 1])

    def _run_in(self) -> Painted | None:
        """Paint the last second of a loop ahead, by the sound of its first frame, which is painted over it.

        Frames that go on from others look otherwise than one that is painted from noise alone, so that the
        last frames could not come back to such a first one.
        """
        if not (self.timeline.loop and self.job.options.over_pictures) or self.job.init_image is not None:
            return None
        [(_, first)] = self._listen().hear([self.timeline[0]], [0.0])
        last = None
        for index in filter(self.timeline.approach, self.timeline.painted):
            frame = self._placed(index)
            conditioning = self._painter.condition(frame, first)
            [last] = self._painter.paint([frame], [conditioning], [self._places[index]], last)
        return last

    @property
    def _largest_batch(self) -> int:
        return self.job.options.batch_size or LARGEST_BATCH

    @cached_property
    def _batches(self) -> Batches:
        return Batches(self._largest_batch, announce=self.job.options.batch_size is not None)

    def _paint(self, batch: Sequence[tuple[Frame, Conditioning]], last: Painted | None) -> Iterable[Painted]:
        frames, conditionings = [frame for frame, _ in batch], [each for _, each in batch]
        places = [self._places[frame.index] for frame in frames]
        if not self.job.options.over_pictures or (last is None and self.job.init_image is None):
            items = list(zip(frames, conditionings, places, strict=True))
            batches = self._batches.paint(self.job.model.device, items, self._paint_at_once)
            return (painted for _, batch in batches for painted in batch)
        start = self._over(frames[0], last)
        return self._painter.paint(frames, conditionings, places, start, self._approached(frames[0]))

    def _over(self, frame: Frame, last: Painted | None) -> Painted | Image.Image | None:
        """Return what a frame is painted over: the one before, as it is or changed; at first a picture."""
        if last is None:
            return self.job.init_image
        feedback = self.controls.feedback(frame)
        if frame.index == 0 or not (feedback.changes or self.controls.keeps_colors):
            return last
        return feed_back(last.picture, feedback)

    def _paint_at_once(self, items: Sequence[tuple[Frame, Conditioning, float]]) -> list[Painted]:
        frames, conditionings, places = zip(*items, strict=True)
        return self._painter.paint(frames, conditionings, places)

    @cached_property
    def _coherence(self) -> Coherence | None:
        """What keeps the colours; what it needs is on disk, so that they are the same in a later run."""
        options = self.job.options
        if not self.controls.keeps_colors:
            return None
        parts = (options.color_coherence, options.color_strength, self._first_second)
        return Coherence(*parts, lambda index: load_picture(self.folder.frame(index)))

    @cached_property
    def _first_second(self) -> list[int]:
        return [index for index in self.timeline.painted if index < self.timeline.shown_fps] or [0]

    def _approached(self, frame: Frame) -> tuple[torch.Tensor | Image.Image, float] | None:
        """Return what a loop comes back to, and how near this frame is brought to them."""
        share = self.timeline.approach(frame.index)
        return (self._goal, share) if share else None

    @cached_property
    def _goal(self) -> torch.Tensor | Image.Image:
        """What a loop comes back to: its first frame; where noise does so too, what that was painted over."""
        picture = self.job.init_image
        comes_back = self.timeline.seed_mode in ("fixed", "walk", "circle")
        return picture if picture is not None and comes_back else self._load(0).latents

    def _keeps_latents(self, index: int) -> bool:
        """Whether the latents of a painted frame are needed for frames that come later."""
        options = self.job.options
        chained = options.over_pictures and (options.chain == "latent" or (options.loop and index == 0))
        return options.cadence > 1 or chained

    def _load(self, index: int) -> Painted:
        """Load a frame that was painted."""
        import torch

        self.flush()
        latents = self.folder.load_latents(index)
        tensor = torch.from_numpy(np.zeros(0, dtype=np.float32) if latents is None else latents)
        tensor = tensor.to(self.job.model.device, self.job.model.dtype)
        return Painted(self._placed(index), tensor, partial(load_picture, self.folder.frame(index)))

    def _save_between(self, last: Painted | None, after: Painted, index: int) -> Iterator[Frame]:
        """Make the frames between two that are painted; `index` is that of the second, as it follows."""
        if last is None:
            return
        for made in self._painter.between(last, after, index - last.frame.index):
            yield self._save(made, between=[last.frame.index, after.frame.index])

    def _save(self, made: Painted, **own: Any) -> Frame:
        """Save a frame in the saver's thread, where its picture is decoded as well if there is time."""
        frame = made.frame
        if self.job.model.moves or self._saver.is_behind:
            _ = made.picture  # decoded here: another thread cannot use the model, or has more to do than this
        values = self.controls.values(frame)
        if self.timeline.keys is not None:
            values["place"] = float(self._places[frame.index])
        own |= {"frame": frame.index, "seed": frame.seed, **({"values": values} if values else {})}
        self._saver.save(self._write, made, self._frame_recipe | own)
        return frame

    def _write(self, made: Painted, recipe: dict[str, Any]) -> None:
        index = made.frame.index
        if not self.folder.has(index):
            recipe |= {"luminance": relative_luminance(made.picture)}
            self.folder.save_frame(index, made.picture, recipe)

    @cached_property
    def _frame_recipe(self) -> dict[str, Any]:
        return self.recipe | self.job.model.arithmetic | {"versions": versions()}

    @cached_property
    def _painter(self) -> FilmPainter:
        scaling, feature = self.recipe["scaling"], self.recipe["feature"]
        ways = ways_over(self.controls, self.timeline)
        parts = (self.job.model, self.job, self.timeline, self.controls, scaling, feature)
        return FilmPainter(*parts, ways, self._coherence)

    def _listen(self) -> Listener:
        return Listener(self.open_blocks, self.timeline, self.job.model.width)

    def _placed(self, index: int) -> Frame:
        """Return a frame; where steps are even, its numbers and words are those of its place on the way."""
        frame = self.timeline[index]
        if self.job.options.spacing != "even":
            return frame
        return replace(frame, position=self.timeline.position_of(self._places[index]))

    @cached_property
    def _places(self) -> DoubleArray:
        """Where every frame that is shown is along the way of the film, in frames, ascending."""
        keys, spacing = self.timeline.keys, self.job.options.spacing
        if keys is None:
            places = np.arange(self.timeline.n_positions, dtype=np.float64)
        elif spacing == "music":
            places = at_the_pace(keys, self.controls.pace(self.timeline.n_positions))
        elif spacing == "even":
            places = find_even_places(self._painter, self._listen(), self.folder)
        else:
            places = equal_times(keys)
        return places[:: self.timeline.stride]
