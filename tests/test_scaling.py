"""Several processes at one work: the bytes are those of one, whoever dies and whoever comes twice."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import soundfile

import audio2img
import audio2video
from sound_diffusion.constants import SAMPLE_RATE
from sound_diffusion.film import run as film_run
from sound_diffusion.film import run_folder, video
from sound_diffusion.locks import hold

REPOSITORY = Path(__file__).parent.parent
CUTS = ("--fps", "12", "--strength", "0:(0.5), 3:(1), 4:(0.5), 6:(1), 7:(0.5)")


@pytest.fixture
def film(tiny_model_folder, sound, tmp_path, capsys):
    """Return a function that runs audio2video and returns exit status, stdout and the lines of stderr."""

    def run(*flags, outdir="out", path=sound):
        where = ["--model", str(tiny_model_folder), "--device", "cpu", "--outdir", str(tmp_path / outdir)]
        capsys.readouterr()
        code = audio2video.main(["--path", str(path), *where, *map(str, flags)])
        captured = capsys.readouterr()
        return code, captured.out.splitlines(), [line for line in captured.err.splitlines() if ": " in line]

    return run


def files_of(folder):
    """Return the bytes of all files of a folder by their paths, but for what names its time."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def frames_and_film(folder):
    names = files_of(folder)
    own = ("noise.png", "manifest.json")  # with the time of the plot, and the path of the film
    return {name: data for name, data in names.items() if not name.endswith(own)}


@pytest.mark.parametrize("flags", [CUTS, ("--fps", "15", "--mode", "txt2img", "--batch-size", "2")])
def test_shards_make_the_film_of_one_process(flags, film, tmp_path):
    assert film(*flags, outdir="one")[0] == 0
    path = str(tmp_path / "out" / "noise" / "noise.mp4")
    code, out, err = film(*flags, "--shard", "2/2")
    assert (code, out) == (0, [])
    assert any("frames are left to other shards" in line for line in err)
    assert not Path(path).exists()
    assert film(*flags, "--shard", "1/2")[:2] == (0, [path])
    assert frames_and_film(tmp_path / "out") == frames_and_film(tmp_path / "one")
    assert film(*flags, "--shard", "2/2")[:2] == (0, [path])  # it is there


def test_whoever_comes_first_encodes_what_is_there(film, tmp_path, monkeypatch):
    monkeypatch.setattr(video, "CHUNK", 2)
    monkeypatch.setattr(run_folder, "CHUNK", 2)
    assert film(*CUTS, outdir="one")[0] == 0
    chunks = tmp_path / "out" / "noise" / "chunks"
    assert film(*CUTS, "--shard", "1/2", "--quiet")[0] == 0
    there = {path.name: path.stat().st_mtime_ns for path in chunks.iterdir()}
    assert 0 < len(there) < 5
    monkeypatch.setattr(film_run.RunFolder, "finish", lambda *_: None)  # what would remove them
    assert film(*CUTS, "--shard", "2/2", "--quiet")[0] == 0
    assert {name: (chunks / name).stat().st_mtime_ns for name in there} == there
    assert (
        frames_and_film(tmp_path / "out")["noise/noise.mp4"]
        == frames_and_film(tmp_path / "one")["noise/noise.mp4"]
    )


def test_frames_that_are_painted_again_are_encoded_again(film, tmp_path, monkeypatch):
    monkeypatch.setattr(video, "CHUNK", 2)
    monkeypatch.setattr(run_folder, "CHUNK", 2)
    assert film(*CUTS, outdir="one")[0] == 0
    assert film(*CUTS, "--shard", "1/2", "--quiet")[0] == 0
    folder = tmp_path / "out" / "noise"
    painted = min((folder / "frames").iterdir())
    first = folder / "chunks" / f"{int(painted.stem) // 2:05d}-libx264.mp4"
    first.write_bytes(b"of other frames")
    painted.unlink()
    for shard in ("1/2", "2/2"):
        assert film(*CUTS, "--shard", shard, "--quiet")[0] == 0
    assert frames_and_film(tmp_path / "out") == frames_and_film(tmp_path / "one")


def test_kept_colours_are_those_of_the_first_frame_in_every_shard(film, tmp_path):
    flags = (*CUTS, "--color-coherence", "LAB")
    assert film(*flags, outdir="one")[0] == 0
    assert [film(*flags, "--shard", f"{i}/3", "--quiet")[0] for i in (3, 2, 1)] == [0, 0, 0]
    assert frames_and_film(tmp_path / "out") == frames_and_film(tmp_path / "one")


def test_a_film_without_a_cut_is_one_share(film, tmp_path):
    assert film("--fps", 5, "--shard", "2/2", "--quiet")[:2] == (0, [])
    assert film("--fps", 5, "--shard", "1/2", "--quiet")[1] == [str(tmp_path / "out" / "noise" / "noise.mp4")]


def test_frames_that_are_not_kept_do_not_come_back(film, tmp_path):
    flags = (*CUTS, "--no-keep-frames")
    for i in (1, 2, 1, 2):
        assert film(*flags, "--shard", f"{i}/2", "--quiet")[0] == 0
    assert not (tmp_path / "out" / "noise" / "frames").exists()


def test_the_same_share_twice_is_refused(film, tmp_path, monkeypatch):
    folder = tmp_path / "out" / "noise"
    folder.mkdir(parents=True)
    with hold(folder, wait=False, name=".lock-1-of-2"):
        for shard in ("1/2", "1/3", "1/1"):
            code, out, err = film("--fps", 5, "--shard", shard, "--quiet")
            assert (code, out, len(err)) == (2, [], 1)
            assert f"process {os.getpid()} on " in err[0]
        assert film("--fps", 5, "--shard", "2/2", "--quiet")[0] == 0
    assert not list(folder.glob(".lock*"))


def test_force_clears_nothing_under_another_shard_at_work(film, tmp_path):
    assert film(*CUTS, "--shard", "1/2", "--quiet")[0] == 0
    folder = tmp_path / "out" / "noise"
    before = files_of(folder)
    with hold(folder, wait=False, name=".lock-1-of-2"):
        other = (*CUTS, "--seed", 7, "--shard", "2/2", "--quiet")
        assert "holds another film" in film(*other)[2][0]
        assert "is at work there" in film(*other, "--force")[2][0]
        assert {name: data for name, data in files_of(folder).items() if ".lock" not in name} == before
    assert film(*other, "--force")[0] == 0
    assert film(*CUTS, "--seed", 7, "--shard", "1/2", "--quiet", "--force")[0] == 0
    assert film(*CUTS, "--seed", 7, "--quiet", outdir="one")[0] == 0
    assert frames_and_film(folder.parent) == frames_and_film(tmp_path / "one")


def test_a_film_that_another_has_put_together_meanwhile_is_not_made_again(film, tmp_path, monkeypatch):
    encodings, late = [], []
    encode = film_run.encode_film
    monkeypatch.setattr(film_run, "encode_film", lambda *args: (encodings.append(1), encode(*args)))
    paint = film_run.FilmRun.paint

    def paint_and_be_late(self, bar):
        paint(self, bar)
        if not late:
            late.append(1)
            assert film(*CUTS, "--shard", "2/2", "--quiet")[0] == 0

    monkeypatch.setattr(film_run.FilmRun, "paint", paint_and_be_late)
    assert film(*CUTS, "--shard", "1/2", "--quiet")[:2] == (0, [])
    assert len(encodings) == 1


def test_pictures_are_divided_by_their_folders(tiny_model_folder, tmp_path, rng, capsys):
    paths = []
    for name in ("a/bell.wav", "b/Bell.wav", "a/drum.wav"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, rng.uniform(-0.5, 0.5, 9_000), SAMPLE_RATE)
        paths.append(str(path))

    def paint(outdir, *flags):
        capsys.readouterr()
        words = ["--prompt", *paths, "--model", str(tiny_model_folder), "--device", "cpu", "--n_iter", "2"]
        assert audio2img.main([*words, "--quiet", "--outdir", str(tmp_path / outdir), *flags]) == 0
        return capsys.readouterr().out.splitlines()

    one = paint("one")
    shards = [paint("out", "--shard", f"{i}/3") for i in (3, 2, 1)]
    assert [len(lines) for lines in shards] == [0, 3, 6]
    assert files_of(tmp_path / "out") == files_of(tmp_path / "one")
    assert sorted(line.replace("/out/", "/one/") for lines in shards for line in lines) == sorted(one)
    assert paint("out", "--shard", "1/3", "--skip-existing") == []


def launch(script, *words, n=2):
    """Start a script in processes, as torchrun and accelerate launch do."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(n)}
    return [
        subprocess.Popen(
            [sys.executable, script, *map(str, words), "--device", "cpu"],
            cwd=REPOSITORY,
            env=environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(n)
    ]


def test_launched_processes_share_a_film_and_say_everything_once(film, sound, tiny_model_folder, tmp_path):
    missing = tmp_path / "missing.wav"
    assert film(*CUTS, "--quiet", outdir="one")[0] == 0
    words = ["--path", sound, missing, *CUTS, "--model", tiny_model_folder, "--outdir", tmp_path / "out"]
    processes = launch("audio2video.py", *words)
    outputs = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [2, 2]
    film_path = tmp_path / "out" / "noise" / "noise.mp4"
    assert "".join(out for out, _ in outputs) == f"{film_path}\n"
    said = "".join(err for _, err in outputs)
    assert said.count("error: ") == 1
    assert said.count("missing.wav") == 1
    assert "frame" in outputs[0][1]
    assert "frame/s" not in outputs[1][1]
    assert frames_and_film(tmp_path / "out") == frames_and_film(tmp_path / "one")


def test_a_shard_that_is_killed_loses_nothing(film, sound, tiny_model_folder, tmp_path):
    flags = ("--fps", "24", "--strength", "where(t%5 < 1, 1, 0.5)", "--quiet")
    assert film(*flags, outdir="one")[0] == 0
    folder = tmp_path / "out" / "noise"
    words = ["--path", sound, "--model", tiny_model_folder, "--outdir", tmp_path / "out", "--device", "cpu"]
    command = [sys.executable, "audio2video.py", *map(str, words), *flags, "--shard", "1/2"]
    killed = subprocess.Popen(command, cwd=REPOSITORY)
    while len(list(folder.glob("frames/*.png"))) < 4:
        assert killed.poll() is None
        time.sleep(0.001)
    killed.send_signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
    killed.wait()
    assert film(*flags, "--shard", "2/2")[:2] == (0, [])
    assert film(*flags, "--shard", "1/2")[:2] == (0, [str(folder / "noise.mp4")])
    assert frames_and_film(tmp_path / "out") == frames_and_film(tmp_path / "one")
    assert json.loads((folder / "manifest.json").read_text())["film"]["audio"] is True
