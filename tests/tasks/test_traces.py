"""Rows of traces files in every layout people publish, and what is wrong with a row by row and field."""

from __future__ import annotations

import pytest

from presat.errors import ConfigError, DataError
from presat.tasks.traces import read_trace

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
    user = {"role": "user", "content": "2+2?"}
    assert trace.gold == "4"
    assert trace.thinking() == [user, {"role": "assistant",
                                       "content": "<think>\n2 and 2 are 4\n</think>\n\nIt is \\boxed{4}."}]  # fmt: skip
    assert trace.non_thinking() == [user, {"role": "assistant", "content": "It is \\boxed{4}."}]


def test_columns_name_others_and_win_over_a_chat():
    row = {"q": "2+2?", "t": "add", "s": "4", "a": "\\boxed{4}", **LAYOUTS["messages"]}
    trace = read_trace(row, {"question": "q", "trace": "t", "solution": "s", "answer": "a"}, "row 1")
    assert (trace.prompt[0]["content"], trace.trace, trace.solution, trace.gold) == ("2+2?", "add", "4", "\\boxed{4}")


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
    assert read_trace(row, {"solution": name}, "row 1").gold == "It is \\boxed{4}."


@pytest.mark.parametrize(
    ("row", "columns", "error", "message"),
    [
        ({"question": "?", "solution": "4"}, {}, DataError, "row 1: no trace among the fields question, solution"),
        ({"question": "", "trace": "t", "solution": "4"}, {}, DataError, "row 1: field 'question' is empty"),
        ({"question": "?", "trace": 7, "solution": "4"}, {}, DataError, "row 1: field 'trace' should be text; it is 7"),
        ({"question": "?", "trace": "t", "solution": "4", "answer": {}}, {}, DataError, "field 'answer' should hold"),
        (LAYOUTS["columns"], {"trace": "tracce"}, DataError, "no field 'tracce'.*Did you mean 'trace'"),
        (LAYOUTS["columns"], {"trase": "trace"}, ConfigError, "there is no 'trase'. Did you mean 'trace'"),
        ({"messages": "hello"}, {}, DataError, "field 'messages': should be a list of chat turns; it holds 'hello'"),
        ({"messages": [{"role": "user", "content": "?"}]}, {}, DataError, "the last turn should be the assistant's"),
    ],
)
def test_a_malformed_row_is_named(row, columns, error, message):
    with pytest.raises(error, match=message):
        read_trace(row, columns, "row 1")
