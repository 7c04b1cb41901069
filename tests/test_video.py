"""Films are as long as they should be, play everywhere, and say so when they fail."""

import os
import re
import subprocess
from fractions import Fraction

import imageio_ffmpeg
import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from sound_diffusion.errors import ParameterError, VideoError
from sound_diffusion.film import video
from sound_diffusion.film.video import FILM_SUFFIXES, Film, SoundTrack, chunks_of, encode_film
from sound_diffusion.sound.audio import load_audio


def describe(path):
    """Read back what ffmpeg says about a film: its streams, and the number of frames that it decodes."""
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    said = subprocess.run(
        [ffmpeg, "-hide_banner", "-i", path], capture_output=True, text=True, check=False
    ).stderr
    command = [
        ffmpeg,
        "-hide_banner",
        "-i",
        path,
        "-map",
        "0:v",
        "-fps_mode",
        "passthrough",
        "-f",
        "null",
        "-",
    ]
    decoded = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    return said, int(re.findall(r"frame=\s*(\d+)", decoded)[-1])


def duration_of(said):
    """Return the duration in what ffmpeg says, in seconds."""
    hours, minutes, seconds = re.search(r"Duration: (\d+):(\d+):([\d.]+)", said).groups()
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


@pytest.fixture
def make_frames(tmp_path):
    """Return a function that fills a folder with frames."""

    def make(count, size=(32, 16), name="frames"):
        folder = tmp_path / name
        folder.mkdir()
        for index in range(count):
            level = 255 * index // max(count - 1, 1)
            Image.new("RGB", size, (level, 0, 255 - level)).save(folder / f"{index:05d}.png")
        return folder

    return make


@pytest.fixture(scope="module")
def sixty_frames(tmp_path_factory):
    """Sixty frames that differ in everything."""
    folder = tmp_path_factory.mktemp("frames")
    for index in range(60):
        Image.effect_noise((16, 16), 50).save(folder / f"{index:05d}.png")
    return folder


@pytest.mark.parametrize("suffix", FILM_SUFFIXES)
def test_every_format_has_the_frames_and_their_duration(suffix, make_frames, sine_file, tmp_path):
    path = tmp_path / f"film{suffix}"
    encode_film(Film(make_frames(9), 9, Fraction(6), SoundTrack(sine_file), "a comment"), path)
    said, n_frames = describe(path)
    assert n_frames == 9
    assert duration_of(said) == pytest.approx(1.5, abs=0.05)
    assert ("Audio:" in said) == (suffix != ".gif")
    if suffix != ".gif":
        assert "yuv420p" in said
        assert "a comment" in said


@pytest.mark.parametrize("rate", ["12", "25", "2997/100", "30", "24000/1001"])
def test_rates_are_kept(rate, make_frames, tmp_path):
    fps = Fraction(rate)
    encode_film(Film(make_frames(7), 7, fps), tmp_path / "film.mp4")
    said, n_frames = describe(tmp_path / "film.mp4")
    assert n_frames == 7
    assert duration_of(said) == pytest.approx(float(7 / fps), abs=0.02)


def times_of(path):
    """Return when each frame of a film is shown, in seconds, and the mean red of each."""
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-v",
        "error",
        "-i",
        path,
        "-map",
        "0:v",
        "-f",
        "framecrc",
        "-",
    ]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    base = Fraction(re.search(r"#tb 0: (\S+)", said)[1])
    times = [int(line.split(",")[2]) * base for line in said.splitlines() if not line.startswith("#")]
    raw = [*command[:-3], "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    pixels = subprocess.run(raw, capture_output=True, check=True).stdout
    return times, np.frombuffer(pixels, np.uint8).reshape(len(times), -1, 3)[:, :, 0].mean(1)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
@pytest.mark.parametrize("rate", ["12", "24000/1001"])
def test_chunks_follow_each_other_in_time(rate, suffix, make_frames, sine_file, tmp_path, monkeypatch):
    monkeypatch.setattr(video, "CHUNK", 4)
    fps, path = Fraction(rate), tmp_path / f"film{suffix}"
    encode_film(Film(make_frames(11), 11, fps, SoundTrack(sine_file)), path)
    times, red = times_of(path)
    expected = [float(index / fps) for index in range(11)]
    assert [float(time) for time in times] == pytest.approx(expected, abs=1e-3)  # what matroska can say
    assert list(red) == sorted(red)


def test_chunks_that_are_there_are_taken(make_frames, tmp_path, monkeypatch):
    monkeypatch.setattr(video, "CHUNK", 2)
    film, chunks = Film(make_frames(5), 5, Fraction(12)), tmp_path / "chunks"
    encode_film(film, tmp_path / "one.mp4", chunks)
    names = [*chunks_of(5, tmp_path / "one.mp4")]
    assert names == ["00000-libx264.mp4", "00001-libx264.mp4", "00002-libx264.mp4"]
    (chunks / names[1]).unlink()
    made = (chunks / names[0]).stat().st_mtime_ns
    encode_film(film, tmp_path / "two.mp4", chunks)
    assert (chunks / names[0]).stat().st_mtime_ns == made
    assert (tmp_path / "two.mp4").read_bytes() == (tmp_path / "one.mp4").read_bytes()


def test_a_damaged_chunk_is_made_again(make_frames, tmp_path):
    film, chunks = Film(make_frames(3), 3, Fraction(12)), tmp_path / "chunks"
    encode_film(film, tmp_path / "one.mp4", chunks)
    [name] = chunks_of(3, tmp_path / "one.mp4")
    (chunks / name).write_bytes(b"half of a film")
    with pytest.raises(VideoError, match="the same command tries again"):
        encode_film(film, tmp_path / "two.mp4", chunks)
    encode_film(film, tmp_path / "two.mp4", chunks)
    assert (tmp_path / "two.mp4").read_bytes() == (tmp_path / "one.mp4").read_bytes()


def test_odd_sizes_are_padded(make_frames, tmp_path):
    encode_film(Film(make_frames(3, (33, 17)), 3, Fraction(5)), tmp_path / "film.mp4")
    said, _ = describe(tmp_path / "film.mp4")
    assert "34x18" in said


def test_a_single_frame(make_frames, sine_file, tmp_path):
    encode_film(Film(make_frames(1), 1, Fraction(12), SoundTrack(sine_file)), tmp_path / "film.mp4")
    said, n_frames = describe(tmp_path / "film.mp4")
    assert n_frames == 1
    assert duration_of(said) == pytest.approx(1 / 12, abs=0.05)


def test_sound_and_picture_start_together(make_frames, tmp_path):
    click = np.zeros(44_100, dtype=np.float32)
    click[22_050:22_150] = 0.9
    soundfile.write(tmp_path / "click.wav", click, 44_100)
    encode_film(
        Film(make_frames(12), 12, Fraction(12), SoundTrack(tmp_path / "click.wav")), tmp_path / "film.mp4"
    )
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", tmp_path / "film.mp4"]
    raw = subprocess.run([*command, "-f", "f32le", "-ac", "1", "-"], capture_output=True, check=True).stdout
    heard = np.frombuffer(raw, dtype="<f4")
    assert abs(int(np.abs(heard).argmax()) - 22_100) < 441  # ten milliseconds, an eighth of a frame


def test_offset_and_duration_choose_the_sound(make_frames, tmp_path):
    tone = np.concatenate([np.zeros(44_100), 0.5 * np.ones(44_100)]).astype(np.float32)
    tone *= np.sin(np.arange(88_200) / 10).astype(np.float32)
    soundfile.write(tmp_path / "tone.wav", tone, 44_100)
    film = Film(make_frames(6), 6, Fraction(12), SoundTrack(tmp_path / "tone.wav", 1.0, 0.5))
    encode_film(film, tmp_path / "film.mkv")
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", tmp_path / "film.mkv"]
    raw = subprocess.run([*command, "-f", "f32le", "-ac", "1", "-"], capture_output=True, check=True).stdout
    heard = np.frombuffer(raw, dtype="<f4")
    assert len(heard) == pytest.approx(22_050, abs=2048)
    assert np.abs(heard[4410:8820]).max() > 0.3


def test_a_track_that_begins_late_is_heard_when_its_frames_are_seen(make_frames, tmp_path):
    click = np.zeros(44_100, dtype=np.float32)
    click[4_410:4_510] = 0.9
    soundfile.write(tmp_path / "click.wav", click, 44_100)
    ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error"]
    late = ["-f", "lavfi", "-i", "color=s=32x32:r=10:d=2", "-itsoffset", "0.5", "-i", tmp_path / "click.wav"]
    subprocess.run([*ffmpeg, *late, "-c:a", "aac", tmp_path / "late.mp4"], check=True)
    y = load_audio(tmp_path / "late.mp4")
    assert abs(int(np.abs(y).argmax()) - 26_460) < 441
    encode_film(
        Film(make_frames(20), 20, Fraction(12), SoundTrack(tmp_path / "late.mp4")), tmp_path / "film.mp4"
    )
    raw = subprocess.run(
        [*ffmpeg, "-i", tmp_path / "film.mp4", "-f", "f32le", "-ac", "1", "-"],
        capture_output=True,
        check=True,
    ).stdout
    assert abs(int(np.abs(np.frombuffer(raw, dtype="<f4")).argmax()) - 26_460) < 441


def test_more_channels_than_an_encoder_takes(make_frames, tmp_path):
    soundfile.write(tmp_path / "many.wav", np.zeros((4_410, 12), dtype=np.float32), 44_100)
    encode_film(
        Film(make_frames(1), 1, Fraction(12), SoundTrack(tmp_path / "many.wav")), tmp_path / "film.mp4"
    )
    assert describe(tmp_path / "film.mp4")[1] == 1


def test_the_same_frames_give_the_same_bytes(make_frames, sine_file, tmp_path):
    film = Film(make_frames(8), 8, Fraction(12), SoundTrack(sine_file), "same")
    for suffix in (".mp4", ".mkv", ".gif"):
        encode_film(film, tmp_path / f"one{suffix}")
        encode_film(film, tmp_path / f"two{suffix}")
        assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()


def test_folders_with_a_pattern_in_their_name(make_frames, tmp_path):
    encode_film(Film(make_frames(3, name="100%d sure"), 3, Fraction(5)), tmp_path / "film.mp4")
    assert describe(tmp_path / "film.mp4")[1] == 3


def test_ffmpeg_failing_is_an_error_in_its_own_words(make_frames, tmp_path):
    frames = make_frames(3)
    (frames / "00001.png").write_bytes(b"not a picture")
    with pytest.raises(VideoError, match=r"ffmpeg failed: .*Invalid .*frames are kept"):
        encode_film(Film(frames, 3, Fraction(5)), tmp_path / "film.mp4")
    assert not (tmp_path / "film.mp4").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["frames"]


def test_a_sound_that_is_gone_is_an_error(make_frames, tmp_path):
    with pytest.raises(VideoError, match="no such file"):
        encode_film(
            Film(make_frames(2), 2, Fraction(5), SoundTrack(tmp_path / "gone.wav")), tmp_path / "film.mp4"
        )
    assert not (tmp_path / "film.mp4").exists()


def test_unknown_suffixes(make_frames, tmp_path):
    with pytest.raises(ParameterError, match=r"\.mp4"):
        encode_film(Film(make_frames(1), 1, Fraction(5)), tmp_path / "film.avi")


def delays_of(path):
    """Return how long each frame of a GIF is shown, in hundredths of a second."""
    delays = []
    with Image.open(path) as gif:
        for index in range(gif.n_frames):
            gif.seek(index)
            delays.append(gif.info["duration"] / 10)
    return delays


@given(rate=st.fractions(1, 150, max_denominator=1001), n_frames=st.integers(1, 60))
@example(rate=Fraction(60), n_frames=60)
@example(rate=Fraction(60_000, 1001), n_frames=60)
@example(rate=Fraction(30), n_frames=31)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_gif_takes_its_time_in_every_browser(rate, n_frames, sixty_frames, tmp_path):
    encode_film(Film(sixty_frames, n_frames, rate), tmp_path / "film.gif")
    delays = delays_of(tmp_path / "film.gif")
    assert min(delays) >= 2  # less is shown as if it were ten
    assert sum(delays) == pytest.approx(float(100 * n_frames / rate), abs=2 if rate > 50 else 1)
    assert len(delays) == (n_frames if rate <= 50 else max(1, int(n_frames / rate * 50 + Fraction(1, 2))))


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity") or (os.cpu_count() or 1) < 2, reason="two processors to choose from"
)
@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_the_bytes_do_not_depend_on_the_number_of_processors(suffix, tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    rng = np.random.default_rng(0)
    still = rng.integers(0, 256, (128, 256, 3), dtype=np.uint8)
    for index in range(30):
        Image.fromarray(np.roll(still, (index * 3, index * 5), (0, 1))).save(folder / f"{index:05d}.png")
    allowed, made = os.sched_getaffinity(0), []
    try:
        for processors in (allowed, {min(allowed)}):
            os.sched_setaffinity(0, processors)
            path = tmp_path / f"{len(processors)}{suffix}"
            encode_film(Film(folder, 30, Fraction(12)), path)
            made.append(path.read_bytes())
    finally:
        os.sched_setaffinity(0, allowed)
    assert made[0] == made[1]
