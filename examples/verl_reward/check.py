"""Puts presat through verl's own loader and reward manager; needs verl (0.9.1) beside presat, no GPU, no model.

python check.py
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import torch
from omegaconf import OmegaConf
from verl import DataProto
from verl.trainer.ppo.reward import load_reward_manager

RESPONSES = {r"\boxed{1/2}": (1, 0), r"<think>a</think>\boxed{\frac12}": (1, 1), r"\boxed{3}": (0, 0), "1/2": (0, 0)}
"""A response to a question whose answer is 0.5, and its reward without and with the gate."""


class Letters:
    """A tokenizer whose tokens are characters."""

    def decode(self, ids: torch.Tensor, skip_special_tokens: bool) -> str:
        del skip_special_tokens
        return "".join(chr(int(i)) for i in ids)


def rewards(path: str, name: str) -> list[float]:
    settings = {
        "custom_reward_function": {"path": path, "name": name, "reward_kwargs": {}},
        "reward_manager": {"source": "register", "name": "naive"},
        "num_workers": 1,
    }
    manager = load_reward_manager(OmegaConf.create({"reward": settings}), Letters())
    return [asyncio.run(_reward(manager, response)) for response in RESPONSES]


async def _reward(manager, response: str) -> float:
    manager.loop = asyncio.get_running_loop()
    ids = torch.tensor([[ord(letter) for letter in response]])
    row = {"data_source": "math", "reward_model": {"ground_truth": '["0.5"]'}, "extra_info": {"index": 1}}
    columns = {key: np.array([value], dtype=object) for key, value in row.items()}
    data = DataProto.from_dict({"responses": ids, "attention_mask": torch.ones_like(ids)}, non_tensors=columns)
    return (await manager.run_single(data))["reward_score"]


if __name__ == "__main__":
    own = str(Path(__file__).with_name("reward.py"))
    for column, path, name in (
        (0, own, "compute_score"),
        (0, "pkg://presat.rewards.verl", "compute_score"),
        (1, own, "compute_gated_score"),
    ):
        found, expected = rewards(path, name), [pair[column] for pair in RESPONSES.values()]
        if found != expected:
            raise SystemExit(f"{path}:{name} gave {found}, not {expected}.")
        print(f"{path}:{name} gives what it should: {found}")
