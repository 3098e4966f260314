"""verl's custom reward function: this module, or any file that imports `compute_score` from it.

    reward.custom_reward_function.path=pkg://presat.rewards.verl +reward.custom_reward_function.reward_kwargs.gate=think

(verl 0.9; before, `custom_reward_function.path=FILE custom_reward_function.name=compute_score`.)

verl calls it once per response, newer versions from several threads, with the fields of its record format
(documented at verl.readthedocs.io, "Implement Reward Function for Dataset"). So it can hold no vote and does not
see the policy.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from presat.errors import ConfigError
from presat.rewards.make import make_reward
from presat.rewards.outcome import lowest_of, needs_of, votes_of
from presat.rollouts import seed_for
from presat.tasks.rows import problem_of_verl
from presat.types import Completion, Reward, RolloutGroup
from presat.verify import Mode, Verifier


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: Mapping[str, Any] | str | None = None,
    *,
    source: str = "verifiable",
    gate: str = "none",
    extraction: Mode = "auto",
    timeout_s: float = 5.0,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    **ignored: Any,
) -> dict[str, float]:
    """Reward one response.

    Args:
        data_source: the row's data source.
        solution_str: the decoded response.
        ground_truth: the gold answer, as it is or as a JSON list of one.
        extra_info: the row's `extra_info`; Reasoning Gym's metadata is found there.
        source: a reward that judges a response by itself: `verifiable`, `format_only`, `random` or the user's own.
        gate: format gate.
        extraction: how the answer is read.
        timeout_s: seconds one check may take.
        seed: seed of the random coin.
        options: further options of the source.
        ignored: what newer versions of verl pass besides.

    Returns:
        `score`, the reward; `acc`, whether the answer is right, which verl's validation reports; `missing`, 1 when the
        verifier could not decide. verl knows no missing reward, so `score` and `acc` are 0 then.

    Raises:
        ConfigError: unknown source, gate or option, a source that needs the group or the policy, or a reward of the
            user's own behind a gate that does not name its `lowest` value.
        DataError: the ground truth or the extra info is malformed.
        VerifierError: the verifier itself broke.
    """
    del ignored
    reward = _reward(source, gate, seed, extraction, json.dumps(dict(options or {}), sort_keys=True))
    row = {
        "data_source": data_source,
        "prompt": [{"role": "user", "content": ""}],
        "reward_model": {"ground_truth": ground_truth},
        "extra_info": extra_info,
    }
    problem = problem_of_verl(row, f"a response for {data_source}")
    verdict = _verifier(extraction, timeout_s).score(problem, solution_str)
    own_seed = seed_for(seed, "verl", str(ground_truth), solution_str)  # the coin falls the same for the same response
    group = RolloutGroup(problem, (), (Completion(solution_str, (), None, finished=True),), own_seed)
    value = reward(group, [verdict])[0]
    return {
        "score": 0.0 if value is None else value,
        "acc": float(verdict.value == 1.0),
        "missing": float(value is None or verdict.value is None),
    }


@cache
def _reward(source: str, gate: str, seed: int, extraction: Mode, options: str) -> Reward:
    reward = make_reward(source, gate, seed, extraction, **json.loads(options))
    if votes_of(reward) is not None or needs_of(reward):
        raise ConfigError(
            f"verl gives a custom reward one response at a time, and {source} needs the whole group or the policy's "
            "own distribution. Train with `presat train`, or with presat.training.TRLReward in TRL."
        )
    if gate != "none" and lowest_of(reward) is None:
        raise ConfigError(
            f"What fails a gate earns less than anything that passes, and verl does not show a reward the group. Give "
            f"{source} an attribute `lowest`, a value that it never goes below: what fails then earns that."
        )
    return reward


@cache
def _verifier(extraction: Mode, timeout_s: float) -> Verifier:
    return Verifier(extraction, timeout_s=timeout_s)
