"""What makes networks faster, as far as that can be told without a GPU."""

import numpy as np
import pytest
import torch

from sound_diffusion.errors import ParameterError
from sound_diffusion.model import acceleration
from sound_diffusion.model import load as models
from sound_diffusion.model.acceleration import (
    MOST_GRAPHS,
    WARM_UP,
    Graphed,
    counting_on_cpu,
    one_core_left,
    speed_up,
)
from sound_diffusion.painting import paint


class Recorder:
    """Stands for CUDA: keeps what was recorded and how often each was replayed."""

    def __init__(self, error=None):
        self.error, self.recorded, self.replayed = error, [], 0

    def __call__(self, forward, arguments):
        if self.error is not None:
            raise self.error
        self.recorded.append(arguments)

        def replay(arguments):
            self.replayed += 1
            return forward(*arguments[0], **arguments[1])

        return replay


def forward(sample, time, *, states=None, extra=None, return_dict=True):
    total = sample + time + (0 if states is None else states.sum())
    return {"sample": total} if return_dict else (total,)


def call(network, *shape, **options):
    with torch.inference_mode():
        return network(torch.ones(shape), torch.tensor(2), states=torch.ones(3), **options)


def test_a_shape_that_comes_again_is_recorded():
    recorder = Recorder()
    network = Graphed(forward, recorder)
    for count in range(WARM_UP + 3):
        [result] = call(network, 2, 4, return_dict=False)
        assert torch.equal(result, torch.full((2, 4), 6.0))
        assert recorder.replayed == max(0, count + 1 - WARM_UP)
    assert len(recorder.recorded) == 1
    for _ in range(WARM_UP + 1):
        call(network, 4, 4, return_dict=False, extra={"text_embeds": torch.ones(2)})
    assert len(recorder.recorded) == 2


def test_no_more_shapes_are_recorded_than_memory_is_held_for():
    recorder = Recorder()
    network = Graphed(forward, recorder)
    for size in range(1, MOST_GRAPHS + 3):
        for _ in range(WARM_UP + 2):
            assert call(network, size, return_dict=False)[0].shape == (size,)
    assert len(recorder.recorded) == MOST_GRAPHS


def test_what_cannot_be_replayed_is_called():
    recorder = Recorder()
    network = Graphed(forward, recorder)
    for _ in range(WARM_UP + 2):
        assert set(call(network, 2)) == {"sample"}
        network(torch.ones(2), torch.tensor(1), return_dict=False)  # gradients may be wanted
    assert not recorder.recorded


def test_a_call_that_cannot_be_recorded_is_made_as_before(caplog):
    network = Graphed(forward, Recorder(RuntimeError("not permitted when stream is capturing\nmore")))
    for _ in range(WARM_UP + 3):
        [result] = call(network, 2, return_dict=False)
        assert torch.equal(result, torch.full((2,), 6.0))
    assert caplog.messages == ["no CUDA graph is used: not permitted when stream is capturing"]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("sampler", ["ddim", "plms", "euler", "dpm++", "lcm"])
def test_timesteps_on_the_cpu_are_the_same(tiny_model, sampler):
    scheduler_class = tiny_model.scheduler_class(sampler)
    plain, counting = scheduler_class(), counting_on_cpu(scheduler_class)()
    plain.set_timesteps(4, device="cpu")
    counting.set_timesteps(4, device="meta")  # where no timestep has a value
    assert torch.equal(plain.timesteps, counting.timesteps)


def test_the_blocks_that_repeat_are_compiled(tiny_model_folder, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: compiled.append(type(self).__name__))
    monkeypatch.setattr(acceleration, "_check_compiler", lambda device: None)
    models.load_model(str(tiny_model_folder), device="cpu", compiled=True)
    assert set(compiled) == {"BasicTransformerBlock"}


def test_a_machine_that_cannot_compile_says_so(tiny_model, monkeypatch):
    def compile_nothing(_function):
        raise RuntimeError("no compiler\nin a long text")

    monkeypatch.setattr(torch, "compile", compile_nothing)
    with pytest.raises(
        ParameterError, match=r"cannot compile for cpu here \(no compiler\).*leave --compile out"
    ):
        speed_up(tiny_model.pipeline, "cpu", compiled=True)


def test_channels_last_paints_the_same_picture(tiny_model):
    embedding = np.random.default_rng(0).normal(size=(77, 32)).astype(np.float32)
    settings = {"steps": 2, "guidance": 2.0, "height": 64, "width": 48}
    before = np.asarray(paint(tiny_model, embedding, **settings), dtype=int)
    for network in (tiny_model.pipeline.unet, tiny_model.pipeline.vae):
        network.to(memory_format=torch.channels_last)
    try:
        after = np.asarray(paint(tiny_model, embedding, **settings), dtype=int)
    finally:
        for network in (tiny_model.pipeline.unet, tiny_model.pipeline.vae):
            network.to(memory_format=torch.contiguous_format)
    assert np.abs(after - before).max() <= 2


@pytest.mark.parametrize(("smallest", "n_threads"), [(acceleration.LARGE_UNET, [1, 2]), (0, [2, 3])])
def test_a_small_network_leaves_a_core_to_others(tiny_model_folder, monkeypatch, smallest, n_threads):
    monkeypatch.setattr(acceleration, "LARGE_UNET", smallest)
    model, before = models.load_model(str(tiny_model_folder), device="cpu"), torch.get_num_threads()
    seen = []
    try:
        for there in (2, 3):
            torch.set_num_threads(there)
            with one_core_left(model):
                seen.append(torch.get_num_threads())
            assert torch.get_num_threads() == there
    finally:
        torch.set_num_threads(before)
    assert seen == n_threads
