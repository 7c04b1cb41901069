"""What pictures are made from: pictures, matrices, many sounds, and what cannot be used."""

import re
import shlex

import numpy as np
import pytest
import soundfile
from PIL import Image

from sound_diffusion import files
from sound_diffusion import recipe as recipes
from sound_diffusion.model.find import OnDisk
from sound_diffusion.recipe import read_recipe
from tests.films import pixels


@pytest.fixture
def many_sounds(tmp_path, sine):
    folder = tmp_path / "sounds"
    folder.mkdir()
    for number, name in enumerate(("a.wav", "b.flac", "c.wav")):
        soundfile.write(folder / name, sine[: 20_000 + 999 * number], 44_100)
    return folder


# --- painting over a picture


def test_init_image_by_strength(audio2img, sine_file, start_picture):
    words = ["--prompt", sine_file, "--init-img", start_picture]
    done = audio2img(*words, "--strength", 0, "--plms")
    assert (done.code, done.err) == (0, "")  # no bar: there is no step to count
    kept = done.paths[0]
    with Image.open(start_picture) as start:
        cropped = np.asarray(start.crop((8, 0, 72, 64))).astype(int)
    np.testing.assert_array_equal(pixels(kept), cropped)
    forgotten = audio2img(*words, "--strength", 1).paths[0]
    np.testing.assert_array_equal(pixels(forgotten), pixels(audio2img("--prompt", sine_file).paths[0]))
    between = audio2img(*words, "--strength", 0.5).paths[0]
    default = audio2img(*words).paths[0]
    assert read_recipe(default)["strength"] == 0.75
    assert len({path.read_bytes() for path in (kept, forgotten, between, default)}) == 4
    with Image.open(between) as picture:
        assert "Denoising strength: 0.5" in picture.info["parameters"]


def test_a_transparent_picture_to_start_from_is_remarked_on_once(audio2img, sine_file, tmp_path):
    Image.new("RGBA", (64, 64), (255, 255, 255, 0)).save(tmp_path / "clear.png")
    done = audio2img(
        "--prompt", sine_file, "--init-img", tmp_path / "clear.png", "--strength", 0, "--n_iter", 2
    )
    assert done.code == 0
    assert done.err.count("laid on black") == 1
    with Image.open(done.paths[0]) as picture:
        assert picture.getextrema() == ((0, 0),) * 3


# --- embeddings as files


def test_saved_embedding_gives_the_same_pixels(audio2img, sine_file, tmp_path):
    file = tmp_path / "sub" / "mine.npy"
    saved, painted = audio2img("--prompt", sine_file, "--save-embedding", file).paths
    assert saved == file
    matrix = np.load(file)
    assert (matrix.shape, matrix.dtype) == ((77, 32), np.float32)
    from_file = audio2img("--prompt", file).paths[0]
    assert from_file.parent.name == "mine"
    np.testing.assert_array_equal(pixels(from_file), pixels(painted))
    assert read_recipe(from_file)["feature"] == "embedding"
    command = shlex.split(audio2img("--recipe", from_file).out)[2:]
    assert audio2img(*command).paths[0].read_bytes() == from_file.read_bytes()


def test_embedding_of_another_program(audio2img, tmp_path):
    np.save(tmp_path / "own.npy", np.random.default_rng(0).normal(size=(1, 77, 32)))
    assert audio2img("--prompt", tmp_path / "own.npy", "--plot").code == 0
    assert audio2img("--prompt", tmp_path / "own.npy", "--scaling", "log").code == 0


# --- many sounds


def test_many_sounds_load_the_model_once(audio2img, model_loads, many_sounds, tmp_path, sine_file):
    (tmp_path / "list.txt").write_text(f"{sine_file}\n")
    done = audio2img(
        "--prompt", sine_file, "--input_folder", many_sounds, "--from-file", tmp_path / "list.txt"
    )
    assert done.code == 0
    assert [path.parent.name for path in done.paths] == ["sine", "a", "b", "c", "sine"]
    assert len(model_loads) == 1
    assert "20/20" in done.err


def test_files_that_all_sounds_share_are_read_once(audio2img, many_sounds, start_picture, monkeypatch):
    read = []

    def spy(function):
        return lambda path: read.append(path) or function(path)

    monkeypatch.setattr(recipes, "hash_file", spy(recipes.hash_file))
    monkeypatch.setattr(OnDisk, "fingerprint", spy(OnDisk.fingerprint))
    paths = audio2img("--input_folder", many_sounds, "--init-img", start_picture).paths
    assert read.count(start_picture) == 1
    assert len(read) == len(set(read)) == 5  # three sounds, a picture and a model
    assert len({read_recipe(path)["sound_sha256"] for path in paths}) == 3
    assert len({read_recipe(path)["init_image_sha256"] for path in paths}) == 1


def test_bad_files_among_several_are_named_at_the_end(audio2img, model_loads, many_sounds, tmp_path):
    (many_sounds / "a2.wav").write_bytes(b"no sound")
    (many_sounds / "b2.mp3").touch()
    done = audio2img("--input_folder", many_sounds, "--quiet")
    assert done.code == 2
    assert [path.parent.name for path in done.paths] == ["a", "b", "c"]
    lines = done.err.splitlines()
    assert len(lines) == 2
    assert "a2.wav: " in lines[0]
    assert "b2.mp3: empty file" in lines[1]
    assert len(model_loads) == 1


def test_both_spellings_of_flags(audio2img, many_sounds):
    for words in (
        ["--input-folder", many_sounds, "--n-iter", 1, "--skip-save"],
        ["--input_folder", many_sounds],
    ):
        assert len(audio2img(*words).paths) == 3


# --- bad input


def test_a_sound_that_was_cut_is_painted_with_a_word(audio2img, tmp_path):
    path = tmp_path / "cut.wav"
    soundfile.write(path, np.zeros(30_000), 44_100)
    path.write_bytes(path.read_bytes()[:10_000])
    done = audio2img("--prompt", path)
    assert (done.code, len(done.paths)) == (0, 1)
    assert done.err.count("0.567 s of 0.680 s are missing") == 1


def bad_inputs(folder):
    """Name -> a path that no picture can be made of."""
    files = {
        "empty.wav": b"",
        "text.wav": b"This is no sound.",
        "text.npy": b"1 2 3",
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    for name, value in (("nan.wav", np.nan), ("inf.wav", np.inf), ("huge.wav", 1e9)):
        soundfile.write(folder / name, np.full(1000, value), 44_100, subtype="FLOAT")
    soundfile.write(folder / "none.wav", np.zeros(0), 44_100)
    np.save(folder / "shape.npy", np.zeros((77, 31)))
    np.save(folder / "complex.npy", np.zeros((77, 32), dtype=complex))
    np.save(folder / "nan.npy", np.full((77, 32), np.nan))
    np.save(folder / "object.npy", np.array([[{}]], dtype=object), allow_pickle=True)
    (folder / "folder.wav").mkdir()


BAD_INPUTS = {
    "missing.wav": "no such file",
    "missing.npy": "no such file",
    "folder.wav": "a folder",
    "empty.wav": "empty file",
    "text.wav": "not a sound",
    "none.wav": "no samples",
    "nan.wav": "NaN or infinite",
    "inf.wav": "NaN or infinite",
    "huge.wav": "sample of size",
    "text.npy": "cannot be read as .npy",
    "shape.npy": r"\(77, 31\).*\(77, 32\)",
    "complex.npy": "complex",
    "nan.npy": "NaN or infinite",
    "object.npy": "object",
}


@pytest.mark.parametrize(
    "address", ["https://example.com/a.mp3", "http://example.com/a.npy?b=1", "ftp://a/b.npy"]
)
def test_addresses_are_not_read(audio2img, model_loads, address):
    done = audio2img("--prompt", address)
    assert (done.code, done.out, model_loads) == (2, "", [])
    assert re.search(f"{re.escape(address)}: addresses are not read.*download", done.error)


@pytest.mark.parametrize("name", BAD_INPUTS)
def test_bad_input(audio2img, model_loads, tmp_path, out, name):
    bad_inputs(tmp_path)
    done = audio2img("--prompt", tmp_path / name)
    assert (done.code, done.out) == (2, "")
    assert re.search(BAD_INPUTS[name], done.error)
    assert str(tmp_path / name) in done.error
    assert model_loads == []
    assert not out.exists()


BAD_FLAGS = {
    "--feature loudness": "loudness.*waveform",
    "--scaling loud": "loud.*clip",
    "--H 65": "height 65.*multiple of 8.*64 would do",
    "--W 0": "width 0.*8 would do",
    "--W 64.0": "--W.*64.0",
    "--n_samples 0": "--n_samples 0.*at least 1",
    "--n_samples -3": "--n_samples -3",
    "--n_samples 1000000000000000000000": "seed",
    "--n_samples 100000000": "100000000 pictures .*at most 1000000",
    "--n_samples 2000 --n_iter 2000": "4000000 pictures .*at most 1000000",
    "--n_iter 0": "--n_iter 0",
    "--ddim_steps 0": "0 steps",
    "--ddim_eta 1.5": "eta 1.5",
    "--ddim_eta nan": "eta nan",
    "--plms --ddim_eta 0.5": "eta 0.5 with sampler plms",
    "--scale nan": "guidance nan",
    "--scale inf": "guidance inf",
    "--seed -1": "seed -1",
    "--seed 9223372036854775808": "seed 9223372036854775808",
    "--seed 9223372036854775807 --n_iter 2": "seed 9223372036854775808",
    "--seed a": "--seed.*'a'",
    "--strength 0.5": "--init-img",
    "--init-img START --strength 1.5": "strength 1.5",
    "--init-img START --strength -0.1": "strength -0.1",
    "--init-img START --strength nan": "strength nan",
    "--init-img START --strength 0.2": "no step at all.*0.25 or more",
    "--init-img MISSING": "--init-img .*missing.png: no such file; check the path",
    "--init-img SOUND": "sine.wav: cannot be read .not a picture.",
    "--offset -1": "offset -1",
    "--offset nan": "offset nan",
    "--offset 3": "offset 3.0 s is past the end.*2.000 s",
    "--duration 0": "duration 0",
    "--duration 1e-9": "no samples",
    "--model nothing": "no model 'nothing'",
    "--model OUT": "no model",
    "--device tpu": "tpu",
    "--precision double": "double",
    "--save-embedding a.txt": "ends in .npy",
    "--save-embedding SOUND/a.npy": "--save-embedding .*a.npy: cannot be written.*another --save-embedding",
    "--outdir SOUND": "cannot be written.*--outdir",
    "--outdir SOUND/sub": "cannot be written",
    "--skip_save --skip_grid": "nothing is saved",
    "--plot --skip_save": "--plot with --skip_save.*leave out",
    "--prompt": "--prompt.*at least one",
    "--no-such-flag": "unrecognized arguments: --no-such-flag",
    "--input_folder MISSING": "--input_folder .*missing.png: no such folder; check the path",
    "--input_folder SOUND": "--input_folder .*sine.wav: a file .expected a folder",
    "--vae MISSING": "--vae .*missing.png: no such file; check the path",
    "--init-img TMP": "--init-img .*: a folder .expected a file",
    "--from-file MISSING": "--from-file .*missing.png: no such file; check the path",
    "--from-file TMP": "--from-file .*: a folder .expected a file",
    "--from-file SOUND": "cannot be read",
    "--recipe MISSING": "--recipe .*missing.png: no such file; check the path",
    "--recipe START": "no recipe",
    "--recipe SOUND": "sine.wav: cannot be read .not a picture.",
}


@pytest.mark.parametrize("flags", BAD_FLAGS)
def test_bad_flag(audio2img, model_loads, sine_file, start_picture, tmp_path, out, flags):
    before = sorted(tmp_path.iterdir())
    words = flags.replace("START", str(start_picture)).replace("SOUND", str(sine_file))
    words = words.replace("MISSING", str(tmp_path / "missing.png")).replace("OUT", str(out))
    words = words.replace("TMP", str(tmp_path))
    done = audio2img("--prompt", sine_file, *words.split())
    assert (done.code, done.out) == (2, "")
    assert re.search(BAD_FLAGS[flags], done.error)
    assert model_loads == []
    assert sorted(tmp_path.iterdir()) == before


def test_a_file_in_the_place_of_the_folder_of_a_sound(audio2img, model_loads, sine_file, out):
    out.mkdir()
    (out / sine_file.stem).touch()
    done = audio2img("--prompt", sine_file)
    assert (done.code, done.out, model_loads) == (2, "", [])
    assert "sine: cannot be written (Not a directory)" in done.error


def test_scaling_that_needs_a_text_encoder(audio2img, sine_file, out):
    for scaling in ("range", "clip", "whiten"):
        done = audio2img("--prompt", sine_file, "--scaling", scaling, "--quiet")
        assert done.code == 2
        assert "empty prompt" in done.error
        assert not out.exists()


def test_no_sound_at_all(audio2img):
    done = audio2img()
    assert done.code == 2
    assert "no sound was given (expected --prompt and the path of at least one)" in done.error


def test_recipe_of_another_program(audio2img, tmp_path):
    with files.write_atomically(tmp_path / "a.png") as file:
        files.write_png(Image.new("RGB", (8, 8)), file, RECIPE_OF_ANOTHER_PROGRAM)
    done = audio2img("--recipe", tmp_path / "a.png")
    assert done.code == 2
    assert "no entry 'offset'" in done.error


RECIPE_OF_ANOTHER_PROGRAM = {
    **{"sound": "a.wav", "feature": "fft", "scaling": "none", "sampler": "ddim", "steps": 1, "guidance": 1.0},
    **{"seed": 1, "width": 8, "height": 8, "model": "x"},
}
