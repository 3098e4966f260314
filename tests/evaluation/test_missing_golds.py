"""Problems without a gold answer: beside every score stands of how many problems it is, and no score is made up."""

from __future__ import annotations

import json
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console, RenderableType

from presat.analysis import summarise
from presat.config.schema import TrainConfig
from presat.diagnosis import alarms
from presat.errors import DataError
from presat.evaluation import prepare, solve
from presat.evaluation.evaluate import Evaluation, _Record
from presat.evaluation.evaluate import summarise as evaluated
from presat.evaluation.inspect import inspect_problems
from presat.evaluation.inspect import render as render_inspection
from presat.evaluation.run import EvalReport, SetResult, render
from presat.evaluation.sets import warn_of_unlabelled
from presat.evaluation.solve import Samples
from presat.metrics import Coverage, coverage_of, headline_metric, maj_at_k
from presat.report import build_report, summary_table
from presat.report.live import live_view
from presat.report.tables import rows, to_csv, to_latex
from presat.rewards import Outcome
from presat.rewards.labels import count_labels, label_metrics
from presat.tracking import RunWriter, open_run
from presat.training.grpo.callbacks import main_metric
from presat.types import Completion, Problem, RolloutGroup, Score
from presat.verify import Verifier

SAID = "its scores are over 3 of 6 problems (3 without a gold answer)"
NONE_SAID = "no score over any of its 6 problems (6 without a gold answer)"


def problem(number: int, gold: str | None = "1") -> Problem:
    return Problem(f"p{number}", ({"role": "user", "content": f"{number}?"},), gold, "math", "choice")


def evaluation(golds: Sequence[str | None], right: int = 5) -> Evaluation:
    """Of the responses to six problems, two each and a greedy one, the first `right` labelled ones are right."""
    response = Completion("1", (1,), None, True)
    records, left = [], right
    for p, gold in enumerate(golds):
        values = [None, None] if gold is None else [float(left > 0), float(left > 1)]
        left -= 0 if gold is None else 2
        scores = [Score(value, None if gold is None else "1") for value in values]
        group = RolloutGroup(problem(p, gold), (1,), (response, response))
        classes: list[int | None] = [None, None] if gold is None else [0, 0]
        records.append(_Record(p, group, scores, classes, scores[0]))
    return evaluated(records)


HALF = evaluation(["1", None] * 3)
BARE = evaluation([None] * 6)


def text(*shown: RenderableType, width: int = 80) -> str:
    console = Console(width=width, file=StringIO(), record=True)
    for item in shown:
        console.print(item)
    return " ".join(console.export_text().split())


def test_scores_are_means_over_the_labelled_problems_and_say_of_how_many() -> None:
    assert HALF.metrics["avg@2"] == pytest.approx(5 / 6)
    assert coverage_of(HALF.metrics) == (half := Coverage(6, 3, 3))
    assert half.sentence == SAID
    scores = {name: value for name, value in BARE.metrics.items() if name in ("avg@2", "maj@2", "greedy")}
    assert scores == {"avg@2": None, "maj@2": None, "greedy": None}
    assert coverage_of(BARE.metrics) == (bare := Coverage(6, 0, 6))
    assert bare.sentence == NONE_SAID
    assert coverage_of({"avg@2": 1.0}) is None
    assert headline_metric(["judged_problems", "problems", "unlabelled_problems"]) is None


def test_a_vote_nobody_voted_in_is_wrong_only_where_it_was_judged() -> None:
    assert maj_at_k([[None, None]], [[0.0, None]]) == 0.0
    assert maj_at_k([[None, None], [1, 1]], [[None, None], [1.0, 1.0]]) == 1.0


def test_the_table_of_eval_says_it() -> None:
    results = [SetResult("half", 0, 6, HALF.metrics, {}), SetResult("bare", 0, 6, BARE.metrics, {})]
    shown = text(render(EvalReport(Path("run"), results)))
    assert "half 0 3 of 6 0.833" in shown
    assert f"half, step 0: {SAID}." in shown
    assert "bare 0 0 of 6 - - -" in shown
    assert f"bare, step 0: {NONE_SAID}." in shown
    assert "0.000" not in shown
    numbers = EvalReport(Path("run"), results).to_json()["results"]
    assert [row["metrics"]["unlabelled_problems"] for row in numbers] == [3.0, 6.0]
    assert numbers[1]["metrics"]["maj@2"] is None


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose first set has no golds and whose second has half of them; the reward saturates."""
    folder = tmp_path_factory.mktemp("runs") / "a"
    config = {"steps": 30, "eval": {"sets": [{"name": "bare"}, {"name": "half"}]}}
    with RunWriter(folder, config, "train") as writer:
        for step in range(31):
            found = {"bare": BARE, "half": HALF} if step in (0, 30) else {}
            metrics = {f"eval/{name}/{key}": value for name, f in found.items() for key, value in f.metrics.items()}
            writer.append(step, {**({"reward": min(1.0, 0.1 * step)} if step else {}), **metrics})
    return folder


def test_a_set_without_golds_is_not_the_held_out_score_and_is_named(run_folder: Path) -> None:
    run = open_run(run_folder)
    held_out = run.held_out()
    assert held_out is not None
    assert held_out[0] == "half"
    summary = summarise(run)
    assert summary.main_set is not None
    assert summary.main_set.name == "half"
    assert summary.notes == [f"half: {SAID}.", f"bare: {NONE_SAID}."]
    assert [alarm.sentence.count("bare") for alarm in alarms(run)] == [0] * len(alarms(run))
    assert summary.to_json()["unscored"] == {"bare": [6, 0, 6]}


def test_every_table_says_of_how_many_problems_a_score_is(run_folder: Path, tmp_path: Path) -> None:
    run = open_run(run_folder)
    summary = summarise(run)
    shown = text(summary_table([summary]))
    assert "of 3/6" in shown
    assert "of 3/6: the score is over 3 of 6 problems." in shown
    assert f"bare: {NONE_SAID}." in shown
    watched = text(live_view(run), width=120)
    assert SAID in watched
    assert NONE_SAID in watched
    table = rows([summary])
    assert [(row["set"], row["score_last"]) for row in table] == [("half", pytest.approx(5 / 6)), ("bare", None)]
    assert [row["unlabelled_problems"] for row in table] == [3, 6]
    assert to_csv(table).splitlines()[2].count(",6,0,6") == 1
    latex = to_latex(table)
    assert "problems scored" in latex
    assert "3 of 6" in latex
    assert "0 of 6" in latex
    page = build_report([run], tmp_path / "report.html").read_text()
    assert f"half: {SAID}." in page
    assert f"bare: {NONE_SAID}." in page
    assert ">3 of 6<" in page
    assert ">0 of 6<" in page


def test_early_stop_looks_at_a_set_that_can_have_a_score(caplog: pytest.LogCaptureFixture) -> None:
    sets = {"bare": [problem(0, None)], "half": [problem(0, None), problem(1)]}
    assert main_metric(sets, TrainConfig()) == f"eval/half/avg@{TrainConfig().eval.samples}"
    assert main_metric({"bare": sets["bare"]}, TrainConfig()) is None
    warn_of_unlabelled(sets)
    assert [line.partition(" have ")[0] for line in caplog.messages] == [
        "1 of 1 problems of the evaluation set bare",
        "1 of 2 problems of the evaluation set half",
    ]


def test_kinds_of_groups_are_missing_where_no_response_can_be_judged() -> None:
    groups = [RolloutGroup(problem(0, None), (), ())]
    found = label_metrics(count_labels(groups, [[Score(None, "1"), Score(None, "1")]], [Outcome([0.0, 0.0])], 2))
    missing = [f"labels/{name}" for name in ("gold_accuracy", "all_right", "all_wrong", "mixed")]
    assert all(found[name] != found[name] for name in missing)
    assert (found["labels/missing"], found["labels/majority_share"]) == (1.0, 1.0)


def test_what_nobody_could_judge_is_not_called_never_solved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    drawn = {"p0": [0.0, 0.0], "p1": [1.0, 0.0], "p2": [None, None], "p3": [1.0, None]}
    logged: dict[str, float | None] = {}
    sampler = SimpleNamespace(
        problems=[problem(number) for number in range(4)],
        too_long=0,
        writer=SimpleNamespace(append=lambda _, metrics: logged.update(metrics)),
        draw=lambda problems: [Samples(["1", "2"], drawn[item.id]) for item in problems],
    )

    class Opened:
        def __init__(self, *_: object) -> None: ...
        def __enter__(self) -> SimpleNamespace:
            return sampler

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(prepare, "open_sampler", Opened)
    config = prepare.FilterConfig(samples=2, lowest=0, out=tmp_path / "out.parquet")
    found = prepare.run_filter(config, quiet=True)
    assert (found.problems, found.kept, found.never, found.always, found.unjudged) == (4, 3, 1, 0, 1)
    assert found.histogram == [1, 2, 0]
    assert found.missing == 3 / 8
    assert next(value for name, value in logged.items() if name.endswith("avg@2")) == pytest.approx((0 + 1 / 2 + 1) / 3)


def test_solve_counts_of_problems_without_golds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"1 of 2 problems have no gold answer \(the first: p1\)"):
        solve.solve_counts(None, [problem(0), problem(1, None)], 2, None, 0, None)  # pyright: ignore[reportArgumentType]


def test_an_inspection_counts_them() -> None:
    with Verifier() as verifier:
        problems = [Problem(f"p{n}", problem(n).messages, gold, "lab", "lab") for n, gold in enumerate(["1", None])]
        found = inspect_problems(problems, verifier, "rows.jsonl")
    assert (found.with_gold, found.unlabelled, json.loads(json.dumps(found.to_json()))["unlabelled"]) == (1, 1, 1)
    assert "gold answers 1 of 2 (1 without one: no response to these is judged)" in text(render_inspection(found))
