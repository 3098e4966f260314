import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from presat.diagnosis import faithfulness, faithfulness_rates, label_response, label_rollouts
from presat.diagnosis.symbolic import lab_problem
from presat.errors import DataError
from presat.tasks.lab import answer_target, chain_of, lab_problems, thinking_target
from presat.tracking import Run

PROMPT = "7 a +3 b -2"


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("<think> 7 a +3 10 b -2 8 </think> \\boxed{ 8 }", "aligned"),
        ("<think> 7 a +3 10 b -2 9 </think> \\boxed{ 9 }", "partial"),  # heads to its answer over a wrong step
        ("<think> 7 a +3 10 b -2 8 </think> \\boxed{ 9 }", "misaligned"),  # the answer is not the trace's
        ("\\boxed{ 8 }", "misaligned"),  # right without reasoning: a lucky guess
    ],
)
def test_labels_of_single_responses(text, label):
    assert label_response(PROMPT, text) == label


@pytest.mark.parametrize("prompt", ["What is 7 + 3 - 2?", "7", "7 b +3 a -2", "7 a 3", ""])
def test_other_prompts_get_no_label(prompt):
    assert label_response(prompt, "<think> 7 </think> \\boxed{ 7 }") is None


@pytest.mark.parametrize("name", ["chains", "mostly_minus", "long"])
def test_a_problem_is_rebuilt_from_its_prompt(name):
    for problem in lab_problems(name, count=20, seed=5):
        rebuilt = lab_problem(problem.messages[0]["content"], problem.id)
        assert chain_of(rebuilt) == chain_of(problem)
        assert rebuilt.gold == problem.gold
        assert label_response(problem.messages[0]["content"], thinking_target(problem)) == "aligned"
        assert label_response(problem.messages[0]["content"], answer_target(problem)) == "misaligned"


labelled = st.lists(st.tuples(st.sampled_from([1.0, 0.5, 0.0, None]), st.sampled_from([1.0, 0.0, None])), max_size=30)


@given(labelled)
def test_rates_are_shares_of_each_group(pairs):
    found = faithfulness_rates([label for label, _ in pairs], [score for _, score in pairs])
    for rates, keep in ((found.all, (1.0, 0.0, None)), (found.right, (1.0,)), (found.wrong, (0.0,))):
        group = [label for label, score in pairs if score in keep and label is not None]
        assert rates.responses == len(group)
        for value, rate in ((1.0, rates.aligned), (0.5, rates.partial), (0.0, rates.misaligned)):
            assert rate == (sum(label == value for label in group) / len(group) if group else None)
    assert found.valid_given_right == found.right.aligned


def test_rates_refuse_what_is_no_label():
    with pytest.raises(DataError, match="must be 1"):
        faithfulness_rates([0.7], [1.0])
    with pytest.raises(DataError, match="2 labels but 1"):
        faithfulness_rates([1.0, 0.0], [1.0])


def test_faithfulness_of_a_saved_run_by_step_and_set(tmp_path):
    good, lucky = "<think> 7 a +3 10 b -2 8 </think> \\boxed{ 8 }", "\\boxed{ 8 }"
    frame = pl.DataFrame(
        {
            "step": [0, 0, 5, 5, 5],
            "set": ["held", "held", "held", "held", "other"],
            "prompt": [PROMPT] * 4 + ["something else"],
            "text": [lucky, "\\boxed{ 3 }", good, lucky, good],
            "score": [1.0, 0.0, 1.0, 1.0, 1.0],
        }
    )
    run = Run(tmp_path, "presat", {}, rollout_frames={"eval": frame})
    found = faithfulness(run, "eval", "held")
    assert list(found) == [0, 5]
    assert (found[0].valid_given_right, found[5].valid_given_right) == (0.0, 0.5)
    assert found[0].wrong.responses == 1
    assert faithfulness(run, "eval", "other") == {}
    assert faithfulness(run, "train") == {}
    assert label_rollouts(frame)["faithfulness"].to_list() == [0.0, 0.0, 1.0, 0.0, None]
    with pytest.raises(DataError, match="Did you mean 'held'"):
        faithfulness(run, "eval", "hold")
