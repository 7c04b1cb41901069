"""What a page and the server say to each other, over one WebSocket at ``/ws``.

Where the page was opened as ``/?token=T``, the socket is ``/ws?token=T``. A page that connects again, after
a stall or a slept laptop, says that it is the same one by ``page=ID`` (letters and digits of its own
choice, 8 to 64 of them) and takes the place of its former connection.

Page to server, text, JSON with a ``type``:

``start``
    ``rate`` (Hz, 8000 to 192000), ``format`` (``"f32"`` or ``"i16"``), ``settings`` (as below; may be left
    out). From here on time is counted anew. Sound may come before the model is ready; it is then not
    painted.
``settings``
    ``settings``: any of strength, scale, gain, noise, zoom, angle, translation_x, translation_y (numbers,
    or formulas and keyframes as text), window (seconds), fps (the most frames a second), seed, seed_mode,
    feature, border, color_coherence, color_strength, sharpen, local_contrast, and preset (a name; it brings
    all that it does not say back to what the program was started with; ``""``: none). ``null`` brings one
    back. What is refused leaves the setting as it was; the others of the message count.
``stop``
    No more sound follows.
``record``
    ``on``: true begins a take that is kept, with time, seeds and pictures starting over; false ends it.
``shown``
    ``index`` of a picture that is seen now and its ``latency_ms``, from the newest sample that it heard to
    the screen. At most 60 a second. Goes into ``--stats``.
``got``
    ``index`` of the newest picture that has arrived. A page that says so gets no more than three ahead of
    what it has got.
``ping``
    ``clock``: any number; ``pong`` brings it back.

Page to server, binary: the clock of the first sample (float64, little-endian, seconds of the page's audio
clock, never decreasing), then mono samples in the format of ``start``, float32 in [-1, 1] or int16,
little-endian; at most half a second of them.

Server to page, text, JSON with a ``type``:

``state``
    To begin with and whenever something of it changes. ``model`` (``"loading"``, ``"ready"`` or
    ``"failed"``), ``model_name``, ``message`` (one line where it failed, else ``""``), ``role``
    (``"painter"``, who is heard, or ``"watcher"``), ``heard`` (whether there is a ``start`` without
    ``stop``), ``recording`` (whether a take is kept), ``width``, ``height``, ``settings``, ``defaults``
    (those that the program was started with; both with all names from above), ``choices`` (those of
    a setting that is a name; ``descriptions`` says what features and presets are), ``descriptors`` (the
    names that formulas may use).
``refused``
    ``setting``, ``message``: a setting that could not be used, in one line. The one before stays.
``held``
    ``setting``, ``message``: a formula has left the numbers that the setting may have, and is held at the
    last one that it may. Said once until the setting changes.
``stats``
    Every half a second while there is sound: ``fps`` (pictures painted in the last two seconds, a second),
    ``latency_ms`` (median over the last two seconds, from the arrival of the newest sample that a picture
    heard to its sending; the way to the screen comes on top), ``dropped`` (pictures since ``start`` that
    there was no time to send or, of those that ``fps`` allows, to paint), ``painting_ms`` (median).
``recording``
    A take has ended: ``folder``, ``command`` (which makes the film of it at full quality), ``film`` (the
    path of the film of the pictures that were seen), ``seconds``. While the film is being written ``film``
    is ``""``, and the message comes again with it; ``message`` says what went wrong, else it is ``""``.
``pong``
    ``clock``.
``closing``
    ``reason``, in one line; then the socket is closed, with the code 1008 for what the page did, 1001 where
    the server ends, 4000 where another page has taken its place.

Server to page, binary: float64 clock of the newest sample that was heard (of the painter's clock), float64
seconds that painting took, uint32 index of the picture (those that were dropped are not counted in between:
it is the frame's number on the grid of ``fps``), uint32 zero, all little-endian: 24 bytes; then a JPEG. A
page that is slow gets the newest picture and none of those in between.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sound_diffusion.constants import LARGEST_SAMPLE
from sound_diffusion.errors import ParameterError
from sound_diffusion.typing import FloatArray

SLOWEST_RATE, FASTEST_RATE = 8000, 192_000  # Hz
LONGEST_BLOCK = 0.5  # seconds
LARGEST_TEXT = 32_768  # bytes
LARGEST_MESSAGE = 8 + int(4 * FASTEST_RATE * LONGEST_BLOCK)  # bytes
LATEST_CLOCK = 1e9  # seconds
LARGEST_INDEX = 2**32 - 1
FORMATS: dict[str, np.dtype[Any]] = {"f32": np.dtype("<f4"), "i16": np.dtype("<i2")}
PICTURE_HEADER = struct.Struct("<ddII")
# What each type of message brings, and the range of what is a number.
BRINGS: dict[str, tuple[str, ...]] = {
    "start": ("rate", "format", "settings"), "settings": ("settings",), "stop": (), "record": ("on",),
    "shown": ("index", "latency_ms"), "got": ("index",), "ping": ("clock",),
}  # fmt: skip
RANGES = {
    "rate": (SLOWEST_RATE, FASTEST_RATE), "index": (0, LARGEST_INDEX), "latency_ms": (-1e6, 1e6),
    "clock": (-1e15, 1e15),
}  # fmt: skip
# Codes of closing.
REFUSED, GOING_AWAY, REPLACED = 1008, 1001, 4000


class RubbishError(ParameterError):
    """A message that no page of ours sends; the line is the reason for which its socket is closed."""


@dataclass(frozen=True)
class Message:
    """A text message of a page: its type, and of the rest what that type brings."""

    type: str
    rate: int = 0
    format: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    on: bool = False
    index: int = 0
    latency_ms: float = 0.0
    clock: float = 0.0


def read_message(text: str) -> Message:
    """Read a text message of a page; RubbishError where it is none."""
    if len(text) > LARGEST_TEXT:
        raise RubbishError(f"a message of {len(text)} characters", f"at most {LARGEST_TEXT}")
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        raise RubbishError("a message that is no JSON") from None
    if not isinstance(said, dict):
        raise RubbishError("a message that is no object")
    kind = said.get("type")
    if not isinstance(kind, str) or kind not in BRINGS:
        raise RubbishError(f"a message of type {str(kind)[:40]!r}", "one that the protocol knows")
    if kind == "start":
        said.setdefault("settings", {})
    return Message(kind, **{name: _read(name, said.get(name)) for name in BRINGS[kind]})


def _read(name: str, value: Any) -> Any:
    """Read what a message brings under a name."""
    shown = str(value)[:40]
    if name == "settings" and (not isinstance(value, dict) or len(value) > 100):
        raise RubbishError("settings that are no object")
    if name == "format" and (not isinstance(value, str) or value not in FORMATS):
        raise RubbishError(f"format {shown!r}", f"one of {', '.join(FORMATS)}")
    if name == "on" and not isinstance(value, bool):
        raise RubbishError(f"on {shown}", "true or false")
    if name not in RANGES:
        return value
    low, high = RANGES[name]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not low <= value <= high:  # NaN neither
        raise RubbishError(f"{name} {shown}", f"a number in [{low:g}, {high:g}]")
    return int(value) if name in ("rate", "index") else float(value)


def read_sound(data: bytes, start: Message) -> tuple[float, FloatArray]:
    """Read a block of sound.

    Parameters
    ----------
    data : bytes
    start : Message
        What was said of the sound.

    Returns
    -------
    clock : float
        Of the first sample, seconds.
    samples : np.ndarray [shape=(n,), dtype=float32]

    Raises
    ------
    RubbishError
        If the length is wrong, or clock or samples are not finite or out of range.
    """
    kind = FORMATS[start.format]
    n_samples, rest = divmod(len(data) - 8, kind.itemsize)
    if n_samples < 1 or rest or n_samples > start.rate * LONGEST_BLOCK:
        raise RubbishError(
            f"{len(data)} bytes of sound", f"a clock and up to {LONGEST_BLOCK} s of whole samples"
        )
    [clock] = struct.unpack_from("<d", data)
    if not 0 <= clock <= LATEST_CLOCK:  # NaN neither
        raise RubbishError(f"a clock of {clock:g} s", f"a number in [0, {LATEST_CLOCK:g}]")
    values = np.frombuffer(data, kind, offset=8)
    if values.dtype.kind == "i":
        return clock, values.astype(np.float32) / np.float32(32768)
    if not np.isfinite(values).all() or np.abs(values).max() > LARGEST_SAMPLE:
        raise RubbishError("samples that are not finite or far outside [-1, 1]")
    return clock, values.astype(np.float32)


def picture_message(clock: float, seconds: float, index: int, encoded: bytes) -> bytes:
    """Write the message that brings a picture."""
    return PICTURE_HEADER.pack(clock, seconds, index & LARGEST_INDEX, 0) + encoded
