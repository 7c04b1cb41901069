"""Words for a model that reads them: pictures, films, and what is cut off."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from sound_diffusion.errors import ModelError


@pytest.fixture
def script(reading_folder, tmp_path, monkeypatch, capsys):
    """Return a function that runs audio2img with that model in an empty folder."""
    import audio2img

    def run(*flags):
        monkeypatch.chdir(tmp_path)
        size = ["--H", "64", "--W", "64", "--ddim_steps", "2", "--quiet", "--device", "cpu"]
        code = audio2img.main(["--model", str(reading_folder), *size, *map(str, flags)])
        captured = capsys.readouterr()
        return code, captured.out.splitlines(), captured.err.splitlines()

    return run


@pytest.fixture
def texts_of_plots(monkeypatch):
    """List the texts of every plot that is saved."""
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    texts = []
    save = Figure.savefig

    def spy(figure, *rest, **options):
        save(figure, *rest, **options)
        texts.extend(text.get_text() for text in figure.findobj(Text))

    monkeypatch.setattr(Figure, "savefig", spy)
    return texts


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


@pytest.fixture
def reading_model(reading_folder, shared_models):
    return shared_models(reading_folder)


def cuts(caplog):
    return [r.getMessage() for r in caplog.records if r.name.startswith("sound_diffusion")]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    words=st.lists(st.sampled_from(["red", "apple", "planetary", "xylophonist", "a,b", "é"]), max_size=130)
)
def test_what_is_cut_off_a_prompt_is_counted_in_words(reading_model, caplog, words):
    """Two tokens say where a prompt begins and ends; the others are those of its words in turn."""
    caplog.clear()
    reading_model._prompts.clear()
    prompt = " ".join(words)
    reading_model.encode_prompt(prompt)
    tokens = [len(reading_model.pipeline.tokenizer(word).input_ids) - 2 for word in words]
    kept = int((np.cumsum(tokens) <= 75).sum())
    if kept == len(words):
        assert cuts(caplog) == []
    else:
        [line] = cuts(caplog)
        assert f"{len(words) - kept} of its {len(words)} words, from {words[kept]!r} on" in line


def test_a_cut_prompt_is_said_once_and_reads_as_its_beginning(reading_model, caplog):
    long, short = "stone " * 80, "stone " * 75
    cut = reading_model.encode_prompt(long)
    reading_model.encode_prompt(long)
    assert len(cuts(caplog)) == 1
    assert "5 of its 80 words" in cuts(caplog)[0]
    np.testing.assert_array_equal(cut, reading_model.encode_prompt(short))


def test_the_script_says_what_of_a_prompt_is_cut(reading_folder, tmp_path, capsys):
    import audio2img

    size = ["--H", "64", "--W", "64", "--ddim_steps", "1", "--device", "cpu"]
    where = ["--model", str(reading_folder), "--outdir", str(tmp_path / "out")]
    assert audio2img.main([*where, *size, "--textprompt", "red " * 90]) == 0
    err = capsys.readouterr().err
    assert err.count("WARNING") == 1
    assert "15 of its 90 words, from 'red' on, are beyond the 77 tokens" in err


def test_words_alone(script, tmp_path):
    flags = ["--textprompt", "a red juicy apple floating in outer space, like a planet"]
    code, out, err = script(*flags, "--n_samples", 1, "--n_iter", 1, "--plms")
    assert (code, err) == (0, [])
    name = "a-red-juicy-apple-floating-in-outer-space-like-a-planet"
    assert out == [f"outputs/txt2img-samples/{name}/00000.png"]
    _, again, _ = script("--textprompt", "a grey stone", "--plms")
    assert (pixels(tmp_path / out[0]) != pixels(tmp_path / again[0])).any()


def test_plot_of_words_alone(script, texts_of_plots):
    code, out, err = script("--textprompt", "it costs $5 or $10^$", "--plot")
    assert (code, err) == (0, [])
    assert [Path(line).name for line in out] == ["00000.png", "plot-00000.png"]
    assert "it costs $5 or $10^$" in texts_of_plots
    assert not [text for text in texts_of_plots if "file" in text]


def test_recipe_of_words_alone_with_a_weight_that_had_no_sound():
    from sound_diffusion import recipe as recipes

    command = recipes.recipe_command(
        dict.fromkeys(recipe_entries()) | {"textprompt": "a", "text_weight": 0.5}
    )
    assert command == "python audio2img.py --textprompt a"


def recipe_entries():
    from sound_diffusion.options import PictureOptions, options_of

    return {option.entry for option in options_of(PictureOptions) if option.decides}


def test_weights_lead_from_the_sound_to_the_text(script, sine_file, tmp_path):
    def paint(*flags):
        code, out, err = script(*flags)
        assert (code, err) == (0, [])
        return pixels(tmp_path / out[0])

    words = ["--textprompt", "a red apple"]
    sound_alone, text_alone = paint("--prompt", sine_file), paint(*words)
    both = ["--prompt", sine_file, *words]
    np.testing.assert_array_equal(paint(*both, "--text-weight", 0), sound_alone)
    np.testing.assert_array_equal(paint(*both, "--text-weight", 1), text_alone)
    assert (paint(*both) != sound_alone).any()
    assert (paint(*both, "--textstrength", 5) != text_alone).any()


def test_the_recipe_of_a_picture_with_words(script, sine_file, tmp_path):
    from sound_diffusion.recipe import read_recipe, recipe_command

    _, out, _ = script(
        "--prompt", sine_file, "--textprompt", 'it\'s a "planet"', "--textstrength", 3, "--plms"
    )
    command = shlex.split(recipe_command(read_recipe(tmp_path / out[0])))
    _, again, _ = script(*command[2:])
    assert (tmp_path / out[0]).read_bytes() == (tmp_path / again[0]).read_bytes()


def test_negative_prompt(script, sine_file, tmp_path, capsys):
    import audio2img
    from sound_diffusion.recipe import read_recipe

    _, [plain], _ = script("--prompt", sine_file)
    _, [same], _ = script("--prompt", sine_file, "--negative-prompt", "")
    code, [path], err = script("--prompt", sine_file, "--negative-prompt", "blurred, grey", "--skip-existing")
    assert (code, err) == (0, [])
    assert (pixels(tmp_path / path) != pixels(tmp_path / plain)).any()
    np.testing.assert_array_equal(pixels(tmp_path / plain), pixels(tmp_path / same))
    assert read_recipe(tmp_path / path)["negative_prompt"] == "blurred, grey"
    with Image.open(tmp_path / path) as picture:
        assert "\nNegative prompt: blurred, grey\nSteps: 2, " in picture.info["parameters"]
    assert audio2img.main(["--recipe", str(tmp_path / path)]) == 0
    _, [again], _ = script(*shlex.split(capsys.readouterr().out)[2:])
    assert (tmp_path / path).read_bytes() == (tmp_path / again).read_bytes()


def test_negative_prompt_that_can_do_nothing(script, sine_file, tiny_model_folder, tmp_path):
    words = ["--prompt", sine_file, "--negative-prompt", "grey"]
    code, out, err = script(*words, "--model", tiny_model_folder)
    assert (code, out) == (2, [])
    assert "no text encoder, so that it cannot read 'grey'" in err[0]
    code, out, err = script(*words, "--scale", 1, "--debug")
    assert code == 0
    assert "--negative-prompt does nothing with --scale 1" in err[0]


def test_inspect_prints_text_and_sound_side_by_side(script, sine_file):
    code, out, err = script("--prompt", sine_file, "--inspect", "--scaling", "clip")
    assert (code, err) == (0, [])
    assert [line.split()[-5] for line in out[2:]] == ["0", "1..76"] * 3
    text_mean, scaled_mean = (float(out[index].split()[-2]) for index in (3, 7))
    assert scaled_mean == pytest.approx(text_mean, abs=1e-3)


@pytest.mark.parametrize("feature", ["fft", "melspectrogram"])
def test_a_whitened_sound_is_inspected_and_painted_with_words_and_without(
    script, sine_file, feature, tmp_path
):
    whitened = ("--prompt", sine_file, "--feature", feature, "--scaling", "whiten")
    code, out, err = script(*whitened, "--inspect")
    assert (code, err) == (0, [])
    text_mean, scaled_mean = (float(out[index].split()[-2]) for index in (3, 7))
    assert scaled_mean == pytest.approx(text_mean, abs=1e-3)
    painted = {}
    for name, flags in {"whiten": whitened, "clip": (*whitened[:-1], "clip")}.items():
        for words in ((), ("--textprompt", "a red apple")):
            code, out, err = script(*flags, *words)
            assert (code, err) == (0, [])
            painted[name, words] = pixels(tmp_path / out[0]).tobytes()
    assert len(set(painted.values())) == 4


def test_a_matrix_from_elsewhere_cannot_be_whitened(script, tmp_path):
    np.save(tmp_path / "own.npy", np.ones((77, 768), np.float32))
    code, out, err = script("--prompt", tmp_path / "own.npy", "--scaling", "whiten")
    assert (code, out, len(err)) == (2, [], 1)
    assert re.search("'whiten' of 'embedding'.*use another --scaling", err[0])


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--text-weight", "0.5"), "--textprompt"),
        (("--textprompt", "a", "--textpromptend", "b"), "audio2video"),
        (("--textprompt", "a", "--text-weight", "2"), "text-weight"),
        (("--textprompt", "a", "--textstrength", "0"), "textstrength"),
        (("--textprompt", "a", "--text-weight", "0.5"), "--text-weight 0.5 for words alone.*--prompt"),
        (("--textprompt", "a", "--textstrength", "3"), "--textstrength 3.0 for words alone.*--prompt"),
        (("--inspect", "--textprompt", "a"), "--prompt"),
        (("--lora", "missing.safetensors"), "no such file"),
        (("--vae", "missing.safetensors"), "no such file"),
    ],
)
def test_bad_words(flags, words, script, tmp_path):
    code, out, err = script(*flags)
    assert (code, out) == (2, [])
    assert len(err) == 1
    assert re.search(words, err[0])
    assert not (tmp_path / "outputs").exists()


def test_a_model_that_cannot_read_says_so(tiny_model):
    with pytest.raises(ModelError, match="no text encoder"):
        tiny_model.encode_prompt("an apple")


def test_a_film_with_words(reading_folder, sine_file, tmp_path, capsys):
    import audio2video

    flags = ["--textprompt", "day", "--textpromptend", "night", "--duration", "0.3", "--fps", "8", "--quiet"]
    size = ["--H", "64", "--W", "64", "--ddim_steps", "2", "--strength", "0.5", "--device", "cpu"]
    argv = ["--path", str(sine_file), "--model", str(reading_folder), "--outdir", str(tmp_path / "out")]
    assert audio2video.main([*argv, *size, *flags]) == 0, capsys.readouterr().err
    frames = sorted((tmp_path / "out" / "sine" / "frames").glob("0*.png"))
    assert len(frames) == 3
    where = [*argv[:-1], str(tmp_path / "other")]
    assert audio2video.main([*where, *size, *flags, "--negative-prompt", "noon"]) == 0
    others = sorted((tmp_path / "other" / "sine" / "frames").glob("0*.png"))
    assert all((pixels(one) != pixels(other)).any() for one, other in zip(frames, others, strict=True))
    capsys.readouterr()
    assert audio2video.main([*where, *size, *flags, "--negative-prompt", "dusk"]) == 2
    assert "--negative-prompt was noon, is dusk" in capsys.readouterr().err


# --- with a model that takes pooled vectors as well


def test_every_frame_of_a_batch_has_its_own_words(xl_folder, sine_file, tmp_path, capsys):
    import audio2video

    def frames(*flags):
        out = tmp_path / f"out{len(flags)}"
        words = ["--textprompt", "day", "--textpromptend", "night", "--text-weight", "1"]
        size = ["--H", "64", "--W", "64", "--ddim_steps", "2", "--mode", "txt2img", "--quiet"]
        argv = ["--path", str(sine_file), "--model", str(xl_folder), "--outdir", str(out), "--device", "cpu"]
        assert audio2video.main([*argv, *size, *words, "--duration", "0.3", "--fps", "8", *flags]) == 0
        return [pixels(path).astype(int) for path in sorted((out / "sine" / "frames").glob("*.png"))]

    alone, together = frames(), frames("--batch-size", "3")
    assert np.abs(alone[2] - alone[0]).mean() > 1
    for one, other in zip(alone, together, strict=True):
        assert np.abs(one - other).max() <= 2
