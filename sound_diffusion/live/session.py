"""A session: who is heard, what is set, what is painted. All of it in the thread of the event loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from sound_diffusion.errors import OutputError, SoundDiffusionError
from sound_diffusion.live.chain import LiveJob
from sound_diffusion.live.clients import PAINTER, Client, Clients
from sound_diffusion.live.hearing import Take
from sound_diffusion.live.painter import Painter, Shown
from sound_diffusion.live.protocol import (
    GOING_AWAY,
    REFUSED,
    Message,
    RubbishError,
    picture_message,
    read_message,
    read_sound,
)
from sound_diffusion.live.recording import Recorder
from sound_diffusion.live.settings import NAMES, VARIABLES, change, choices, descriptions, shown
from sound_diffusion.live.statistics import Statistics
from sound_diffusion.model.model import Model

logger = logging.getLogger(__name__)
STATISTICS_EVERY = 0.5  # seconds
FILM_SECONDS = 60.0  # that the end waits for the film of a recording
PICTURE_SECONDS = 10.0  # that it waits for a picture


class Session:
    """What all pages share.

    Parameters
    ----------
    job : Job
        What the program was started with.
    load : callable, optional
        Returns the model. If None, that of the job is loaded.
    """

    def __init__(self, job: LiveJob, load: Callable[[], Model] | None = None) -> None:
        self.job = job
        self._start_options = job.options
        self._clients = Clients(job.options.watchers)
        self._start: Message | None = None
        self._take: Take | None = None
        self._clock = 0.0
        self._model, self._message = "loading", ""
        self._statistics = Statistics(job.options.stats)
        self._recorder: Recorder | None = None
        self._recorders: list[Recorder] = []  # those whose films are still being written among them
        self._held: set[str] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._painter = Painter(
            load or (lambda: job.model),
            self._later(self._on_ready),
            self._later(self._on_picture),
            self._later(self._on_error),
        )

    def _later(self, call: Callable[[Any], None]) -> Callable[[Any], None]:
        """Let the painter's thread call what belongs to the loop's."""

        def callback(value: Any) -> None:
            if self._loop is not None and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(call, value)

        return callback

    # --- beginning and end

    async def begin(self) -> None:
        """Start to load the model."""
        self._loop = asyncio.get_running_loop()
        self._painter.start()

    async def end(self) -> None:
        """Say good-bye to all pages, and end the painter and what is being recorded."""
        self._painter.stop()
        self._end_recording()
        for client in self._clients:
            client.close(GOING_AWAY, "the program has ended")
        # In a thread even where there are none: the pages are told meanwhile.
        await asyncio.to_thread(self._join_recorders)
        if self._model == "ready":  # loading cannot be cut short, and leaves nothing behind
            await asyncio.to_thread(self._painter.join, PICTURE_SECONDS)
        self._statistics.close()

    def _join_recorders(self) -> None:
        for recorder in self._recorders:
            recorder.join(FILM_SECONDS)

    # --- pages that come and go

    def join(self, client: Client) -> None:
        """Take a page in, or say why not."""
        heard = self._clients.painter
        taken = self._clients.add(client)
        if heard is not None and heard.is_closing:  # the same page has connected again
            self._stop()
        if taken:
            client.tell(**self._state(client))

    def leave(self, client: Client) -> None:
        """Let a page go."""
        heard = self._clients.painter
        self._clients.remove(client)
        if client is heard:
            self._stop()
            self._tell_state()

    def refuse(self, client: Client, reason: str) -> None:
        """Close the socket of a page, whose place is free from now on."""
        client.close(REFUSED, reason)
        self.leave(client)

    # --- what pages say

    def hear(self, client: Client, text: str | None, data: bytes | None) -> None:
        """Do what a message of a page asks for; RubbishError where it is none."""
        if client.is_closing:
            return
        if not client.messages.take():
            raise RubbishError("too many messages", "at most 300 a second")
        if data is not None:
            self._hear_sound(client, data)
        elif text is not None:
            self._obey(client, read_message(text))

    def _obey(self, client: Client, message: Message) -> None:
        match message.type:
            case "ping":
                client.tell(type="pong", clock=message.clock)
            case "got":
                client.note_got(message.index)
            case "shown" if client.role != PAINTER:
                pass
            case _ if client.role != PAINTER:
                raise RubbishError("a page that watches cannot be heard", "ping and got alone")
            case "shown":
                self._statistics.see(message.index, message.latency_ms)
            case "record" if message.on:
                self._record(client)
            case "record":
                self._end_recording()
            case "start":
                self._start, self._clock = message, 0.0
                self._change(client, message.settings)
                self._new_take()
                self._tell_state()
            case "settings":
                self._change(client, message.settings)
                self._tell_state()
            case "stop":
                self._stop()
                self._tell_state()

    def _hear_sound(self, client: Client, data: bytes) -> None:
        if client.role != PAINTER:
            raise RubbishError("sound from a page that watches")
        if self._start is None or self._take is None:
            return  # on its way while the sound was stopped
        clock, samples = read_sound(data, self._start)
        if clock < self._clock:
            raise RubbishError(f"a clock that goes back from {self._clock:g} s to {clock:g} s")
        if not client.seconds.take(len(samples) / self._start.rate):
            raise RubbishError("more sound than time goes by")
        self._clock = clock
        heard = self._take.hear(clock, samples)
        if self._recorder is not None:
            self._recorder.hear(heard)
            if self._recorder.is_full:
                self._end_recording()

    # --- settings and takes

    def _change(self, client: Client, wanted: Any) -> None:
        before = self.job.options
        options, refused = change(before, wanted, self._start_options)
        if options != before:
            try:
                self.job = type(self.job).plan(options)
            except SoundDiffusionError as error:
                refused |= dict.fromkeys(map(str, wanted), str(error))
        for setting, line in refused.items():
            client.tell(type="refused", setting=setting, message=line)
        self._held.clear()
        if self.job.options.fps != before.fps:
            self._new_take()
        elif self._take is not None:
            self._painter.set_work(self._take, self.job)

    def _new_take(self) -> None:
        """Let time begin."""
        self._end_recording()
        if self._start is None:
            return
        self._take = Take(self._start.rate)
        self._statistics.begin()
        self._painter.set_work(self._take, self.job)

    def _stop(self) -> None:
        self._end_recording()
        self._start = self._take = None
        self._painter.set_work(None, self.job)

    # --- recording

    def _record(self, client: Client) -> None:
        if self._recorder is not None:
            return
        if self._start is None or self._model != "ready":
            client.tell(type="refused", setting="record", message="nothing is heard or painted yet")
            return
        self._new_take()
        try:
            self._recorder = Recorder(self.job, self._later(self._tell_recording))
        except OutputError as error:
            client.tell(type="refused", setting="record", message=str(error))
            return
        self._recorder.start()
        self._recorders = [*(each for each in self._recorders if each.is_alive()), self._recorder]
        self._tell_state()

    def _end_recording(self) -> None:
        if self._recorder is not None:
            self._recorder.finish()
            self._recorder = None
            self._tell_state()

    def _tell_recording(self, told: dict[str, Any]) -> None:
        self._clients.tell(type="recording", **told)

    # --- what the painter says

    def _on_ready(self, error: Exception | None) -> None:
        self._model = "ready"
        if error is not None:
            self._model, self._message = "failed", str(error) or type(error).__name__
            logger.error("%s", self._message)
        self._new_take()  # what was said while it loaded is past
        self._tell_state()

    def _on_error(self, line: str) -> None:
        self._stop()
        self._clients.tell(type="refused", setting="", message=line)
        self._tell_state()

    def _on_picture(self, picture: Shown) -> None:
        if picture.take is not self._take:
            return  # of what was heard before
        frame = picture.painted.frame
        message = picture_message(picture.heard.clock, picture.seconds, frame.index, picture.encoded)
        self._clients.show(frame.index, message)
        self._statistics.add(picture)
        if self._recorder is not None:
            self._recorder.show(picture.painted, picture.options)
        for option, line in picture.painted.held.items():
            if option not in self._held:
                self._held.add(option)
                self._clients.tell(type="held", setting=NAMES[option], message=line)

    async def tell_statistics(self) -> None:
        """Tell how fast it goes, again and again."""
        while True:
            await asyncio.sleep(STATISTICS_EVERY)
            for client in self._clients if self._take is not None else ():
                if message := self._statistics.message(client.dropped):
                    client.tell(**message)

    # --- what all should know

    def _tell_state(self) -> None:
        for client in self._clients:
            client.tell(**self._state(client))

    def _state(self, client: Client) -> dict[str, Any]:
        return {
            "type": "state",
            "model": self._model,
            "model_name": str(self._start_options.model),
            "message": self._message,
            "role": client.role,
            "heard": self._start is not None,
            "recording": self._recorder is not None,
            "width": self.job.settings.width,
            "height": self.job.settings.height,
            "settings": shown(self.job.options),
            "defaults": shown(self._start_options),
            "choices": choices(),
            "descriptions": descriptions(),
            "descriptors": list(VARIABLES),
        }
