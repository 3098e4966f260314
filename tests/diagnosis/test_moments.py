"""Reasoning and diversity along a run, from its saved responses."""

from __future__ import annotations

import json

import pytest

from presat.diagnosis import make_judge
from presat.diagnosis.moments import moments
from presat.tracking import RolloutStore, open_run
from presat.types import Completion, Problem, RolloutGroup, Score

PROMPT = "7 a +3 b -2"
SOUND = "<think> 7 a +3 10 b -2 8 </think> \\boxed{ 8 }"
GUESS = "\\boxed{ 8 }"
BROKEN = "<think> 7 a +3 11 b -2 9 </think> \\boxed{ 9 }"


def write(folder, step: int, texts: list[str], prompts: int = 2, split: str = "train", name: str = "") -> None:
    groups, scores_PG = [], []
    for p in range(prompts):
        problem = Problem(f"p{p}", ({"role": "user", "content": PROMPT},), "8", "lab", "lab")
        for seed in (0, 1):  # a small set is repeated within a step
            groups.append(RolloutGroup(problem, (1,), tuple(Completion(t, (1,), None, True) for t in texts), seed))
            scores_PG.append([Score(float("{ 8 }" in text), "8") for text in texts])
    RolloutStore(folder / "rollouts").write(split, step, groups, scores_PG, set_name=name)


def test_rates_and_diversity_by_step(make_run) -> None:
    folder = make_run()
    write(folder, 1, [SOUND, GUESS, BROKEN, BROKEN])
    write(folder, 2, [SOUND] * 4)
    first, last = moments(open_run(folder), make_judge("symbolic"), steps=[1, 2])
    assert (first.prompts, first.responses, first.judged) == (2, 16, 1.0)
    assert first.faithfulness.right.aligned == 0.5
    assert first.faithfulness.wrong.aligned == 0.0
    assert first.diversity == pytest.approx((2 * 2**0.5 - 1) / 2)  # three paths in shares 1/4, 1/4, 1/2
    assert (first.right_diversity, first.faithful_diversity) == (1.0, 0.0)
    assert last.faithfulness.all.aligned == 1.0
    assert last.faithfulness.wrong.aligned is None
    assert (last.diversity, last.faithful_diversity) == (0.0, 0.0)


def test_n_prompts_and_k_responses_and_no_more(make_run) -> None:
    folder = make_run()
    write(folder, 1, [SOUND] * 12, prompts=11)
    (found,) = moments(open_run(folder), make_judge("symbolic"), steps=[1])
    assert (found.prompts, found.responses) == (8, 8 * 16)
    (found,) = moments(open_run(folder), make_judge("symbolic"), steps=[1], prompts=3, samples=2)
    assert (found.prompts, found.responses) == (3, 6)


def test_responses_without_their_text_are_left_out(tmp_path) -> None:
    groups = [{"prompt_id": f"p{p}", "step": s, "rewards": [0.0, 1.0]} for s in (1, 2, 3) for p in range(3)]
    single = [{"prompt": PROMPT, "step": 3, "response": SOUND, "reward": 1.0}]
    file = tmp_path / "mixed.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in groups))
    assert moments(open_run(file), make_judge("symbolic")) == []
    file.write_text("".join(json.dumps(row) + "\n" for row in groups + single))
    (found,) = moments(open_run(file), make_judge("symbolic"))
    assert (found.step, found.prompts, found.responses) == (3, 1, 1)


def test_steps_are_spread_over_a_long_run(make_run) -> None:
    folder = make_run()
    for step in range(100, 141):
        write(folder, step, [SOUND], split="eval", name="extra")
    found = [moment.step for moment in moments(open_run(folder), make_judge("symbolic"), "eval", "extra")]
    assert (found[0], found[-1], len(found)) == (100, 140, 9)
