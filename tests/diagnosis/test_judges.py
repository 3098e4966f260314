"""The interface of judges, and the symbolic one: exact on the lab, abstaining where there is nothing to check."""

import subprocess
import sys
from pathlib import Path

import pytest

from presat.diagnosis import Cost, Judgement, make_judge
from presat.errors import ConfigError, DataError

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "judges.py"


def judged(prompt, response):
    (found,) = make_judge("symbolic").judge([{"prompt": prompt, "response": response}])
    return found


def test_a_false_step_is_named_with_its_line_and_what_it_should_be():
    found = judged("How many?", "She has 3 + 4 = 7.\n\nThen 7 * 2 = 15.\n\nThe answer is 15.")
    assert (found.label, found.score) == (0.0, 0.0)
    assert "Line 3" in found.reason
    assert "7 * 2 = 15" in found.reason
    assert "14" in found.reason


def test_true_steps_are_aligned_and_cost_nothing():
    found = judged("How many?", r"She has 3 + 4 = 7. Then 7 * 2 = 14. So \boxed{14}.")
    assert found.label == 1.0
    assert found.score is not None
    assert 0 < found.score <= 1
    assert found.cost == Cost(0, 0)


@pytest.mark.parametrize("response", ["", "I think so.", "x", r"\boxed{4}", "It is 4, clearly, 4 of 5, or 3."])
def test_it_abstains_where_nothing_can_be_calculated(response):
    assert judged("How many?", response) == Judgement(None, None, "Nothing that can be calculated again was found.")


def test_an_answer_that_never_came_up_is_not_supported():
    trace = "There are 3 + 4 = 7 boys and 2 girls. "
    assert judged("How many?", trace + r"So \boxed{731}.").label == 0.0
    assert judged("How many?", trace + r"So \boxed{9}.").label == 1.0  # 7 + 2: a last step that is not written
    assert judged("Of 9?", trace + r"So \boxed{9}.").label == 1.0
    assert judged("How many?", trace + r"So \boxed{700 + 31}.").label == 0.0
    assert judged("How many?", trace + r"So 7 + 2 = \boxed{9}.").label == 1.0
    assert judged("How many?", trace + "Nine in all. " + r"So \boxed{9}.").label == 1.0


def test_the_answer_counts_though_it_is_rounded_or_a_percentage():
    trace = "The share is 3 / 7 = 0.428571 of 7 + 1 = 8. "
    for answer in ("42.86", "0.43", r"42.9\%", r"\frac{3}{7}", "43"):
        assert judged("What share?", f"{trace} So \\boxed{{{answer}}}.").label == 1.0, answer


@pytest.mark.parametrize("prompt", ["Add 11 and 11 in base 2.", r"Let $a \ast b = a^2 + b$. What is 3 * 4?"])
def test_arithmetic_of_the_problems_own_is_not_called_false(prompt):
    assert judged(prompt, "First, 1 + 1 = 2. Then 11 + 11 = 110 and 3 * 4 = 13.").label != 0.0


def test_lab_traces_are_judged_exactly():
    prompt = "7 a +5 b +6"
    (text,) = [judged(prompt, "no trace at all")]
    assert text.label == 0.0
    assert judged([{"role": "user", "content": prompt}], "no trace at all") == text


def test_chat_turns_are_read_and_what_is_no_item_is_refused():
    judge = make_judge("symbolic")
    turns = [{"role": "system", "content": "Think."}, {"role": "user", "content": "Add 9 and 2."}]
    (found,) = judge.judge(
        [{"prompt": turns, "response": r"It is 7 + 2 = 9. Also 1 + 1 = 2. So \boxed{9}", "gold": "9"}]
    )
    assert found.label == 1.0
    for item in ({"prompt": "a"}, {"prompt": 3, "response": "b"}, {"prompt": "a", "response": "b", "gold": 3}):
        with pytest.raises(DataError, match="Item 0"):
            judge.judge([item])


def test_unknown_judges_and_settings_are_refused_with_the_nearest_name():
    with pytest.raises(ConfigError, match="symbolic"):
        make_judge("symbolik")
    with pytest.raises(ConfigError, match="no setting 'rounds'"):
        make_judge("symbolic", rounds=3)


def test_a_terminal_is_not_told_what_a_trace_says_to_it():
    assert "\x1b" not in judged("How many?", "3 + \x1b[31m 4 = 8. 3 \x1b + 4 = 8. 3 + 4 = 8").reason


def test_on_peoples_labels_sound_solutions_are_not_called_wrong(sample_data):
    """Even lines alone: the rules were settled on the odd ones."""
    sys.path.insert(0, str(SCRIPT.parent))
    try:
        import judges
    finally:
        sys.path.remove(str(SCRIPT.parent))
    if not (folder := sample_data / "process").is_dir():
        pytest.skip("the labelled traces are not here")
    files = [folder / f"{name}.jsonl" for name in judges.FILES if not name.startswith("bigbench")]
    rows = [row for file in files for row in list(judges.labelled(file))[1::2]]
    labels = [item.judgement.label for item in judges.judge_all(make_judge("symbolic"), rows)]
    sound = [label == 0.0 for row, label in zip(rows, labels, strict=True) if row.sound]
    unsound = [label == 0.0 for row, label in zip(rows, labels, strict=True) if not row.sound]
    assert sum(sound) / len(sound) <= 0.03
    assert sum(unsound) / len(unsound) >= 0.1


def test_the_script_says_so_where_there_is_nothing_to_measure(tmp_path):
    done = subprocess.run([sys.executable, SCRIPT, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "holds none of the labelled files" in done.stderr


def test_the_script_prints_odd_and_even_lines_apart(tmp_path):
    row = '{"problem": "How many?", "steps": ["3 + 4 = %d"], "answer_right": true, "first_wrong_step": %d}\n'
    (tmp_path / "processbench_math.jsonl").write_text((row % (7, -1) + row % (8, 0)) * 12, encoding="utf-8")
    done = subprocess.run([sys.executable, SCRIPT, tmp_path], capture_output=True, text=True, check=True)
    even, odd = done.stdout.split("Odd lines")
    assert "| processbench_math | 12 | 12 | 1.00 | - | 1.00" in even
    assert "| processbench_math | 12 | 0 | 1.00 | 0.000" in odd
