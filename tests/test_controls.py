"""What changes over a film, through the script: words on models that read, tables, flashes, descriptions."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

import audio2video
from sound_diffusion import recipe as recipes
from sound_diffusion.constants import SAMPLE_RATE
from sound_diffusion.film import painter
from sound_diffusion.interpolation import interpolate
from sound_diffusion.presets import preset_names, read_preset
from sound_diffusion.sound.embeddings import mix
from tests.conftest import Outcome

FPS = 8
WORDS_ALONE = ("--text-weight", 1, "--mode", "txt2img", "--seed-mode", "fixed")

# diffusers' schedulers and NumPy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture
def clicks(tmp_path):
    """Three seconds with a click at every half second, for beats at 120 a minute."""
    y = np.random.default_rng(0).normal(0, 1e-3, 3 * SAMPLE_RATE)
    for second in np.arange(0.25, 3, 0.5):
        start = round(second * SAMPLE_RATE)
        y[start : start + 2000] += 0.5 * np.sin(np.arange(2000) / 10) * np.linspace(1, 0, 2000)
    path = tmp_path / "clicks.wav"
    soundfile.write(path, y.astype(np.float32), SAMPLE_RATE, subtype="FLOAT")
    return path


@pytest.fixture
def film(clicks, tmp_path, capsys):
    """Return a function that runs the script with a model, results in ``tmp_path / "out"``."""

    def run(model, *flags, sound=clicks, bar=False):
        argv = ["--path", str(sound), "--model", str(model), "--device", "cpu", "--fps", str(FPS)]
        argv += [] if bar else ["--quiet"]
        capsys.readouterr()
        code = audio2video.main([*argv, "--outdir", str(tmp_path / "out"), *map(str, flags)])
        return Outcome(code, *capsys.readouterr())

    return run


@pytest.fixture
def painted(monkeypatch):
    """Keep the conditionings that are to be painted, and paint nothing."""
    conditionings = []

    def paint(model, embeddings, *rest, **options):
        conditionings.extend(embeddings)
        return torch.zeros(len(embeddings), 4, 2, 2)

    monkeypatch.setattr(painter, "paint_latents", paint)
    monkeypatch.setattr(painter, "decode_latents", lambda *_: [Image.new("RGB", (16, 16))])
    return conditionings


@pytest.fixture(params=["sd1", "xl"])
def reader(request, reading_folder, xl_folder, shared_models):
    """Folder and model, one after the other."""
    folder = reading_folder if request.param == "sd1" else xl_folder
    return folder, shared_models(folder)


class TestPrompts:
    @pytest.mark.parametrize("how", ["slerp", "lerp", "none"])
    def test_embeddings_between_keys(self, how, reader, film, painted):
        folder, model = reader
        words = "0 : day\n8 : night --neg fog\n1.5s : dawn"
        outcome = film(folder, "--prompts", words, "--interpolation", how, *WORDS_ALONE)
        assert (outcome.code, outcome.err) == (0, "")
        day, night, dawn = (model.encode_prompt(each) for each in ("day", "night", "dawn"))
        pairs = {0: (day, night, 0), 2: (day, night, 0.25), 8: (night, dawn, 0), 10: (night, dawn, 0.5)}
        for frame, (one, other, share) in (pairs | {20: (dawn, dawn, 0)}).items():
            np.testing.assert_allclose(
                painted[frame].embedding, interpolate(one, other, share, how), rtol=1e-5, atol=1e-5
            )
        plain, fog = model.encode_negative(""), model.encode_negative("fog")
        for frame, share in ((0, 0), (4, 0.5), (8, 1)):
            expected = [
                None if one is None else interpolate(one, other, share, how)
                for one, other in zip(plain, fog, strict=True)
            ]
            if how == "none":  # the key that was passed last counts
                expected = [fog, plain][share < 1]
            np.testing.assert_allclose(painted[frame].negative, expected[0], rtol=1e-5, atol=1e-5)
            if expected[1] is not None:
                np.testing.assert_allclose(painted[frame].negative_pooled, expected[1], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(painted[12].negative, plain[0], rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize("how", ["slerp", "lerp", "none"])
    def test_pooled_vectors_between_keys(self, how, xl_folder, shared_models, film, painted):
        model = shared_models(xl_folder)
        film(xl_folder, "--prompts", "0 : day\n8 : night", "--interpolation", how, *WORDS_ALONE)
        day, night = (model.pooled_prompt(each) for each in ("day", "night"))
        assert not np.allclose(day, night)
        for frame, share in ((0, 0), (2, 0.25), (6, 0.75), (8, 1), (20, 1)):
            expected = interpolate(day, night, share, how)
            if how == "none":
                expected = night if share == 1 else day
            np.testing.assert_allclose(painted[frame].pooled, expected, rtol=1e-5, atol=1e-5)

    def test_beside_a_sound_by_a_weight_that_follows_it(self, reader, film, painted):
        folder, model = reader
        film(folder, "--gain", 0.5, "--mode", "txt2img")
        sound = [each.embedding for each in painted]
        painted.clear()
        film(
            folder,
            "--gain",
            0.5,
            "--prompts",
            "0 : day",
            "--text-weight",
            "t/max_f",
            "--mode",
            "txt2img",
            "--force",
        )
        day = model.encode_prompt("day")
        assert len(painted) == len(sound) == 24
        for frame, conditioning in enumerate(painted):
            expected = mix(sound[frame], day, frame / 24)
            np.testing.assert_allclose(conditioning.embedding, expected, rtol=1e-4, atol=1e-4)
            if conditioning.pooled is not None:
                pooled = mix(model.pooled_prompt(""), model.pooled_prompt("day"), frame / 24)
                np.testing.assert_allclose(conditioning.pooled, pooled, rtol=1e-4, atol=1e-4)

    def test_a_whole_negative_holds_where_a_key_has_none(self, reading_folder, shared_models, film, painted):
        model = shared_models(reading_folder)
        words = '{"0": "day --neg fog", "12": "night", "20": "dawn --neg"}'
        film(reading_folder, "--prompts", words, "--negative-prompt", "rain", *WORDS_ALONE)
        for frame, negative in ((0, "fog"), (12, "rain"), (20, "")):
            np.testing.assert_allclose(
                painted[frame].negative, model.encode_negative(negative)[0], rtol=1e-5, atol=1e-5
            )

    def test_pictures_and_recipes(self, reading_folder, film, tmp_path):
        size = ("--H", 64, "--W", 64, "--ddim_steps", 2, "--duration", 0.5)
        path = tmp_path / "words.json"
        path.write_text(json.dumps({"0": "day", "3": "night --neg fog"}))
        assert film(reading_folder, "--prompts", path, *WORDS_ALONE, *size).code == 0
        frames = sorted((tmp_path / "out/clicks/frames").glob("*.png"))
        pixels = [np.asarray(Image.open(frame)).copy() for frame in frames]
        recipe = recipes.read_recipe(frames[1])
        assert recipe["values"]["prompts"] == ["day", "night", pytest.approx(1 / 3)]
        flags = shlex.split(recipes.recipe_command(recipe))
        path.unlink()  # the recipe holds the words themselves
        again = tmp_path / "again"
        assert audio2video.main([*flags[2:], "--outdir", str(again), "--quiet", "--device", "cpu"]) == 0
        for one, other in zip(frames, sorted(again.glob("*/frames/*.png")), strict=True):
            assert one.read_bytes() == other.read_bytes()
        night = ("--textprompt", "night", "--negative-prompt", "fog", *WORDS_ALONE, *size, "--force")
        assert film(reading_folder, *night).code == 0
        np.testing.assert_array_equal(pixels[3], np.asarray(Image.open(frames[3])))
        assert (pixels[0] != pixels[3]).any()
        assert (pixels[0] != pixels[1]).any()

    def test_keys_in_beats_seconds_and_frames(self, reading_folder, shared_models, film, painted):
        model = shared_models(reading_folder)
        words = "0 : day\n2b : night\n2.5s : dawn"
        outcome = film(reading_folder, "--prompts", words, "--interpolation", "none", *WORDS_ALONE)
        assert outcome.code == 0
        passed = [
            next(
                name
                for name in ("day", "night", "dawn")
                if np.allclose(each.embedding, model.encode_prompt(name), atol=1e-4)
            )
            for each in painted
        ]
        assert passed == sorted(passed, key=["day", "night", "dawn"].index)
        assert 9 <= passed.index("night") <= 12  # the third click comes after 1.25 s
        assert passed.index("dawn") == 20


def write_series(folder, contents):
    path = folder / "series.csv"
    path.write_bytes(contents if isinstance(contents, bytes) else contents.encode())
    return path


class TestSeries:
    @pytest.mark.parametrize(
        "contents",
        [
            "seconds,kick\n0,0\n1,1\n3,1\n",
            "\ufeffseconds,kick\r\n0,0\r\n1,1\r\n3,1\r\n",
            '"seconds", "kick"\n 0, 0\n1.0,1e0\n3,+1\n\n\n',
            "seconds,snare,kick\n0,9,0\n1,9,1\n3,9,1",
            "seconds,kick\n-1,-1\n1,1\n2,1\n3,1\n",
        ],
    )
    def test_it_is_interpolated(self, contents, film, tiny_model_folder, model_loads, tmp_path):
        path = write_series(tmp_path, contents)
        outcome = film(tiny_model_folder, "--series", path, "--export-schedule", "kick")
        assert (outcome.code, outcome.err) == (0, "")
        values = [float(value) for value in re.findall(r"\((-?[0-9.]+)\)", outcome.out)]
        np.testing.assert_allclose(values, np.minimum(np.arange(24) / FPS, 1), atol=1e-4)

    @pytest.mark.parametrize(
        ("contents", "said"),
        [
            ("", "nothing in it"),
            ("\n\n", "nothing in it"),
            ("seconds,kick\n", "no numbers"),
            ("kick\n1\n", "columns kick (expected seconds"),
            ("time,kick\n0,1\n", "expected seconds"),
            ("seconds;kick\n0;1\n", "part the columns by commas"),
            ("seconds\tkick\n0\t1\n", "part the columns by commas"),
            ("seconds,kick\n0,1\n1,\n", "line 3: a gap in column kick"),
            ("seconds,kick\n0,1\n,2\n", "line 3: a gap in column seconds"),
            ("seconds,kick\n0,1\n\n2,1\n", "line 3"),
            ("seconds,kick\n0,1\n1\n", "line 3: 1 values"),
            ("seconds,kick\n0,1,2\n", "line 2: 3 values"),
            ("seconds,kick\n0,loud\n", "line 2: 'loud' in column kick"),
            ("seconds,kick\n0:01,1\n", "line 2: '0:01' in column seconds"),
            ("seconds,kick\n0,nan\n", "nan in column kick"),
            ("seconds,kick\nnan,1\n", "nan in column seconds"),
            ("seconds,kick\n0,-inf\n", "-inf in column kick"),
            ("seconds,kick\n0,1e999\n", "1e999 in column kick"),
            ("seconds,kick\n1,1\n0.5,1\n", "line 3: 0.5 seconds after 1"),
            ("seconds,kick\n1,1\n1,2\n", "line 3: 1 seconds after 1"),
            ("seconds,kick,kick\n0,1,1\n", "'kick' (expected a name that is not taken)"),
            ("seconds,onset\n0,1\n", "'onset' (expected a name that is not taken)"),
            ("seconds,beats\n0,1\n", "'beats'"),
            ("seconds,max_f\n0,1\n", "'max_f'"),
            ("seconds,seconds\n0,1\n", "'seconds'"),
            ("seconds,trigger\n0,1\n", "'trigger'"),
            ("seconds,my kick\n0,1\n", "expected letters, digits and underscores"),
            ("seconds,2nd\n0,1\n", "'2nd'"),
            ("seconds,\n0,1\n", "''"),
            ("seconds,lambda\n0,1\n", "'lambda'"),
            (b"\xff\xfes\x00e\x00c\x00", "cannot be read"),
            (b"seconds,kick\n0,\x00\n", ""),
            ('seconds,kick\n0,"1', "cannot be read"),
            ("seconds,kick\n0," + "1" * 200_000 + "\n", ""),
        ],
    )
    def test_what_is_none(self, contents, said, film, tiny_model_folder, model_loads, tmp_path):
        path = write_series(tmp_path, contents)
        outcome = film(tiny_model_folder, "--series", path, "--zoom", "1 + 0.1*kick")
        assert (outcome.code, outcome.out) == (2, "")
        assert "error: --series " in outcome.error
        assert said in outcome.error
        assert len(outcome.error) < 400
        assert not model_loads
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("name", ["none.csv", "", "x" * 5000, "."])
    def test_no_file(self, name, film, tiny_model_folder, model_loads, tmp_path):
        outcome = film(tiny_model_folder, "--series", f"{tmp_path}/{name}", "--zoom", "1 + 0.1*kick")
        assert outcome.code == 2
        assert "series" in outcome.error or "too long" in outcome.error
        assert not model_loads
        assert not (tmp_path / "out").exists()

    def test_a_column_that_is_not_there(self, film, tiny_model_folder, model_loads, tmp_path):
        path = write_series(tmp_path, "seconds,kick\n0,1\n")
        outcome = film(tiny_model_folder, "--series", path, "--zoom", "1 + 0.1*kik")
        assert "did you mean kick?" in outcome.error
        assert not (tmp_path / "out").exists()

    def test_a_changed_table_is_another_film(self, film, tiny_model_folder, painted, model_loads, tmp_path):
        flags = ("--series", write_series(tmp_path, "seconds,kick\n0,1\n"), "--gain", "kick")
        flags += ("--mode", "txt2img")
        assert film(tiny_model_folder, *flags).code == 0
        write_series(tmp_path, "seconds,kick\n0,0.5\n")
        outcome = film(tiny_model_folder, *flags)
        assert outcome.code == 2
        assert "series" in outcome.error


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--zoom", "1 + lowd"), "did you mean loudness|did you mean low"),
        (("--zoom", "smoth(low, 1)"), "did you mean smooth"),
        (("--zoom", "1 + 0.1*"), "not a formula"),
        (("--zoom", "0:(1) 10:(2)"), "keyframes such as"),
        (("--zoom", "10:(1), 0:(2)"), "key 0 .* after key 10"),
        (("--zoom", "0:(1), 8:(2), 1s:(3)"), "two keys at frame 8"),
        (("--zoom", "0:(1), 0:(2)"), "two keys at frame 0"),
        (("--zoom", "8b:(1), 0.1s:(2)"), "key 0.1s"),
        (("--strength", "0.1*t"), "1.1 at frame 11 .*in \\[0, 1\\]"),
        (("--strength", "-0.1 + onset"), "frame [0-9]+ .*in \\[0, 1\\]"),
        (("--noise", "onset - 2"), "--noise .*frame 0"),
        (("--text-weight", "2*t"), "text"),
        (("--zoom", "1 - t"), "--zoom .*0 at frame 1"),
        (("--zoom", "1/(t - 5)"), "frame"),
        (("--gain", "1/(t - t)"), "division by zero"),
        (("--gain", "5 % 0"), "division by zero"),
        (("--angle", "log(t - 3)"), "--angle .*frame 0"),
        (("--angle", "sqrt(0 - 1)"), "--angle .*nan at frame 0"),
        (("--angle", "9**9**9"), "inf at frame 0"),
        (("--angle", "9" * 5000), "--angle"),
        (("--angle", "1+" * 60_000 + "1"), "characters"),
        (("--angle", "(" * 400 + "1" + ")" * 400), "--angle"),
        (("--gain", "__import__('os').system('touch here')"), "no part of a formula"),
        (("--gain", "().__class__"), "no part of a formula"),
        (("--gain", "open('x')"), "unknown function open"),
        (("--gain", ""), "--gain"),
        (("--gain", "nan"), "--gain"),
        (("--gain", "inf"), "--gain"),
        (("--prompts", "0 : rain"), "no text encoder"),
        (("--prompts", "rain.txt"), "no such file"),
        (("--prompts", "0 : rain\nsnow"), "line 2"),
        (("--prompts", '{"0": 1}'), "expected a text"),
        (("--interpolation", "slerp2"), "slerp"),
        (("--interpolation", "lerp"), "--prompts"),
        (("--preset", "plse"), "no such preset"),
        (("--color-strength", "0.5"), "--color-coherence"),
        (("--color-coherence", "LUV"), "LAB"),
        (("--border", "mirror"), "reflect"),
        (("--sharpen", "-1"), "--sharpen"),
        (("--noise", "-1"), "--noise"),
        (("--series", "none.csv"), "--series"),
        (("--export-schedule", "colour"), "colour: no such option or variable .*one of .*strength, "),
        (("--export-schedule", "strenth"), "did you mean strength"),
        (("--export-schedule", "onsett"), "did you mean onset"),
        (("--export-schedule", "border"), "not a number .*one of .*strength, .*formula"),
        (("--export-schedule", "fps"), "not a number .*one of .*strength, .*formula"),
        (("--export-schedule", "loop"), "not a number .*one of .*strength"),
        (("--export-schedule", "text-weight"), "not set .*--text-weight FORMULA as well"),
        (("--export-schedule", "folder"), "no such option or variable"),
        (("--export-schedule", "1/0"), "division by zero"),
        (("--describe", "--zoom", "onsett"), "did you mean onset"),
        (("--describe", "--strength", "2*t"), "frame 1"),
        (("--describe", "--prompts", "0 : rain"), "no text encoder"),
        (("--describe", "--preset", "none"), "no such preset"),
    ],
)  # fmt: skip
def test_bad_requests_are_one_line(flags, said, film, tiny_model_folder, model_loads, tmp_path):
    outcome = film(tiny_model_folder, *flags)
    assert (outcome.code, outcome.out) == (2, "")
    assert re.search(said, outcome.error), outcome.error
    assert len(outcome.error) < 700
    assert not model_loads
    assert not (tmp_path / "out").exists()
    assert not Path("here").exists()


@pytest.mark.parametrize("flags", [("--strength", "0b:(0.4), 4b:(0.8)"), ("--gain", "beats")])
def test_beats_of_a_sound_that_has_none(flags, film, tiny_model_folder, model_loads, tmp_path):
    silence = tmp_path / "silence.wav"
    soundfile.write(silence, np.zeros(SAMPLE_RATE), SAMPLE_RATE)
    outcome = film(tiny_model_folder, *flags, sound=silence)
    assert outcome.code == 2
    assert "the sound has no beats; use frames, seconds or onset" in outcome.error
    assert not model_loads
    assert not (tmp_path / "out").exists()


def test_keys_in_frames_seconds_and_beats(film, tiny_model_folder, model_loads):
    keys = "0:(0), 0.5s:(4), 2b:(10), 20:(onset*0 + 3), 2.75s:(7)"
    outcome = film(tiny_model_folder, "--export-schedule", keys)
    assert (outcome.code, outcome.err) == (0, "")
    values = [float(value) for value in re.findall(r"\((-?[0-9.]+)\)", outcome.out)]
    np.testing.assert_allclose(values[:5], np.arange(5), atol=1e-3)
    assert values[20:] == [3, 3, 7, 7]
    assert 9 <= np.argmax(values) <= 11  # the third click comes after 1.25 s


class TestFlashes:
    @pytest.fixture
    def blinking(self, monkeypatch):
        """Paint black and white in turn, or as often as is set."""
        frames, every = [], [1]

        def decode(*_):
            frames.append(1)
            level = 255 * (len(frames) // every[0] % 2)
            return [Image.new("RGB", (16, 16), (level,) * 3)]

        monkeypatch.setattr(painter, "decode_latents", decode)
        return every

    def test_a_film_that_flashes_is_named(self, blinking, film, tiny_model_folder, model_loads):
        outcome = film(tiny_model_folder, "--mode", "txt2img", bar=True)
        assert outcome.code == 0
        assert outcome.err.count("WARNING") == 1
        assert "clicks flashes more than 3 times a second" in outcome.err
        assert "--allow-flashing" in outcome.err

    def test_those_who_know_are_not_told(self, blinking, film, tiny_model_folder, model_loads):
        outcome = film(tiny_model_folder, "--allow-flashing", "--mode", "txt2img", bar=True)
        assert outcome.code == 0
        assert "WARNING" not in outcome.err

    def test_one_that_blinks_slowly_is_not_named(self, blinking, film, tiny_model_folder, model_loads):
        blinking[0] = 4  # a second for light and dark
        outcome = film(tiny_model_folder, "--mode", "txt2img", bar=True)
        assert outcome.code == 0
        assert "WARNING" not in outcome.err


class TestDescriptions:
    @pytest.mark.parametrize("name", preset_names())
    def test_a_preset_is_printed_as_a_beginning(self, name, capsys, tmp_path, monkeypatch, model_loads):
        monkeypatch.chdir(tmp_path)
        assert audio2video.main(["--preset", name, "--describe"]) == 0
        out, err = capsys.readouterr()
        Path("mine.toml").write_text(out)
        assert read_preset("mine.toml").options == read_preset(name).options
        assert err == ""
        assert not model_loads
        assert [path.name for path in tmp_path.iterdir()] == ["mine.toml"]

    def test_all_that_is_set_is_shown(self, film, tiny_model_folder, model_loads, tmp_path):
        flags = ("--zoom", 1.5, "--gain", "1 + onset", "--strength", "0:(0.5), 1s:(0.75)", "--scale", 2)
        assert film(tiny_model_folder, *flags, "--describe").code == 0
        assert not model_loads
        table = np.genfromtxt(tmp_path / "out/clicks/clicks.schedules.csv", delimiter=",", names=True)
        assert len(table) == 24
        shown = {"seconds", "frame", "onset", "beats", "zoom", "gain", "strength", "scale"}
        assert shown <= set(table.dtype.names)  # by their flags
        assert "angle" not in table.dtype.names
        assert (table["zoom"] == 1.5).all()
        np.testing.assert_allclose(table["gain"], 1 + table["onset"], rtol=1e-4)
        np.testing.assert_allclose(table["strength"][:9], np.linspace(0.5, 0.75, 9), rtol=1e-4)

    @pytest.mark.parametrize("flags", [("--strength", 0.01), ("--outdir", "/proc/no")])
    def test_an_export_asks_neither_for_steps_nor_for_a_folder(
        self, flags, film, tiny_model_folder, model_loads, tmp_path
    ):
        outcome = film(tiny_model_folder, "--export-schedule", "0.2 + 0.5*onset", *flags)
        assert (outcome.code, outcome.err) == (0, "")
        assert outcome.out.startswith("0:(0.")
        assert outcome.out.count(":(") == 24
        assert not (tmp_path / "out").exists()

    def test_no_sound_for_an_export_beside_a_preset(self, capsys):
        assert audio2video.main(["--preset", "pulse", "--describe", "--export-schedule", "strength"]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert "no sound was given (expected --path and" in err

    def test_a_description_and_an_export(self, film, tiny_model_folder, model_loads, tmp_path):
        flags = ("--strength", "0.2 + 0.5*onset", "--export-schedule")
        outcome = film(tiny_model_folder, "--describe", *flags, "Strength")
        assert outcome.code == 0
        plot, table, keys = outcome.out.splitlines()
        assert Path(plot).is_file()
        assert Path(table).is_file()
        assert keys == film(tiny_model_folder, *flags[:-1], "--export-schedule=--strength").out.strip()
        assert not model_loads

    def test_an_export_of_a_number(self, film, tiny_model_folder, model_loads):
        outcome = film(tiny_model_folder, "--strength", 0.01, "--export-schedule", "strength")
        assert outcome.out.startswith("0:(0.0100), 1:(0.0100), ")
