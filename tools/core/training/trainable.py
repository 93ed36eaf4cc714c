"""Which weights of an image-text model a fine-tune changes.

| choice | trains |
| --- | --- |
| projection | the linear maps from the towers into the common space, nothing else |
| last_layers | those, the last block of each tower, and the norms and heads after it |
| lora | low-rank adapters beside every linear and convolution layer (PEFT), merged into the weights at the end |
| all | every weight |
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Literal, get_args

from tools.core.errors import ModelError

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer
    from torch import nn

Trainable = Literal["projection", "last_layers", "lora", "all"]
CHOICES: tuple[str, ...] = get_args(Trainable)
BLOCK_LISTS = ("layers", "layer", "stages", "blocks")  # how transformers calls the list of a tower's blocks
AFTER_BLOCKS = ("post_layernorm", "final_layer_norm", "vision_model.head", "text_model.head", "model.layernorm")
LORA_RANK = 16


@dataclasses.dataclass(frozen=True)
class ParameterCount:
    """How many weights are trained, of how many."""

    trained: int
    total: int

    def __str__(self) -> str:
        """Say it in a few words."""
        return f"{self.trained:,} of {self.total:,} weights"


def choose_trainable(model: SentenceTransformer, choice: Trainable, seed: int = 42) -> ParameterCount:
    """Let only the chosen weights be trained; for `lora` the adapters are added to the model.

    Raises:
        ModelError: The model has no weights of that kind.
    """
    total = sum(parameter.numel() for parameter in model.parameters())
    if choice == "lora":
        _add_adapters(model, seed)
    else:
        names = _names(model, choice)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name in names)
    return ParameterCount(sum(p.numel() for p in trained(model).values()), total)


def trained(model: nn.Module) -> dict[str, torch.nn.Parameter]:
    """Return the parameters that are trained, by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def projection_names(model: nn.Module) -> set[str]:
    """Return the names of the weights that map a tower's output into the common space.

    As published for CLIP: every weight whose name contains "projection". A sentence-transformers `Dense` module does
    the same work in models that are joined from two towers.
    """
    from sentence_transformers.sentence_transformer.modules import Dense

    dense = tuple(f"{name}." for name, module in model.named_modules() if isinstance(module, Dense))
    return {n for n, _ in model.named_parameters() if "projection" in n or (dense and n.startswith(dense))}


def set_training_mode(model: nn.Module) -> None:
    """Turn dropout on where something is trained; frozen parts and the statistics of batch norms stay as they are."""
    from torch.nn.modules.batchnorm import _BatchNorm

    model.training = True
    for child in model.children():
        parameters = list(child.parameters())
        frozen = bool(parameters) and not any(parameter.requires_grad for parameter in parameters)
        if frozen or isinstance(child, _BatchNorm):
            child.eval()
        else:
            set_training_mode(child)


def merge_adapters(model: nn.Module) -> None:
    """Add what the adapters learned to the weights and remove them; without adapters nothing changes."""
    from peft.tuners.lora import LoraLayer

    for name, module in list(model.named_modules()):
        if isinstance(module, LoraLayer):
            layer: Any = module
            layer.merge()
            parent, _, attribute = name.rpartition(".")
            setattr(model.get_submodule(parent), attribute, layer.base_layer)


def _names(model: nn.Module, choice: Trainable) -> set[str]:
    everything = {name for name, _ in model.named_parameters()}
    if choice == "all":
        return everything
    names = projection_names(model)
    if choice == "projection":
        if not names:
            raise ModelError(
                "This model has no projection between its towers and the common space; choose trainable last_layers, "
                "lora or all"
            )
        return names
    blocks = _last_blocks(model)
    if not blocks:
        raise ModelError("The blocks of this model's towers were not found; choose trainable projection, lora or all")
    after = {name for name in everything if any(part in name for part in AFTER_BLOCKS)}
    return names | after | {name for name in everything if name.startswith(tuple(f"{block}." for block in blocks))}


def _last_blocks(model: nn.Module) -> list[str]:
    """Return the name of the last block of every outermost list of blocks."""
    from torch.nn import ModuleList

    lists = [
        name
        for name, module in model.named_modules()
        if isinstance(module, ModuleList) and len(module) and name.rpartition(".")[2] in BLOCK_LISTS
    ]
    outermost = [name for name in lists if not any(name.startswith(f"{other}.") for other in lists)]
    return [f"{name}.{len(model.get_submodule(name)) - 1}" for name in outermost]  # type: ignore[arg-type]


def _add_adapters(model: nn.Module, seed: int) -> None:
    """Add adapters to every tower; a projection that stands outside them is trained as it is."""
    import torch
    from peft import LoraConfig, inject_adapter_in_model
    from transformers import PreTrainedModel

    towers = {name: module for name, module in model.named_modules() if isinstance(module, PreTrainedModel)}
    towers = {name: tower for name, tower in towers.items() if not any(name.startswith(f"{o}.") for o in towers)}
    outside = {name for name in projection_names(model) if not name.startswith(tuple(f"{tower}." for tower in towers))}
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in outside)
    torch.manual_seed(seed)
    for tower in towers.values():
        targets = [
            name
            for name, module in tower.named_modules()
            if isinstance(module, torch.nn.Linear | torch.nn.Conv2d) and getattr(module, "groups", 1) == 1
        ]
        inject_adapter_in_model(LoraConfig(r=LORA_RANK, lora_alpha=LORA_RANK, target_modules=targets), tower)
