"""Results on disk: whole or not at all, numbered, and able to say how they were made."""

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sound_diffusion import files
from sound_diffusion.errors import OutputError
from sound_diffusion.files import (
    check_name,
    check_place,
    make_folder,
    recipes_in,
    run_name,
    save_picture,
    shortened,
    write_atomically,
)
from sound_diffusion.recipe import parameters_text, read_recipe, versions

RECIPE = {
    "sound": "sounds/bell.wav",
    "feature": "fft",
    "scaling": "clip",
    "sampler": "ddim",
    "steps": 50,
    "guidance": 7.5,
    "seed": 42,
    "width": 512,
    "height": 256,
    "model": "ldm/stable-diffusion-v1/model.ckpt",
    "init_image": None,
    "strength": 0.75,
}


@pytest.fixture
def picture():
    return Image.effect_noise((16, 8), 50).convert("RGB")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("path", "name"),
    [("a/bell.wav", "bell"), ("my.song.flac", "my.song"), (".wav", ".wav"), ("..", "sound"), ("", "sound")],
)
def test_run_name(path, name):
    assert run_name(Path(path)) == name


@given(stem=st.binary(min_size=1, max_size=250), n_bytes=st.integers(10, 200))
def test_long_names_are_cut_between_letters_and_stay_apart(stem, n_bytes):
    name = os.fsdecode(stem)
    short = shortened(name, n_bytes)
    assert len(os.fsencode(short)) <= n_bytes
    assert (short == name) == (len(os.fsencode(name)) <= n_bytes)
    if short != name:
        short.encode()  # text
        assert short != shortened(name + "x", n_bytes)


@pytest.mark.parametrize("letter", ["a", "é", "長", "🎵", "e\u0301"])
def test_names_of_every_script_have_room_for_what_is_added(letter, tmp_path):
    stem = letter * (250 // len(letter.encode()))
    name = run_name(Path(stem + ".wav"))
    assert stem.startswith(name[:-9])
    folder = tmp_path / f"{name}-preview"
    for suffix in (".in-progress.mp4", ".schedules.png"):
        with write_atomically(folder / f"{name}-preview{suffix}") as file:
            file.write(b"a")
    with write_atomically(folder / ("x" * 255)) as file:  # what the user has named
        file.write(b"a")
    assert len(names(folder)) == 3


@pytest.mark.parametrize("place", ["x" * 256, "new/" + "x" * 256, "/".join(["x" * 200] * 30), "a\0b"])
def test_names_that_cannot_be_are_found_before_the_work(place, tmp_path):
    for check in (check_place, check_name):
        with pytest.raises(OutputError, match=r"^--output .*cannot be written") as caught:
            check(tmp_path / place, "--output")
        assert caught.value.exit_code == 2
    assert names(tmp_path) == []


def test_versions_name_what_the_pixels_depend_on():
    assert versions().keys() == {"sound_diffusion", "torch", "diffusers", "numpy", "librosa"}


# --- atomic writes


def test_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "a.bin"
    with write_atomically(path) as file:
        file.write(b"abc")
        assert not path.exists()
    assert path.read_bytes() == b"abc"
    assert names(path.parent) == ["a.bin"]


def test_failure_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(TypeError), write_atomically(path) as file:
        file.write("no bytes")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


def test_interruption_leaves_nothing(tmp_path):
    with contextlib.suppress(KeyboardInterrupt), write_atomically(tmp_path / "a.bin") as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert names(tmp_path) == []


def test_overwrite_or_not(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(FileExistsError), write_atomically(path, overwrite=False) as file:
        file.write(b"new")
    assert path.read_bytes() == b"old"
    with write_atomically(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["a.bin"]


def test_file_without_hard_links(tmp_path, monkeypatch):
    def no_links(self, target):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", no_links)
    path = tmp_path / "a.bin"
    with write_atomically(path, overwrite=False) as file:
        file.write(b"abc")
    assert path.read_bytes() == b"abc"
    with pytest.raises(FileExistsError), write_atomically(path, overwrite=False) as file:
        file.write(b"new")
    assert path.read_bytes() == b"abc"
    assert names(tmp_path) == ["a.bin"]


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_permissions_are_those_of_any_new_file(tmp_path):
    with write_atomically(tmp_path / "ours") as file:
        file.write(b"a")
    (tmp_path / "plain").touch()
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_full_disk(tmp_path):
    full = OSError(errno.ENOSPC, "No space left on device")
    with (
        pytest.raises(OutputError, match=r"No space left.*free some space") as caught,
        write_atomically(tmp_path / "a.bin"),
    ):
        raise full
    assert caught.value.exit_code == 1
    assert names(tmp_path) == []


def test_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").touch()
    for use in (make_folder, check_place):
        for folder in (tmp_path / "file", tmp_path / "file" / "sub"):
            with pytest.raises(
                OutputError, match=r"\(Not a directory\).*--outdir.*(and|check) its perm"
            ) as caught:
                use(folder)
            assert caught.value.exit_code == 2
    with pytest.raises(OutputError) as caught, write_atomically(tmp_path / "file" / "a.bin"):
        pass
    assert caught.value.exit_code == 2


@pytest.mark.skipif(
    not Path("/proc/self").exists(), reason="a file system that permits all and makes nothing"
)
def test_a_place_is_tried_and_not_only_asked_for_its_permissions():
    for check in (check_place, check_name):
        with pytest.raises(OutputError, match="cannot be written") as caught:
            check(Path("/proc/no/a.csv"), "--stats")
        assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("number", "exit_code"),
    [(errno.EACCES, 2), (errno.EROFS, 2), (errno.ENOTDIR, 2), (errno.ENOSPC, 1), (errno.EIO, 1)],
)
def test_the_status_says_whether_the_place_was_wrong(number, exit_code, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    monkeypatch.setattr(Path, "mkdir", refuse)
    for use in (check_place, make_folder):
        with pytest.raises(OutputError, match="cannot be written") as caught:
            use(tmp_path / "a")
        assert caught.value.exit_code == exit_code


def test_a_folder_where_a_file_should_be(tmp_path):
    with pytest.raises(OutputError) as caught:
        check_name(tmp_path, "--stats")
    assert caught.value.exit_code == 2
    said = "cannot be written (Is a directory); choose another --stats, or check its permissions"
    assert str(caught.value) == f"--stats {tmp_path}: {said}"


def test_a_drive_that_only_reads(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "touch", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(OutputError, match="Read-only file system"), write_atomically(tmp_path / "a"):
        pass


def test_check_place_makes_nothing(tmp_path):
    check_place(tmp_path / "a" / "b")
    check_place(tmp_path)
    check_name(tmp_path / "a.csv", "--stats")
    assert names(tmp_path) == []


# --- pictures


def test_numbers_follow_the_highest_that_is_there(tmp_path, picture):
    assert save_picture(picture, tmp_path, RECIPE).name == "00000.png"
    assert save_picture(picture, tmp_path, RECIPE).name == "00001.png"
    (tmp_path / "00041.png").touch()
    (tmp_path / "plot-00077.png").touch()
    (tmp_path / "00099.jpg").touch()
    assert save_picture(picture, tmp_path, RECIPE).name == "00042.png"
    assert save_picture(picture, tmp_path, RECIPE, prefix="grid-").name == "grid-00000.png"
    assert save_picture(picture, tmp_path, RECIPE, prefix="grid-").name == "grid-00001.png"
    (tmp_path / "99999.png").touch()
    assert save_picture(picture, tmp_path, RECIPE).name == "100000.png"
    assert save_picture(picture, tmp_path, RECIPE).name == "100001.png"


def test_pixels_and_recipe_come_back(tmp_path, picture):
    recipe = RECIPE | {"sound": "gläser/é 音\n.wav", "duration": None, "offset": 0.1}
    path = save_picture(picture, tmp_path, recipe)
    assert read_recipe(path) == recipe
    assert recipes_in(tmp_path) == {path: recipe}
    with Image.open(path) as saved:
        assert saved.tobytes() == picture.tobytes()
        assert saved.info["parameters"].splitlines()[0] == "é 音 .wav, fft, scaling clip"


@pytest.mark.skipif(os.name != "posix", reason="file names of bytes")
def test_name_that_is_not_text(tmp_path, picture):
    recipe = RECIPE | {"sound": os.fsdecode(b"caf\xe9.wav")}
    assert read_recipe(save_picture(picture, tmp_path, recipe)) == recipe


def test_same_picture_and_recipe_give_the_same_bytes(tmp_path, picture):
    first = save_picture(picture, tmp_path, RECIPE)
    second = save_picture(picture, tmp_path, dict(reversed(RECIPE.items())))
    assert first.read_bytes() == second.read_bytes()


def test_parameters_are_in_the_form_of_other_tools():
    assert parameters_text(RECIPE) == (
        "bell.wav, fft, scaling clip\n"
        "Steps: 50, Sampler: DDIM, CFG scale: 7.5, Seed: 42, Size: 512x256, Model: model"
    )
    negative = parameters_text(RECIPE | {"negative_prompt": "blurred,\n grey"}).splitlines()
    assert negative[1] == "Negative prompt: blurred, grey"
    assert negative[2].startswith("Steps: 50, ")
    painted_over = parameters_text(RECIPE | {"init_image": "a.png", "sampler": "plms"})
    assert painted_over.endswith("Model: model, Denoising strength: 0.75")
    assert "Sampler: PLMS" in painted_over


@pytest.mark.parametrize(
    ("model", "title"),
    [
        ("stabilityai/stable-diffusion-xl-base-1.0", "stable-diffusion-xl-base-1.0"),
        ("models/v1.5", "v1.5"),
        ("ldm/stable-diffusion-v1/model.ckpt", "model"),
        ("dreams.v2.1.safetensors", "dreams.v2.1"),
        ("soft, warm", '"soft, warm"'),
        ("a:b.safetensors", '"a:b"'),
        ("cymatics", "cymatics"),
    ],
)
def test_a_model_is_shown_by_its_whole_name(model, title):
    recipe = RECIPE | {"model": model}
    assert parameters_text(recipe).endswith(f", Model: {title}")


def test_pictures_without_a_recipe(tmp_path, picture):
    picture.save(tmp_path / "00000.png")
    (tmp_path / "00001.png").write_bytes(b"no picture")
    (tmp_path / "00002.png").touch()
    assert recipes_in(tmp_path) == {}
    assert recipes_in(tmp_path / "missing") == {}
    for name in ("00000.png", "00001.png", "00002.png", "missing.png", "."):
        with pytest.raises(OutputError, match="expected a PNG file that this program wrote") as caught:
            read_recipe(tmp_path / name)
        assert caught.value.exit_code == 2


def test_recipe_that_is_no_object(tmp_path, picture, monkeypatch):
    monkeypatch.setattr(json, "dumps", lambda *_, **__: "[1, 2]")
    path = save_picture(picture, tmp_path, RECIPE)
    with pytest.raises(OutputError, match="no recipe"):
        read_recipe(path)


def test_failed_picture_leaves_nothing(tmp_path, picture, monkeypatch):
    def full(picture, file, recipe):
        file.write(b"\x89PNG")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "write_png", full)
    with pytest.raises(OutputError, match="free some space"):
        save_picture(picture, tmp_path / "run", RECIPE)
    assert names(tmp_path / "run") == []


def test_programs_that_number_at_the_same_time_lose_nothing(tmp_path):
    code = (
        "import sys; from pathlib import Path; from PIL import Image\n"
        "from sound_diffusion.files import save_picture\n"
        f"recipe = {RECIPE!r}\n"
        "for i in range(15): save_picture(Image.new('RGB', (8, 8)), Path(sys.argv[1]), recipe)\n"
    )
    with ThreadPoolExecutor() as pool:
        runs = [
            pool.submit(subprocess.run, [sys.executable, "-c", code, tmp_path], check=True) for _ in range(3)
        ]
    assert all(run.result().returncode == 0 for run in runs)
    assert names(tmp_path) == [f"{number:05d}.png" for number in range(45)]


@pytest.mark.skipif(os.name != "posix", reason="fork")
@pytest.mark.parametrize("hard_links", [True, False])
def test_a_dozen_programs_that_are_interrupted_leave_no_gap(hard_links, tmp_path, monkeypatch):
    """Each is ended at some moment, half of them by Ctrl-C; what they have reported is there."""
    if not hard_links:

        def no_links(self, target):
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(Path, "hardlink_to", no_links)
    reader, writer = os.pipe()
    children = []
    for index in range(12):
        children.append(os.fork())
        if children[-1] == 0:
            with contextlib.suppress(BaseException):
                signal.signal(signal.SIGINT, signal.default_int_handler)
                for _ in range(200):
                    path = save_picture(Image.new("RGB", (8, 8), (index, 0, 0)), tmp_path, RECIPE)
                    os.write(writer, f"{path.name} {index}\n".encode())
            os._exit(0)
    os.close(writer)
    for index, child in enumerate(children):
        time.sleep(0.05)
        os.kill(child, signal.SIGKILL if index % 2 else signal.SIGINT)
    for child in children:
        os.waitpid(child, 0)
    with os.fdopen(reader) as file:
        reported = dict(line.split() for line in file)
    pictures = sorted(tmp_path.glob("*.png"))
    assert [path.name for path in pictures] == [f"{number:05d}.png" for number in range(len(pictures))]
    assert reported
    for name, index in reported.items():
        with Image.open(tmp_path / name) as picture:
            assert picture.getpixel((0, 0)) == (int(index), 0, 0)
