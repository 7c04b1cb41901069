from __future__ import annotations

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("accelerate")

from sound_diffusion.model.load import load_model  # noqa: E402
from sound_diffusion.model.picture_language import GROUPS, Descriptors, describe  # noqa: E402
from training import corpus, dataset, sounds  # noqa: E402
from training.examples import Examples, latents_of  # noqa: E402
from training.loop import make_accelerator  # noqa: E402
from training.renderer import Style, render  # noqa: E402

SMALL = Style(size=64)


def magnitudes(level: float, frequency: float = 440.0, noise: float = 0.0) -> np.ndarray:
    t = np.arange(22_050) / 44_100
    y = np.sin(2 * np.pi * frequency * t) + noise * np.random.default_rng(0).standard_normal(len(t))
    from sound_diffusion.sound.features import extract

    return extract((level * y / np.abs(y).max()).astype(np.float32), "fft")


def test_every_sound_is_finite_and_in_range():
    for seed in range(60):
        y = sounds.draw_sound(np.random.default_rng(seed), 0.05)
        assert y.dtype == np.float32
        assert len(y) == 2205
        assert np.isfinite(y).all()
        assert np.abs(y).max() <= 1


@pytest.mark.parametrize("voice", [voice for voice, _ in sounds.VOICES], ids=lambda voice: voice.__name__)
@pytest.mark.parametrize("length", [64, 5000])
def test_every_voice_sounds(voice, length):
    y = voice(np.random.default_rng(1), length)
    assert y.shape == (length,)
    assert np.isfinite(y).all()


def test_a_seed_gives_the_same_sound():
    one, two = (sounds.draw_sound(np.random.default_rng(5), 0.1) for _ in range(2))
    np.testing.assert_array_equal(one, two)


def test_silence_is_black():
    assert render(describe(np.zeros((77, 768), np.float32)), 0, SMALL).max() == 0


def test_louder_is_lighter():
    light = [render(describe(magnitudes(level)), 0, SMALL).mean() for level in (0.01, 0.03, 0.1, 0.3, 1.0)]
    assert (np.diff(light) > 2).all()


def test_the_last_moment_is_at_the_centre():
    m = np.zeros((77, 768), np.float32)
    m[70:, 20] = 200.0
    picture = render(describe(m), 3, SMALL).astype(float)
    assert picture[26:38, 26:38].mean() > 4 * picture[:4, :4].mean() + 1


def test_a_picture_is_the_same_in_every_mirror():
    picture = render(describe(magnitudes(0.5, noise=0.1)), 3, SMALL)
    np.testing.assert_array_equal(picture, picture[::-1])
    np.testing.assert_array_equal(picture, picture[:, ::-1])
    difference = np.abs(picture.astype(int) - picture.transpose(1, 0, 2))
    assert difference.mean() < 2


def chord(*frequencies: float) -> Descriptors:
    from sound_diffusion.sound.features import extract

    t = np.arange(44_100) / 44_100
    y = sum(np.sin(2 * np.pi * f * n * t) / n for f in frequencies for n in (1, 2, 3))
    return describe(extract((0.2 * y / np.abs(y).max()).astype(np.float32), "fft"))


def hues_of(picture: np.ndarray) -> np.ndarray:
    return np.bincount(
        np.asarray(Image.fromarray(picture).convert("HSV"))[..., 0].ravel() // 11, minlength=24
    )


def test_another_chord_has_other_colours_and_another_figure():
    c_major, b_major = chord(523.3, 659.3, 784.0), chord(493.9, 622.3, 740.0)
    assert c_major.chord > 0.9
    again, other = (render(c_major, 1, SMALL), render(b_major, 0, SMALL))
    first = render(c_major, 0, SMALL)
    apart = np.abs(hues_of(first) - hues_of(other)).sum()
    assert apart > 3 * np.abs(hues_of(first) - hues_of(again)).sum()


def test_a_picture_is_determined_by_its_seed():
    d = describe(magnitudes(0.5))
    np.testing.assert_array_equal(render(d, 1, SMALL), render(d, 1, SMALL))
    assert (render(d, 1, SMALL) != render(d, 2, SMALL)).any()


@pytest.mark.parametrize("seed", range(12))
def test_pairs(seed):
    pair = dataset.make_pair(seed)
    assert pair.embedding.shape == (77, 768)
    assert np.isfinite(pair.embedding).all()
    assert pair.picture.shape == (256, 256, 3)
    assert pair.told.shape == pair.targets.shape == (sum(GROUPS),)
    assert np.isfinite(pair.targets).all()


@pytest.mark.parametrize("feature", dataset.PAINTED)
def test_film_features_of_every_kind(feature):
    y = sounds.draw_sound(np.random.default_rng(3), 0.4)
    matrix, magnitude = dataset.film_features(y, feature, 0.05, 0.3)
    assert matrix.shape == magnitude.shape == (77, 768)
    assert isinstance(describe(magnitude), Descriptors)


@pytest.fixture(scope="module")
def pieces(tmp_path_factory):
    """A corpus without a synthesizer: tones for music, noise for voices."""
    folder, rng = tmp_path_factory.mktemp("corpus"), np.random.default_rng(0)
    tone = np.sin(np.arange(3 * 44_100) * 2 * np.pi * 220 / 44_100)
    for name, y in (("music_00000", tone), ("voice_00000", rng.uniform(-1, 1, len(tone)))):
        np.save(folder / f"{name}.npy", (9000 * y).astype(np.int16))
    return folder


@pytest.fixture(autouse=True)
def drawn_from(pieces, monkeypatch):
    monkeypatch.setattr(corpus, "FOLDER", pieces)


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.setattr(dataset, "SHARD", 4)
    (tmp_path / "shards").mkdir()
    dataset.write_shard(tmp_path / "shards" / "shard_0000.npz", dataset.make_pair)
    return tmp_path


def test_a_shard_is_made_once(work):
    path = dataset.shards(work / "shards")[0]
    before = path.stat().st_mtime_ns
    dataset.write_shard(work / "shards" / "shard_0000.npz", dataset.make_pair)
    assert path.stat().st_mtime_ns == before
    assert dataset.load([path], "embeddings").shape == (4, 77, 768)


def test_sounds_without_pictures_are_heard_and_not_painted(work):
    from training import unet

    (work / dataset.SOUNDS).mkdir()
    path = dataset.write_shard(work / dataset.SOUNDS / "shard_0000.npz", dataset.make_sound)
    assert set(np.load(path).files) == {"embeddings", "told", "targets"}
    (work / "latents").mkdir()
    np.save(work / "latents" / "shard_0000.npy", np.ones((4, 4, 32, 32), np.float16) * np.arange(1, 33))
    examples = Examples(work, make_accelerator(), seed=0)
    assert len(examples.embeddings) == len(examples.targets) == 2 * len(examples.latents)
    assert [len(part) for part in examples.sounds(7)] == [7, 7, 7, 7]
    timesteps, embeddings, told, targets, latents = examples.pairs(5)
    assert timesteps.shape == (5,)
    assert embeddings.shape == (5, 77, 768)
    assert told.shape == targets.shape == (5, unet.TARGETS)
    assert float(latents.std()) == pytest.approx(1, abs=0.1)


def test_several_processes_share_the_examples(work):

    for index in range(3):
        dataset.write_shard(work / "shards" / f"shard_{index:04d}.npz", dataset.make_pair)
    (work / "latents").mkdir()
    for path in dataset.shards(work / "shards"):
        np.save(latents_of(path), np.ones((4, 4, 32, 32), np.float16) * np.arange(1, 33))
    processes = [SimpleNamespace(process_index=i, num_processes=2, device="cpu") for i in range(2)]
    parts = [Examples(work, process, seed=0) for process in processes]
    assert [len(part.latents) for part in parts] == [8, 4]
    joined = torch.cat([parts[0].targets[:4], parts[1].targets, parts[0].targets[4:]])
    alone = Examples(work, make_accelerator(), seed=0)
    torch.testing.assert_close(joined, alone.targets)


def test_every_descriptor_counts_the_same_in_what_is_told():
    from training import unet

    targets = torch.zeros(2, unet.TARGETS)
    for start, size in zip(np.cumsum((0, *unet.GROUPS)), unet.GROUPS, strict=False):
        told = targets.clone()
        told[:, start : start + size] = 3
        torch.testing.assert_close(unet.telling(told, targets), torch.full((2,), 9 / len(unet.GROUPS)))


@pytest.fixture
def tiny():
    from training.autoencoder import AutoencoderOptions
    from training.unet import UNetOptions

    return AutoencoderOptions(channels=(8, 8, 8, 8), crop=32), UNetOptions(
        channels=(32, 32, 32, 32), time_width=32, lesson=2
    )


def steps_of(path) -> int:
    return torch.load(path, weights_only=True)["steps"]


def test_the_average_goes_on_where_a_checkpoint_left_it(tmp_path):
    from diffusers.training_utils import EMAModel

    from training.loop import Clock, LoopOptions, load_average, load_checkpoint, save_checkpoint

    def parts():
        model = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.zeros_(model.weight)
        average = EMAModel(model.parameters(), decay=0.5, foreach=True)
        return Clock(LoopOptions(minutes=5, rate=1e-3)), model, torch.optim.AdamW(model.parameters()), average

    clock, model, optimizer, average = parts()
    expected = 0.0
    for step in range(1, 20):
        if step == 5:  # interrupted here
            path = tmp_path / "unet.pt"
            save_checkpoint(path, clock, model, optimizer, average)
            clock, model, optimizer, average = parts()
            assert load_checkpoint(path, clock, model, optimizer, average)
        clock.steps = step
        torch.nn.init.constant_(model.weight, step)
        average.step(model.parameters())
        decay = min(0.5, step / (9 + step)) if step > 1 else 0
        expected = decay * expected + (1 - decay) * step
        assert float(average.shadow_params[0]) == pytest.approx(expected, rel=1e-6)
    [kept] = torch.load(path, weights_only=True)["average"]  # a list of tensors, one for each parameter
    assert kept.item() == pytest.approx(3.601399, rel=1e-6)
    assert load_average(path, model) == 4
    assert model.weight.item() == kept.item()


def test_training_resumes_and_exports(work, tiny, monkeypatch, capsys):
    from diffusers import StableDiffusionPipeline

    from training import (
        autoencoder,
        distillation,
        export,
        hearing,
        latents,
        tiny_autoencoder,
        unet,
    )
    from training.loop import LoopOptions

    sizes, shape = tiny
    monkeypatch.setattr(autoencoder, "AutoencoderOptions", lambda: sizes)
    monkeypatch.setattr(unet, "UNetOptions", lambda: shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for steps in (1, 3):
            loop = LoopOptions(minutes=5, rate=1e-3, batch=2, max_steps=steps)
            assert steps_of(autoencoder.train(work, loop)) == steps
        assert latents.encode(work) == 1
        assert latents.encode(work) == 0
        for stage in (unet.train_ear, unet.train):
            for steps in (2, 4):
                loop = LoopOptions(minutes=5, rate=1e-3, batch=2, max_steps=steps)
                assert steps_of(stage(work, loop)) == steps
        hearing.main(["--work", str(work), "--checkpoint", "ear.pt", "--count", "4"])
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in lines[-5:]] == list(dataset.PAINTED)
        assert all(np.isfinite(float(number)) for line in lines[-5:] for number in line.split()[1:])
        small = tiny_autoencoder.TinyOptions(4, 4, (1, 1, 1, 0), (0, 1, 1, 1), crop=8)
        monkeypatch.setattr(tiny_autoencoder, "TinyOptions", lambda: small)
        paths = distillation.DistillationOptions(steps=3)
        assert len(list(distillation.follow_paths(work, 3, paths, batch=2).iterdir())) == 2
        for steps in (1, 3):
            loop = LoopOptions(minutes=5, rate=1e-3, batch=2, max_steps=steps)
            assert steps_of(tiny_autoencoder.train(work, loop)) == steps
            assert steps_of(distillation.train(work, loop, paths)) == steps
        slow = load_model(str(export.export(work, work / "slow", slow=True)), device="cpu")
        assert slow.defaults.steps == 15
        folder = export.export(work, work / "model")
        loop = LoopOptions(minutes=5, rate=1e-3, batch=2, max_steps=4)
        assert steps_of(tiny_autoencoder.train(work, loop, begin=folder)) == 4
        absent = dict.fromkeys(("text_encoder", "tokenizer", "safety_checker"))
        pipe = StableDiffusionPipeline.from_pretrained(folder, **absent, requires_safety_checker=False)
        assert load_model(str(folder), device="cpu").sound_encoder is not None
        pipe.set_progress_bar_config(disable=True)
        rows = torch.zeros(1, 77, 768)
        picture = pipe(
            prompt_embeds=rows,
            negative_prompt_embeds=rows,
            num_inference_steps=2,
            height=64,
            width=64,
            output_type="np",
        ).images
    assert picture.shape == (1, 64, 64, 3)
    assert np.isfinite(picture).all()
