"""The processes that ``accelerate launch`` or ``torchrun`` start together: who is who, and who says what."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store

logger = logging.getLogger(__name__)

# How long one may wait for another: a film of a whole night is no reason to give up.
LONGEST_WAIT = timedelta(days=365)


class Processes:
    """What a process knows of itself and of those that were started together with it.

    Attributes
    ----------
    index : int
        In [0, count).
    count : int
    """

    def __init__(self, index: int = 0, count: int = 1, store: Store | None = None) -> None:
        self.index, self.count, self._store = index, count, store
        self._said: Counter[str] = Counter()

    @property
    def is_main(self) -> bool:
        """Whether this is the process that shows the progress bar."""
        return self.index == 0

    def first_to_say(self, text: str) -> bool:
        """Whether none of the others has said a line; what one process says twice, all together say twice."""
        if self._store is None:
            return True
        self._said[text] += 1
        digest = hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
        return int(self._store.add(f"{digest}/{self._said[text]}", 1)) == 1

    def wait(self) -> bool:
        """Wait for the others: the launcher ends all of them as soon as one has failed.

        Returns
        -------
        done : bool
            False if Ctrl-C ended the wait.
        """
        if self._store is None:
            return True
        from accelerate import PartialState

        try:
            with contextlib.suppress(RuntimeError):  # one of the others is gone
                PartialState().wait_for_everyone()
                PartialState().destroy_process_group()
        except KeyboardInterrupt:
            return False
        return True


def join() -> Processes:
    """Join the processes that were started together with this one; a process alone is one of one."""
    count = os.environ.get("WORLD_SIZE", "1")
    if "LOCAL_RANK" not in os.environ or not count.isdecimal() or int(count) < 2:
        return Processes()
    import torch
    from accelerate import PartialState
    from torch.distributed import TCPStore  # type: ignore[attr-defined]
    from torch.distributed.distributed_c10d import PrefixStore

    # gloo, since no tensors are exchanged: NCCL would take memory of every GPU.
    state = PartialState(cpu=not torch.cuda.is_available(), backend="gloo", timeout=LONGEST_WAIT)
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = PrefixStore("sound_diffusion", TCPStore(address, port, is_master=False))
    return Processes(state.process_index, state.num_processes, store)


def warn_of_lone_launch() -> None:
    """Say so where ``accelerate launch`` was told to start several processes and started one."""
    launched = {"MASTER_ADDR", "ACCELERATE_MIXED_PRECISION"} <= os.environ.keys()
    if launched and "LOCAL_RANK" not in os.environ:
        logger.warning(
            "accelerate launch has started one process; where there are no GPUs it needs --multi_gpu for more"
        )
