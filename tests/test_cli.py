"""The command line says what is wrong, in a sentence, with the right exit code, and keeps stdout for results."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from presat.cli import VERBS, main, run
from presat.config import dump_config, load_config, preset_names
from presat.config.load import holds_models, settings_of
from presat.config.schema import ModelConfig, OptimConfig, StudyConfig, TaskConfig, TrainConfig
from presat.config.usage import complaint
from presat.errors import UnfinishedError
from presat.processes import Terminated
from presat.tracking import RunWriter, open_run


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A model with random weights, which answers nothing right."""
    from presat.models.lab import make_lab_model

    return make_lab_model(tmp_path_factory.mktemp("model"), seed=0)


@pytest.fixture
def config(model, tmp_path) -> TrainConfig:
    """A GRPO run of a second."""
    return TrainConfig(
        run=tmp_path / "run",
        model=ModelConfig(name=str(model)),
        data=TaskConfig(source="lab/chains", count=2),
        optim=OptimConfig(lr=1e-4),
        steps=2,
        prompts_per_step=2,
        group_size=2,
        micro_batch=4,
        max_new_tokens=8,
        threads=1,
    )


@pytest.fixture
def train(config, tmp_path):
    """Run `presat train` on that configuration with some of its keys changed, and more words."""

    def start(*words: str, **changes) -> int:
        settings = yaml.safe_load(dump_config(config)) | changes
        file = tmp_path / "config.yaml"
        file.write_text(yaml.safe_dump(settings))
        return run(["train", "--config", str(file), *words])

    return start


def one_message(printed) -> str:
    """What was said on stderr: one message, no traceback."""
    assert printed.err.startswith("presat: ")
    assert printed.err.count("presat: ") == 1
    assert "Traceback" not in printed.err
    assert "bug" not in printed.err
    return printed.err


# help


@pytest.mark.parametrize("verb", list(VERBS))
def test_every_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*verb.split(), "--help"]) == 0
    assert VERBS[verb].question.split("?")[0].split(".")[0][:30] in " ".join(capsys.readouterr().out.split())


def test_without_a_verb_the_overview_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(verb in shown for verb in VERBS)
    assert run([]) == 2
    printed = capsys.readouterr()
    assert (printed.out, "presat train" in printed.err) == ("", True)


@pytest.mark.parametrize("verb", [name for name, verb in VERBS.items() if verb.config.common])
def test_help_shows_common_options_first_and_all_others_once(verb: str, monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run([*verb.split(), "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    fields = dict(settings_of(VERBS[verb].config))
    assert set(VERBS[verb].config.common) <= set(fields)
    shown = [line.split()[0] for line in lines if re.match(r"  \S", line)]
    first = shown[: len(VERBS[verb].config.common)]
    assert [name.lower().lstrip("-").replace("-", "_").rstrip(",") for name in first] == list(VERBS[verb].config.common)
    for name, field in fields.items():
        times = [item.rstrip(",") for item in shown].count(f"--{name.replace('_', '-')}")
        times += shown.count(name.upper())
        assert times == (0 if holds_models(field) else 1), name
    assert lines.index("of every verb:") > lines.index("common:")


def test_help_shows_what_a_file_says(tmp_path, capsys) -> None:
    (tmp_path / "c.yaml").write_text("steps: 17\nreward: self_certainty\n")
    assert run(["train", "--config", str(tmp_path / "c.yaml"), "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "T, policy updates. [17]" in shown
    assert "[self_certainty]" in shown


def test_a_shell_completes_verbs_options_and_choices(tmp_path, capsys) -> None:
    assert run(["--tyro-print-completion", "bash"]) == 0
    (tmp_path / "presat.sh").write_text(capsys.readouterr().out)

    def completed(*words: str) -> list[str]:
        ask = 'source "$0"; COMP_WORDS=(presat "$@"); COMP_CWORD=$#; _tyro_presat; printf "%s\\n" "${COMPREPLY[@]}"'
        command = ["bash", "-c", ask, str(tmp_path / "presat.sh"), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")[:-1]

    assert {verb.split()[0] for verb in VERBS} <= set(completed(""))
    for group in ("data", "study"):
        assert {verb.split()[1] for verb in VERBS if verb.startswith(f"{group} ")} <= set(completed(group, ""))
    assert completed("tra") == ["train"]
    assert completed("train", "--reward.") == ["--reward.source", "--reward.gate", "--reward.votes", "--reward.options"]
    assert completed("train", "--engine", "s") == ["small", "server"]
    assert completed("data", "inspect", "--dry") == ["--dry-run"]
    assert run(["train", "--tyro-print-completion", "zsh"]) == 0
    assert capsys.readouterr().out.startswith("#compdef presat\n")


@pytest.mark.parametrize("buffered", ["", "1"])
@pytest.mark.parametrize("words", ["--help", "data inspect lab/chains --json --count 1"])
def test_a_reader_that_has_enough_is_no_error(words: str, buffered: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "presat", *words.split()]
    with os.fdopen(writing, "wb") as closed:
        ended = subprocess.run(
            command, stdout=closed, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": buffered}
        )
    assert ended.returncode == 1
    assert not any(word in ended.stderr for word in ("presat:", "Broken pipe", "Traceback", "Exception ignored"))


# wrong usage


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("trian", "There is no verb 'trian'. Did you mean 'train'?"),
        ("data", "`presat data` needs one more word: data inspect"),
        ("data inspekt x.parquet", "There is no verb 'data inspekt'. Did you mean 'inspect'?"),
        ("data inspect", "Which data? `presat data inspect SOURCE` takes a file"),
        ("train --config", "--config needs a file or the name of a preset"),
        ("train --config nowhere.yaml", "There is no configuration file or preset 'nowhere.yaml'."),
        ("train --config paper-cpt", "It is a configuration of `presat data pack` or `presat cpt`."),
        ("train --stepz 3", "`presat train` has no option '--stepz'. Did you mean '--steps'?"),
        ("train --stepz=3", "has no option '--stepz'. Did you mean '--steps'?"),
        ("train --group_sizes 3", "has no option '--group_sizes'. Did you mean '--group-size'?"),
        ("train --lr 3", "has no option '--lr'. Did you mean '--optim.lr'?"),
        ("train --qqqqqq", "has no option '--qqqqqq'. `presat train --help` lists them all."),
        ("train --eval.sets.0.source x", "`eval.sets` is a list of settings, which only a file can hold"),
        ("train now", "does not know what to do with 'now'"),
        ("train --steps", "--steps needs a value (INT)."),
        ("train --engine", "--engine needs a value (auto|small|transformers|vllm|server)."),
        ("train --data.count many", "--data.count takes INT: 'many' is no whole number."),
        ("train --optim.lr=fast", "--optim.lr takes FLOAT: 'fast' is no number."),
        ("train --run --steps 3", "--run needs a value (PATH)."),
        ("train --engine=smal", "--engine cannot be 'smal'. Did you mean 'small'?"),
        ("train --bf16 3", "does not know what to do with '3'"),
        ("train --steps many", "--steps takes INT: 'many' is no whole number."),
        ("train --engine smal", "--engine cannot be 'smal'. Did you mean 'small'?"),
        ("train --data.options [1", "--data.options takes YAML: not valid YAML, line 1:"),
        ("train --data.options [1]", "--data.options takes YAML: expected something like"),
        ("train --group-size 1", "In the command line: group_size must be at least 2"),
        ("train --steps 0", "steps: Input should be greater than or equal to 1 (got 0)"),
        ("train --eval.samples 0", "eval.samples: Input should be greater than or equal to 1 (got 0)"),
        ("train --reward.source majority_vote --reward.votes 4", "reward.votes must be at least group_size"),
        ("eval", "There is nothing to evaluate on: give `sets` at least one task"),
        ("eval MODEL", "There is nothing to evaluate on: give `sets` at least one task"),
        ("eval MODEL a/x.jsonl b/x.jsonl", "In the command line: two evaluation sets are called 'x'"),
        ("eval --samples 4 MODEL", "`presat eval [MODEL [FILE ...]]` does not know what to do with"),
        ("train --reward", "--reward.source needs a value (STR)."),
        ("train --reward verifiable --reward.gat boxed", "has no option '--reward.gat'. Did you mean '--reward.gate'?"),
        ("init MODEL", "Which model, and which data? `presat init MODEL DATA`"),
        ("presets now", "`presat presets` does not know what to do with 'now'"),
        ("train --tyro-print-completion fish", "There are completions for bash, zsh, tcsh, not 'fish'."),
        ("data filter --out y.txt", "out: a parquet file is written, so its name should end in .parquet (got 'y.txt')"),
        ("data corrupt --out y.jsonl", "out: a parquet file is written"),
        ("data subset --out y", "out: a parquet file is written"),
        ("cpt --data.source lab/cpt --model.name MODEL --run RUN", "lab/cpt has no end: say how many `steps`"),
    ],
)
def test_wrong_usage_exits_2_with_one_message(words: str, message: str, model, tmp_path, capsys) -> None:
    argv = words.replace("MODEL", str(model)).replace("RUN", str(tmp_path / "run")).split()
    assert run(argv) == 2
    printed = capsys.readouterr()
    assert message in one_message(printed)
    assert printed.out == ""


def test_what_tyro_says_of_no_option_is_handed_on() -> None:
    said = complaint(SystemExit(2), "╭─ Odd ─╮\n│ Something new. │\n", "train", TrainConfig, [])
    assert said == "`presat train` cannot read its command line: Odd Something new."


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stepz": 3}, "unknown key 'stepz'. Did you mean 'steps'?"),
        ({"data": {"source": "lab/chain"}}, "There is no lab task 'chain'. Did you mean 'chains'?"),
        ({"data": {"source": "reasoning_gym/quantum_loc"}}, "Did you mean 'quantum_lock'?"),
        ({"data": {"source": "lab/chains", "options": {"operand": 3}}}, "Did you mean 'operands'?"),
        ({"reward": {"source": "verifable"}}, "There is no reward 'verifable'. Did you mean 'verifiable'?"),
        ({"reward": {"source": "random", "options": {"sed": 1}}}, "takes no option 'sed'. Did you mean 'seed'?"),
        ({"eval": {"sets": [{"source": "lab/chains"}] * 2}}, "two evaluation sets are called 'chains'"),
        ({"micro_batch": 3}, "micro_batch is 3, which does not divide the 4 responses"),
    ],
)
def test_a_wrong_setting_in_a_file_names_the_nearest(train, changes, message, capsys) -> None:
    assert train(**changes) == 2
    assert message in one_message(capsys.readouterr())


# failures


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {"source": "no_such.parquet"}}, "There is no file no_such.parquet."),
        ({"data": {"source": "rows.jsonl"}}, "1 of 2 problems have no gold answer (the first: "),
        ({"model": {"name": "no/such/model"}}, "There is no model folder 'no/such/model'"),
        ({"model": {"name": "."}}, "holds no model"),
        ({"model": {"name": "smollm2-135"}}, "There is no model 'smollm2-135'. Did you mean 'smollm2-135m'?"),
        ({"model": {"name": "damaged"}}, "hold 100 bytes: one of them is damaged, or weights are missing"),
        ({"run": "/dev/null/run"}, "Cannot make the run directory /dev/null/run: Not a directory."),
        ({"run": "rows.jsonl"}, "Cannot make the run directory rows.jsonl: File exists."),
        ({"max_prompt_tokens": 2}, "Each of the 2 prompts is longer than max_prompt_tokens (2)"),
    ],
)
def test_a_failure_exits_1_with_one_message(train, model, tmp_path, monkeypatch, capsys, changes, message) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.jsonl").write_text('{"question": "1+1", "answer": "2"}\n{"question": "1+2"}\n')
    Path("damaged").mkdir()
    for file in model.iterdir():
        content = file.read_bytes()
        (Path("damaged") / file.name).write_bytes(content[:100] if file.suffix == ".safetensors" else content)
    assert train(**changes) == 1
    printed = capsys.readouterr()
    assert message in one_message(printed)
    assert printed.out == ""


def test_a_malformed_row_is_named_with_its_field(train, tmp_path, capsys) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"question": "1+1", "answer": "2"}\n{"question": 3, "answer": "2"}\n')
    assert train(data={"source": str(file)}) == 1
    said = one_message(capsys.readouterr())
    assert "row 2" in said
    assert "question" in said


def test_a_busy_run_directory_is_left_alone(train, config, capsys) -> None:
    with RunWriter(config.run, {"steps": 9}, "train") as writer:
        writer.append(1, {"reward": 0.5})
        for words in ((), ("--resume",)):
            assert train(*words) == 1
            assert f"is being written by process {os.getpid()}" in one_message(capsys.readouterr())
        writer.append(2, {"reward": 0.75})
    assert open_run(config.run).train_rewards().tolist() == [0.5, 0.75]
    assert train() == 1
    assert "already holds a run (finished)" in one_message(capsys.readouterr())
    assert open_run(config.run).train_rewards().tolist() == [0.5, 0.75]


def test_a_loss_that_is_not_a_number_keeps_what_was_done(train, config, capsys) -> None:
    changes = {"optim": {"lr": 1e30}, "save_every": 1, "reward": {"source": "random"}, "seed": 1}
    assert train(**changes) == 1
    assert "became nan at step 2; the update was not made" in one_message(capsys.readouterr())
    ended = open_run(config.run)
    assert (ended.status, len(ended.train_rewards())) == ("failed", 1)
    assert [p.name for p in (config.run / "checkpoints").iterdir()] == ["step_1"]


def test_a_bug_says_it_is_one_and_debug_shows_where(train, monkeypatch, capsys) -> None:
    def broken(*_):
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("presat.training.grpo.train.make_schedule", broken)
    assert train() == 1
    said = capsys.readouterr().err
    assert "Unexpected ZeroDivisionError: oh" in said
    assert "Traceback" not in said
    assert train("--debug", "--json") == 1
    printed = capsys.readouterr()
    assert "Traceback" in printed.err
    assert json.loads(printed.out)["type"] == "ZeroDivisionError"


def test_a_refusal_of_the_system_is_no_bug(monkeypatch, capsys) -> None:
    def full(*_):
        raise OSError(28, "No space left on device", "x.parquet")

    monkeypatch.setattr("presat.evaluation.inspect.inspect_source", full)
    assert run(["data", "inspect", "lab/chains"]) == 1
    assert "No space left on device: 'x.parquet'" in one_message(capsys.readouterr())


# --json


def test_json_is_one_object_and_nothing_else_on_stdout(train, config, capfd) -> None:
    assert train("--json") == 0
    printed = capfd.readouterr()
    (summary,) = json.loads(printed.out, parse_constant=pytest.fail)["runs"]
    assert summary
    assert open_run(config.run).status == "finished"


@pytest.mark.parametrize(
    ("words", "code", "kind"),
    [
        ("--json trian", 2, "ConfigError"),
        ("train --stepz 3 --json", 2, "ConfigError"),
        ("data inspect no_such.parquet --json", 1, "DataError"),
    ],
)
def test_json_reports_failures_too(words, code, kind, capsys) -> None:
    assert run(words.split()) == code
    printed = capsys.readouterr()
    told = json.loads(printed.out)
    assert told["type"] == kind
    assert told["error"] in one_message(printed)


# interruption, configuration


@pytest.mark.parametrize(
    ("verb", "advice"),
    [
        ("train", "Go on with --resume."),
        ("cpt", "Go on with --resume."),
        ("demo", "Run the same command again to go on from there."),
        ("data filter", "Run the same command again to go on from there."),
        ("data inspect", "Run the same command again."),
        ("report", "Run the same command again."),
    ],
)
@pytest.mark.parametrize("how", [KeyboardInterrupt(), Terminated(signal.SIGTERM), UnfinishedError("The disk is full.")])
def test_what_to_do_next_fits_the_verb(monkeypatch, capsys, verb, advice, how) -> None:
    def stop(*_):
        raise how

    monkeypatch.setitem(VERBS, verb, replace(VERBS[verb], call=stop))
    code = run(verb.split())
    err = capsys.readouterr().err
    said = {130: "Interrupted. What was saved stays.", 143: "Interrupted: ended by SIGTERM. What was saved stays."}
    assert err == f"presat: {said.get(code, 'The disk is full.')} {advice}\n"
    assert code == {KeyboardInterrupt: 130, Terminated: 143, UnfinishedError: 1}[type(how)]


def test_dry_run_prints_a_configuration_that_reads_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "--steps", "9", "--data.options", "{operands: [6, 8]}", "--dry-run"]) == 0
    file = tmp_path / "c.yaml"
    file.write_text(capsys.readouterr().out)
    assert run(["train", "--config", str(file), "--dry-run", "--json"]) == 0
    resolved = json.loads(capsys.readouterr().out)
    assert (resolved["steps"], resolved["data"]["options"]) == (9, {"operands": [6, 8]})


def test_a_path_is_printed_whole_brackets_and_all(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    counts, out = tmp_path / "counts.jsonl", tmp_path / "[bold]a subset" / ("long" * 20 + ".parquet")
    counts.write_text("".join(json.dumps({"question": f"q{i}", "answer": "1", "solve": i}) + "\n" for i in (1, 2, 3)))
    words = ["data", "subset", "--data.source", str(counts), "--n", "2", "--batch", "0"]
    assert run([*words, "--out", str(out)]) == 0
    assert f"Written to {out}.\n" in capsys.readouterr().out


STUDIES = ("lab", "lab-aa", "lab-forecast", "lab-mini", "paper", "smollm2-forecast", "smollm2-repair")


@pytest.mark.parametrize("preset", preset_names())
def test_every_preset_fits_the_verb_it_is_named_for(preset: str) -> None:
    load_config(StudyConfig if preset in STUDIES else VERBS[verb_of(preset)].config, preset)


def verb_of(preset: str) -> str:
    """`smollm2-sft` is for `sft`, `paper-math-n8` for `train`, `lab` is a study."""
    if preset in STUDIES:
        return "study run"
    return next((word for word in preset.split("-") if word in VERBS), "train")


@pytest.mark.parametrize(("verb", "pages", "gpus"), [("demo", None, ""), ("train", "1", None)])
def test_large_pages_are_asked_for_but_not_for_the_demo_which_stays_on_the_cpu(verb, pages, gpus, monkeypatch):
    for name in ("THP_MEM_ALLOC_ENABLE", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.setenv(name, "")  # so that the variable is put back afterwards
        monkeypatch.delenv(name)
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    assert (os.environ.get("THP_MEM_ALLOC_ENABLE"), os.environ.get("CUDA_VISIBLE_DEVICES")) == (pages, gpus)


def resolved(capsys, *words: str) -> dict:
    """The configuration that a command line comes to."""
    assert run([*words, "--dry-run", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_text_stands_for_the_setting_that_a_group_is_about(tmp_path, capsys) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("model: m\ndata: x.jsonl\nreward: self_certainty\neval: {sets: [y.jsonl]}\n")
    for words in (["--config", str(file)], ["--model", "m", "--data=x.jsonl", "--reward", "self_certainty"]):
        found = resolved(capsys, "train", *words)
        said = (found["model"]["name"], found["data"]["source"], found["reward"]["source"])
        assert said == ("m", "x.jsonl", "self_certainty")
    assert resolved(capsys, "train", "--config", str(file))["eval"]["sets"][0]["source"] == "y.jsonl"
    assert resolved(capsys, "train", "--config", str(file), "--reward.gate", "boxed")["reward"]["gate"] == "boxed"


def test_eval_takes_a_model_and_files_without_a_yaml(tmp_path, capsys) -> None:
    found = resolved(capsys, "eval", "m", "a.jsonl", "benchmark/math500", "--samples", "4")
    assert found["model"]["name"] == "m"
    assert [item["source"] for item in found["sets"]] == ["a.jsonl", "benchmark/math500"]
    assert found["samples"] == 4
    file = tmp_path / "c.yaml"
    file.write_text("model: {name: m, dtype: bfloat16}\nsets: [{source: y.jsonl, name: mine}]\n")
    found = resolved(capsys, "eval", "--config", str(file), "other")
    assert (found["model"]["name"], found["model"]["dtype"]) == ("other", "bfloat16")
    assert [item["name"] for item in found["sets"]] == ["mine"]
    assert [item["source"] for item in resolved(capsys, "eval", "m", "z.jsonl", "--config", str(file))["sets"]] == [
        "z.jsonl"
    ]


def test_eval_of_a_model_and_a_file(model, tmp_path, capsys) -> None:
    (tmp_path / "q.jsonl").write_text('{"question": "1+1", "answer": "2"}\n{"question": "1+2", "answer": "3"}\n')
    words = ["--run", str(tmp_path / "run"), "--samples", "2", "--max-new-tokens", "4", "--json"]
    assert run(["eval", str(model), str(tmp_path / "q.jsonl"), *words]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert (result["set"], result["problems"]) == ("q", 2)


def test_presets_are_listed_with_what_they_are_for(capsys) -> None:
    assert run(["presets", "--json"]) == 0
    found = {item["name"]: item for item in json.loads(capsys.readouterr().out)["presets"]}
    assert list(found) == preset_names()
    for name, item in found.items():
        assert verb_of(name) in item["for"]
        assert item["what"].endswith(".")
        assert not item["what"].startswith("#")
    assert run(["presets"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == preset_names()
    assert found["paper-math-gamma"]["what"] in lines[preset_names().index("paper-math-gamma")]
