"""Paths are names and no patterns, and files get the mode that the umask gives: a whole run in the worst of folders."""

import json
import os
import shutil
import stat

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.training.runs import lines

from presat.cli import run
from presat.config import dump_config
from presat.config.schema import EvalConfig, TaskConfig
from presat.errors import DataError
from presat.files import expanded
from presat.models.loading import resolve_model
from presat.tasks import load_problems, save_problems
from presat.tracking import open_run
from presat.tracking.responses import rollout_files

NAME = "a[1]*?~b"
ALIKE = ("a1xy~b", "a1~b")
"""Folders that the name would stand for, were it a pattern."""


@pytest.fixture
def umask():
    """A umask that no default is."""
    before = os.umask(0o027)
    yield
    os.umask(before)


def test_a_run_in_a_folder_whose_name_is_a_pattern(toy_config, tmp_path, monkeypatch, capsys, umask):
    """Train, resume, evaluate, report and inspect; beside it lie folders that the pattern would find."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / NAME
    folder.mkdir()
    settings = {"run": folder / "run", "steps": 2, "save_every": 1}
    config = toy_config.model_copy(update={**settings, "eval": toy_config.eval.model_copy(update={"every": 2})})
    (tmp_path / "train.yaml").write_text(dump_config(config))
    assert run(["train", "--config", "train.yaml"]) == 0
    for name in ALIKE:
        shutil.copytree(folder, tmp_path / name)
    assert run(["train", "--config", "train.yaml", "--steps", "3", "--resume"]) == 0
    assert [row["step"] for row in lines(config.run)] == [0, 1, 2, 3]
    assert [row["step"] for row in lines(tmp_path / ALIKE[0] / "run")] == [0, 1, 2]
    save_problems(load_problems("lab/chains", count=2), folder / "set:1.parquet")
    for name in ALIKE:
        shutil.copy(folder / "set:1.parquet", tmp_path / name)
    sets = [TaskConfig(source=f"{NAME}/set:1.parquet", name="*")]
    evaluation = EvalConfig(
        run=folder / "eval", sets=sets, samples=2, max_new_tokens=4, max_prompt_tokens=64, threads=1
    )
    evaluation.model.name = f"{NAME}/run"
    (tmp_path / "eval.yaml").write_text(dump_config(evaluation))
    assert run(["eval", "--config", "eval.yaml"]) == 0
    assert open_run(f"{NAME}/eval").rollouts("eval", set_name="*").height == 2 * 2
    before = open_run(config.run).rollouts("train")
    assert before.height == sum(pq.read_metadata(file).num_rows for _, file in rollout_files(config.run, "train"))
    assert run(["report", f"{NAME}/run", "--out", f"{NAME}/~/page?.html"]) == 0
    assert sorted(path.name for path in (folder / "~").iterdir()) == [
        f"page?.{ending}" for ending in ("csv", "html", "tex")
    ]
    capsys.readouterr()
    for source in (NAME, f"{NAME}/set:1.parquet"):
        assert run(["data", "inspect", source, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["problems"] == 2
    wrong = {
        str(path.relative_to(folder)): oct(path.stat().st_mode)
        for path in folder.rglob("*")
        if stat.S_IMODE(path.stat().st_mode) != (0o750 if path.is_dir() else 0o640)
    }
    assert not wrong


def test_a_file_in_the_current_folder_whose_name_looks_like_a_protocol(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("s3:x.parquet", "file:x.parquet", "x%41.parquet"):
        assert len(load_problems(str(save_problems(load_problems("lab/chains", count=2), name)))) == 2


def test_a_folder_of_folders_is_refused_where_the_library_would_take_its_name_for_a_pattern(tmp_path):
    """It finds nothing in it, or the files of another one."""
    for name in (NAME, "a[1]", "a1"):
        (tmp_path / name / "train").mkdir(parents=True)
        pq.write_table(pa.table({"question": [name], "answer": ["1"]}), tmp_path / name / "train" / "rows.parquet")
    for name in (NAME, "a[1]"):
        with pytest.raises(DataError, match="for a pattern"):
            load_problems(tmp_path / name)
    assert load_problems(tmp_path / "a1")[0].messages[-1]["content"] == "a1"
    assert len(load_problems(tmp_path / NAME / "train")) == 1


def test_a_tilde_is_a_home_folder_only_where_nothing_has_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert str(expanded("~/x")) == "/home/somebody/x"
    assert str(expanded("~no such user/x")) == "~no such user/x"
    for name in ("~", "~nobody here"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
        (tmp_path / name / "x.jsonl").write_text('{"question": "1 + 1", "answer": "2"}\n')
        assert resolve_model(name) == name
        assert len(load_problems(f"{name}/x.jsonl")) == 1
