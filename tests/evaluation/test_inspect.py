from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from presat.cli import run
from presat.config.schema import InspectConfig, VerifyConfig
from presat.evaluation.earnable import Earnable
from presat.evaluation.inspect import Inspection, Noise, inspect_source, render


def rows_of(*golds_and_truths: tuple[Any, Any]) -> list[dict[str, Any]]:
    return [
        {
            "data_source": "mine",
            "prompt": [{"role": "user", "content": "?" * (number + 1)}],
            "reward_model": {"ground_truth": gold, "style": "rule"},
            "extra_info": {"original_ground_truth": truth},
        }
        for number, (gold, truth) in enumerate(golds_and_truths)
    ]


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def shown(inspection: Inspection) -> str:
    stream = io.StringIO()
    Console(file=stream, width=120).print(render(inspection))
    return " ".join(stream.getvalue().split())


def test_everything_is_counted(tmp_path: Path) -> None:
    rows = rows_of(("5", "5"), ("1/2", "0.5"), ("7", "9"), (r"\text{}", "3"), (None, None), ("8", "9^{9^{9^9}}"))
    source = write(tmp_path / "a.jsonl", [*rows, rows[0]])
    found = inspect_source(source, VerifyConfig(timeout_s=1.0))
    assert (found.source, found.rows, found.problems, found.duplicates) == (source, 7, 7, 1)
    assert (found.domains, found.verifiers, found.sources) == ({"math": 7}, {"math": 7}, {"mine": 7})
    assert found.prompt_chars == ((1 + 2 + 3 + 4 + 5 + 6 + 1) / 7, 6)
    assert found.fields["gold"] == found.fields["extra_info.original_ground_truth"] == pytest.approx(6 / 7)
    assert found.fields["messages"] == found.fields["reward_model.style"] == 1
    assert (found.with_gold, found.gold_right) == (6, 5)
    (failure,) = found.gold_failures
    assert (failure.place, failure.gold, failure.value, failure.reason) == (
        4,
        r"\text{}",
        None,
        "unparsable gold answer",
    )
    assert found.noise == Noise(known=6, differ=4, wrong=1, undecided=2)
    assert json.loads(json.dumps(found.to_json()))["noise"]["differ"] == 4


def test_the_terminal_says_it(tmp_path: Path) -> None:
    rows = rows_of(("5", "5"), ("7", "9"), *[(rf"\text{{}}{' ' * number}", None) for number in range(12)])
    text = shown(inspect_source(write(tmp_path / "a.jsonl", rows)))
    assert "problems 14 duplicates 0 domains math 14 sources mine 14 verifiers math 14" in text
    assert "gold self-check 2 of 14 verify against themselves (14.3%), mode auto" in text
    assert "label noise 1 of 2 labels differ from the true answer, 1 reject it (50.0%)" in text
    assert r"problem 3 (" in text
    assert r"gold '\\text{}' unparsable gold answer" in text
    assert "... and 2 more (--json has all)" in text


def test_repeated_rows_and_missing_golds(tmp_path: Path) -> None:
    rows = [{"question": "a?"}, {"question": "b?"}] * 4
    found = inspect_source(write(tmp_path / "a.jsonl", rows))
    assert (found.rows, found.problems, found.duplicates, found.noise) == (8, 2, 0, None)
    assert "problems 2 (8 rows, each prompt 4 times)" in shown(found)
    assert "gold self-check 0 of 0 verify against themselves, mode auto" in shown(found)


def test_markup_in_the_data_is_shown_as_it_is(tmp_path: Path) -> None:
    rows = [{"question": "?", "answer": r"\text{}", "[bold]": 1}]
    assert "[bold]" in shown(inspect_source(write(tmp_path / "a.jsonl", rows)))


def test_a_configuration_says_source_and_mode(tmp_path: Path) -> None:
    source = write(tmp_path / "a.jsonl", [{"q": "1 + 1?", "a": "2"}])
    config = InspectConfig(
        source=source, columns={"question": "q", "answer": "a"}, verify=VerifyConfig(extraction="any")
    )
    found = inspect_source(config)
    assert (found.source, found.mode, found.gold_right) == (source, "any", 1)


def test_made_sets_verify(tmp_path: Path) -> None:
    for source in ("lab/chains", "reasoning_gym/largest_island"):
        found = inspect_source(source, count=10)
        assert (found.problems, found.with_gold, found.gold_right) == (10, 10, 10)


def test_a_published_file_with_label_noise(sample_data: Path) -> None:
    found = inspect_source(str(sample_data / "graph" / "qwen-math-7b_882_gamma0.70.parquet"))
    assert (found.problems, found.gold_right, found.gold_failures) == (882, 882, ())
    assert found.noise == Noise(known=882, differ=617, wrong=493, undecided=0)
    assert "label noise 617 of 882 labels differ from the true answer, 493 reject it (55.9%)" in shown(found)


def asking(how: str, *golds: Any) -> list[dict[str, Any]]:
    return [{"prompt": [{"role": "user", "content": f"{n}+1? {how}"}], "reward_model": {"ground_truth": gold}}
            for n, gold in enumerate(golds)]  # fmt: skip


@pytest.mark.parametrize(
    ("how", "form", "reading", "deaf"),
    [
        (r"Put it in \boxed{}.", "boxed", ("auto", "boxed", "any"), ("tag", "hash")),
        ("Put it in <answer> </answer>.", "tag", ("auto", "tag"), ("boxed", "line")),
        ("End with '#### ' and the answer.", "hash", ("auto", "hash"), ("boxed", "tag")),
        ("The last line should be of the form Answer: $Answer", "line", ("auto", "line"), ("boxed", "hash")),
        ("", "none", ("auto", "line"), ("boxed", "tag")),
    ],
)
def test_whether_a_right_answer_as_the_prompts_ask_for_it_would_score(
    how: str, form: str, reading: tuple[Any, ...], deaf: tuple[Any, ...], tmp_path: Path
) -> None:
    source = write(tmp_path / "a.jsonl", asking(how, "1", "2", ["3", "three"]))
    for mode in (*reading, *deaf):
        found = inspect_source(source, VerifyConfig(extraction=mode))
        assert found.formats == (Earnable(form, 3, 3, 3 if mode in reading else 0),)
        assert len(found.advice) == (mode in deaf)
        assert found.gold_right == 3  # which says nothing of it
    said = shown(found)
    assert f"score 0 of 3 times with verify.extraction {mode}: nothing else earns a reward" in said
    assert ("Ask for a format" if form == "none" else f"Set --verify.extraction {form}, or auto.") in said


def test_no_field_is_counted_twice(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "So 2."}]
    row = {"problem": "1+1?", "solution": "So it is \\boxed{2}.", "messages": turns, "a.b": 1, "a": {"b": 1}}
    found = inspect_source(write(tmp_path / "a.jsonl", [row]))
    assert found.fields == dict.fromkeys(("messages", "gold", "solution", "a.b", "a"), 1.0)


def test_prompts_are_shown_with_their_golds(tmp_path: Path) -> None:
    rows = [{"question": f"{n} \x1b[2J?", "solution": f"First {n},\nthen {n}"} for n in range(5)]
    found = inspect_source(write(tmp_path / "a.jsonl", [*rows, {"question": "x" * 2000, "answer": "5"}]))
    assert [sample.gold for sample in found.samples] == [f"First {n},\nthen {n}" for n in range(3)]
    assert found.samples[1].prompt.endswith("[user] 1 \x1b[2J?")
    text = shown(found)
    assert "[system] You are a careful problem solver." in text
    assert "[user] 0 \\x1b[2J? gold: 'First 0,\\nthen 0' prompt 2" in text
    assert (
        "5 of 6 gold answers are worked solutions or sentences, which no response repeats (the first: problem 1" in text
    )


def test_a_source_without_golds_is_asked_for_their_column(tmp_path: Path) -> None:
    found = inspect_source(write(tmp_path / "a.jsonl", [{"question": "1+1?", "reply": "2", "level": 3}]))
    assert "No gold answer was found. Does a field hold them (reply, level)? Name it: --columns answer FIELD." in shown(
        found
    )
    named = inspect_source(str(tmp_path / "a.jsonl"), columns={"question": "question", "answer": "reply"})
    assert "No gold answer" not in shown(named)


def test_golds_that_are_no_answers_and_questions_with_several_are_said(tmp_path: Path) -> None:
    golds = ["proof", r"\text{Not found}.", "N/A", "Thus we prove it.", "x=3", "Evelyn", "3.", "p - q", "proof"]
    rows = [{"question": f"{n}?", "answer": gold} for n, gold in enumerate(golds)]
    twice = [{"question": f"again {' ' * n}now?", "answer": gold} for n, gold in enumerate(["1/2", "7"])]
    same = [{"question": f"same {' ' * n}now?", "answer": gold} for n, gold in enumerate(["5", "$5$"])]
    found = inspect_source(write(tmp_path / "a.jsonl", [*rows, *twice, *same]))
    assert sum(found.doubts.placeholders.values()) == 4
    text = shown(found)
    assert "4 of 13 gold answers are no answer (`proof` 2," in text
    assert "and a response that says the same is paid as right (the first: problem 1, '0?')" in text
    worked = "1 of 13 gold answers is a worked solution or a whole sentence, which no response repeats"
    assert f"{worked} (the first: problem 4, '3?')" in text
    several = "1 question has several different answers, of which one alone can be right"
    assert f"{several} (the first: problem 11, 'again now?')" in text
    assert json.loads(json.dumps(found.to_json()))["doubts"]["contradicted"] == 1


def test_questions_shared_with_another_source_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = write(
        tmp_path / "a.jsonl", [{"question": "How  many\ncats?", "answer": 1}, {"question": "Else?", "answer": 1}]
    )
    turns = [{"role": "system", "content": "Hm."}, {"role": "user", "content": "how many cats?"}]
    other = write(tmp_path / "b.jsonl", [{"messages": turns, "answer": 2}])
    assert run(["data", "inspect", one, "--against", other, "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["against"] == {"source": other, "problems": 1, "shared": 1}
    assert "1 of 2 questions are among the 1 of" in printed.err
    assert inspect_source(one).against is None
