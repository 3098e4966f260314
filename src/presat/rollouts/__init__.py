"""Engines that turn problems into responses.

Every draw is a function of (problem seed, response index, token position): see `draws`. Batch size, the order of the
problems and the number of processes change nothing but float noise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from presat.rollouts.draws import seed_for

if TYPE_CHECKING:
    from presat.config.schema import VllmConfig
    from presat.rollouts.batching import BatchEngine

__all__ = ["make_engine", "seed_for"]


def make_engine(
    model: Any, tokenizer: Any, kind: str = "auto", rows: int | None = None, vllm: VllmConfig | None = None
) -> BatchEngine:
    """Return the engine for a loaded model.

    Args:
        model: a Hugging Face causal language model; its weights are read anew at every `generate`.
        tokenizer: its tokenizer, with a chat template.
        kind: `small` (our decoder, Llama and Qwen2 architectures), `transformers` (any model), `vllm` or `auto`, which
            is `small` where it runs the model and the model is small (2B parameters on a CPU, else 0.5B), or
            `transformers`.
        rows: most responses decoded side by side; None takes the engine's default.
        vllm: settings of `vllm`; the defaults when None.

    Raises:
        ConfigError: an unknown kind, `small` for an architecture it cannot run, or `vllm` where it is not installed.
    """
    from presat.errors import ConfigError, nearest
    from presat.rollouts.hf import TransformersEngine
    from presat.rollouts.small import SmallEngine, unsupported

    kinds = ("auto", "small", "transformers", "vllm")
    if kind not in kinds:
        raise ConfigError(f"There is no rollout engine '{kind}'.{nearest(kind, kinds)}")
    if kind == "vllm":
        from presat.rollouts.vllm import VllmEngine

        return VllmEngine(model, tokenizer, rows, vllm)
    reason = unsupported(model)
    if kind == "small" and reason:
        raise ConfigError(f"The small engine cannot run this model: {reason}. Use engine: transformers.")
    if kind == "small" or (kind == "auto" and not reason and _small_enough(model)):
        return SmallEngine(model, tokenizer, rows=rows)
    return TransformersEngine(model, tokenizer, rows=rows)


def _small_enough(model: Any) -> bool:
    """The small engine copies the weights it fuses; up to 1.5B it was faster on a CPU, larger was not measured.

    A model on the CPU of a machine with a GPU will be moved there: the trainer does so after its engine is made.
    """
    import torch

    limit = 2e9 if model.device.type == "cpu" and not torch.cuda.is_available() else 5e8
    return sum(weight.numel() for weight in model.parameters()) <= limit
