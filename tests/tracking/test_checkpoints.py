"""Which checkpoints of a run stay, and what stays of them, under every layout the launchers write."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from presat.errors import RunError
from presat.tracking import model_identity
from presat.tracking.checkpoints import MANIFEST, complete_checkpoint, list_checkpoints, newest_checkpoint

MODEL = {"config.json", "model.safetensors", "tokenizer.json", "trainer_state.json", "training_args.bin"}
LAYOUTS = {
    "one process": (MODEL, {"optimizer.pt", "scheduler.pt", "rng_state.pth"}),
    "float16": (MODEL, {"optimizer.pt", "scheduler.pt", "scaler.pt", "rng_state_0.pth", "rng_state_1.pth"}),
    "adapters": (
        {"adapter_config.json", "adapter_model.safetensors"},
        {"optimizer.pt", "scheduler.pt", "rng_state.pth"},
    ),
    "large": (
        {"config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"},
        {"optimizer.pt", "rng_state.pth"},
    ),
    "DeepSpeed": (
        MODEL,
        {"global_step50/zero_pp_rank_0_mp_rank_00_optim_states.pt", "latest", "zero_to_fp32.py", "rng_state_0.pth"},
    ),
    "FSDP": (MODEL, {"optimizer.bin", "pytorch_model_fsdp.bin", "scheduler.pt", "rng_state_0.pth", "rng_state_1.pth"}),
}


def save(folder: Path, step: int, names: set[str], keep: int = 2, keep_weights: bool = True) -> Path:
    """Write a checkpoint as TRL leaves it, and complete it."""
    for name in names:
        file = folder / f"checkpoint-{step}" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{name} of {step}")
    return complete_checkpoint(folder, step, keep, keep_weights)


def content(checkpoint: Path) -> set[str]:
    """Its files; the list of them is there as long as the state is."""
    found = {str(path.relative_to(checkpoint)) for path in checkpoint.rglob("*") if path.is_file()}
    assert (MANIFEST in found) == any(name.startswith("rng_state") for name in found)
    return found - {MANIFEST}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_older_checkpoints_lose_what_resuming_needs_and_stay_the_same_model(layout, tmp_path):
    model, state = LAYOUTS[layout]
    first = save(tmp_path, 50, model | state)
    before = model_identity(str(first))
    for step in (100, 150, 200):
        save(tmp_path, step, model | state)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step_50", "step_100", "step_150", "step_200"]
    kept = [content(path) for path in list_checkpoints(tmp_path)]
    assert kept == [model, model, model | state, model | state]
    assert not [path for path in first.iterdir() if path.is_dir()]
    assert model_identity(str(first)) == before
    assert newest_checkpoint(tmp_path) == tmp_path / "step_200"


def test_weights_that_are_in_the_state_alone_are_left_alone(tmp_path):
    """FSDP with sharded state dicts, and ZeRO-3 that does not gather: no folder that transformers reads."""
    fsdp = {"pytorch_model_fsdp_0/0.distcp", "optimizer_0/0.distcp", "scheduler.pt", "rng_state_0.pth"}
    deepspeed = {"config.json", "global_step7/model_states.pt", "latest", "zero_to_fp32.py", "rng_state_0.pth"}
    for names in (fsdp, deepspeed):
        folder = tmp_path / str(len(names))
        first = save(folder, 7, names, keep=1)
        save(folder, 14, names, keep=1)
        assert content(first) == names


def test_what_is_not_known_is_kept(tmp_path):
    model, state = LAYOUTS["one process"]
    first = save(tmp_path, 1, model | state | {"notes.txt", "merged/model.safetensors"}, keep=1)
    save(tmp_path, 2, model | state, keep=1)
    assert content(first) == model | {"notes.txt", "merged/model.safetensors"}


def test_older_checkpoints_go_wholly_where_weights_are_not_kept_and_all_stay_whole_at_0(tmp_path):
    names = set.union(*LAYOUTS["one process"])
    for step in (1, 2, 3):
        save(tmp_path / "few", step, names, keep=2, keep_weights=False)
        save(tmp_path / "all", step, names, keep=0, keep_weights=False)
    assert sorted(path.name for path in (tmp_path / "few").iterdir()) == ["step_2", "step_3"]
    assert [content(path) for path in list_checkpoints(tmp_path / "all")] == [names] * 3


def test_a_model_without_its_state_is_not_gone_on_from(tmp_path):
    model, state = LAYOUTS["one process"]
    save(tmp_path, 1, model, keep=1)
    with pytest.raises(RunError, match=r"step_1 holds the model without .* as `model.name`"):
        newest_checkpoint(tmp_path)
    save(tmp_path, 2, model | state, keep=1)
    assert newest_checkpoint(tmp_path) == tmp_path / "step_2"


@pytest.mark.parametrize("listed", [True, False], ids=["listed", "of an earlier version"])
@pytest.mark.parametrize("part", ["optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json"])
def test_a_checkpoint_that_lacks_a_part_is_not_gone_on_from(part, listed, tmp_path):
    names = set.union(*LAYOUTS["one process"])
    for step in (3, 6):
        save(tmp_path, step, names)
        if not listed:
            (tmp_path / f"step_{step}" / MANIFEST).unlink()
    (tmp_path / "step_6" / part).unlink()
    with pytest.raises(RunError, match=rf"cannot go on from \S*step_6: {part} is missing.*goes on from step_3\."):
        newest_checkpoint(tmp_path)
    (tmp_path / "step_3" / part).unlink()
    with pytest.raises(RunError, match=r"is missing.*there is no earlier checkpoint to go on from"):
        newest_checkpoint(tmp_path)


@pytest.mark.parametrize(("layout", "part"), [(name, part) for name in LAYOUTS for part in sorted(LAYOUTS[name][1])])
def test_every_part_that_was_saved_is_needed_and_whole(layout, part, tmp_path):
    save(tmp_path, 3, set.union(*LAYOUTS[layout]))
    file = tmp_path / "step_3" / part
    file.write_text(file.read_text()[:-1])
    with pytest.raises(RunError, match=f"step_3: {part} has .* bytes and was saved with"):
        newest_checkpoint(tmp_path)
    file.unlink()
    with pytest.raises(RunError, match=f"step_3: {part} is missing|holds the model without"):
        newest_checkpoint(tmp_path)


def test_the_list_of_files_is_no_part_of_the_model_and_may_be_damaged(tmp_path):
    first = save(tmp_path, 3, set.union(*LAYOUTS["one process"]))
    assert json.loads((first / MANIFEST).read_text())["optimizer.pt"] == len("optimizer.pt of 3")
    (first / MANIFEST).write_text("{")
    with pytest.raises(RunError, match=rf"{MANIFEST} cannot be read as JSON .*delete it"):
        newest_checkpoint(tmp_path)
