"""YAML is read one way, which takes nothing for a number that does not look like it."""

from __future__ import annotations

import ast
import itertools
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import presat
from presat.cli import run
from presat.config.yamls import YamlError, dump_inline, dump_yaml, parse_yaml

SOURCE = Path(presat.__file__).parent


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True), ("False", False), ("0", 0), ("-12", -12), ("+3", 3), ("1e-5", 1e-5), ("2E4", 2e4), (".5", 0.5),
        ("1.", 1.0), ("~", None), ("", None), ("2026-01-01", "2026-01-01"), ("1.2.3", "1.2.3"), ("'010'", "010"),
        ('"yes"', "yes"), ("n", "n"), ("y", "y"), ("=", "="), ("1,000", "1,000"),
    ],
)  # fmt: skip
def test_a_plain_scalar_is_what_it_looks_like(text: str, value: object) -> None:
    found = parse_yaml(f"k: {text}")["k"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "text", ["010", "08", "-017", "0x10", "0o10", "0b11", "1:30", "190:20:30.5", "1_000", "1_0.5", "yes", "No", "OFF"]
)
def test_what_readers_do_not_agree_on_is_refused(text: str) -> None:
    with pytest.raises(YamlError, match=r"^line 2: .* is read in different ways"):
        parse_yaml(f"a: 1\nk: {text}")


BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
for before, name in itertools.pairwise("abcdefghi"):
    BOMB += f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]\n"
MERGES = "a: &a {x: 1}\n"
for before, name in itertools.pairwise("abcdefghi"):
    MERGES += f"{name}: &{name} {{<<: [{','.join([f'*{before}'] * 10)}]}}\n"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"a: 1\nb: 2\na: 3\n", "line 3: the key 'a' stands twice, first in line 1"),
        (b"a: {b: 1, 'b': 2}", "stands twice"),
        (b"a: \xff", "not UTF-8 text .byte 4."),
        (b"\x7fELF\x00\x01", "not text"),
        (BOMB.encode(), "line 5: more than 100,000 keys and values"),
        (MERGES.encode(), "line 6: more than 100,000 keys and values"),
        (b"a: &a [*a]", "stands within"),
        (b"[" * 100_000, "nested deeper than 50"),
        (b"a: !!python/object/apply:os.system [ls]", "the tag '!!python/object/apply:os.system'"),
        (b'a: "\\ud800"', "half a character"),
        (b"a: " + b"9" * 5000, "no number of any use"),
        (b"a: [1", "line 1: "),
        (b"x" * 1_000_001, "larger than 1 MB"),
    ],
)
def test_other_slips_are_a_sentence_and_quickly(tmp_path, capsys, raw: bytes, message: str) -> None:
    began = time.process_time()
    (tmp_path / "c.yaml").write_bytes(raw)
    assert run(["train", "--config", str(tmp_path / "c.yaml"), "--dry-run"]) == 2
    said = capsys.readouterr().err
    with pytest.raises(YamlError, match=message):
        parse_yaml(raw)
    assert said.startswith("presat: ")
    assert "is not valid YAML" in said
    assert len(said.splitlines()) == 1
    assert time.process_time() - began < 5


@pytest.mark.parametrize("raw", [b"", b"# nothing\n", b"text", b"- 1"])
def test_a_file_without_settings_says_so(tmp_path, capsys, raw: bytes) -> None:
    (tmp_path / "c.yaml").write_bytes(raw)
    assert run(["train", "--config", str(tmp_path / "c.yaml")]) == 2
    assert "should hold `key: value` lines" in capsys.readouterr().err


def test_a_folder_is_no_configuration(tmp_path, capsys) -> None:
    assert run(["train", "--config", str(tmp_path)]) == 2
    assert "is a folder" in capsys.readouterr().err


_TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=12) | st.sampled_from(
    ["010", "1:30", "yes", "1e-5", "1_000", "0x1", "<<", "~", "null", "2026-01-01", "\x1b]0;x\x07", "\u202e", ".inf"]
)  # fmt: skip
_VALUES = st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False) | _TEXTS
_ANY = st.recursive(_VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3))


@settings(max_examples=60, deadline=None)
@given(_ANY)
def test_what_is_written_reads_back(value: object) -> None:
    assert parse_yaml(dump_yaml(value)) == value
    assert parse_yaml(dump_inline(value)) == value
    assert "\x1b" not in dump_yaml(value)


def test_nobody_reads_or_writes_yaml_otherwise() -> None:
    users = set()
    texts = {file: file.read_text(encoding="utf-8") for file in SOURCE.rglob("*.py")}
    for file in (file for file, text in texts.items() if "yaml" in text):
        for node in ast.walk(ast.parse(texts[file])):
            named = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            named += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] in ("yaml", "ruamel") for name in named):
                users.add(str(file.relative_to(SOURCE)))
    assert users == {"config/yamls.py"}
