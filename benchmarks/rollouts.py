"""Sampling from the lab's model: presat's small-model engine, its general engine, and transformers' `generate`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from timing import compare

from presat.models import load_model_and_tokenizer, make_lab_model
from presat.rollouts import make_engine, seed_for
from presat.tasks import load_problems
from presat.types import Problem, Sampling

GROUP, PROMPTS, NEW_TOKENS = 8, 8, 40


def engine_work(model: Any, tokenizer: Any, problems: list[Problem], kind: str) -> Callable[[], float]:
    engine = make_engine(model, tokenizer, kind)
    seeds = [seed_for(0, i) for i in range(len(problems))]
    sampling = Sampling(1.0, NEW_TOKENS, 64)

    def work() -> float:
        groups = engine.generate(problems, GROUP, sampling, seeds)
        return float(sum(len(c.token_ids) for group in groups for c in group.completions))

    return work


def generate_work(model: Any, tokenizer: Any, problems: list[Problem]) -> Callable[[], float]:
    prompts = [tokenizer.apply_chat_template(p.messages, tokenize=False, add_generation_prompt=True) for p in problems]
    batch = tokenizer(prompts, return_tensors="pt", padding=True, padding_side="left", add_special_tokens=False)
    batch.pop("token_type_ids", None)

    def work() -> float:
        with torch.inference_mode():
            out = model.generate(
                **batch,
                do_sample=True,
                top_k=0,
                top_p=1.0,
                temperature=1.0,
                max_new_tokens=NEW_TOKENS,
                num_return_sequences=GROUP,
                pad_token_id=tokenizer.pad_token_id,
            )
        new = out[:, batch["input_ids"].shape[1] :]
        ended = (new == tokenizer.eos_token_id).int()
        lengths = torch.where(ended.any(1), ended.argmax(1) + 1, new.shape[1])
        return float(lengths.sum())

    return work


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    problems = load_problems("lab/chains", count=PROMPTS, operands=[6, 8])
    with tempfile.TemporaryDirectory() as folder:
        model, tokenizer = load_model_and_tokenizer(str(make_lab_model(Path(folder) / "lab", seed=0)))
        model.eval()
        compare(
            f"Response tokens of the lab model, {PROMPTS} prompts x {GROUP}, at most {NEW_TOKENS} tokens, one thread",
            {
                "presat, small-model engine": engine_work(model, tokenizer, problems, "small"),
                "presat, general engine": engine_work(model, tokenizer, problems, "transformers"),
                "transformers, generate": generate_work(model, tokenizer, problems),
            },
        )


if __name__ == "__main__":
    main()
