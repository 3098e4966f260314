"""Tiny random models behind the lab's tokenizer: enough to hold an engine to the Hugging Face model's own numbers."""

from __future__ import annotations

import pytest
from tests.device import DEVICE

from presat.models.lab import lab_tokenizer
from presat.types import Problem

SMALL = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 512,
}
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}


def build(kind: str, tokenizer, dtype: str = "float32"):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(3)
    ids = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    size = {**SMALL, **ids, "vocab_size": len(tokenizer), "dtype": getattr(torch, dtype)}
    if kind == "llama":
        model = LlamaForCausalLM(LlamaConfig(**size, tie_word_embeddings=False))
    elif kind == "llama-gqa":
        config = LlamaConfig(
            **size, num_key_value_heads=2, head_dim=24, rope_parameters=LLAMA3_ROPE, tie_word_embeddings=True
        )
        model = LlamaForCausalLM(config)
    else:
        model = Qwen2ForCausalLM(Qwen2Config(**size, num_key_value_heads=2))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim == 1:  # norms and biases start at 1 and 0, where a mix-up would not show
                weight.add_(0.3 * torch.randn_like(weight))
            else:
                weight.mul_(4 if "lm_head" in name or "embed" in name else 2)
    return model.to(DEVICE, getattr(torch, dtype)).eval()


@pytest.fixture(scope="session")
def tokenizer():
    return lab_tokenizer()


@pytest.fixture(scope="session", params=["llama", "llama-gqa", "qwen2"])
def model(request, tokenizer):
    return build(request.param, tokenizer)


@pytest.fixture(scope="session")
def llama(tokenizer):
    return build("llama", tokenizer)


@pytest.fixture(scope="session")
def problems() -> list[Problem]:
    texts = ["7 a +3 b -2", "1", "12 a +1 b +1 c -4 d +2", "3 a +3", "19 a -5 b -5 c -5"]
    return [Problem(f"p{i}", ({"role": "user", "content": t},), "8", "lab", "lab") for i, t in enumerate(texts)]
