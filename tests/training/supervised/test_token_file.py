"""CPT on files: tokens written once to the disk and read row by row, whatever happens to the process that writes."""

from __future__ import annotations

import json
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.training.runs import kill_at, largest_gap, lines, on_two_processes, status

from presat.cli import run
from presat.config import dump_config
from presat.config.schema import CorpusConfig, CptConfig, ModelConfig, SupervisedOptimConfig
from presat.errors import ConfigError, DataError
from presat.models.examples import Row
from presat.models.lab import lab_tokenizer
from presat.tasks.corpus import corpus_parts, read_parts
from presat.tasks.lab.corpus import CONTENT
from presat.training import run_cpt, run_pack
from presat.training.supervised import cpt, token_file
from presat.training.supervised.cpt import corpus_rows, packed
from presat.training.supervised.fit import as_dataset, schedule_rows
from presat.training.supervised.token_rows import TokenRows

LENGTH = 16


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """A cache of the test's own, for its child processes too."""
    monkeypatch.setenv("PRESAT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "corpora"


@pytest.fixture
def text(tmp_path) -> Path:
    """A folder of three files with 300 documents."""
    folder = tmp_path / "text"
    folder.mkdir()
    rng = random.Random(0)
    documents = [" ".join(rng.choices(CONTENT, k=rng.randint(1, 40))) for _ in range(300)]
    (folder / "a.txt").write_text("\n".join(documents[:100]))
    (folder / "b.jsonl").write_text("".join(json.dumps({"text": item}) + "\n" for item in documents[100:200]))
    pl.DataFrame({"text": documents[200:]}).write_parquet(folder / "c.parquet")
    return folder


def config_of(model: Path | str, text: Path, run: Path = Path("unused"), **changes) -> CptConfig:
    """Ten updates of four rows, with checkpoints at 4, 8 and the end."""
    settings = {
        "run": run,
        "model": ModelConfig(name=str(model)),
        "data": CorpusConfig(source=str(text), held_out_rows=5),
        "optim": SupervisedOptimConfig(lr=1e-3),
        "sequence_length": LENGTH,
        "batch": 4,
        "micro_batch": 4,
        "steps": 10,
        "save_every": 4,
        "log_every": 1,
        "threads": 1,
    }
    return CptConfig(**{**settings, **changes})


def in_memory(text: Path, tokenizer: Any, length: int = LENGTH) -> np.ndarray:
    """The rows (rows, length) of the same text, packed without any file."""
    return packed((item for item, _ in read_parts(corpus_parts(str(text), "text"))), tokenizer, length, None)


def written(text: Path, tokenizer: Any) -> token_file.TokenFile:
    return token_file.token_file(corpus_parts(str(text), "text"), tokenizer, "the text", quiet=True)


class Counting:
    """A tokenizer that counts what it is given, and calls `then` with the count after each time."""

    def __init__(self, then=lambda count: None) -> None:
        self.tokenizer, self.count, self.then = lab_tokenizer(), 0, then

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tokenizer, name)

    def __call__(self, texts: list[str], **options) -> Any:
        self.count += len(texts)
        self.then(self.count)
        return self.tokenizer(texts, **options)


# rows


def test_rows_are_those_of_a_packing_in_memory(toy_model, text):
    tokenizer = lab_tokenizer()
    expected = in_memory(text, tokenizer)
    train, held_out = corpus_rows(config_of(toy_model, text), tokenizer, quiet=True)
    assert isinstance(train, TokenRows)
    assert (len(train), len(held_out), train.file.dtype) == (len(expected) - 5, 5, "uint16")
    assert train.held_out == tuple(sorted(set(train.held_out)))
    kept = np.delete(expected, train.held_out, axis=0)
    assert np.array_equal(train.read(range(len(train))), kept)
    assert np.array_equal(train.read([7, 0, 7]), kept[[7, 0, 7]])
    assert np.array_equal([row.input_ids for row in held_out], expected[list(train.held_out)])
    assert all(np.array_equal(row.labels, row.input_ids) for row in held_out)
    assert train.file.documents == 300
    assert train.file.tokens // LENGTH == len(expected)


def test_held_out_rows_are_drawn_by_the_seed_of_the_data(toy_model, text):
    def drawn(**changes) -> tuple[int, ...]:
        data = CorpusConfig(source=str(text), **{"held_out_rows": 5, **changes})
        return corpus_rows(config_of(toy_model, text, data=data), lab_tokenizer(), quiet=True)[0].held_out

    assert drawn(seed=0) == drawn(seed=0) != drawn(seed=1)
    assert drawn(held_out_rows=0) == ()
    assert drawn(held_out_rows=3) != (0, 1, 2)


def test_training_reads_the_schedule_in_its_order(toy_model, text):
    rows, _ = corpus_rows(config_of(toy_model, text), lab_tokenizer(), quiet=True)
    order = schedule_rows(len(rows), 3 * len(rows) // 2, seed=2)
    data = as_dataset(rows, order)
    same = as_dataset([Row(ids, ids) for ids in rows.read(range(len(rows)))], order)
    assert len(data) == len(same) == len(order)
    for batch in ([0, 1, 2], [len(order) - 1], list(range(30, 40))):
        ours, theirs = data.__getitems__(batch), same.__getitems__(batch)  # as a data loader asks
        assert [item.keys() for item in ours] == [item.keys() for item in theirs]
        assert all(
            np.array_equal(one[name], other[name]) for one, other in zip(ours, theirs, strict=True) for name in other
        )
    assert len(pickle.dumps(rows)) < 1000  # it may be handed to any process, and is hashed by the library datasets


def test_a_large_vocabulary_takes_four_bytes_a_token(text):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {word: 2**16 - 3 + index for index, word in enumerate([*CONTENT, "<eos>"])}
    backend = Tokenizer(models.WordLevel(words, unk_token="<eos>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<eos>")
    file = written(text, tokenizer)
    assert (file.dtype, file.bytes) == ("uint32", 4 * file.tokens)
    expected = in_memory(text, tokenizer)
    assert expected.max() >= 2**16
    assert np.array_equal(file.rows(LENGTH, np.arange(len(expected))), expected)


# the cache


def test_runs_share_tokens_until_something_changes(toy_model, text, cache):
    tokenizer = Counting()
    config = config_of(toy_model, text)
    corpus_rows(config, tokenizer, quiet=True)
    longer = config_of(toy_model, text, sequence_length=32, data=CorpusConfig(source=str(text), seed=3))
    corpus_rows(longer, tokenizer, quiet=True)
    assert tokenizer.count == 300
    (folder,) = (item for item in cache.iterdir() if item.is_dir())
    record = json.loads((folder / "corpus.json").read_text())
    assert [Path(name).name for name, *_ in record["parts"]] == ["a.txt", "b.jsonl", "c.parquet"]
    assert (record["column"], record["documents"]) == ("text", 300)

    with (text / "a.txt").open("a") as file:
        file.write("\n1 2 3")
    assert written(text, tokenizer).documents == 301
    os.utime(text / "b.jsonl", ns=(1, 1))
    written(text, tokenizer)
    tokenizer.tokenizer.add_tokens(["more"])
    written(text, tokenizer)
    assert tokenizer.count == 300 + 3 * 301
    tokenizer.tokenizer(["1", "1 2"], padding=True, truncation=True, max_length=1)  # leaves its settings behind
    written(text, tokenizer)
    assert tokenizer.count == 300 + 3 * 301


WRITE = """
import sys, time
from presat.models.lab import lab_tokenizer
from presat.tasks.corpus import corpus_parts
from presat.training.supervised import token_file

source, log, pause = sys.argv[1], sys.argv[2], float(sys.argv[3])
token_file.CHUNK_DOCUMENTS, token_file.SAVE_EVERY_S = 10, 0.0
whole = token_file._ids
def slow(texts, *rest):
    time.sleep(pause)
    with open(log, "a") as file:
        file.write(f"{len(texts)}\\n")
    return whole(texts, *rest)
token_file._ids = slow
made = token_file.token_file(corpus_parts(source, "text"), lab_tokenizer(), "the text")
print(made.documents, made.tokens)
"""


def writer(text: Path, log: Path, pause: float) -> subprocess.Popen:
    """A process that tokenises ten documents at a time, pausing before each ten and noting them in `log`."""
    command = [sys.executable, "-c", WRITE, str(text), str(log), str(pause)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def noted(log: Path) -> int:
    return sum(map(int, log.read_text().split())) if log.exists() else 0


def wait_for(happened) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_two_processes_share_one_tokenisation(text, tmp_path):
    log = tmp_path / "log"
    processes = [writer(text, log, pause=0.1) for _ in range(2)]
    (one, said), (other, heard) = (process.communicate(timeout=120) for process in processes)
    assert one == other == f"300 {len(in_memory(text, lab_tokenizer(), 1))}\n"
    assert noted(log) == 300
    assert (said + heard).count("Another process is tokenising the text: waiting for it.") == 1


def test_a_killed_tokenisation_is_never_taken_for_whole_and_is_gone_on_with(text, cache, tmp_path):
    log = tmp_path / "log"
    process = writer(text, log, pause=0.05)
    wait_for(lambda: noted(log) >= 120)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (partial,) = (item for item in cache.iterdir() if item.is_dir())
    assert partial.name.endswith(".partial")
    saved = json.loads((partial / "corpus.json").read_text())["documents"]
    assert 0 < saved < 300
    with (partial / "tokens.bin").open("ab") as file:
        file.write(b"torn")  # what is after the last note is not trusted

    tokenizer = Counting()
    file = written(text, tokenizer)
    assert tokenizer.count == 300 - saved
    assert np.array_equal(file.rows(1, np.arange(file.tokens)), in_memory(text, lab_tokenizer(), 1))
    assert [item.name for item in cache.iterdir() if item.is_dir()] == [file.folder.name]


def test_a_note_of_more_than_is_there_is_not_believed(text, cache):
    def stop(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        written(text, Counting(stop))
    (partial,) = (item for item in cache.iterdir() if item.is_dir())
    whole = {"documents": 299, "tokens": 10**6, "dtype": "uint16"}
    (partial / "corpus.json").write_text(json.dumps(whole))
    assert written(text, lab_tokenizer()).tokens == len(in_memory(text, lab_tokenizer(), 1))


def test_a_file_that_changes_while_it_is_read_is_refused(text, cache):
    def touch(count: int) -> None:
        os.utime(text / "b.jsonl", ns=(count, count))

    with pytest.raises(DataError, match=r"b.jsonl changed while it was read: start again"):
        written(text, Counting(touch))
    assert not [item for item in cache.iterdir() if item.is_dir()]


def test_text_that_cannot_be_used_leaves_nothing_behind(text, cache, tmp_path):
    with (text / "b.jsonl").open("a") as file:
        file.write('{"text": 5}\n')
    with pytest.raises(DataError, match=r"b.jsonl, row 101: field 'text' should be text; it is 5. Set `data.text`"):
        written(text, lab_tokenizer())
    (tmp_path / "empty.jsonl").write_text('{"text": ""}\n')
    with pytest.raises(DataError, match=r"empty.jsonl holds no text in 'text': set `data.source` or `data.text`"):
        written(tmp_path / "empty.jsonl", lab_tokenizer())
    assert not [item for item in cache.iterdir() if item.is_dir()]


def test_what_is_wrong_with_the_cache_is_said(text, tmp_path, monkeypatch):
    file = written(text, lab_tokenizer())
    os.truncate(file.folder / "tokens.bin", 100)
    with pytest.raises(DataError, match=r"token file in .* is damaged: delete that folder"):
        written(text, lab_tokenizer())
    (tmp_path / "file").touch()
    monkeypatch.setenv("PRESAT_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"cannot be kept in .*set PRESAT_CACHE to a folder with room"):
        written(text, lab_tokenizer())


# memory

GROWTH = """
import resource, sys
import numpy as np
from presat.models.lab import lab_tokenizer
from presat.tasks.corpus import corpus_parts
from presat.training.supervised.fit import as_dataset, schedule_rows
from presat.training.supervised.token_file import token_file
from presat.training.supervised.token_rows import TokenRows

for source in sys.argv[1:]:
    file = token_file(corpus_parts(source, "text"), lab_tokenizer(), "the text", quiet=True)
    rows = TokenRows(file, 256)
    data = as_dataset(rows, schedule_rows(len(rows), len(rows), 0))
    seen = sum(len(item["input_ids"]) for at in range(0, len(data) - 32, 32)
               for item in data.__getitems__(list(range(at, at + 32))))
    assert seen > 0.9 * file.tokens - 256 * 32
    print(file.tokens, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def test_memory_does_not_grow_with_the_corpus(tmp_path):
    """Peak memory of tokenising a corpus and reading all its rows, beside that of one a twentieth its size."""
    sources = []
    for name, documents in (("small", 2_000), ("large", 40_000)):
        rng = random.Random(0)
        sources.append(tmp_path / f"{name}.jsonl")
        with sources[-1].open("w") as file:
            for _ in range(documents):
                file.write(json.dumps({"text": " ".join(rng.choices(CONTENT, k=150))}) + "\n")
    done = subprocess.run([sys.executable, "-c", GROWTH, *map(str, sources)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    (_, before), (tokens, after) = (map(int, line.split()) for line in done.stdout.splitlines())
    assert tokens == 40_000 * 151
    assert after - before < 8 * tokens  # ids alone, in a list or as int64, would take that much


# whole runs


@pytest.fixture
def whole(toy_model, text, tmp_path) -> CptConfig:
    """A finished run."""
    config = config_of(toy_model, text, tmp_path / "whole")
    run_cpt(config, quiet=True)
    return config


def without_clock(run: Path) -> Iterator[dict]:
    for row in lines(run):
        yield {name: value for name, value in row.items() if name not in ("time", "step_time", "num_tokens")}


def test_training_from_the_disk_is_training_from_memory(whole, tmp_path, monkeypatch):
    def held(*arguments):
        rows, held_out = from_disk(*arguments)
        return [Row(ids, ids) for ids in rows.read(range(len(rows)))], held_out

    from_disk = cpt.file_rows
    monkeypatch.setattr(cpt, "file_rows", held)
    run_cpt(whole.model_copy(update={"run": tmp_path / "memory"}), quiet=True)
    assert largest_gap(tmp_path / "memory", whole.run) == 0.0
    first, *rest = without_clock(whole.run)
    sizes = {name: first.pop(name) for name in list(first) if name.startswith("data/")}
    assert [first, *rest] == list(without_clock(tmp_path / "memory"))
    tokens = len(in_memory(Path(whole.data.source), lab_tokenizer(), 1))
    assert sizes == {"data/documents": 300, "data/tokens": tokens, "data/rows": tokens // LENGTH - 5}


def test_a_killed_run_resumes_to_the_same_weights(whole, tmp_path):
    config = whole.model_copy(update={"run": tmp_path / "run"})
    kill_at(config, "cpt", tmp_path, after=5)
    run_cpt(config.model_copy(update={"resume": True}), quiet=True)
    assert largest_gap(config.run, whole.run) == 0.0
    assert list(without_clock(config.run)) == list(without_clock(whole.run))


def test_two_processes_tokenise_once_and_train_as_one(whole, cache, tmp_path):
    shutil.rmtree(cache)
    config = whole.model_copy(update={"run": tmp_path / "two", "micro_batch": 2})
    on_two_processes({"cpt": config}, tmp_path)
    assert len([item for item in cache.iterdir() if item.is_dir()]) == 1
    for one, two in zip(lines(whole.run)[1:], lines(config.run)[1:], strict=True):
        assert two["loss"] == pytest.approx(one["loss"], rel=1e-3)
    assert status(config.run)["status"] == "finished"


# `presat data pack`


def test_pack_fills_the_cache_that_cpt_reads(toy_model, text, tmp_path, capsys, monkeypatch):
    config = config_of(toy_model, text, tmp_path / "run", steps=None)
    (tmp_path / "config.yaml").write_text(dump_config(config))
    assert run(["data", "pack", "--config", str(tmp_path / "config.yaml"), "--json"]) == 0
    printed = capsys.readouterr()
    made = json.loads(printed.out)
    rows = len(in_memory(text, lab_tokenizer()))
    tokens = len(in_memory(text, lab_tokenizer(), 1))
    assert made.pop("folder").startswith(str(tmp_path / "cache"))
    assert made == {"documents": 300, "tokens": tokens, "bytes": 2 * tokens,
                    "rows": rows - 5, "held_out": 5, "steps": (rows - 5) // 4}  # fmt: skip
    assert f"{rows - 5:,} sequences of 16 tokens to train on, 5 held out: {(rows - 5) // 4} steps" in " ".join(
        printed.err.split()
    )
    assert not config.run.exists()

    monkeypatch.setattr(token_file, "_ids", None)  # nothing is tokenised again
    run_cpt(config, quiet=True)
    assert lines(config.run)[-1]["step"] == made["steps"]


def test_pack_says_what_it_cannot_do(toy_model, text):
    config = config_of(toy_model, text, data=CorpusConfig(source="lab/cpt"))
    with pytest.raises(ConfigError, match="lab/cpt is made as it is read"):
        run_pack(config, quiet=True)
    with pytest.raises(DataError, match="no more than the 64 to hold out: lower"):
        run_pack(config_of(toy_model, text, data=CorpusConfig(source=str(text)), sequence_length=200), quiet=True)
