"""The judge that asks the policy: what it takes for trace and answer, what it scores, and when it says nothing."""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from presat.config.schema import SelfSupportConfig
from presat.diagnosis import make_judge
from presat.diagnosis.probes import plan, quantities
from presat.diagnosis.self_support import SelfSupportJudge, combined
from presat.diagnosis.spans import AFTERWARDS, Parts, Text, take_apart
from presat.errors import ConfigError, DataError
from presat.models import load_model_and_tokenizer
from presat.models.lab import lab_tokenizer
from presat.rollouts import make_engine
from presat.rollouts.scoring import Scored, from_rows, score_rows

PROMPT = "7 a +3 b -2"
SOUND = r"<think> 7 a +3 10 b -2 8 </think> \boxed{ 8 }"
SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "judges.py"
ALL = SelfSupportConfig(corrupted=True, swapped=True, true_thinking=True)


@pytest.fixture(scope="module")
def policy(toy_model):
    return load_model_and_tokenizer(str(toy_model))


@pytest.fixture
def judge(policy):
    return SelfSupportJudge(ALL, make_engine(*policy))


def item(response, prompt=PROMPT, **more):
    return {"prompt": prompt, "response": response, **more}


def words(tokenizer, ids):
    return tokenizer.decode(list(ids))


def parts_of(response, tokenizer=None):
    tokenizer = tokenizer or lab_tokenizer()
    return take_apart(tokenizer, Text(tokenizer, tokenizer(response, add_special_tokens=False)["input_ids"]))


def test_trace_answer_and_what_leads_over_to_it_are_told_apart():
    parts, tokenizer = parts_of(SOUND), lab_tokenizer()
    ids = parts.text.ids
    assert words(tokenizer, ids[parts.trace.start : parts.trace.end]) == "7 a +3 10 b -2 8"
    assert words(tokenizer, parts.cue(parts.trace.end)) == r"</think> \boxed{"
    assert words(tokenizer, parts.answer_ids) == "8 }"
    assert [words(tokenizer, ids[a:b]) for a, b in parts.numbers(parts.trace)] == ["7", "10", "8"]


def test_nothing_that_could_be_copied_leads_over_to_the_answer():
    class Letters:
        """One token a character."""

        def decode(self, ids, **_):
            return "".join(map(chr, ids))

        def __call__(self, text, **_):
            return {"input_ids": [ord(character) for character in text]}

    def taken(text):
        tokenizer = Letters()
        parts = take_apart(tokenizer, Text(tokenizer, tokenizer(text)["input_ids"]))
        return words(tokenizer, parts.cue(parts.trace.end)), words(tokenizer, parts.answer_ids), len(parts.steps)

    assert taken("She has 3 + 4 = 7.\nThen 7 * 2 = 14. So the answer is 14.") == ("So the answer is ", "14.", 2)
    assert taken(r"It is 3 + 4 = 7, so $\boxed{7}$.") == (r", so $\boxed{", "7}", 8)
    thought = taken("<think>\nIt is 3 + 4.\n\nSo 7.\n</think>\nAs 3 + 4 = 7, it is \\boxed{7}.")
    assert thought[:2] == (r", it is \boxed{", "7}")
    inner = Letters()
    parts = take_apart(inner, Text(inner, inner("<think>One.\nTwo 2.</think>\nAs 3, it is \\boxed{7}.")["input_ids"]))
    assert words(inner, parts.cue(parts.trace.start + 2)) == r"</think>, it is \boxed{"
    assert words(inner, parts.cue(parts.trace.end)) == r", it is \boxed{"


@pytest.mark.parametrize(("response", "said"), [
    ("", "no answer"), ("<think> 7 a +3", "no answer"), (r"\boxed{ }", "no answer"),
    (r"\boxed{ 8 }", "no reasoning"), (r"<think> </think> \boxed{ 8 }", "no reasoning"),
])  # fmt: skip
def test_it_says_nothing_without_a_trace_or_an_answer(response, said, judge):
    (found,) = judge.judge([item(response)])
    assert (found.label, found.score, found.cost.tokens, found.details) == (None, None, 0, {})
    assert said in found.reason


def test_it_says_nothing_of_what_is_longer_than_the_model_was_made_for(judge):
    long = "<think> " + "7 a +3 10 " * 62 + r"</think> \boxed{ 8 }"
    found, usual = judge.judge([item(long), item(SOUND)])
    assert found.label is None
    assert "the model was made for 256" in found.reason
    assert usual.label is not None


def test_reasoning_after_the_answer_does_not_support_it(judge):
    late, between = judge.judge([item(r"\boxed{ 8 } <think> 7 a +3 10 b -2 8 </think>"), item(r"\boxed{ 8 } " + SOUND)])
    assert (late.label, late.reason) == (0.0, AFTERWARDS)
    trunk = parts_of(r"\boxed{ 8 } " + SOUND)
    assert words(lab_tokenizer(), trunk.text.ids[: trunk.trace.start]) == r"\boxed{ 8 } <think>"
    assert between.details["without"] > judge.judge([item(SOUND)])[0].details["without"]


def test_support_is_that_of_plain_forward_passes(policy, judge):
    model, tokenizer = policy
    (found,) = judge.judge([item(SOUND)])

    def alone(text):
        ids = tokenizer(f"<bos> <user> {PROMPT} <assistant> {text}", add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            logprobs = model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
        return [logprobs[place - 1, ids[place]].item() for place in range(1, len(ids))]

    after, before = sum(alone(SOUND)[-2:]) / 2, sum(alone(r"<think> </think> \boxed{ 8 }")[-2:]) / 2
    half = sum(alone(r"<think> 7 a +3 10 </think> \boxed{ 8 }")[-2:]) / 2
    assert found.details["with"] == pytest.approx(after, abs=2e-5)
    assert found.details["without"] == pytest.approx(before, abs=2e-5)
    assert found.details["with/0.5"] == pytest.approx(half, abs=2e-5)
    assert found.details["support"] == pytest.approx(after - before, abs=4e-5)
    trace = alone(SOUND)[-11:-4]
    assert found.details["trace"] == pytest.approx(sum(trace) / 7, abs=2e-5)
    assert found.details["weakest_number"] == pytest.approx(min(trace[0], trace[3], trace[6]), abs=2e-5)
    assert found.score == pytest.approx(combined(found.details))


def test_other_answers_and_other_traces_are_those_of_the_call(policy, judge):
    other = r"<think> 7 a +3 11 </think> \boxed{ 11 }"
    alone, *_ = judge.judge([item(SOUND)])
    first, _, stranger = judge.judge(
        [item(SOUND), item(other), item(r"<think> 1 a +1 2 </think> \boxed{ 2 }", "1 a +1")]
    )
    assert "contrast" not in alone.details
    assert "contrast" not in stranger.details
    assert first.details["contrast"] < 0
    assert {"other_trace", "other_problem"} <= set(first.details)
    assert "other_trace" not in stranger.details
    for name in set(alone.details) & set(first.details):  # company decides no label, and not what is changed
        assert first.details[name] == pytest.approx(alone.details[name], abs=5e-5), name
    assert first.score == pytest.approx(alone.score, abs=1e-5)


def test_batches_change_nothing(judge, policy, monkeypatch):
    items = [item(rf"<think> {i} a +1 {i + 1} </think> \boxed{{ {i + 1} }}", f"{i} a +1") for i in range(7)]
    whole = judge.judge(items)
    monkeypatch.setattr("presat.diagnosis.self_support.BATCH", 2)
    pieces = SelfSupportJudge(ALL, make_engine(*policy, rows=1)).judge(items)
    for one, other in zip(whole, pieces, strict=True):
        assert one.details == pytest.approx(other.details, abs=5e-5)
        assert one.cost == other.cost


def test_the_seed_and_nothing_else_decides_what_is_changed(policy):
    def changed(seed, response=SOUND, company=()):
        judge = SelfSupportJudge(SelfSupportConfig(corrupted=True, seed=seed), make_engine(*policy))
        return judge.judge([*company, item(response)])[-1].details["changed"]

    assert changed(1) == pytest.approx(changed(1, company=[item(r"<think> 1 2 3 </think> \boxed{ 3 }")]), abs=1e-5)
    assert len({round(changed(seed), 4) for seed in range(6)}) > 1


def test_a_step_is_changed_in_one_digit_and_tokens_are_kept():
    parts = parts_of(SOUND)
    tokenizer = lab_tokenizer()
    for seed in range(20):
        step = random.Random(seed).choice(parts.steps)
        new = parts.corrupted(step, random.Random(seed))
        old = parts.text.ids[step.start : step.end]
        if not parts.numbers(step):
            assert new is None
            continue
        differ = [(a, b) for a, b in zip(old, new, strict=True) if a != b]
        assert len(differ) == 1
        assert all(words(tokenizer, [token]).isdigit() for token in differ[0])


def test_tokens_that_were_drawn_are_scored_as_they_are(judge, policy):
    _, tokenizer = policy
    ids = tokenizer(SOUND, add_special_tokens=False)["input_ids"]
    prompt = tokenizer(f"<bos> <user> {PROMPT} <assistant>", add_special_tokens=False)["input_ids"]
    drawn = item("never read", token_ids=ids, prompt_ids=prompt)
    as_text, as_ids, other = judge.judge([item(SOUND), drawn, {**drawn, "prompt_ids": prompt[1:]}])
    assert as_ids.details == pytest.approx(as_text.details, abs=5e-5)
    assert other.details["with"] != pytest.approx(as_text.details["with"], abs=1e-4)
    with pytest.raises(DataError, match=r"Item 0: `token_ids` should be a list of token ids"):
        judge.judge([item(SOUND, token_ids=["a"])])


def test_probes_share_the_response_that_they_ask_about(policy):
    model, tokenizer = policy
    parts = parts_of(SOUND)
    assert isinstance(parts, Parts)
    made = plan((1, 3, 4), parts, ALL, random.Random(0), [(20, 8)])
    rows = [row for tree in made.trees for row in tree.rows()]
    assert made.tokens < 0.7 * sum(len(ids) for ids, _ in rows)
    with torch.no_grad():
        apart = from_rows(made.trees, score_rows(model, rows, 8))
    for one, other in zip(make_engine(model, tokenizer).score(made.trees), apart, strict=True):
        assert sum(one.branches, one.trunk) == pytest.approx(sum(other.branches, other.trunk), abs=2e-5)


def test_what_cannot_be_is_no_infinity_among_the_details(policy):
    parts = parts_of(SOUND)
    made = plan((1, 3, 4), parts, SelfSupportConfig(), random.Random(0))
    tree, never = made.trees[0], float("-inf")
    ways = tuple((never,) * (len(way.tokens) - way.given) for way in tree.branches)
    found = quantities(made, [Scored((never,) * (len(tree.trunk) - tree.scored), ways)], [0.0, 0.25, 0.5, 0.75, 1.0])
    assert all(math.isfinite(value) for value in found.values())
    assert found["support"] == 0
    assert 0 <= combined(found) < 0.1


def test_the_identity_is_that_of_the_weights_and_of_what_is_asked(policy):
    engine = make_engine(*policy)

    def identity(**settings):
        return SelfSupportJudge(SelfSupportConfig(**settings), engine).identity

    assert identity() == identity(rows=3)
    assert identity() != identity(fractions=[0.0, 1.0])
    before = identity()
    with torch.no_grad():
        policy[0].lm_head.weight[3, 3] += 1
    changed = identity()
    with torch.no_grad():
        policy[0].lm_head.weight[3, 3] -= 1
    assert changed != before


def test_it_is_made_by_name_and_wrong_settings_are_named(toy_model):
    judge = make_judge("self_support", model=str(toy_model), fractions=[0.0, 1.0])
    assert judge.identity.startswith("self_support/")
    assert judge.judge([item(SOUND)])[0].label is not None
    with pytest.raises(ConfigError, match=r"unknown key 'fraction'\. Did you mean 'fractions'"):
        make_judge("self_support", model=str(toy_model), fraction=[0.0])
    with pytest.raises(ConfigError, match="should hold 0 and 1"):
        make_judge("self_support", model=str(toy_model), fractions=[0.5, 1.0])
    with pytest.raises(ConfigError, match="A server does not score"):
        make_judge("self_support", model=str(toy_model), engine="server")


def test_the_script_measures_it_on_some_rows(toy_model, tmp_path):
    row = {"problem": PROMPT, "steps": [r"7 a +3 10 b -2 8 \boxed{ 8 }"], "answer_right": True, "first_wrong_step": -1}
    (tmp_path / "mr_math.jsonl").write_text((json.dumps(row) + "\n") * 12, encoding="utf-8")
    command = [
        SCRIPT,
        tmp_path,
        "--judge",
        "self_support",
        "--model",
        toy_model,
        "--limit",
        "3",
        "--keep",
        tmp_path / "k",
    ]
    done = subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "| mr_math | 3 | 0 | 1.00 |" in done.stdout
    kept = [json.loads(line) for line in (tmp_path / "k").read_text(encoding="utf-8").splitlines()]
    assert len(kept) == 6
    assert {"support", "with", "without"} <= set(kept[0]["details"])
