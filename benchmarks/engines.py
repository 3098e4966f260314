"""Response tokens per second of vLLM, presat's engines and transformers' `generate`: `make bench-vllm`.

Only in the environment that has vLLM. Each model is sampled by all of them in turns, in one process, on one thread.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from timing import compare

from presat.models import load_model_and_tokenizer, make_lab_model
from presat.tasks import load_problems
from presat.types import Problem
from rollouts import GROUP, NEW_TOKENS, PROMPTS, engine_work, generate_work


def sums(count: int) -> list[Problem]:
    """Questions for a real model: short, and answered at some length."""
    texts = [f"What is {17 + i} * {6 + i} - {12 + i}? Think step by step." for i in range(count)]
    return [
        Problem(f"sum-{i}", ({"role": "user", "content": text},), None, "math", "math") for i, text in enumerate(texts)
    ]


def compare_engines(title: str, name: str, problems: list[Problem], rounds: int) -> None:
    model, tokenizer = load_model_and_tokenizer(name)
    model.eval()
    compare(
        f"Response tokens of {title}, {PROMPTS} prompts x {GROUP}, at most {NEW_TOKENS} tokens, float32, one thread",
        {
            "vLLM": engine_work(model, tokenizer, problems, "vllm"),
            "presat, small-model engine": engine_work(model, tokenizer, problems, "small"),
            "presat, general engine": engine_work(model, tokenizer, problems, "transformers"),
            "transformers, generate": generate_work(model, tokenizer, problems),
        },
        rounds,
    )


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        lab = str(make_lab_model(Path(folder) / "lab", seed=0))
        compare_engines("the lab model", lab, load_problems("lab/chains", count=PROMPTS, operands=[6, 8]), rounds=7)
    compare_engines("SmolLM2-135M", "smollm2-135m", sums(PROMPTS), rounds=3)


if __name__ == "__main__":
    main()
