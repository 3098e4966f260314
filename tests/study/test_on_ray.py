"""What needs no cluster to be held: which nodes serve, and what a cell asks of them. `test_ray.py` has a cluster."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import presat
from presat.config.load import build
from presat.config.schema import StudyConfig
from presat.errors import ConfigError, RunError
from presat.study import Folder
from presat.study.on_node import Home, fingerprint, unfit
from presat.study.on_ray import RayWorkers, Share, share


def home(folder: Path, **others: str) -> Home:
    (folder / ".lock.json").write_text("held")
    code = fingerprint(Path(presat.__file__).parent)
    right = {"version": presat.__version__, "code": code, "cwd": str(folder), "said": "held"}
    return Home(**{**right, "holder": str(folder / ".lock.json"), **others})


def test_a_node_is_told_what_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert unfit(home(tmp_path)) == ""
    assert f"it has presat {presat.__version__}, not 9.0. Install presat 9.0 there" in unfit(
        home(tmp_path, version="9.0")
    )
    assert "has other code. Install presat" in unfit(home(tmp_path, code="other"))
    assert f"it does not see {tmp_path / 'x'}. Choose a" in unfit(home(tmp_path, holder=str(tmp_path / "x" / "y")))
    assert f"it does not see {tmp_path}. Choose a folder that all nodes share" in unfit(home(tmp_path, said="earlier"))
    assert f"it has no folder {tmp_path / 'x'}. Start" in unfit(home(tmp_path, cwd=str(tmp_path / "x")))
    monkeypatch.setitem(sys.modules, "presat", None)
    assert "has no presat. Install presat" in unfit(home(tmp_path))


GPUS, CORES = {"CPU": 16.0, "GPU": 4.0}, {"CPU": 8.0}


@pytest.mark.parametrize(
    ("study", "nodes", "cpus", "gpus"),
    [
        ({}, [CORES, CORES], 1, 0),
        ({"workers": 4}, [CORES, CORES], 4, 0),
        ({"workers": 1}, [CORES, CORES], 8, 0),
        ({"workers": 99}, [CORES, CORES], 1, 0),
        ({}, [CORES, GPUS, {"CPU": 64.0, "GPU": 8.0}], 4, 1),
        ({"ray": {"gpus": 2}}, [GPUS], 8, 2),
        ({"ray": {"gpus": 0.5}}, [GPUS], 2, 0.5),
        ({"ray": {"gpus": 0}}, [GPUS], 1, 0),
        ({"ray": {"cpus": 3}}, [GPUS], 3, 1),
        ({}, [], 1, 0),
    ],
)
def test_a_cell_asks_for_what_it_would_get_on_a_machine_alone(
    study: dict[str, Any], nodes: list[dict[str, float]], cpus: int, gpus: float
) -> None:
    assert share(build(StudyConfig, {"study": "s", **study}), nodes) == (cpus, gpus)


def test_a_node_has_room_for_what_both_its_cores_and_its_gpus_allow() -> None:
    assert [Share(1, 0).fits(GPUS), Share(4, 1).fits(GPUS), Share(8, 1).fits(GPUS), Share(1, 0.1).fits(GPUS)] == [
        16, 4, 2, 16,
    ]  # fmt: skip
    assert Share(1, 1).fits(CORES) == 0


def test_without_ray_the_line_that_installs_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"run `pip install 'presat\[ray\]'`"):
        RayWorkers("auto", build(StudyConfig, {"study": "s"}), held(tmp_path), print)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("auto", "this machine is no node of one"),
        ("127.0.0.1:1", "nothing answers at 127.0.0.1:1"),
        ("127.0.0.1:99999", "nothing answers"),
        ("gpu-node", "an address is HOST:PORT"),
    ],
)
def test_a_cluster_that_is_not_there_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, said: str
) -> None:
    def stuck(**_: Any) -> None:
        raise AssertionError

    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    ray = SimpleNamespace(cloudpickle=SimpleNamespace(register_pickle_by_value=id), init=stuck)
    monkeypatch.setitem(sys.modules, "ray", ray)
    with pytest.raises(RunError, match=f"Cannot join the Ray cluster .*{said}.* Start one by `ray start --head`"):
        RayWorkers(address, build(StudyConfig, {"study": "s"}), held(tmp_path), print)
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text("127.0.0.1:1")
    with pytest.raises(RunError, match=r"nothing answers at 127\.0\.0\.1:1"):
        RayWorkers("auto", build(StudyConfig, {"study": "s"}), held(tmp_path), print)


def held(path: Path) -> Folder:
    folder = Folder(path)
    folder.claim()
    (path / ".lock.json").write_text("held")
    return folder
