"""Paint sounds with Stable Diffusion: one sound, one picture.

    python audio2img.py --prompt examples/bell.wav --feature fft

The paths of the pictures are printed to stdout. Every picture carries its recipe: --recipe prints the
command that makes it again.
"""

import argparse
import functools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from sound_diffusion.cli import (
    Parser,
    ProgressBar,
    add_model_flags,
    add_sound_flags,
    each_input,
    find_sounds,
    run,
    shared_options,
)


def build_parser() -> Parser:
    """Declare the flags."""
    parser = Parser(__doc__, __file__)
    parser.add_argument(
        "--prompt", type=Path, nargs="+", default=[], metavar="PATH", help="sounds, or .npy embeddings"
    )
    parser.add_argument("--input_folder", type=Path, metavar="FOLDER", help="paint every sound in it")
    parser.add_argument(
        "--from-file", type=Path, metavar="FILE", help="paint the sounds that it lists, one a line"
    )
    parser.add_argument(
        "--recipe", type=Path, metavar="PICTURE", help="print the command that makes it again"
    )
    parser.add_argument(
        "--outdir", type=Path, default=Path("outputs/audio2img-samples"), help="folder for results"
    )
    parser.add_argument(
        "--n_samples", type=int, default=1, metavar="N", help="pictures in a batch, seeds ascending"
    )
    parser.add_argument("--n_iter", type=int, default=1, metavar="N", help="batches of every sound")
    parser.add_argument("--fixed_code", action="store_true", help="start all batches from the same noise")
    parser.add_argument(
        "--strength", type=float, help="how much of --init-img is forgotten, in [0, 1] (default: 0.75)"
    )
    parser.add_argument("--skip_grid", action="store_true", help="save no grid of several pictures")
    parser.add_argument("--skip_save", action="store_true", help="save the grid alone")
    parser.add_argument(
        "--skip-existing", action="store_true", help="do not paint again what is there already"
    )
    parser.add_argument(
        "--save-embedding", type=Path, metavar="FILE.npy", help="save the matrix that is painted"
    )
    parser.add_argument(
        "--plot", action="store_true", help="save a plot of sound, embedding and picture as well"
    )
    add_sound_flags(parser)
    add_model_flags(parser)
    return parser


def paint(args: argparse.Namespace) -> Iterator[str]:
    """Yield the path of every file that is written, or the command of a recipe."""
    from sound_diffusion import models, outputs, pictures

    if args.recipe is not None:
        yield pictures.recipe_command(outputs.read_recipe(args.recipe))
        return
    request = pictures.PictureRequest(
        **shared_options(args),
        fixed_code=args.fixed_code,
        n_samples=args.n_samples,
        n_iter=args.n_iter,
        grid=not args.skip_grid,
        save_samples=not args.skip_save,
        plot=args.plot,
        save_embedding=args.save_embedding,
        skip_existing=args.skip_existing,
    )
    sounds = find_sounds(args.prompt, args.input_folder, args.from_file)
    plan = pictures.plan_pictures(request, n_sounds=len(sounds))
    load = functools.cache(
        lambda: models.load_model(args.model, device=args.device, precision=args.precision)
    )
    with ProgressBar(plan.n_steps * len(sounds), "step", quiet=args.quiet) as bar:
        yield from map(
            str, each_input(sounds, lambda sound: pictures.paint_sound(sound, plan, load, bar.update))
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script and return its exit status."""
    return run(paint, build_parser(), argv)


if __name__ == "__main__":
    sys.exit(main())
