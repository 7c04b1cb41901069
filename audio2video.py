"""Make films that follow a sound with Stable Diffusion: each frame is painted on top of the one before.

    python audio2video.py --path examples/windchimes.wav --fps 12 --strength 0.4

The path of the film is printed to stdout. The same command continues a film that was interrupted.
"""

try:  # Ctrl-C ends the script without a traceback also while imports take their time
    from collections.abc import Iterator, Sequence

    from sound_diffusion.cli import run
    from sound_diffusion.options import FilmOptions
    from sound_diffusion.streams import leave
except KeyboardInterrupt:
    raise SystemExit(130) from None


def work(options: FilmOptions) -> Iterator[str]:
    """Yield the path of every film that is made."""
    if options.describe or options.export_schedule is not None:
        from sound_diffusion.film.description import describe_films

        if not options.shard.index:  # said by the first
            yield from describe_films(options)
        return
    from sound_diffusion.film.films import make_films

    yield from map(str, make_films(options))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script and return its exit status."""
    return run(work, FilmOptions, __doc__, argv)


if __name__ == "__main__":
    leave(main())
