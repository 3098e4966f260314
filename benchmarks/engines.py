"""Response tokens per second of vLLM, presat's engines and transformers' `generate`: `make bench-vllm`.

Only in the environment that has vLLM. Each model is sampled by all of them in turns, in one process, on one thread.
Some of the models alone: `.venv-vllm/bin/python benchmarks/engines.py smollm2 qwen`.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
from pathlib import Path

import torch
from timing import compare

from presat.errors import ModelError
from presat.models import load_model_and_tokenizer, make_lab_model
from presat.models.packaged import packaged_folder
from presat.tasks import load_problems
from presat.types import Problem
from rollouts import GROUP, NEW_TOKENS, PROMPTS, engine_work, generate_work, sums


def compare_engines(title: str, name: str, problems: list[Problem], rounds: int, dtype: str = "float32") -> None:
    model, tokenizer = load_model_and_tokenizer(name, dtype)
    model.eval()
    compare(
        f"Response tokens of {title}, {PROMPTS} prompts x {GROUP}, at most {NEW_TOKENS} tokens, {dtype}, one thread",
        {
            "vLLM": engine_work(model, tokenizer, problems, "vllm"),
            "presat, small-model engine": engine_work(model, tokenizer, problems, "small"),
            "presat, general engine": engine_work(model, tokenizer, problems, "transformers"),
            "transformers, generate": generate_work(model, tokenizer, problems),
        },
        rounds,
    )


def compare_lab() -> None:
    with tempfile.TemporaryDirectory() as folder:
        lab = str(make_lab_model(Path(folder) / "lab", seed=0))
        compare_engines("the lab model", lab, load_problems("lab/chains", count=PROMPTS, operands=[6, 8]), rounds=7)


def compare_smollm2() -> None:
    compare_engines("SmolLM2-135M", "smollm2-135m", sums(PROMPTS), rounds=3)


def compare_qwen() -> None:
    try:
        packaged_folder("qwen2.5-coder-1.5b")
    except ModelError as error:
        print(f"\nQwen2.5-Coder-1.5B is left out. {error}")
        return
    compare_engines("Qwen2.5-Coder-1.5B", "qwen2.5-coder-1.5b", sums(PROMPTS), rounds=2, dtype="bfloat16")


MODELS = {"lab": compare_lab, "smollm2": compare_smollm2, "qwen": compare_qwen}


def main(names: list[str]) -> None:
    """Compare on the models named, all when none is; each in a process of its own, because a vLLM stays in its."""
    for name in names or MODELS:
        process = multiprocessing.get_context("spawn").Process(target=run, args=(name,))
        process.start()
        process.join()
        if process.exitcode:
            sys.exit(process.exitcode)


def run(name: str) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    MODELS[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
