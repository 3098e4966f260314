"""SFT's examples on the disk: the same rows and the same run as from memory, written once, in little memory."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset
from tests.training.runs import largest_gap, lines, without_clock

from presat.config.schema import ModelConfig, SftConfig, SupervisedOptimConfig, TaskConfig
from presat.errors import DataError, RunError
from presat.models.examples import Row, sizes, tokenised
from presat.models.lab import lab_tokenizer
from presat.training import run_sft
from presat.training.supervised import example_file, sft
from presat.training.supervised import fit as fitting
from presat.training.supervised.example_file import EXAMPLES, example_rows
from presat.training.supervised.fit import as_dataset, schedule_rows
from presat.training.supervised.sft import read_examples


def settings(run: Path, model: Path | str = "", **changes) -> SftConfig:
    given = {
        "run": run,
        "model": ModelConfig(name=str(model)),
        "data": TaskConfig(source="lab/chains", count=40, options={"operands": [2, 6]}),
        "optim": SupervisedOptimConfig(lr=1e-3),
        "epochs": 2.5,
        "batch": 8,
        "max_length": 34,
        "threads": 1,
    }
    return SftConfig(**{**given, **changes})


def in_memory(config: SftConfig) -> tuple[list[Row], int]:
    """The rows that fit, and how many do not."""
    rows = [tokenised(turns, target, lab_tokenizer()) for turns, target in read_examples(config.data, config.thinking)]
    kept = [row for row in rows if len(row.input_ids) <= config.max_length]
    return kept, len(rows) - len(kept)


def written(config: SftConfig) -> example_file.ExampleRows:
    return example_rows(config, read_examples(config.data, config.thinking), lab_tokenizer(), writes=True)


def never() -> Iterator[example_file.Example]:
    raise AssertionError("the source was read")
    yield


def same(found: dict[str, list[np.ndarray]], rows: list[Row]) -> bool:
    pairs = zip(found["input_ids"], found["labels"], rows, strict=True)
    return all((ids == row.input_ids).all() and (labels == row.labels).all() for ids, labels, row in pairs)


@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
def test_the_rows_on_the_disk_are_those_of_memory(tmp_path, monkeypatch, dtype):
    monkeypatch.setattr(example_file, "CHUNK", 7)
    monkeypatch.setattr(example_file, "token_dtype", lambda _: dtype)
    config = settings(tmp_path)
    rows, (kept, too_long) = written(config), in_memory(config)
    assert 0 < too_long < 40
    assert dict(rows.counts) == sizes(kept, too_long)
    assert len(rows) == len(kept)
    order = [3, 0, len(kept) - 1, 3]
    found = rows.batch({"row": order})
    assert same(found, [kept[place] for place in order])
    assert {item.dtype for item in (*found["input_ids"], *found["labels"])} == {np.dtype(np.int64)}
    assert (tmp_path / EXAMPLES / "tokens.bin").stat().st_size == np.dtype(dtype).itemsize * sum(
        len(row.input_ids) for row in kept
    )


class Held(list):
    """Rows in memory, with what a run logs of them."""

    counts: dict[str, int]


def test_a_run_from_the_disk_is_the_run_from_memory_to_the_bit(toy_model, tmp_path, monkeypatch):
    one, other = (settings(tmp_path / name, toy_model, save_every=7, log_every=3) for name in ("disk", "memory"))
    run_sft(one, quiet=True)

    def copied(rows, order):
        """All rows of all epochs, as a data set holds them."""
        return Dataset.from_dict(
            {name: [getattr(rows[place], name) for place in order] for name in ("input_ids", "labels")}
        )

    def held(config, *_, **__):
        kept, too_long = in_memory(config)
        rows = Held(kept)
        rows.counts = sizes(kept, too_long)
        rows.longest = lambda: max(len(item.input_ids) for item in kept)
        return rows

    monkeypatch.setattr(fitting, "as_dataset", copied)
    monkeypatch.setattr(sft, "example_rows", held)
    run_sft(other, quiet=True)
    assert not (other.run / EXAMPLES).exists()
    assert largest_gap(one.run, other.run) == 0.0
    assert without_clock(lines(one.run)) == without_clock(lines(other.run))


def test_the_data_set_holds_the_schedule_alone(tmp_path):
    rows = written(settings(tmp_path))
    for epochs in (1, 300):
        data = as_dataset(rows, schedule_rows(len(rows), epochs * len(rows), 0))
        assert (len(data), data.data.nbytes) == (epochs * len(rows), 8 * epochs * len(rows))
    kept, _ = in_memory(settings(tmp_path))
    order = schedule_rows(len(rows), 300 * len(rows), 0)
    assert same(data[len(order) - 5 : len(order)], [kept[place] for place in order[-5:]])


def test_examples_are_tokenised_as_a_stream(tmp_path, monkeypatch):
    monkeypatch.setattr(example_file, "CHUNK", 4)
    text = "\\boxed{ " * 1000
    config = settings(tmp_path, max_length=9000)

    def peak(count: int) -> int:
        examples = (([{"role": "user", "content": "7 a +3"}], text) for _ in range(count))
        tracemalloc.start()
        rows = example_rows(
            config.model_copy(update={"run": tmp_path / str(count)}), examples, lab_tokenizer(), writes=True
        )
        assert len(as_dataset(rows, schedule_rows(len(rows), 20 * count, 0))) == 20 * count
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    peak(4)  # what is loaded once
    assert peak(400) < peak(8) + 2**20  # 400 rows are 3 MB a copy


def test_what_is_there_is_found_again_and_made_anew_for_other_settings(tmp_path):
    config = settings(tmp_path)
    before = written(config)
    again = example_rows(config, never(), lab_tokenizer(), writes=True)
    assert again == before
    longer = config.model_copy(update={"max_length": 100})
    assert len(written(longer)) == 40 > len(before)
    assert sorted(path.name for path in tmp_path.iterdir()) == [EXAMPLES]


def test_another_process_waits_and_does_not_read_the_source(tmp_path):
    config = settings(tmp_path)
    written(config.model_copy(update={"max_length": 100}))  # of an earlier run
    found = []

    def wait() -> None:
        found.append(example_rows(config, never(), lab_tokenizer(), writes=False))

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    waiting.join(0.5)
    assert waiting.is_alive()
    rows = written(config)
    waiting.join(20)
    assert found == [rows]


def jsonl(path: Path, count: int) -> str:
    rows = [
        {"question": f"{n} a +1", "trace": f"{n} a +1 {n + 1}", "solution": f"\\boxed{{ {n + 1} }}"}
        for n in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_a_source_that_changed_under_a_run_is_refused(tmp_path):
    source = jsonl(tmp_path / "a.jsonl", 5)
    config = settings(tmp_path / "run", data=TaskConfig(source=source, options={"system": ""}))
    rows = written(config)
    jsonl(tmp_path / "a.jsonl", 6)
    with pytest.raises(DataError, match=r"a\.jsonl has changed since this run read it.*delete .*sft_examples to go on"):
        written(config)
    for file in rows.folder.iterdir():
        file.unlink()
    rows.folder.rmdir()
    assert len(written(config)) == 6


def test_what_a_killed_or_failed_writer_leaves_is_no_harm(tmp_path):
    config = settings(tmp_path)
    kill = "import os, signal; from presat.files import atomically; from pathlib import Path; import sys\n"
    kill += (
        "with atomically(Path(sys.argv[1])) as draft:\n    draft.mkdir(); (draft / 'tokens.bin').write_bytes(b'half')\n"
    )
    kill += "    os.kill(os.getpid(), signal.SIGKILL)"
    subprocess.run([sys.executable, "-c", kill, str(tmp_path / EXAMPLES)], check=False)
    assert [path.name.startswith(f".{EXAMPLES}.") for path in tmp_path.iterdir()] == [True]
    rows = written(config)
    assert same(rows.batch({"row": range(len(rows))}), in_memory(config)[0])
    broken = config.model_copy(update={"max_length": 5})
    with pytest.raises(DataError, match=r"None of the 40 examples fits max_length \(5 tokens\)"):
        written(broken)
    assert sorted(path.name for path in tmp_path.iterdir()) == [EXAMPLES]
    assert example_rows(config, never(), lab_tokenizer(), writes=True) == rows


def test_a_quota_that_ends_within_a_file_is_said_and_leaves_nothing(tmp_path):
    """Arrays of a few bytes: where only the file's buffer meets the limit, numpy's own writing says nothing."""
    config = settings(tmp_path / "run", data=TaskConfig(source="lab/chains", count=400, options={"operands": 2}))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2500, limits[1]))
    try:
        with pytest.raises(RunError, match=r"cannot be kept.*Make room"):
            written(config)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert not list((tmp_path / "run").iterdir())
    assert len(written(config)) == 400


def test_a_folder_of_the_users_is_left_alone(tmp_path):
    own = tmp_path / EXAMPLES / "mine.txt"
    own.parent.mkdir()
    own.write_text("keep")
    with pytest.raises(RunError, match="cannot be kept"):
        written(settings(tmp_path))
    assert own.read_text() == "keep"
    assert sorted(path.name for path in tmp_path.iterdir()) == [EXAMPLES]


def test_damaged_examples_are_said(tmp_path):
    rows = written(settings(tmp_path))
    with (rows.folder / "tokens.bin").open("ab") as file:
        file.write(b"more")
    with pytest.raises(RunError, match="are damaged: delete that folder"):
        written(settings(tmp_path))
