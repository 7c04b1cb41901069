"""Schedules: Deforum's strings have Deforum's numbers, and any other text is a number a frame or one line."""

import io
import itertools
import math
import re
import time
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sound_diffusion.errors import ParameterError
from sound_diffusion.film.description import export_schedule, write_table
from sound_diffusion.formulas.functions import FUNCTIONS
from sound_diffusion.formulas.positions import parse_position
from sound_diffusion.formulas.schedules import Limits, parse_schedule
from sound_diffusion.formulas.variables import Variables, read_series

N_FRAMES, FPS = 120, Fraction(12)
SHARE = Limits(0, 1)


@pytest.fixture(scope="module")
def variables():
    """Ten seconds with a pulse at 120 beats a minute from 0.25 s on."""
    rng = np.random.default_rng(0)
    names = ("onset", "loudness", "low")
    descriptors = {name: rng.random(N_FRAMES) for name in names} | {"ramp": np.linspace(0, 1, N_FRAMES)}
    return Variables(N_FRAMES, FPS, descriptors, lambda: np.arange(0.25, 9, 0.5), seed=42)


def evaluate(text, variables, **limits):
    return parse_schedule(text, "--zoom", Limits(**limits)).evaluate(variables)


def deforum(keys, n_frames):
    """Follow Deforum's get_inbetweens frame by frame; formulas are Python functions of t."""
    series, value = [math.nan] * n_frames, None
    for frame in range(n_frames):
        if frame in keys:
            value = keys[frame]
            if not callable(value):
                series[frame] = value
        if callable(value):
            series[frame] = value(frame)
    known = [frame for frame in range(n_frames) if not math.isnan(series[frame])]
    series[0], series[-1] = series[known[0]], series[known[-1]]
    known = [frame for frame in range(n_frames) if not math.isnan(series[frame])]
    for left, right in itertools.pairwise(known):
        for frame in range(left, right):
            series[frame] = series[left] + (frame - left) / (right - left) * (series[right] - series[left])
    return series


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("0:(0.65), 30:(0.8)", {0: 0.65, 30: 0.8}),
        ("0:(1.04)", {0: 1.04}),
        ("0: (0), 20: (-3.5), 40:(+2.), 119:(.5)", {0: 0, 20: -3.5, 40: 2, 119: 0.5}),
        ("20:(1), 40:(2)", {20: 1, 40: 2}),
        ("0:(sin(2*3.14*t/30))", {0: lambda t: math.sin(2 * 3.14 * t / 30)}),
        ("0:(0.5), 30:(t/100), 60:(1)", {0: 0.5, 30: lambda t: t / 100, 60: 1}),
        (
            "0:(t%20), 50:(2*t), 70:(1-t**2)",
            {0: lambda t: t % 20, 50: lambda t: 2 * t, 70: lambda t: 1 - t**2},
        ),
        (
            "0:(where(cos(6.28*t/20)>0, 1.02, 0.98))",
            {0: lambda t: 1.02 if math.cos(6.28 * t / 20) > 0 else 0.98},
        ),
        (
            "0:(-1.5*(1-((t/120)-1)**2)**0.5 + abs(sin(t)))",
            {0: lambda t: -1.5 * (1 - ((t / 120) - 1) ** 2) ** 0.5 + abs(math.sin(t))},
        ),
        ("0:((t>10) & (t<20))", {0: lambda t: float(10 < t < 20)}),
        ("0:(0), max_f/2:(1)", {0: 0, 60: 1}),
    ],
)
def test_deforums_strings_have_deforums_numbers(text, keys, variables):
    np.testing.assert_allclose(evaluate(text, variables), deforum(keys, N_FRAMES), atol=1e-12)


@pytest.mark.parametrize("text", ["0.4", " 0.4 ", "(0.4)", "0:(0.4)", "0.1 + 0.3", "0.8*0.5", "4e-1", "+.4"])
def test_a_constant_is_the_number(text, variables):
    assert (evaluate(text, variables) == 0.4).all()


def test_a_number_is_known_without_a_film():
    assert parse_schedule("0.4", "--strength").constant == 0.4
    assert parse_schedule("0:(0.4)", "--strength").constant == 0.4
    assert parse_schedule("0.4*onset", "--strength").constant is None
    assert parse_schedule("0:(0.4), 3:(1)", "--strength").constant is None


def test_names_are_known_without_a_film():
    schedule = parse_schedule("0:(onset), 8b:(smooth(t, 1))", "--gain")
    assert schedule.names == {"onset", "t", "beats"}
    schedule.check_names(["onset", "t", "beats"])
    with pytest.raises(ParameterError, match=r"--gain .*unknown variable 'onset'.*did you mean onsets"):
        schedule.check_names(["onsets", "t", "beats"])


def test_keys_in_frames_seconds_and_beats(variables):
    values = evaluate("0:(0), 2.5s:(1), 8b:(2), 60:(3)", variables)
    at = {0: 0, 30: 1, 51: 2, 60: 3, 119: 3}  # beat 8 is at 4.25 s
    np.testing.assert_allclose(values[list(at)], list(at.values()))
    assert np.interp(40, [30, 51], [1, 2]) == pytest.approx(values[40])


def test_keys_between_frames_lose_nothing(variables):
    np.testing.assert_allclose(evaluate("0:(0), 0.2s:(1)", variables)[:4], [0, 1 / 2.4, 2 / 2.4, 1])


def test_a_formula_holds_from_its_key_to_the_next(variables):
    values = evaluate("0:(0), 1.01s:(ramp), 2s:(5)", variables)
    np.testing.assert_array_equal(values[13:24], variables["ramp"][13:24])
    assert (values[24:] == 5).all()
    assert values[6] == pytest.approx(6 / 12.12 * variables["ramp"][13])


def test_keys_past_the_end_are_aimed_at(variables):
    np.testing.assert_allclose(evaluate("0:(0), 240:(1)", variables)[-1], 119 / 240)


def test_beats_are_real_numbers_that_go_on_at_both_ends(variables):
    beats = evaluate("beats", variables)
    np.testing.assert_allclose(beats, (np.arange(N_FRAMES) / 12 - 0.25) * 2, atol=1e-9)


def test_time_variables(variables):
    np.testing.assert_array_equal(evaluate("t", variables), np.arange(N_FRAMES))
    np.testing.assert_allclose(evaluate("seconds", variables), np.arange(N_FRAMES) / 12)
    assert (evaluate("max_f", variables) == N_FRAMES).all()
    assert (evaluate("s", variables) == 42).all()


class TestFunctions:
    @pytest.mark.parametrize("name", sorted(set(FUNCTIONS) & set(dir(np)) - {"min", "max", "gate", "where"}))
    def test_of_numbers_are_numpys(self, name, variables):
        arguments = ["loudness", "low", "0.9"][: FUNCTIONS[name].fewest]
        values = [variables["loudness"], variables["low"], np.full(N_FRAMES, 0.9)][: len(arguments)]
        expected = getattr(np, name)(*values)
        np.testing.assert_array_equal(evaluate(f"{name}({', '.join(arguments)})", variables), expected)

    def test_min_and_max(self, variables):
        pair = [variables["loudness"], variables["low"]]
        np.testing.assert_array_equal(evaluate("min(loudness, low)", variables), np.min(pair, axis=0))
        np.testing.assert_array_equal(
            evaluate("max(loudness, low, 0.5)", variables), np.maximum(np.max(pair, 0), 0.5)
        )

    def test_smooth_goes_63_percent_of_the_way(self, variables):
        step = evaluate("smooth(t >= 12, 2)", variables)
        assert not step[:12].any()
        assert step[12 + 23] == pytest.approx(1 - math.exp(-1), abs=1e-9)

    def test_envelope_rises_and_falls_at_its_own_pace(self, variables):
        pulse = evaluate("envelope((t >= 12) & (t < 24), 0, 1)", variables)
        assert not pulse[:12].any()
        assert (pulse[12:24] == 1).all()
        np.testing.assert_allclose(pulse[24:60], np.exp(-np.arange(1, 37) / 12))

    def test_delay(self, variables):
        np.testing.assert_allclose(
            evaluate("delay(t, 1)", variables), np.maximum(np.arange(N_FRAMES) - 12, 0)
        )
        np.testing.assert_allclose(evaluate("delay(t, 0.125)", variables)[2:], np.arange(2, N_FRAMES) - 1.5)

    def test_gate(self, variables):
        onset = variables["onset"]
        np.testing.assert_array_equal(
            evaluate("gate(onset, 0.6)", variables), np.where(onset >= 0.6, onset, 0)
        )

    def test_trigger_fires_when_it_begins_and_then_waits(self, variables):
        fired = evaluate("trigger(t % 10 >= 7, 1)", variables)  # begins at 7, 17, 27, ...
        np.testing.assert_array_equal(np.flatnonzero(fired), np.arange(7, N_FRAMES, 20))
        always = evaluate("trigger(t >= 0, 0.1)", variables)
        np.testing.assert_array_equal(np.flatnonzero(always), [0])
        every_other = evaluate(
            "trigger(t % 2, 1/6)", variables
        )  # two frames are enough for a sixth of a second
        np.testing.assert_array_equal(np.flatnonzero(every_other), np.arange(1, N_FRAMES, 2))
        assert set(fired) == {0.0, 1.0}

    @given(
        holds=st.lists(st.booleans(), min_size=1, max_size=200),
        seconds=st.floats(0, 3),
        fps=st.sampled_from([1, 12, 24, 30, 60]),
    )
    def test_trigger_never_fires_twice_within_its_seconds(self, holds, seconds, fps):
        film = Variables(len(holds), Fraction(fps), {"onset": np.array(holds, dtype=np.float64)})
        frames = np.flatnonzero(evaluate(f"trigger(onset, {seconds:.6f})", film))
        assert (np.diff(frames) / fps >= seconds - 1e-5).all()
        assert np.array(holds)[frames].all()
        assert not any(holds) or len(frames)

    def test_cumulative_runs_from_zero_to_one(self, variables):
        share = evaluate("cumulative(onset)", variables)
        np.testing.assert_allclose(share, np.cumsum(variables["onset"]) / variables["onset"].sum())
        assert not evaluate("cumulative(0)", variables).any()

    @pytest.mark.parametrize(
        "text",
        [
            "smooth(onset, 1)",
            "envelope(onset, 0.1, 2)",
            "delay(onset, 0.3)",
            "gate(onset, 0.5)",
            "trigger(onset > 0.5, 0.3)",
        ],
    )
    def test_nothing_looks_ahead(self, text, variables):
        changed = variables["onset"].copy()
        changed[50:] = 1 - changed[50:]
        other = Variables(N_FRAMES, FPS, {"onset": changed})
        np.testing.assert_array_equal(evaluate(text, variables)[:50], evaluate(text, other)[:50])

    def test_a_guard_against_division_by_zero_is_enough(self, variables):
        assert evaluate("where(t > 0, 1/t, 0)", variables)[0] == 0
        assert evaluate("1/t if t > 0 else 0", variables)[0] == 0


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("onsett", "unknown variable 'onsett' (expected one of t,"),
        ("onsett", "did you mean onset?"),
        ("smoth(onset, 1)", "did you mean smooth?"),
        ("sin", "sin() is a function"),
        ("0.5 +", "not a formula (invalid syntax)"),
        ("", "a value is missing"),
        ("0:(1), 30", "'30' (expected keyframes"),
        ("0:(1) 30:(2)", "expected keyframes"),
        ("0:()", "a value is missing"),
        ("30:(1), 20:(2)", "key 20 (frame 20) after key 30"),
        ("2s:(1), 20:(2)", "key 20 (frame 20) after key 2s (frame 24)"),
        ("0:(1), 12:(2), 1s:(3)", "two keys at frame 12 (12 and 1s)"),
        ("2.5:(1)", "key '2.5' (expected a whole frame"),
        ("-1:(1)", "key -1: frame -1"),
        ("onset:(1)", "'onset' is not known to keys"),
        ("1/t", "inf at frame 0 (division by zero)"),
        ("1/(t-7)", "inf at frame 7 (division by zero)"),
        ("(t-7)%(t-7)", "nan at frame 7 (division by zero)"),
        ("sqrt(3-t)", "nan at frame 4"),
        ("log(t)", "-inf at frame 0"),
        ("9**9**9", "inf at frame 0"),
        ("1e999", "inf at frame 0"),
        ("9" * 400, "inf at frame 0"),
        ("x" * 400_000, "400000 characters"),
        ("1+" * 5000 + "1", "10001 characters"),
        ("-" * 3000 + "1", "at most 100 deep"),
        ("((1)", "1 ( are not closed"),
        ("0,5", "a comma in a number (expected a point, 0.5)"),
        ("onset^2", "** for a power"),
        ("1)", "a ) at character 2 that closes nothing"),
        ("0:(t), " * 600, "formulas of more than 500 parts"),
        ("__import__('os').system('true')", "is no part of a formula"),
        ("t.real", "t.real is no part of a formula"),
        ("[t for t in onset]", "is no part of a formula"),
        ("lambda: 1", "key 'lambda'"),
        ("'a'", "is no part of a formula"),
        ("True", "True is no part of a formula"),
        ("1j", "1j is no part of a formula"),
        ("t @ t", "is no part of a formula"),
        ("sin(t, t)", "sin() with 2 arguments (expected sin(x))"),
        ("min(t)", "min() with 1 arguments"),
        ("min(*t, 1)", "is no part of a formula"),
        ("smooth(onset, seconds=1)", "is no part of a formula"),
        ("smooth(onset, -1)", "-1 seconds (expected 0 or more"),
        ("smooth(onset, 1/0)", "inf seconds"),
        ("smooth(onset, t)", "a duration that changes over the film"),
        ("a\x00b", "not a formula"),
        ("\ud800", "not a formula"),
    ],
)
def test_errors_are_one_line(text, found, variables):
    began = time.monotonic()
    with pytest.raises(ParameterError) as error:
        evaluate(text, variables)
    assert time.monotonic() - began < 1
    assert error.value.exit_code == 2
    message = str(error.value)
    assert message.startswith("--zoom ")
    assert found in message
    assert "\n" not in message
    assert len(message) < 700


@pytest.mark.parametrize(
    "text", ["(" * 150 + "1" + ")" * 150 + "+t", "+".join(["t"] * 99), "0:(1),\n", "1#one"]
)
def test_odd_but_right(text, variables):
    assert evaluate(text, variables)[1] > 0


def test_values_out_of_range_name_flag_frame_and_value(variables):
    schedule = parse_schedule("0:(0.5), 10:(1.5)", "--strength", SHARE)
    with pytest.raises(ParameterError) as error:
        schedule.evaluate(variables)
    assert str(error.value) == "--strength '0:(0.5), 10:(1.5)': 1.1 at frame 6 (expected a number in [0, 1])"


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        (Limits(), "a finite number"),
        (Limits(0), "a number of at least 0"),
        (Limits(0, above=True), "a number above 0"),
        (Limits(0, 2, above=True), "a number in (0, 2]"),
    ],
)
def test_limits_say_what_they_are(limits, text):
    assert str(limits) == text
    assert limits.contain(np.array([1.0, math.nan, math.inf])).tolist() == [True, False, False]
    assert limits.contain(np.array([0.0]))[0] != limits.above


def test_a_sound_without_beats():
    silent = Variables(10, FPS, {"onset": np.zeros(10)})
    assert (evaluate("onset", silent) == 0).all()
    for text in ("beats", "0:(1), 8b:(2)"):
        with pytest.raises(ParameterError, match="the sound has no beats"):
            evaluate(text, silent)


def test_live_frames_are_counted_on(variables):
    late = Variables(20, FPS, {"ramp": variables["ramp"][100:]}, first_frame=100)
    for text in ("t", "seconds", "0:(0), 110:(ramp), 115:(3), 130:(4)", "where(t > 105, ramp, 0)"):
        np.testing.assert_allclose(evaluate(text, late), evaluate(text, variables)[100:])


@given(st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=50))
def test_what_is_exported_is_read_again(values):
    text = export_schedule(np.array(values))
    again = evaluate(text, Variables(len(values), FPS))
    np.testing.assert_allclose(again, values, atol=5.1e-5)


def test_export_is_deforums_notation():
    assert export_schedule(np.array([0.12, 0.4, -0.0])) == "0:(0.1200), 1:(0.4000), 2:(0.0000)"


def test_tables_are_csv():
    file = io.BytesIO()
    write_table(
        Fraction(24000, 1001), {"onset": np.array([0, 0.5]), "zoom": np.array([1, 1.0123456789])}, file
    )
    assert file.getvalue().decode() == "seconds,frame,onset,zoom\n0.000000,0,0,1\n0.041708,1,0.5,1.01235\n"


@pytest.mark.parametrize("text", ["", "b", "1x", "1..2", "99" * 300, "3 4", "t"])
def test_positions_that_are_none(text):
    with pytest.raises(ParameterError, match=r"^key"):
        parse_position(text)


WORDS = [
    *FUNCTIONS,
    "onset", "loudness", "t", "max_f", "seconds", "beats", "nonsense", "(", ")", "(", ")", ",", ":",
    "0:(", "30:(", "2.5s:(", "8b:(", "+", "-", "*", "/", "//", "%", "**", "<", "==", "&", "|", "~", " if ",
    " else ", " and ", " not ", "0", "1", "2.5", "1e9", "9", ".", "[", "]", "'", "lambda ", "\n", "#", "\\",
    "=", "é", "٣",
]  # fmt: skip


@settings(max_examples=400, deadline=1000)
@given(st.one_of(st.text(max_size=200), st.lists(st.sampled_from(WORDS), max_size=60).map("".join)))
@example("0:(9**9**9**9), 1:(t)")
def test_any_text_is_a_number_a_frame_or_our_error(variables, text):
    try:
        values = evaluate(text, variables, low=-1e6, high=1e6)
    except ParameterError as refusal:
        message = str(refusal)
    else:
        message = "--zoom is fine"
        assert values.shape == (N_FRAMES,)
        assert (np.abs(values) <= 1e6).all()
    assert message.startswith("--zoom ")
    assert "\n" not in message


FORMULAS = st.recursive(
    st.sampled_from(["t", "onset", "ramp", "0.5", "3", "seconds"]),
    lambda parts: st.one_of(
        st.tuples(parts, st.sampled_from([" + ", "*", "/", " - ", "**", "%", "//"]), parts).map(
            lambda words: f"({''.join(words)})"
        ),
        parts.map(lambda part: f"sin({part})"),
        st.tuples(parts, parts, parts).map(lambda words: f"where({words[0]} > t, {words[1]}, {words[2]})"),
    ),
    max_leaves=30,
)


@settings(max_examples=100, deadline=1000)
@given(FORMULAS)
def test_formulas_are_what_numpy_makes_of_them(variables, text):
    names = {name: variables[name] for name in ("t", "onset", "ramp", "seconds")}
    numbers = re.sub(r"\b(0\.5|3)\b", r"np.float64(\1)", text)
    with np.errstate(all="ignore"):
        expected = eval(numbers, {"np": np, "sin": np.sin, "where": np.where}, names)
    try:
        values = evaluate(text, variables)
    except ParameterError:
        assert not np.isfinite(expected).all()
    else:
        np.testing.assert_array_equal(values, np.broadcast_to(expected, N_FRAMES))


class TestSeries:
    def write(self, folder, text):
        path = folder / "beat.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def test_columns_are_variables_interpolated(self, tmp_path):
        path = self.write(tmp_path, "\ufeffseconds, kick ,snare\n0.5,0,1\r\n1.5,1,1\n\n")
        series = read_series(path, frozenset({"onset"}))
        film = Variables(24, FPS, {"onset": np.zeros(24)}, series=series)
        np.testing.assert_allclose(evaluate("kick", film), np.clip(np.arange(24) / 12 - 0.5, 0, 1))
        assert (evaluate("snare + onset", film) == 1).all()

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("", "nothing in it"),
            ("seconds,kick\n", "line 1: no numbers"),
            ("time,kick\n0,1\n", "line 1: columns time, kick"),
            ("seconds\n0\n", "line 1: columns seconds"),
            ("seconds,kick\n0,1\n1\n", "line 3: 1 values"),
            ("seconds,kick\n0,1\n1,2,3\n", "line 3: 3 values"),
            ("seconds,kick\n0,1\n\n1,2\n", "line 3: 0 values"),
            ("seconds,kick\n0,1\n1,\n", "line 3: a gap in column kick"),
            ("seconds,kick\n0,1\n1,loud\n", "line 3: 'loud' in column kick"),
            ("seconds,kick\n0,nan\n", "line 2: nan in column kick"),
            ("seconds,kick\n0,inf\n", "line 2: inf in column kick"),
            ("seconds,kick\n0,1\n2,1\n1,1\n", "line 4: 1 seconds after 2"),
            ("seconds,kick\n0,1\n0,1\n", "line 3: 0 seconds after 0"),
            ("seconds,onset\n0,1\n", "a column 'onset' (expected a name that is not taken)"),
            ("seconds,sin\n0,1\n", "a column 'sin'"),
            ("seconds,t\n0,1\n", "a column 't'"),
            ("seconds,kick,kick\n0,1,1\n", "a column 'kick'"),
            ("seconds,my kick\n0,1\n", "a column 'my kick' (expected letters"),
            ("seconds,if\n0,1\n", "a column 'if'"),
            (b"seconds,kick\n0,\xff\n", "cannot be read"),
            ('seconds,kick\n0,"1\n', "cannot be read"),
            (b"seconds,kick\x00\n0,1\n", ""),
        ],
    )
    def test_files_that_are_none(self, text, found, tmp_path):
        with pytest.raises(ParameterError) as error:
            read_series(self.write(tmp_path, text), frozenset({"onset"}))
        assert found in str(error.value)
        assert str(error.value).startswith("--series ")

    def test_no_file(self, tmp_path):
        for path in (tmp_path, tmp_path / "none.csv", tmp_path / ("x" * 5000)):
            with pytest.raises(ParameterError, match="cannot be read"):
                read_series(path, frozenset())
