"""A live model's weights as whoever samples it elsewhere needs them: whole, up to date, named as in the plain model.

The state dict, not `named_parameters`: those leave out a head tied to the embedding, and vLLM goes on with the old head
without an error. Adapters are added to the weights they adapt. What FSDP2 has split is gathered tensor by tensor, for
which all processes must go through the weights together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch.distributed.tensor import DTensor

from presat.files import usual_modes
from presat.models.libraries import saving


def whole_weights(model: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield name and value of every tensor of the model without adapters that does what `model` does now.

    Args:
        model: a transformers model, with PEFT's LoRA layers in it or without. Values may share its memory.
    """
    layers = dict(model.named_modules())
    for name, value in model.state_dict().items():
        if ".lora_" in name:
            continue
        value = (value.full_tensor() if isinstance(value, DTensor) else value).detach()
        layer, adapted, rest = name.partition(".base_layer.")
        if adapted and rest == "weight":
            value = _merged(layers[layer], value)
        yield f"{layer}.{rest}" if adapted else name, value


def _merged(layer: Any, weight: torch.Tensor) -> torch.Tensor:
    """W + scale * B A for the adapters in use, added in float32 and rounded to the type of W."""
    if layer.disable_adapters:
        return weight
    with torch.no_grad():
        change = sum(layer.get_delta_weight(adapter).float() for adapter in layer.active_adapters)
        return (weight.float() + change).to(weight.dtype)


def fingerprint(weights: Iterable[tuple[str, torch.Tensor]]) -> tuple[int, ...]:
    """Return the sum of every tensor's bits; read, because version counters miss writes through `.data`."""
    kinds = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    return tuple(int(value.view(kinds[value.element_size()]).sum()) for _, value in weights)


def save_weights(weights: Iterable[tuple[str, torch.Tensor]], folder: Path) -> None:
    """Write `folder/model.safetensors`, which any loader of Hugging Face weights reads."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    # copies: such a file holds no two tensors of one memory, as a head tied to the embedding is
    copies = {name: value.to("cpu", copy=True).contiguous() for name, value in weights}
    with saving(folder):
        save_file(copies, folder / "model.safetensors")
    usual_modes(folder)  # a server of another user reads it
