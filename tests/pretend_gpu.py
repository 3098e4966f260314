"""A GPU where there is none: tensors that say they are on one, compute on the CPU, and meet no CPU tensor.

What a GPU refuses is refused here too: an operation on tensors of two devices (single numbers may come from the CPU),
a CPU tensor indexed by the GPU's, `numpy()` without `cpu()`. What it allows stays allowed: copies between the two, and
an index that comes from the CPU. Nothing is said about kernels, speed or rounding.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_map_only

GPU = torch.device("meta")
_ANY_DEVICE = {torch.ops.aten.copy_.default, torch.ops.aten._to_copy.default}
_INDEXED = {torch.ops.aten.index.Tensor, torch.ops.aten.index_put_.default, torch.ops.aten.index_put.default}
_FACTORIES = {
    torch.tensor, torch.arange, torch.zeros, torch.ones, torch.full, torch.empty, torch.eye, torch.full_like,
    torch.zeros_like, torch.ones_like, torch.empty_like,
}  # fmt: skip
_READ = {
    torch.Tensor.item, torch.Tensor.tolist, torch.Tensor.__int__, torch.Tensor.__float__, torch.Tensor.__bool__,
    torch.Tensor.__index__,
}  # fmt: skip


class OnGpu(torch.Tensor):
    """A tensor that says it is on the GPU."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> OnGpu:
        made = torch.Tensor._make_wrapper_subclass(
            cls, held.shape, held.stride(), held.storage_offset(), dtype=held.dtype, device=GPU
        )
        made.held = held
        return made

    def __repr__(self, **_: Any) -> str:
        return f"OnGpu({self.held})"

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func is nn.functional.scaled_dot_product_attention:  # its choice of kernel asks the device itself
            _one_device(func, tree_flatten((args, kwargs or {}))[0])
            return OnGpu(func(*_held(args), **_held(kwargs or {})))
        if func in _READ:
            return func(args[0].held)
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **(kwargs or {}))

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        flat = tree_flatten((args, kwargs))[0]
        if func in _INDEXED:
            assert isinstance(args[0], cls), f"{func}: a CPU tensor is indexed by the GPU's"
        elif func not in _ANY_DEVICE:
            _one_device(func, flat)
        target = kwargs.pop("device", None)
        out = func(*_held(args), **_held(kwargs))
        if target is not None and torch.device(target).type == "cpu":
            return out.clone() if any(out is item.held for item in flat if isinstance(item, cls)) else out
        if func is torch.ops.aten.copy_.default and not isinstance(args[0], cls):
            return args[0]
        known = {id(item.held): item for item in flat if isinstance(item, cls)}
        return tree_map_only(torch.Tensor, lambda t: known.get(id(t)) if id(t) in known else cls(t), out)


def _held(tree: Any) -> Any:
    return tree_map_only(OnGpu, lambda t: t.held, tree)


def _one_device(func: Any, flat: list[Any]) -> None:
    strangers = [t for t in flat if isinstance(t, torch.Tensor) and not isinstance(t, OnGpu) and t.ndim]
    if strangers:
        raise RuntimeError(f"{func}: expected all tensors to be on the same device, but found cuda:0 and cpu")


def _is_gpu(device: Any) -> bool:
    return device is not None and not isinstance(device, torch.dtype) and torch.device(device).type == GPU.type


class PretendGpu(TorchFunctionMode):
    """While it is on, `device="cuda"` makes and moves tensors to the pretended GPU."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func in _FACTORIES and _is_gpu(kwargs.get("device")):
            kwargs.pop("device")
            return OnGpu(func(*_held(args), **kwargs))
        if func is torch.Tensor.to and not isinstance(args[0], OnGpu):
            first = args[1] if len(args) > 1 and isinstance(args[1], str | torch.device) else None
            device = kwargs.get("device", first)
            if _is_gpu(device):
                rest = [a for a in args[1:] if a is not device]
                kwargs.pop("device", None)
                return OnGpu(args[0].to(*rest, **kwargs) if rest or kwargs else args[0])
        return func(*args, **kwargs)


def move(model: nn.Module) -> Any:
    """Move a model to the pretended GPU, in place; it cannot be trained there."""
    shared: dict[int, nn.Parameter] = {}
    for module in model.modules():
        for name, weight in module._parameters.items():
            if weight is not None:
                shared.setdefault(id(weight), nn.Parameter(OnGpu(weight.detach()), requires_grad=False))
                module._parameters[name] = shared[id(weight)]
        for name, value in module._buffers.items():
            if value is not None:
                module._buffers[name] = OnGpu(value)
    return model
