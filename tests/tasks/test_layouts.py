"""Every layout of rows in the table of docs/data-formats.md, and what becomes of it."""

from __future__ import annotations

import csv
import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from presat import load_problems, score
from presat.errors import ConfigError, DataError
from presat.tasks import save_problems
from presat.tasks.prompts import chat
from presat.tasks.rows import original_gold
from presat.tasks.traces import read_trace
from presat.types import Problem

DOCS = Path(__file__).parents[2] / "docs" / "data-formats.md"
WORKED = r"One and one are two, so it is $\boxed{2}$."
ASKED = {"role": "user", "content": "1+1?"}
REPLY = {"role": "assistant", "content": WORKED}
BARE = ("1+1?", "2", "math")
ALONE = ("1+1?", "2", "math", None)
"""The question, the gold answer, the verifier and (where it is not the domain's) the system message."""
CHOSEN = ("1+1?\n\nA) one\nB) two\n\nAnswer with the letter of the right option.", "B", "choice")
FOUR = "1+1?\n\nA) one\nB) two\nC) three\nD) four\n\nAnswer with the letter of the right option."
SHUFFLED = "1+1?\n\nA) two\nB) three\nC) four\nD) one\n\nAnswer with the letter of the right option."
MEDMCQA = {
    "id": "x", "question": "1+1?", "opa": "one", "opb": "two", "opc": "three", "opd": "four", "choice_type": "single",
    "exp": "Ans. is 'b'", "subject_name": "Anatomy", "topic_name": None,
}  # fmt: skip
CHATML = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n1+1?<|im_end|>\n<|im_start|>assistant\n"


def verl(prompt: Any = (ASKED,), gold: Any = "2", **more: Any) -> dict[str, Any]:
    return {"data_source": "x", "prompt": prompt, "reward_model": {"ground_truth": gold}, **more}


READ: dict[str, tuple[dict[str, Any], tuple[Any, ...]]] = {
    "OpenR1-Math": ({"problem": "1+1?", "solution": WORKED, "answer": "2", "messages": [ASKED, REPLY]}, BARE),
    "NuminaMath-CoT": ({"source": "x", "problem": "1+1?", "solution": WORKED, "messages": [ASKED, REPLY]}, BARE),
    "a chat with its response": ({"messages": [ASKED, REPLY], "answer": "2"}, ALONE),
    "a ShareGPT chat": (
        {"conversations": [{"from": "human", "value": "1+1?"}, {"from": "gpt", "value": WORKED}], "answer": "2"}, ALONE,
    ),
    "capitalised columns": ({"ID": 1, "Problem": "1+1?", "Solution": WORKED, "Answer": 2}, BARE),
    "SVAMP": (
        {"ID": "1", "Body": "A pack costs 1.", "Question": "And 2?", "Equation": "1 * 2", "Answer": "2.0"},
        ("A pack costs 1.\n\nAnd 2?", "2.0", "math"),
    ),
    "ASDiv": (
        {"body": "One and one.", "question": "How many?", "answer": "2 (apples)", "formula": "1+1=2"},
        ("One and one.\n\nHow many?", "2 (apples)", "math"),
    ),
    "a text that is asked about": (
        {"story": " One and one. ", "question": "How many?", "context": None, "answer": "2"},
        ("One and one.\n\nHow many?", "2", "math"),
    ),
    "Alpaca": ({"instruction": "Add.", "input": "1 and 1", "output": "2"}, ("Add.\n\n1 and 1", "2", "math")),
    "`expected_answer`": ({"problem": "1+1?", "generated_solution": "...", "expected_answer": "2"}, BARE),
    "`solutions`": ({"problem": "1+1?", "solutions": [WORKED]}, BARE),
    "GSM8K": ({"question": "1+1?", "answer": "1 + 1 = <<1+1=2>>2\n#### 2"}, BARE),
    "a gold in tags": ({"question": "1+1?", "answer": "<answer> 2 </answer>"}, BARE),
    "a gold in a sentence": ({"question": "1+1?", "answer": "The answer is 2."}, BARE),
    "a gold in a box": ({"question": "1+1?", "answer": r"\boxed{2}"}, BARE),
    "several golds": ({"question": "1+1?", "answer": ["2", "two"]}, ("1+1?", '["2", "two"]', "math")),
    "verl": (verl([{"role": "system", "content": "Hm."}, ASKED]), ("1+1?", "2", "math", "Hm.")),
    "verl, text as `prompt`": (verl("1+1?"), BARE),
    "verl, `reward_model` as JSON": (verl() | {"reward_model": '{"ground_truth": "2"}'}, ALONE),
    "verl, a response in `prompt`": (verl([ASKED, REPLY]), ALONE),
    "verl, several golds": (verl(gold=["2", "-2"]), ("1+1?", '["2", "-2"]', "math", None)),
    "a whole chat as text": ({"question": CHATML, "answer": "2"}, ("1+1?", "2", "math", "Be brief.")),
    "a whole chat in a turn": (verl([{"role": "user", "content": CHATML}]), ("1+1?", "2", "math", "Be brief.")),
    "MedQA": ({"question": "1+1?", "answer": "two", "options": {"A": "one", "B": "two"}, "answer_idx": "B"}, CHOSEN),
    "ARC": ({"question": "1+1?", "choices": {"text": ["one", "two"], "label": ["A", "B"]}, "answerKey": "B"}, CHOSEN),
    "ARC, labels 1 to 4": (
        {"question": "1+1?", "choices": {"text": ["one", "two"], "label": ["1", "2"]}, "answerKey": "2"}, CHOSEN,
    ),
    "OpenBookQA": (
        {"question_stem": "1+1?", "choices": [{"text": "one", "label": "A"}, {"text": "two", "label": "B"}],
         "answerKey": "B"}, CHOSEN,
    ),
    "MMLU": ({"question": "1+1?", "choices": ["one", "two"], "answer": 1}, CHOSEN),
    "RACE": (
        {"article": "Ones.", "question": "1+1?", "options": ["one", "two"], "answer": "B"},
        ("Ones.\n\n" + CHOSEN[0], *CHOSEN[1:]),
    ),
    "AQuA": ({"question": "1+1?", "options": ["A)one", "B)two"], "rationale": "...", "correct": "B"}, CHOSEN),
    "MathQA": ({"Problem": "1+1?", "Rationale": "...", "options": "a ) one , b ) two", "correct": "b"}, CHOSEN),
    "SciQ": (
        {"question": "1+1?", "distractor3": "four", "distractor1": "one", "distractor2": "three",
         "correct_answer": "two", "support": "Two is the sum."}, (SHUFFLED, "A", "choice"),
    ),
    "SQuAD": (
        {"context": "Ones.", "question": "1+1?", "answers": {"text": ["two", "two"], "answer_start": [5, 5]}},
        ("Ones.\n\n1+1?", "two", "math"),
    ),
    "SuperGPQA": ({"question": "1+1?", "options": ["one", "two"], "answer": "two", "answer_letter": "B"}, CHOSEN),
    "MedMCQA": ({**MEDMCQA, "cop": 0}, (FOUR, "A", "choice")),
    "MedMCQA, counted from 1": ({**MEDMCQA, "cop": 4}, (FOUR, "D", "choice")),
    "MedMCQA, its test split": ({**MEDMCQA, "cop": -1}, (FOUR, None, "choice")),
    "a column for each option": (
        {"question": "1+1?", "option_a": "one", "option_b": "two", "correct_answer": "option_b"}, CHOSEN,
    ),
    "options 1 to 4": ({"question": "1+1?", "option1": "one", "option2": "two", "answer": 2}, CHOSEN),
    "columns A to D": (
        {"question": "1+1?", "A": "one", "B": "two", "C": "three", "D": "four", "answer": "B"},
        (FOUR, "B", "choice"),
    ),
}  # fmt: skip
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "code": ({"question": "Sort.", "answer": "?", "test_cases": ["f() == 1"]}, r"code \(field `test_cases`\) 2"),
    "code, by its source": (verl(data_source="codecontests"), r"code \(`data_source` codecontests\) 2"),
    "code, tests as gold": (verl(gold='{"inputs": ["1"], "outputs": ["2"]}'), r"code \(tests as `ground_truth`\) 2"),
    "images": (verl(images=[{"bytes": "x"}]), r"images \(field `images`\) 2"),
    "marks of a template": ({"question": "1+1?<|im_end|>", "answer": "2"}, r"marks of a chat template \(`<\|im_e"),
}  # fmt: skip


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def described(problem: Problem) -> tuple[Any, ...]:
    system, *rest = [*problem.messages] if problem.messages[0]["role"] == "system" else [None, *problem.messages]
    (user,) = rest
    assert user["role"] == "user"
    said = (user["content"], problem.gold, problem.verifier)
    usual = chat("?", problem.domain)[0]
    return said if system == usual else (*said, None if system is None else system["content"])


@pytest.mark.parametrize("layout", READ)
def test_a_layout_is_read(layout: str, tmp_path: Path) -> None:
    row, expected = READ[layout]
    (problem,) = load_problems(write(tmp_path / "a.jsonl", row))
    assert described(problem) == expected
    assert load_problems(save_problems([problem], tmp_path / "b.parquet")) == [problem]
    assert load_problems([row]) == [problem]


@pytest.mark.parametrize("layout", REFUSED)
def test_a_layout_is_refused_with_counts(layout: str, tmp_path: Path) -> None:
    row, message = REFUSED[layout]
    path = write(tmp_path / "a.jsonl", row, {"question": "1+1?", "answer": "2"}, row)
    with pytest.raises(DataError, match=message) as told:
        load_problems(path)
    assert "2 of 3 rows" in str(told.value) or "row 1" in str(told.value)


def test_the_table_of_the_documentation_has_these_layouts() -> None:
    section = DOCS.read_text().partition("### Layouts\n")[2].partition("\n### ")[0]
    rows = re.findall(r"^\| (.+?) \| .+ \|$", section, re.MULTILINE)
    assert rows[1:] == [*READ, *REFUSED]


def test_responses_left_out_are_counted_and_stay_in_the_metadata(tmp_path: Path, caplog: Any) -> None:
    row = {"messages": [ASKED, REPLY], "answer": "2"}
    (problem,) = load_problems(write(tmp_path / "a.jsonl", row, row, {"messages": [ASKED], "answer": "2"}), unique=True)
    (said,) = caplog.messages
    assert "2 rows end in a turn of the assistant" in said
    assert problem.metadata["messages"] == [ASKED, REPLY]
    (kept,) = load_problems(write(tmp_path / "a.jsonl", row), as_shown=True)
    assert kept.messages == (ASKED, REPLY)
    assert load_problems(save_problems([kept], tmp_path / "b.parquet")) == [kept]
    opened = {"role": "assistant", "content": "<think>\n"}
    (begun,) = load_problems(write(tmp_path / "a.jsonl", verl([ASKED, opened])))
    assert begun.messages == (ASKED, opened)  # how the response is to begin
    with pytest.raises(DataError, match="turns of the assistant alone"):
        load_problems([{"messages": [REPLY], "answer": "2"}])


def test_numbers_of_options_count_from_where_all_of_them_show(tmp_path: Path) -> None:
    def golds(*numbers: Any) -> list[str | None]:
        return [
            problem.gold for problem in load_problems([{**MEDMCQA, "cop": number} for number in numbers], unique=False)
        ]

    assert golds(0, 1, 2, 3) == ["A", "B", "C", "D"]
    assert golds(1, 2, 3, 4) == ["A", "B", "C", "D"]
    assert golds("0", 3.0, None) == ["A", "D", None]
    assert golds(0, -1, 3) == ["A", None, "D"]
    for numbers in ((1, 2, 3), (0, 4)):
        with pytest.raises(DataError, match="nothing shows whether they count from 0 or from 1"):
            golds(*numbers)
    for number in (-2, 5):
        with pytest.raises(DataError, match=f"row 2: field 'cop' should name one of the 4 options; it is {number}"):
            golds(0, number)


@pytest.mark.parametrize(
    "names",
    [("opa", "opb"), ("opA", "opB"), ("Option A", "Option B"), ("opt-a", "opt-b"), ("choice_A", "choice_B")],
)
@pytest.mark.parametrize("gold", ["B", "two", 0])
def test_a_column_for_each_option_is_read_however_it_is_called(names: tuple[str, str], gold: Any) -> None:
    row = {"question": "1+1?", **dict(zip(names, ("one", "two"), strict=True)), "answer": gold}
    (problem,) = load_problems([row])
    assert described(problem) == (CHOSEN[0], "A" if gold == 0 else "B", "choice")
    assert not set(names) & set(problem.metadata)


def test_letters_that_are_no_options_stay_columns() -> None:
    (problem,) = load_problems([{"question": "ax=b?", "a": "2", "b": "6", "c": "1", "d": "0", "answer": "3"}])
    assert (problem.verifier, problem.gold) == ("math", "3")


def test_options_without_a_named_right_one_are_counted(tmp_path: Path, caplog: Any) -> None:
    load_problems(write(tmp_path / "a.jsonl", {"question": "Which?", "gold": "4", "choices": ["a", "b"]}))
    assert caplog.messages[0].endswith("what its rows hold beside the question: `choices` 1 times.")


def test_texts_that_are_asked_about_are_shown_once_or_counted(tmp_path: Path, caplog: Any) -> None:
    rows = [
        {"question": "Who?", "context": ["Ann was here."], "answer": "Ann"},  # no text
        {"question": "Who? Bob was here.", "context": "Bob was here.", "answer": "Bob"},
        {"prompt": "Who was here?", "Context": "Cid was here.", "answer": "Cid"},  # a prompt is whole
    ]
    asked = [load_problems([row])[0].messages[-1]["content"] for row in rows]
    assert asked == ["Who?", "Who? Bob was here.", "Who was here?"]
    said = [message.partition("beside the question: ")[2] for message in caplog.messages]
    assert said == ["`context` 1 times.", "`Context` 1 times."]


def test_a_worked_solution_is_shown_under_the_same_question() -> None:
    row = {"Body": "A pack costs 1.", "Question": "And 2?", "solution": WORKED, "Answer": "2"}
    assert read_trace(row, {}, "row 1", thinking=False).prompt == load_problems([row])[0].messages


@pytest.mark.parametrize(
    ("text", "roles"),
    [
        (CHATML, ["system", "user"]),
        (CHATML + "<think>\n", ["system", "user", "assistant"]),
        ("<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n1+1?<|eot_id|>", ["user"]),
        ("<bos><start_of_turn>user\n1+1?<end_of_turn>\n<start_of_turn>model\n", ["user"]),
        ("<|im_start|>user\n1+1?<|im_end|>\n<|im_start|>assistant\n2<|im_end|>\n", ["user"]),
    ],
)
def test_a_chat_in_a_templates_marks_becomes_its_turns(text: str, roles: list[str]) -> None:
    (problem,) = load_problems([{"question": text, "answer": "2"}])
    assert [turn["role"] for turn in problem.messages] == roles
    assert problem.messages[roles.index("user")]["content"] == "1+1?"
    (shown,) = load_problems([verl([{"role": "user", "content": text}])], as_shown=True)
    assert shown.messages[0]["content"] == text


@pytest.mark.parametrize(
    "text",
    ["[INST] 1+1? [/INST]", "so <|im_start|>user\n1+1?<|im_end|>", "<|im_start|>user\n1<|eot_id|>", "<|user|>\n1"],
)
def test_marks_that_make_no_whole_chat_are_refused(text: str) -> None:
    with pytest.raises(DataError, match="which the model's own template would wrap again"):
        load_problems([{"question": text, "answer": "2"}])
    with pytest.raises(DataError, match="which the model's own template would wrap again"):
        load_problems([verl([{"role": "user", "content": text}])])


def test_any_of_several_golds_is_right() -> None:
    (problem,) = load_problems([{"question": "?", "answer": [2, r"x = \frac{1}{2}"]}])
    said = [score(problem, f"\\boxed{{{answer}}}").value for answer in ("2", "0.5", "3", "2, 0.5")]
    assert said == [1.0, 1.0, 0.0, 0.0]
    (single,) = load_problems([{"question": "?", "answer": "2, -2"}])
    assert [score(single, f"\\boxed{{{a}}}").value for a in ("2", "2, -2")] == [0.0, 1.0]


def test_a_true_answer_beside_a_label_is_brought_to_the_same_form() -> None:
    row = verl(gold=r"\boxed{2}", extra_info={"original_ground_truth": "The answer is 2."})
    (problem,) = load_problems([row])
    assert problem.gold == original_gold(problem) == "2"


def test_code_in_a_table_whose_answer_is_named_is_the_askers_business() -> None:
    row = {"question": "1+1?", "a": "2", "tests": ["x"]}
    assert load_problems([row], columns={"answer": "a"})[0].gold == "2"


ROWS = [{"question": "1+1?", "answer": "2"}, {"question": "1+2?", "answer": "3"}]


@pytest.mark.parametrize("kind", [".json", "lines.json", "data.json", ".jsonl.gz", ".tsv"])
def test_a_file_of_a_kind_is_read(kind: str, tmp_path: Path) -> None:
    path, lines = tmp_path / f"a{kind}", "".join(json.dumps(row) + "\n" for row in ROWS)
    if kind == ".tsv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["question", "answer"], delimiter="\t")
            writer.writeheader()
            writer.writerows(ROWS)
    elif kind == ".jsonl.gz":
        path.write_bytes(gzip.compress(lines.encode()))
    else:
        value = {"version": 1, "data": ROWS} if kind == "data.json" else ROWS
        path.write_text(lines if kind == "lines.json" else json.dumps(value, indent=1))
    assert load_problems(path) == load_problems(ROWS)
    if kind != ".tsv":
        return
    (tmp_path / "folder").mkdir()
    path.rename(tmp_path / "folder" / path.name)
    (tmp_path / "folder" / "about.json").write_text("{}")
    assert load_problems(tmp_path / "folder") == load_problems(ROWS)


def test_rows_and_opened_datasets_are_read() -> None:
    datasets = pytest.importorskip("datasets")
    data = datasets.Dataset.from_list(ROWS)
    by_split = datasets.DatasetDict({"train": data.select([0]), "test": data})
    assert load_problems(data) == load_problems(by_split, split="test") == load_problems(ROWS)
    assert load_problems(by_split, count=1) == load_problems(ROWS, count=1)
    with pytest.raises(DataError, match=r"have no split 'tst'\. Did you mean 'test'"):
        load_problems(by_split, split="tst")
    with pytest.raises(DataError, match="row 2: should be a mapping of names to values; it is 7"):
        load_problems([ROWS[0], 7])
    with pytest.raises(DataError, match="hold no rows"):
        load_problems([])
    with pytest.raises(ConfigError, match="`split` names a part"):
        load_problems(ROWS, split="test")
