"""The page of audio2live, in a real browser."""

import contextlib
import json
import math
import re
import shlex
import socket
import statistics
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image
from websockets.sync.client import connect

import audio2video
from sound_diffusion.cli import Parser
from sound_diffusion.constants import SAMPLE_RATE
from sound_diffusion.job import Job
from sound_diffusion.live.security import Access
from sound_diffusion.live.server import PAGE, listen, make_server, page_address
from sound_diffusion.live.session import Session
from sound_diffusion.live.settings import NAMES, shown
from sound_diffusion.options import LiveOptions
from sound_diffusion.options.films import SCHEDULED
from sound_diffusion.recipe import read_recipe
from tests.browser import NO_CARD, SOFTWARE_CARD, Browser, why_not

needs_browser = pytest.mark.skipif(bool(why_not()), reason=why_not())
OTHER_HOST = "painter.test"  # a name by which this machine goes in these tests; browsers do not trust it
PLAYING = "document.body.classList.contains('seen') && /a second.*ms/.test(readout.textContent)"


class Serving:
    """A server in a thread of its own."""

    def __init__(self, *words: str, host: str = "127.0.0.1", port: int = 0) -> None:
        options = Parser(LiveOptions).read([*words, "--host", host])
        access = Access.to(host)
        self._socket = listen(host, port)
        self.port = self._socket.getsockname()[1]
        self.url = page_address(self._socket, access)
        self.session = Session(Job.plan(options))
        self._server = make_server(self.session, access)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],))
        self._thread.start()

    @property
    def options(self) -> LiveOptions:
        return self.session.job.options

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(30)
        self.session._painter.join(30)  # it ends after the picture that it paints
        self._socket.close()
        assert not self._thread.is_alive()


@pytest.fixture(scope="module")
def pulses_file(tmp_path_factory) -> Path:
    """Noise that dies away within a third of a second, every two seconds, for a minute."""
    noise = np.random.default_rng(0).normal(0, 0.25, 2 * SAMPLE_RATE)
    pulse = np.clip(noise * np.exp(-np.arange(len(noise)) / (0.06 * SAMPLE_RATE)), -1, 1)
    path = tmp_path_factory.mktemp("sounds") / "pulses.wav"
    soundfile.write(path, np.tile(pulse, 30), SAMPLE_RATE)
    return path


@pytest.fixture(scope="module")
def window(pulses_file):
    """The browser of all tests. Its microphone hears the pulses."""
    browser = Browser(*NO_CARD, f"--use-file-for-fake-audio-capture={pulses_file}")
    yield browser
    browser.close()


@pytest.fixture
def browser(window):
    """The browser, at a size of its own; there is no error in its console when the test ends."""
    window.resize(900, 600)
    window.errors()
    yield window
    assert window.errors() == []


@pytest.fixture
def serve(tiny_model_folder, window, tmp_path):
    """Start servers of the tiny model."""
    with contextlib.ExitStack() as servers:

        def start(*words: str, **details) -> Serving:
            tiny = ("--model", str(tiny_model_folder), "--fps", "10", "--outdir", str(tmp_path / "live"))
            served = Serving(*tiny, *words, **details)
            servers.callback(served.close)
            return served

        yield start
        window.open("about:blank")  # before the server ends, of which the console would tell


@pytest.fixture
def page(browser, serve):
    """The page, opened, and its server."""
    served = serve()
    browser.open(served.url)
    return browser, served


@needs_browser
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


@needs_browser
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


@needs_browser
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


@needs_browser
def test_a_wrong_formula_has_its_error_beside_it_and_the_one_before_stays(page):
    browser, served = page
    browser.click("#adjust")
    browser.write("#set-gain", "1 + onst")
    error = browser.wait_for("document.getElementById('gain-why').textContent")
    assert "onst" in error
    assert "did you mean onset" in error
    assert browser.run("return document.getElementById('set-gain').getAttribute('aria-invalid')") == "true"
    assert served.options.gain == 1
    browser.write("#set-gain", "1 + onset")
    wait_until(lambda: text_of(served.options.gain) == "1 + onset")
    assert browser.wait_for("document.getElementById('gain-why').textContent === ''")


@needs_browser
def test_every_number_may_be_a_formula_and_has_its_error_beside_it(page):
    browser, served = page
    browser.click("#adjust")
    browser.wait_for("document.getElementById('set-seed_mode').options.length > 3")
    browser.choose("#set-seed_mode", "walk")
    browser.wait_for("document.getElementById('set-walk_rate').checkVisibility()")
    browser.run("document.querySelectorAll('#controls details').forEach((each) => (each.open = true))")
    for option, name in NAMES.items():
        if option in SCHEDULED and name in shown(served.options):
            browser.write(f"#set-{name}", "0.1*onst")
            error = browser.wait_for(f"document.getElementById('{name}-why').textContent")
            assert "did you mean onset" in error
            before = text_of(getattr(served.options, option))
            assert before != "0.1*onst"
            browser.write(f"#set-{name}", "0.9 + 0.1*onset")
            wait_until(lambda option=option: text_of(getattr(served.options, option)) == "0.9 + 0.1*onset")
            browser.wait_for(f"document.getElementById('{name}-why').textContent === ''")


@needs_browser
def test_settings_that_mean_nothing_now_are_not_shown(page):
    browser, served = page
    asked = "name => document.getElementById('set-' + name).checkVisibility()"
    seen = f"JSON.stringify(['walk_rate', 'loop_seconds'].filter({asked}))"
    browser.click("#adjust")
    browser.wait_for("document.getElementById('set-seed_mode').options.length > 3")
    browser.wait_for(f"{seen} === '[]'")
    browser.choose("#set-seed_mode", "circle")
    browser.wait_for(f"""{seen} === '["loop_seconds"]'""")
    assert served.options.loop_seconds == 30
    browser.choose("#set-seed_mode", "walk")
    browser.wait_for(f"""{seen} === '["walk_rate"]'""")
    browser.write("#set-walk_rate", "2*loudness")
    wait_until(lambda: text_of(served.options.walk_rate) == "2*loudness")
    browser.choose("#set-seed_mode", "fixed")
    browser.wait_for(f"{seen} === '[]'")
    assert served.options.walk_rate == 1
    browser.click("#microphone")
    browser.wait_for(PLAYING)  # what is told at the start is not refused
    complaints = "return [...document.querySelectorAll('.why')].map((each) => each.textContent).join('')"
    assert browser.run(complaints) == ""


@needs_browser
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


@needs_browser
def test_a_preset_shows_what_it_sets(page):
    browser, served = page
    browser.click("#adjust")
    browser.wait_for("document.getElementById('set-preset').options.length > 3")
    browser.choose("#set-preset", "pulse")
    browser.wait_for("document.getElementById('set-strength').value.includes('envelope')")
    assert served.options.preset == "pulse"
    assert "beat" in browser.run("return document.getElementById('preset-hint').textContent")


@needs_browser
@pytest.mark.parametrize("left", ["no JSON", '{"calm": "very", "between": 7}', "[1]", "null"])
def test_what_another_program_has_left_in_the_browser_hinders_nothing(page, left):
    browser, served = page
    look = (
        "JSON.stringify([document.getElementById('between').value, document.getElementById('calm').checked])"
    )
    browser.run("localStorage.setItem('sound-diffusion-look', arguments[0])", left)
    browser.open(served.url)
    assert browser.wait_for(look) == '["auto",false]'
    browser.press("q")
    browser.open(served.url)
    assert browser.wait_for(look) == '["auto",true]'
    browser.run("localStorage.clear()")


@needs_browser
def test_full_screen(page):
    browser, _ = page
    browser.press("f")
    browser.wait_for("document.fullscreenElement !== null")
    browser.press("f")
    browser.wait_for("document.fullscreenElement === null")


@needs_browser
@pytest.mark.parametrize("size", [(400, 700), (320, 480), (1600, 900)])
def test_everything_is_within_the_window(page, size):
    browser, _ = page
    browser.resize(*size)
    outside = """
    await new Promise(requestAnimationFrame);
    const all = document.querySelectorAll("#bar > *, .source, #panel:not([hidden]) :is(select, input)");
    const boxes = [...all].map((each) => [each.id, each.getBoundingClientRect()]);
    return boxes.filter(([, box]) => box.width && (box.left < 0 || box.right > innerWidth)).map(([id]) => id);
    """
    assert browser.run(outside) == []
    assert browser.run("return document.documentElement.scrollWidth") <= size[0]
    browser.click("#adjust")
    assert browser.run(outside) == []
    browser.click("#panel-close")
    browser.click("#ask")
    browser.wait_for("help.open")


@needs_browser
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


@needs_browser
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


@needs_browser
def test_a_file_that_is_none_is_named(page, tmp_path):
    browser, _ = page
    path = tmp_path / "letter.wav"
    path.write_text("no sound")
    browser.attach("#file-input", path)
    assert "cannot play letter.wav" in browser.wait_for("document.getElementById('file-why').textContent")


@needs_browser
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


@needs_browser
def test_a_page_that_watches_takes_over_when_the_one_that_is_heard_goes(browser, serve):
    served = serve("--watchers", "1")
    with connect(f"ws://127.0.0.1:{served.port}/ws"):
        browser.open(served.url)
        browser.wait_for("document.body.classList.contains('watching')")
        assert browser.run("return getComputedStyle(play).display") == "none"
    browser.wait_for("!document.body.classList.contains('watching')")
    browser.click("#microphone")
    browser.wait_for(PLAYING)


@needs_browser
def test_the_picture_is_saved(page, tmp_path):
    browser, _ = page
    browser.command("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    browser.click("#microphone")
    browser.wait_for(PLAYING)
    browser.press("p")
    wait_until(lambda: list(tmp_path.glob("sound-diffusion-*.jpg")))
    with Image.open(next(tmp_path.glob("*.jpg"))) as picture:
        assert picture.size == (64, 64)


@needs_browser
def test_a_hidden_page_decodes_nothing_and_then_the_newest(page):
    browser, _ = page
    browser.run("""
    window.decoded = 0;
    const decode = createImageBitmap;
    window.createImageBitmap = (...all) => { decoded++; return decode(...all); };
    """)
    browser.click("#microphone")
    browser.wait_for("decoded > 3")
    hide = """
    Object.defineProperty(document, "hidden", {{ value: {}, configurable: true }});
    document.dispatchEvent(new Event("visibilitychange"));
    """
    browser.run(hide.format("true"))
    time.sleep(0.3)
    before = browser.run("return decoded")
    time.sleep(1)
    assert browser.run("return decoded") == before
    browser.run(hide.format("false"))
    browser.wait_for(f"decoded > {before}")


@needs_browser
def test_where_motion_is_to_be_reduced_nothing_flashes(browser, serve):
    served = serve()
    browser.command(
        "Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}]
    )
    try:
        browser.open(served.url)
        assert browser.run("return calm.checked")
    finally:
        browser.command("Emulation.setEmulatedMedia", features=[])
    turns, seconds = browser.run("""
    const { View } = await import("./view.js");
    const parent = document.body.appendChild(document.createElement("div"));
    parent.style.cssText = "position: fixed; width: 64px; height: 64px";
    const view = new View(parent, () => {});
    view.setLook({ calm: true });
    const flat = async (color) => {
      const canvas = new OffscreenCanvas(16, 16), context = canvas.getContext("2d");
      context.fillStyle = color;
      context.fillRect(0, 0, 16, 16);
      return canvas.convertToBlob({ type: "image/jpeg" });
    };
    const [black, white] = [await flat("#000"), await flat("#fff")];
    const light = [];
    const eye = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    const began = performance.now();
    for (let i = 0; performance.now() - began < 4000; i++) {
      view.show({ blob: i % 2 ? white : black, clock: 0, index: i });
      await new Promise((resolve) => setTimeout(resolve, 60));
      eye.drawImage(view.canvas, 0, 0, 1, 1);
      light.push(eye.getImageData(0, 0, 1, 1).data[0]);
    }
    const steps = light.slice(1).map((value, i) => value - light[i]).filter((step) => step);
    const turns = steps.filter((step, i) => i && step * steps[i - 1] < 0);
    return [turns.length, (performance.now() - began) / 1000];
    """)
    assert 1 <= turns <= 2 * seconds + 1  # a flash is two turns, and three flashes a second are too many


@needs_browser
def test_what_moves_is_shown_on_its_way_between_two_pictures(serve):
    served = serve()
    browser = Browser(*SOFTWARE_CARD)
    try:
        browser.open(served.url)
        flow, fade = browser.run("""
        const { WebglRenderer } = await import("./webgl-renderer.js");
        const canvas = document.createElement("canvas");
        canvas.width = canvas.height = 128;
        const renderer = new WebglRenderer(canvas, true);
        const spot = (x, y) => {
          const picture = new OffscreenCanvas(64, 64), context = picture.getContext("2d");
          const light = context.createRadialGradient(x, y, 0, x, y, 10);
          light.addColorStop(0, "#fff");
          light.addColorStop(1, "#202020");
          context.fillStyle = light;
          context.fillRect(0, 0, 64, 64);
          return createImageBitmap(picture);
        };
        renderer.load(await spot(24, 20), 1, { flow: true });
        renderer.load(await spot(34, 20), 1, { flow: true });
        const row = (look) => {
          renderer.draw(0.5, look);
          const pixels = new Uint8Array(4 * 128);
          renderer.gl.readPixels(0, 127 - 40, 128, 1, renderer.gl.RGBA, renderer.gl.UNSIGNED_BYTE, pixels);
          return [...pixels].filter((_, i) => i % 4 === 0);
        };
        return [row({ flow: true }), row({ flow: false })];
        """)
    finally:
        browser.close()
    assert max(flow) > 230  # one spot, as bright as before
    assert abs(flow.index(max(flow)) - 2 * 29) <= 3  # half-way
    assert max(fade) < 170  # two of half the light


@needs_browser
def test_attacks_are_light_at_their_time(browser, pulses_file):
    """With the embedded model: a pulse within the window makes a brighter picture than none."""
    browser.command("Page.addScriptToEvaluateOnNewDocument", source=LISTEN)
    served = Serving("--model", "cymatics", "--strength", "1", "--fps", "10")
    try:
        browser.open(served.url)
        browser.attach("#file-input", pulses_file)
        loud, silent = [], []
        end = time.monotonic() + 120
        while min(len(loud), len(silent)) < 4 and time.monotonic() < end:
            time.sleep(0.5)
            heard, pictures = browser.run("return [heard, pictures]")
            loud, silent = sort_pictures(heard, pictures, float(served.options.window or 0.75))
        assert min(loud) > max(silent), (loud, silent)
        assert statistics.median(loud) > 2 * statistics.median(silent)
    finally:
        browser.open("about:blank")
        served.close()


# What goes to the server, as (clock, peak), and what comes from it, as (clock, mean light).
LISTEN = """
window.heard = [];
window.pictures = [];
const { send } = WebSocket.prototype;
WebSocket.prototype.send = function (message) {
  if (message instanceof ArrayBuffer) {
    const samples = new Float32Array(message, 8);
    heard.push([new DataView(message).getFloat64(0, true), Math.max(...samples)]);
  }
  send.call(this, message);
};
const light = async (data) => {
  const picture = await createImageBitmap(new Blob([new Uint8Array(data, 24)]));
  const context = new OffscreenCanvas(64, 64).getContext("2d");
  context.drawImage(picture, 0, 0, 64, 64);
  const pixels = context.getImageData(0, 0, 64, 64).data;
  const mean = pixels.reduce((sum, value) => sum + value, 0) / pixels.length - 255 / 4; // without the alpha
  pictures.push([new DataView(data).getFloat64(0, true), mean]);
};
const Socket = WebSocket;
window.WebSocket = class extends Socket {
  constructor(...all) {
    super(...all);
    this.addEventListener("message", ({ data }) => data instanceof ArrayBuffer && light(data));
  }
};
"""


def sort_pictures(heard, pictures, window: float) -> tuple[list[float], list[float]]:
    """Return the light of pictures that heard the beginning of a pulse, and of those that heard nothing."""
    attacks = [clock for clock, peak in heard if peak > 0.3]
    loud, silent = [], []
    for clock, light in pictures:
        if any(clock - window + 0.1 < attack < clock - 0.1 for attack in attacks):
            loud.append(light)
        elif not any(peak > 0.003 for at, peak in heard if clock - window - 0.1 < at < clock + 0.05):
            silent.append(light)
    return loud, silent


def text_of(schedule) -> str:
    return getattr(schedule, "text", str(schedule))


def wait_until(is_so, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_page_takes_nothing_from_another_host():
    for path in PAGE.iterdir():
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"(src|href|import|url|fetch|from)\W{1,3}(https?:)?//", text), path.name
        assert not re.search(r"\son\w+=|\sstyle=|<script(?! type=\"module\" src)", text), path.name


def test_what_the_page_imports_is_there():
    for path in PAGE.glob("*.js"):
        for name in re.findall(
            r'from "\./([\w-]+\.js)"|addModule\("([\w-]+\.js)"\)', path.read_text(encoding="utf-8")
        ):
            assert (PAGE / "".join(name)).is_file(), (path.name, name)


def test_every_control_is_a_setting_of_the_program():
    from sound_diffusion.live.settings import SETTINGS, choices

    text = (PAGE / "controls.js").read_text(encoding="utf-8")
    declared = re.findall(r'\{ name: "(\w+)"(.*)\},', text)
    assert {name for name, _ in declared} == {*SETTINGS, "preset"}
    assert {name for name, details in declared if "choice: true" in details} == set(choices())
    assert json.loads(json.dumps(choices())) == choices()
