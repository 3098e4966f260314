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
from presat.config.schema import CheckConfig, ModelConfig, TaskConfig, TrainConfig
from presat.errors import ConfigError, RunError
from presat.forecast import run_check, verdict
from presat.forecast.evidence import MEANINGS, Evidence, Measure
from presat.forecast.probe import choose_prompts
from presat.forecast.verdict import KINDS, label_of, probability, weights, why_not
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
    again = run_check(settings(toy_model, tmp_path / "run", prompts=4, group_size=4), quiet=True)
    assert "group_size: 4" in file.read_text()  # nobody had changed it
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
    bare = run_check(settings(toy_model, tmp_path / "b", judge="none", **few), quiet=True)
    assert bare.evidence["judged"] is None
    with pytest.raises(ConfigError, match="judge_options"):
        run_check(settings(toy_model, tmp_path / "c", judge="none", judge_options={"a": 1}), quiet=True)


def test_without_a_gradient_nothing_is_learnt() -> None:
    for dead in ({"dead_right": 1.0, "dead_wrong": 0.0}, {"dead_right": 0.3, "dead_wrong": 0.69}):
        found = evidence(aligned_right=1.0, **dead)
        assert label_of("clean", found, 0.7) == label_of("noisy", found, 0.7) == "cannot learn"
        assert label_of("majority_vote", found, 0.7) != "cannot learn"  # the vote may still divide
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
