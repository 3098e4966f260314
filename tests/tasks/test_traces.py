"""Rows of traces files in every layout people publish, and what is wrong with a row by row and field."""

from __future__ import annotations

import json

import pytest

from presat.config.schema import TaskConfig
from presat.errors import ConfigError, DataError
from presat.tasks import traces
from presat.tasks.prompts import chat, with_prompt
from presat.tasks.rows import problem_of_plain
from presat.tasks.traces import read_trace, read_traces
from presat.types import Problem

THOUGHT = (
    "<|begin_of_thought|>\n\n2 and 2 are 4\n\n<|end_of_thought|>\n\n"
    "<|begin_of_solution|>\n\nIt is \\boxed{4}.\n\n<|end_of_solution|>"
)
THINK = "<think>\n2 and 2 are 4\n</think>\n\nIt is \\boxed{4}."
LAYOUTS = {
    "columns": {"question": "2+2?", "trace": "2 and 2 are 4", "solution": "It is \\boxed{4}.", "answer": 4},
    "markers": {"question": "2+2?", "trace": "<think>\n2 and 2 are 4\n</think>", "solution": "It is \\boxed{4}.",
                "answer": '["4"]'},
    "metadata": {"problem": "2+2?", "deepseek_reasoning": "2 and 2 are 4", "deepseek_solution": "It is \\boxed{4}.",
                 "ground_truth_solution": "4", "domain": "math", "test_cases": None},
    "gsm8k": {"question": "2+2?", "reasoning": "2 and 2 are 4", "response": "It is \\boxed{4}.",
              "answer": "2+2 = <<2+2=4>>4\n#### 4"},
    "messages": {"messages": [{"role": "user", "content": "2+2?"},
                              {"role": "assistant", "content": THINK}],
                 "answer": "4"},
    "conversations": {"system": "Your role is ...", "solution": "4", "problem": "2+2?",
                      "conversations": [{"from": "user", "value": "2+2?"}, {"from": "assistant", "value": THOUGHT}]},
    "half open": {"messages": [{"role": "human", "content": "2+2?"},
                               {"role": "gpt", "content": "<think>2 and 2 are 4</think>It is \\boxed{4}."}],
                  "gold": "4"},
}  # fmt: skip


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_every_layout_gives_the_same_two_examples(layout):
    trace = read_trace(LAYOUTS[layout], {}, "row 1")
    prompt = [*problem_of_plain(LAYOUTS[layout], "row 1", {}).messages]  # what training shows of the same row
    assert trace.gold == "4"
    assert trace.thinking() == [*prompt, {"role": "assistant", "content": THINK}]
    assert trace.non_thinking() == [*prompt, {"role": "assistant", "content": "It is \\boxed{4}."}]
    assert prompt == ([*chat("2+2?")] if "question" in LAYOUTS[layout] or "problem" in LAYOUTS[layout]
                      else [{"role": "user", "content": "2+2?"}])  # fmt: skip


def test_the_system_message_of_bare_questions_can_be_set_and_is_refused_where_there_are_none(tmp_path):
    def read(row, **settings):
        (tmp_path / "traces.jsonl").write_text(json.dumps(row) + "\n")
        ((_, trace),) = read_traces(TaskConfig(source=str(tmp_path / "traces.jsonl"), **settings))
        return list(trace.prompt)

    asked = {"role": "user", "content": "2+2?"}
    assert read(LAYOUTS["columns"], domain="science") == [*chat("2+2?", "science")]
    assert read(LAYOUTS["columns"], options={"system": ""}) == [asked]
    assert read(LAYOUTS["columns"], options={"system": "Box it."})[0] == {"role": "system", "content": "Box it."}
    for settings in ({"domain": "science"}, {"options": {"system": "Box it."}}):
        with pytest.raises(ConfigError, match=r"brings its own prompt, which `data\.domain` and the option `system`"):
            read(LAYOUTS["messages"], **settings)


def test_a_row_is_read_once_whatever_is_set(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(traces, "read_trace", lambda row, *given: read.append(row) or read_trace(row, *given))
    (tmp_path / "traces.jsonl").write_text((json.dumps(LAYOUTS["columns"]) + "\n") * 3)
    source = TaskConfig(source=str(tmp_path / "traces.jsonl"), domain="science", options={"system": "Box it."})
    assert len(list(read_traces(source))) == len(read) == 3


def test_columns_name_others_and_win_over_a_chat():
    row = {"q": "2+2?", "t": "add", "s": "4", "a": "\\boxed{4}", **LAYOUTS["messages"]}
    trace = read_trace(row, {"question": "q", "trace": "t", "solution": "s", "answer": "a"}, "row 1")
    assert (trace.prompt[-1]["content"], trace.trace, trace.solution, trace.gold) == ("2+2?", "add", "4", "4")


def test_a_system_turn_of_a_chat_stays_in_both():
    turns = [{"role": "system", "content": "Be brief."}, *LAYOUTS["messages"]["messages"]]
    trace = read_trace({"messages": turns}, {}, "row 1")
    assert trace.gold is None
    assert trace.thinking()[:2] == trace.non_thinking()[:2] == turns[:2]


@pytest.mark.parametrize("name", ["deepseek_solution", "response"])
def test_a_response_beside_a_chat_is_no_reference(name):
    row = {"messages": LAYOUTS["messages"]["messages"], name: "It is \\boxed{4}."}
    assert read_trace(row, {}, "row 1").gold is None
    assert read_trace({**row, "solution": "5"}, {}, "row 1").gold == "5"
    assert read_trace(row, {"solution": name}, "row 1").gold == "4"


@pytest.mark.parametrize(
    ("row", "columns", "error", "message"),
    [
        ({"question": "?", "solution": "4"}, {}, DataError, "row 1: no trace among the fields question, solution"),
        ({"question": "", "trace": "t", "solution": "4"}, {}, DataError, "row 1: field 'question' is empty"),
        ({"question": "?", "trace": 7, "solution": "4"}, {}, DataError, "row 1: field 'trace' should be text; it is 7"),
        ({"question": "?", "trace": "t", "solution": "4", "answer": {}}, {}, DataError, "field 'answer' should hold"),
        (LAYOUTS["columns"], {"trace": "tracce"}, DataError, "no field 'tracce'.*Did you mean 'trace'"),
        (LAYOUTS["columns"], {"trase": "trace"}, ConfigError, "there is no 'trase'. Did you mean 'trace'"),
        (
            {"messages": "hello"},
            {},
            DataError,
            r"field 'messages' should be a list of .role, content. turns; it holds 'hello'",
        ),
        ({"messages": [{"role": "user", "content": "?"}]}, {}, DataError, "the last turn should be the assistant's"),
    ],
)
def test_a_malformed_row_is_named(row, columns, error, message):
    with pytest.raises(error, match=message):
        read_trace(row, columns, "row 1")


OPENED = [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "2 and 2 are 4</think>It is 4."}]
OTHERS = {
    "opened by the prompt": ({"messages": OPENED}, "2 and 2 are 4", "It is 4."),
    "cut off": ({"messages": [OPENED[0], {**OPENED[1], "content": "<think>2 and"}]}, "2 and", ""),
    "said before": ({"messages": [OPENED[0], {**OPENED[1], "content": "Hm. <think>2</think> 4"}]}, "Hm. 2", "4"),
    "no markers": ({"messages": [OPENED[0], {**OPENED[1], "content": "It is 4."}]}, "", "It is 4."),
    "no chat here": ({"messages": None, "question": "2+2?", "trace": "add", "solution": "4"}, "add", "4"),
    "in one column": ({"question": "2+2?", "response": "<think>add</think>4"}, "add", "4"),
    "twice": ({"question": "2+2?", "trace": "add", "response": "<think>add</think>4"}, "add", "4"),
    "stray markers": (
        {"question": "2+2?", "trace": "<think>a </think> b</think>", "solution": "<|begin_of_solution|>4"},
        "a  b", "4",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", list(OTHERS))
def test_a_trace_and_a_solution_hold_no_markers_and_what_is_made_of_them_reads_the_same(case):
    row, trace, solution = OTHERS[case]
    read = read_trace(row, {}, "row 1")
    assert (read.trace, read.solution) == (trace, solution)
    if solution:
        again = read_trace({"messages": read.thinking()}, {}, "row 1")
        assert (again.thinking(), again.non_thinking()) == (read.thinking(), read.non_thinking())


def test_what_is_not_asked_for_need_not_be_there():
    row = {"question": "2+2?", "solution": "4", "answer": {"a": "list"}}
    read = read_trace(row, {}, "row 1", thinking=False, gold=False)
    assert (read.trace, read.solution, read.gold) == ("", "4", None)
    with pytest.raises(DataError, match="no trace among the fields"):
        read_trace(row, {}, "row 1", gold=False)


@pytest.fixture
def data(tmp_path):
    rows = [
        {"question": f"{n}?", "trace": "t", "solution": str(n), "kind": "even" if n % 2 == 0 else "odd"}
        for n in range(20)
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return TaskConfig(source=str(tmp_path / "a.jsonl"))


def solutions(data, **more):
    return [int(trace.solution) for _, trace in read_traces(data, **more)]


def test_random_rows_are_drawn_by_the_seed_and_stay_in_order(data):
    drawn = [data.model_copy(update={"count": 6, "seed": seed, "options": {"sample": True}}) for seed in (1, 2)]
    first, second = map(solutions, drawn)
    assert first == sorted(set(first)) == solutions(drawn[0])
    assert len(first) == 6
    assert first not in (second, list(range(6)))
    odd = solutions(drawn[0], only={"kind": "odd"})
    assert len(odd) == 6
    assert all(n % 2 for n in odd)
    assert solutions(data.model_copy(update={"count": 6})) == list(range(6))
    with pytest.raises(DataError, match="fewer than the 6 asked for"):
        solutions(drawn[0], only={"kind": "even", "question": "2?"})


def test_a_prompt_style_is_the_problems_own(data):
    styled = data.model_copy(update={"prompt": "thinking", "domain": "science", "count": 1})
    ((_, trace),) = read_traces(styled)
    problem = with_prompt(Problem("x", ({"role": "user", "content": "0?"},), None, "science", "math"), "thinking")
    assert trace.prompt == problem.messages
    assert trace.thinking()[:2] == list(problem.messages)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seed": 3}, "`data.seed` decides nothing here"),
        ({"seed": 3, "count": 4}, "`data.seed` decides nothing here"),
        ({"options": {"sample": True}}, "no `count` is given"),
        ({"prompt": "plain", "options": {"system": "Hm."}}, "`prompt` and `system` both say what the system"),
        ({"prompt": "think_opened"}, "`data.prompt: think_opened` leaves out what a target begins with"),
        ({"columns": {"qestion": "question"}}, "there is no 'qestion'. Did you mean 'question'"),
        ({"split": "test"}, "is read whole: `split` names a part"),
        ({"options": {"subset": "metadata"}}, "is read whole: `subset` names a part"),
        ({"options": {"sampel": True}}, "takes no option 'sampel'. Did you mean 'sample'"),
    ],
)
def test_a_setting_that_traces_cannot_honour_is_refused(data, settings, message):
    with pytest.raises(ConfigError, match=message):
        list(read_traces(data.model_copy(update=settings)))
