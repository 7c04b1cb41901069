"""A browser that a test looks through: Debian's chromium, by the W3C's WebDriver protocol."""

import base64
import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

CHROMIUM, CHROMEDRIVER = shutil.which("chromium"), shutil.which("chromedriver")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    # Nothing goes to the network, not even a look-up of a name.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-sync",
    "--no-first-run",
    "--no-pings",
)
NO_CARD = ("--disable-gpu", "--disable-software-rasterizer")
SOFTWARE_CARD = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader")
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # by which the protocol refers to an element
PATIENCE = 60  # seconds; a busy machine takes its time


def why_not() -> str:
    """Say why there is no browser for the tests, "" where there is one."""
    if os.environ.get("CI"):
        return "no browser in CI"
    if not CHROMIUM or not CHROMEDRIVER:
        return "needs chromium and chromedriver: apt-get install chromium chromium-driver"
    return ""


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


class Browser:
    """One window of a browser of its own.

    Parameters
    ----------
    *flags : str
        Further flags of chromium: without a graphics card, or with one that the processor stands in for.
    """

    def __init__(self, *flags: str) -> None:
        port = free_port()
        self._driver = subprocess.Popen(
            [CHROMEDRIVER, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._url = f"http://127.0.0.1:{port}/session"
        capabilities = {
            "browserName": "chrome",
            "goog:chromeOptions": {"binary": CHROMIUM, "args": [*FLAGS, *flags]},
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        try:
            self._wait_for_driver(port)
            session = self._send("POST", "", {"capabilities": {"alwaysMatch": capabilities}})
        except BaseException:
            self._driver.kill()
            raise
        self._url += f"/{session['sessionId']}"

    def _wait_for_driver(self, port: int) -> None:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                return
            time.sleep(0.05)
        raise TimeoutError("chromedriver does not answer")

    def _send(self, method: str, path: str, body: dict | None = None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=2 * PATIENCE) as response:
                return json.load(response)["value"]
        except urllib.error.HTTPError as error:
            with error:
                raise RuntimeError(json.load(error)["value"]["message"]) from None

    def open(self, url: str) -> None:
        """Go to a page."""
        self._send("POST", "/url", {"url": url})

    def run(self, script: str, *arguments):
        """Return what a script returns; it may await."""
        body = f"return (async () => {{ {script} }}).apply(null, arguments)"
        return self._send("POST", "/execute/sync", {"script": body, "args": list(arguments)})

    def wait_for(self, expression: str, seconds: float = PATIENCE):
        """Wait until an expression of the page is true, and return it."""
        end = time.monotonic() + seconds
        while not (value := self.run(f"return {expression}")):
            assert time.monotonic() < end, f"{expression}: {self.run('return document.body.innerText')}"
            time.sleep(0.05)
        return value

    def _find(self, selector: str) -> str:
        return self._send("POST", "/element", {"using": "css selector", "value": selector})[ELEMENT]

    def click(self, selector: str) -> None:
        """Press with the pointer; fails where something else lies above."""
        self._send("POST", f"/element/{self._find(selector)}/click", {})

    def write(self, selector: str, text: str) -> None:
        """Type into a field, in the place of what is there."""
        element = self._find(selector)
        self._send("POST", f"/element/{element}/clear", {})
        self._send("POST", f"/element/{element}/value", {"text": text})

    def attach(self, selector: str, path: Path) -> None:
        """Choose a file."""
        self._send("POST", f"/element/{self._find(selector)}/value", {"text": str(path)})

    def choose(self, selector: str, value: str) -> None:
        """Choose what a select offers."""
        self.click(f"{selector} option[value={json.dumps(value)}]")

    def press(self, key: str) -> None:
        """Press a key of the keyboard."""
        strokes = [{"type": kind, "value": key} for kind in ("keyDown", "keyUp")]
        self._send("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": strokes}]})

    def resize(self, width: int, height: int, scale: float = 1) -> None:
        """Make the page so large, in CSS pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": False}
        self.command("Emulation.setDeviceMetricsOverride", **size)

    def command(self, name: str, **parameters):
        """Send a command of the DevTools protocol."""
        return self._send("POST", "/goog/cdp/execute", {"cmd": name, "params": parameters})

    def screenshot(self, path: Path) -> None:
        """Write what is seen to a PNG."""
        path.write_bytes(base64.b64decode(self._send("GET", "/screenshot")))

    def errors(self) -> list[str]:
        """Return the errors and warnings of the console since it was asked last."""
        entries = self._send("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] in ("SEVERE", "WARNING")]

    def close(self) -> None:
        """End the browser and its driver."""
        with contextlib.suppress(OSError, RuntimeError):
            self._send("DELETE", "")
        self._driver.terminate()
        self._driver.wait(PATIENCE)
