"""What makes the networks of a loaded model faster, and changes nothing but the last bits of a picture."""

from __future__ import annotations

import functools
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map_only

from sound_diffusion.errors import ParameterError
from sound_diffusion.model.load import LARGE_UNET

if TYPE_CHECKING:
    from sound_diffusion.model.model import Model

logger = logging.getLogger(__name__)

Arguments: TypeAlias = "tuple[tuple[Any, ...], dict[str, Any]]"
Replay: TypeAlias = "Callable[[Arguments], tuple[torch.Tensor, ...]]"

WARM_UP = 2
"""Calls of a shape that are not recorded: libraries choose algorithms and compilers compile meanwhile."""
MOST_GRAPHS = 4
"""Shapes that are recorded, as each holds memory."""


def speed_up(pipeline: Any, device: str, *, low_memory: bool = False, compiled: bool = False) -> None:
    """Prepare the networks of a pipeline that is on its device.

    Parameters
    ----------
    pipeline : diffusers.DiffusionPipeline
        Its UNet and VAE are changed in place.
    device : {"cuda", "mps", "cpu"}
    low_memory : bool
        Whether its networks move between the devices, so that no call can be recorded.
    compiled : bool
        Whether torch.compile makes kernels for the blocks that a UNet repeats. It takes seconds to minutes
        when a shape comes first; torch keeps the kernels in TORCHINDUCTOR_CACHE_DIR.

    Raises
    ------
    ParameterError
        If torch cannot compile here.
    """
    if device != "mps":
        for network in (pipeline.unet, pipeline.vae):
            network.to(memory_format=torch.channels_last)
    if compiled:
        _check_compiler(device)
        pipeline.unet.compile_repeated_blocks()
    if device == "cuda" and not low_memory:
        pipeline.unet.forward = Graphed(pipeline.unet.forward)


def _check_compiler(device: str) -> None:
    """Raise ParameterError unless torch can compile for a device, which takes a compiler of the system."""
    try:
        torch.compile(torch.sin)(torch.ones(8, device=device))
    except Exception as error:  # of many kinds, by what is not there
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ParameterError(
            f"--compile: torch cannot compile for {device} here ({reason})",
            "a C++ compiler, and triton for a GPU",
            "leave --compile out",
        ) from error


@contextmanager
def one_core_left(model: Model) -> Iterator[None]:
    """Leave one core to other threads meanwhile, where a small UNet paints on the CPU.

    It gains less from that core than what hears, decodes, saves or shows beside it. Painting with a large one
    is nearly all of the work.
    """
    n_threads = torch.get_num_threads()
    n_parameters = sum(weights.numel() for weights in model.pipeline.unet.parameters())
    leaves = model.device == "cpu" and n_parameters < LARGE_UNET
    torch.set_num_threads(max(1, n_threads - 1) if leaves else n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


@functools.cache
def counting_on_cpu(scheduler_class: Any) -> Any:
    """Derive a scheduler of diffusers that keeps its timesteps on the CPU.

    It looks at them in every step, and would each time wait until the GPU has done all it was given.
    """

    class CountingOnCpu(scheduler_class):  # type: ignore[misc]
        @functools.wraps(scheduler_class.set_timesteps)  # pipelines look up which options it takes
        def set_timesteps(self, *args: Any, device: Any = None, **options: Any) -> None:
            super().set_timesteps(*args, device="cpu", **options)

    return CountingOnCpu


class Graphed:
    """A network on a GPU whose calls are recorded as a CUDA graph for each shape, and replayed.

    The same kernels run on the same numbers. What is saved is the time that Python takes to launch them one
    by one, which at small batches is longer than a fast GPU takes to run them.

    Parameters
    ----------
    forward : callable
        Returns a tuple of tensors, if it is called with ``return_dict=False``; otherwise it is not recorded.
    record : callable
        Takes `forward` and arguments, and returns what calls it with others of their shapes.
    """

    def __init__(
        self,
        forward: Callable[..., Any],
        record: Callable[[Callable[..., Any], Arguments], Replay] | None = None,
    ) -> None:
        self._forward, self._record = forward, record or record_graph
        self._calls: Counter[Any] = Counter()
        self._replays: dict[Any, Replay] = {}

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Call the network."""
        if options.get("return_dict", True) or not torch.is_inference_mode_enabled():
            return self._forward(*args, **options)
        leaves, structure = tree_flatten((args, options))
        key = structure, *map(_kind, leaves)
        if key not in self._replays:
            self._calls[key] += 1
            if self._calls[key] <= WARM_UP or len(self._replays) == MOST_GRAPHS:
                return self._forward(*args, **options)
            self._replays[key] = self._recorded((args, options))
        return self._replays[key]((args, options))

    def _recorded(self, arguments: Arguments) -> Replay:
        """Record a call; where that cannot be done, say so, and return what calls the network as it is."""
        try:
            return self._record(self._forward, arguments)
        except RuntimeError as error:
            logger.warning("no CUDA graph is used: %s", str(error).splitlines()[0])
            return lambda arguments: self._forward(*arguments[0], **arguments[1])


def record_graph(forward: Callable[..., Any], arguments: Arguments) -> Replay:
    """Record a call on the current CUDA device, and return what replays it with other numbers."""
    # A tensor on the CPU, such as a timestep, becomes one on the GPU, where a replay can find it.
    inputs = tree_map_only(torch.Tensor, lambda tensor: tensor.to("cuda", copy=True), arguments)
    args, options = inputs
    graph = torch.cuda.CUDAGraph()
    # Other threads, which save pictures, may go on using CUDA.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        outputs = forward(*args, **options)

    def replay(arguments: Arguments) -> tuple[torch.Tensor, ...]:
        for held, given in zip(tree_leaves(inputs), tree_leaves(arguments), strict=True):
            if isinstance(held, torch.Tensor):
                held.copy_(given, non_blocking=True)
        graph.replay()
        return tuple(output.clone() for output in outputs)

    return replay


def _kind(leaf: Any) -> Any:
    """Return what of an argument decides which kernels run: of a tensor shape and kind, else the value."""
    return (tuple(leaf.shape), leaf.dtype, leaf.device) if isinstance(leaf, torch.Tensor) else leaf
