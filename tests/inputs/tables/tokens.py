"""Token files of `cpt` and example files of `sft`, damaged between two runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from tests.forked import Forked
from tests.inputs.case import Case, Kit
from tests.inputs.tables.data import NOISE

TEXT = "7 a +1 <b> 8\n" * 400
PACK = "data pack --data.source text.txt --model.name model --sequence-length 8 --batch 2"


def packed(damage: Callable[[Path], object]):
    """The cache with the token file of text.txt, damaged."""

    def write(path: Path, kit: Kit) -> None:
        folder = path.parent
        shutil.copytree(kit.model, folder / "model")
        (folder / "text.txt").write_text(TEXT)
        done = Forked().run(PACK.split(), folder, environment={"PRESAT_CACHE": str(path)})
        assert done.code == 0, done.stderr
        (made,) = [item for item in (path / "corpora").iterdir() if item.is_dir()]
        damage(made)

    return write


def put(name: str, content: bytes):
    return lambda folder: (folder / name).write_bytes(content)


def tokens(name: str, damage: Callable[[Path], object], codes=(1,)) -> Case:
    return Case("tokens", name, PACK, {"cache": packed(damage)}, codes, ("corpora",), own=("cache",), slow=True)


def text(name: str, content: bytes, *says: str, file: str = "text.txt", codes=(1,)) -> Case:
    files = {file: content, "model": lambda path, kit: shutil.copytree(kit.model, path)}
    return Case(
        "tokens",
        f"text-{name}",
        PACK.replace("text.txt", file),
        files,
        codes,
        says or (file,),
        own=("cache",),
        slow=True,
    )


CASES = [
    tokens("record-missing", lambda f: (f / "corpus.json").unlink()),
    tokens("record-empty", put("corpus.json", b"")),
    tokens("record-garbled", put("corpus.json", b"{")),
    tokens("record-list", put("corpus.json", b"[]")),
    tokens("record-noise", put("corpus.json", NOISE)),
    tokens("record-other-kinds", put("corpus.json", b'{"documents": "x", "tokens": "many", "dtype": 3}')),
    tokens("record-negative", put("corpus.json", b'{"documents": 1, "tokens": -4, "dtype": "uint16"}')),
    tokens("record-dtype-unknown", put("corpus.json", b'{"documents": 1, "tokens": 4, "dtype": "object"}')),
    tokens("tokens-missing", lambda f: (f / "tokens.bin").unlink()),
    tokens("tokens-empty", put("tokens.bin", b"")),
    tokens("tokens-cut", lambda f: put("tokens.bin", (f / "tokens.bin").read_bytes()[:-2])(f)),
    text("empty", b""),
    text("not-utf-8", b"7 a\xff +1\n" * 3),
    text("noise", NOISE),
    text("row-without-text", b'{"text": "7 a"}\n{"x": 1}\n', "rows.jsonl", "row 2", file="rows.jsonl"),
    text("row-of-numbers", b'{"text": "7 a"}\n{"text": 3}\n', "rows.jsonl", "row 2", file="rows.jsonl"),
    text("row-torn", b'{"text": "7 a"}\n{"te', "rows.jsonl", "row 2", file="rows.jsonl"),
    text("half-a-character", b'{"text": "7 a"}\n{"text": "\\ud800"}\n', "rows.jsonl", "row 2", file="rows.jsonl"),
    text("kind-unknown", NOISE, file="text.docx"),
]
