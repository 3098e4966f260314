"""The commands in a preset's header make its data: they are command lines, and read answers as the preset does."""

from __future__ import annotations

import re
import shlex
from importlib import resources

import pytest
import yaml

from presat.cli import run
from presat.config import load_config, preset_names
from presat.config.schema import TrainConfig

COMMAND = re.compile(r"presat (data (?:filter|corrupt) .*)")


def commands(preset: str) -> list[list[str]]:
    """The words of each `presat data` command in the header that samples a model."""
    text = (resources.files("presat.config") / "presets" / f"{preset}.yaml").read_text(encoding="utf-8")
    lines = [line.lstrip("# ") for line in text.splitlines() if line.startswith("#")]
    return [shlex.split(found) for found in COMMAND.findall("\n".join(lines).replace("\\\n", " "))]


WITH_COMMANDS = [name for name in preset_names() if commands(name)]


def test_the_presets_of_chosen_and_of_noisy_prompts_say_how_they_are_made() -> None:
    assert {"paper-math-n8", "paper-math-gamma", "paper-science-n8"} <= set(WITH_COMMANDS)


@pytest.mark.parametrize("preset", WITH_COMMANDS)
def test_header_commands_read_answers_as_the_preset_trains(preset: str, capsys) -> None:
    config = load_config(TrainConfig, preset)
    for words in commands(preset):
        assert run([*words, "--dry-run"]) == 0
        found = yaml.safe_load(capsys.readouterr().out)
        assert found["verify"]["extraction"] == config.verify.extraction
        assert found["model"]["name"] == config.model.name
