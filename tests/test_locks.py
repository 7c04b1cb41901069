"""Two runs at once: one works, the other says so or waits; a dead one holds nothing."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import filelock
import pytest

from sound_diffusion import locks
from sound_diffusion.errors import RunFolderError
from sound_diffusion.locks import hold

HOLDER = """
import sys, time
from pathlib import Path
from sound_diffusion.locks import hold
with hold(Path(sys.argv[1]), wait=False):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Start another process that holds the folder, and return it."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parent.parent) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_the_second_says_who_is_at_work(holder, tmp_path):
    with pytest.raises(RunFolderError, match=rf"process {holder.pid} on .+ \(since .+--wait") as caught:  # noqa: SIM117
        with hold(tmp_path, wait=False):
            pass
    assert caught.value.exit_code == 2
    assert json.loads((tmp_path / ".lock").read_text())["pid"] == holder.pid


def test_a_process_that_was_killed_holds_nothing(holder, tmp_path):
    holder.send_signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
    holder.wait()
    assert (tmp_path / ".lock").exists()
    with hold(tmp_path, wait=False):
        assert json.loads((tmp_path / ".lock").read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_waiting_begins_when_the_other_is_done(holder, tmp_path):
    threading.Timer(0.3, holder.kill).start()
    began = time.monotonic()
    with hold(tmp_path, wait=True):
        assert time.monotonic() - began > 0.25
    assert list(tmp_path.iterdir()) == []


def test_a_lock_is_gone_after_an_error(tmp_path):
    with pytest.raises(KeyError), hold(tmp_path, wait=False):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_never_two_at_once(tmp_path):
    """Holders that remove the file race with those that have just opened it."""
    code = (
        "import os, sys; from pathlib import Path; from sound_diffusion.locks import hold\n"
        "folder = Path(sys.argv[1]); counter = folder / 'counter'\n"
        "for _ in range(40):\n"
        "    with hold(folder, wait=True, announce=False):\n"
        "        os.close(os.open(folder / 'inside', os.O_CREAT | os.O_EXCL))\n"
        "        counter.write_text(str(int(counter.read_text()) + 1))\n"
        "        (folder / 'inside').unlink()\n"
    )
    (tmp_path / "counter").write_text("0")
    command = [sys.executable, "-c", code.replace("sound_diffusion.locks import hold", "_fast import hold")]
    fast = "from sound_diffusion import locks; locks.POLL_SECONDS = 0.001; hold = locks.hold\n"
    (tmp_path / "_fast.py").write_text(fast)
    environment = os.environ | {"PYTHONPATH": f"{Path(__file__).parent.parent}{os.pathsep}{tmp_path}"}
    runs = [subprocess.Popen([*command, str(tmp_path)], env=environment) for _ in range(3)]
    assert [run.wait() for run in runs] == [0, 0, 0]
    assert (tmp_path / "counter").read_text() == "120"
    assert not (tmp_path / ".lock").exists()


def test_a_drive_without_locks_is_named_and_used(tmp_path, monkeypatch):
    def refuse(self):
        raise OSError(38, "Function not implemented")

    said = []
    monkeypatch.setattr(filelock.FileLock, "_acquire", refuse)
    monkeypatch.setattr(locks.logger, "warning", lambda text, *values: said.append(text % values))
    with hold(tmp_path, wait=False):
        pass
    assert len(said) == 1
    assert "cannot be locked" in said[0]
