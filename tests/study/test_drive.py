"""The driver, with workers that make a model or a file in no time: order, reuse, failures, what is run again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from presat.config.load import build
from presat.config.schema import StudyConfig
from presat.config.yamls import read_yaml_file
from presat.errors import ConfigError, RunError
from presat.files import remove
from presat.study import Folder, Watcher, run_study
from presat.study.folder import Record
from presat.study.local import Ended
from presat.study.standing import Known
from presat.tracking.lock import RunLock

BASE: dict[str, Any] = {
    "model": {"name": "some/model"},
    "data": {"source": "lab/chains", "count": 20},
    "filter": {"samples": 4},
    "train": {"steps": 5},
    "eval": {"sets": [{"source": "lab/chains"}]},
}
AXES: dict[str, Any] = {"train.steps": [5, 9]}


class Quick:
    """Workers whose cells end at once."""

    def __init__(self, count: int = 1, ends: Callable[[str, dict[str, Any]], Ended] | None = None) -> None:
        self.count, self.threads = count, 1
        self.started: list[str] = []
        self.settings: dict[str, dict[str, Any]] = {}
        self._ends = ends or (lambda *_: Ended(0, ""))
        self._over: dict[str, Ended] = {}

    @property
    def free(self) -> int:
        return self.count - len(self._over)

    def start(self, name: str, verb: str, config: Path, log: Path) -> None:
        settings = read_yaml_file(config)
        self.started.append(name)
        self.settings[name] = settings
        ended = self._ends(name, settings)
        if ended.code == 0:
            make(verb, settings)
        self._over[name] = ended

    def ended(self) -> dict[str, Ended]:
        found, self._over = self._over, {}
        return found

    def close(self) -> dict[str, Ended]:
        return self.ended()

    @property
    def stages(self) -> list[str]:
        return [name.partition("-")[0] for name in self.started]


def make(verb: str, settings: dict[str, Any], content: str = "") -> None:
    """What a verb would leave: a checkpoint, or a file, that says what it was made with."""
    run = Path(settings["run"])
    run.mkdir(parents=True, exist_ok=True)
    (run / "provenance.json").write_text("{}")
    if verb.startswith("data"):
        Path(settings["out"]).write_text(content or json.dumps(settings["samples"]))
    elif verb != "eval":
        for step in (1, 2):
            checkpoint = run / "checkpoints" / f"step_{step}"
            checkpoint.mkdir(parents=True, exist_ok=True)
            (checkpoint / "config.json").write_text(content or json.dumps([step, settings["steps"]]))
            (checkpoint / "model.safetensors").write_text("weights")
            (checkpoint / "optimizer.pt").write_text("state")


def drive(tmp_path: Path, workers: Quick | None = None, retry: bool = False, **given: Any) -> tuple[Quick, Known]:
    workers = workers or Quick()
    config = build(StudyConfig, {"study": "s", "out": str(tmp_path / "s"), "base": BASE, "axes": AXES, **given})
    return workers, run_study(config, retry, tick_s=0, workers=workers)


def states(known: Known) -> dict[str, str]:
    return {name.rpartition("-")[0]: state for name, (state, _) in known.items()}


DONE = {f"{stage}-steps{steps}": "done" for stage in ("train", "eval") for steps in (5, 9)} | {"filter": "done"}


def test_shared_stages_run_once_and_what_is_done_stays(tmp_path: Path) -> None:
    first, known = drive(tmp_path)
    assert states(known) == DONE
    assert sorted(first.stages) == ["eval", "eval", "filter", "train", "train"]
    again, known = drive(tmp_path)
    assert (again.started, states(known)) == ([], DONE)


def test_a_study_grows_by_what_its_cells_say(tmp_path: Path) -> None:
    def study(steps: list[int]) -> StudyConfig:
        return build(
            StudyConfig, {"study": "s", "out": str(tmp_path / "s"), "base": BASE, "axes": {"train.steps": steps}}
        )

    def grow(known: Known) -> StudyConfig | None:
        done = {name.rpartition("-")[0] for name, (state, _) in known.items() if state == "done"}
        return study([5, 9]) if "train" in done and len(known) == 3 else None

    workers = Quick()
    known = run_study(study([5]), tick_s=0, workers=workers, grow=grow)
    assert set(known.values()) == {("done", "")}
    assert sorted(workers.stages) == ["eval", "eval", "filter", "train", "train"]
    assert [point.axes for point in Folder(tmp_path / "s").read().points] == [{"steps": "5"}, {"steps": "9"}]
    assert "- 9" in (tmp_path / "s" / "study.yaml").read_text()
    again = Quick()
    assert run_study(study([5]), tick_s=0, workers=again, grow=grow).keys() == known.keys()
    assert again.started == []


def test_the_longest_way_comes_first(tmp_path: Path) -> None:
    first, _ = drive(tmp_path)
    trained = [name for name in first.started if name.startswith("train")]
    assert "steps9" in trained[0]
    assert first.started.index(trained[1]) < next(n for n, s in enumerate(first.stages) if s == "eval")


def test_a_changed_line_runs_what_it_touches(tmp_path: Path) -> None:
    drive(tmp_path)
    again, known = drive(tmp_path, axes={"train.steps": [5, 7]})
    assert again.stages == ["train", "eval"]
    assert all("steps7" in name for name in again.started)
    assert set(states(known).values()) == {"done"}


def test_a_failed_cell_keeps_to_itself_what_hangs_on_it(tmp_path: Path) -> None:
    def ends(name: str, _: dict[str, Any]) -> Ended:
        return Ended(1, "The loss is NaN.") if "train-steps5" in name else Ended(0, "")

    _, known = drive(tmp_path, Quick(ends=ends))
    assert states(known) == DONE | {"train-steps5": "failed", "eval-steps5": "skipped"}
    (reason,) = [why for state, why in known.values() if state == "skipped"]
    assert reason.startswith("needs train-steps5")
    standing = Watcher(Folder(tmp_path / "s")).look()
    assert {cell.name.rpartition("-")[0]: cell.state for cell in standing.cells} == states(known)
    assert "The loss is NaN." in [cell.reason for cell in standing.cells]
    again, known = drive(tmp_path)
    assert (again.started, states(known)["train-steps5"]) == ([], "failed")
    retried, known = drive(tmp_path, retry=True)
    assert retried.stages == ["train", "eval"]
    assert states(known) == DONE


@pytest.mark.parametrize(
    "ended", [Ended(-9, "its process was killed (SIGKILL)"), Ended(143, ""), Ended(1, "No space left on device")]
)
def test_an_interrupted_cell_is_run_again_without_being_asked_for(tmp_path: Path, ended: Ended) -> None:
    def ends(name: str, settings: dict[str, Any]) -> Ended:
        if not name.startswith("train"):
            return Ended(0, "")
        Path(settings["run"]).mkdir(parents=True)
        (Path(settings["run"]) / "provenance.json").write_text("{}")
        return ended

    first, known = drive(tmp_path, Quick(ends=ends))
    assert states(known)["train-steps5"] == "interrupted"
    assert states(known)["eval-steps5"] == "waiting"
    assert not any(first.settings[name]["resume"] for name in first.started if name.startswith("train"))
    again, known = drive(tmp_path)
    assert states(known) == DONE
    assert all(again.settings[name]["resume"] for name in again.started if name.startswith("train"))


def test_a_cell_whose_record_is_lost_goes_on_with_what_is_there(tmp_path: Path) -> None:
    first, _ = drive(tmp_path)
    (name,) = [name for name in first.started if name.startswith("train-steps5")]
    (tmp_path / "s" / "cells" / f"{name}.json").write_text("{")
    again, known = drive(tmp_path)
    assert again.started == [name]
    assert again.settings[name]["resume"]
    assert states(known) == DONE


def test_what_was_deleted_is_made_anew_and_what_follows_only_if_it_comes_out_otherwise(tmp_path: Path) -> None:
    first, _ = drive(tmp_path)
    (name,) = [name for name in first.started if name.startswith("filter")]
    file = tmp_path / "s" / "data" / f"{name}.parquet"
    file.unlink()
    samples = tmp_path / "s" / "runs" / name / "samples"
    samples.touch()
    again, _ = drive(tmp_path)
    assert again.started == [name]
    assert samples.exists()  # its verb goes on with what it drew
    file.unlink()
    other = Quick()
    other.start = _writing(other, "other problems")  # type: ignore[method-assign]
    _, known = drive(tmp_path, other)
    assert sorted(other.stages) == ["eval", "eval", "filter", "train", "train"]
    assert states(known) == DONE


def _writing(workers: Quick, text: str) -> Callable[..., None]:
    def start(name: str, verb: str, config: Path, log: Path) -> None:
        Quick.start(workers, name, verb, config, log)
        make(verb, workers.settings[name], text)

    return start


def test_what_was_changed_by_hand_is_neither_used_nor_lost(tmp_path: Path) -> None:
    first, _ = drive(tmp_path)
    (name,) = [name for name in first.started if name.startswith("filter")]
    file = tmp_path / "s" / "data" / f"{name}.parquet"
    file.write_text("by hand")
    again, known = drive(tmp_path)
    assert again.started == []
    assert known[name][0] == "failed"
    assert "was changed after it was done" in known[name][1]
    assert file.read_text() == "by hand"


def test_half_of_a_cell_from_other_inputs_is_not_gone_on_with(tmp_path: Path) -> None:
    def ends(name: str, settings: dict[str, Any]) -> Ended:
        if name.startswith("train"):
            make("train", settings)
            return Ended(-9, "")
        return Ended(0, "")

    first, _ = drive(tmp_path, Quick(ends=ends))
    (name,) = [name for name in first.started if name.startswith("filter")]
    (tmp_path / "s" / "data" / f"{name}.parquet").unlink()
    again = Quick()
    again.start = _writing(again, "other problems")  # type: ignore[method-assign]
    drive(tmp_path, again)
    assert not any(again.settings[name]["resume"] for name in again.started if name.startswith("train"))


def test_only_the_last_checkpoint_stays_when_asked(tmp_path: Path) -> None:
    def left() -> list[str]:
        runs = (tmp_path / "s" / "runs").glob("train-*")
        return sorted(str(file.relative_to(run)) for run in runs for file in run.rglob("*.*") if "step" in str(file))

    drive(tmp_path, axes={})
    assert len(left()) == 6
    drive(tmp_path, axes={}, keep="last")
    assert left() == ["checkpoints/step_2/config.json", "checkpoints/step_2/model.safetensors"]
    again, known = drive(tmp_path, axes={}, keep="last")
    assert (again.started, set(states(known).values())) == ([], {"done"})
    every = BASE | {"eval": {"sets": [{"source": "lab/chains"}], "every_checkpoint": True}}
    again, _ = drive(tmp_path, axes={}, keep="last", base=every)
    assert again.stages == ["train", "eval"]  # the evaluation needs what was dropped


def test_a_model_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    workers = Quick()
    start = workers.start

    def lose(name: str, verb: str, config: Path, log: Path) -> None:
        start(name, verb, config, log)
        remove(Path(workers.settings[name]["run"]))

    workers.start = lose  # type: ignore[method-assign]
    _, known = drive(tmp_path, workers)
    assert states(known)["train-steps5"] == "failed"


def test_two_drivers_are_refused(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    lock = RunLock(tmp_path / "s")
    with pytest.raises(RunError, match="is being written by process"):
        drive(tmp_path)
    lock.release()


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "thesis.tex").write_text("")
    with pytest.raises(RunError, match=r"holds files \(thesis\.tex\), and no study made that folder"):
        drive(tmp_path)
    assert [path.name for path in (tmp_path / "s").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("killed_at", ["mkdir", "draft"])
def test_a_driver_that_was_killed_at_its_first_step_has_left_nothing_in_the_way(tmp_path: Path, killed_at: str) -> None:
    folder = Folder(tmp_path / "s")
    folder.path.mkdir()
    if killed_at == "mkdir":
        folder.claim()
        (folder.path / "data").rmdir()
    else:
        (folder.path / ".study.json.00000000-1.part").touch()
    assert states(drive(tmp_path)[1]) == DONE


def test_readers_find_every_points_cells(tmp_path: Path) -> None:
    drive(tmp_path)
    file = Folder(tmp_path / "s").read()
    assert [point.axes for point in file.points] == [{"steps": "5"}, {"steps": "9"}]
    for point in file.points:
        assert list(point.cells) == ["filter", "train", "eval"]
        assert (tmp_path / "s" / file.cells[point.cells["train"]].path).is_dir()
    assert build(StudyConfig, read_yaml_file(tmp_path / "s" / "study.yaml")).study == "s"


def test_a_full_disk_is_no_end_of_a_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    note = Folder.note

    def full(folder: Folder, name: str, record: Record) -> None:
        if name.startswith("train-steps9") or record.state == "done":
            raise RunError("Cannot write it: No space left on device.")
        note(folder, name, record)

    with monkeypatch.context() as patch:
        patch.setattr(Folder, "note", full)
        _, known = drive(tmp_path)
    assert states(known) == DONE | {"train-steps9": "interrupted", "eval-steps9": "waiting"}
    again, known = drive(tmp_path)
    assert states(known) == DONE
    assert len(again.started) == 5  # none has a record that it is done; each goes on and finds that nothing is left


def test_the_driver_records_what_it_ends_when_it_is_ended(tmp_path: Path) -> None:
    workers = Quick(count=2)

    def stop(_: Known) -> None:
        raise KeyboardInterrupt

    config = build(StudyConfig, {"study": "s", "out": str(tmp_path / "s"), "base": BASE, "axes": AXES})
    workers._ends = lambda *_: Ended(143, "Interrupted: ended by SIGTERM.")
    with pytest.raises(KeyboardInterrupt):
        run_study(config, on_tick=stop, tick_s=0, workers=workers)
    record = Folder(tmp_path / "s").record(workers.started[0])
    assert record is not None
    assert record.state == "interrupted"


def test_what_nobody_reads_is_looked_at_too(tmp_path: Path) -> None:
    base = {stage: settings for stage, settings in BASE.items() if stage != "eval"}
    drive(tmp_path, base=base)
    last = next((tmp_path / "s" / "runs").glob("train-*"))
    (last / "checkpoints" / "step_2" / "model.safetensors").write_text("others")
    _, known = drive(tmp_path, base=base)
    (reason,) = [reason for state, reason in known.values() if state == "failed"]
    assert reason.startswith(f"{last} was changed after it was done")


def test_a_damaged_or_missing_study_json_is_written_anew(tmp_path: Path) -> None:
    drive(tmp_path)
    file = tmp_path / "s" / "study.json"
    for damage in (lambda: file.write_text("{"), file.unlink):
        damage()
        workers, known = drive(tmp_path)
        assert workers.started == []
        assert set(states(known).values()) == {"done"}


def test_a_study_of_another_name_is_refused(tmp_path: Path) -> None:
    drive(tmp_path)
    with pytest.raises(ConfigError, match="is the folder of the study"):
        drive(tmp_path, study="another")
