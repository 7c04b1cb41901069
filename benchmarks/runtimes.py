"""Measure what runs the embedded model's networks fastest on this CPU.

    python -m benchmarks.runtimes

ONNX Runtime is no dependency: `pip install --target FOLDER onnxruntime onnx`, then PYTHONPATH=FOLDER.
One call of the UNet and one of the decoder by torch as the program uses it, with channels last, traced and
frozen by TorchScript, and by ONNX Runtime where it can be imported. The ways take turns; the table gives the
median and the extremes of milliseconds of wall clock, the median of processor time, which other programs on
the machine disturb less, and the largest difference from what plain torch gives.
"""

from __future__ import annotations

import argparse
import copy
import io
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from sound_diffusion.model.load import load_model

Call = Callable[[], np.ndarray]


class Network(torch.nn.Module):
    """A part of a pipeline as a function of tensors alone."""

    def __init__(self, network: torch.nn.Module, method: str = "forward") -> None:
        super().__init__()
        self.network, self.method = network, method

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        """Return the first result."""
        return getattr(self.network, self.method)(*tensors, return_dict=False)[0]


class Encoder(torch.nn.Module):
    """The encoder of a VAE, whose result is a tensor by itself."""

    def __init__(self, encoder: torch.nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the moments."""
        return self.encoder(pixels)


def by_torch(network: torch.nn.Module, inputs: list[torch.Tensor]) -> Call:
    """Call a network as it is."""

    def call() -> np.ndarray:
        with torch.inference_mode():
            return network(*inputs).numpy()

    return call


def channels_last(network: torch.nn.Module, inputs: list[torch.Tensor]) -> Call:
    """Call a copy of a network whose weights and pictures have their channels last in memory."""
    turned = copy.deepcopy(network).to(memory_format=torch.channels_last)
    given = [
        each.contiguous(memory_format=torch.channels_last) if each.ndim == 4 else each for each in inputs
    ]
    return by_torch(turned, given)


def by_torchscript(network: torch.nn.Module, inputs: list[torch.Tensor]) -> Call:
    """Call a network that TorchScript has traced, frozen and optimized."""
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frozen = torch.jit.optimize_for_inference(torch.jit.trace(network, inputs, check_trace=False).eval())
    return by_torch(frozen, inputs)


def by_onnx(network: torch.nn.Module, inputs: list[torch.Tensor], threads: int) -> Call:
    """Call a network that ONNX Runtime has taken over."""
    import onnxruntime

    file, names = io.BytesIO(), [f"input{index}" for index in range(len(inputs))]
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network, tuple(inputs), file, input_names=names, dynamo=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
    given = {name: each.numpy() for name, each in zip(names, inputs, strict=True)}
    return lambda: session.run(None, given)[0]


def ways(network: torch.nn.Module, inputs: list[torch.Tensor], threads: int) -> dict[str, Call]:
    """Return all ways to call a network that there are here."""
    calls = {
        "torch": by_torch(network, inputs),
        "torch, channels last": channels_last(network, inputs),
        "TorchScript, frozen": by_torchscript(network, inputs),
    }
    try:
        calls["ONNX Runtime"] = by_onnx(network, inputs, threads)
    except ImportError as error:
        print(f"without ONNX Runtime: {error}")
    return calls


def measure(calls: dict[str, Call], repeats: int) -> dict[str, list[tuple[float, float]]]:
    """Return milliseconds of wall clock and of processor time of calls in turn."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(repeats):
        for name, call in calls.items():
            wall, processor = time.perf_counter(), time.process_time()
            call()
            taken[name].append(
                ((time.perf_counter() - wall) * 1000, (time.process_time() - processor) * 1000)
            )
    return taken


def networks(model: Any) -> dict[str, tuple[torch.nn.Module, list[torch.Tensor]]]:
    """Return the networks of a model with inputs of their shapes."""
    pipeline, size = model.pipeline, model.defaults.height // 8
    latents = torch.randn(1, 4, size, size, generator=torch.Generator().manual_seed(0))
    states = torch.randn(1, 77, model.width, generator=torch.Generator().manual_seed(1))
    pixels = torch.rand(1, 3, 8 * size, 8 * size, generator=torch.Generator().manual_seed(2)) * 2 - 1
    return {
        "UNet": (Network(pipeline.unet), [latents, torch.tensor(500), states]),
        "decoder": (Network(pipeline.vae, "decode"), [latents]),
        "encoder": (Encoder(pipeline.vae.encoder), [pixels]),
    }


def main() -> None:
    """Print a table for every number of threads."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="models/cymatics", help="(default: models/cymatics)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="(default: 1 2)")
    parser.add_argument("--repeats", type=int, default=10, help="calls of each way (default: 10)")
    args = parser.parse_args()
    model = load_model(args.model, device="cpu", precision="full")
    print("| network | threads | way | ms (least-most) | processor ms | difference |")
    print("| --- | ---: | --- | ---: | ---: | ---: |")
    for threads in args.threads:
        torch.set_num_threads(threads)
        for name, (network, inputs) in networks(model).items():
            calls = ways(network.eval(), inputs, threads)
            plain = calls["torch"]()
            for way, taken in measure(calls, args.repeats).items():
                walls, processors = zip(*taken, strict=True)
                cell = f"{statistics.median(walls):.0f} ({min(walls):.0f}-{max(walls):.0f})"
                difference = float(np.abs(calls[way]() - plain).max())
                print(
                    f"| {name} | {threads} | {way} | {cell} | {statistics.median(processors):.0f} "
                    f"| {difference:.1e} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
