"""`data sft`: the two sets are the same prompts, filtered, and `presat sft` reads and counts them the same way."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from datasets import load_dataset
from tests.training.runs import lines
from transformers import AutoTokenizer

from presat.cli import run
from presat.config import dump_config
from presat.config.schema import ModelConfig, SftConfig, TaskConfig, TracesConfig
from presat.errors import ConfigError, DataError
from presat.evaluation.traces import run_traces
from presat.tasks.prompts import THINKING_PROMPTS
from presat.training.supervised.sft import read_examples, run_sft


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    """600 rows: every third wrong, every fifth without gold, every seventh without a trace, some very long."""
    rng = random.Random(0)
    rows = []
    for i in range(600):
        a, b = rng.randint(0, 9), rng.randint(1, 5)
        length = 200 if i % 11 == 0 else 2
        rows.append({
            "problem": f"{a} a +{b}",
            "deepseek_reasoning": "" if i % 7 == 0 else " ".join([f"{a} a +{b} {a + b}"] * length),
            "deepseek_solution": f"\\boxed{{ {a + b + (i % 3 == 0)} }}",
            "ground_truth_solution": None if i % 5 == 0 else f"Adding, \\boxed{{{a + b}}}",
            "domain": "math" if i < 500 else "code",
        })  # fmt: skip
    file = tmp_path / "traces.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.fixture
def config(traces: Path, toy_model: Path, tmp_path: Path) -> TracesConfig:
    return TracesConfig(data=TaskConfig(source=str(traces)), where={"domain": "math"},
                        model=ModelConfig(name=str(toy_model)), out=tmp_path / "sft", max_length=100)  # fmt: skip


def test_what_is_kept_is_right_short_and_the_same_in_both(config: TracesConfig):
    done = run_traces(config)
    left = [i for i in range(500) if i % 7]
    wrong = [i for i in left if i % 3 == 0 and i % 5]
    good = [i for i in left if i not in wrong]
    long = [i for i in good if i % 11 == 0]
    assert done.dropped == {"no trace": 500 - len(left), "wrong answer": len(wrong), "too long": len(long)}
    firsts = {"no trace": 1, "wrong answer": wrong[0] + 1, "too long": long[0] + 1}
    assert done.first_dropped == {reason: f"{config.data.source}, row {number}" for reason, number in firsts.items()}
    assert (done.rows, done.kept) == (500, len(good) - len(long))
    assert done.unchecked == sum(i % 5 == 0 for i in good if i not in long)
    thinking, plain = (pq.read_table(done.files[name]).to_pylist() for name in ("thinking", "non_thinking"))
    assert [row["messages"][:-1] for row in thinking] == [row["messages"][:-1] for row in plain]
    assert [row["answer"] for row in thinking] == [row["answer"] for row in plain]
    for long_one, short in zip(thinking, plain, strict=True):
        before, _, after = long_one["messages"][-1]["content"].partition("\n</think>\n\n")
        assert before.startswith("<think>\n")
        assert after == short["messages"][-1]["content"]
    assert len(thinking) == done.kept


def test_the_token_counts_are_the_tokenizers_and_those_presat_sft_logs(config: TracesConfig, toy_model, tmp_path):
    done = run_traces(config)
    tokenizer = AutoTokenizer.from_pretrained(toy_model)
    for name, thinking in (("thinking", True), ("non_thinking", False)):
        rows = pq.read_table(done.files[name])["messages"].to_pylist()
        responses = [tokenizer(turns[-1]["content"], add_special_tokens=False)["input_ids"] for turns in rows]
        assert done.response_tokens[name] == sum(map(len, responses)) + len(rows)  # and the end of each
        run = SftConfig(run=tmp_path / name, model=config.model, data=TaskConfig(source=done.files[name]),
                        thinking=thinking, max_length=100, epochs=0.01, threads=1)  # fmt: skip
        run_sft(run, quiet=True)
        logged = lines(run.run)[0]
        assert logged["data/response_tokens"] == done.response_tokens[name]
        assert logged["data/prompt_tokens"] == done.prompt_tokens[name]
        assert (logged["data/examples"], logged["data/too_long"]) == (done.kept, 0)
    assert done.response_tokens["thinking"] > done.response_tokens["non_thinking"]


def test_the_thinking_file_gives_the_non_thinking_set_too_and_other_libraries_read_it(config: TracesConfig):
    done = run_traces(config)
    thinking, plain = (TaskConfig(source=done.files[name]) for name in ("thinking", "non_thinking"))
    assert list(read_examples(thinking, thinking=False)) == list(read_examples(plain, thinking=False))
    with pytest.raises(DataError, match="no <think>"):
        list(read_examples(plain, thinking=True))
    rows = load_dataset("parquet", data_files=done.files["thinking"], split="train")
    assert rows[0]["messages"][-1]["role"] == "assistant"
    assert len(rows) == done.kept


def test_rows_can_be_counted_named_and_refused(config: TracesConfig, tmp_path: Path):
    few = config.model_copy(update={"data": config.data.model_copy(update={"count": 50}), "require_answer": True})
    done = run_traces(few)
    assert done.rows == 50
    assert done.unchecked == 0
    assert done.dropped["no answer"] > 0
    with pytest.raises(DataError, match=r"row 1: there is no field 'domaine'.*Did you mean 'domain'"):
        run_traces(config.model_copy(update={"where": {"domaine": "math"}}))
    with pytest.raises(DataError, match="holds no rows with these values"):
        run_traces(config.model_copy(update={"where": {"domain": "poetry"}}))
    with pytest.raises(ConfigError, match=r"`data.domain` decides the system message of `data.prompt`"):
        run_traces(config.model_copy(update={"data": config.data.model_copy(update={"domain": "science"})}))
    with pytest.raises(ConfigError, match="reads lab sets by itself"):
        run_traces(config.model_copy(update={"data": TaskConfig(source="lab/chains")}))


def test_nothing_is_left_behind_where_nothing_is_kept_or_a_row_is_broken(config: TracesConfig, traces: Path):
    tiny = config.model_copy(update={"max_length": 3})
    with pytest.raises(
        DataError, match=r"None of the 500 rows is left .*too long: \d+, the first in .*traces.jsonl, row 2"
    ):
        run_traces(tiny)
    assert not Path(config.out).exists()
    with traces.open("a") as file:
        file.write(
            json.dumps({"problem": 7, "deepseek_reasoning": "r", "deepseek_solution": "s", "domain": "math"}) + "\n"
        )
    with pytest.raises(DataError, match="row 601"):
        run_traces(config)
    assert not Path(config.out).exists()


def test_the_command_prints_what_is_in_the_sets(config: TracesConfig, capsys):
    words = ["--data.source", config.data.source, "--where", "domain", "math", "--max-length", "100"]
    words += ["--model.name", config.model.name, "--out", str(config.out)]
    assert run(["data", "sft", *words, "--json"]) == 0
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert found == json.loads(json.dumps(run_traces(config).to_json()))
    assert f"{found['response_tokens']['thinking']} response tokens" in printed.err.replace("\n", " ")


def answered(words: str) -> list[dict]:
    return [{"from": "user", "value": "3 a +1"}, {"from": "assistant", "value": words}]


OPEN_THOUGHTS = (
    "<|begin_of_thought|>\n\n3 a +1 4\n\n<|end_of_thought|>\n\n"
    "<|begin_of_solution|>\n\n\\boxed{ 4 }\n\n<|end_of_solution|>"
)
ROWS = {
    "plain columns": {"question": " 3 a +1", "trace": "3 a +1 4 ", "solution": "\\boxed{ 4 }"},
    "usual names": {"problem": "3 a +1", "reasoning": "<think>\n3 a +1 4\n</think>", "response": "\\boxed{ 4 }"},
    "OpenThoughts": {"system": "?", "conversations": answered(OPEN_THOUGHTS)},
    "from and value": {"conversations": answered("<think>3 a +1 4</think>\\boxed{ 4 }")},
    "opened": {"conversations": answered("3 a +1 4</think>\n\\boxed{ 4 }")},
}


@pytest.mark.parametrize("layout", list(ROWS))
def test_sft_reads_every_file_of_traces_as_the_sets_made_of_it(layout: str, config: TracesConfig, tmp_path: Path):
    file = tmp_path / "one.jsonl"
    file.write_text(json.dumps(ROWS[layout]) + "\n")
    done = run_traces(config.model_copy(update={"data": TaskConfig(source=str(file)), "where": {}}))
    for name, thinking in (("thinking", True), ("non_thinking", False)):
        (turns,) = pq.read_table(done.files[name])["messages"].to_pylist()
        straight = list(read_examples(TaskConfig(source=str(file)), thinking))
        assert straight == [(turns[:-1], turns[-1]["content"])]
        assert list(read_examples(TaskConfig(source=done.files[name]), thinking)) == straight
    assert straight == [([{"role": "user", "content": "3 a +1"}], "\\boxed{ 4 }")]


def test_the_sets_train_to_the_very_text_that_is_in_them(config: TracesConfig):
    done = run_traces(config)
    for name, thinking in (("thinking", True), ("non_thinking", False)):
        rows = pq.read_table(done.files[name])["messages"].to_pylist()
        found = list(read_examples(TaskConfig(source=done.files[name]), thinking))
        assert found == [(turns[:-1], turns[-1]["content"]) for turns in rows]


def test_the_sets_get_the_prompt_that_is_asked_for_and_sft_gives_the_same_one(config: TracesConfig):
    asked = {"prompt": "thinking", "domain": "science"}
    done = run_traces(config.model_copy(update={"data": config.data.model_copy(update=asked)}))
    ((turns, _), *_) = read_examples(TaskConfig(source=done.files["thinking"], count=1), thinking=True)
    assert turns[0] == {"role": "system", "content": THINKING_PROMPTS["science"]}
    own = TaskConfig(source=done.files["thinking"], count=1, prompt="thinking", domain="science")
    assert next(read_examples(own, thinking=True))[0] == turns


def test_making_the_sets_loads_no_trainer(config: TracesConfig, tmp_path: Path):
    file = tmp_path / "config.yaml"
    file.write_text(dump_config(config))
    script = (
        "import sys\nfrom presat.config import load_config, schema\nfrom presat.evaluation.traces import run_traces\n"
        "run_traces(load_config(schema.TracesConfig, sys.argv[1]))\n"
        "print([name for name in ('trl', 'presat.training') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script, str(file)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
