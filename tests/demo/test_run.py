"""The demo, whole, with the RL cut short: one screen and one page, goes on where it was, repeats itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from safetensors import SafetensorError

from presat.cli import run
from presat.config.load import load_config
from presat.config.schema import DemoConfig
from presat.demo.run import BRANCHES, graph, slug
from presat.errors import RunError, UnfinishedError
from presat.study.graph import _run_stage
from presat.tracking import open_run

RL_STEPS = 4


def demo(out: Path, capsys: pytest.CaptureFixture[str]) -> dict:
    steps = str(RL_STEPS)
    words = ["demo", "--out", str(out), "--seed", "0", "--rl.steps", steps, "--rl.eval.every", steps, "--json"]
    code = run(words)
    printed = capsys.readouterr()
    assert code == 0, printed.err
    return json.loads(printed.out)


@pytest.mark.timeout(900)
def test_the_demo_ends_in_a_report_goes_on_and_repeats_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "demo"
    found = demo(out, capsys)
    assert [r["name"] for r in found["runs"]] == list(BRANCHES)
    assert found["stages"]["base"]["recall"] >= 0.95
    assert found["stages"]["cpt_thinking-sft"]["valid_short"] >= 0.75
    for branch in BRANCHES:
        logged = open_run(out / slug(branch) / "rl")
        assert len(logged.train_rewards()) == RL_STEPS
        for name in ("held_out", "mostly_minus"):
            steps, _ = logged.eval_series(name, "valid_trace")
            assert steps.tolist() == [0, RL_STEPS]
            assert {"avg@16", "pass@16", "greedy"} <= set(logged.eval_metrics()[name])
        made = found["stages"][f"{slug(branch)}-rl"]["solve_counts"]
        assert len(made) == 8
        assert all(1 <= count <= 15 for count in made)
    thinking, plain = (open_run(out / slug(b) / "rl").config for b in ("CPT + Thinking", "CPT + Non-Thinking"))
    assert (thinking["reward"]["gate"], plain["reward"]["gate"]) == ("think", "none")
    page = (out / "report.html").read_text(encoding="utf-8")
    assert all(branch in page for branch in BRANCHES)
    # self-contained: the one address in it is a setting of the configuration it shows
    assert "http://" not in page.replace("http://www.w3.org", "").replace("url: http://localhost:8000/v1", "")

    rewards = open_run(out / "cpt_thinking" / "rl").train_rewards().tolist()
    (out / "stages" / "cpt_thinking-rl.json").unlink()
    shutil.rmtree(out / "cpt_thinking" / "rl")
    kept = (out / "base_thinking" / "rl" / "metrics.jsonl").stat().st_mtime_ns
    again = demo(out, capsys)
    assert open_run(out / "cpt_thinking" / "rl").train_rewards().tolist() == rewards
    assert (out / "base_thinking" / "rl" / "metrics.jsonl").stat().st_mtime_ns == kept
    assert again["stages"] == found["stages"]


def test_both_sft_styles_see_the_same_prompts_and_every_branch_the_same_rl() -> None:
    config = load_config(DemoConfig, "demo")
    stages = {stage.name: stage for stage in graph(config)}
    sft = [stages[f"{slug(branch)}-sft"].arguments["config"]["data"] for branch in BRANCHES]
    assert all(data == sft[0] for data in sft)
    rl = [dict(stages[f"{slug(branch)}-rl"].arguments["config"]) for branch in BRANCHES]
    for settings in rl:
        settings.pop("run")
        settings["reward"] = settings["reward"] | {"gate": ""}
    assert all(settings == rl[0] for settings in rl)
    assert stages["cpt_thinking-sft"].after == ("cpt",)
    assert stages["base_thinking-sft"].after == ("base",)


def test_fewer_epochs_at_most_than_at_least_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--max-epochs", "2"]) == 2
    assert "max_epochs must be at least thinking.epochs (4)" in capsys.readouterr().err


def test_a_base_model_that_cannot_recall_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from presat.demo import stages

    monkeypatch.setattr(stages, "MAX_ATTEMPTS", 1)
    config = load_config(DemoConfig, "demo")
    settings = config.base.model_dump(mode="json") | {"run": str(tmp_path / "base"), "seed": 0, "steps": 2}
    with pytest.raises(RunError, match="learned to recall"):
        stages.pretrain({}, settings, str(tmp_path / "init"), 0.95)


def test_a_full_disk_is_not_called_a_bug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("transformers.LlamaForCausalLM.save_pretrained", full)
    (tmp_path / "logs").mkdir()
    stage = graph(load_config(DemoConfig, "demo").model_copy(update={"out": tmp_path}))[0]
    with pytest.raises(UnfinishedError, match=r"the system refused: .*No space left on device"):
        _run_stage(stage, {}, str(tmp_path / "logs" / "base.log"))
