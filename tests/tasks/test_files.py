"""Files of problems that the tests write themselves: JSONL, CSV, parquet, folders, saved datasets."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from presat import load_problems
from presat.cli import run
from presat.errors import ConfigError, DataError, RunError
from presat.tasks import save_problems
from presat.tasks.golds import unwrap_gold
from presat.tasks.rows import original_gold
from presat.types import Problem

Rows = list[dict[str, Any]]


def write_jsonl(path: Path, rows: Rows) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_csv(path: Path, rows: Rows) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_parquet(path: Path, rows: Rows) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


WRITERS: dict[str, Callable[[Path, Rows], Path]] = {
    ".jsonl": write_jsonl,
    ".csv": write_csv,
    ".parquet": write_parquet,
}
SUMS: Rows = [{"q": f"1 + {number}?", "a": str(1 + number), "name": f"sum-{number}"} for number in range(5)]
COLUMNS = {"question": "q", "answer": "a", "id": "name"}


def verl(gold: Any = "5", question: str = "2 + 3?", **more: Any) -> dict[str, Any]:
    prompt = [{"role": "system", "content": "Think."}, {"role": "user", "content": question}]
    return {"data_source": "x", "prompt": prompt, "reward_model": {"ground_truth": gold, "style": "rule"}, **more}


@pytest.mark.parametrize("suffix", list(WRITERS))
def test_named_columns(suffix: str, tmp_path: Path) -> None:
    path = WRITERS[suffix](tmp_path / f"sums{suffix}", SUMS)
    problems = load_problems(path, columns=COLUMNS)
    assert [problem.id for problem in problems] == [f"sum-{number}" for number in range(5)]
    assert [problem.gold for problem in problems] == ["1", "2", "3", "4", "5"]
    assert problems[2].messages[-1] == {"role": "user", "content": "1 + 2?"}
    assert problems[2].messages[0]["role"] == "system"
    assert "\\boxed{}" in problems[2].messages[0]["content"]
    assert (problems[2].domain, problems[2].verifier) == ("math", "math")
    assert problems[2].metadata == {"name": "sum-2"}


def test_usual_column_names_are_found(tmp_path: Path) -> None:
    rows = [{"problem": "1 + 1?", "solution": "We add: 2", "answer": 2, "level": 1}]
    (problem,) = load_problems(write_jsonl(tmp_path / "a.jsonl", rows))
    assert (problem.messages[-1]["content"], problem.gold) == ("1 + 1?", "2")
    assert problem.metadata == {"solution": "We add: 2", "level": 1}


def test_chat_turns_are_used_as_they_are(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "1 + 1?"}]
    (problem,) = load_problems(
        write_jsonl(tmp_path / "a.jsonl", [{"messages": turns, "answer": "2"}]), system="Be brief."
    )
    assert list(problem.messages) == turns


@pytest.mark.parametrize(("system", "roles"), [(None, 2), ("Be brief.", 2), ("", 1)])
def test_the_system_message_can_be_set_or_left_out(system: str | None, roles: int, tmp_path: Path) -> None:
    (problem, *_) = load_problems(write_jsonl(tmp_path / "a.jsonl", SUMS), columns=COLUMNS, system=system)
    assert len(problem.messages) == roles
    if system:
        assert problem.messages[0]["content"] == system


def test_the_domain_decides_the_prompt(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", SUMS)
    (math, *_) = load_problems(path, columns=COLUMNS)
    (science, *_) = load_problems(path, columns=COLUMNS, domain="science")
    assert (science.domain, science.verifier) == ("science", "math")
    assert science.messages[0] != math.messages[0]


@pytest.mark.parametrize(
    ("raw", "gold"),
    [
        ('["1156"]', "1156"),
        ('["\\\\frac{1}{2}"]', "\\frac{1}{2}"),
        ("[1, 2]", "[1, 2]"),  # an interval
        ("[0, 1)", "[0, 1)"),
        ('["1", "2"]', '["1", "2"]'),
        (["7"], "7"),
        (7, "7"),
        (0, "0"),
        (2.5, "2.5"),
        (1e-5, r"1 \times 10^{-5}"),  # `1e-05` would be read as e - 5
        (-6.022e23, r"-6.022 \times 10^{23}"),
        ("3e-1", "3e-1"),
        (None, None),
        ("", None),
        (float("nan"), None),
    ],
)
def test_golds_are_unwrapped(raw: Any, gold: str | None, tmp_path: Path) -> None:
    (plain,) = load_problems(write_jsonl(tmp_path / "a.jsonl", [{"question": "?", "answer": raw}]))
    (problem,) = load_problems(write_jsonl(tmp_path / "b.jsonl", [verl(raw)]))
    assert plain.gold == problem.gold == gold
    if isinstance(raw, str) and gold:
        assert unwrap_gold(raw) == gold


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("She sold 24 more.\n24 + 48 = <<24+48=72>>72\n#### 72", "72"),
        ("one\n#### 1\nthen\n#### 1,234 \n", "1,234"),
        ("####5", "5"),
        ("#### 5\nand more", "#### 5\nand more"),
        ("5 #### 6", "5 #### 6"),
        ("####", "####"),
    ],
)
def test_the_last_line_of_a_solution_in_the_form_of_gsm8k_is_its_answer(answer: str, gold: str, tmp_path: Path) -> None:
    problems = load_problems(write_jsonl(tmp_path / "a.jsonl", [{"question": "?", "answer": answer}]))
    assert problems[0].gold == gold
    assert problems[0].metadata == ({} if gold == answer else {"answer": answer})
    assert_round_trip(problems, tmp_path / "b.parquet")


def test_verl_rows_keep_every_column(tmp_path: Path) -> None:
    row = verl(
        '["5"]', ability="MATH", extra_info={"index": 3, "original_ground_truth": '["6"]'}, difficulty={"m": 0.5}
    )
    (problem,) = load_problems(write_parquet(tmp_path / "a.parquet", [row]))
    assert list(problem.messages) == row["prompt"]
    assert problem.gold == "5"
    assert original_gold(problem) == "6"
    assert problem.domain == "math"
    assert problem.metadata == {name: value for name, value in row.items() if name != "prompt"}


@pytest.mark.parametrize("empty", ["{}", "", " ", {}, None])
def test_extra_info_may_be_empty(empty: Any, tmp_path: Path) -> None:
    (problem,) = load_problems(write_jsonl(tmp_path / "a.jsonl", [verl("5", extra_info=empty)]))
    assert (problem.gold, problem.metadata["extra_info"]) == ("5", empty)
    (kept,) = load_problems(save_problems([problem], tmp_path / "b.parquet"))
    assert (kept.id, kept.gold) == (problem.id, "5")


def test_the_data_source_decides_the_domain(tmp_path: Path) -> None:
    rows = [verl(question="a") | {"data_source": "scp_1"}, verl(question="b"), verl(question="c", ability="chess")]
    path = write_jsonl(tmp_path / "a.jsonl", rows)
    assert [problem.domain for problem in load_problems(path)] == ["science", "math", "chess"]
    assert [problem.domain for problem in load_problems(path, domain="mine")] == ["mine"] * 3


def test_reasoning_gym_rows_are_known_by_their_task(tmp_path: Path) -> None:
    gym = verl(question="a", extra_info=json.dumps({"source_dataset": "largest_island", "solution": 7}))
    other = verl(question="b", extra_info=json.dumps({"source_dataset": "gsm8k"}))  # a set of someone's, no gym task
    problems = load_problems(write_jsonl(tmp_path / "a.jsonl", [gym, other]))
    assert [(p.domain, p.verifier) for p in problems] == [("graph", "reasoning_gym"), ("math", "math")]
    assert original_gold(problems[0]) == "7"
    plain = [{"question": "?", "answer": "1", "source_dataset": "gsm8k"}]
    assert load_problems(write_jsonl(tmp_path / "b.jsonl", plain))[0].verifier == "math"


def test_ids_belong_to_the_turns(tmp_path: Path) -> None:
    rows = [verl(question="a"), verl(question="b"), verl("6", question="a")]
    ids = [problem.id for problem in load_problems(write_jsonl(tmp_path / "a.jsonl", rows))]
    assert ids[2] == f"{ids[0]}#2"
    assert len(set(ids)) == 3
    assert [p.id for p in load_problems(write_jsonl(tmp_path / "b.jsonl", rows[::-1][1:]))] == [ids[1], ids[0]]


@pytest.mark.parametrize(
    ("times", "unique", "kept"),
    [((3, 3), None, 2), ((3, 2), None, 5), ((3, 2), True, 2), ((3, 3), False, 6), ((1, 1), None, 2)],
)
def test_repeated_rows(times: tuple[int, int], unique: bool | None, kept: int, tmp_path: Path) -> None:
    rows = [verl(question="a")] * times[0] + [verl(question="b")] * times[1]
    problems = load_problems(write_jsonl(tmp_path / "a.jsonl", rows), unique=unique)
    assert len(problems) == len({problem.id for problem in problems}) == kept
    folded = kept == 2 and times != (1, 1)
    assert [problem.metadata.get("repeats") for problem in problems] == (list(times) if folded else [None] * kept)


def test_a_file_is_a_file_wherever_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lab").mkdir()
    write_jsonl(tmp_path / "lab" / "sums.jsonl", SUMS)
    monkeypatch.chdir(tmp_path)
    assert len(load_problems("lab/sums.jsonl", columns=COLUMNS)) == 5
    assert load_problems("lab/chains", count=1)[0].verifier == "lab"


# --- count and sample


def test_count_takes_the_first_and_sample_a_random_choice(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", SUMS)
    every = load_problems(path, columns=COLUMNS)
    assert load_problems(path, columns=COLUMNS, count=3) == every[:3]
    drawn = [load_problems(path, columns=COLUMNS, count=3, sample=True, seed=seed) for seed in range(8)]
    assert drawn[0] == load_problems(path, columns=COLUMNS, count=3, sample=True, seed=0)
    assert all(len({problem.id for problem in problems}) == 3 for problems in drawn)
    assert len({tuple(problem.id for problem in problems) for problems in drawn}) > 1
    with pytest.raises(DataError, match="holds 5 different problems, fewer than the 6"):
        load_problems(path, columns=COLUMNS, count=6)
    with pytest.raises(ConfigError, match="count should be at least 1; it is -1"):
        load_problems(path, columns=COLUMNS, count=-1)


# --- folders and datasets


def test_a_folder_of_files_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    write_csv(tmp_path / "b.csv", SUMS[2:4])
    write_jsonl(tmp_path / "a.jsonl", SUMS[:2])
    write_parquet(tmp_path / "c.parquet", SUMS[4:])
    (tmp_path / "notes.txt").write_text("not data")
    assert [problem.id for problem in load_problems(tmp_path, columns=COLUMNS)] == [row["name"] for row in SUMS]


def test_saved_datasets_of_hugging_face(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    one = datasets.Dataset.from_list(SUMS)
    one.save_to_disk(tmp_path / "one")
    datasets.DatasetDict({"train": one, "test": one.select([1])}).save_to_disk(tmp_path / "two")
    expected = load_problems(write_jsonl(tmp_path / "a.jsonl", SUMS), columns=COLUMNS)
    assert load_problems(tmp_path / "one", columns=COLUMNS) == expected
    assert load_problems(tmp_path / "two", columns=COLUMNS) == expected
    assert load_problems(tmp_path / "two", columns=COLUMNS, split="test") == expected[1:2]
    with pytest.raises(DataError, match=r"no split 'tset'. Did you mean 'test'"):
        load_problems(tmp_path / "two", columns=COLUMNS, split="tset")


# --- saving


def assert_round_trip(problems: list[Problem], path: Path) -> None:
    save_problems(problems, path)
    assert load_problems(path, unique=None) == problems


@pytest.mark.parametrize("suffix", list(WRITERS))
def test_tables_survive_saving(suffix: str, tmp_path: Path) -> None:
    problems = load_problems(WRITERS[suffix](tmp_path / f"a{suffix}", SUMS), columns=COLUMNS, domain="sums")
    assert_round_trip(problems, tmp_path / "saved" / "b.parquet")
    assert not list(tmp_path.glob("saved/*.partial"))


def test_made_problems_survive_saving(tmp_path: Path) -> None:
    made = load_problems("lab/chains", count=3) + load_problems("reasoning_gym/quantum_lock", count=3)
    made += load_problems("reasoning_gym/graph_color", count=1)  # without a gold answer
    assert_round_trip(made, tmp_path / "a.parquet")


def test_saved_verl_rows_stay_verl_rows(tmp_path: Path) -> None:
    rows = [verl('["5"]', "a", extra_info={"index": 1}), verl("6", "b", extra_info={"index": 2})]
    problems = load_problems(write_parquet(tmp_path / "a.parquet", rows))
    assert_round_trip(problems, tmp_path / "b.parquet")
    assert pq.read_table(tmp_path / "b.parquet").select(list(rows[0])).to_pylist() == rows


def test_a_changed_gold_survives_saving(tmp_path: Path) -> None:
    (problem,) = load_problems(write_jsonl(tmp_path / "a.jsonl", [verl('["5"]')]))
    changed = replace(problem, gold="-1", domain="other")
    (back,) = load_problems(save_problems([changed], tmp_path / "b.parquet"))
    assert (back.id, back.messages, back.gold, back.domain) == (changed.id, changed.messages, "-1", "other")
    assert back.metadata["reward_model"]["ground_truth"] == "-1"  # what any other reader of the format trains on


@pytest.mark.parametrize(("value", "rows"), [(3, 3), ("2", 2), (None, 1), (0, None), ("often", None)])
def test_a_column_called_repeats_loses_no_row(value: Any, rows: int | None, tmp_path: Path) -> None:
    table = [{"question": "?", "answer": "1", "repeats": value}, {"question": "!", "answer": "1", "repeats": 1}]
    problems = load_problems(write_jsonl(tmp_path / "a.jsonl", table))
    if rows is None:
        with pytest.raises(DataError, match=rf"field 'repeats' says how often to write a problem; it is {value!r}"):
            save_problems(problems, tmp_path / "b.parquet")
    else:
        path = save_problems(problems, tmp_path / "b.parquet")
        assert pq.read_metadata(path).num_rows == rows + 1


def test_repeated_problems_are_written_as_often(tmp_path: Path) -> None:
    rows = [verl(question="a"), verl(question="b")] * 4
    problems = load_problems(write_jsonl(tmp_path / "a.jsonl", rows))
    assert_round_trip(problems, tmp_path / "b.parquet")
    assert pq.read_metadata(tmp_path / "b.parquet").num_rows == 8


@pytest.mark.parametrize(
    "extras",
    [
        [{"a": 1}, {"b": 2}],  # different keys
        [{"a": 1}, {"a": "x"}],  # different kinds
        [{}, {}],  # parquet has no empty mappings
        ["{}", None],
    ],
)
def test_sets_of_different_make_survive_saving(extras: list[Any], tmp_path: Path) -> None:
    rows = [verl(question=str(number), notes=extra) for number, extra in enumerate(extras)]
    problems = load_problems(write_jsonl(tmp_path / "a.jsonl", rows))
    problems += load_problems("lab/chains", count=2)
    assert_round_trip(problems, tmp_path / "b.parquet")
    assert_round_trip(problems[:2], tmp_path / "c.parquet")


def test_what_cannot_be_saved(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no problems to write"):
        save_problems([], tmp_path / "a.parquet")
    (tmp_path / "file").write_text("")
    problems = load_problems("lab/chains", count=1)
    with pytest.raises(RunError, match="Cannot make the folder"):
        save_problems(problems, tmp_path / "file" / "a.parquet")
    strange = Problem("p", ({"role": "user", "content": "?"},), "1", "math", "math", {"thing": object()})
    with pytest.raises(DataError, match="Problem p cannot be saved"):
        save_problems([strange], tmp_path / "a.parquet")


# --- malformed rows and missing files


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "?", "answer": {"x": 1}}, r"row 2: field 'answer' should hold an answer.*\{'x': 1\}"),
        ({"question": "?", "answer": ["1", {}]}, r"row 2: field 'answer' should hold an answer"),
        (
            {"question": "?", "answer": ["1", ""]},
            r"row 2: field 'answer' is a list of answers, and one of them is empt",
        ),
        ({"question": ""}, r"row 2: field 'question' should hold the question; it is ''"),
        ({"question": 7}, r"row 2: field 'question' should hold the question; it is 7"),
        ({"wonder": "?"}, r"row 2: no question among the fields wonder"),
        ({"messages": []}, r"row 2: field 'messages' holds no turns"),
        ({"messages": [{"role": "user"}]}, r"row 2: field 'messages' should be a list of \{role, content\} turns"),
        (verl() | {"reward_model": "5"}, r"row 2: field 'reward_model' should be a mapping with 'ground_truth'"),
        (verl() | {"reward_model": {}}, r"row 2: field 'reward_model' should be a mapping with 'ground_truth'"),
        (verl({"a": 1}), r"row 2: field 'reward_model.ground_truth' should hold an answer"),
        (verl() | {"prompt": 7}, r"row 2: field 'prompt' should be a list of \{role, content\} turns"),
        (verl(extra_info="{not json"), r"row 2: field 'extra_info' is a string but not a JSON object"),
        (verl(extra_info="[]"), r"row 2: field 'extra_info' is a string but not a JSON object: '\[\]'"),
        (verl(presat="{}"), r"row 2: field 'presat' is not what presat writes there"),
    ],
)
def test_malformed_rows_are_named_with_row_and_field(row: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [{"question": "fine?", "answer": "1"}, row])
    with pytest.raises(DataError, match=rf"a\.jsonl, {message}"):
        load_problems(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"question": "?"}\n{"question', r"a\.jsonl, line 2: not JSON .* ends within this line"),
        ("a.jsonl", b"[1]\n", r"a\.jsonl, line 1: should be a JSON object; it is list"),
        ("a.jsonl", b'{"question": "\xff"}', r"a\.jsonl, line 1: not UTF-8 text"),
        ("a.jsonl", b"", r"a\.jsonl holds no rows"),
        ("a.csv", b"question,answer\n1+1?,2\n2+2?\n", r"a\.csv, row 3: has not the 2 fields"),
        ("a.csv", b"question,answer\n1+1?,2,3\n", r"a\.csv, row 2: has not the 2 fields"),
        (
            "a.csv",
            b"Frage;Antwort\n3/2?;1,5\n",
            r"a\.csv, row 1: .*separator seems to be `;`, and that of CSV",
        ),
        ("a.csv", b"question\tanswer\n3/2?\t1\n", r"a\.csv, row 1: .*separator seems to be a tab"),
        ("a.tsv", b"question,answer\n3/2?,1\n", r"a\.tsv, row 1: .*separator seems to be a comma"),
        ("a.csv", b"question,answer\n", r"a\.csv holds no rows"),
        ("a.parquet", b"PAR1 but not really", r"a\.parquet is not a parquet file"),
        (
            "a.txt",
            b"{}",
            r"a\.txt is of no known kind; known are \.parquet, \.jsonl, \.jsonl\.gz, \.csv, \.tsv, \.json",
        ),
        ("a.json", b"[1]", r"a\.json should hold a list of JSON objects, or one object a line"),
        ("a.json", b'{"a": [], "b": []}', r"a\.json should hold a list of JSON objects, or one object a line"),
        ("a.json", b'[{"question": "?"', r"a\.json cannot be read after row 0"),
        ("a.jsonl.gz", b'{"question": "?"}', r"a\.jsonl\.gz is no gzip file, or a damaged one"),
        (
            "a.jsonl.gz",
            gzip.compress(b'{"question": "?"}' * 99, mtime=0)[:40],
            r"a\.jsonl\.gz is no gzip file, or a damaged one",
        ),
        ("a.tsv", b"question\tanswer\n1+1?\n", r"a\.tsv, row 2: has not the 2 fields"),
    ],
)
def test_damaged_files(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_problems(tmp_path / name)


def test_long_fields_of_a_csv_file_are_read_up_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.csv"
    path.write_text("question,answer\n1+1?,2\n" + "x" * 200_000 + ",2\n")
    assert [len(problem.messages[-1]["content"]) for problem in load_problems(path)] == [4, 200_000]
    monkeypatch.setattr("presat.tasks.readers.LONGEST", 100_000)
    with pytest.raises(DataError, match=r"a\.csv, row 3: is not CSV"):
        load_problems(path)


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_byte_order_mark_is_no_text(suffix: str, tmp_path: Path) -> None:
    text = {"csv": "question,answer\n1+1?,2\n", "jsonl": '{"question": "1+1?", "answer": 2}\n'}[suffix]
    path = tmp_path / f"a.{suffix}"
    path.write_text(text, encoding="utf-8-sig")
    (problem,) = load_problems(path)
    assert (problem.messages[-1]["content"], problem.gold) == ("1+1?", "2")


def test_a_parquet_file_cut_in_the_middle(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", [verl(question=str(number) * 50) for number in range(2000)])
    content = bytearray(path.read_bytes())
    content[4 : len(content) // 2] = b"\xff" * (len(content) // 2 - 4)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.parquet"):
        load_problems(path)


def test_a_folder_of_damaged_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.json").write_text('{"question": "?", "answer": 1}\n{"question": "?", broken\n')
    with pytest.raises(DataError, match=r"data cannot be loaded as a dataset: .*JSON"):
        load_problems(folder)


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is empty; it should hold"):
        load_problems(tmp_path)


def test_a_folder_of_other_things(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"0")
    with pytest.raises(DataError, match="cannot be loaded as a dataset"):
        load_problems(tmp_path)


def test_a_folder_of_folders_names_those_that_hold_data(tmp_path: Path, monkeypatch, caplog) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "data"
    for name, row in (("graph", {"question": "?", "answer": 1}), ("deep/math", {"text": "1 + 1"}), ("notes", {})):
        (folder / name).mkdir(parents=True)
        write_jsonl(folder / name / ("README.md" if name == "notes" else "a.jsonl"), [row])
    holds = r"A folder should hold \.parquet, \.jsonl, \.jsonl\.gz, \.csv, \.tsv files or a saved dataset\."
    says = rf"cannot be loaded as a dataset: .*different columns\. {holds} These folders in it do: deep/math, graph\.$"
    with pytest.raises(DataError, match=says) as caught:
        load_problems(folder)
    assert "\n" not in str(caught.value)
    assert not caplog.messages


@pytest.fixture
def no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The library datasets without a network, and the folder of its cache."""
    datasets = pytest.importorskip("datasets")
    from huggingface_hub import constants

    with socket.socket() as taken:  # a port where nobody listens
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path / "cache"


def test_without_a_hub_the_cache_alone_is_asked_at_once(no_hub: Path, tmp_path: Path) -> None:
    import datasets

    began = time.monotonic()
    for source in ("somebody/sums", "textt"):
        with pytest.raises(
            DataError, match=rf"^{source} is not a path here.*127.*cannot be reached .*Check the spelling"
        ):
            load_problems(source)
    assert not datasets.config.HF_HUB_OFFLINE
    file = write_jsonl(tmp_path / "sums.jsonl", SUMS)
    datasets.load_dataset("json", data_files=str(file), cache_dir=str(no_hub))
    (made,) = no_hub.glob("json/*/*/*/dataset_info.json")
    kept = shutil.copytree(made.parent, no_hub / "somebody___sums" / "default" / "0.0.0" / "0123456789abcdef")
    (kept / "json-train.arrow").rename(kept / "sums-train.arrow")
    assert [problem.gold for problem in load_problems("somebody/sums", columns=COLUMNS)] == ["1", "2", "3", "4", "5"]
    assert time.monotonic() - began < 10  # the client's own patience is three times as long


@pytest.mark.parametrize("name", ["sums.jsnl", "./sum.jsonl", "sums.json", "sums"])
def test_a_missing_file_names_the_nearest(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_jsonl(tmp_path / "sums.jsonl", SUMS)
    monkeypatch.chdir(tmp_path.parent)
    with pytest.raises(DataError, match=r"There is no file .* (Did you mean 'sums\.jsonl'\?|Known: sums\.jsonl\.)$"):
        load_problems(f"{tmp_path.name}/{name}")


def test_wrong_columns_and_options(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", SUMS)
    with pytest.raises(DataError, match=r"a\.jsonl, row 1: there is no field 'nam' \(given as the id\).*'name'"):
        load_problems(path, columns={**COLUMNS, "id": "nam"})
    with pytest.raises(ConfigError, match=r"there is no 'qestion'. Did you mean 'question'"):
        load_problems(path, columns={"qestion": "q"})
    with pytest.raises(ConfigError, match=r"takes no option 'colums'. Did you mean 'columns'"):
        load_problems(path, colums=COLUMNS)
    with pytest.raises(ConfigError, match="No data source is given"):
        load_problems("")
    rows = write_jsonl(tmp_path / "b.jsonl", [verl("5", mine="6")])
    with pytest.raises(ConfigError, match=r"b\.jsonl, row 1 is in the verl format, where `columns` means nothing"):
        load_problems(rows, columns={"answer": "mine"})


def test_a_missing_file_lists_data_files_alone_and_may_mean_a_folder(tmp_path: Path) -> None:
    for name in ("README.md", "run.py", "problems.jsonl"):
        (tmp_path / name).touch()
    (tmp_path / "science").mkdir()
    with pytest.raises(DataError, match=r"There is no file .*zzz\.parquet\. Known: problems\.jsonl\.$"):
        load_problems(tmp_path / "zzz.parquet")
    with pytest.raises(DataError, match=r"Did you mean 'science'\?$"):
        load_problems(str(tmp_path / "scienc"))


def test_a_missing_file_in_a_full_folder_lists_some_of_it(tmp_path: Path) -> None:
    for number in range(500):
        (tmp_path / f"part-{number:03}.parquet").touch()
    with pytest.raises(DataError, match=r"Known: part-000\.parquet, .*, part-004\.parquet and 495 more\.$"):
        load_problems(str(tmp_path / "zzz"))


def test_a_packed_file_is_to_be_unpacked(tmp_path):
    (tmp_path / "a.jsonl.zst").write_bytes(b"\x28")
    with pytest.raises(DataError, match=r"a\.jsonl\.zst is of no known kind.*Unpack it first\."):
        load_problems(tmp_path / "a.jsonl.zst")


def test_a_row_has_the_same_number_to_every_verb(tmp_path, capsys):
    """That of the line it begins in, as an editor counts: the header is the first, blank lines count."""
    path = tmp_path / "a.csv"
    path.write_text('step,reward,question\n1,0.5,"1\n"\n\nx,y,\n')
    for verb in ("data inspect", "report"):
        assert run([*verb.split(), str(path)]) == 1
        assert "a.csv, row 5" in capsys.readouterr().err.replace("\n", "")
    (tmp_path / "a.jsonl").write_text('{"question": "1+1"}\n\n{"question": 3}\n')
    assert run(["data", "inspect", str(tmp_path / "a.jsonl")]) == 1
    assert "a.jsonl, row 3" in capsys.readouterr().err.replace("\n", "")
    for ending, text in (("csv", "step,reward\n1,\xe9\n"), ("jsonl", '{"question": "1"}\n{"question": "\xe9"}\n')):
        (tmp_path / f"latin.{ending}").write_bytes(text.encode("latin1"))
        for verb in ("data inspect", "report")[: 2 if ending == "csv" else 1]:
            assert run([*verb.split(), str(tmp_path / f"latin.{ending}")]) == 1
            said = " ".join(capsys.readouterr().err.split())
            assert (
                "2: not UTF-8 text (byte 0xe9): convert it, if it is Latin-1 by `iconv -f latin1 -t utf8 OLD > NEW`"
                in said
            )
