"""SFT and CPT on a tiny model: what carries loss, what is logged, and that a killed run resumes to the same weights."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file
from tests.training.runs import kill_at, largest_gap, last_weights, lines, on_two_processes, status, without_clock

from presat.config.schema import (
    CorpusConfig,
    CptConfig,
    ModelConfig,
    SftConfig,
    SupervisedOptimConfig,
    TaskConfig,
)
from presat.errors import ConfigError, DataError, RunError, UnfinishedError
from presat.models import load_model_and_tokenizer
from presat.models.examples import tokenised
from presat.models.lab import VOCABULARY, lab_tokenizer
from presat.tasks import load_problems
from presat.tracking.checkpoints import list_checkpoints
from presat.training import run_cpt, run_sft
from presat.training.supervised.cpt import corpus_rows, packed
from presat.training.supervised.fit import Collate, bits_per_token, micro_batch, schedule_rows
from presat.training.supervised.sft import read_examples


def sft(model: Path, run: Path, **changes) -> SftConfig:
    """Twelve updates of eight examples in two passes, with checkpoints at 5, 10 and the end."""
    settings = {
        "run": run,
        "model": ModelConfig(name=str(model)),
        "data": TaskConfig(source="lab/chains", count=32, options={"operands": [2, 5]}),
        "optim": SupervisedOptimConfig(lr=1e-3, warmup=0.25),
        "epochs": 3,
        "batch": 8,
        "micro_batch": 4,
        "save_every": 5,
        "log_every": 4,
        "threads": 1,
    }
    return SftConfig(**{**settings, **changes})


def cpt(model: Path, run: Path, **changes) -> CptConfig:
    """Ten updates with Muon, with checkpoints at 4, 8 and the end."""
    settings = {
        "run": run,
        "model": ModelConfig(name=str(model)),
        "data": CorpusConfig(source="lab/cpt", held_out_rows=3),
        "optim": SupervisedOptimConfig(optimizer="muon", lr=0.01, schedule="linear", warmup=0.2, final_lr=0.1),
        "sequence_length": 24,
        "batch": 4,
        "micro_batch": 4,
        "steps": 10,
        "save_every": 4,
        "log_every": 3,
        "threads": 1,
    }
    return CptConfig(**{**settings, **changes})


@pytest.fixture(scope="module")
def sft_run(toy_model, tmp_path_factory) -> SftConfig:
    config = sft(toy_model, tmp_path_factory.mktemp("sft") / "run")
    run_sft(config, quiet=True)
    return config


@pytest.fixture(scope="module")
def cpt_run(toy_model, tmp_path_factory) -> CptConfig:
    config = cpt(toy_model, tmp_path_factory.mktemp("cpt") / "run")
    run_cpt(config, quiet=True)
    return config


def ids(*words: str) -> list[int]:
    return [VOCABULARY.index(word) for word in words]


def cross_entropy(model, prompt: list[int], response: list[int]) -> list[float]:
    """Nats of each response token, one sequence at a time, without padding."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[*prompt, *response]])).logits[0].double()
    logprobs = logits - torch.logsumexp(logits, -1, keepdim=True)
    return [-float(logprobs[len(prompt) - 1 + i, token]) for i, token in enumerate(response)]


# what carries loss


def test_the_loss_is_on_the_response_alone():
    turns = [{"role": "user", "content": "7 a +3"}]
    row = tokenised(turns, "<think> 7 a +3 10 </think> \\boxed{ 10 }", lab_tokenizer())
    prompt = ids("<bos>", "<user>", "7", "a", "+3", "<assistant>")
    response = ids("<think>", "7", "a", "+3", "10", "</think>", "\\boxed{", "10", "}", "<eos>")
    assert row.input_ids.tolist() == prompt + response
    assert row.labels.tolist() == [-100] * 6 + response


def test_padding_carries_no_loss_and_is_not_attended():
    rows = [{"input_ids": [5, 6, 7], "labels": [-100, 6, 7]}, {"input_ids": [8], "labels": [8]}]
    batch = Collate(pad_id=0)(rows)
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 0, 0]]
    assert batch["labels"].tolist() == [[-100, 6, 7], [8, -100, -100]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]


def test_the_logged_loss_is_the_mean_over_the_response_tokens_of_a_batch(toy_model, tmp_path):
    config = sft(toy_model, tmp_path / "run", batch=8, micro_batch=2, epochs=0.25, log_every=1)
    run_sft(config, quiet=True)
    model, _ = load_model_and_tokenizer(str(toy_model))
    nats: list[float] = []
    examples = list(read_examples(config.data, thinking=True))
    for index in schedule_rows(32, 8, config.seed):
        (turn,), target = examples[index]
        prompt = ids("<bos>", "<user>", *turn["content"].split(), "<assistant>")
        nats += cross_entropy(model, prompt, ids(*target.split(), "<eos>"))
    first = lines(config.run)[1]
    assert first["step"] == 1
    assert first["loss"] == pytest.approx(np.mean(nats), rel=1e-5)
    assert len(nats) < 32 * 30  # a batch, not the whole set


def test_what_is_logged_does_not_depend_on_the_micro_batch(toy_model, tmp_path):
    """The means over tokens are those of all batches since the last line, however they were cut."""
    logged = {}
    for size in (2, 8):
        config = sft(toy_model, tmp_path / str(size), batch=8, micro_batch=size, epochs=0.5, log_every=2)
        run_sft(config, quiet=True)
        logged[size] = lines(config.run)[1]
    for name in ("entropy", "mean_token_accuracy", "loss", "grad_norm"):
        assert logged[2][name] == pytest.approx(logged[8][name], rel=1e-4), name


def test_both_styles_see_the_same_prompts():
    data = TaskConfig(source="lab/chains", count=20, seed=3)
    thinking, answers = (list(read_examples(data, style)) for style in (True, False))
    assert [turns for turns, _ in thinking] == [turns for turns, _ in answers]
    for (_, long), (_, short) in zip(thinking, answers, strict=True):
        assert long.startswith("<think> ")
        assert long.endswith(f" </think> {short}")
        assert short.startswith("\\boxed{ ")


def test_every_pass_is_a_shuffle_of_all_rows_and_a_longer_schedule_goes_on():
    order = schedule_rows(7, 20, seed=1).tolist()
    assert [sorted(order[:7]), sorted(order[7:14])] == [list(range(7))] * 2
    assert order[:7] != order[7:14]
    assert schedule_rows(7, 50, seed=1)[:20].tolist() == order
    assert schedule_rows(7, 7, seed=2).tolist() != order[:7]


@pytest.mark.parametrize(("batch", "most", "processes", "micro"), [(16, 8, 1, 8), (10, 8, 1, 5), (12, 4, 2, 3)])
def test_a_batch_is_cut_into_equal_passes(batch, most, processes, micro):
    assert micro_batch(batch, most, processes) == micro


def test_a_batch_that_does_not_divide_over_processes_is_refused():
    with pytest.raises(ConfigError, match="A batch of 9 does not divide over 2 processes"):
        micro_batch(9, 8, 2)


# data


def write_jsonl(path: Path, *rows) -> TaskConfig:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return TaskConfig(source=str(path))


TURN, WORKED = {"role": "user", "content": "1 a +1"}, {"role": "assistant", "content": "<think>1 a +1 2</think>\n\n2"}


def test_examples_from_columns(tmp_path):
    data = write_jsonl(tmp_path / "x.jsonl", {"q": "1+1", "trace": "one and one", "solution": "2"}, {"q": "no more"})
    data.columns, data.count, data.options = {"question": "q"}, 1, {"system": ""}
    (thinking,), (answer,) = read_examples(data, thinking=True), read_examples(data, thinking=False)
    assert thinking == ([{"role": "user", "content": "1+1"}], "<think>\none and one\n</think>\n\n2")
    assert answer == ([{"role": "user", "content": "1+1"}], "2")
    data.options = {}
    ((asked, _),) = read_examples(data, thinking=True)
    assert asked == [dict(turn) for turn in load_problems([{"question": "1+1", "answer": "2"}])[0].messages]


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_examples_from_messages(tmp_path, kind):
    turns = [{"role": "system", "content": "Think."}, TURN, WORKED]
    data = write_jsonl(tmp_path / "x.jsonl", {"messages": turns})
    if kind == "parquet":
        data.source = str(tmp_path / "x.parquet")
        pl.DataFrame({"messages": [turns]}).write_parquet(data.source)
    ((prompt, response),) = read_examples(data, thinking=True)
    assert (list(prompt), response) == (turns[:2], "<think>\n1 a +1 2\n</think>\n\n2")
    assert next(read_examples(data, thinking=False))[1] == "2"


GOOD = {"question": "1", "trace": "1", "solution": "1"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "1", "solution": "1"}, r"row 3: no trace among the fields question, solution; name it with"),
        ({**GOOD, "trace": " "}, r"row 3: there is no reasoning, which a Thinking target needs"),
        ({**GOOD, "solution": " "}, r"row 3: there is no solution beside the reasoning"),
        ({**GOOD, "question": 5}, r"row 3: field 'question' should be text; it is 5"),
        ("{", r"line 3.*not JSON"),
        ("[1]", r"line 3.*should be a JSON object"),
        ({"messages": "hello"}, r"row 3: field 'messages' should be a list of {role"),
        ({"messages": [TURN, {"role": "assistant"}]}, r"row 3: field 'messages' should be a list of {role"),
        ({"messages": [TURN]}, r"row 3: field 'messages': the last turn should be the assistant's"),
        ({"messages": [TURN, {"role": "assistant", "content": "2"}]}, r"row 3: there is no reasoning.* no <think>"),
    ],
)
def test_a_malformed_example_is_named_by_row_and_field(tmp_path, row, message):
    with pytest.raises(DataError, match=message):
        list(read_examples(write_jsonl(tmp_path / "x.jsonl", GOOD, GOOD, row), thinking=True))


def test_a_response_of_reasoning_alone_leaves_no_solution(tmp_path):
    data = write_jsonl(tmp_path / "x.jsonl", {"messages": [TURN, {**WORKED, "content": "<think>2</think>"}]})
    with pytest.raises(DataError, match="no solution beside the reasoning"):
        list(read_examples(data, thinking=False))


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (TaskConfig(), ConfigError, "No examples are given"),
        (TaskConfig(source="lab/chain"), ConfigError, "Did you mean 'chains'"),
        (TaskConfig(source="lab/chains", options={"operand": 3}), ConfigError, "Did you mean 'operands'"),
        (TaskConfig(source="no/such/file.jsonl"), DataError, r"There is no file no/such/file\.jsonl"),
        (TaskConfig(source="x.jsonl", options={"operands": 3}), ConfigError, "takes no option 'operands'"),
    ],
)
def test_a_source_that_cannot_be_used_is_named(data, error, message):
    with pytest.raises(error, match=message):
        list(read_examples(data, thinking=True))


def test_documents_are_packed_without_gaps():
    tokenizer = lab_tokenizer()
    stream = ids("1", "2", "3", "<eos>", "4", "<eos>", "5", "6", "<eos>")
    rows = packed(iter(["1 2 3", "4", "5 6"]), tokenizer, 4, None)
    assert rows.tolist() == [stream[:4], stream[4:8]]  # the ninth token fills no row
    assert packed(iter(["1 2 3"] * 9), tokenizer, 4, 2).tolist() == [stream[:4]] * 2


def test_too_little_text_is_said(toy_model, tmp_path, monkeypatch):
    monkeypatch.setenv("PRESAT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "a.txt").write_text("1 2 3\n" * 20)
    source = CorpusConfig(source=str(tmp_path / "a.txt"), held_out_rows=1)
    with pytest.raises(DataError, match="holds 2 sequences of 24 tokens, less than one batch of 4"):
        run_cpt(cpt(toy_model, tmp_path / "few", data=source, steps=None), quiet=True)
    source.held_out_rows = 3
    with pytest.raises(DataError, match="no more than the 3 to hold out"):
        run_cpt(cpt(toy_model, tmp_path / "fewer", data=source, steps=None), quiet=True)
    with pytest.raises(ConfigError, match="lab/cpt has no end"):
        run_cpt(cpt(toy_model, tmp_path / "endless", steps=None), quiet=True)


# whole runs


def test_sft_counts_its_data_and_what_is_too_long(toy_model, tmp_path):
    config = sft(toy_model, tmp_path / "run", epochs=0.1, max_length=25)
    run_sft(config, quiet=True)
    lengths = [  # <bos> <user> prompt <assistant>, and <think> trace </think> \boxed{ answer } <eos>
        (3 + len(turns[0]["content"].split()), 1 + len(target.split()))
        for turns, target in read_examples(config.data, thinking=True)
    ]
    kept = [(prompt, response) for prompt, response in lengths if prompt + response <= 25]
    assert 0 < len(kept) < 32
    first = lines(config.run)[0]
    assert first["step"] == 0
    assert {name: value for name, value in first.items() if name.startswith("data/")} == {
        "data/examples": len(kept),
        "data/too_long": 32 - len(kept),
        "data/prompt_tokens": sum(prompt for prompt, _ in kept),
        "data/response_tokens": sum(response for _, response in kept),
    }
    with pytest.raises(DataError, match=r"None of the 32 examples fits max_length \(5 tokens\)"):
        run_sft(sft(toy_model, tmp_path / "short", max_length=5), quiet=True)


def test_lines_and_checkpoints_come_as_asked(sft_run, cpt_run):
    assert [row["step"] for row in lines(sft_run.run)] == [0, 4, 5, 8, 10, 12]
    assert [row["step"] for row in lines(cpt_run.run)] == [0, 3, 4, 6, 8, 9, 10]
    for run, steps in ((sft_run.run, (5, 10, 12)), (cpt_run.run, (4, 8, 10))):  # the last two can be resumed from
        saved = {path.name: (path / "optimizer.pt").exists() for path in (run / "checkpoints").iterdir()}
        assert saved == {f"step_{step}": step != steps[0] for step in steps}
        load_model_and_tokenizer(str(run / "checkpoints" / f"step_{steps[0]}"))
    assert status(sft_run.run)["status"] == status(cpt_run.run)["status"] == "finished"
    assert "960 tokens" in status(cpt_run.run)["reason"]


def test_learning_rates_are_the_schedules(sft_run, cpt_run):
    cosine = {1: 1 / 4, 3: 3 / 4, 4: 1.0, 8: 0.5 * (1 + math.cos(math.pi * 4 / 9)), 12: None}
    rates = {row["step"]: row["learning_rate"] / 1e-3 for row in lines(sft_run.run)[1:]}
    assert rates[4] == pytest.approx(cosine[4])
    assert rates[8] == pytest.approx(cosine[8])
    assert rates[12] == pytest.approx(0.5 * (1 + math.cos(math.pi * 8 / 9)))
    linear = {row["step"]: row["learning_rate"] / 0.01 for row in lines(cpt_run.run)[1:]}
    assert linear[3] == pytest.approx(1.0)  # 2 steps of warm-up, then 8 down to a tenth
    assert linear[4] == pytest.approx(1 - 0.9 / 8)
    assert linear[10] == pytest.approx(1 - 0.9 * 7 / 8)


def test_held_out_bits_are_those_of_the_models_before_and_after(cpt_run, toy_model):
    tokenizer = lab_tokenizer()
    train, held_out = corpus_rows(cpt_run, tokenizer)
    assert (len(train), len(held_out)) == (40, 3)
    logged = [row["eval/held_out/bits_per_token"] for row in lines(cpt_run.run) if row["step"] in (0, 10)]
    for value, folder in zip(logged, (toy_model, cpt_run.run / "checkpoints" / "step_10"), strict=True):
        model, _ = load_model_and_tokenizer(str(folder))
        nats = [n for row in held_out for n in cross_entropy(model, row.input_ids[:1].tolist(), row.input_ids[1:])]
        assert value == pytest.approx(np.mean(nats) / math.log(2), rel=1e-5)
    assert logged[1] < logged[0] - 0.05


def test_bits_do_not_depend_on_how_many_rows_a_pass_has(cpt_run, toy_model):
    _, held_out = corpus_rows(cpt_run, lab_tokenizer())
    model, _ = load_model_and_tokenizer(str(toy_model))
    passes: list[int] = []
    model.register_forward_pre_hook(lambda _, args, kwargs: passes.append(len(kwargs["input_ids"])), with_kwargs=True)
    found = [bits_per_token(model, held_out, 0, batch) for batch in (2, 3)]
    assert passes == [2, 1, 3]
    assert found[0] == pytest.approx(found[1], rel=1e-6)


def test_training_moves_every_kind_of_weight(sft_run, cpt_run, toy_model):
    before = load_file(toy_model / "model.safetensors")
    for run in (sft_run.run, cpt_run.run):
        after = last_weights(run)
        assert all(float((after[name] - weight).abs().max()) > 1e-5 for name, weight in before.items())


# resume


@pytest.mark.parametrize("verb", ["sft", "cpt"])
def test_a_killed_run_resumes_to_the_same_weights(verb, sft_run, cpt_run, toy_model, tmp_path):
    unbroken = sft_run if verb == "sft" else cpt_run
    config = unbroken.model_copy(update={"run": tmp_path / "run"})
    kill_at(config, verb, tmp_path, after=5 if verb == "sft" else 4)
    half_written = config.run / "checkpoints" / "checkpoint-9"
    half_written.mkdir(parents=True, exist_ok=True)
    (run_sft if verb == "sft" else run_cpt)(config.model_copy(update={"resume": True}), quiet=True)
    assert not half_written.exists()
    assert largest_gap(config.run, unbroken.run) == 0.0
    assert without_clock(lines(config.run)) == without_clock(lines(unbroken.run))
    counts = [row["num_tokens"] for row in lines(config.run)[1:]]  # over all processes that trained
    assert counts == sorted(counts)
    assert status(config.run)["status"] == "finished"


def test_checkpoints_do_not_grow_with_the_log(sft_run, cpt_run):
    for config in (sft_run, cpt_run):
        for checkpoint in list_checkpoints(config.run / "checkpoints"):
            assert json.loads((checkpoint / "trainer_state.json").read_text())["log_history"] == []


def test_a_finished_run_resumes_to_nothing(cpt_run, sft_run):
    for config, verb in ((cpt_run, run_cpt), (sft_run, run_sft)):
        before = (config.run / "metrics.jsonl").read_bytes()
        saved = {p: p.stat().st_mtime_ns for p in (config.run / "checkpoints").rglob("*")}
        reason = status(config.run)["reason"]
        verb(config.model_copy(update={"resume": True}), quiet=True)
        assert without_clock(lines(config.run)) == without_clock([json.loads(row) for row in before.splitlines()])
        assert {p: p.stat().st_mtime_ns for p in (config.run / "checkpoints").rglob("*")} == saved
        assert (status(config.run)["status"], status(config.run)["reason"]) == ("finished", reason)
        with pytest.raises(RunError, match="already holds a run"):
            verb(config, quiet=True)


def test_a_resumed_run_takes_the_learning_rate_it_is_given(toy_model, tmp_path):
    for name, optimizer in (("adamw", "adamw"), ("muon", "muon")):
        optim = SupervisedOptimConfig(optimizer=optimizer, lr=1e-2, schedule="constant", warmup=0.0, weight_decay=0.3)
        config = cpt(toy_model, tmp_path / name, optim=optim, steps=2, save_every=0, log_every=1)
        run_cpt(config, quiet=True)
        lower = optim.model_copy(update={"lr": 1e-4, "weight_decay": 0.0})
        run_cpt(config.model_copy(update={"resume": True, "steps": 4, "optim": lower}), quiet=True)
        assert [row["learning_rate"] for row in lines(config.run)[1:]] == [1e-2, 1e-2, 1e-4, 1e-4]
        state = torch.load(config.run / "checkpoints" / "step_4" / "optimizer.pt", weights_only=True)
        groups = state["param_groups"] if optimizer == "adamw" else state["muon"]["param_groups"]
        assert {(group["lr"], group["weight_decay"]) for group in groups} == {(1e-4, 0.0)}
    with pytest.raises(RunError, match="does not fit the settings under `optim`"):
        run_cpt(config.model_copy(update={"resume": True, "steps": 5, "optim": SupervisedOptimConfig()}), quiet=True)


def test_a_loss_that_is_not_a_number_stops_before_the_update(toy_model, tmp_path):
    config = sft(toy_model, tmp_path / "run", optim=SupervisedOptimConfig(lr=1e30, warmup=0.0), save_every=1)
    with pytest.raises(
        UnfinishedError, match=r"The (loss|gradient norm) became nan at step 2; the update was not made"
    ):
        run_sft(config, quiet=True)
    assert [p.name for p in (config.run / "checkpoints").iterdir()] == ["step_1"]
    assert [row["step"] for row in lines(config.run)] == [0, 1]
    assert status(config.run)["status"] == "failed"


def test_an_infinite_gradient_stops_before_the_update(toy_model, tmp_path):
    model, tokenizer = load_model_and_tokenizer(str(toy_model))
    with torch.no_grad():
        model.lm_head.weight.mul_(1e25)
    for part in (model, tokenizer):
        part.save_pretrained(tmp_path / "huge")
    with pytest.raises(RunError, match=r"The gradient norm became (inf|nan) at step 1; the update was not made"):
        run_sft(sft(tmp_path / "huge", tmp_path / "run"), quiet=True)
    assert not list((tmp_path / "run").glob("checkpoints/*"))


def test_two_processes_train_as_one(sft_run, cpt_run, tmp_path):
    unbroken = {"sft": sft_run, "cpt": cpt_run}
    configs = {
        verb: run.model_copy(update={"run": tmp_path / verb, "micro_batch": 2}) for verb, run in unbroken.items()
    }
    on_two_processes(configs, tmp_path)
    for verb, one in unbroken.items():
        two = configs[verb]
        assert [row["step"] for row in lines(two.run)] == [row["step"] for row in lines(one.run)]
        for a, b in zip(lines(two.run)[1:], lines(one.run)[1:], strict=True):
            for name in ("loss", "entropy", "mean_token_accuracy"):
                assert a[name] == pytest.approx(b[name], rel=1e-3)
        assert largest_gap(two.run, one.run) < one.optim.lr  # rounding, which Adam blows up where gradients are tiny
        assert {p.name for p in (two.run / "checkpoints").iterdir()} == {
            p.name for p in (one.run / "checkpoints").iterdir()
        }
        for checkpoint in list_checkpoints(two.run / "checkpoints")[-2:]:  # those that can be resumed from
            assert all((checkpoint / f"rng_state_{rank}.pth").is_file() for rank in (0, 1))
