"""The files of the page of audio2live, without a browser; tests/live_page has one."""

import json
import re

from sound_diffusion.live.server import PAGE
from sound_diffusion.live.settings import SETTINGS, choices


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
    text = (PAGE / "controls.js").read_text(encoding="utf-8")
    declared = re.findall(r'\{ name: "(\w+)"(.*)\},', text)
    assert {name for name, _ in declared} == {*SETTINGS, "preset"}
    assert {name for name, details in declared if "choice: true" in details} == set(choices())
    assert json.loads(json.dumps(choices())) == choices()
