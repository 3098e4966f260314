"""`presat eval`: benchmarks by name, intervals, every checkpoint of a run, one evaluation in a place."""

from __future__ import annotations

import json
import shutil
from io import StringIO
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console
from safetensors.torch import load_file, save_file
from tests.training.runs import lines
from transformers import AutoTokenizer

from presat.analysis import summarise
from presat.cli import run
from presat.config.schema import EvalConfig, ModelConfig, TaskConfig, VerifyConfig
from presat.errors import ConfigError, DataError, ModelError, RunError
from presat.evaluation.run import EvalReport, SetResult, _problems, evaluate_model, render
from presat.evaluation.sets import load_sets
from presat.metrics import Interval, share_interval
from presat.tasks.benchmarks import MissingBenchmarkError
from presat.tracking import open_run

SET = TaskConfig(source="lab/chains", name="held out", count=30, options={"split": "held_out", "operands": [3, 5]})


def settings(model, place, **changes) -> EvalConfig:
    values = {"run": place / "run", "model": ModelConfig(name=str(model)), "sets": [SET], "samples": 8,
              "max_new_tokens": 20, "threads": 1}  # fmt: skip
    return EvalConfig(**(values | changes))


def test_intervals_are_over_problems(toy_model, tmp_path):
    config = settings(toy_model, tmp_path)
    (found,) = evaluate_model(config, quiet=True).results
    assert found.intervals.keys() == {"avg@8", "pass@4", "pass@8", "maj@8", "greedy"}
    rows = pl.read_parquet(config.run / "rollouts" / "eval" / "held%20out-step_000000.parquet")
    means = rows.group_by("problem_id", maintain_order=True).agg(pl.col("score").mean())["score"].to_numpy()
    assert found.intervals["avg@8"] == share_interval(means)
    assert found.intervals["avg@8"].high - found.intervals["avg@8"].low > 0.02
    (logged,) = lines(config.run)
    for name, interval in found.intervals.items():
        assert interval.low <= found.metrics[name] <= interval.high
        assert logged[f"eval/held out/{name}"] == found.metrics[name]
        assert logged[f"interval/held out/{name}/low"] == interval.low
        assert logged[f"interval/held out/{name}/high"] == interval.high
    assert open_run(config.run).eval_sets() == ["held out"]  # intervals are no sets
    drawn = open_run(config.run).drawn_with("eval", 0, "held out")
    assert (drawn["name"], drawn["samples"], drawn["extraction"]) == (str(toy_model), 8, "auto")
    assert summarise(open_run(config.run))


def test_scores_of_a_single_problem_are_shown_without_an_interval(toy_model, tmp_path):
    report = evaluate_model(
        settings(toy_model, tmp_path / "run", sets=[TaskConfig(source="lab/chains", count=1)]), quiet=True
    )
    out = Console(width=120, record=True, file=StringIO())
    out.print(render(report))
    shown = out.export_text()
    assert all(name in shown.splitlines()[0].split() for name in report.results[0].metrics if "@" in name)
    assert "greedy" in shown
    assert "interval" not in shown


def other_weights(model: Path, folder: Path) -> Path:
    """A copy of the model that answers otherwise: its blocks' outputs are halved."""
    shutil.copytree(model, folder)
    file = folder / "model.safetensors"
    halved = {name: weight / 2 if "down_proj" in name else weight for name, weight in load_file(file).items()}
    save_file(halved, file, metadata={"format": "pt"})
    return folder


def test_every_checkpoint_of_a_run_is_evaluated_at_its_step(toy_model, tmp_path):
    trained = tmp_path / "trained"
    shutil.copytree(toy_model, trained / "checkpoints" / "step_20")
    other_weights(toy_model, trained / "checkpoints" / "step_3")
    config = settings(trained, tmp_path, every_checkpoint=True, samples=2, greedy=False)
    report = evaluate_model(config, quiet=True)
    assert [item.step for item in report.results] == [3, 20]
    assert [row["step"] for row in lines(config.run)] == [3, 20]
    for item in report.results:  # each step has the numbers and the responses of its own weights
        one = settings(
            trained / "checkpoints" / f"step_{item.step}", tmp_path / str(item.step), samples=2, greedy=False
        )
        (alone,) = evaluate_model(one, quiet=True).results
        assert (alone.step, alone.metrics) == (item.step, item.metrics)
        files = [
            run / "rollouts" / "eval" / f"held%20out-step_{item.step:06d}.parquet" for run in (config.run, one.run)
        ]
        assert pl.read_parquet(files[0]).equals(pl.read_parquet(files[1]))
    assert report.results[0].metrics != report.results[1].metrics
    newest = config.model_copy(update={"every_checkpoint": False})
    assert [item.step for item in evaluate_model(newest, quiet=True).results] == [20]
    assert [row["step"] for row in lines(config.run)] == [3, 20]  # what is there is not drawn again
    with pytest.raises(ModelError, match="is no run directory with checkpoints"):
        evaluate_model(settings(toy_model, tmp_path, every_checkpoint=True), quiet=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"samples": 4}, r"\(samples 2, now 4\)"),
        ({"temperature": 0.5}, r"\(temperature 1.0, now 0.5\)"),
        ({"max_new_tokens": 10}, r"\(max_new_tokens 20, now 10\)"),
        ({"seed": 1}, r"\(seed 0, now 1\)"),
        ({"engine": "transformers"}, r"\(engine small, now transformers\)"),
        ({"verify": VerifyConfig(extraction="any")}, r"\(extraction auto, now any\)"),
        ({"model": ModelConfig(dtype="bfloat16")}, r"\(dtype float32, now bfloat16\)"),
        ({"sets": [SET.model_copy(update={"count": 5})]}, r"\(problems \w{24}, now \w{24}\)"),
    ],
)
def test_another_evaluation_does_not_overwrite_one_that_is_there(changes, message, first_evaluation):
    config, before = first_evaluation
    if "model" in changes:
        changes = {"model": changes["model"].model_copy(update={"name": config.model.name})}
    with pytest.raises(RunError, match=f"holds the evaluation of .* on held out at step 0.*{message}. .*--run"):
        evaluate_model(config.model_copy(update=changes), quiet=True)
    assert files_of(config.run) == before  # not even its configuration or status


def test_another_model_does_not_overwrite_one_that_is_there(toy_model, first_evaluation, tmp_path):
    config, before = first_evaluation
    another = other_weights(toy_model, tmp_path / "another")
    with pytest.raises(RunError, match=r"of \S*another would overwrite \(model \w{24}, now \w{24}\)"):
        evaluate_model(config.model_copy(update={"model": ModelConfig(name=str(another))}), quiet=True)
    assert files_of(config.run) == before
    step_3 = {}  # step 3 of two runs
    for name, model in (("one", toy_model), ("two", another)):
        step_3[name] = shutil.copytree(model, tmp_path / name / "checkpoints" / "step_3")
    beside = config.model_copy(update={"run": tmp_path / "run", "model": ModelConfig(name=str(tmp_path / "one"))})
    evaluate_model(beside, quiet=True)
    with pytest.raises(RunError, match=r"held out at step 3, .*two/checkpoints/step_3 would overwrite \(model"):
        evaluate_model(beside.model_copy(update={"model": ModelConfig(name=str(tmp_path / "two"))}), quiet=True)


def test_the_same_evaluation_may_be_repeated_and_others_added_beside_it(toy_model, first_evaluation, tmp_path):
    first, _ = first_evaluation
    config = first.model_copy(update={"run": shutil.copytree(first.run, tmp_path / "run")})
    moved = shutil.copytree(toy_model, tmp_path / "moved")  # the same weights elsewhere are the same model
    (moved / "optimizer.pt").write_bytes(b"state")
    repeated = evaluate_model(config.model_copy(update={"model": ModelConfig(name=str(moved))}), quiet=True)
    assert lines(config.run)[0]["eval/held out/avg@2"] == repeated.results[0].metrics["avg@2"]
    other_set = config.model_copy(update={"sets": [SET.model_copy(update={"name": "other"})], "samples": 3})
    evaluate_model(other_set, quiet=True)
    assert [row["step"] for row in lines(config.run)] == [0, 0]
    noted = json.loads((config.run / "evaluated.json").read_text())
    assert {label: entry["0"]["samples"] for label, entry in noted.items()} == {"held out": 2, "other": 3}
    assert noted["held out"]["0"]["name"] == str(moved)


def test_the_chat_template_is_part_of_an_evaluation_and_its_file_may_move(toy_model, first_evaluation, tmp_path):
    first, before = first_evaluation
    template = AutoTokenizer.from_pretrained(toy_model).chat_template
    for name, text in (("same", template), ("other", template.replace("<user>", "<user> <user>"))):
        (tmp_path / f"{name}.jinja").write_text(text)

    def again(run: Path, name: str) -> EvalConfig:
        path = str(tmp_path / f"{name}.jinja")
        return first.model_copy(update={"run": run, "model": first.model.model_copy(update={"chat_template": path})})

    with pytest.raises(RunError, match=r"\(chat_template none, now \S*"):
        evaluate_model(again(first.run, "other"), quiet=True)
    assert files_of(first.run) == before
    copy = shutil.copytree(first.run, tmp_path / "run")
    evaluate_model(again(copy, "same"), quiet=True)  # the same text from another place is the same template
    noted = json.loads((copy / "evaluated.json").read_text())["held out"]["0"]
    (copy / "evaluated.json").write_text(json.dumps({"held out": {"0": {  # as it was before templates were noted
        "name": noted["name"], "model": noted["model"], "engine": "SmallEngine", "extraction": "auto", "seed": 0,
        "dtype": "float32", "samples": 2, "temperature": 1.0, "max_new_tokens": 20, "prompt": "",
        "problems": noted["problems"],
    }}}))  # fmt: skip
    evaluate_model(again(copy, "same"), quiet=True)
    assert json.loads((copy / "evaluated.json").read_text())["held out"]["0"] == noted
    with pytest.raises(RunError, match=r"\(chat_template \S*, now \S*"):
        evaluate_model(again(copy, "other"), quiet=True)


@pytest.fixture(scope="module")
def first_evaluation(toy_model, tmp_path_factory):
    """A small evaluation, and the files it left with their content."""
    config = settings(toy_model, tmp_path_factory.mktemp("first"), samples=2, greedy=False)
    evaluate_model(config, quiet=True)
    return config, files_of(config.run)


def files_of(run: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and not path.name.startswith(".")}


def test_benchmarks_are_named_on_the_command_line_and_results_printed(toy_model, tmp_path, capsys):
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    row = {"Question": "7 a +3", "Correct Answer": "0", **{f"Incorrect Answer {i}": str(i) for i in (1, 2, 3)}}
    (folder / "gpqa_diamond.jsonl").write_text(
        "".join(json.dumps(row | {"Question": f"{i} a +3"}) + "\n" for i in range(9))
    )
    (folder / "amc.jsonl").write_text(
        "".join(json.dumps({"question": f"{i} a +3", "answer": i}) + "\n" for i in range(9))
    )
    words = ["eval", "--benchmarks", "gpqa_diamond", "amc", "--folder", str(folder), "--count", "6", "--samples", "4"]
    words += ["--run", str(tmp_path / "run"), "--model.name", str(toy_model), "--max-new-tokens", "12"]
    assert run([*words, "--json"]) == 0
    out = json.loads(capsys.readouterr().out)
    assert [(item["set"], item["problems"]) for item in out["results"]] == [("gpqa_diamond", 6), ("amc", 6)]
    assert all(set(item["intervals"]) == {"avg@4", "pass@4", "maj@4", "greedy"} for item in out["results"])
    assert out["notes"][0].startswith("GPQA-Diamond: 9 problems, the paper's set has 198. Gated: accept its terms")
    kept = pl.read_parquet(tmp_path / "run" / "rollouts" / "eval" / "gpqa_diamond-step_000000.parquet")
    assert set(kept["gold"].to_list()) <= set("ABCD")
    assert run(words) == 0
    shown = capsys.readouterr().out
    assert "95% interval over problems" in shown
    assert "the paper's set has 198" in shown.replace("\n", " ")
    assert run([*words, "--prompt", "thinking"]) == 1
    assert "(prompt none, now thinking; problems" in capsys.readouterr().err


def choices_file(folder: Path, count: int = 9) -> Path:
    """A folder with GPQA's layout of some questions, whose options are shuffled."""
    row = {"Correct Answer": "0", **{f"Incorrect Answer {i}": str(i) for i in (1, 2, 3)}}
    rows = [json.dumps(row | {"Question": f"{i} a +3"}) + "\n" for i in range(count)]
    folder.mkdir(exist_ok=True)
    (folder / "gpqa_diamond.jsonl").write_text("".join(rows))
    return folder


def test_the_seed_changes_neither_the_problems_nor_their_order_nor_their_letters(toy_model, tmp_path):
    folder = choices_file(tmp_path / "benchmarks")
    names = ["gpqa_diamond", "quantum_lock"]
    changes = {"benchmarks": names, "folder": folder, "samples": 2, "greedy": False, "max_prompt_tokens": 4096}
    sets = [_problems(settings(toy_model, tmp_path, **changes, seed=seed), []) for seed in (0, 1)]
    assert sets[0] == sets[1]
    training = [TaskConfig(source=f"benchmark/{name}", options={"folder": str(folder)}) for name in names]
    loaded, _ = load_sets([SET, *training])
    assert loaded == sets[1]  # what a training run evaluates on, whatever its own seed
    some = [_problems(settings(toy_model, tmp_path, **changes, seed=seed, count=5), []) for seed in (0, 1)]
    assert some[0] == some[1]
    assert [len(some[0][name]) for name in names] == [5, 5]
    changes |= {"benchmarks": ["gpqa_diamond"], "sets": [], "max_new_tokens": 8}
    texts = []
    for seed in (0, 1):  # the responses are others
        config = settings(toy_model, tmp_path / str(seed), **changes, seed=seed)
        evaluate_model(config, quiet=True)
        rows = open_run(config.run).rollouts("eval")
        assert rows is not None
        texts.append((rows["problem_id"].to_list(), rows["gold"].to_list(), rows["text"].to_list()))
    assert texts[0][:2] == texts[1][:2]
    assert texts[0][2] != texts[1][2]


def test_benchmarks_that_cannot_be_had_are_left_out_only_when_asked(toy_model, tmp_path):
    config = settings(toy_model, tmp_path, benchmarks=["scp_hard", "quantum_lock"], count=2, samples=2,
                      max_prompt_tokens=4096, max_new_tokens=2, folder=tmp_path)  # fmt: skip
    with pytest.raises(MissingBenchmarkError, match="SCP-Hard is not in"):
        evaluate_model(config, quiet=True)
    report = evaluate_model(config.model_copy(update={"skip_missing": True}), quiet=True)
    assert [item.name for item in report.results] == ["held out", "quantum_lock"]
    missing, made = report.notes
    assert missing.startswith("Left out: SCP-Hard is not in")
    assert made.startswith("Quantum Lock: Without a file of it the set is made by Reasoning Gym")
    (tmp_path / "scp_hard.jsonl").write_text("not JSON")  # a file that is there is not missing
    with pytest.raises(DataError, match=r"scp_hard\.jsonl, line 1: not JSON"):
        evaluate_model(config.model_copy(update={"skip_missing": True}), quiet=True)


def test_nothing_is_said_of_a_graph_set_that_is_read_from_the_folder(sample_data):
    notes: list[str] = []
    found = _problems(EvalConfig(benchmarks=["graph/in_domain"], folder=sample_data / "eval"), notes)
    assert ({name: len(problems) for name, problems in found.items()}, notes) == (
        {"quantum_lock": 50, "largest_island": 50},
        [],
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sets": [], "benchmarks": ["math50"]}, "no benchmark 'math50'. Did you mean 'math500'"),
        ({"sets": [SET.model_copy(update={"name": "math500"})], "benchmarks": ["math500"]}, "both called 'math500'"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_before_anything_is_written(changes, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        evaluate_model(settings(tmp_path / "no model", tmp_path, **changes), quiet=True)
    assert not (tmp_path / "run").exists()


def test_no_number_of_the_table_is_cut_however_narrow_the_terminal():
    metrics = ("avg@16", "pass@1", "pass@4", "pass@16", "maj@16", "greedy")
    names = ("math500", "a_set_with_a_name_of_many_characters")
    result = [
        SetResult(n, 30, 30, dict.fromkeys(metrics, 0.0625), dict.fromkeys(metrics, Interval(0.0625, 0.03, 0.13)))
        for n in names
    ]
    for width in (60, 80, 200):
        out = StringIO()
        Console(file=out, width=width, color_system=None).print(render(EvalReport(Path("runs/eval"), result)))
        text = out.getvalue()
        assert max(len(line.rstrip()) for line in text.splitlines()) <= width
        assert "…" not in text
        assert text.count("0.03-0.13") == len(names) * len(metrics)
        assert all(text.split().count(name) == 1 for name in metrics)
        heads = [line for line in text.splitlines() if line.startswith("set ")]
        assert (len(heads) == 1) == (width == 200)
