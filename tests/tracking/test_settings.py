"""What a resumed run has changed: told in a line, kept for readers, and nothing told where nothing changed."""

from __future__ import annotations

import json

import yaml

from presat.config.schema import OptimConfig, RewardConfig, TaskConfig, TrainConfig
from presat.tracking import RunWriter, open_run
from presat.tracking.settings import changes, told, worth_saying


def test_changes_are_told_by_their_dotted_names():
    before = {"seed": 0, "data": {"source": "a", "count": 4}, "reward": {"options": {}}, "eval": {"samples": 4}}
    after = {
        "seed": 1,
        "data": {"source": "b", "count": 4},
        "reward": {"options": {"votes": 3}},
        "eval": {"samples": 8},
    }
    found = changes(before, after)
    assert found == {
        "seed": [0, 1], "data.source": ["a", "b"], "reward.options.votes": [None, 3], "eval.samples": [4, 8],
    }  # fmt: skip
    assert told(found) == (
        "seed 0 -> 1, data.source 'a' -> 'b', reward.options.votes None -> 3, eval.samples 4 -> 8. "
        "By seed, data.source, reward.options.votes its log and weights are of two different runs."
    )
    assert told({"steps": [4, 8]}) == "steps 4 -> 8."
    assert told({f"a{i}": [0, "x" * 1000] for i in range(20)}).endswith(" and 12 more.")
    assert len(told({f"a{i}": [0, "x" * 1000] for i in range(20)})) < 700
    assert "\x1b" not in told({"data.source": ["a", "\x1b[2J"]})


def test_what_a_later_version_added_is_no_change_at_its_default():
    defaults = TrainConfig().model_dump(mode="json")
    older = TrainConfig(run="a").model_dump(mode="json")
    del older["onednn"], older["vllm"], older["lora"]["dropout"]
    now = TrainConfig(run="b", resume=True).model_dump(mode="json")
    assert worth_saying(changes(older, now), defaults) == {}
    assert worth_saying(changes(older, {**now, "onednn": True}), defaults) == {"onednn": [None, True]}


def test_readers_of_a_run_are_told_from_which_step_on_it_had_other_settings(tmp_path):
    config = TrainConfig(run=tmp_path / "run", data=TaskConfig(source="lab/chains"))
    with RunWriter(config.run, config, "train") as writer:
        writer.append(1, {"reward": 0.5})
    other = config.model_copy(update={"seed": 5, "reward": RewardConfig(source="random"), "resume": True})
    for resumed in (other, other, other.model_copy(update={"optim": OptimConfig(lr=1e-3)})):
        with RunWriter(config.run, resumed, "train", resume=True) as writer:
            writer.truncate_after(1)
    rate = config.optim.lr
    assert [note for note in open_run(config.run).notes if "settings" in note] == [
        (
            "From step 2 on the run had other settings: reward.source 'verifiable' -> 'random', seed 0 -> 5. "
            "By reward.source, seed its log and weights are of two different runs."
        ),
        f"From step 2 on the run had other settings: optim.lr {rate} -> 0.001.",
    ]
    assert yaml.safe_load((config.run / "config.yaml").read_text())["seed"] == 5


def test_records_that_are_no_such_records_are_passed_over(tmp_path):
    with RunWriter(tmp_path / "run", {"seed": 1}, "train") as writer:
        writer.append(1, {"reward": 0.5})
    file = tmp_path / "run" / "provenance.json"
    for odd in ([3], [{"changed_settings": 3}], [{"changed_settings": {"seed": 3}}]):
        file.write_text(json.dumps({**json.loads(file.read_text()), "resumed": odd}))
        assert open_run(tmp_path / "run").notes == []
        with RunWriter(tmp_path / "run", {"seed": 1}, "train", resume=True):
            pass
