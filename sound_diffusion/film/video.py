"""Films: numbered frames on disk and a sound become one file that plays everywhere."""

from __future__ import annotations

import contextlib
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from sound_diffusion.errors import AudioError, ParameterError, VideoError
from sound_diffusion.files import make_folder, whole_file
from sound_diffusion.sound.audio import open_stereo
from sound_diffusion.typing import FloatArray

FRAME_PATTERN = "%05d.png"  # of ffmpeg; more digits are taken when the number needs them
CHUNK_LIST = "chunks.txt"

BITEXACT = ["-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact"]
# yuv420p halves the chroma, so that an odd side gets one more row or column of the border's colour.
EVEN_SIZE = "pad=ceil(iw/2)*2:ceil(ih/2)*2,format=yuv420p"
THREADS = ["-threads", "4"]  # a number of its own, as the bytes depend on it, and would on that of the cores
# As like the frames as with x264's own preset and CRF 18, in two thirds of the time and with 9% more bytes.
X264 = ["-c:v", "libx264", "-preset", "faster", "-crf", "17", *THREADS]
VP9 = ["-c:v", "libvpx-vp9", "-crf", "24", "-b:v", "0", "-row-mt", "1", *THREADS]
PICTURES = {".mp4": X264, ".mkv": X264, ".webm": VP9}
AAC = ["-c:a", "aac", "-b:a", "192k"]
CONTAINERS = {
    ".mp4": [*AAC, "-movflags", "+faststart", "-f", "mp4"],
    ".mkv": [*AAC, "-f", "matroska"],
    ".webm": ["-c:a", "libopus", "-b:a", "160k", "-f", "webm"],
    ".gif": ["-f", "gif"],
}
FILM_SUFFIXES = tuple(CONTAINERS)
# Frames that are encoded together; several processes encode a film, and the bytes do not depend on them.
CHUNK = 240
# A GIF says how long a frame is shown in hundredths of a second, and browsers take less than two for ten.
FASTEST_GIF = 50  # frames a second


@dataclass(frozen=True)
class SoundTrack:
    """The part of a sound file that is heard in a film: `offset` and `duration` in seconds."""

    path: Path
    offset: float = 0.0
    duration: float | None = None


@dataclass(frozen=True)
class Film:
    """What goes into a film.

    Attributes
    ----------
    frames : Path
        Folder with 00000.png, 00001.png, ...
    n_frames : int
        How many of them are shown.
    fps : Fraction
        Frames a second.
    sound : SoundTrack or None
        None for a silent film.
    comment : str
        Metadata that players show: the recipe.
    draft : bool
        Whether it is encoded fast rather than small.
    """

    frames: Path
    n_frames: int
    fps: Fraction
    sound: SoundTrack | None = None
    comment: str = ""
    draft: bool = False

    @property
    def shown_in_gif(self) -> int:
        """How many frames a GIF shows: as many as it can say in the same time."""
        shown = int(self.n_frames / self.fps * FASTEST_GIF + Fraction(1, 2))  # as ffmpeg rounds
        return min(self.n_frames, max(1, shown))


def chunks_of(n_frames: int, path: Path) -> dict[str, range]:
    """Divide the frames of a film into chunks, each of which is encoded by itself.

    Returns
    -------
    chunks : dict of str to range
        By the name of the file that each becomes, in order. A GIF has none.
    """
    encoder = PICTURES.get(path.suffix.lower())
    if encoder is None:
        return {}
    codec = encoder[encoder.index("-c:v") + 1]
    starts = range(0, n_frames, CHUNK)
    frames = range(n_frames)
    return {f"{start // CHUNK:05d}-{codec}.mp4": frames[start : start + CHUNK] for start in starts}


def encode_chunk(film: Film, path: Path, frames: range, chunk: Path) -> None:
    """Encode some frames of a film without its sound, for :func:`encode_film` to put them together.

    Parameters
    ----------
    film : Film
    path : Path
        Of the film, whose suffix chooses the encoder.
    frames : range
    chunk : Path
        Where they go; its folder is made where there is none.

    Raises
    ------
    OutputError, VideoError
        As :func:`encode_film`.
    """
    make_folder(chunk.parent)
    with whole_file(chunk) as temporary:
        encoder = ["-vf", EVEN_SIZE, *PICTURES[path.suffix.lower()], *BITEXACT, "-frames:v", str(len(frames))]
        output = [*encoder, "-f", "mp4", str(temporary.resolve())]
        _run_ffmpeg([*_frames_input(film, frames.start), *output], film, path, len(frames))


def encode_film(film: Film, path: Path, chunks: Path | None = None) -> None:
    """Encode a film with the ffmpeg that imageio-ffmpeg brings.

    Parameters
    ----------
    film : Film
    path : Path
        Ends in one of :data:`FILM_SUFFIXES`, which chooses the format: H.264 (CRF 17, yuv420p) with AAC in
        .mp4 and .mkv, VP9 with Opus in .webm, and .gif without sound, of at most 50 frames a second. It
        appears when it is whole.
    chunks : Path, optional
        Folder of :func:`chunks_of`; what is missing there is encoded.

    Raises
    ------
    ParameterError
        If the suffix is none of these.
    VideoError
        If ffmpeg fails, with its own words, or the sound is gone. The frames stay as they are.
    OutputError
        If the folder cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in CONTAINERS:
        raise ParameterError(f"film {path}", f"a name that ends in {', '.join(FILM_SUFFIXES)}")
    with whole_file(path) as temporary, contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sound: Iterable[FloatArray] = ()
        n_frames, folder = film.n_frames, film.frames
        if suffix == ".gif":
            shown, n_frames = _gif_frames(film), film.shown_in_gif
            palette = scratch / "palette.png"
            colours = ["-vf", f"{shown},palettegen=stats_mode=diff", str(palette)]
            _run_ffmpeg([*_frames_input(film), *colours], film, path, 1)
            pictures = [*_frames_input(film), "-i", str(palette)]
            output = ["-lavfi", f"{shown},paletteuse=dither=bayer:bayer_scale=3"]
        else:
            sound, heard, output = _sound_input(film, path, stack)
            if film.draft:
                pictures = [*_frames_input(film), *heard]
                output += ["-vf", EVEN_SIZE, *PICTURES[suffix], "-preset", "ultrafast"]
            else:
                folder = chunks or scratch
                pictures = [*_chunks_input(film, path, folder), *heard]
                output += ["-c:v", "copy"]
        output += [*CONTAINERS[suffix], "-frames:v", str(n_frames), str(temporary.resolve())]
        try:
            _run_ffmpeg([*pictures, *output], film, path, n_frames, sound, folder)
        except VideoError:
            for name in chunks_of(film.n_frames, path):  # one of them may be damaged
                (folder / name).unlink(missing_ok=True)
            raise


def _gif_frames(film: Film) -> str:
    """Return the filter that leaves as many frames as a GIF can show, for as long together as all of them."""
    trim = f"trim=end_frame={film.n_frames}"
    return f"{trim},fps={FASTEST_GIF}:eof_action=pass" if film.fps > FASTEST_GIF else trim


def _frames_input(film: Film, start: int = 0) -> list[str]:
    rate = f"{film.fps.numerator}/{film.fps.denominator}"
    return ["-framerate", rate, "-start_number", str(start), "-i", FRAME_PATTERN]


def _chunks_input(film: Film, path: Path, folder: Path) -> list[str]:
    """Encode the chunks that are missing in a folder, and return how ffmpeg reads them all."""
    chunks = chunks_of(film.n_frames, path)
    for name, frames in chunks.items():
        if not (folder / name).exists():
            encode_chunk(film, path, frames, folder / name)
    (folder / CHUNK_LIST).write_text("".join(f"file {name}\n" for name in chunks))
    return ["-f", "concat", "-i", CHUNK_LIST]


def _sound_input(
    film: Film, path: Path, stack: contextlib.ExitStack
) -> tuple[Iterable[FloatArray], list[str], list[str]]:
    """Return the sound of a film, how ffmpeg reads it, and what becomes of it and of the pictures."""
    metadata = ["-metadata", f"comment={film.comment}", *BITEXACT]
    if film.sound is None:
        return (), [], ["-map", "0:v", *metadata]
    try:
        rate, channels, sound = stack.enter_context(_open_sound(film.sound, film.n_frames / film.fps))
    except AudioError as error:
        remedy = f"the frames are kept in {film.frames}"
        raise VideoError(f"{path}: no sound for it ({error})", remedy=remedy) from error
    samples = ["-f", "f32le", "-ar", str(rate), "-ac", str(channels), "-i", "pipe:0"]
    return sound, samples, ["-map", "0:v", "-map", "1:a", *metadata]


def _open_sound(
    sound: SoundTrack, seconds: Fraction
) -> contextlib.AbstractContextManager[tuple[int, int, Iterator[FloatArray]]]:
    """Open what is heard while the frames are seen, decoded as the frames' own sound was."""
    duration = float(seconds) if sound.duration is None else min(float(seconds), sound.duration)
    return open_stereo(sound.path, offset=sound.offset, duration=duration)


def _run_ffmpeg(
    arguments: Sequence[str],
    film: Film,
    path: Path,
    n_frames: int,
    sound: Iterable[FloatArray] = (),
    folder: Path | None = None,
) -> None:
    """Run ffmpeg, and see to it that it wrote `n_frames`: it passes over pictures that it cannot read.

    What it reads lies in `folder`, else with the frames. That is its working directory, since a % in the name
    of a folder would be taken for a pattern.
    """
    import imageio_ffmpeg

    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-hide_banner", "-v", "error", "-y"]
    command += ["-progress", "pipe:1", *arguments]
    with (
        tempfile.TemporaryFile("w+", errors="replace") as progress,
        tempfile.TemporaryFile("w+", errors="replace") as messages,
    ):
        streams: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": progress, "stderr": messages}
        with subprocess.Popen(command, cwd=folder or film.frames, **streams) as process:
            try:
                _write(process, sound)
            except BaseException:
                process.kill()
                raise
        progress.seek(0)
        messages.seek(0)
        written = [int(count) for count in re.findall(r"^frame=\s*(\d+)", progress.read(), re.MULTILINE)]
        if process.returncode != 0 or written[-1:] != [n_frames]:
            words = " ".join(messages.read().splitlines()[-3:])
            words = words or f"it ended with status {process.returncode}"
            raise VideoError(
                f"{path}: ffmpeg failed: {words}",
                remedy=f"the frames are kept in {film.frames}; the same command tries again",
            )


def _write(process: subprocess.Popen[bytes], sound: Iterable[FloatArray]) -> None:
    """Write samples to ffmpeg; where it stops reading, its messages say why."""
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError), process.stdin as stdin:
        for block in sound:
            stdin.write(block.astype("<f4").tobytes())
