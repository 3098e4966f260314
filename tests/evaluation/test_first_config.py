"""`presat init`: the file it writes is ready, true, and never written over another."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from presat.cli import run
from presat.config import load_config
from presat.config.schema import TrainConfig
from presat.evaluation.first_config import LOOKED_AT, size_of


@pytest.fixture
def problems(tmp_path, monkeypatch) -> Path:
    """A file of two problems, in the current folder."""
    monkeypatch.chdir(tmp_path)
    Path("q.jsonl").write_text('{"question": "1+1", "answer": "2"}\n{"question": "1+2", "answer": "3"}\n')
    Path("held.jsonl").write_text('{"question": "2+2", "answer": "4"}\n')
    return tmp_path


def test_the_file_is_ready_for_train_and_says_what_was_found(problems, capsys) -> None:
    assert run(["init", "Qwen/Qwen2.5-1.5B", "q.jsonl", "--held-out", "held.jsonl", "--out", "mine.yaml"]) == 0
    screen, text = capsys.readouterr().out, Path("mine.yaml").read_text()
    assert "q.jsonl: 2 problems, 2 with a gold answer, 2 of which verify against themselves." in screen
    assert "Next: presat train --config mine.yaml" in screen
    config = load_config(TrainConfig, "mine.yaml")
    assert (config.model.name, config.data.source, config.reward.source) == (
        "Qwen/Qwen2.5-1.5B",
        "q.jsonl",
        "verifiable",
    )
    assert (str(config.run), [task.source for task in config.eval.sets]) == ("runs/mine", ["held.jsonl"])
    assert config.optim.lr == 1e-6
    assert "# 2 problems, 2 with a gold answer" in text
    assert run(["train", "--config", "mine.yaml", "--dry-run"]) == 0


def test_held_out_problems_that_are_trained_on_are_said(problems, capsys) -> None:
    Path("both.jsonl").write_text('{"question": " 1+1", "answer": "2"}\n{"question": "9+9", "answer": "18"}\n')
    for held_out, said in (("both.jsonl", "1 of 2 questions is in both: give other problems"), ("held.jsonl", "")):
        assert run(["init", "m", "q.jsonl", "--held-out", held_out, "--out", f"{held_out}.yaml"]) == 0
        screen, text = capsys.readouterr().out, Path(f"{held_out}.yaml").read_text()
        assert (f"{held_out} against q.jsonl: {said}." in screen, "in both" in screen) == (bool(said), bool(said))
        assert (f"source: {held_out}}} # {said}\n" in text, "in both" in text) == (bool(said), bool(said))


def test_every_line_behind_a_comment_sign_is_a_setting(problems) -> None:
    for more in ([], ["--held-out", "held.jsonl"]):
        assert run(["init", "m-7B", "q.jsonl", *more, "--out", f"{len(more)}.yaml"]) == 0
        text = Path(f"{len(more)}.yaml").read_text()
        offered = re.findall(r"^( *)# (\w+: .*)$", text, re.MULTILINE)
        assert len(offered) > 15
        Path("all.yaml").write_text(re.sub(r"^( *)# (\w+: )", r"\1\2", text, flags=re.MULTILINE))
        config = load_config(TrainConfig, "all.yaml")
        assert (config.steps, config.lora.rank, config.reward.gate) == (496, 16, "think")  # the paper's, where no other


def test_without_gold_answers_the_reward_needs_none(problems, capsys) -> None:
    Path("bare.jsonl").write_text('{"question": "1+1"}\n{"question": "1+2"}\n')
    assert run(["init", "m", "bare.jsonl"]) == 0
    assert load_config(TrainConfig, "train.yaml").reward.source == "majority_vote"
    screen = capsys.readouterr().out
    assert "2 problems, 0 with a gold answer" in screen
    assert "No gold answers were found in bare.jsonl, so the reward is majority_vote, which needs none.\n" in screen


def test_where_gold_answers_may_be_is_said(problems, capsys, caplog) -> None:
    Path("pairs.jsonl").write_text('{"prompt": "1+1", "chosen": "2", "rejected": "3"}\n')
    Path("squad.jsonl").write_text('{"question": "who?", "context": ["a"]}\n{"question": "who?", "context": ["b"]}\n')
    Path("odd.jsonl").write_text('{"question": "1?", "answer": "proof"}\n{"question": "2?", "answer": "2"}\n')
    said = []
    for name in ("pairs", "squad", "odd"):
        assert run(["init", "m", f"{name}.jsonl", "--out", f"{name}.yaml"]) == 0
        said.append(" ".join(capsys.readouterr().out.split()))
    assert "columns `chosen` and `rejected` look like preference data" in said[0]
    assert "squad.jsonl: 1 problems (of 2 rows), 0 with a gold answer" in said[1]
    assert "in one of its other columns" in said[1]
    assert "beside the question: `context` 2 times" in caplog.text
    assert "odd.jsonl: 1 of 2 gold answers is no answer (`proof` 1)" in said[2]


def test_a_file_that_is_there_is_left_as_it_is(problems, capsys) -> None:
    assert run(["init", "m", "q.jsonl"]) == 0
    made = Path("train.yaml").read_text()
    for out in ("train.yaml", "q.jsonl"):
        assert run(["init", "other", "q.jsonl", "--out", out]) == 2
        assert f"{out} is there, and is left as it is: give another `--out`." in capsys.readouterr().err
    assert Path("train.yaml").read_text() == made
    assert run(["init", "m", "no_such.jsonl", "--out", "new.yaml"]) == 1
    assert not Path("new.yaml").exists()


def test_a_large_file_is_counted_whole_and_looked_at_in_part(problems, capsys) -> None:
    rows = [json.dumps({"question": f"What is {i}?", "answer": str(i)}) for i in range(LOOKED_AT + 9)]
    Path("large.jsonl").write_text("\n".join(rows))
    assert run(["init", "m", "large.jsonl"]) == 0
    assert f"{LOOKED_AT + 9} problems, of the first {LOOKED_AT} {LOOKED_AT} with a gold" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("Qwen/Qwen2.5-1.5B", 1.5e9),
        ("smollm2-135m", 135e6),
        ("meta-llama/Llama-3.2-3B-Instruct", 3e9),
        ("models/4b-run/Qwen3-0.6B", 0.6e9),
        ("gpt2", None),
        ("runs/rl4math", None),
    ],
)
def test_the_size_a_name_says(name, size) -> None:
    assert size_of(name) == size


def test_a_small_model_gets_a_higher_learning_rate(problems) -> None:
    assert run(["init", "smollm2-135m", "q.jsonl"]) == 0
    assert load_config(TrainConfig, "train.yaml").optim.lr == 1e-5


def test_no_weights_are_loaded(problems) -> None:
    probe = "import sys; from presat.cli import run; assert run(['init', 'm', 'q.jsonl']) == 0; assert not {heavy}"
    probe = probe.replace("{heavy}", "{'torch', 'transformers'} & set(sys.modules)")
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
