"""Live: what is heard is painted, by the newest sound, over a socket, and can be painted again."""

import json
import re
import shutil
import struct
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from sound_diffusion.constants import SAMPLE_RATE
from sound_diffusion.errors import OutputError, ParameterError
from sound_diffusion.film import painter as film_painter
from sound_diffusion.film.noise import Circle, Walk
from sound_diffusion.formulas.schedules import parse_schedule
from sound_diffusion.job import Job
from sound_diffusion.live import chain
from sound_diffusion.live.chain import Chain
from sound_diffusion.live.server import serve
from sound_diffusion.live.settings import change
from tests.live_pages import RATE, noise, tiny_options
from tests.repainting import WholeSound


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


@pytest.mark.parametrize(
    ("name", "formula", "pattern"),
    [
        ("strength", "onse", "onse.*onset"),
        ("strength", "beats", "whole sound"),
        ("strength", "0:(1), 8b:(0.5)", "whole sound"),
        ("zoom", "1+0.1*cumulative(onset)", r"whole sound.*use smooth"),
    ],
)
def test_what_the_page_may_not_set_is_refused_at_the_start(
    tiny_model_folder, tmp_path, name, formula, pattern
):
    options = tiny_options(tiny_model_folder, tmp_path, port=0)
    wrong = options.with_changed(**{name: parse_schedule(formula, f"--{name}")})
    with pytest.raises(ParameterError, match=pattern) as caught:
        next(serve(wrong))
    assert caught.value.exit_code == 2
    assert change(options, {name: formula}, options)[1] == {name: str(caught.value)}


def test_a_formula_that_the_model_declares_is_served(tiny_model_folder, tmp_path):
    declared = {"film": {"strength": "0.7 + 0.3*onset"}}
    folder = shutil.copytree(tiny_model_folder, tmp_path / "model")
    (folder / "sound_diffusion.json").write_text(json.dumps(declared))
    assert "http://" in next(serve(tiny_options(folder, tmp_path, port=0)))


@pytest.mark.parametrize("flag", ["stats", "outdir"])
def test_what_cannot_be_written_is_found_before_the_page_is_served(flag, tiny_model_folder, tmp_path):
    (tmp_path / "file").touch()
    options = replace(tiny_options(tiny_model_folder, tmp_path, port=0), **{flag: tmp_path / "file" / "a"})
    with pytest.raises(OutputError, match=f"--{flag} .*cannot be written") as caught:
        next(serve(options))
    assert caught.value.exit_code == 2


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
