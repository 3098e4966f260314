"""Evaluation: every logged number recomputed from the stored responses alone, and solve counts."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from dataclasses import replace
from io import StringIO
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console
from tests.training.runs import lines, status

from presat.config.schema import EvalConfig, ModelConfig, TaskConfig, VerifyConfig
from presat.errors import ConfigError, RunError
from presat.evaluation import evaluate_problems, run_eval, solve_counts
from presat.evaluation.evaluate import _Record, summarise
from presat.evaluation.run import EvalReport, SetResult, intervals, render
from presat.models import load_model_and_tokenizer
from presat.rewards import MajorityVote
from presat.rollouts import make_engine
from presat.tasks import load_task
from presat.types import Completion, Problem, RolloutGroup, Sampling, Score
from presat.verify import Verifier

SET = TaskConfig(source="lab/chains", name="held out", count=6, options={"split": "held_out", "operands": [3, 5]})


@pytest.fixture(scope="module")
def evaluated(toy_model, tmp_path_factory) -> EvalConfig:
    config = EvalConfig(
        run=tmp_path_factory.mktemp("eval") / "run",
        model=ModelConfig(name=str(toy_model)),
        sets=[SET, TaskConfig(source="lab/mostly_minus", count=3)],
        samples=16,
        max_new_tokens=20,
        threads=1,
    )
    run_eval(config, quiet=True)
    return config


def boxed(text: str) -> str | None:
    """The last box, read without any code of the package."""
    found = re.findall(r"\\boxed\{ ?([^{}]*?) ?\}", text)
    return found[-1].strip() if found else None


def draws(right: list[bool], k: int) -> float:
    """pass@k by going through every choice of k of the samples."""
    chosen = list(itertools.combinations(right, k))
    return sum(any(some) for some in chosen) / len(chosen)


def majority(answers: list[str | None], right: list[bool]) -> float:
    """Whether the most frequent answer is right, of equally frequent ones the first."""
    counts = Counter(answer for answer in answers if answer is not None)
    return float(bool(counts) and right[answers.index(counts.most_common(1)[0][0])])


def test_what_could_not_be_judged_is_left_out_by_one_rule():
    """Problem 0 has 3 judged responses of 4, problem 1 none: each metric is a mean over the problems that allow it."""
    verdicts = [[1.0, None, 0.0, 1.0], [None] * 4, [0.0, 0.0, 0.0, 1.0], [1.0] * 4]
    response = Completion("1", (1,), None, True)
    records = [
        _Record(p, RolloutGroup(Problem(str(p), ({"role": "user", "content": "?"},), "1", "math", "math"), (1,),
                                (response,) * 4), [Score(value, None) for value in row], [0, 1, 2, 0], None)
        for p, row in enumerate(verdicts)
    ]  # fmt: skip
    found = summarise(records)
    assert found.metrics["avg@4"] == pytest.approx((2 / 3 + 1 / 4 + 1) / 3)
    assert found.metrics["pass@4"] == 1.0  # of problems 2 and 3
    assert (found.metrics["missing"], found.metrics["unjudged_problems"]) == (5 / 16, 2)
    known = {name: interval.estimate for name, interval in intervals(found).items()}
    assert known == {
        name: found.metrics[name] for name in ("avg@4", "maj@4")
    }  # two problems have a pass@4: too few for an interval
    two = summarise([replace(r, scores_G=r.scores_G[:2], classes_G=r.classes_G[:2]) for r in records])
    assert two.metrics["unjudged_problems"] == 1  # without a pass@k: what avg@2 leaves out
    shown = Console(width=200, file=StringIO(), record=True)
    shown.print(render(EvalReport(Path("run"), [SetResult("hard", 5, 4, found.metrics, {})])))
    assert (
        "hard, step 5: its scores are over 3 of 4 problems (1 not judged); "
        "2 of 4 problems left out of pass@4, for too few judged responses."
    ) in shown.export_text()


def test_every_metric_is_what_the_stored_responses_say(evaluated):
    rows = pl.read_parquet(evaluated.run / "rollouts" / "eval" / "held%20out-step_000000.parquet")
    problems = {problem.id: problem for problem in load_task(SET)}
    assert len(rows) == 6 * 16
    groups = []
    for (name,), part in rows.sort("sample").group_by("problem_id", maintain_order=True):
        texts = part["text"].to_list()
        assert part["gold"].unique().to_list() == [problems[name].gold]
        groups.append(([boxed(text) for text in texts], [boxed(text) == problems[name].gold for text in texts]))
    logged = {
        name.removeprefix("eval/held out/"): value
        for row in lines(evaluated.run)
        for name, value in row.items()
        if name.startswith("eval/held out/")
    }
    mean = lambda values: sum(values) / len(values)  # noqa: E731
    assert logged["avg@16"] == pytest.approx(mean([mean(right) for _, right in groups]))
    assert 0 < logged["avg@16"] < 1  # else the rest shows nothing
    for k in (4, 8, 16):
        assert logged[f"pass@{k}"] == pytest.approx(mean([draws(right, k) for _, right in groups]))
    assert logged["maj@16"] == pytest.approx(mean([majority(*group) for group in groups]))
    assert logged["missing"] == 0.0
    assert logged["length"] == pytest.approx(rows["n_tokens"].mean())
    assert logged["finished"] == pytest.approx(rows["finished"].mean())
    assert logged["valid_trace"] == pytest.approx(rows["valid_trace"].mean())
    assert rows["score"].to_list() == [float(r) for p in rows["problem_id"].unique(maintain_order=True).to_list()
                                       for _, right in [groups[list(problems).index(p)]] for r in right]  # fmt: skip


class Script:
    """An engine that answers as it is told."""

    def __init__(self, *answers_PG: list[str]) -> None:
        self.answers_PG = answers_PG

    def generate(self, problems, n, sampling, seeds):
        return [
            RolloutGroup(problem, (1,), tuple(Completion(rf"\boxed{{{a}}}", (1,), None, True) for a in answers))
            for problem, answers in zip(problems, self.answers_PG, strict=True)
        ]


def test_maj_at_k_counts_equivalent_answers_as_one():
    rows = [
        ["1/3", "1/3", "1/2", "0.5", r"\frac{1}{2}"],  # right, though its commonest text is wrong
        ["x", "0.5", "x", "0.50", "1/2"],  # likewise
        ["0.5", "1/2", "2", "2.0", r"\frac{4}{2}"],  # wrong, though each wrong text is rarer than the right answer
        ["3", "1/2", "0.5", "3.0", "x"],  # a tie: the answer that appeared first
        ["1/2", "3", "0.5", "3.0", "x"],
    ]
    vote = MajorityVote(votes=5)
    for verifier_name, expected in (("math", 3 / 5), ("lab", 1 / 5)):  # lab answers go by their text, as in a vote
        problems = [Problem(str(p), (), "1/2", "math", verifier_name) for p in range(len(rows))]
        with Verifier() as verifier:
            found = evaluate_problems(Script(*rows), verifier, problems, 5, Sampling(1.0, 8, 8), 0, greedy=False)
        assert [vote.vote(group).label for group in found.groups] == (
            ["1/2", "0.5", "2", "3", "1/2"] if verifier_name == "math" else ["1/3", "x", "0.5", "3", "1/2"]
        )
        assert found.metrics["maj@5"] == expected
        assert intervals(found)["maj@5"].estimate == expected


def test_each_set_and_the_model_are_noted(evaluated):
    assert status(evaluated.run)["status"] == "finished"
    assert {name.split("/")[1] for row in lines(evaluated.run) for name in row if name.startswith("eval/")} == {
        "held out", "mostly_minus",
    }  # fmt: skip
    noted = json.loads((evaluated.run / "provenance.json").read_text())
    assert noted["problems"]["eval"]["held out"]["count"] == 6
    assert len(noted["model"]["sha256"]) == 64


def test_greedy_decodes_the_most_likely_response_once(evaluated, toy_model):
    model, tokenizer = load_model_and_tokenizer(str(toy_model))
    right = []
    for problem in load_task(SET):
        words = problem.messages[0]["content"]
        prompt = tokenizer(f"<bos> <user> {words} <assistant>", return_tensors="pt", add_special_tokens=False)
        out = model.generate(**prompt, do_sample=False, max_new_tokens=20)
        right.append(boxed(tokenizer.decode(out[0, prompt["input_ids"].shape[1] :])) == problem.gold)
    (logged,) = (row["eval/held out/greedy"] for row in lines(evaluated.run) if "eval/held out/greedy" in row)
    assert logged == pytest.approx(sum(right) / 6)


def test_evaluating_again_repeats_every_number_and_another_seed_does_not(evaluated, tmp_path):
    again = evaluated.model_copy(update={"run": tmp_path / "again"})
    other = evaluated.model_copy(update={"run": tmp_path / "other", "seed": 1})
    for config in (again, other):
        run_eval(config, quiet=True)
    file = "rollouts/eval/held%20out-step_000000.parquet"
    texts = [pl.read_parquet(run / file)["text"].to_list() for run in (evaluated.run, again.run, other.run)]
    assert texts[0] == texts[1] != texts[2]


def test_results_are_appended_and_another_verbs_run_is_refused(evaluated, toy_model, tmp_path):
    config = EvalConfig(run=tmp_path / "run", model=ModelConfig(name=str(toy_model)), sets=[SET], samples=2,
                        max_new_tokens=8, greedy=False)  # fmt: skip
    run_eval(config, quiet=True)
    config.sets = [TaskConfig(source="lab/mostly_minus", count=2)]
    run_eval(config, quiet=True)
    assert [sorted({n.split("/")[1] for n in row if "/" in n}) for row in lines(config.run)] == [
        ["held out"], ["mostly_minus"],
    ]  # fmt: skip
    assert "eval/held out/greedy" not in lines(config.run)[0]
    (config.run / "provenance.json").write_text('{"command": "train"}')
    with pytest.raises(RunError, match="holds a run of `train`, which `eval` cannot go on with"):
        run_eval(config, quiet=True)
    with pytest.raises(ConfigError, match="nothing to evaluate on"):
        run_eval(EvalConfig(run=tmp_path / "none"), quiet=True)


def test_a_share_of_the_problems_draws_what_the_whole_does(toy_model):
    engine = make_engine(*load_model_and_tokenizer(str(toy_model)))
    problems, sampling = load_task(SET), Sampling(1.0, 16, 64)
    with Verifier("boxed") as verifier:
        whole = evaluate_problems(engine, verifier, problems, 4, sampling, seed=3)
        parts: list = []
        for share in ((0, 2), (1, 2)):
            evaluate_problems(engine, verifier, problems, 4, sampling, 3, share=share,
                              gather=lambda mine: parts.extend(mine) or mine)  # fmt: skip
        joined = evaluate_problems(engine, verifier, problems, 4, sampling, 3, share=(0, 2), gather=lambda _: parts)
    assert (joined.metrics, joined.scores_PG, joined.extra_PG) == (whole.metrics, whole.scores_PG, whole.extra_PG)
    assert [[c.token_ids for c in group.completions] for group in joined.groups] == [
        [c.token_ids for c in group.completions] for group in whole.groups
    ]
    assert len(parts) == 6


def test_solve_counts_are_right_responses(toy_model):
    problems = load_task(SET.model_copy(update={"count": 40}))

    def count(samples: int) -> list[int]:
        sampling = Sampling(1.0, 20, 64)
        return solve_counts(ModelConfig(name=str(toy_model)), problems, samples, sampling, 7, VerifyConfig())

    counts = count(16)
    assert len(counts) == 40
    assert 0 < sum(counts) < 40 * 16
    assert count(16) == counts
    fewer = count(4)  # the first draws are the same ones
    assert all(few <= many for few, many in zip(fewer, counts, strict=True))
    assert sum(fewer) < sum(counts)
