"""Framing: any stated size, any chain, tags and junk around a sound."""

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sound_diffusion.sound.audio import load_audio
from sound_diffusion.sound.containers import find_parts
from tests.ffmpeg import ffmpeg

RATE = 44_100
# Place of the stated size of the samples: what it stands behind, how far, bytes, byte order.
SIZE_FIELDS = {
    "wav": (b"data", 4, 4, "little"),
    "rf64": (b"ds64", 16, 8, "little"),
    "w64": (b"data", 16, 8, "little"),
    "aiff": (b"SSND", 4, 4, "big"),
    "caf": (b"data", 4, 8, "big"),
    "au": (b".snd", 8, 4, "big"),
}
LINKS = {
    "mono": ["-ar", "44100", "-ac", "1", "-c:a", "libvorbis"],
    "stereo": ["-ar", "48000", "-ac", "2", "-c:a", "libvorbis"],
    "slow": ["-ar", "22050", "-ac", "1", "-c:a", "libvorbis"],
    "opus": ["-ac", "2", "-c:a", "libopus"],
    "flac": ["-ar", "32000", "-ac", "1", "-c:a", "flac"],
}
FAST = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def pcm(tmp_path_factory):
    """The bytes of short noises in each container, and what they sound like."""
    folder = tmp_path_factory.mktemp("pcm")
    rng = np.random.default_rng(0)
    files = {}
    for suffix in SIZE_FIELDS:
        for subtype in ("PCM_16", "PCM_24", "FLOAT"):
            path = folder / f"a.{suffix}"
            samples = rng.uniform(-0.9, 0.9, (3000, 2)).astype(np.float32)
            soundfile.write(path, samples, RATE, subtype=subtype, format=suffix.upper())
            files[suffix, subtype] = path.read_bytes(), load_audio(path)
    return files


@pytest.fixture(scope="module")
def links(tmp_path_factory):
    """The bytes of Ogg files of several codecs, rates and channels, and what they sound like."""
    folder = tmp_path_factory.mktemp("links")
    files = {}
    for name, options in LINKS.items():
        path = folder / f"{name}.ogg"
        ffmpeg("-f", "lavfi", "-i", f"sine={300 + 100 * len(files)}:d=0.3", *options, path)
        files[name] = path.read_bytes(), load_audio(path)
    return files


def write(folder, suffix, content):
    path = folder / f"b.{suffix}"
    path.write_bytes(content)
    return path


# --- Sizes


@settings(FAST, max_examples=60)
@given(
    suffix=st.sampled_from(sorted(SIZE_FIELDS)),
    subtype=st.sampled_from(["PCM_16", "PCM_24", "FLOAT"]),
    size=st.one_of(
        st.sampled_from([0, 1, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF]),
        st.integers(-40, 40).map(lambda difference: ("off by", difference)),
        st.integers(0, 2**32 - 1),
    ),
)
def test_any_stated_size_gives_all_samples(pcm, tmp_path, suffix, subtype, size):
    content, expected = pcm[suffix, subtype]
    tag, behind, width, order = SIZE_FIELDS[suffix]
    at = content.find(tag) + behind
    if isinstance(size, tuple):
        size = int.from_bytes(content[at : at + width], order) + size[1]
    y = load_audio(
        write(tmp_path, suffix, content[:at] + size.to_bytes(width, order) + content[at + width :])
    )
    np.testing.assert_array_equal(y, expected[: len(y)])
    # The padding of chunks hides what is off by less than it.
    assert len(expected) - len(y) <= (8 if suffix == "w64" else 2)


@pytest.mark.parametrize("size", [0, 5, 4000, 0xFFFFFFFF])
@pytest.mark.parametrize("outer", [0, 36, 2036, 0xFFFFFFFF])
def test_chunks_behind_samples_of_wrong_size_are_no_samples(pcm, tmp_path, size, outer):
    content, expected = pcm["wav", "PCM_16"]
    at = content.find(b"data") + 4
    wrong = bytearray(content[:at] + size.to_bytes(4, "little") + content[at + 4 :])
    wrong[4:8] = outer.to_bytes(4, "little")
    chunks = b"LIST\x0c\0\0\0INFOISFT\0\0\0\0" + b"id3 \x03\0\0\0abc\0"
    np.testing.assert_array_equal(load_audio(write(tmp_path, "wav", bytes(wrong) + chunks)), expected)


def test_samples_that_the_header_does_not_know_of_yet(pcm, tmp_path, caplog):
    content, expected = pcm["wav", "PCM_16"]
    stale = bytearray(content)
    stale[4:8], stale[40:44] = (1036).to_bytes(4, "little"), (1000).to_bytes(4, "little")
    np.testing.assert_array_equal(load_audio(write(tmp_path, "wav", stale)), expected)
    assert "1000 of 12000 bytes" in caplog.messages[0]


def test_chunks_in_any_order_and_without_padding(pcm, tmp_path):
    content, expected = pcm["wav", "PCM_16"]
    form, samples = content[12:36], content[36:]
    odd = b"note\x03\0\0\0abc"
    for chunks in (samples + form, odd + form + samples, samples + odd + b"\0" + form):
        y = load_audio(write(tmp_path, "wav", content[:12] + chunks))
        np.testing.assert_array_equal(y, expected)


@settings(FAST)
@given(part=st.floats(0.05, 0.99), suffix=st.sampled_from(sorted(SIZE_FIELDS)))
def test_what_is_missing_is_counted(pcm, tmp_path, caplog, part, suffix):
    content, expected = pcm[suffix, "PCM_16"]
    start = len(content) - 12_000
    caplog.clear()
    if suffix == "caf":
        start = content.find(b"data") + 16
    y = load_audio(write(tmp_path, suffix, content[: start + int(12_000 * part)]))
    np.testing.assert_array_equal(y, expected[: len(y)])
    missing = (len(expected) - len(y)) / RATE
    assert len(caplog.messages) == 1
    stated = float(caplog.messages[0].split(" s of ")[0].split()[-1])
    assert abs(stated - missing) < 0.002


# --- Chains


@settings(FAST)
@given(chain=st.lists(st.sampled_from(sorted(LINKS)), min_size=1, max_size=4), junk=st.booleans())
def test_any_chain_is_the_sound_of_its_links(links, tmp_path, caplog, chain, junk):
    between = b"\0junk\xff" * 40 if junk else b""
    path = write(tmp_path, "ogg", between.join(links[name][0] for name in chain))
    caplog.clear()
    assert len(find_parts(path)) == len(chain)
    np.testing.assert_array_equal(load_audio(path), np.concatenate([links[name][1] for name in chain]))
    assert not caplog.messages


def test_a_stretch_of_a_chain(links, tmp_path):
    path = write(tmp_path, "ogg", b"".join(links[name][0] for name in ("mono", "flac", "mono")))
    part = load_audio(path, offset=0.4, duration=0.3)
    assert abs(len(part) / RATE - 0.3) < 0.001
    spectrum = np.abs(np.fft.rfft(part[: int(0.2 * RATE)] * np.hanning(int(0.2 * RATE))))
    assert abs(spectrum.argmax() / 0.2 - 700) < 6  # the flac is the fifth of the links


def test_a_link_that_cannot_be_decoded_is_passed_over_with_a_word(links, tmp_path, caplog):
    mono = links["mono"][0]
    header = mono.find(b"\x05vorbis")
    broken = mono[:header] + bytes(2000) + mono[header + 2000 :]
    path = write(tmp_path, "ogg", mono + broken + mono)
    y = load_audio(path)
    assert len(y) >= 2 * len(links["mono"][1])
    assert caplog.messages


@pytest.mark.parametrize("name", ["mono", "opus"])
def test_an_ogg_without_its_end_mark_is_whole(links, tmp_path, caplog, name):
    content, expected = links[name]
    page = bytearray(content[content.rfind(b"OggS") :])
    page[5] &= ~4
    page[22:26] = checksum(bytes(page[:22]) + bytes(4) + bytes(page[26:])).to_bytes(4, "little")
    y = load_audio(write(tmp_path, "ogg", content[: content.rfind(b"OggS")] + page))
    assert 0 <= len(y) - len(expected) < 0.03 * RATE  # nothing says how much of the last frame is padding
    assert "does not say that it is the last" in caplog.messages[0]


def checksum(page):
    """Of an Ogg page whose own field of it is zero."""
    remainder = 0
    for byte in page:
        remainder ^= byte << 24
        for _ in range(8):
            remainder = ((remainder << 1) ^ (0x04C11DB7 if remainder >> 31 else 0)) & 0xFFFFFFFF
    return remainder


def test_pages_that_are_missing_in_the_middle_are_named(tmp_path, caplog):
    ffmpeg(
        "-f",
        "lavfi",
        "-i",
        "anoisesrc=d=3",
        "-c:a",
        "libvorbis",
        "-page_duration",
        100_000,
        tmp_path / "a.ogg",
    )
    content = (tmp_path / "a.ogg").read_bytes()
    pages = [at for at in range(len(content)) if content.startswith(b"OggS", at)]
    assert len(pages) > 8
    load_audio(write(tmp_path, "ogg", content[: pages[4]] + content[pages[6] :]))
    assert "pages are missing in 1 place" in caplog.messages[0]


# --- What stands around a sound

ID3 = b"ID3\x03\0\0\0\0\x02\x00" + bytes(256)


@pytest.mark.parametrize("suffix", ["wav", "aiff", "caf", "flac", "ogg", "mp3", "m4a", "mka", "w64"])
@pytest.mark.parametrize(
    "before", [ID3, ID3 + ID3, b"HTTP/1.1 200 OK\r\n\r\n", bytes(1000), bytes(range(256))]
)
def test_tags_and_junk_before_a_sound(links, tmp_path, suffix, before):
    path = tmp_path / f"a.{suffix}"
    ffmpeg("-f", "lavfi", "-i", "sine=440:d=0.3", path)
    expected = load_audio(path)
    y = load_audio(write(tmp_path, suffix, before + path.read_bytes()))
    if suffix == "mp3":  # a decoder that has to look for its first frame may take a moment longer
        assert abs(len(y) - len(expected)) < 0.05 * RATE
    else:
        np.testing.assert_array_equal(y, expected)


APE = b"APETAGEX" + (2000).to_bytes(4, "little") + (32).to_bytes(4, "little") + bytes(16)


@pytest.mark.parametrize("suffix", ["wav", "aiff", "flac", "ogg", "mp3", "m4a", "mka", "w64"])
@pytest.mark.parametrize("behind", [b"TAG" + bytes(125), APE + b"TAG" + bytes(125)])
def test_tags_behind_a_sound_are_none(tmp_path, caplog, suffix, behind):
    path = tmp_path / f"a.{suffix}"
    ffmpeg("-f", "lavfi", "-i", "sine=440:d=0.3", path)
    expected = load_audio(path)
    np.testing.assert_array_equal(load_audio(write(tmp_path, suffix, path.read_bytes() + behind)), expected)
    assert not caplog.messages


@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
def test_junk_behind_a_wav_is_named_and_not_heard(pcm, tmp_path, caplog, subtype):
    content, expected = pcm["wav", subtype]
    junk = np.random.default_rng(0).bytes(777)
    np.testing.assert_array_equal(load_audio(write(tmp_path, "wav", content + junk)), expected)
    assert "777 bytes behind its stated end" in caplog.messages[0]
