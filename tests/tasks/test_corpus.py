"""Text as a stream: every kind of file, folders, saved data sets; what a part is, and what is said of a bad row."""

from __future__ import annotations

import json
import os
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from presat.errors import ConfigError, DataError
from presat.tasks.corpus import corpus_parts, read_parts


def texts(source: Path | str, column: str = "text") -> list[str]:
    return [text for text, _ in read_parts(corpus_parts(str(source), column))]


def write_jsonl(path: Path, *rows: dict) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_parquet(path: Path, columns: dict, **options) -> Path:
    pq.write_table(pa.table(columns), path, **options)
    return path


def test_text_is_read_from_every_kind_of_file_by_name(tmp_path):
    (tmp_path / "a.txt").write_text("one\n\n two\n")
    assert texts(tmp_path / "a.txt") == texts(tmp_path) == ["one", " two"]
    write_jsonl(tmp_path / "b.jsonl", {"text": "three"}, {"text": ""}, {"text": None}, {"text": "four\n4"})
    write_parquet(tmp_path / "c.parquet", {"id": [1, 2, 3], "text": ["five", None, "six"]}, row_group_size=1)
    (tmp_path / "d.csv").write_text("id,text\n1,seven\n")
    (tmp_path / "notes.md").write_text("not text to train on")
    assert texts(tmp_path) == ["one", " two", "three", "four\n4", "five", "six", "seven"]


def test_a_saved_data_set_is_one_part(tmp_path):
    data = datasets.Dataset.from_dict({"text": ["one", "two"], "other": [1, 2]})
    data.save_to_disk(str(tmp_path / "saved"))
    (part,) = corpus_parts(str(tmp_path / "saved"), "text")
    (again,) = corpus_parts(str(tmp_path / "saved"), "text")
    assert list(part.documents()) == ["one", "two"]
    assert (part.version, part.is_current()) == (again.version, True)
    assert 6 <= part.size() < 100
    with pytest.raises(DataError, match=r"row 1: there is no field 'body' \(it has text, other\)"):
        texts(tmp_path / "saved", "body")


def test_of_a_parquet_file_only_the_column_is_read(tmp_path, monkeypatch):
    path = write_parquet(tmp_path / "c.parquet", {"text": ["one"] * 5000, "embedding": [list(range(9))] * 5000})
    asked = []
    whole = pq.ParquetFile.iter_batches

    def iter_batches(self, *args, **options):
        asked.append(options["columns"])
        for batch in whole(self, *args, **options):
            assert batch.num_rows <= 1024
            yield batch

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", iter_batches)
    assert texts(path) == ["one"] * 5000
    assert asked == [["text"]]


def test_a_part_knows_when_its_file_changes(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl", {"text": "one"})
    (part,) = corpus_parts(str(path), "text")
    assert part.is_current()
    os.utime(path, ns=(1, 1))
    assert not part.is_current()
    (other,) = corpus_parts(str(path), "text")
    assert (other.name, other.version[0], other.version[1]) == (part.name, part.version[0], 1)


@pytest.mark.parametrize("suffix", [".txt", ".jsonl", ".parquet"])
def test_what_is_read_grows_to_about_the_size_of_the_text(tmp_path, suffix):
    for name in "ab":
        lines = [f"{name} is {number} and {number * number}" for number in range(3000)]
        path = tmp_path / f"{name}{suffix}"
        if suffix == ".txt":
            path.write_text("\n".join(lines))
        elif suffix == ".jsonl":
            write_jsonl(path, *({"text": line} for line in lines))
        else:
            write_parquet(path, {"text": lines, "number": list(range(3000))}, compression="zstd")
    parts = corpus_parts(str(tmp_path), "text")
    done = [read for _, read in read_parts(parts)]
    total = sum(part.size() for part in parts)
    assert done == sorted(done)
    assert 0.6 * total < done[-1] <= total
    assert done[3000] > parts[0].size()  # a finished file counts as read, whatever its text came to


@pytest.mark.parametrize(
    ("row", "column", "message"),
    [
        ({"text": "a"}, "body", r"row 2: there is no field 'body' \(it has text\): set `data.text`"),
        ({"body": ["a"]}, "body", r"row 2: field 'body' should be text; it is \['a'\]. Set `data.text`"),
        ({"body": 3}, "body", "row 2: field 'body' should be text; it is 3"),
    ],
)
def test_a_row_without_text_is_named(tmp_path, row, column, message):
    path = write_jsonl(tmp_path / "a.jsonl", {"body": "a"}, row)
    with pytest.raises(DataError, match=message):
        texts(path, column)


def test_what_cannot_be_read_is_said(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", {"body": ["a"], "id": [1]})
    with pytest.raises(DataError, match=r"a.parquet, row 1: there is no field 'text' \(it has body, id\)"):
        texts(path)
    with pytest.raises(DataError, match=r"row 1: field 'id' should be text; it is 1"):
        texts(path, "id")
    path.write_bytes(b"PAR1")
    with pytest.raises(DataError, match="is not a parquet file, or a damaged one"):
        texts(path)
    (tmp_path / "b.txt").write_bytes(b"\xff\xff")
    with pytest.raises(DataError, match=r"b\.txt, line 1: not UTF-8 text .*iconv -f latin1 -t utf8"):
        texts(tmp_path / "b.txt")
    with pytest.raises(ConfigError, match="No text is given"):
        texts("")
    with pytest.raises(DataError, match=r"There is no file .*'b.txt'"):
        texts(tmp_path / "c.txt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="is empty; it should hold"):
        texts(tmp_path / "empty")


def test_what_means_nothing_to_a_source_of_text_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("one\n")
    (tmp_path / "b.jsonl").write_text('{"body": "two"}\n')
    with pytest.raises(ConfigError, match=r"a\.txt has no columns, every line is a document: leave `data\.text` out"):
        corpus_parts(str(tmp_path / "a.txt"), "body")
    with pytest.raises(ConfigError, match=r"is read whole: `data\.subset` names a part of a Hugging Face dataset"):
        corpus_parts(str(tmp_path), "body", "4plus")
    assert [part.column for part in corpus_parts(str(tmp_path), "body")] == ["body", "body"]  # the folder has columns
