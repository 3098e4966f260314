"""The command line says what is wrong, in a sentence, with the right exit code, and keeps stdout for results."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from presat.cli import VERBS, run


def presat(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "presat", *words], capture_output=True, text=True, timeout=120)


def test_help_needs_no_torch() -> None:
    code = (
        "import sys; from presat.cli import run; run(['--help']); run(['train', '--dry-run']); "
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert all(verb in done.stdout for verb in VERBS)


@pytest.mark.parametrize("verb", list(VERBS))
def test_every_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        run([*verb.split(), "--help"])
    assert stop.value.code == 0
    assert VERBS[verb].question.split("?")[0].split(".")[0][:30] in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["trian"], "There is no verb 'trian'. Did you mean 'train'?"),
        (["data"], "`presat data` needs one more word: data inspect"),
        (["train", "--config"], "--config needs a file or the name of a preset"),
        (["train", "--config", "nowhere.yaml"], "There is no configuration file or preset 'nowhere.yaml'."),
        (["train", "--group-size", "1"], "group_size must be at least 2"),
    ],
)
def test_wrong_usage_exits_2_with_one_message(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(argv) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert "Traceback" not in printed.err
    assert printed.out == ""


def test_an_unknown_option_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        run(["train", "--stepz", "3"])
    assert stop.value.code == 2
    assert "--steps" in capsys.readouterr().err


def test_a_missing_file_exits_1_and_json_stays_json() -> None:
    done = presat("data", "inspect", "no_such.parquet", "--json")
    assert done.returncode == 1
    assert "no_such.parquet" in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads(done.stdout)["type"] == "DataError"
    assert "Traceback" in presat("data", "inspect", "no_such.parquet", "--debug").stderr


def test_dry_run_prints_a_configuration_that_reads_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "--steps", "9", "--data.options", "{operands: [6, 8]}", "--dry-run"]) == 0
    file = tmp_path / "c.yaml"
    file.write_text(capsys.readouterr().out)
    assert run(["train", "--config", str(file), "--dry-run", "--json"]) == 0
    resolved = json.loads(capsys.readouterr().out)
    assert (resolved["steps"], resolved["data"]["options"]) == (9, {"operands": [6, 8]})
