"""Make films that follow a sound with Stable Diffusion: each frame is painted on top of the one before.

    python audio2video.py --path examples/windchimes.wav --fps 12 --strength 0.4

The path of the film is printed to stdout. The same command continues a film that was interrupted.
"""

try:  # Ctrl-C ends the script without a traceback also while imports take their time
    import argparse
    import functools
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from sound_diffusion.cli import Parser, ProgressBar, add_shared_flags, leave, run, shared_options
    from sound_diffusion.inputs import each_input, find_sounds
except KeyboardInterrupt:
    raise SystemExit(130) from None


def build_parser() -> Parser:
    """Declare the flags."""
    parser = Parser(__doc__, __file__)
    switch = argparse.BooleanOptionalAction
    parser.add_argument("--path", type=Path, nargs="+", default=[], metavar="PATH", help="sounds")
    parser.add_argument(
        "--input_folder", type=Path, metavar="FOLDER", help="make a film of every sound in it"
    )
    parser.add_argument(
        "--from-file", type=Path, metavar="FILE", help="use the sounds that it lists, one a line"
    )
    parser.add_argument(
        "--outdir", type=Path, default=Path("outputs/audio2video-samples"), help="folder for runs"
    )
    parser.add_argument(
        "--fps", default="12", help="frames a second: a number or a fraction such as 24000/1001"
    )
    parser.add_argument("--strength", type=float, default=0.4, help="how much of the last frame is forgotten")
    parser.add_argument(
        "--window", metavar="SECONDS", help="sound in a frame (default: the model's, else 1/fps)"
    )
    parser.add_argument(
        "--mode", choices=["img2img", "txt2img"], default="img2img", help="over the last frame or not"
    )
    parser.add_argument(
        "--seed-mode",
        choices=["increment", "fixed", "random"],
        help="seed of each frame (default: increment for img2img, fixed for txt2img)",
    )
    parser.add_argument(
        "--batch-size", type=int, default=1, metavar="N", help="frames at once with --mode txt2img"
    )
    parser.add_argument(
        "--preview", type=int, metavar="N", help="make a film of every N-th frame, to judge by"
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILM", help="the film, or only .mp4, .mkv, .webm or .gif"
    )
    parser.add_argument("--audio", action=switch, default=True, help="put the sound into the film")
    parser.add_argument(
        "--keep-frames", action=switch, default=True, help="keep the frames when the film is done"
    )
    parser.add_argument("--force", action="store_true", help="start over where the folder holds another film")
    parser.add_argument("--wait", action="store_true", help="wait where another run makes the same film")
    parser.add_argument("--skip-existing", action="store_true", help="leave out sounds whose film is there")
    add_shared_flags(parser)
    return parser


def make_films(args: argparse.Namespace) -> Iterator[str]:
    """Yield the path of every film that is made."""
    from sound_diffusion.film import films
    from sound_diffusion.film.timeline import parse_rate, parse_window

    request = films.FilmRequest(
        **shared_options(args),
        outdir=args.outdir,
        fps=parse_rate(args.fps),
        window=None if args.window is None else parse_window(args.window),
        mode=args.mode,
        seed_mode=args.seed_mode,
        batch_size=args.batch_size,
        preview=args.preview,
        output=args.output,
        audio=args.audio,
        keep_frames=args.keep_frames,
        force=args.force,
        wait=args.wait,
        skip_existing=args.skip_existing,
    )
    sounds = find_sounds(args.path, args.input_folder, args.from_file)
    plan = films.plan_films(request, sounds)
    load = functools.cache(request.load)
    with ProgressBar(0, "frame", quiet=args.quiet) as bar:
        yield from map(str, each_input(sounds, lambda sound: films.make_film(sound, plan, load, bar)))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script and return its exit status."""
    return run(make_films, build_parser, argv)


if __name__ == "__main__":
    leave(main())
