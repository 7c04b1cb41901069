"""Live: what is heard is painted, by the newest sound, over a socket, and can be painted again."""

import os
import re
import signal
import struct
import subprocess
import sys
import threading
import time
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from sound_diffusion.constants import SAMPLE_RATE
from sound_diffusion.errors import ModelError
from sound_diffusion.film import painter as film_painter
from sound_diffusion.film.noise import Circle, Walk
from sound_diffusion.formulas.schedules import parse_schedule
from sound_diffusion.job import Job
from sound_diffusion.live import chain, painter
from sound_diffusion.live.chain import Chain, frame_of
from tests.live_pages import PATIENCE, RATE, Page, noise, serving, tiny_options
from tests.repainting import WholeSound

# --- over the socket


def test_sound_becomes_pictures_of_the_present(page):
    page.start(strength=0.5)
    page.play_until(4)
    assert {Image.open(_file(picture)).size for *_, picture in page.pictures} == {(64, 64)}
    indices, clocks = ([picture[n] for picture in page.pictures] for n in (3, 1))
    assert indices == sorted(set(indices))
    assert clocks == pytest.approx([(index + 1) / 30 for index in indices], abs=1e-4)
    stats = page.wait_for(lambda page: page.all("stats"))[-1]
    assert stats["fps"] > 0
    assert stats["latency_ms"] > 0


def _file(data):
    import io

    return io.BytesIO(data)


def test_integers_are_heard_as_floats_are(page):
    page.say("start", rate=RATE, format="i16")
    page.socket.send(struct.pack("<d", 0.0) + (noise(0.4) * 32767).astype("<i2").tobytes())
    page.wait_for(lambda page: page.pictures)


def test_the_state_says_what_may_be_set(page):
    state = page.state
    assert state["role"] == "painter"
    assert state["settings"]["strength"] == 0.4
    assert state["settings"]["window"] == 0.25  # the tiny model's
    assert state["defaults"] == state["settings"]
    assert "pulse" in state["choices"]["preset"]
    assert "fft" in state["choices"]["feature"]
    assert "walk" in state["choices"]["seed_mode"]
    assert "onset" in state["descriptors"]
    assert not {"beats", "max_f"} & set(state["descriptors"])


@pytest.mark.parametrize(
    ("name", "value", "pattern"),
    [
        ("strength", 1.5, r"--strength 1.5 .*\[0, 1\]"),
        ("strength", "0.2 + loud", "loud.*did you mean loudness"),
        ("strength", "0.1*beats", "beats needs the whole sound"),
        ("strength", "8b:(0.2), 0:(0.1)", "beats needs the whole sound"),
        ("zoom", "1 + 0.1*cumulative(low)", "cumulative.* needs the whole sound"),
        ("angle", "t/max_f", "max_f needs the whole sound"),
        ("gain", "9" * 3000, "3000 characters"),
        ("gain", [1], "list .*a number or a text"),
        ("window", "1/0", "number or a fraction"),
        ("seed", 0.5, "--seed '0.5'.*whole number"),
        ("seed", -1, "seed"),
        ("feature", "smell", "unknown feature"),
        ("preset", "../../etc/passwd", "preset.*one of"),
        ("init_image", "/etc/passwd", "setting 'init_image'.*one of"),
        ("strength", 0.01, "gives no step at all"),
    ],
)
def test_what_cannot_be_set_is_refused_in_one_line(page, name, value, pattern):
    before = page.state["settings"]
    page.say("settings", settings={name: value, "translation_x": 3})
    refused = page.wait_for(lambda page: page.all("refused"))[-1]
    assert refused["setting"] in (name, "translation_x")
    assert re.search(pattern, refused["message"], re.DOTALL)
    assert "\n" not in refused["message"]
    page.say("ping", clock=1)
    page.wait_for(lambda page: page.all("pong"))
    if name in before:
        assert page.state["settings"][name] == before[name]


def test_settings_are_told_and_brought_back(page):
    page.say("settings", settings={"strength": "0.5 + 0.3*onset", "feature": "mfcc", "window": 0.5})
    page.wait_for(lambda page: page.state["settings"]["strength"] == "0.5 + 0.3*onset")
    assert page.state["settings"]["feature"] == "mfcc"
    page.say("settings", settings={"preset": "pulse"})
    page.wait_for(lambda page: page.state["settings"]["preset"] == "pulse")
    settings = page.state["settings"]
    assert "envelope" in settings["strength"]
    assert settings["color_coherence"] == "LAB"
    assert (settings["feature"], settings["window"]) == ("mfcc", 0.5)
    page.say("settings", settings={"preset": "", "feature": None})
    page.wait_for(lambda page: page.state["settings"]["preset"] == "")
    assert page.state["settings"]["strength"] == 0.4
    assert page.state["settings"]["feature"] == "fft"
    assert page.state["settings"]["color_coherence"] == "none"


def test_what_means_nothing_now_is_forgotten_and_not_shown(page):
    def set_(**settings):
        page.say("settings", settings=settings)
        page.say("ping", clock=0)
        n_pongs = len(page.all("pong"))
        page.wait_for(lambda page: len(page.all("pong")) > n_pongs)
        return page.state["settings"]

    idle = {"walk_rate", "loop_seconds", "color_strength", "text_weight"}
    assert not idle & set(page.state["settings"])
    set_(color_strength=0.5)
    assert "--color-coherence" in page.all("refused")[-1]["message"]
    assert set_(color_strength=0.5, color_coherence="LAB")["color_strength"] == 0.5
    assert not idle & set(set_(color_coherence="none"))
    assert set_(color_coherence="RGB")["color_strength"] == 1
    settings = set_(walk_rate="1 + onset", seed_mode="walk")
    assert (settings["walk_rate"], settings["seed_mode"]) == ("1 + onset", "walk")
    settings = set_(seed_mode="circle")
    assert (settings.get("walk_rate"), settings["loop_seconds"]) == (None, 30)
    assert set_(loop_seconds=12)["loop_seconds"] == 12
    assert not idle & set(set_(seed_mode=None, color_coherence=None))
    assert len(page.all("refused")) == 1


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"seed_mode": "circle", "loop_seconds": Fraction(2)}, Circle(7, 60.0).at),
        ({"seed_mode": "walk", "walk_rate": 3.0}, Walk(7, np.full(200, 3.0), 30.0).at),
        ({"seed_mode": "walk", "walk_rate": "2 + t/30"}, Walk(7, 2 + np.arange(200) / 30, 30.0).at),
        ({"seed_mode": "fixed"}, None),
    ],
)
def test_noise_goes_on_as_in_a_film_over_frames_that_were_dropped(
    tiny_model, tiny_model_folder, tmp_path, monkeypatch, flags, expected
):
    if isinstance(flags.get("walk_rate"), str):
        flags["walk_rate"] = parse_schedule(flags["walk_rate"], "--walk-rate")
    drawn = []
    monkeypatch.setattr(chain, "FilmPainter", lambda *all_: _Recording(all_[3].noise, drawn))
    job = Job.plan(tiny_options(tiny_model_folder, tmp_path, seed=7, **flags))
    painting = Chain(tiny_model, WholeSound(np.zeros(9 * SAMPLE_RATE, np.float32)), job.options.fps)
    indices = [0, 1, 4, 5, 30, 59, 60, 61, 90, 120]
    for index in indices:
        painting.paint(index, job)
    if expected is None:
        assert drawn == [None] * len(indices)
        return
    for index, point in zip(indices, drawn, strict=True):
        assert point.mix(_noise_of) == pytest.approx(expected(index).mix(_noise_of), abs=1e-4)


def _noise_of(seed):
    return np.random.default_rng(seed).standard_normal(64).astype(np.float32)


class _Recording:
    """Notes what noise is asked for, and paints nothing."""

    def __init__(self, noise, drawn):
        self.noise, self.drawn = noise, drawn

    def condition(self, frame, heard):
        return None

    def paint(self, frames, conditionings, places, start):
        self.drawn.append(self.noise and self.noise.at(places[0]))
        return [film_painter.Painted(frames[0], start, Image.new("RGB", (8, 8)))]


@pytest.mark.parametrize(("strength", "n_encoded"), [(0.5, 2), (1.0, 0)])
def test_what_is_forgotten_is_not_encoded(
    tiny_model, tiny_model_folder, tmp_path, monkeypatch, strength, n_encoded
):
    encoded = []
    encode = film_painter.encode_pictures
    monkeypatch.setattr(film_painter, "encode_pictures", lambda *all_: encoded.append(1) or encode(*all_))
    job = Job.plan(tiny_options(tiny_model_folder, tmp_path, strength=strength, zoom=1.1))
    painting = Chain(tiny_model, WholeSound(np.zeros(SAMPLE_RATE, np.float32)), job.options.fps)
    for index in range(3):
        painting.paint(index, job)
    assert len(encoded) == n_encoded


def test_noise_moves_with_the_camera_once_it_has_moved(tiny_model, tiny_model_folder, tmp_path, monkeypatch):
    noises, paint_latents = [], film_painter.paint_latents
    monkeypatch.setattr(
        film_painter,
        "paint_latents",
        lambda *args, **more: noises.append(more["noise"]) or paint_latents(*args, **more),
    )
    sound = WholeSound(np.zeros(SAMPLE_RATE, np.float32))
    jobs = [Job.plan(tiny_options(tiny_model_folder, tmp_path, strength=0.5, zoom=z)) for z in (1, 1.1, 1)]
    painting = Chain(tiny_model, sound, jobs[0].options.fps)
    for index, job in enumerate([*jobs, jobs[2]]):
        painting.paint(index, job)
    assert [noise is not None for noise in noises] == [False, True, True, True]


def test_a_formula_that_leaves_its_numbers_is_held_and_said_so_once(page):
    page.start(strength="0.5 + 5*loudness", scale="1/(loudness - loudness)")
    page.play_until(4)
    page.wait_for(lambda page: {message["setting"] for message in page.all("held")} == {"strength", "scale"})
    assert len(page.all("held")) == 2


def test_time_begins_anew_with_every_start(page):
    page.start()
    page.play_until(1)
    page.say("stop")
    page.wait_for(lambda page: not page.state["heard"])
    page.play(noise(0.1))  # nobody listens
    page.clock = 0.0
    page.start()
    page.wait_for(lambda page: page.state["heard"])
    page.pictures.clear()
    page.play_until(1)
    assert page.pictures[0][3] < 15


# --- bounded latency


def test_a_slow_painter_lowers_the_rate_and_never_adds_to_the_lag(
    tiny_model, tiny_model_folder, tmp_path, monkeypatch
):
    took = 0.25

    class SlowChain:
        def __init__(self, *_):
            pass

        def paint(self, index, job):
            time.sleep(took)
            frame = frame_of(job.options, index, 32)
            return painter.Painted(frame, Image.new("RGB", (64, 64)), {}, {})

    monkeypatch.setattr(painter, "Chain", SlowChain)
    options = tiny_options(tiny_model_folder, tmp_path)
    with serving(options, load=lambda: tiny_model) as (address, _), Page(address) as page:
        page.wait_until_ready().start()
        began = time.monotonic()
        page.play(noise(3))
        page.wait_for(lambda page: len(page.pictures) > 3)
        lags = [when - began - clock for when, clock, *_ in page.pictures]
        indices = [index for *_, index, _ in page.pictures]
        assert len(lags) <= 3 / took + 2
        assert np.diff(indices).min() >= 5  # of thirty a second
        # The first half waits no longer than the second, but for what a busy machine adds.
        assert np.median(lags[len(lags) // 2 :]) < np.median(lags[: len(lags) // 2]) + took
        assert page.wait_for(lambda page: page.all("stats"))[-1]["dropped"] > 0


def test_what_a_stalled_page_sends_at_once_is_not_painted_in_arrears(page):
    page.start()
    page.play(noise(6), hurry=True)
    page.wait_for(lambda page: page.pictures and page.pictures[-1][3] > 170)
    assert len(page.pictures) < 120


def test_a_page_that_connects_again_takes_its_place(tiny_model, tiny_model_folder, tmp_path):
    options = tiny_options(tiny_model_folder, tmp_path)
    with serving(options, load=lambda: tiny_model) as (address, _), Page(address + "?page=abcdefgh") as first:
        first.wait_until_ready()
        with Page(address + "?page=abcdefgh") as second:
            assert first.reason == ("the page has connected again", 4000)
            assert second.state["role"] == "painter"


def test_one_paints_and_others_watch(tiny_model, tiny_model_folder, tmp_path):
    options = tiny_options(tiny_model_folder, tmp_path, watchers=1)
    with serving(options, load=lambda: tiny_model) as (address, _), Page(address) as heard:
        heard.wait_until_ready()
        with Page(address) as watching:
            assert watching.state["role"] == "watcher"
            with Page(address) as third:
                reason, code = third.reason
                assert "--watchers" in reason
                assert code == 1008
            heard.start()
            heard.play(noise(0.4))
            watching.wait_for(lambda page: page.pictures)
            heard.socket.close()
            watching.wait_for(lambda page: page.state["role"] == "painter")
            watching.start()
            watching.wait_for(lambda page: page.state["heard"])


def test_a_model_that_cannot_be_loaded_is_named(tiny_model_folder, tmp_path):
    def fail():
        raise ModelError("model x: broken", "a whole one")

    with serving(tiny_options(tiny_model_folder, tmp_path), load=fail) as (address, _), Page(address) as page:
        page.wait_for(lambda page: page.state["model"] == "failed")
        assert page.state["message"] == "model x: broken (expected a whole one)"


def test_the_page_says_so_while_the_model_loads(tiny_model, tiny_model_folder, tmp_path):
    go_on = threading.Event()

    def load():
        go_on.wait(PATIENCE)
        return tiny_model

    with serving(tiny_options(tiny_model_folder, tmp_path), load=load) as (address, _), Page(address) as page:
        assert page.state["model"] == "loading"
        page.start()
        page.play(noise(0.3), hurry=True)
        page.say("ping", clock=0)
        page.wait_for(lambda page: page.all("pong"))  # all of it has arrived
        go_on.set()
        page.wait_until_ready()
        assert not page.pictures
        page.play_until(1)
        assert page.pictures[0][1] > 0.3  # what was said before is past


def test_a_statistics_file(tiny_model, tiny_model_folder, tmp_path):
    path = tmp_path / "stats.csv"
    options = replace(tiny_options(tiny_model_folder, tmp_path), stats=path)
    with serving(options, load=lambda: tiny_model) as (address, _), Page(address) as page:
        page.wait_until_ready().start()
        page.play_until(1)
        page.say("shown", index=page.pictures[0][3], latency_ms=123.4)
        page.say("ping", clock=0)
        page.wait_for(lambda page: page.all("pong"))
    header, *rows = path.read_text().splitlines()
    assert header == "seconds,frame,painting_ms,sending_ms,shown_ms,dropped"
    assert rows
    assert any(row.split(",")[4] == "123.4" for row in rows)


@pytest.mark.skipif(os.name == "nt", reason="Windows has another Ctrl-C")
def test_ctrl_c_is_how_the_program_ends(tiny_model_folder):
    command = [sys.executable, "audio2live.py", "--model", str(tiny_model_folder), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        address = program.stdout.readline()
        assert re.fullmatch(r"http://127.0.0.1:\d+/\n", address)
        with Page(address.strip().replace("http", "ws") + "ws") as page:
            assert page.state["model"] in ("loading", "ready")
            program.send_signal(signal.SIGINT)
            assert page.reason == ("the program has ended", 1001)
        assert program.communicate(timeout=PATIENCE) == ("", "")
    assert program.returncode == 0
