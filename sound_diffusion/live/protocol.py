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
    feature, border, color_coherence, color_strength, sharpen, and preset (a name; it brings all that it
    does not say back to what the program was started with; ``""``: none). ``null`` brings one back. What is
    refused leaves the setting as it was; the others of the message count.
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
import math
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
# Codes of closing.
REFUSED, GOING_AWAY, REPLACED = 1008, 1001, 4000


class RubbishError(ParameterError):
    """A message that no page of ours sends; the line is the reason for which its socket is closed."""


@dataclass(frozen=True)
class Start:
    """Sound begins."""

    rate: int
    format: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Settings:
    """Settings that are wanted."""

    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Stop:
    """No more sound follows."""


@dataclass(frozen=True)
class Record:
    """A take that is kept begins or ends."""

    on: bool


@dataclass(frozen=True)
class Seen:
    """A picture has reached the screen."""

    index: int
    latency_ms: float


@dataclass(frozen=True)
class Got:
    """A picture has arrived."""

    index: int


@dataclass(frozen=True)
class Ping:
    """Asks for an answer."""

    clock: float


Message = Start | Settings | Stop | Record | Seen | Got | Ping


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
    message: Message
    match said.get("type"):
        case "start":
            settings = _settings(said.get("settings", {}))
            message = Start(_rate(said.get("rate")), _format(said.get("format")), settings)
        case "settings":
            message = Settings(_settings(said.get("settings")))
        case "stop":
            message = Stop()
        case "record" if isinstance(said.get("on"), bool):
            message = Record(said["on"])
        case "shown":
            message = Seen(_index(said), _number("latency_ms", said.get("latency_ms"), -1e6, 1e6))
        case "got":
            message = Got(_index(said))
        case "ping":
            message = Ping(_number("clock", said.get("clock"), -1e15, 1e15))
        case other:
            raise RubbishError(f"a message of type {str(other)[:40]!r}", "one that the protocol knows")
    return message


def read_sound(data: bytes, start: Start) -> tuple[float, FloatArray]:
    """Read a block of sound.

    Parameters
    ----------
    data : bytes
    start : Start
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


def _index(said: Mapping[str, Any]) -> int:
    return int(_number("index", said.get("index"), 0, LARGEST_INDEX))


def _rate(value: Any) -> int:
    return int(_number("rate", value, SLOWEST_RATE, FASTEST_RATE))


def _format(value: Any) -> str:
    if not isinstance(value, str) or value not in FORMATS:
        raise RubbishError(f"format {str(value)[:40]!r}", f"one of {', '.join(FORMATS)}")
    return value


def _settings(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict) or len(value) > 100:
        raise RubbishError("settings that are no object")
    return value


def _number(name: str, value: Any, low: float, high: float) -> float:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not low <= value <= high
        or not math.isfinite(value)
    ):
        raise RubbishError(f"{name} {str(value)[:40]}", f"a number in [{low:g}, {high:g}]")
    return float(value)
