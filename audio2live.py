"""Paint what is heard now: a page in your browser listens to a microphone, a tab or a file.

    python audio2live.py

The address of the page is printed to stdout. Ctrl-C ends it.
"""

try:  # Ctrl-C ends the script without a traceback also while imports take their time
    from collections.abc import Iterator, Sequence

    from sound_diffusion.cli import run
    from sound_diffusion.options import LiveOptions
    from sound_diffusion.streams import leave
except KeyboardInterrupt:
    raise SystemExit(130) from None


def work(options: LiveOptions) -> Iterator[str]:
    """Yield the address of the page, and serve it until Ctrl-C."""
    from sound_diffusion.live.server import serve

    yield from serve(options)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script and return its exit status."""
    return run(work, LiveOptions, __doc__, argv)


if __name__ == "__main__":
    leave(main())
