"""Network bending: what is done to the latents between two steps, by amounts that follow the sound.

After Dzwonczyk, Cella and Ban, Network Bending of Diffusion Models for Audio-Visual Generation, DAFx 2024.
The steps that follow make a picture of what was bent, so that nothing is bent after the last one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sound_diffusion.errors import ParameterError, shorten
from sound_diffusion.formulas.expressions import nearest
from sound_diffusion.formulas.schedules import ANY_NUMBER, Limits, Schedule, parse_schedule
from sound_diffusion.formulas.variables import Variables
from sound_diffusion.typing import DoubleArray

if TYPE_CHECKING:
    import torch

FLAG = "--bend"
FORM = re.compile(r"\s*(\w+)\s*@\s*([0-9]+(?:\.[0-9]+)?)\s*(%?)\s*:(.*)", re.DOTALL)
EXAMPLE = "such as 'rotate@3: 6.28*centroid' or 'noise@50%: 0.5*onset'"


def _rotate(latents: torch.Tensor, amount: float, _drawn: Drawn) -> torch.Tensor:
    """Turn the channels, two and two, so that every value keeps its place and every place its length."""
    turned = latents.clone()
    pairs = latents.shape[1] // 2 * 2
    one, other = latents[:, 0:pairs:2], latents[:, 1:pairs:2]
    turned[:, 0:pairs:2] = math.cos(amount) * one - math.sin(amount) * other
    turned[:, 1:pairs:2] = math.sin(amount) * one + math.cos(amount) * other
    return turned


def _flip(latents: torch.Tensor, amount: float, drawn: Drawn) -> torch.Tensor:
    """Go to the mirror image along an arc, on which noise keeps its deviation."""
    if drawn.mirrored:  # it is its own mirror image: the middle and the rim change places instead
        other = latents.roll((latents.shape[2] // 2, latents.shape[3] // 2), (2, 3))
    else:
        other = latents.flip(3)
    return math.cos(amount * math.pi / 2) * latents + math.sin(amount * math.pi / 2) * other


@dataclass(frozen=True)
class Operator:
    """Something that can be done to latents.

    Attributes
    ----------
    apply : callable
        ``apply(latents, amount, drawn)``.
    limits : Limits
        Of the amount.
    neutral : float
        The amount that changes nothing.
    """

    apply: Callable[[torch.Tensor, float, Drawn], torch.Tensor]
    limits: Limits = ANY_NUMBER
    neutral: float = 0.0


OPERATORS = {
    "add": Operator(lambda latents, amount, _: latents + amount),
    "multiply": Operator(lambda latents, amount, _: latents * amount, neutral=1.0),
    "rotate": Operator(_rotate),
    "noise": Operator(
        lambda latents, amount, drawn: latents + amount * drawn.noise(latents), Limits(0, 1000)
    ),
    "flip": Operator(_flip, Limits(0, 1)),
    "threshold": Operator(lambda latents, amount, _: latents.where(latents.abs() >= amount, 0.0), Limits(0)),
}


@dataclass(frozen=True)
class Drawn:
    """What an operator draws at random, and how a model paints.

    Attributes
    ----------
    seed : sequence of int
        Of the noise.
    mirrored : bool
        Whether the model paints pictures that are their own mirror images.
    """

    seed: tuple[int, ...]
    mirrored: bool

    def noise(self, latents: torch.Tensor) -> torch.Tensor:
        """Draw standard normal noise for latents, the same on every device."""
        import torch

        values = np.random.default_rng(self.seed).standard_normal(tuple(latents.shape), dtype=np.float32)
        noise = torch.from_numpy(values)
        if self.mirrored:
            from sound_diffusion.model.mirrored import mirrored

            noise = mirrored(noise)
        return noise.to(latents)


@dataclass(frozen=True)
class Bend:
    """One operator, after one of the steps.

    Attributes
    ----------
    text : str
        As it was written.
    operator : str
        A key of :data:`OPERATORS`.
    place : float
        The step after which it happens, from 1 on; or with `is_share` the share of the steps, in (0, 1).
    is_share : bool
    amount : Schedule
    """

    text: str
    operator: str
    place: float
    is_share: bool
    amount: Schedule

    def __str__(self) -> str:
        return self.text

    def step(self, n_steps: int) -> int | None:
        """Return the step of `n_steps` after which it happens, from 1 on; None where none follows it."""
        if n_steps < 2:
            return None
        if self.is_share:
            return min(max(math.floor(self.place * n_steps + 0.5), 1), n_steps - 1)
        return int(self.place) if self.place < n_steps else None

    def check(self, n_steps: int) -> None:
        """Raise ParameterError where no step follows it."""
        if self.step(n_steps) is None:
            steps = "1 step is" if n_steps == 1 else f"{n_steps} steps are"
            raise ParameterError(
                f"{FLAG} {shorten(self.text)!r}: {steps} run, and none follows it",
                {0: "2 steps or more", 1: "2 steps or more", 2: "step 1"}.get(
                    n_steps, f"a step from 1 to {n_steps - 1}, or a share such as @50%"
                ),
                "raise --ddim_steps, or --strength where a picture is painted over",
            )


def parse_bend(text: str) -> Bend:
    """Read an operator, the step after which it happens, and its amount.

    Parameters
    ----------
    text : str
        ``rotate@3: 6.28*centroid``: after the third step that is run; ``noise@50%: 0.2``: after half of them.

    Returns
    -------
    bend : Bend

    Raises
    ------
    ParameterError
        If it is nothing of the kind, with the nearest operator where there is none of that name.
    """
    match = FORM.fullmatch(text)
    if match is None:
        raise ParameterError(f"{FLAG} {shorten(text)!r}", f"OPERATOR@STEP: AMOUNT, {EXAMPLE}")
    name, place, percent, amount = match.groups()
    if name not in OPERATORS:
        raise ParameterError(
            f"{FLAG}: unknown operator {name[:50]!r}",
            f"one of {', '.join(OPERATORS)}",
            nearest(name, OPERATORS),
        )
    number = float(place) / 100 if percent else float(place)
    if percent and not 0 < number < 1:
        raise ParameterError(
            f"{FLAG} {shorten(text)!r}: {place}% of the steps", "more than 0% and less than 100%"
        )
    if not percent and not (number >= 1 and number.is_integer()):
        raise ParameterError(f"{FLAG} {shorten(text)!r}: step {place}", "1, 2, ... or a share such as 50%")
    schedule = parse_schedule(amount.strip(), f"{FLAG} {name}@{place}{percent}", OPERATORS[name].limits)
    return Bend(" ".join(text.split()), name, number, bool(percent), schedule)


def work_out_amounts(bends: Sequence[Bend], variables: Variables) -> DoubleArray:
    """Work out every amount.

    Parameters
    ----------
    bends : sequence of Bend
    variables : Variables
        Of a film, or of a picture as of a film of one frame.

    Returns
    -------
    amounts : np.ndarray [shape=(n_frames, n_bends), dtype=float64]

    Raises
    ------
    ParameterError
        As :meth:`Schedule.evaluate`.
    """
    amounts = [bend.amount.evaluate(variables) for bend in bends]
    return np.stack(amounts, axis=1) if amounts else np.empty((variables.n_frames, 0))


@dataclass(frozen=True)
class Bending:
    """The bends of a batch of pictures, to be called after every step.

    Attributes
    ----------
    bends : sequence of Bend
    amounts : np.ndarray [shape=(n_pictures, n_bends), dtype=float64]
    seeds : sequence of int
        Of the pictures.
    n_steps : int
        How many steps are run.
    mirrored : bool
        Whether the model paints pictures that are their own mirror images.
    """

    bends: Sequence[Bend]
    amounts: DoubleArray
    seeds: Sequence[int]
    n_steps: int
    mirrored: bool = False

    def __call__(self, index: int, latents: torch.Tensor) -> torch.Tensor:
        """Bend what a step has left.

        Parameters
        ----------
        index : int
            Of the step, from 0 on.
        latents : torch.Tensor [shape=(n_pictures, channels, height, width)]

        Returns
        -------
        latents : torch.Tensor
            The same where nothing is bent.
        """
        import torch

        for number, bend in enumerate(self.bends):
            operator = OPERATORS[bend.operator]
            if bend.step(self.n_steps) != index + 1 or (self.amounts[:, number] == operator.neutral).all():
                continue
            pictures = [latents[picture : picture + 1] for picture in range(len(latents))]
            for picture, (amount, seed) in enumerate(zip(self.amounts[:, number], self.seeds, strict=True)):
                if amount != operator.neutral:
                    drawn = Drawn((seed, number), self.mirrored)
                    bent = operator.apply(pictures[picture], float(amount), drawn)
                    pictures[picture] = bent.to(latents)
            latents = torch.cat(pictures)
        return latents
