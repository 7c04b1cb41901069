"""What the page is heard by, and who is heard."""

import math
import shlex
import socket
import time
from pathlib import Path

import pytest
import soundfile
from websockets.sync.client import connect

import audio2video
from sound_diffusion.recipe import read_recipe
from tests.browser import NO_CARD, Browser
from tests.live_page.waiting import PLAYING, needs_browser, text_of, wait_until

pytestmark = needs_browser
OTHER_HOST = "painter.test"  # a name by which this machine goes here; browsers do not trust it


def test_a_file_is_heard_and_painted(page, pulses_file):
    browser, _ = page
    browser.attach("#file-input", pulses_file)
    browser.wait_for(PLAYING)
    assert (
        browser.run("return document.getElementById('status-text').textContent") == "Listening to pulses.wav"
    )
    browser.wait_for("Number(level.getAttribute('aria-valuenow')) > -50")
    colors = browser.run("""
    const canvas = document.querySelector("canvas");
    return new Set(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data).size;
    """)
    assert colors > 16  # a picture is on it


def test_a_microphone_is_stopped_and_started_again_by_a_key(page):
    browser, served = page
    browser.click("#microphone")
    browser.wait_for(PLAYING)
    browser.press(" ")
    browser.wait_for("play.getAttribute('aria-pressed') === 'false'")
    browser.wait_for("readout.textContent === ''")
    wait_until(lambda: served.session._take is None)
    browser.press(" ")
    browser.wait_for(PLAYING)
    assert served.session._take is not None


def test_the_page_goes_on_with_a_program_that_was_started_anew(page, serve):
    browser, served = page
    browser.click("#microphone")
    browser.wait_for(PLAYING)
    browser.click("#adjust")
    browser.write("#set-strength", "0.2 + 0.5*onset")
    wait_until(lambda: text_of(served.options.strength) == "0.2 + 0.5*onset")
    served.close()
    browser.wait_for("document.getElementById('status').classList.contains('trouble')")
    again = serve(port=served.port)
    browser.wait_for(PLAYING)
    wait_until(lambda: text_of(again.options.strength) == "0.2 + 0.5*onset")
    browser.wait_for("!document.getElementById('status').classList.contains('trouble')")
    assert all("WebSocket" in line for line in browser.errors())  # of the time between


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("NotAllowedError", "may not use"),
        ("NotFoundError", "No microphone"),
        ("NotReadableError", "Another program"),
    ],
)
def test_why_there_is_no_microphone(page, error, told):
    browser, _ = page
    browser.run(
        f"navigator.mediaDevices.getUserMedia = async () => {{ throw new DOMException('', '{error}') }}"
    )
    browser.click("#microphone")
    assert told in browser.wait_for("document.getElementById('microphone-why').textContent")
    assert browser.run("return document.activeElement.id") == "file"


def test_a_page_from_another_machine_by_http_says_so_and_plays_files(serve, pulses_file, monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: OTHER_HOST)
    served = serve(host="0.0.0.0")
    browser = Browser(
        *NO_CARD, f"--host-resolver-rules=MAP {OTHER_HOST} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    )
    try:
        assert f"http://{OTHER_HOST}:{served.port}/?token=" in served.url
        browser.open(served.url)
        assert not browser.run("return isSecureContext")
        assert "plain http" in browser.wait_for("document.getElementById('microphone-why').textContent")
        assert browser.run("return microphone.disabled && share.disabled")
        browser.attach("#file-input", pulses_file)
        browser.wait_for(PLAYING)
        expected = ("ScriptProcessor", "Cross-Origin-Opener-Policy")  # what browsers say of plain http
        assert [line for line in browser.errors() if not any(each in line for each in expected)] == []
    finally:
        browser.close()


def test_a_file_that_is_none_is_named(page, tmp_path):
    browser, _ = page
    path = tmp_path / "letter.wav"
    path.write_text("no sound")
    browser.attach("#file-input", path)
    assert "cannot play letter.wav" in browser.wait_for("document.getElementById('file-why').textContent")


def test_a_second_page_is_told_so_and_may_try_again(browser, serve):
    served = serve()
    with connect(f"ws://127.0.0.1:{served.port}/ws"):
        browser.open(served.url)
        browser.wait_for(
            "document.getElementById('status-text').textContent.includes('another page is open')"
        )
    wait_until(lambda: served.session._clients.painter is None)
    browser.click("#retry")
    browser.wait_for("!document.getElementById('status').classList.contains('trouble')")


def test_a_page_that_watches_takes_over_when_the_one_that_is_heard_goes(browser, serve):
    served = serve("--watchers", "1")
    with connect(f"ws://127.0.0.1:{served.port}/ws"):
        browser.open(served.url)
        browser.wait_for("document.body.classList.contains('watching')")
        assert browser.run("return getComputedStyle(play).display") == "none"
    browser.wait_for("!document.body.classList.contains('watching')")
    browser.click("#microphone")
    browser.wait_for(PLAYING)


def test_what_is_recorded_becomes_a_film_by_the_command_that_is_shown(page, tmp_path):
    browser, served = page
    browser.click("#microphone")
    browser.wait_for(PLAYING)
    browser.click("#adjust")
    browser.click("#record")
    browser.wait_for("record.getAttribute('aria-pressed') === 'true'")
    browser.wait_for("/^0:0[1-9]/.test(readout.textContent)")
    browser.write("#set-strength", "0.5 + 0.2*onset")
    wait_until(lambda: text_of(served.options.strength) == "0.5 + 0.2*onset")
    time.sleep(1)
    browser.click("#record")
    browser.wait_for("document.getElementById('take-what').textContent.includes('.mp4')")
    command = browser.run("return document.getElementById('take-command').value")
    [folder] = served.options.outdir.iterdir()
    sound = folder / f"{folder.name}.flac"
    seconds = soundfile.info(sound).duration
    assert 2 < seconds < 30
    assert read_recipe(next((folder / "frames").iterdir()))["strength"] in (0.4, "0.5 + 0.2*onset")
    assert f"--path {sound}" in command
    python, script, *words = shlex.split(command)
    assert (Path(python).name, script) == ("python", "audio2video.py")
    assert audio2video.main([*words, "--outdir", str(tmp_path / "film"), "--quiet"]) == 0
    film = next((tmp_path / "film").rglob("*.mp4"))
    assert len(list((tmp_path / "film").rglob("frames/*.png"))) == math.ceil(seconds * served.options.fps)
    assert film.stat().st_size > 1000
