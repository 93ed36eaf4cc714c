"""Training on several GPUs as if on one: `torchrun` starts a process for each, which work on a part of every batch.

Embeddings are exchanged with their gradients before the loss, and gradients are averaged after it, so every process
makes the step that a single one would have made with the whole batch. With one process nothing happens here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def start() -> str:
    """Join the other processes, if `torchrun` started this one; return the device to work on."""
    import torch

    cuda = torch.cuda.is_available()
    if not (torch.distributed.is_available() and torch.distributed.is_torchelastic_launched()):
        return "cuda" if cuda else "cpu"
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group("nccl" if cuda else "gloo")
    if not cuda:
        return "cpu"
    device = f"cuda:{world()[0] % torch.cuda.device_count()}"  # all on one machine
    torch.cuda.set_device(device)
    return device


def world() -> tuple[int, int]:
    """Return which process this is, and of how many."""
    import torch

    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return 0, 1
    return torch.distributed.get_rank(), torch.distributed.get_world_size()


def mine(rows: Sequence[int]) -> Sequence[int]:
    """Return this process's part of a batch; what does not divide evenly is left out of the step."""
    rank, size = world()
    each = len(rows) // size
    return rows[rank * each : (rank + 1) * each]


def gather(rows: torch.Tensor) -> torch.Tensor:
    """Return the rows (batch, dimension) of all processes, in their order; gradients flow back to each."""
    import torch
    from torch.distributed.nn.functional import all_gather

    if world()[1] == 1:
        return rows
    return torch.cat(list(all_gather(rows)))  # type: ignore[no-untyped-call]  # (processes * batch, dimension)


def average(value: torch.Tensor) -> float:
    """Return the mean of a number over all processes."""
    import torch

    size = world()[1]
    if size == 1:
        return float(value)
    total = value.clone()
    torch.distributed.all_reduce(total)
    return float(total) / size


def share_gradients(weights: Iterable[torch.Tensor]) -> None:
    """Average the gradients of all processes."""
    import torch

    size = world()[1]
    if size > 1:
        for weight in weights:
            if weight.grad is not None:
                torch.distributed.all_reduce(weight.grad)
                weight.grad /= size
