"""Every name in a remedy, and in the table of docs/alarms.md, is one that can be typed: of presat, TRL and verl."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from presat.config.schema import Settings, TrainConfig
from presat.diagnosis.alarms import CATALOGUE, Remedy
from presat.tracking.responses import schema
from presat.verbs import VERBS

REMEDIES: dict[Remedy, str] = {check.remedy: name for name, check in CATALOGUE.items()}
IN_WORDS = {"presat trains without a critic"}
"""What stands among presat's settings and is none."""
IN_TRL = {"reward_funcs", "train_dataset", "callbacks"}
"""What GRPOTrainer itself takes."""
_ACTOR, _ROLLOUT = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
VERL = {
    *(f"{_ACTOR}.{name}" for name in (
        "optim.lr", "optim.lr_warmup_steps", "grad_clip", "kl_loss_coef", "clip_ratio", "clip_ratio_high",
        "entropy_coeff", "ppo_epochs", "ppo_mini_batch_size", "loss_agg_mode", "fsdp_config.model_dtype",
    )),
    *(f"{_ROLLOUT}.{name}" for name in ("n", "temperature", "top_p", "top_k", "gpu_memory_utilization")),
    "critic.optim.lr", "algorithm.adv_estimator", "algorithm.filter_groups.enable", "data.max_response_length",
    "data.train_files", "data.filter_overlong_prompts", "trainer.total_epochs", "trainer.test_freq",
    "trainer.critic_warmup", "custom_reward_function.path", "reward_model.reward_manager", "reward.reward_manager.name",
    "reward_model.reward_kwargs.overlong_buffer_cfg.enable", "reward.reward_kwargs", "reward_model.ground_truth",
}  # fmt: skip
"""Names as verl's published `_generated_ppo_trainer.yaml` and its DAPO recipes have them, the last one its data."""
TABLE = re.compile(r"^\| `(\w+)` \|.*\| ([^|]+) \|$", re.MULTILINE)


def page() -> str:
    text = (Path(__file__).resolve().parents[2] / "docs" / "alarms.md").read_text(encoding="utf-8")
    return text.split("## The catalogue")[1].split("\n## ")[0]


def cells(place: int) -> list[str]:
    """What stands in code in the column for presat (0), TRL (1) or verl (2) of the table's remedies."""
    found = []
    for name, remedies in TABLE.findall(page()):
        same = re.fullmatch(r"as `(\w+)`", remedies)
        if same:
            assert same[1] in CATALOGUE, name
            continue
        columns = remedies.split(" / ")
        assert len(columns) == 3, name
        found += re.findall(r"`([^`]+)`", columns[place])
    return found


def is_setting(config: type[BaseModel], name: str) -> bool:
    """Whether a dotted name is a setting of a verb; `parts[]` is an item of a list."""
    head, _, rest = name.partition(".")
    field = config.model_fields.get(head.removesuffix("[]"))
    if field is None or not rest:
        return field is not None
    inner = [kind for kind in (field.annotation, *getattr(field.annotation, "__args__", ())) if isinstance(kind, type)]
    return any(issubclass(kind, Settings) and is_setting(kind, rest) for kind in inner)


def presat_faults(item: str) -> list[str]:
    """What of one item does not exist."""
    words = re.sub(r"\([^)]*\)", "", item).split()
    if item in IN_WORDS:
        return []
    if words[0] == "presat":
        verb = " ".join(words[1:3]) if " ".join(words[1:3]) in VERBS else words[1]
        if verb not in VERBS:
            return [item]
        config = VERBS[verb].config
        options = [word.removeprefix("--").replace("-", "_") for word in words if word.startswith("--")]
        return [f"{verb} --{option}" for option in options if not is_setting(config, option)]
    column = re.fullmatch(r"the column `(\w+)` of rollouts/\w+", item)
    if column:
        return [] if column[1] in schema() else [item]
    return [] if is_setting(TrainConfig, words[0].rstrip(":")) else [item]


@pytest.mark.parametrize("remedy", REMEDIES, ids=REMEDIES.values())
def test_presats_names_exist(remedy):
    assert [fault for item in remedy.presat.split("; ") for fault in presat_faults(item)] == []


def test_presats_names_in_the_table_exist():
    assert [fault for item in cells(0) for fault in presat_faults(item)] == []


def test_a_name_that_does_not_exist_is_found():
    assert presat_faults("presat data filter --max-solve 15") == ["data filter --max_solve"]
    assert presat_faults("optim.rate") == ["optim.rate"]
    assert presat_faults("reward.parts[].weight") == []


def trl_names(item: str) -> list[str]:
    """The identifiers that an item of TRL's settings begins with, or is."""
    return re.findall(r"^[A-Za-z_]\w*(?=$|=|\(| \(| returning)", item) + re.findall(r"\b\w+_\w+(?==)", item)


@pytest.mark.skipif(importlib.util.find_spec("trl") is None, reason="TRL is not installed")
def test_trls_names_exist():
    from trl import GRPOConfig, rewards

    from presat import training

    known = {*GRPOConfig.__dataclass_fields__, *IN_TRL, *dir(rewards), *training.__all__, "GRPOTrainer"}
    items = [item for remedy in REMEDIES for item in remedy.trl.split("; ")] + cells(1)
    named = [name for item in items for name in trl_names(item) if name not in ("extraction", "stop")]
    assert len(named) > 40
    assert [name for name in named if name not in known] == []


def test_verls_names_are_complete():
    items = [remedy.verl for remedy in REMEDIES] + cells(2)
    named = [name for item in items for name in re.findall(r"(?<![\w.])\.?[a-z]\w*(?:\.\w+)+(?<!\d)", item)]
    assert len(named) > 60
    assert sorted(set(named) - VERL) == []
