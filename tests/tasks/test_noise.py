"""Which problems are corrupted, with which label, and where the true answer goes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from presat import load_problems
from presat.errors import DataError
from presat.tasks import save_problems
from presat.tasks.noise import corrupted, corruption_order, keep_original, refuse_corrupted, wrong_labels
from presat.tasks.rows import original_gold
from presat.types import Problem


def problem(**metadata) -> Problem:
    return Problem("p", ({"role": "user", "content": "?"},), "5", "math", "math", metadata)


def test_the_order_is_uniform_and_another_for_every_seed():
    orders = [corruption_order(10, seed) for seed in range(2000)]
    assert all(sorted(order) == list(range(10)) for order in orders)
    firsts = Counter(order[0] for order in orders)
    assert all(140 < firsts[index] < 260 for index in range(10))  # 200 expected, 4.5 standard deviations
    assert corruption_order(10, 3) == corruption_order(10, 3)


def test_the_most_frequent_incorrect_class_comes_first_and_its_most_frequent_form_stands_for_it():
    answers = ["5", "5", "5", "1/2", "0.5", "0.5", "7", "7", None, "9"]
    values = [1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, None]
    classes = [0, 0, 0, 1, 1, 1, 2, 2, None, 3]
    assert wrong_labels(answers, values, classes) == ["0.5", "7"]


def test_a_class_with_a_right_answer_is_not_incorrect_and_ties_go_to_the_first():
    assert wrong_labels(["5.0", "5", "8", "9"], [0.0, 1.0, 0.0, 0.0], [0, 0, 1, 2]) == ["8", "9"]
    assert wrong_labels(["5", None], [1.0, 0.0], [0, None]) == []


@pytest.mark.parametrize(
    "metadata",
    [
        {"reward_model": {"ground_truth": '["5"]', "style": "rule"}, "extra_info": {"index": 3, "split": "train"}},
        {"reward_model": {"ground_truth": '["5"]', "style": "rule"}, "extra_info": '{"index": 3}'},
        {"reward_model": {"ground_truth": '["5"]', "style": "rule"}},
        {"reward_model": {"ground_truth": ["5"], "style": "rule"}, "extra_info": {"index": 3}},
        {"reward_model": {"name": "a judge's, not verl's"}, "prompt": "of a table"},
        {"note": "a table's row"},
    ],
)
def test_the_true_answer_stays_beside_the_label_through_a_file(metadata, tmp_path):
    path = save_problems(
        [corrupted(problem(**metadata), "6"), keep_original(problem(**metadata))], tmp_path / "x.parquet"
    )
    noisy, clean = load_problems(path)
    assert (noisy.gold, clean.gold) == ("6", "5")
    assert original_gold(noisy) == original_gold(clean) == "5"
    extra = noisy.metadata.get("extra_info")
    if "extra_info" in metadata:
        assert type(extra) is type(metadata["extra_info"])
        extra = json.loads(extra) if isinstance(extra, str) else extra
        assert isinstance(extra, dict)
        assert extra["index"] == 3
        assert extra["original_ground_truth"] == metadata["reward_model"]["ground_truth"]


def test_noise_on_noise_is_refused():
    clean = [keep_original(problem(extra_info={"index": 1})), problem()]
    refuse_corrupted(clean)
    with pytest.raises(DataError, match=r"1 of 3 labels differ from the true answer kept beside them"):
        refuse_corrupted([*clean, corrupted(clean[0], "6")])


def test_published_graph_sets_are_refused_by_the_answers_of_their_own_metadata(sample_data: Path):
    refuse_corrupted(load_problems(sample_data / "graph/qwen-math-7b_128.parquet"))
    with pytest.raises(DataError, match="617 of 882 labels differ"):
        refuse_corrupted(load_problems(sample_data / "graph/qwen-math-7b_882_gamma0.70.parquet"))


def test_a_relabelled_row_keeps_the_label_it_has_now_as_the_truth():
    found = keep_original(problem(reward_model={"ground_truth": "4", "style": "rule"}))
    assert original_gold(found) == "5"


@pytest.mark.parametrize("blank", ["", " ", None, float("nan"), [""]])
def test_an_empty_true_answer_is_none(blank):
    assert original_gold(problem(original_ground_truth=blank)) is None


@pytest.mark.parametrize(
    "name", ["math/llama-3b_512.parquet", "science/qwen-math-1.5b_64.parquet", "graph/qwen-math-7b_8.parquet"]
)
def test_published_files_keep_every_other_field(name: str, sample_data: Path, tmp_path: Path):
    before = load_problems(sample_data / name)
    after = load_problems(save_problems([corrupted(p, "wrong") for p in before], tmp_path / "noisy.parquet"))
    assert [original_gold(p) for p in after] == [p.gold for p in before]
    assert {p.gold for p in after} == {"wrong"}
    for old, new in zip(before, after, strict=True):
        for field in old.metadata.keys() - {"extra_info", "reward_model"}:
            assert new.metadata[field] == old.metadata[field]
        a, b = (
            x if isinstance(x, dict) else json.loads(x)
            for x in (old.metadata["extra_info"], new.metadata["extra_info"])
        )
        assert {**a, "original_ground_truth": old.metadata["reward_model"]["ground_truth"]} == b
        assert new.messages == old.messages
