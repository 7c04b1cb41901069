"""Recordings of the live page, and the commands of their films."""

import json
import re
import shlex
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import soundfile
from PIL import Image

from sound_diffusion.cli import Parser
from sound_diffusion.constants import SAMPLE_RATE
from sound_diffusion.formulas.variables import Variables
from sound_diffusion.live.recorded import Change, Recorded, film_command
from sound_diffusion.options import FilmOptions, LiveOptions, options_of
from tests.live_pages import noise, tiny_options
from tests.repainting import repaint


def test_a_recording_is_painted_again_to_the_same_pictures(page, tiny_model, tmp_path):
    moving = {"seed_mode": "walk", "walk_rate": "1 + 3*loudness"}
    page.start(zoom="1 + 0.1*low", strength="0.5 + 0.2*smooth(onset, 0.3)", **moving)
    page.play(noise(0.3))
    page.say("record", on=True)
    page.wait_for(lambda page: page.state["recording"])
    page.play_until(3, seed=1)
    page.say("settings", settings={"strength": 0.6, "seed": 5, "window": 0.2})
    page.wait_for(lambda page: page.state["settings"]["seed"] == 5)
    page.play_until(3, seed=2)
    page.say("record", on=False)
    told = page.wait_for(lambda page: [each for each in page.all("recording") if each["film"]])[-1]
    [folder] = (tmp_path / "live").iterdir()
    assert told["folder"] == str(folder)
    assert soundfile.info(folder / f"{folder.name}.flac").subtype == "PCM_24"
    session = json.loads((folder / "session.json").read_text())
    pictures = list(repaint(folder, tiny_model))
    assert [painted.frame.index for painted in pictures] == session["frames"]
    assert len(session["settings"]) == 2
    for painted in pictures:
        live = Image.open(folder / "frames" / f"{painted.frame.index:05d}.png")
        assert (np.asarray(live) == np.asarray(painted.picture)).all()
    _check_command(told, folder)


def _check_command(told, folder):
    """The command makes a film of what was heard, with the settings as they were over time."""
    script, *words = shlex.split(told["command"])[1:]
    options = Parser(FilmOptions).read(words)
    assert script == "audio2video.py"
    assert options.paths == (folder / f"{folder.name}.flac",)
    assert re.fullmatch(r"0:\(0.5 \+ .*\), \d+:\(0.6\)", str(options.strength))
    assert str(options.zoom) == "1 + 0.1*low"
    assert (options.seed_mode, str(options.walk_rate)) == ("walk", "1 + 3*loudness")
    assert "--seed" in told["message"]
    assert "--window" in told["message"]


def test_a_recording_without_a_picture_leaves_nothing(page, tmp_path):
    page.start()
    page.say("record", on=True)
    page.say("record", on=False)
    told = page.wait_for(lambda page: page.all("recording"))[-1]
    assert "nothing was painted" in told["message"]
    assert not list((tmp_path / "live").iterdir())


@pytest.mark.parametrize(("declared", "steps"), [({}, 4), ({"steps": 1}, 2)])
def test_the_film_has_no_fewer_steps_than_the_model_declares(
    tiny_model, tiny_model_folder, tmp_path, declared, steps
):
    options = tiny_options(tiny_model_folder, tmp_path, steps=2, strength=0.5)
    sound = tmp_path / "take.flac"
    soundfile.write(sound, np.zeros(100), SAMPLE_RATE)
    defaults = replace(tiny_model.defaults, film=declared)
    command, constant = film_command(Recorded(Fraction(30), [0], [Change(0, options)]), sound, defaults)
    assert f"--ddim_steps {steps} " in command
    assert not constant


@pytest.mark.parametrize(
    ("name", "values", "expected", "constant"),
    [
        ("strength", [0.4, 0.6, 0.5], [*[0.4] * 7, *[0.6] * 7, *[0.5] * 2], []),
        (
            "zoom",
            ["1 + t/100", 1.5, "1.5 - t/100"],
            [1, 1.01, 1.02, 1.03, 1.04, 1.05, 1.06, *[1.5] * 7, 1.36],
            [],
        ),
        ("gain", ["0:(1), 60:(2)", 3, 3], 3.0, ["--gain"]),
        ("text_weight", [None, 0.25, 0.25], 0.25, ["--text-weight"]),
        ("seed_mode", ["fixed", "random", "random"], "random", ["--seed-mode"]),
        ("color_coherence", ["LAB", "none", "none"], "none", ["--color-coherence"]),
        ("strength", [f"{n}/1000 + 0.1*onset" for n in range(600)], "0/1000 + 0.1*onset", ["--strength"]),
        ("strength", [n / 1000 for n in range(1000)], [*[0.0] * 7, 0.001], []),
    ],
)
def test_what_was_changed_is_in_the_film_at_its_time(tmp_path, tiny_model, name, values, expected, constant):
    sound = tmp_path / "take.flac"
    sound.touch()
    options = tiny_options("cymatics", tmp_path, steps=2, strength=0.4, seed_mode="fixed")
    options = replace(options, textprompt="a planet" if name == "text_weight" else None)
    declared = next(each for each in options_of(LiveOptions) if each.name == name)
    changes = [
        Change(7 * number, options.with_changed(**{name: value and declared.kind(str(value))}))
        for number, value in enumerate(values)
    ]
    recorded = Recorded(Fraction(30), [change.frame for change in changes], changes)
    command, told = film_command(recorded, sound, tiny_model.defaults)
    assert told == constant
    made = getattr(Parser(FilmOptions).read(shlex.split(command)[2:]), name)
    if isinstance(expected, list):
        numbers = made.evaluate(Variables(len(values) * 7, Fraction(30)))
        assert numbers[: len(expected)] == pytest.approx(expected)
    else:
        assert str(made) == str(expected)


def test_recording_waits_for_sound(page):
    page.say("record", on=True)
    refused = page.wait_for(lambda page: page.all("refused"))[-1]
    assert refused["setting"] == "record"
    assert not page.state["recording"]
