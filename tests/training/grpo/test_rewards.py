"""Whole runs with rewards that look at the group or the policy: what is logged, however the step is cut up."""

from __future__ import annotations

import math
from collections import Counter

import polars as pl
import pytest
import torch
from tests.toy import toy
from tests.training.runs import largest_gap, lines, on_two_processes

from presat.config.schema import RewardConfig, TaskConfig
from presat.errors import DataError
from presat.models import load_model_and_tokenizer
from presat.models.lab import CHAT_TEMPLATE
from presat.rewards import GATES
from presat.tasks import save_problems
from presat.tasks.lab import lab_problems
from presat.tasks.noise import corrupted, keep_original
from presat.tracking import open_run
from presat.training import run_train

G, VOTES = 2, 6


def weighted(model, run):
    """A short run that is rewarded by a vote of six, certainty and (only logged) the truth."""
    config = toy(model, run)
    config.eval.sets, config.steps, config.save_every = [], 4, 0
    config.reward = RewardConfig.model_validate(
        {
            "source": "weighted_sum",
            "votes": VOTES,
            "parts": [
                {"source": "majority_vote", "weight": 1.0},
                {"source": "self_certainty", "weight": 0.25},
                {"source": "negative_entropy", "weight": 0.5, "options": {"last": 0.3}, "name": "calm_end"},
                {"source": "verifiable", "weight": 0.0},
            ],
        }
    )
    return config


@pytest.fixture(scope="module")
def one(toy_model, tmp_path_factory):
    """The run in one process, and its stored responses."""
    config = weighted(toy_model, tmp_path_factory.mktemp("one") / "run")
    run_train(config, quiet=True)
    return config


def responses(run, step):
    return pl.read_parquet(run / "rollouts" / "train" / f"step_{step:06d}.parquet")


def by_hand(rows):
    """Vote, label accuracy and parts of one step, from its stored responses (lab answers: equal when the same text)."""
    rights, shares, ties, empty = [], [], [], 0
    groups = [rows[i : i + VOTES] for i in range(0, len(rows), VOTES)]
    for group in groups:
        assert group["sample"].to_list() == list(range(VOTES))
        answers = [str(int(a)) if a and a.lstrip("+-").isdigit() else a or None for a in group["extracted"]]
        ballots = Counter(a for a in answers if a)
        if not ballots:
            empty += 1
            shares.append(0)
            continue
        most = max(ballots.values())
        label = next(a for a in answers if a and ballots[a] == most)
        shares.append(most / VOTES)
        ties.append(sum(n == most for n in ballots.values()) > 1)
        rights.append(label == str(int(group["gold"][0])))
        assert group["reward/majority_vote"].to_list() == [float(a == label) for a in answers]
    first = pl.concat([group[:G] for group in groups])
    return {
        "labels/majority_share": sum(shares) / len(groups),
        "labels/ties": sum(ties) / len(groups),
        "labels/no_answer": empty / len(groups),
        "labels/label_accuracy": sum(rights) / len(rights),
        "labels/gold_accuracy": first["score"].mean(),
        "rewards/weighted_sum/mean": first["reward"].mean(),
        **{
            f"rewards/{name}/mean": first[f"reward/{name}"].mean()
            for name in ("majority_vote", "self_certainty", "calm_end", "verifiable")
        },
    }


def test_votes_and_parts_are_logged_as_the_stored_responses_say(one):
    seen: Counter = Counter()
    for row in lines(one.run)[-4:]:
        rows = responses(one.run, row["step"])
        expected = by_hand(rows)
        for name, value in expected.items():
            assert row[name] == pytest.approx(value, rel=1e-5, abs=1e-7), name
        seen.update(name for name, value in expected.items() if value)
        total = rows["reward/majority_vote"] + rows["reward/self_certainty"] / 4 + rows["reward/calm_end"] / 2
        assert (total - rows["reward"]).abs().max() < 1e-9
        kinds = [row[f"labels/{kind}"] for kind in ("all_right", "all_wrong", "mixed")]
        assert sum(kinds) == pytest.approx(1)
    assert {"labels/ties", "labels/majority_share", "rewards/majority_vote/mean"} <= set(seen)  # not all zeros


def test_certainty_is_the_live_policys(one):
    """Step 1 is drawn from the model as it came: recompute it there from the stored text, in float64."""
    model, tokenizer = load_model_and_tokenizer(one.model.name, "float32")
    model = model.double()
    rows = responses(one.run, 1)
    columns = ("prompt", "text", "finished", "n_tokens", "reward/self_certainty")
    checked = 0
    for prompt, text, finished, count, stored in rows.select(columns).rows():
        head = tokenizer.apply_chat_template([{"role": "user", "content": prompt}], add_generation_prompt=True)
        head = head["input_ids"] if hasattr(head, "keys") else head
        tail = tokenizer(text, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id] * finished
        if len(tail) != count:  # a special token among the response, which its text leaves out
            continue
        checked += 1
        with torch.no_grad():
            p = model(torch.tensor([[*head, *tail]])).logits[0, len(head) - 1 : -1].softmax(-1)
        divergence = -math.log(p.shape[-1]) - p.log().mean(-1)
        assert stored == pytest.approx(float(divergence.mean()), rel=1e-4)
    assert checked > len(rows) / 2


def test_two_processes_and_other_micro_batches_vote_as_one(one, toy_model, tmp_path):
    """The same groups, votes, certainties and weights, with half the prompts in each process and smaller batches."""
    split = weighted(toy_model, tmp_path / "run")
    split.micro_batch = 1  # less than a group
    on_two_processes({"train": split}, tmp_path)
    names = [name for name in lines(one.run)[-1] if name.startswith(("labels/", "rewards/", "reward"))]
    assert {"labels/majority_share", "labels/label_accuracy", "rewards/self_certainty/mean"} <= set(names)
    for a, b in zip(lines(split.run), lines(one.run), strict=True):
        assert a["step"] == b["step"]
        for name in names:
            assert a[name] == pytest.approx(b[name], rel=1e-3, abs=1e-5), name
    for step in range(1, one.steps + 1):
        mine, theirs = responses(split.run, step), responses(one.run, step)
        assert mine["text"].to_list() == theirs["text"].to_list()
        assert mine["reward/majority_vote"].to_list() == theirs["reward/majority_vote"].to_list()
    assert largest_gap(split.run, one.run) < one.optim.lr


def test_a_users_own_reward_trains_and_is_logged_beside_gold(toy_config, tmp_path, monkeypatch):
    (tmp_path / "brevity.py").write_text(
        "def shorter(group, scores, limit):\n    return [len(c.token_ids) <= limit for c in group.completions]\n\n"
        "shorter.lowest = 0\n"
    )
    monkeypatch.chdir(tmp_path)
    toy_config.eval.sets, toy_config.steps = [], 2
    toy_config.reward = RewardConfig(source="brevity:shorter", options={"limit": 9}, gate="boxed")
    run_train(toy_config, quiet=True)
    for row in lines(toy_config.run)[-2:]:
        rows = responses(toy_config.run, row["step"])
        short = [float(n <= 9 and a is not None) for n, a in rows.select("n_tokens", "extracted").rows()]
        assert rows["reward"].to_list() == short
        assert row["rewards/shorter/mean"] == pytest.approx(sum(short) / len(short))
        assert row["labels/gold_accuracy"] == pytest.approx(rows["score"].mean())
        assert "labels/label_accuracy" not in row  # nothing was voted on, but how far answers agree is known
        groups = [rows["extracted"][i : i + G].to_list() for i in range(0, len(rows), G)]
        agreeing = [max(Counter(a for a in group if a).values(), default=0) / G for group in groups]
        assert row["labels/majority_share"] == pytest.approx(sum(agreeing) / len(groups))
        assert 0 < row["labels/majority_share"] < 1


def test_a_sum_with_the_verifiable_reward_needs_labels(toy_config, tmp_path):
    (tmp_path / "bare.jsonl").write_text('{"question": "3 a +1"}\n')
    toy_config.data.source, toy_config.data.count = str(tmp_path / "bare.jsonl"), None
    toy_config.reward = weighted(toy_config.model.name, toy_config.run).reward
    with pytest.raises(DataError, match="no gold answer"):
        run_train(toy_config, quiet=True)


def test_under_noisy_labels_the_label_pays_and_the_truth_is_logged(toy_config, tmp_path):
    problems = lab_problems("chains", 4, seed=2)
    noisy = [corrupted(p, str((int(p.gold) + 1) % 20)) if i % 2 else keep_original(p) for i, p in enumerate(problems)]
    toy_config.data = TaskConfig(source=str(save_problems(noisy, tmp_path / "noisy.parquet")))
    toy_config.reward = RewardConfig()
    toy_config.eval.sets, toy_config.steps, toy_config.prompts_per_step, toy_config.group_size = [], 2, 8, 8
    run_train(toy_config, quiet=True)
    truths = {p.id: p.gold for p in problems}
    differ = 0
    for row in lines(toy_config.run)[-2:]:
        rows = responses(toy_config.run, row["step"])
        right = [float(a == truths[i]) for i, a in rows.select("problem_id", "extracted").rows()]
        assert rows["true_score"].to_list() == right
        assert row["labels/gold_accuracy"] == pytest.approx(sum(right) / len(right))
        assert row["labels/label_accuracy"] == 0.5
        assert row["reward"] == pytest.approx(rows["score"].mean())
        paid = [float(a == label) for label, a in rows.select("gold", "extracted").rows()]
        assert rows["reward"].to_list() == paid
        differ += paid != right
    assert differ  # else the labels made no difference


@pytest.mark.parametrize("opens", [True, False])
def test_a_template_that_opens_the_thinking_is_noticed_at_the_start(opens, toy_config, tmp_path, caplog):
    template = tmp_path / "chat.jinja"
    template.write_text(
        CHAT_TEMPLATE.replace(" <assistant>{% endif %}", f" <assistant>{' <think>' * opens}{{% endif %}}")
    )
    config = toy_config
    config.model.chat_template, config.reward = str(template), RewardConfig(source="format_only", gate="think")
    config.eval.sets, config.steps, config.save_every = [], 1, 0
    run_train(config, quiet=True)
    run = open_run(config.run)
    said = [note for note in run.notes if "`think_opened` is used in its place" in note]
    assert len(said) == opens
    assert any("end in an opened `<think>`" in record.message for record in caplog.records) == opens
    rows = run.rollouts("train")
    assert rows["reward"].to_list() == [
        GATES["think_opened" if opens else "think"](text) * float("\\boxed" in text) for text in rows["text"]
    ]
