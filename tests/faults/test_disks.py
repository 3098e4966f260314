"""Full disks and folders that cannot be written to: one sentence, and with room again the same end as ever."""

from __future__ import annotations

import random
import subprocess
from functools import partial
from pathlib import Path

import pytest
from tests.faults.before import enter, small_files
from tests.faults.record import record
from tests.faults.stages import STAGES, leftovers
from tests.faults.trial import Place, one_message

SEED = 11
NAMES = [name for name in STAGES if name != "study"]  # it has processes of its own, which say it in their logs


class SmallDisk:
    """A disk of its own on `folder`, which only processes that `enter` see."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = folder
        script = f"mount -t tmpfs -o size={size} none '{folder}' && echo there && exec sleep 600"
        self._process = subprocess.Popen(["unshare", "-rm", "sh", "-c", script], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.there = self._process.stdout.readline() == "there\n"

    @property
    def enter(self) -> partial[None]:
        return partial(enter, self._process.pid, str(self.folder))

    @property
    def seen(self) -> Path:
        """Its files, seen from here."""
        return Path(f"/proc/{self._process.pid}/root{self.folder}")

    def remount(self, options: str) -> None:
        within = ["nsenter", "-t", str(self._process.pid), "-U", "-m", "--preserve-credentials"]
        subprocess.run([*within, "mount", "-o", f"remount,{options}", str(self.folder)], check=True)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture
def small_disk(folder):
    disks = []

    def make(size: int) -> SmallDisk:
        disks.append(SmallDisk(folder, size))
        if not disks[-1].there:
            record(
                "full disk", "one sentence; with room again the same end", [], "all", skipped="no `unshare -rm` here"
            )
            pytest.skip("a disk of its own needs `unshare -rm`")
        return disks[-1]

    yield make
    for disk in disks:
        disk.close()


def _sizes(folder: Path) -> list[int]:
    return sorted(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.faults
@pytest.mark.parametrize("trial", range(20))
def test_a_quota_that_ends_within_a_file_costs_nothing(trial: int, place: Place, folder) -> None:
    stage = STAGES[NAMES[trial % len(NAMES)]]
    draw = random.Random(f"quota/{SEED}/{trial}")
    most = draw.choice((100, 1000, 10_000, 100_000, 300_000))
    stage.make(folder, place.model)
    done = place.start(stage, folder, before=partial(small_files, most)).wait()
    wrong = [] if done.code == 0 else one_message(done)
    wrong += [f"ended with {done.code}"] if done.code not in (0, 1) else []
    wrong += [f"left half-written: {name}" for name in leftovers(folder)]
    wrong += place.ends_the_same(stage, folder)
    record("no file may grow beyond a limit (quota)", "one sentence; then the same end", wrong,
           f"trial {trial}: {stage.name}, {most} bytes")  # fmt: skip
    assert not wrong, "\n".join(wrong)


@pytest.mark.faults
@pytest.mark.parametrize("trial", range(18))
def test_a_full_disk_costs_nothing_but_the_room(trial: int, place: Place, folder, small_disk) -> None:
    stage = STAGES[NAMES[trial % len(NAMES)]]
    draw = random.Random(f"disk/{SEED}/{trial}")
    size = draw.choice((64, 256, 512, 1024, 2048)) * 1024
    disk = small_disk(size)
    stage.make(disk.seen, place.model)
    done = place.start(stage, folder, before=disk.enter).wait()
    wrong = [] if done.code == 0 else one_message(done)
    wrong += [f"ended with {done.code}"] if done.code not in (0, 1) else []
    disk.remount("size=100m")
    wrong += place.ends_the_same(stage, folder, seen=disk.seen, before=disk.enter)
    record("full disk", "one sentence; with room again the same end", wrong,
           f"trial {trial}: {stage.name}, {size // 1024} KB")  # fmt: skip
    assert not wrong, "\n".join(wrong)


@pytest.mark.faults
@pytest.mark.parametrize("name", NAMES)
def test_a_folder_that_cannot_be_written_to_is_said(name: str, place: Place, folder, small_disk) -> None:
    stage = STAGES[name]
    disk = small_disk(100 * 2**20)
    stage.make(disk.seen, place.model)
    disk.remount("ro")
    done = place.start(stage, folder, before=disk.enter).wait()
    wrong = [*one_message(done), *([f"ended with {done.code}"] if done.code != 1 else [])]
    disk.remount("rw")
    wrong += place.ends_the_same(stage, folder, seen=disk.seen, before=disk.enter)
    record("folder that cannot be written to", "one sentence; then the same end", wrong, name)
    assert not wrong, "\n".join(wrong)
