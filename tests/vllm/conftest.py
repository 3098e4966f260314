"""Models that vLLM samples. vLLM starts once a model and session: every start costs ten seconds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from presat.models import load_model_and_tokenizer, make_lab_model
from presat.rollouts import make_engine
from presat.types import Problem

os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB for each of up to seven that stay until a file's tests end


@pytest.fixture(scope="session")
def lab_folder(tmp_path_factory) -> Path:
    return make_lab_model(tmp_path_factory.mktemp("lab"), seed=0)


@pytest.fixture(scope="session")
def lab(lab_folder):
    """The lab's model with peaked weights, its tokenizer and vLLM; heads are 32 wide, the head is not tied."""
    torch.set_num_threads(1)
    model, tokenizer = load_model_and_tokenizer(str(lab_folder))
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.mul_(8)
    return model, tokenizer, make_engine(model, tokenizer, "vllm")


@pytest.fixture(scope="session")
def smollm():
    """SmolLM2-135M, its tokenizer and vLLM; the head is tied to the embedding."""
    torch.set_num_threads(1)
    model, tokenizer = load_model_and_tokenizer("smollm2-135m")
    assert model.lm_head.weight is model.model.embed_tokens.weight
    return model, tokenizer, make_engine(model, tokenizer, "vllm")


@pytest.fixture(scope="session")
def lab_problems() -> list[Problem]:
    texts = ["7 a +3 b -2", "1", "12 a +1 b +1 c -4 d +2", "3 a +3", "19 a -5 b -5 c -5"]
    return [Problem(f"p{i}", ({"role": "user", "content": t},), "8", "lab", "lab") for i, t in enumerate(texts)]


@pytest.fixture(scope="session")
def questions() -> list[Problem]:
    texts = ["What is 17 * 6 - 12?", "Name the capital of France.", "What is the gcd of 12 and 18?"]
    return [Problem(f"q{i}", ({"role": "user", "content": t},), "90", "math", "math") for i, t in enumerate(texts)]
