"""No text of a file reaches a terminal as something it would obey, nor as rich's markup; no secret is written."""

from __future__ import annotations

import ast
import io
import json
import logging
from pathlib import Path

import pytest

import presat
from presat.cli import Flags, _fail, _Said, run
from presat.console import SafeConsole, make_console
from presat.errors import RunError
from presat.evaluation.run import EvalReport, SetResult, render
from presat.report import build_report
from presat.report.terminal import say
from presat.text import masked, masked_words
from presat.tracking import RunWriter, open_run

SOURCE = Path(presat.__file__).parent
EVIL = "\x1b]0;x\x07\x9b2J[bold]:smile:\u202e"
KEY = "sk-proj-0123456789abcdefghij"


@pytest.fixture(autouse=True)
def plain(monkeypatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "300")


@pytest.fixture
def evil_run(tmp_path) -> Path:
    """A run of ours whose every text holds an escape sequence."""
    with RunWriter(tmp_path / "run[bold]", {"note": EVIL}, "train") as writer:
        writer.note_provenance(notes=[f"note {EVIL}"])
        for step in range(3):
            scores = {f"eval/set{EVIL}/avg@4": 0.1 * step, f"eval/other{EVIL}/avg@4": 0.2}
            writer.append(step, {"reward": 0.5, **scores})
        writer.finish("failed", f"reason {EVIL}")
    return tmp_path / "run[bold]"


def screen(capsys) -> str:
    """What was printed; it must be harmless, and show rather than drop what was there."""
    printed = capsys.readouterr()
    text = printed.out + printed.err
    assert not [sign for sign in "\x1b\x07\x9b\u202e" if sign in text], text
    return text


def test_a_run_that_holds_escape_sequences(evil_run, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["watch", str(evil_run), "--once"]) == 0
    said = screen(capsys)
    assert "\\x1b]0;x" in said
    assert "[bold]" in said
    assert ":smile:" in said
    assert run(["report", str(evil_run), "--out", "page.html"]) == 0
    said = screen(capsys)
    assert "\\x1b]0;x" in said
    assert "[bold]:smile:" in said
    for name in ("page.html", "page.csv", "page.tex"):
        assert not [sign for sign in "\x1b\x07\x9b\u202e" if sign in (tmp_path / name).read_text()]


def test_files_that_hold_escape_sequences(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    row = {"question": EVIL, "answer": f"1{EVIL}", "id": EVIL, f"column{EVIL}": 1, "data_source": EVIL}
    Path("rows.jsonl").write_text(json.dumps(row) + "\n" + json.dumps(row) + "\n")
    Path(f"log{EVIL[0]}.csv").write_text(f"step,reward,score{EVIL}\n1,0.5,{EVIL}\n2,0.75,0\n")
    Path("config.yaml").write_text(json.dumps({f"key{EVIL}": 1, "engine": EVIL, "steps": EVIL}))
    for words in (
        ["data", "inspect", "rows.jsonl"],
        ["data", "inspect", "rows.jsonl", "--columns", "question", EVIL],
        ["report", f"log{EVIL[0]}.csv"],
        ["watch", f"log{EVIL[0]}.csv", "--once"],
        ["train", "--config", "config.yaml"],
        ["train", f"--engine={EVIL}"],
        ["train", f"--data.name={EVIL}", "--dry-run"],
        ["train", EVIL],
        [EVIL],
        ["report", f"nowhere{EVIL}"],
    ):
        code = run(words)
        assert code in (0, 1, 2)
        assert "Unexpected" not in screen(capsys), words


def test_results_of_an_evaluation_and_sentences(capsys) -> None:
    out = make_console()
    item = SetResult(EVIL, 0, 2, {"avg@1": 0.5}, {})
    out.print(render(EvalReport(run=Path(EVIL), results=[item], notes=[EVIL])))
    say(out, EVIL)
    said = screen(capsys)
    assert said.count("[bold]:smile:") == 4


def test_failures_and_logs(capsys) -> None:
    error = RunError(f"{EVIL} {KEY}")
    assert _fail(error, str(error), Flags(debug=True, json=True), 1) == 1
    assert _fail(error, str(error), Flags(), 1) == 1
    record = _Said("x", logging.WARNING, "", 0, "%s", (EVIL + KEY,), None)
    print(record.getMessage())
    assert KEY not in screen(capsys)


def test_rich_may_still_draw() -> None:
    file = io.StringIO()
    console = SafeConsole(file=file, force_terminal=True, color_system="standard", highlight=False, width=80)
    console.no_color = False
    console.print("[red]x[/red]\x1b[2J")
    console.show_cursor(False)
    assert file.getvalue().startswith("\x1b[31mx\x1b[0m\\x1b[2J\n")
    assert file.getvalue().endswith("\x1b[?25l")


def test_nobody_makes_a_console_of_rich() -> None:
    makers = set()
    for file in SOURCE.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        if "rich" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "Console":
                makers.add(file.name)
            if isinstance(node, ast.ImportFrom) and node.module == "rich" and node.names[0].name == "print":
                makers.add(file.name)
    assert makers == set()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see https://me:pa-ss@host/x", "see https://***@host/x"),
        ("postgres://u:p@a/b@host", "postgres://***@host"),
        ("http://h/v1?a=1&api_key=abc&b=2", "http://h/v1?a=1&api_key=***&b=2"),
        (f"refused: {KEY}.", "refused: sk-***."),
        ("Authorization: Bearer abcdefgh1", "Authorization: Bearer ***"),
        ("{judge_key: 'x y', a: 1}", "{judge_key: ***, a: 1}"),
        ('{"api_key": "x y"}', '{"api_key": ***}'),
        ("hub_token=abc", "hub_token=***"),
        ("max_tokens: 5, pad_token: x, key: answer", "max_tokens: 5, pad_token: x, key: answer"),
        ("http://host:8000/a@b and a@b.c", "http://host:8000/a@b and a@b.c"),
    ],
)
def test_what_is_masked(text: str, shown: str) -> None:
    assert masked(text) == shown


def test_words_of_a_command_line_and_the_environment(monkeypatch) -> None:
    words = ["train.py", "--hub-token", "abc", "--steps", "3", "--judge_api_key=abc", KEY]
    assert masked_words(words) == ["train.py", "--hub-token", "***", "--steps", "3", "--judge_api_key=***", "sk-***"]
    monkeypatch.setenv("OPENAI_API_KEY", "hunter-two")
    assert masked("You sent hunter-two") == "You sent ***"


def test_no_byte_of_a_run_directory_and_its_report_holds_a_secret(tmp_path, monkeypatch, capsys) -> None:
    """A script of somebody else's, started with a key; and an older run, whose settings have one."""
    monkeypatch.setattr(
        "sys.argv", ["train.py", "--api-key", "hunter-two", f"--judge={KEY}", "http://me:hunter-two@h/v1"]
    )
    with RunWriter(tmp_path / "run", {"steps": 3}, "train") as writer:
        writer.append(1, {"reward": 0.5})
    written = b"".join(file.read_bytes() for file in (tmp_path / "run").rglob("*") if file.is_file())
    assert b"train.py" in written
    (tmp_path / "run" / "config.yaml").write_text(f"server: {{url: 'http://me:hunter-two@h/v1'}}\nhub_token: {KEY}\n")
    build_report([open_run(tmp_path / "run")], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "***@h/v1" in page
    for option, value in (
        ("--server.url", "http://me:hunter-two@h/v1"),
        ("--model.name", KEY),
        ("--reward.options", "{api_key: hunter-two}"),
    ):
        assert run(["train", "--run", str(tmp_path / "new"), option, value]) == 2
    assert not (tmp_path / "new").exists()
    for text in (written.decode(), page, screen(capsys)):
        assert "hunter-two" not in text
        assert KEY not in text
