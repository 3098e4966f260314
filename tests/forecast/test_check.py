"""`presat check` on a lab model: what it draws, what it says, and that a killed one goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

import presat
from presat.cli import run
from presat.config.load import build
from presat.config.schema import CheckConfig, FilterConfig, ModelConfig, TaskConfig, TrainConfig
from presat.errors import ConfigError, DataError, RunError
from presat.forecast import run_check, verdict
from presat.forecast.evidence import MEANINGS, Evidence, Measure
from presat.forecast.plan import Checked, _group_size, live_share, make_plan
from presat.forecast.probe import choose_prompts
from presat.forecast.verdict import KINDS, judge_kinds, label_of, probability, weights, why_not
from presat.report.check import FAR, skill_sentence
from presat.rollouts.batching import BatchEngine
from presat.tasks import load_problems

PROBLEMS = TaskConfig(source="lab/chains", count=24, options={"operands": [3, 5]})


def settings(model: Path, folder: Path, **changes) -> CheckConfig:
    values = {"run": folder, "model": ModelConfig(name=str(model)), "data": PROBLEMS, "prompts": 20, "samples": 8,
              "max_new_tokens": 16, "threads": 1}  # fmt: skip
    return CheckConfig(**(values | changes))


@pytest.fixture(scope="module")
def forecast(toy_model, tmp_path_factory):
    return run_check(settings(toy_model, tmp_path_factory.mktemp("check") / "run", until_clear=False), quiet=True)


def evidence(**values: float | None) -> Evidence:
    measures = {name: Measure(None) for name in MEANINGS}
    measures |= {"read": Measure(1.0)} | {name: Measure(value) for name, value in values.items()}
    return Evidence(64, 16, 8, [0] * 17, measures, exact=True)


def test_everything_is_measured_and_kept(forecast) -> None:
    found = forecast.evidence
    assert (found.prompts, found.samples, sum(found.histogram)) == (20, 8, 20)
    assert found.exact
    right = sum(count * solved for solved, count in enumerate(found.histogram))
    assert found["avg"] == pytest.approx(right / 160)
    assert found["usable"] == pytest.approx(sum(found.histogram[1:-1]) / 20)
    assert found["judged"] == 1.0  # the symbolic judge knows the lab
    assert 0.0 < (found["entropy"] or 0.0) < 5.0
    assert found.measures["certainty_auroc"].prompts == sum(found.histogram[1:-1])
    assert [verdict.kind for verdict in forecast.verdicts] == list(KINDS)
    assert [found.skill for found in forecast.verdicts] == [weights()[kind]["skill"] for kind in KINDS]
    kept = json.loads((forecast.run / "forecast.json").read_text())
    assert kept["evidence"]["measures"]["usable"]["value"] == found["usable"]
    assert presat.open_run(forecast.run).status == "finished"


def test_the_configuration_it_writes_is_one(forecast) -> None:
    given = yaml.safe_load((forecast.run / "train.yaml").read_text())
    config = build(TrainConfig, given)
    assert (config.group_size, config.verify.extraction) == (8, "auto")
    assert forecast.plan.commands[-1].startswith("presat train --config ")


def test_a_configuration_that_was_changed_stays(toy_model, tmp_path) -> None:
    config = settings(toy_model, tmp_path / "run", prompts=4)
    first = run_check(config, quiet=True)
    file = tmp_path / "run" / "train.yaml"
    again = run_check(settings(toy_model, tmp_path / "run", prompts=4, prompts_per_step=5), quiet=True)
    assert "prompts_per_step: 5" in file.read_text()  # nobody had changed it
    assert not [note for note in first.notes + again.notes if "train.yaml" in note]
    file.write_text(file.read_text() + "# mine\n")
    last = run_check(config, quiet=True)
    assert file.read_text().endswith("# mine\n")
    assert any("was changed since" in note for note in last.notes)


def test_a_killed_check_goes_on_and_comes_to_the_same(toy_model, forecast, tmp_path, monkeypatch) -> None:
    config, asked = settings(toy_model, tmp_path / "run", until_clear=False), []
    plain = BatchEngine.generate

    def killed(self, problems, *rest):
        if asked:
            raise KeyboardInterrupt
        asked.append(len(problems))
        return plain(self, problems, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(BatchEngine, "generate", killed)
        with pytest.raises(KeyboardInterrupt):
            run_check(config, quiet=True)

    def counted(self, problems, *rest):
        asked.append(len(problems))
        return plain(self, problems, *rest)

    monkeypatch.setattr(BatchEngine, "generate", counted)
    again = run_check(config, quiet=True)
    assert asked == [8, 8, 4]
    assert again.evidence == forecast.evidence
    assert again.verdicts == forecast.verdicts
    with pytest.raises(RunError, match="drawn otherwise"):
        run_check(settings(toy_model, tmp_path / "run", seed=1), quiet=True)


def test_fewer_prompts_are_the_first_of_more(tmp_path) -> None:
    problems = load_problems("lab/chains", count=30)
    few, many = choose_prompts(problems * 2, 5, 0), choose_prompts(problems, 20, 0)
    assert few == many[:5]
    assert len(choose_prompts(problems * 3, 1000, 0)) == 30
    assert choose_prompts(problems, 5, 1) != few


def test_the_clock_ends_a_pass_between_chunks(toy_model, tmp_path) -> None:
    found = run_check(settings(toy_model, tmp_path / "run", minutes=1e-6), quiet=True)
    assert found.evidence.prompts == 8
    assert "minutes" in " ".join(found.notes)


def test_what_all_would_take_at_most_is_said_before_anything_is_drawn(toy_model, tmp_path, monkeypatch, caplog) -> None:
    monkeypatch.setattr("presat.forecast.probe.TRIED", 2)
    monkeypatch.setattr("presat.forecast.probe.LONG_S", 0.0)
    asked, plain = [], BatchEngine.generate

    def noted(self, problems, samples, sampling, seeds):
        asked.append((len(problems), sampling.max_new_tokens, len(caplog.records)))
        assert sampling.max_new_tokens + sampling.max_prompt_tokens == 2048 + 16  # what vLLM is started for
        return plain(self, problems, samples, sampling, seeds)

    monkeypatch.setattr(BatchEngine, "generate", noted)
    run_check(settings(toy_model, tmp_path / "all", until_clear=False), quiet=True)
    assert [item[:2] for item in asked] == [(8, 1), (8, 1), (8, 3), (8, 16), (8, 16), (4, 16)]
    assert asked[3][2] > asked[2][2]  # it was said in between
    assert "if every response runs to 16 tokens" in caplog.text


def test_where_one_prompt_takes_longer_than_there_is_time_one_is_drawn(
    toy_model, tmp_path, monkeypatch, caplog
) -> None:
    monkeypatch.setattr("presat.forecast.probe.TRIED", 2)
    found = run_check(settings(toy_model, tmp_path / "run", minutes=1e-9), quiet=True)
    assert found.evidence.prompts == 1
    assert "One is drawn all the same" in caplog.text
    assert "would have gone over" in " ".join(found.notes)


def test_what_the_check_was_told_is_told_to_training(toy_model, tmp_path) -> None:
    rows = [{"q": f"What is {a} plus 1?", "a": str(a + 1), "nr": f"n{a}"} for a in range(12)]
    (tmp_path / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = TaskConfig(source=str(tmp_path / "d.jsonl"), columns={"question": "q", "answer": "a", "id": "nr"})
    found = run_check(
        settings(toy_model, tmp_path / "r", data=data, temperature=0.9, samples=4, group_size=2), quiet=True
    )
    given = yaml.safe_load((tmp_path / "r" / "train.yaml").read_text())
    config = build(TrainConfig, given)
    if found.plan.filter_yaml:  # hardly any problem is usable, if one is
        sieve = build(FilterConfig, yaml.safe_load((tmp_path / "r" / "filter.yaml").read_text()))
        assert (sieve.data, sieve.temperature) == (data, 0.9)
        assert config.data == TaskConfig(source=str(sieve.out))
    else:
        assert config.data == data
    assert config.temperature == 0.9
    assert config.optim.lr == 2e-4  # a model of few parameters, whatever its name
    assert not found.lab
    assert FAR in skill_sentence(found)


def plan_of(**values: Any):
    """A plan for what a check found."""
    values = {"usable": 0.8, "dead_right": 0.1, "dead_wrong": 0.1, "avg": 0.5, "cut_off": 0.0, "length": 9.0} | values
    checked = Checked(values.pop("problems", 40), values.pop("labelled", 40), False, None)
    data = TaskConfig(source="d.jsonl", columns=values.pop("columns", {}))
    config = CheckConfig(model=ModelConfig(name="m"), data=data)
    found = evidence(**values)
    return make_plan(config, found, judge_kinds(found, [], [], 0.7), checked)


def test_what_cannot_learn_is_not_trained(monkeypatch) -> None:
    monkeypatch.setattr("presat.forecast.verdict.resampled", lambda *_: [evidence(avg=0.5)])
    assert plan_of().trains
    assert plan_of().usable == 32
    assert "source: d.jsonl\n  columns" in plan_of(columns={"answer": "a"}).yaml
    solved = plan_of(usable=0.0, dead_right=1.0, dead_wrong=0.0, avg=1.0, dead_vote=1.0)
    assert not solved.trains
    assert not any("presat train" in command for command in solved.commands)
    assert "harder problems" in " ".join(solved.first)
    assert "larger groups" not in " ".join(solved.first)
    never = plan_of(usable=0.0, dead_right=0.0, dead_wrong=1.0, avg=0.0)
    assert "SFT can" in " ".join(never.first)


def test_a_few_problems_without_gold_are_left_out_and_many_ask_for_gold(monkeypatch) -> None:
    monkeypatch.setattr("presat.forecast.verdict.resampled", lambda *_: [evidence(avg=0.5)])
    few = plan_of(labelled=39)
    assert few.reward == "verifiable"
    assert "1 of 40 problems have no gold answer" in few.first[0]
    assert any("data filter" in command for command in few.commands)
    nothing = dict.fromkeys(("usable", "dead_right", "dead_wrong", "avg"))
    none = plan_of(labelled=0, **nothing)
    assert none.reward == "majority_vote"
    assert "Write gold answers" in none.first[0]


def test_one_prompt_says_nothing() -> None:
    found = evidence(avg=0.0, dead_right=0.0, dead_wrong=1.0, usable=0.0, cut_off=0.9)
    one = Evidence(1, 16, 8, [1, *[0] * 16], found.measures, exact=True)
    for kind in KINDS:
        assert label_of(kind, one, 0.7) == "not known"
        assert label_of("clean", found, 0.7) == "cannot learn"
    config = CheckConfig(model=ModelConfig(name="m"), data=TaskConfig(source="d.jsonl"))
    plan = make_plan(config, one, judge_kinds(one, [], [], 0.7), Checked(40, 40, False, None))
    assert plan.first == ["Draw for more prompts (`minutes`, `prompts`): what 1 came to says nothing of the others."]
    assert plan.usable is None


def test_without_anything_known_there_is_no_verdict() -> None:
    for kind in KINDS:
        assert label_of(kind, evidence(), 0.7) == "not known"


def test_the_base_rate_speaks_against_where_such_runs_hardly_ever_generalise(monkeypatch) -> None:
    monkeypatch.setattr("presat.forecast.verdict.resampled", lambda *_: [evidence(avg=0.5)])
    verdicts = judge_kinds(evidence(avg=0.5, certainty_auroc=0.8), [], [], 0.7)
    certainty = {item.kind: item for item in verdicts}["self_certainty"]
    assert certainty.label == "memorise"
    assert certainty.reasons_against[0].name == "base_rate"


def test_larger_groups_are_planned_where_they_help() -> None:
    config = CheckConfig(model=ModelConfig(name="m"), samples=16, group_size=4)
    rare = Evidence(10, 16, 4, [0, 10, *[0] * 15], evidence(avg=1 / 16).measures, exact=True)
    assert live_share(rare, 4) == pytest.approx(0.25)
    assert _group_size(rare, config) == 8
    never = Evidence(10, 16, 4, [10, *[0] * 16], evidence(avg=0.0).measures, exact=True)
    assert _group_size(never, config) == 4


def test_other_problems_in_the_same_folder_are_refused(toy_model, tmp_path) -> None:
    run_check(settings(toy_model, tmp_path / "r", prompts=4), quiet=True)
    others = TaskConfig(source="lab/chains", count=8, seed=5, options={"operands": [3, 5]})
    with pytest.raises(RunError, match="holds a check of other problems"):
        run_check(settings(toy_model, tmp_path / "r", prompts=4, data=others), quiet=True)


def test_held_out_problems_are_looked_at(toy_model, tmp_path) -> None:
    file = tmp_path / "d.jsonl"
    file.write_text("".join(json.dumps({"question": f"{a} + 1?", "answer": str(a + 1)}) + "\n" for a in range(8)))
    data = TaskConfig(source=str(file))
    found = run_check(settings(toy_model, tmp_path / "r", data=data, held_out=str(file), prompts=2), quiet=True)
    assert any("8 of 8 questions" in note for note in found.notes)
    with pytest.raises(DataError, match="nosuch"):
        run_check(settings(toy_model, tmp_path / "q", held_out=str(tmp_path / "nosuch.jsonl")), quiet=True)


def test_a_long_pass_is_said_beforehand(toy_model, tmp_path, monkeypatch, caplog) -> None:
    monkeypatch.setattr("presat.forecast.probe.LONG_S", 0.0)
    run_check(settings(toy_model, tmp_path / "run"), quiet=True)
    assert [record.message for record in caplog.records if "At the pace of the first 8" in record.message]


def test_problems_may_be_given_as_they_are(toy_model, tmp_path) -> None:
    problems = load_problems("lab/chains", count=4)
    found = presat.check(str(toy_model), problems, run=str(tmp_path / "r"), samples=8, max_new_tokens=8, threads=1)
    assert found.evidence.prompts == 4
    assert found.to_json()["plan"]["reward"] == "verifiable"


def test_what_is_missing_is_said(tmp_path) -> None:
    with pytest.raises(ConfigError, match="Which model, and which data"):
        run_check(CheckConfig(run=tmp_path / "r"))
    with pytest.raises(ValueError, match="group_size should be 2 to 4"):
        CheckConfig(samples=4, group_size=8)


@pytest.fixture
def by_hand(monkeypatch) -> None:
    """Models whose weights are known, in the place of the fitted ones."""

    def model(**weights: float) -> dict[str, Any]:
        middles = {"noise_room": 0.0}
        quantities = {n: {"weight": w, "middle": middles.get(n, 0.5), "scale": 0.5} for n, w in weights.items()}
        return {"bias": 0.0, "skill": f"of {len(weights)}", "quantities": quantities}

    def both(**weights: float) -> dict[str, Any]:
        return {**model(aligned_right=2.0, **weights), "without_judge": model(**weights)}

    models = {
        "clean": both(usable=1.0),
        "noisy": both(noise_room=2.0, usable=0.5),
        "majority_vote": both(live_vote=2.0),
    }
    monkeypatch.setattr(verdict, "weights", lambda: models | {"self_certainty": both(certainty_auroc=2.0)})


def test_more_faithful_reasoning_is_never_worse(by_hand) -> None:
    for kind in KINDS:
        chances = [probability(kind, evidence(aligned_right=share), 0.5) for share in (0.0, 0.3, 0.7, 1.0)]
        assert chances == sorted(chances)
        assert chances[0] < chances[-1]


def test_a_judge_that_misses_most_faults_is_not_weighed(by_hand) -> None:
    known = evidence(aligned_right=1.0, usable=0.5)
    blind = Evidence(known.prompts, known.samples, known.group_size, known.histogram, known.measures, exact=False)
    assert probability("clean", known, 0.7) > probability("clean", blind, 0.7) == 0.5
    assert [verdict.model_of("clean", found.exact)["skill"] for found in (known, blind)] == ["of 2", "of 1"]


def test_the_weights_that_come_with_presat_are_models_of_every_kind() -> None:
    for kind in KINDS:
        for model in (verdict.weights()[kind], verdict.weights()[kind]["without_judge"]):
            assert {*model} >= {"bias", "skill", "quantities"}
            assert {*model["quantities"]} <= {*MEANINGS, "noise_room"}
            assert all(each["scale"] > 0 for each in model["quantities"].values())
        assert not {*verdict.weights()[kind]["without_judge"]["quantities"]} & verdict.OF_THE_JUDGE


def test_other_judges_may_be_asked(toy_model, tmp_path) -> None:
    few = {"prompts": 2, "samples": 4, "group_size": 2, "until_clear": False}
    found = run_check(settings(toy_model, tmp_path / "a", judge="self_support", **few), quiet=True)
    assert found.evidence.measures["judged"].prompts == 2
    assert not found.evidence.exact  # the symbolic judge alone is, on the lab
    bare = run_check(settings(toy_model, tmp_path / "b", judge="none", **few), quiet=True)
    assert bare.evidence["judged"] is None
    with pytest.raises(ConfigError, match="The judge 'ensemble' needs the setting `fit`"):
        run_check(settings(toy_model, tmp_path / "d", judge="ensemble", **few), quiet=True)
    with pytest.raises(ConfigError, match="judge_options"):
        run_check(settings(toy_model, tmp_path / "c", judge="none", judge_options={"a": 1}), quiet=True)


def test_without_a_gradient_nothing_is_learnt() -> None:
    for dead in ({"dead_right": 1.0, "dead_wrong": 0.0}, {"dead_right": 0.3, "dead_wrong": 0.69}):
        found = evidence(aligned_right=1.0, **dead)
        assert label_of("clean", found, 0.7) == label_of("noisy", found, 0.7) == "cannot learn"
        assert label_of("majority_vote", found, 0.7) != "cannot learn"  # the vote may still divide
    assert label_of("majority_vote", evidence(avg=1.0, dead_vote=0.99), 0.7) == "cannot learn"
    assert "next to no response" in why_not("majority_vote", evidence(read=0.0))


def test_more_noise_is_never_better(by_hand) -> None:
    found = evidence(aligned_right=0.8, usable=0.6, noise_limit=0.6)
    chances = [probability("noisy", found, gamma) for gamma in (0.1, 0.5, 0.9)]
    assert chances == sorted(chances, reverse=True)
    assert chances[0] > chances[-1]


def test_the_verb(toy_model, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    words = [
        "--prompts",
        "4",
        "--samples",
        "8",
        "--max-new-tokens",
        "8",
        "--threads",
        "1",
        "--run",
        str(tmp_path / "r"),
    ]
    assert run(["check", str(toy_model), "lab/chains", *words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["evidence"]["prompts"] == 4
    page = (tmp_path / "r" / "report.html").read_text()
    assert "Will reinforcement learning work" in page
    assert "<script" not in page
    assert run(["check", str(toy_model), "lab/chains", *words]) == 0  # nothing is drawn again
    shown = capsys.readouterr().out
    assert "To do first:" in shown
    assert found["plan"]["first"]
    assert all(sentence in " ".join(shown.split()) for sentence in found["plan"]["first"])  # wrapped, and not cut
    assert all(command in shown.splitlines() for command in (f"  {line}" for line in found["plan"]["commands"]))
    assert "held-out lab runs" in " ".join(shown.split())  # how good such verdicts were
    assert run(["check", "m", "d", "third"]) == 2
    assert "third" in capsys.readouterr().err
