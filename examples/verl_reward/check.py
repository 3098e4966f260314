"""Puts presat through verl's own data set and reward manager; needs verl (0.9.1) beside presat, no GPU, no model.

python check.py
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path

import numpy as np
import torch
from omegaconf import OmegaConf
from verl import DataProto
from verl.trainer.ppo.reward import load_reward_manager
from verl.utils.dataset.rl_dataset import RLHFDataset, collate_fn

from presat import load_problems
from presat.tasks import save_problems

RESPONSES = {r"\boxed{1/2}": (1, 0), r"<think>a</think>\boxed{\frac12}": (1, 1), r"\boxed{3}": (0, 0), "1/2": (0, 0)}
"""A response to a question whose answer is 0.5, and its reward without and with the gate."""
QUESTIONS = (
    {"question": "What is 1 + 1?", "answer": 2},
    {"question": "Which is even?", "options": ["three", "four"], "answer_letter": "B"},
)
MADE = {"lab/chains": "{gold} + 0", "reasoning_gym/quantum_lock": "{gold} → A", "questions.jsonl": "none of these"}
"""Sources whose rows `presat data` writes itself, and what is wrong by their own verifier."""


class Letters:
    """A tokenizer whose tokens are characters."""

    def decode(self, ids: torch.Tensor, skip_special_tokens: bool) -> str:
        del skip_special_tokens
        return "".join(chr(int(i)) for i in ids)


def manager_of(path: str, name: str):
    settings = {
        "custom_reward_function": {"path": path, "name": name, "reward_kwargs": {}},
        "reward_manager": {"source": "register", "name": "naive"},
        "num_workers": 1,
    }
    return load_reward_manager(OmegaConf.create({"reward": settings}), Letters())


async def reward(manager, response: str, row: dict) -> float:
    manager.loop = asyncio.get_running_loop()
    ids = torch.tensor([[ord(letter) for letter in response]])
    columns = {key: np.array([row[key]], dtype=object) for key in ("data_source", "reward_model", "extra_info")}
    data = DataProto.from_dict({"responses": ids, "attention_mask": torch.ones_like(ids)}, non_tensors=columns)
    return (await manager.run_single(data))["reward_score"]


def check_rewards() -> None:
    """One row by hand, with and without the gate."""
    row = {"data_source": "math", "reward_model": {"ground_truth": '["0.5"]'}, "extra_info": {"index": 1}}
    own = str(Path(__file__).with_name("reward.py"))
    for column, path, name in (
        (0, own, "compute_score"),
        (0, "pkg://presat.rewards.verl", "compute_score"),
        (1, own, "compute_gated_score"),
    ):
        manager = manager_of(path, name)
        found = [asyncio.run(reward(manager, response, row)) for response in RESPONSES]
        expected = [pair[column] for pair in RESPONSES.values()]
        if found != expected:
            raise SystemExit(f"{path}:{name} gave {found}, not {expected}.")
        print(f"{path}:{name} gives what it should: {found}")


def check_files(folder: Path) -> None:
    """Files as presat saves them: verl reads them, and each problem is judged by its own verifier."""
    questions = folder / "questions.jsonl"
    questions.write_text("".join(json.dumps(row) + "\n" for row in QUESTIONS))
    manager = manager_of("pkg://presat.rewards.verl", "compute_score")
    for source, wrong in MADE.items():
        problems = load_problems(questions) if source == questions.name else load_problems(source, count=4)
        path = save_problems(problems, folder / "saved.parquet")
        settings = {"cache_dir": str(folder / "cache"), "filter_overlong_prompts": False}
        rows = list(RLHFDataset(str(path), Letters(), OmegaConf.create(settings)))
        batch = collate_fn(rows)
        if batch["index"].tolist() != list(range(len(problems))):
            raise SystemExit(f"{source}: verl numbers the rows {batch['index'].tolist()}.")
        for problem, row in zip(problems, rows, strict=True):
            texts = [rf"\boxed{{{text.format(gold=problem.gold)}}}" for text in ("{gold}", wrong)]
            found = [asyncio.run(reward(manager, text, row)) for text in texts]
            if found != [1, 0]:
                raise SystemExit(f"{source}: {problem.id} gave {found} to {texts}.")
        print(f"{source}: verl reads {len(rows)} saved rows and judges them as presat does")


if __name__ == "__main__":
    check_rewards()
    with tempfile.TemporaryDirectory() as name:
        check_files(Path(name))
