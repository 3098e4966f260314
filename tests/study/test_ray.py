"""Cells on a real Ray cluster of several nodes on this machine: nodes and drivers are lost, numbers are not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.study.test_local import RUN, finish, status, write_study
from tests.test_processes import gone

import presat
from presat.jsons import read_lines

ray: Any = pytest.importorskip("ray", reason="Ray is not installed: `make test-ray` installs it and runs this")
SOON = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 4}
SMALL = {"object_store_memory": 80 * 2**20, "include_dashboard": False}
"""What a node takes at least."""


def paths(presats: Path = Path(presat.__file__).parents[1]) -> str:
    """PYTHONPATH with presat from a folder, and with Ray from where it is."""
    return os.pathsep.join([str(presats), str(Path(ray.__file__).parents[1])])


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", paths())
        head = {"num_cpus": 0, "num_gpus": 0, "_system_config": SOON, **SMALL}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        yield cluster
        for node in [*cluster.worker_nodes, cluster.head_node]:
            cluster.remove_node(node, allow_graceful=False)


def node_of(cluster: Any, process: int) -> Any:
    """The node on which a process runs."""
    parents = set()
    while process > 1:
        process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
        parents.add(process)
    (node,) = [node for node in cluster.list_all_nodes() if raylet(node) in parents]
    return node


def raylet(node: Any) -> int:
    (process,) = node.all_processes["raylet"]
    return process.process.pid


def start_until(cluster: Any, study: Path, seed: int, step: int) -> tuple[subprocess.Popen[str], int]:
    """Start a driver, and wait until the run of a seed has logged a step; return the run's process too."""
    driver = subprocess.Popen(
        [*RUN, str(study), "--ray", cluster.address],
        env={**os.environ, "PYTHONPATH": paths()}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        for log in study.parent.glob(f"out/runs/train-seed{seed}-*/metrics.jsonl"):
            worker = json.loads((log.parent / "status.json").read_text())["pid"]
            if log.read_text().count("\n") > step and Path(f"/proc/{worker}").exists():
                return driver, worker
        assert driver.poll() is None, driver.communicate()
        time.sleep(0.01)
    raise AssertionError("it takes for ever")


def numbers(study: Path) -> dict[str, list[dict[str, Any]]]:
    """By cell, what its run logged, but for how long it took."""
    runs = sorted(study.parent.glob("out/runs/train-*"))
    assert runs
    return {run.name: [_timeless(row) for row in read_lines(run / "metrics.jsonl")[0]] for run in runs}


def _timeless(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if "time" not in name and "per_second" not in name}


@pytest.fixture(scope="module")
def local(toy_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """What the cells come to on this machine, without Ray."""
    study = write_study(tmp_path_factory.mktemp("local") / "s", toy_model)
    assert finish(study)[0] == 0
    return numbers(study)


@pytest.mark.slow
def test_a_node_that_is_lost_changes_no_number(cluster: Any, local: Any, toy_model: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "presat"
    shutil.copytree(Path(presat.__file__).parent, other, ignore=shutil.ignore_patterns("__pycache__"))
    (other / "more.py").write_text("")
    nodes = [cluster.add_node(num_cpus=1, **SMALL) for _ in range(2)]
    nodes.append(cluster.add_node(num_cpus=1, env_vars={"PYTHONPATH": paths(other.parent)}, **SMALL))
    study = write_study(tmp_path / "s", toy_model, workers=None)
    driver, worker = start_until(cluster, study, 0, 3)
    during = status(study)
    assert during["active"]
    assert [cell["state"] for cell in during["cells"]] == ["running", "running"]
    lost = node_of(cluster, worker)
    assert lost in nodes[:2]
    cluster.remove_node(lost, allow_graceful=False)
    assert gone(worker)
    out, err = driver.communicate(timeout=300)
    assert driver.returncode == 0, err
    assert json.loads(out)["counts"] == {"done": 2}
    assert f"its presat {presat.__version__} ({other}) has other code. Install presat" in err
    assert numbers(study) == local
    logs = sorted(file.read_text() for file in study.parent.glob("out/logs/train-*.log"))
    assert sorted(log.count("-- on ") for log in logs) == [1, 2]
