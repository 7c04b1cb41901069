"""What is seen on the page."""

import statistics
import time

import pytest
from PIL import Image

from tests.browser import SOFTWARE_CARD, Browser
from tests.live_page.waiting import PLAYING, needs_browser, wait_until

pytestmark = needs_browser


def test_full_screen(page):
    browser, _ = page
    browser.press("f")
    browser.wait_for("document.fullscreenElement !== null")
    browser.press("f")
    browser.wait_for("document.fullscreenElement === null")


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


def test_the_picture_is_saved(page, tmp_path):
    browser, _ = page
    browser.command("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    browser.click("#microphone")
    browser.wait_for(PLAYING)
    browser.press("p")
    wait_until(lambda: list(tmp_path.glob("sound-diffusion-*.jpg")))
    with Image.open(next(tmp_path.glob("*.jpg"))) as picture:
        assert picture.size == (64, 64)


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


def test_attacks_are_light_at_their_time(browser, serve, pulses_file):
    """With the embedded model: a pulse within the window makes a brighter picture than none."""
    browser.command("Page.addScriptToEvaluateOnNewDocument", source=LISTEN)
    served = serve("--model", "cymatics", "--strength", "1")
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
