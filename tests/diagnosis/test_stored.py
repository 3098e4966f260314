"""Judgements beside the responses they judge: once for a response and a judge, whatever is killed, copied or torn."""

import json
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import polars as pl
import pytest

from presat.diagnosis import Cost, Judgement, judge_responses, make_judge
from presat.errors import DataError, JudgeError, RunError
from presat.tracking import RolloutStore, RunWriter, open_run
from presat.tracking.lock import RunLock
from presat.types import Completion, Problem, RolloutGroup, Score

ROOT = Path(__file__).resolve().parents[2]


class Counting:
    """A judge that says how long a response is, and remembers what it was asked."""

    def __init__(self, identity="counting/1", passing=()):
        self.identity, self.asked, self.passing = identity, [], passing

    def judge(self, items):
        self.asked.append([item["response"] for item in items])
        self.items = items
        return [self.one(item["response"]) for item in items]

    def one(self, response):
        if response in self.passing:
            return Judgement(None, None, "It slept.", Cost(0, 1), lasting=False)
        return Judgement(1.0, float(len(response)), "It is so long.", Cost(10, 1), {"length": len(response)})

    def estimate(self, items):
        return Cost(12 * len(items), len(items))


def all_asked(judge):
    return [response for part in judge.asked for response in part]


def write_steps(folder, steps, texts=("a", "bb", "a")):
    turns = ({"role": "system", "content": "Think."}, {"role": "user", "content": "How many?"})
    for step in steps:
        groups = [
            RolloutGroup(
                Problem(f"p{p}", turns, str(p), "math", "math"),
                (1,),
                tuple(Completion(f"{text}{p}", (1,), None, True) for text in texts),
                p,
            )
            for p in range(2)
        ]
        scores = [[Score(1.0, "1")] * len(texts)] * 2
        RolloutStore(folder / "rollouts").write("train", step, groups, scores)


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "runs" / "mine"
    with RunWriter(folder, {"seed": 1}, command="train") as writer:
        writer.append(1, {"reward": 0.5})
    write_steps(folder, (1, 2))
    return folder


def test_a_response_is_judged_once_and_found_again(run, capsys):
    judge = Counting()
    first = judge_responses(run, judge)
    assert sorted(all_asked(judge)) == ["a0", "a1", "bb0", "bb1"]  # of twelve, in two steps
    assert (len(first.judgements), first.known, first.spent) == (12, 0, Cost(40, 4))
    assert "counting/1 judges 4 of 12 responses: 4 calls, about 48 tokens." in capsys.readouterr().err
    write_steps(run, (3,), ("a", "ccc"))
    again = judge_responses(open_run(run), judge)
    assert sorted(all_asked(judge)[4:]) == ["ccc0", "ccc1"]
    assert (again.known, again.spent) == (14, Cost(20, 2))
    assert all_asked(judge) == list(dict.fromkeys(all_asked(judge)))
    judge_responses(run, judge)
    assert len(all_asked(judge)) == 6
    other = Counting("counting/2")
    assert judge_responses(run, other, steps=[3], limit=2).spent.calls == 2
    frame = open_run(run).judgements()
    assert frame["judge"].to_list() == ["counting/1"] * 6 + ["counting/2"] * 2
    assert open_run(run).judgements("counting/2")["score"].to_list() == [2.0, 4.0]
    assert open_run(run).judgements("counting/2")["details/length"].to_list() == [2.0, 4.0]
    assert open_run(run).judgements("none/1").height == 0
    assert judge_responses(run, judge).judgements == again.judgements
    assert other.items[0]["token_ids"] == other.items[0]["prompt_ids"] == [1]


def test_the_frame_says_which_response_each_is(run):
    frame = judge_responses(run, Counting(), quiet=True).to_frame()
    assert frame.columns == ["step", "set", "problem_id", "seed", "sample", "score", "label", "support", "reason"]
    saved = pl.concat(
        [frame.select("step", "problem_id", "sample", "support"), open_run(run).rollouts("train", columns=["text"])],
        how="horizontal",
    )
    assert all(row["support"] == len(row["text"]) for row in saved.iter_rows(named=True))


def test_what_may_pass_is_asked_again_and_counted(run):
    found = judge_responses(run, Counting(passing=("a0",)), quiet=True)
    assert found.abstentions() == {"It slept.": 4}
    later = Counting()
    assert judge_responses(run, later, quiet=True).abstentions() == {}
    assert all_asked(later) == ["a0"]


def test_the_responses_to_one_problem_are_judged_together(tmp_path):
    rows = [{"prompt": f"{p}?", "response": f"{p} {n}"} for p in range(5) for n in range(30)]
    judge = Counting()
    judge_responses(rows, judge, quiet=True)
    assert [len(part) for part in judge.asked] == [90, 60]


def test_rows_are_kept_where_it_is_said_and_else_nowhere(tmp_path, monkeypatch):
    monkeypatch.setenv("PRESAT_CACHE", str(tmp_path / "cache"))
    rows = [{"prompt": "How many?", "response": "3 + 4 = 7."}, {"prompt": "How many?", "response": "3 + 4 = 8."}]
    found = judge_responses(rows, make_judge("symbolic"), quiet=True)
    assert [one.label for one in found.judgements] == [1.0, 0.0]
    assert found.to_frame()["label"].to_list() == [1.0, 0.0]
    assert not list(tmp_path.iterdir())
    judge_responses(rows, make_judge("symbolic"), folder=tmp_path / "mine", quiet=True)
    assert judge_responses(rows, make_judge("symbolic"), folder=tmp_path / "mine", quiet=True).known == 2
    with pytest.raises(DataError, match="Item 1"):
        judge_responses([rows[0], {"prompt": "x"}], make_judge("symbolic"), quiet=True)


def test_another_trainers_folder_is_left_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv("PRESAT_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "theirs"
    folder.mkdir()
    lines = [{"input": "How many?", "output": text, "score": 1.0, "step": 1} for text in ("a", "bb")]
    (folder / "1.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    folder.chmod(0o555)
    found = judge_responses(folder, Counting(), quiet=True)
    folder.chmod(0o755)
    assert [one.score for one in found.judgements] == [1.0, 2.0]
    assert [file.name for file in folder.iterdir()] == ["1.jsonl"]
    assert open_run(folder).judgements().height == 2
    assert judge_responses(folder, Counting(), quiet=True).known == 2
    assert judge_responses(folder, Counting(), folder=tmp_path / "mine", quiet=True).known == 0
    assert open_run(folder).judgements(folder=tmp_path / "mine").height == 2


def test_a_kill_between_two_parts_loses_none_of_the_first(tmp_path):
    script = """
        import os, signal, sys
        from tests.diagnosis.test_stored import Counting, judge_responses
        class Dying(Counting):
            def judge(self, items):
                if self.asked:
                    os.kill(os.getpid(), signal.SIGKILL)
                return super().judge(items)
        rows = [{"prompt": str(n), "response": str(n)} for n in range(200)]
        judge_responses(rows, Dying(), folder=sys.argv[1])
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script), tmp_path], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    (file,) = tmp_path.glob("*.jsonl")
    with file.open("a") as torn:
        torn.write('{"judge": "counting/1", "key": "ab')
    judge = Counting()
    rows = [{"prompt": str(n), "response": str(n)} for n in range(200)]
    found = judge_responses(rows, judge, folder=tmp_path, quiet=True)
    assert found.known == 64
    assert all_asked(judge) == [str(n) for n in range(64, 200)]
    assert judge_responses(rows, Counting(), folder=tmp_path, quiet=True).known == 200


def test_a_judge_that_fails_keeps_what_it_said_before(tmp_path):
    class Failing(Counting):
        def judge(self, items):
            if self.asked:
                raise JudgeError("It is gone.")
            return super().judge(items)

    rows = [{"prompt": str(n), "response": str(n)} for n in range(100)]
    with pytest.raises(JudgeError):
        judge_responses(rows, Failing(), folder=tmp_path, quiet=True)
    assert judge_responses(rows, Counting(), folder=tmp_path, quiet=True).known == 64


def test_lines_that_are_no_judgements_are_left_out_and_said(run, caplog):
    judge_responses(run, Counting(), quiet=True)
    (file,) = (run / "judgements").glob("*.jsonl")
    lines = file.read_text().splitlines()
    broken = [
        json.dumps({**json.loads(lines[0]), "label": 0.7}),
        json.dumps({**json.loads(lines[1]), "judge": "else/1"}),
        "not json",
        lines[3],
    ]
    file.write_text("\n".join(broken) + "\n")
    judge = Counting()
    assert judge_responses(run, judge, quiet=True).known == 2
    assert len(all_asked(judge)) == 3
    assert "2 lines" in caplog.text
    assert "was left out" in caplog.text


def test_a_file_that_is_not_ours_is_left_alone(tmp_path):
    file = tmp_path / "counting%2F1.jsonl"
    file.write_text('{"question": "whose?"}\n')
    with pytest.raises(RunError, match="not a file that presat made"):
        judge_responses([{"prompt": "p", "response": "r"}], Counting(), folder=tmp_path, quiet=True)
    assert file.read_text() == '{"question": "whose?"}\n'


def test_a_folder_of_judgements_has_one_writer(run):
    (run / "judgements").mkdir()
    lock = RunLock(run / "judgements")
    with pytest.raises(RunError, match="is being written by"):
        judge_responses(run, Counting(), quiet=True)
    lock.release()
    judge_responses(run, Counting(), quiet=True)


def test_a_place_that_cannot_be_written_is_one_sentence(run):
    (run / "judgements").write_text("a file")
    with pytest.raises(RunError, match="Name another folder"):
        judge_responses(run, Counting(), quiet=True)


def test_a_run_without_such_responses_is_refused(run):
    with pytest.raises(RunError, match="no saved responses of this kind"):
        judge_responses(run, Counting(), split="eval", quiet=True)


def test_a_directory_that_is_written_anew_forgets_its_judgements(run):
    judge_responses(run, Counting(), quiet=True)
    with RunWriter(run, {"seed": 2}, command="train", overwrite=True) as writer:
        writer.append(1, {"reward": 0.5})
    assert not (run / "judgements").exists()


def test_odd_text_has_a_key_of_its_own(tmp_path):
    rows = [{"prompt": "p", "response": text} for text in ("\ud800", "\udc00", "", "a\0b", "ab")]
    assert judge_responses(rows, Counting(), folder=tmp_path, quiet=True).known == 0
    assert judge_responses(rows, Counting(), folder=tmp_path, quiet=True).known == 5
    assert len({line["key"] for line in map(json.loads, next(tmp_path.glob("*.jsonl")).read_text().splitlines())}) == 5
