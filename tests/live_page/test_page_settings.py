"""What is set on the page."""

import pytest

from sound_diffusion.live.settings import NAMES, shown
from sound_diffusion.options.films import SCHEDULED
from tests.live_page.waiting import PLAYING, needs_browser, text_of, wait_until

pytestmark = needs_browser


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


def test_a_preset_shows_what_it_sets(page):
    browser, served = page
    browser.click("#adjust")
    browser.wait_for("document.getElementById('set-preset').options.length > 3")
    browser.choose("#set-preset", "pulse")
    browser.wait_for("document.getElementById('set-strength').value.includes('envelope')")
    assert served.options.preset == "pulse"
    assert "beat" in browser.run("return document.getElementById('preset-hint').textContent")


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
