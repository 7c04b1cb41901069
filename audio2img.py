"""Paint sounds with Stable Diffusion: one sound, one picture.

    python audio2img.py --prompt examples/bell.wav --feature fft

    python audio2img.py --textprompt "a red juicy apple floating in outer space, like a planet"

The paths of the pictures are printed to stdout. Every picture carries its recipe: --recipe prints the
command that makes it again.
"""

try:  # Ctrl-C ends the script without a traceback also while imports take their time
    from collections.abc import Iterator, Sequence

    from sound_diffusion.cli import run
    from sound_diffusion.options import PictureOptions
    from sound_diffusion.streams import leave
except KeyboardInterrupt:
    raise SystemExit(130) from None


def work(options: PictureOptions) -> Iterator[str]:
    """Yield the path of every file that is written, or what else was asked for."""
    from sound_diffusion import pictures
    from sound_diffusion.recipe import command_again

    if options.shard.index and (options.recipe is not None or options.inspect):
        return  # said by the first
    if options.recipe is not None:
        yield command_again(options.recipe)
    elif options.inspect:
        yield from pictures.inspect_sounds(options)
    else:
        yield from map(str, pictures.paint_pictures(options))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script and return its exit status."""
    return run(work, PictureOptions, __doc__, argv)


if __name__ == "__main__":
    leave(main())
