"""Scripts among other programs: streams that are closed, full or gone; Ctrl-C from the first moment on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sound_diffusion import streams
from sound_diffusion.errors import OutputError
from sound_diffusion.streams import Results, interruptible, prepare_streams

REPOSITORY = Path(__file__).parent.parent
PRINTER = """
import sys
from sound_diffusion.cli import run
from sound_diffusion.options import PictureOptions
def work(options):
    for number in range(3):
        open(options.outdir, "a").write(f"done {number}\\n")
        yield str(number)
    sys.stderr.write("a message\\n")
words = [word if word.startswith("--") else f"--outdir={word}" for word in sys.argv[1:]]
sys.exit(run(work, PictureOptions, "A script.", words))
"""

posix = pytest.mark.skipif(os.name != "posix", reason="shells of POSIX")


def in_shell(redirection, *words, code=PRINTER):
    """Run a small script with redirections of a shell."""
    command = f'exec "$@" {redirection}'
    return subprocess.run(
        ["bash", "-c", command, "bash", sys.executable, "-c", code, *map(str, words)],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        check=False,
    )


@posix
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-", ">&- 2>&-"])
def test_closed_streams_change_nothing_else(closed, tmp_path):
    done = in_shell(closed, tmp_path / "file")
    assert done.returncode == 0
    assert (tmp_path / "file").read_text() == "done 0\ndone 1\ndone 2\n"
    assert done.stdout == ("" if " >" in f" {closed}" else "0\n1\n2\n")
    assert done.stderr == ("" if "2>" in closed else "a message\n")


@posix
def test_errors_of_a_script_without_stderr_reach_no_file(tmp_path):
    done = subprocess.run(
        ["bash", "-c", 'exec "$@" 2>&-', "bash", sys.executable, "audio2img.py", "--prompt", "missing.wav"],
        capture_output=True,
        cwd=REPOSITORY,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, b"")


@posix
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_disk_behind_stdout_loses_no_work(tmp_path):
    done = in_shell(">/dev/full", tmp_path / "file")
    assert done.returncode == 1
    assert (tmp_path / "file").read_text() == "done 0\ndone 1\ndone 2\n"
    message, error = done.stderr.splitlines()
    assert message == "a message"
    assert "stdout cannot be written (No space left on device)" in error
    assert in_shell("2>/dev/full", tmp_path / "file").stdout == "0\n1\n2\n"
    help_ = in_shell(">/dev/full", "--help")
    assert (help_.returncode, len(help_.stderr.splitlines())) == (1, 1)


@posix
def test_a_reader_that_has_gone_ends_it_quietly(tmp_path):
    done = in_shell('| true; echo "${PIPESTATUS[0]}"', tmp_path / "file")
    # exec takes the whole pipeline's place in a subshell, whose status is the script's
    assert done.stdout.split() in (["141"], ["0"])  # 0: it was done before the reader had gone
    read, write = os.pipe()
    os.close(read)
    gone = subprocess.run(
        [sys.executable, "-c", PRINTER, str(tmp_path / "gone")],
        stdout=write,
        stderr=subprocess.PIPE,
        cwd=REPOSITORY,
        check=False,
    )
    os.close(write)
    assert (gone.returncode, gone.stderr) == (141, b"")
    assert (tmp_path / "gone").read_text() == "done 0\n"


def test_streams_that_are_missing_as_under_pythonw(monkeypatch):
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    prepare_streams()
    assert all(getattr(sys, name) is not None for name in ("stdin", "stdout", "stderr"))


def test_a_line_that_is_lost_is_told_at_the_end(monkeypatch):
    class Full:
        def write(self, text):
            raise OSError(28, "No space left on device")

        def flush(self):
            pass

    results = Results()
    results.check()
    monkeypatch.setattr(sys, "stdout", Full())
    results.write("a")
    results.write("b")
    with pytest.raises(OutputError, match="No space left"):
        results.check()


# --- Ctrl-C


@posix
@pytest.mark.parametrize(
    "module", ["argparse", "sound_diffusion.errors", "numpy._core.multiarray", "torch._C"]
)
def test_ctrl_c_while_modules_are_imported(module, sine_file, tiny_model_folder, tmp_path):
    """Python says on stderr which module it has just imported: then the signal comes."""
    words = ["--prompt", sine_file, "--model", tiny_model_folder, "--outdir", tmp_path / "out", "--quiet"]
    command = [sys.executable, "-X", "importtime", "audio2img.py", *map(str, words)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY
    ) as process:
        for line in process.stderr:
            if line.split("|")[-1].strip() == module:
                break
        process.send_signal(signal.SIGINT)
        rest = [line for line in process.stderr if not line.startswith("import time:")]
    assert process.returncode == 130
    assert "".join(rest).count("\n") <= 1
    assert not (tmp_path / "out").exists()


def test_the_first_ctrl_c_is_an_exception_and_the_second_the_end(monkeypatch):
    ends = []
    monkeypatch.setattr(streams.os, "_exit", ends.append)
    before = signal.getsignal(signal.SIGINT)
    with interruptible() as interruption:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert interruption.came
        assert ends == []
        with pytest.raises(KeyboardInterrupt):  # since the process does not end here
            signal.raise_signal(signal.SIGINT)
        assert ends == [130]
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_that_a_destructor_swallows_comes_again():
    class Destroyed:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt), interruptible():  # noqa: PT012
        thing = Destroyed()
        del thing
        for _ in range(500):
            time.sleep(0.01)


def test_a_process_that_ignores_ctrl_c_goes_on_ignoring_it():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruptible() as interruption:
            signal.raise_signal(signal.SIGINT)
        assert not interruption.came
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
