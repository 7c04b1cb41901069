"""audio2img as a process of its own: what it imports, and its streams until Ctrl-C."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


SCRIPT = ROOT / "audio2img.py"


def start(*words, python=()):
    command = [sys.executable, *python, SCRIPT, *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def process(*words, python=()):
    child = start(*words, python=python)
    out, err = child.communicate(timeout=300)
    return child.returncode, out, err


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["--prompt", "missing.wav"],
        ["--prompt", "TEXT"],
        ["--prompt", "GOOD", "--H", "65"],
        ["--prompt", "GOOD", "--model", "nothing"],
        ["--prompt", "GOOD", "--offset", "9"],
    ],
)
def test_help_and_errors_come_before_torch_is_imported(words, sine_file, tiny_model_folder, tmp_path):
    (tmp_path / "text.wav").write_bytes(b"no sound")
    names = {"TEXT": tmp_path / "text.wav", "GOOD": sine_file}
    where = ["--model", tiny_model_folder, "--outdir", tmp_path / "out"]
    code, out, err = process(*where, *(names.get(word, word) for word in words), python=["-X", "importtime"])
    imported = {
        line.rsplit("|", 1)[1].strip() for line in err.splitlines() if line.startswith("import time:")
    }
    assert not imported & {"torch", "diffusers", "transformers", "librosa", "matplotlib"}
    assert "sound_diffusion.cli" in imported
    rest = [line for line in err.splitlines() if not line.startswith("import time:")]
    if words == ["--help"]:
        assert (code, rest) == (0, [])
        assert "--feature" in out
    else:
        assert (code, out, len(rest)) == (2, "", 1)
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_stdout_and_stderr_are_clean_until_ctrl_c(sine_file, tiny_model_folder, tmp_path):
    where = ["--model", tiny_model_folder, "--outdir", tmp_path / "out", "--device", "cpu"]
    words = ["--feature", "melspectrogram", "--plot", "--n_iter", 100_000, "--skip_grid"]
    # A job in the background of a shell ignores Ctrl-C, and so do its children unless told otherwise.
    heard = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        child = start("--prompt", sine_file, *words, *where)
    finally:
        signal.signal(signal.SIGINT, heard)
    try:
        first = [child.stdout.readline().strip() for _ in range(2)]
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=120)
    finally:
        child.kill()
    folder = tmp_path / "out" / "sine"
    assert child.returncode == 130
    assert first == [str(folder / "00000.png"), str(folder / "plot-00000.png")]
    assert all(Path(line).is_relative_to(folder) for line in out.splitlines())
    *bars, last = [line for line in re.split(r"[\r\n]+", err) if line.strip()]
    assert last == "audio2img.py: error: interrupted"
    assert bars
    assert all("step" in line and "/400000" in line for line in bars), err
    assert all(re.fullmatch(r"(plot-)?\d{5}\.png", path.name) for path in folder.iterdir())
