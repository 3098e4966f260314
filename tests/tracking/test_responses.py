from __future__ import annotations

import pytest

from presat.errors import RunError
from presat.tracking import RolloutStore
from presat.types import Completion, Problem, RolloutGroup, Score


def group(name: str, texts: list[str]) -> RolloutGroup:
    problem = Problem(
        name, ({"role": "system", "content": "Think."}, {"role": "user", "content": "1+1"}), "2", "lab", "lab"
    )
    return RolloutGroup(problem, (1, 2), tuple(Completion(t, (5, 6, 7), None, t != "cut") for t in texts))


SCORES = [[Score(1.0, "2"), Score(None, None, "time-out")], [Score(0.0, None, "no boxed answer"), Score(0.0, "3")]]
GROUPS = [group("a", ["x", "cut"]), group("b", ["y", "z"])]


def test_rows_come_back_as_they_went_in(tmp_path):
    store = RolloutStore(tmp_path)
    path = store.write("train", 12, GROUPS, SCORES, [[1.0, None], [0.0, 0.0]])
    assert path == tmp_path / "train" / "step_000012.parquet"
    rows = store.read("train").to_dicts()
    assert rows[1] == {
        "step": 12,
        "set": "",
        "problem_id": "a",
        "sample": 1,
        "prompt": "Think.\n\n1+1",
        "text": "cut",
        "gold": "2",
        "extracted": None,
        "score": None,
        "reason": "time-out",
        "reward": None,
        "finished": False,
        "n_tokens": 3,
    }
    assert [row["sample"] for row in rows] == [0, 1, 0, 1]
    assert not list(tmp_path.rglob("*.partial"))


def test_sets_and_steps_are_kept_apart(tmp_path):
    store = RolloutStore(tmp_path)
    extra = {"valid_trace": [[True, False], [False, True]]}
    for step in (10, 0):
        store.write("eval", step, GROUPS, SCORES, set_name="a/b c", extra_PG=extra)
    store.write("eval", 0, GROUPS[:1], SCORES[:1], set_name="other")
    assert (tmp_path / "eval" / "a_b_c-step_000010.parquet").is_file()
    found = store.read("eval", "a/b c")
    assert found["step"].to_list() == [0] * 4 + [10] * 4
    assert found["valid_trace"].to_list()[:4] == [True, False, False, True]
    assert len(store.read("eval")) == 10
    assert store.read("train") is None


def test_columns_of_missing_values_keep_their_type(tmp_path):
    store = RolloutStore(tmp_path)
    store.write("eval", 0, GROUPS[:1], [[Score(None), Score(None)]])
    store.write("eval", 1, GROUPS, SCORES)
    assert store.read("eval")["score"].to_list() == [None, None, 1.0, None, 0.0, 0.0]


def test_a_folder_that_cannot_be_written_is_said_so(tmp_path):
    (tmp_path / "train").write_text("in the way")
    with pytest.raises(RunError, match="Cannot write rollouts"):
        RolloutStore(tmp_path).write("train", 1, GROUPS, SCORES)
