"""accelerate reads every file of examples/scaling; every presat command of scaling.md and repair.md is valid."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.utils import DistributedType

from presat.cli import run

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "examples" / "scaling").glob("*.yaml"))


def commands(page: str) -> list[str]:
    """Every `presat ...` of the page's code blocks, launcher left out."""
    blocks = re.findall(r"```bash\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)
    found = [line for block in blocks for line in block.splitlines() if "presat" in line]
    return [line.rpartition("-m presat ")[2].removeprefix("presat ") for line in found]


COMMANDS = [
    pytest.param(command, id=command[:60]) for page in ("scaling.md", "repair.md") for command in commands(page)
]


def words(command: str) -> list[str]:
    import shlex

    return shlex.split(command)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_resolves(command: str, capsys) -> None:
    assert run([*words(command), "--dry-run"]) == 0, capsys.readouterr().err


def test_there_are_commands() -> None:
    assert len(COMMANDS) >= 18
    assert len(FILES) == 7


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_accelerate_reads_the_file(file: Path) -> None:
    found = load_config_from_file(str(file))
    kinds = {"ddp": DistributedType.MULTI_GPU, "fsdp2": DistributedType.FSDP, "deepspeed": DistributedType.DEEPSPEED}
    expected = kinds[file.stem.split("-")[0]]
    machines = 2 if "2-machines" in file.stem else 1
    processes = 4 if "beside-server" in file.stem else 8 * machines
    assert (found.distributed_type, found.num_machines, found.num_processes) == (expected, machines, processes)
    if "fsdp" in file.stem:
        held = {"fsdp_version": 2, "fsdp_reshard_after_forward": False, "fsdp_state_dict_type": "FULL_STATE_DICT"}
        assert {key: found.fsdp_config[key] for key in held} == held
    if "deepspeed" in file.stem:
        settings = json.loads((ROOT / found.deepspeed_config["deepspeed_config_file"]).read_text())
        assert settings["zero_optimization"]["stage"] == int(re.search(r"zero(\d)", file.stem)[1])
        batches = ("gradient_accumulation_steps", "train_batch_size", "train_micro_batch_size_per_gpu")
        assert {settings[key] for key in batches} == {"auto"}  # presat's own


@pytest.mark.parametrize("page", ["scaling.md", "repair.md"])
def test_every_file_a_page_names_is_there(page: str) -> None:
    text = (ROOT / "docs" / page).read_text()
    for name in re.findall(r"examples/scaling/[\w.-]+", text) + [
        f"docs/{name}" for name in re.findall(r"\]\(([\w-]+\.md)\)", text)
    ]:
        assert (ROOT / name).is_file(), name
