"""ONNX Runtime in the place of torch, for the UNet and the decoder of the embedded model on a CPU.

It takes half of the processors' time (docs/experiments.md), and is used where it is installed, with the
package `onnx` that torch writes its files with. They hold one size each, that which the model declares; what
else is painted is computed by torch.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from sound_diffusion.constants import N_ROWS, RUNTIMES
from sound_diffusion.errors import ParameterError

PACKAGES = ("onnxruntime", "onnx")


def choose_runtime(runtime: str, *, suitable: bool) -> str:
    """Say what computes the networks, ``torch`` or ``onnx``.

    Parameters
    ----------
    runtime : {"auto", "torch", "onnx"}
    suitable : bool
        Whether model, device and options allow ONNX Runtime.

    Raises
    ------
    ParameterError
        If ONNX Runtime is wanted, and is not there or not suitable.
    """
    if runtime not in RUNTIMES:
        raise ParameterError(f"runtime {runtime!r}", f"one of {', '.join(RUNTIMES)}")
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if runtime == "onnx" and missing:
        raise ParameterError(f"--runtime onnx: {missing[0]} is not installed", "pip install onnxruntime onnx")
    if runtime == "onnx" and not suitable:
        raise ParameterError("--runtime onnx", "the embedded model as it is, in full precision on a CPU")
    return "onnx" if runtime != "torch" and suitable and not missing else "torch"


def take_over(pipeline: Any, size: int, key: str) -> None:
    """Have ONNX Runtime compute the UNet and the decoder of a pipeline, for one picture of a size.

    Parameters
    ----------
    pipeline : diffusers.StableDiffusionPipeline
        On the CPU, in float32; changed in place.
    size : int
        Height and width in pixels.
    key : str
        Of the weights: what they are kept by in the cache of the user.
    """
    side = size // pipeline.vae_scale_factor
    unet, decoder = pipeline.unet, pipeline.vae.decoder
    latents = torch.zeros(1, unet.config.in_channels, side, side)
    states = torch.zeros(1, N_ROWS, unet.config.cross_attention_dim)
    name = f"{key}-{size}-torch{torch.__version__}"
    of_unet = _session(_UNet(unet), [latents, torch.tensor(500.0), states], f"{name}-unet")
    of_decoder = _session(decoder, [latents], f"{name}-decoder")
    unet.forward = _OnnxUNet(unet.forward, of_unet, latents)
    decoder.forward = _OnnxDecoder(decoder.forward, of_decoder, latents)


class _UNet(torch.nn.Module):
    """A UNet as a function of tensors alone."""

    def __init__(self, unet: torch.nn.Module) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.unet(*tensors, return_dict=False)[0]
        return result


class _Taken:
    """The forward function of a network that a session takes over, for inputs of one shape."""

    def __init__(self, forward: Callable[..., Any], session: Any, like: torch.Tensor) -> None:
        self._forward, self._session, self._shape = forward, session, like.shape

    def fits(self, sample: torch.Tensor) -> bool:
        """Whether the session computes what is asked for."""
        return sample.shape == self._shape and sample.dtype == torch.float32 and not torch.is_grad_enabled()

    def run(self, *tensors: torch.Tensor) -> torch.Tensor:
        """Compute with the session."""
        arrays = [each.contiguous().numpy() for each in tensors]
        given = {f"input{number}": array for number, array in enumerate(arrays)}
        return torch.from_numpy(self._session.run(None, given)[0])


class _OnnxUNet(_Taken):
    def __call__(self, sample: torch.Tensor, timestep: Any, *args: Any, **options: Any) -> Any:
        others = {name: value for name, value in options.items() if value is not None}
        if args or others.keys() != {"encoder_hidden_states", "return_dict"} or others["return_dict"]:
            return self._forward(sample, timestep, *args, **options)
        if not self.fits(sample):
            return self._forward(sample, timestep, **options)
        moment = torch.as_tensor(timestep, dtype=torch.float32).reshape(())
        return (self.run(sample, moment, others["encoder_hidden_states"]),)


class _OnnxDecoder(_Taken):
    def __call__(self, sample: torch.Tensor, *args: Any, **options: Any) -> Any:
        if args or options or not self.fits(sample):
            return self._forward(sample, *args, **options)
        return self.run(sample)


def _session(network: torch.nn.Module, inputs: Sequence[torch.Tensor], name: str) -> Any:
    """Open a session of a network that has as many threads as torch, which sleep while they wait."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    file = _cache_folder() / f"{name}.onnx"
    if not file.exists():
        try:
            _write(network, inputs, file)
        except OSError:  # nowhere to keep it
            with tempfile.TemporaryDirectory() as folder:
                _write(network, inputs, Path(folder) / file.name)
                return _open(Path(folder) / file.name, options)
    return _open(file, options)


def _open(file: Path, options: Any) -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sound_diffusion"


def _write(network: torch.nn.Module, inputs: Sequence[torch.Tensor], file: Path) -> None:
    """Write a network as ONNX; it appears under its name when it is whole."""
    file.parent.mkdir(parents=True, exist_ok=True)
    names = [f"input{number}" for number in range(len(inputs))]
    descriptor, part = tempfile.mkstemp(suffix=".part", dir=file.parent)
    try:
        os.close(descriptor)
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what tracing takes for granted
            torch.onnx.export(network, tuple(inputs), part, input_names=names, dynamo=False)
        Path(part).replace(file)
    finally:
        Path(part).unlink(missing_ok=True)
