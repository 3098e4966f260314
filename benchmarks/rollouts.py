"""Sampling beside transformers' `generate`, on one thread: `python benchmarks/rollouts.py [lab] [smollm2] [avg16]`.

`lab` unless others are named: `smollm2` takes an hour or two, most of it `generate`'s, and `avg16` half an hour.
`generate` draws as TRL calls it, with the prompts of a batch padded on the left. `avg16` is an evaluation: 16 responses
to each prompt, and prompts of as different lengths as those of MATH-500.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from timing import compare, processor

from presat.models import load_model_and_tokenizer, make_lab_model
from presat.rollouts import make_engine, seed_for
from presat.tasks import load_problems
from presat.types import Problem, Sampling

GROUP, PROMPTS, NEW_TOKENS = 8, 8, 40


def engine_work(
    model: Any,
    tokenizer: Any,
    problems: list[Problem],
    kind: str,
    group: int = GROUP,
    tokens: int = NEW_TOKENS,
) -> Callable[[], float]:
    engine = make_engine(model, tokenizer, kind)
    seeds = [seed_for(0, i) for i in range(len(problems))]
    sampling = Sampling(1.0, tokens, 1024)

    def work() -> float:
        groups = engine.generate(problems, group, sampling, seeds)
        return float(sum(len(c.token_ids) for group in groups for c in group.completions))

    return work


def generate_work(
    model: Any,
    tokenizer: Any,
    problems: list[Problem],
    group: int = GROUP,
    tokens: int = NEW_TOKENS,
    rows: int | None = None,
) -> Callable[[], float]:
    """Draw with `generate`, at most `rows` responses at once, all of them if None."""
    prompts = [tokenizer.apply_chat_template(p.messages, tokenize=False, add_generation_prompt=True) for p in problems]
    size = max(1, rows // group) if rows else len(prompts)
    batches = [prompts[first : first + size] for first in range(0, len(prompts), size)]

    def work() -> float:
        return sum(_generated(model, tokenizer, batch, group, tokens) for batch in batches)

    return work


def _generated(model: Any, tokenizer: Any, prompts: list[str], group: int, tokens: int) -> float:
    batch = tokenizer(prompts, return_tensors="pt", padding=True, padding_side="left", add_special_tokens=False)
    batch.pop("token_type_ids", None)
    with torch.inference_mode():
        out = model.generate(
            **batch,
            do_sample=True,
            top_k=0,
            top_p=1.0,
            temperature=1.0,
            max_new_tokens=tokens,
            num_return_sequences=group,
            pad_token_id=tokenizer.pad_token_id,
        )
    new = out[:, batch["input_ids"].shape[1] :]
    ended = (new == tokenizer.eos_token_id).int()
    return float(torch.where(ended.any(1), ended.argmax(1) + 1, new.shape[1]).sum())


def sums(count: int, lengths: tuple[int, ...] = (0,)) -> list[Problem]:
    """Questions for a real model; `lengths` are words of a story before them, taken in turns."""
    messages = []
    for i in range(count):
        story = "Ann has apples and gives some away. " * (lengths[i % len(lengths)] // 7)
        text = f"{story}What is {17 + i} * {6 + i} - {12 + i}? Think step by step."
        messages.append(({"role": "user", "content": text},))
    return [Problem(f"sum-{i}", message, None, "math", "math") for i, message in enumerate(messages)]


MATH_WORDS = (21, 51, 6, 28, 16, 78, 12, 24, 42, 33)
"""Words of MATH-500's questions at every tenth of their order, mixed."""


def compare_lab() -> None:
    problems = load_problems("lab/chains", count=8 * PROMPTS, operands=[6, 8])
    with tempfile.TemporaryDirectory() as folder:
        model, tokenizer = load_model_and_tokenizer(str(make_lab_model(Path(folder) / "lab", seed=0)))
        model.eval()
        for prompts in (PROMPTS, 8 * PROMPTS):
            compare(
                f"Response tokens of the lab model, {prompts} prompts x {GROUP}, at most {NEW_TOKENS} tokens",
                {
                    "presat, small-model engine": engine_work(model, tokenizer, problems[:prompts], "small"),
                    "presat, general engine": engine_work(model, tokenizer, problems[:prompts], "transformers"),
                    "transformers, generate": generate_work(model, tokenizer, problems[:prompts]),
                },
            )


def compare_smollm2() -> None:
    model, tokenizer = load_model_and_tokenizer("smollm2-135m")
    model.eval()
    for prompts, tokens in ((8, 100), (64, 128)):
        problems = sums(prompts)
        compare(
            f"Response tokens of SmolLM2-135M, {prompts} prompts x {GROUP}, at most {tokens} tokens",
            {
                "presat, small-model engine": engine_work(model, tokenizer, problems, "small", GROUP, tokens),
                "transformers, generate": generate_work(model, tokenizer, problems, GROUP, tokens),
            },
        )


def compare_avg16() -> None:
    model, tokenizer = load_model_and_tokenizer("smollm2-135m")
    model.eval()
    problems = sums(20, MATH_WORDS)
    compare(
        "Evaluation, SmolLM2-135M, 20 prompts as long as MATH-500's x 16, at most 64 tokens",
        {
            "presat, small-model engine": engine_work(model, tokenizer, problems, "small", 16, 64),
            "transformers, generate(num_return_sequences=16)": generate_work(model, tokenizer, problems, 16, 64, 256),
        },
    )


WORKS = {"lab": compare_lab, "smollm2": compare_smollm2, "avg16": compare_avg16}


def main(names: Sequence[str] = ()) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"\nOne thread, float32, {processor()}")
    for name in names or ("lab",):
        WORKS[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
