"""Results on disk: whole or not at all, numbered, and able to say how they were made."""

import contextlib
import errno
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from sound_diffusion import files
from sound_diffusion.errors import OutputError
from sound_diffusion.files import (
    check_place,
    make_folder,
    recipes_in,
    run_name,
    save_picture,
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
    for use, exit_code in ((make_folder, 1), (check_place, 2)):
        with pytest.raises(OutputError, match=r"cannot be written.*--outdir") as caught:
            use(tmp_path / "file" / "sub")
        assert caught.value.exit_code == exit_code
    with pytest.raises(OutputError), write_atomically(tmp_path / "file" / "a.bin"):
        pass


def test_check_place_makes_nothing(tmp_path):
    check_place(tmp_path / "a" / "b")
    check_place(tmp_path)
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
