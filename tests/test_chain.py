"""Frames that go on from each other: by latents or by pictures, and saved while the next one is painted."""

import threading
import time
from itertools import pairwise

import pytest
import torch

from sound_diffusion.errors import OutputError
from sound_diffusion.film import painter
from sound_diffusion.film.run_folder import RunFolder
from sound_diffusion.film.saving import BEHIND, MOST_WAITING, Saver
from sound_diffusion.starting_pictures import load_picture
from tests.films import frames_of, interrupt_after
from tests.test_between_films import make, sound  # noqa: F401  (fixtures)


def pixels(folder):
    return [load_picture(path).tobytes() for path in frames_of_paths(folder)]


def frames_of_paths(folder):
    return sorted((folder / "frames").glob("*.png"))


def test_latents_are_neither_decoded_nor_encoded_again(make, tmp_path, monkeypatch):  # noqa: F811
    assert make("--chain", "picture", outdir="picture") == (0, [])
    monkeypatch.setattr(painter, "encode_pictures", None)
    assert make(outdir="latent") == (0, [])  # the default
    by_latents, by_pictures = pixels(tmp_path / "latent" / "noise"), pixels(tmp_path / "picture" / "noise")
    assert by_latents[0] == by_pictures[0]
    assert by_latents[1] != by_pictures[1]
    assert not (tmp_path / "latent" / "noise" / "latents").exists()


@pytest.mark.parametrize(
    "flags", [(), ("--cadence", 3), ("--mode", "txt2img", "--batch-size", 2), ("--zoom", 1.02)]
)
def test_frames_get_the_local_contrast_that_is_asked_for(make, tmp_path, monkeypatch, flags):  # noqa: F811
    asked, decode = set(), painter.decode_latents

    def decode_and_ask(model, latents, seeds, local_contrast):
        asked.add(local_contrast)
        return decode(model, latents, seeds, local_contrast)

    monkeypatch.setattr(painter, "decode_latents", decode_and_ask)
    assert make(*flags, "--local-contrast", 0.6, outdir="raised") == (0, [])
    assert asked == {0.6}
    assert make(*flags, outdir="plain") == (0, [])
    assert pixels(tmp_path / "raised" / "noise")[-1] != pixels(tmp_path / "plain" / "noise")[-1]


def test_noise_is_added_to_latents(make, monkeypatch):  # noqa: F811
    """With the deviation that is asked for, and other grain for every frame, even if all have one seed."""
    starts, paint = [], painter.paint_latents

    def keep(*arguments, **options):
        starts.append(arguments[4])
        return starts[-1] if len(starts) > 1 else paint(*arguments, **options)

    monkeypatch.setattr(painter, "paint_latents", keep)
    monkeypatch.setattr(painter, "encode_pictures", None)
    assert make("--noise", "0.25*(t > 1)", "--seed-mode", "fixed", "--strength", "0.5") == (0, [])
    added = [(after - before).flatten() for before, after in pairwise(starts[1:])]
    assert [noise.std().item() for noise in added] == pytest.approx([0.25] * len(added), rel=0.2)
    assert max(abs(torch.corrcoef(torch.stack(added)) - torch.eye(len(added))).flatten()) < 0.4


def test_pictures_that_are_changed_are_encoded(make, tmp_path):  # noqa: F811
    for chain in ("latent", "picture"):
        assert make("--chain", chain, "--zoom", "1.05", outdir=chain) == (0, [])
    assert pixels(tmp_path / "latent" / "noise") == pixels(tmp_path / "picture" / "noise")


@pytest.mark.parametrize("lost", [False, True])
def test_resumed_bytes_are_equal(make, tmp_path, monkeypatch, lost):  # noqa: F811
    flags = ("--chain", "latent", "--zoom", "1 + 0.1*(t % 3 == 0)", "--strength", "0.5")
    assert make(*flags, outdir="whole") == (0, [])
    for calls in (2, 3):
        with monkeypatch.context() as patched:
            interrupt_after(patched, calls, KeyboardInterrupt())
            assert make(*flags)[0] == 130
    latents = tmp_path / "out" / "noise" / "latents"
    assert (latents / "00004.npy").exists()
    if lost:
        (latents / "00004.npy").unlink()
    assert make(*flags)[0] == 0
    assert frames_of(tmp_path / "out" / "noise") == frames_of(tmp_path / "whole" / "noise")


def test_chain_needs_a_frame_before(make):  # noqa: F811
    code, err = make("--mode", "txt2img", "--chain", "latent")
    assert code == 2
    assert "--chain latent with --mode txt2img (expected --mode img2img" in err[0]


def test_a_frame_that_cannot_be_saved_ends_the_film(make, tmp_path, monkeypatch):  # noqa: F811
    save = RunFolder.save_frame

    def full(self, index, picture, recipe):
        if index == 2:
            raise OutputError(
                "00002.png: cannot be written (No space left on device)", remedy="free some space"
            )
        save(self, index, picture, recipe)

    with monkeypatch.context() as patched:
        patched.setattr(RunFolder, "save_frame", full)
        code, err = make()
    assert code == 1
    assert "No space left" in err[-1]
    assert "Traceback" not in "\n".join(err)
    assert make()[0] == 0
    make(outdir="whole")
    assert frames_of(tmp_path / "out" / "noise") == frames_of(tmp_path / "whole" / "noise")


# --- the thread


def test_calls_are_done_in_order_and_few_wait():
    done, go_on = [], threading.Event()

    def call(number):
        go_on.wait(10)
        done.append(number)

    with Saver() as saver:
        for number in range(MOST_WAITING):
            saver.save(call, number)  # does not wait
        assert not done
        threading.Timer(0.05, go_on.set).start()
        saver.save(call, MOST_WAITING)  # waits for the first
        assert done
        saver.flush()
        assert done == list(range(MOST_WAITING + 1))


def test_who_paints_is_told_when_the_thread_is_behind():
    go_on = threading.Event()
    with Saver() as saver:
        seen = []
        for _ in range(BEHIND):
            seen.append(saver.is_behind)
            saver.save(go_on.wait, 10)
        assert seen == [False] * BEHIND
        assert saver.is_behind
        go_on.set()
        saver.flush()
        assert not saver.is_behind


def test_what_waits_is_done_after_an_interrupt_too():
    done = []

    def call(number):
        time.sleep(0.02)
        done.append(number)

    def interrupted():
        with Saver() as saver:
            for number in range(3):
                saver.save(call, number)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert done == [0, 1, 2]


@pytest.mark.parametrize("more", [0, MOST_WAITING + 1])
def test_errors_of_the_thread_arrive(more):
    def fail():
        raise OSError("full")

    def saving():
        with Saver() as saver:
            for function in (fail, *[int] * more):
                saver.save(function)
            assert not more

    with pytest.raises(OSError, match="full"):
        saving()
