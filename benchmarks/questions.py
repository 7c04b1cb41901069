"""Answer, for a model, the questions with which the project began (docs/research.md).

    python -m benchmarks.questions [--model auto] [--only seed overlap amplitude scaling text]
        [--sound examples/song.ogg] [--offset 4] [--duration 2] [--fps 12] [--films FOLDER]

That of interpolation is answered by benchmarks.between. A change is the mean absolute difference of two
pictures, of 255.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

import sound_diffusion as sd
from benchmarks import measures
from benchmarks.between import TXT2IMG, Films, describe_flags, onsets_of, steps_of
from benchmarks.made import one_model
from sound_diffusion.conditioning import SOUND_ALONE, Conditioning, Words
from sound_diffusion.errors import ParameterError
from sound_diffusion.sound.embeddings import SCALINGS

LEVELS = (-24, -18, -12, -6, 0)  # dB
SEEDS = (0, 1)
SOUNDS = ("bell", "drums", "synth_chords", "windchimes")
WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
STRENGTHS = (1.0, 4.0, 16.0)


class Painter:
    """Paints pictures of sounds with the settings that a model declares."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.model = sd.load_model(args.model)
        self.size = {"height": args.size, "width": args.size}
        self.heard = sd.load_audio(args.sound, offset=args.offset, duration=args.duration)

    def condition(
        self, y: np.ndarray | None, words: Words = SOUND_ALONE, scaling: str = "auto"
    ) -> Conditioning:
        """Return what is painted from a sound, words, or both."""
        matrix = None if y is None else sd.extract(y, "fft", self.model.width)
        return sd.condition(self.model, matrix, self.model.scaling_for("fft", scaling), words, feature="fft")

    def paint(self, conditioning: Conditioning, seed: int = 0) -> np.ndarray:
        """Return a picture, (height, width, 3), int."""
        return np.asarray(sd.paint(self.model, conditioning, seed, **self.size)).astype(int)


def change(one: np.ndarray, other: np.ndarray) -> float:
    """Say how much two pictures differ."""
    return float(np.abs(one - other).mean())


def ask_seed(films: Films, args: argparse.Namespace) -> None:
    """Compare one seed for all frames with another for each."""
    onsets = onsets_of(args)
    print(f"{'frames, seed':<26} {'mean step':>9} {'steps and onsets, Spearman':>27} {'light, to':>17}")
    modes = {"by themselves": TXT2IMG, "over each other": ()}
    for mode, seed in itertools.product(modes, ("fixed", "increment")):
        film, _ = films.make(f"seed {mode} {seed}", *modes[mode], "--seed-mode", seed)
        steps, lights = steps_of(film), [film[index].mean() for index in (0, -1)]
        rank = measures.spearman(onsets[1 : len(film)], steps)
        label = f"{mode}, {seed}"
        print(f"{label:<26} {steps.mean():9.1f} {rank:27.2f} {lights[0]:11.0f} {lights[1]:6.0f}", flush=True)


def ask_overlap(films: Films, args: argparse.Namespace) -> None:
    """Compare how much of the sound two frames share."""
    onsets = onsets_of(args)
    print(f"{'window, s':<10} {'shared':>7} {'mean step':>10} {'steps and onsets, Spearman':>27}")
    for window in (1 / args.fps, 0.3, 0.6, 1.2):
        film, _ = films.make(
            f"window {window:.3f}", *TXT2IMG, "--seed-mode", "fixed", "--window", f"{window:.6f}"
        )
        steps = steps_of(film)
        rank = measures.spearman(onsets[1 : len(film)], steps)
        shared = max(0.0, 1 - 1 / (args.fps * window))
        print(f"{window:<10.3f} {shared:7.0%} {steps.mean():10.1f} {rank:27.2f}", flush=True)


def ask_amplitude(args: argparse.Namespace) -> None:
    """Measure the light of pictures by the level of the sound, and by --gain."""
    painter = Painter(args)
    loudest = painter.heard / np.abs(painter.heard).max()
    levels = [painter.condition((loudest * 10 ** (level / 20)).astype(np.float32)) for level in LEVELS]
    gains = [
        replace(levels[-1], embedding=levels[-1].embedding * np.float32(10 ** (level / 20)))
        for level in LEVELS
    ]
    print(f"{'':<16}{''.join(f'{level:>6} dB' for level in LEVELS)}")
    for name, conditionings in {"level: light": levels, "gain: light": gains}.items():
        lights = [measures.light(painter.paint(each).astype(np.uint8)) for each in conditionings]
        print(f"{name:<16}{''.join(f'{light:9.3f}' for light in lights)}", flush=True)


def ask_scaling(args: argparse.Namespace) -> None:
    """Measure how far each scaling sets sounds apart."""
    painter = Painter(args)
    sounds = [sd.load_audio(f"examples/{name}.wav", duration=args.duration) for name in SOUNDS]
    print(f"{'scaling':<8} {'change: another sound':>22} {'another seed':>13}")
    for scaling in SCALINGS:
        try:
            conditionings = [painter.condition(y, scaling=scaling) for y in sounds]
        except ParameterError as error:
            print(f"{scaling:<8} {error}")
            continue
        pictures = [[painter.paint(each, seed) for seed in SEEDS] for each in conditionings]
        sounds_apart = [change(a[0], b[0]) for a, b in itertools.combinations(pictures, 2)]
        seeds_apart = [change(*of_one) for of_one in pictures]
        print(f"{scaling:<8} {np.mean(sounds_apart):22.1f} {np.mean(seeds_apart):13.1f}", flush=True)


def ask_text(args: argparse.Namespace) -> None:
    """Measure what becomes of a text and a sound together."""
    painter = Painter(args)
    if not painter.model.has_text_encoder:
        print(f"model {painter.model.name} reads no text: name one that does with --model")
        return
    alone, text = (
        painter.paint(painter.condition(*of)) for of in ((painter.heard,), (None, Words(args.text)))
    )
    print(f"{'':<22} {'change from the sound alone':>28} {'from the text alone':>20}")
    mixed = {f"--text-weight {weight:g}": Words(args.text, weight=weight) for weight in WEIGHTS}
    added = {f"--textstrength {strength:g}": Words(args.text, strength=strength) for strength in STRENGTHS}
    for name, words in (mixed | added).items():
        picture = painter.paint(painter.condition(painter.heard, words))
        print(f"{name:<22} {change(picture, alone):28.1f} {change(picture, text):20.1f}", flush=True)


OF_FILMS: dict[str, Callable[[Films, argparse.Namespace], None]] = {"seed": ask_seed, "overlap": ask_overlap}
OF_PICTURES: dict[str, Callable[[argparse.Namespace], None]] = {
    "amplitude": ask_amplitude, "scaling": ask_scaling, "text": ask_text,
}  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Ask what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    describe_flags(parser, duration=2.0)
    questions = [*OF_FILMS, *OF_PICTURES]
    parser.add_argument("--only", nargs="+", choices=questions, default=questions)
    parser.add_argument("--text", default="a red apple", help="for models that read text")
    parser.add_argument("--size", type=int, help="of pictures, in pixels (default: the model's)")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as temporary, one_model():
        films = Films(args, args.films or Path(temporary))
        for name in args.only:
            question = OF_FILMS.get(name)
            print(name.upper())
            if question is None:
                OF_PICTURES[name](args)
            else:
                question(films, args)
            print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
