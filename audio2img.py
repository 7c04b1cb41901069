"""Paint sounds with Stable Diffusion: one sound, one picture.

    python audio2img.py --prompt examples/bell.wav --feature fft

    python audio2img.py --textprompt "a red juicy apple floating in outer space, like a planet"

The paths of the pictures are printed to stdout. Every picture carries its recipe: --recipe prints the
command that makes it again.
"""

try:  # Ctrl-C ends the script without a traceback also while imports take their time
    import argparse
    import functools
    import logging
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from sound_diffusion.cli import Parser, ProgressBar, add_shared_flags, leave, run, shared_options
    from sound_diffusion.inputs import each_input, find_sounds
except KeyboardInterrupt:
    raise SystemExit(130) from None


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
    parser.add_argument("--inspect", action="store_true", help="print statistics of sound and text instead")
    parser.add_argument(
        "--outdir",
        type=Path,
        metavar="FOLDER",
        help="folder for results (default: outputs/audio2img-samples, or txt2img-samples for words alone)",
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
        "--skip-existing",
        action="store_true",
        help="do not paint again what is there; a missing plot or embedding is made",
    )
    parser.add_argument(
        "--save-embedding", type=Path, metavar="FILE.npy", help="save the matrix that is painted"
    )
    parser.add_argument(
        "--plot", action="store_true", help="save a plot of sound, embedding and picture as well"
    )
    add_shared_flags(parser)
    return parser


def paint(args: argparse.Namespace) -> Iterator[str]:
    """Yield the path of every file that is written, or the command of a recipe."""
    from sound_diffusion import pictures
    from sound_diffusion.recipe import changes_since, read_recipe, recipe_command

    if args.recipe is not None:
        recipe = read_recipe(args.recipe)
        for change in changes_since(recipe):
            logging.getLogger("sound_diffusion").warning("the picture would come out different: %s", change)
        yield recipe_command(recipe)
        return
    words_alone = args.textprompt is not None and not (args.prompt or args.input_folder or args.from_file)
    request = pictures.PictureRequest(
        **shared_options(args),
        outdir=args.outdir or Path("outputs") / ("txt2img-samples" if words_alone else "audio2img-samples"),
        fixed_code=args.fixed_code,
        n_samples=args.n_samples,
        n_iter=args.n_iter,
        grid=not args.skip_grid,
        save_samples=not args.skip_save,
        plot=args.plot,
        save_embedding=args.save_embedding,
        skip_existing=args.skip_existing,
    )
    sounds = [None] if words_alone else find_sounds(args.prompt, args.input_folder, args.from_file)
    plan = pictures.plan_pictures(request, sounds)
    load = functools.cache(request.load)
    if args.inspect:
        yield from each_input(sounds, lambda sound: pictures.inspect_sound(sound, plan, load))
        return
    with ProgressBar(plan.n_steps * len(sounds), "step", quiet=args.quiet) as bar:
        paths = each_input(sounds, lambda sound: pictures.paint_sound(sound, plan, load, bar.update))
        yield from map(str, paths)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script and return its exit status."""
    return run(paint, build_parser, argv)


if __name__ == "__main__":
    leave(main())
