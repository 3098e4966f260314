"""Configuration is read strictly, and says what to do about a mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from presat.config import dump_config, load_config, preset_names
from presat.config.schema import StudyConfig, TaskConfig, TrainConfig
from presat.errors import ConfigError


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_the_resolved_configuration_reads_back_as_itself(tmp_path: Path) -> None:
    config = TrainConfig(steps=7, data=TaskConfig(source="lab/chains", options={"operands": [6, 8]}))
    assert load_config(TrainConfig, write(tmp_path / "c.yaml", dump_config(config))) == config


def test_defaults_are_the_papers() -> None:
    config = TrainConfig()
    assert (config.steps, config.prompts_per_step, config.group_size) == (496, 64, 8)
    assert (config.optim.lr, config.beta, config.epsilon, config.temperature) == (1e-6, 0.001, 0.2, 1.0)
    assert (config.max_prompt_tokens, config.max_new_tokens) == (2048, 2048)
    assert (config.eval.every, config.save_every, config.eval.samples, config.reward.votes) == (25, 50, 16, 16)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stepz: 3", r"unknown key 'stepz'. Did you mean 'steps'\?"),
        ("optim: {lrr: 3}", r"unknown key 'optim.lrr'. Did you mean 'lr'\?"),
        ("eval: {sets: [{sorce: x}]}", r"unknown key 'eval.sets.0.sorce'. Did you mean 'source'\?"),
        ("steps: many", r"steps: Input should be a valid integer.*\(got 'many'\)"),
        ("group_size: 1", "group_size must be at least 2"),
        ("reward: {source: majority_vote, votes: 4}", "votes must be at least group_size"),
        ("reward: {source: majority_vote, options: {votes: 4}}", "votes must be at least group_size"),
        (
            "reward: {source: weighted_sum, parts: [{source: soft_majority_vote, options: {votes: 4}}]}",
            "votes must be at least group_size",
        ),
        ("- a list", "should hold `key: value` lines"),
        ("a: [", "is not valid YAML"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(TrainConfig, write(tmp_path / "c.yaml", text))


def test_a_missing_file_names_the_presets() -> None:
    with pytest.raises(ConfigError, match="no configuration file or preset 'nowhere'"):
        load_config(TrainConfig, "nowhere")


def test_a_preset_does_not_stand_in_for_a_file_that_is_missing() -> None:
    assert load_config(TrainConfig, "presets/paper-math-n8.yaml") == load_config(TrainConfig, "paper-math-n8")
    for missing in ("experiments/paper-math-n8.yaml", "paper-math-n8.yaml"):
        with pytest.raises(ConfigError, match=r"no configuration file .*Did you mean 'paper-math-n8'\?"):
            load_config(TrainConfig, missing)


def test_every_preset_is_valid() -> None:
    from presat.verbs import VERBS

    models = [StudyConfig, *(verb.config for verb in VERBS.values())]
    for name in preset_names():
        assert any(_reads(model, name) for model in models), f"no verb reads preset {name}"


def _reads(model: type, name: str) -> bool:
    try:
        load_config(model, name)
    except ConfigError:
        return False
    return True
