"""A real Ray cluster of several nodes on this machine: nodes and drivers are lost, numbers are not. `make test-ray`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
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
TERMINATED = "Interrupted: ended by SIGTERM. What was saved stays. Go on with --resume."


def paths(presats: Path = Path(presat.__file__).parents[1]) -> str:
    """PYTHONPATH with presat from a folder, and with Ray from where it is."""
    return os.pathsep.join([str(presats), str(Path(ray.__file__).parents[1])])


def around() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": paths()}


def command(cluster: Any, study: Path) -> list[str]:
    return [*RUN, str(study), "--ray", cluster.address]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", paths())
        head = {"num_cpus": 0, "num_gpus": 0, "_system_config": SOON, **SMALL}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        yield cluster
        for node in list(cluster.worker_nodes):
            cluster.remove_node(node, allow_graceful=False)
        cluster.remove_node(cluster.head_node)


def node_of(cluster: Any, process: int) -> Any:
    """The node on which a process runs."""
    parents = set()
    while process > 1:
        process = parent_of(process)
        parents.add(process)
    (node,) = [node for node in cluster.list_all_nodes() if raylet(node) in parents]
    return node


def parent_of(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def raylet(node: Any) -> int:
    (process,) = node.all_processes["raylet"]
    return process.process.pid


def start_until(cluster: Any, study: Path, seed: int, step: int) -> tuple[subprocess.Popen[str], int]:
    """Start a driver, and wait until the run of a seed has logged a step; return the run's process too."""
    driver = subprocess.Popen(
        command(cluster, study), env=around(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )

    def logged() -> bool:
        assert driver.poll() is None, driver.communicate()
        worker = pid_of(study, seed)
        logs = study.parent.glob(f"out/runs/train-seed{seed}-*/metrics.jsonl")
        lines = max((log.read_text().count("\n") for log in logs), default=0)
        return lines > step and not gone(worker, 0.05)  # an earlier driver's may be there, dead and not waited for

    assert wait_until(logged)
    return driver, pid_of(study, seed)


def pid_of(study: Path, seed: int) -> int:
    """The process that wrote the run of a seed last; 0 where there is none yet."""
    files = study.parent.glob(f"out/runs/train-seed{seed}-*/status.json")
    return max((json.loads(file.read_text())["pid"] for file in files), default=0)


def wait_until(true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.01)
    return False


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
    for node in nodes:
        if node is not lost:
            cluster.remove_node(node, allow_graceful=False)
    logs = sorted(file.read_text() for file in study.parent.glob("out/logs/train-*.log"))
    assert sorted(log.count("-- on ") for log in logs) == [1, 2]
    assert "is lost. Ray takes up its cells elsewhere." in err
    assert "Raylet is terminated" in (study.parent / "out" / "logs" / "ray.log").read_text()


@pytest.mark.slow
def test_no_cell_outlives_its_task_or_its_driver(cluster: Any, local: Any, toy_model: Path, tmp_path: Path) -> None:
    node = cluster.add_node(num_cpus=1, num_gpus=0, **SMALL)
    study = write_study(tmp_path / "s", toy_model, workers=1)
    driver, worker = start_until(cluster, study, 0, 1)
    os.kill(parent_of(worker), signal.SIGKILL)  # Ray's process, that waits for the cell's
    assert gone(worker)
    assert wait_until(lambda: pid_of(study, 0) != worker)
    driver.terminate()
    _, err = driver.communicate(timeout=120)
    assert driver.returncode == 143, err
    assert gone(pid_of(study, 0))
    first, second = status(study)["cells"]
    assert (first["state"], first["reason"]) == ("interrupted", TERMINATED)
    assert second["state"] == "waiting"

    driver, worker = start_until(cluster, study, 1, 1)
    refused = subprocess.run(command(cluster, study), env=around(), capture_output=True, text=True)
    assert refused.returncode == 1
    assert "is being written by process" in refused.stderr
    driver.kill()
    driver.communicate()
    assert gone(worker)
    assert [cell["state"] for cell in status(study)["cells"]] == ["done", "interrupted"]

    driver, worker = start_until(cluster, study, 1, 1)
    os.kill(worker, signal.SIGKILL)
    assert "1 interrupted, 1 done" in driver.communicate(timeout=120)[1]
    last = subprocess.run(command(cluster, study), env=around(), capture_output=True, text=True)
    assert last.returncode == 0, last.stderr
    assert numbers(study) == local
    cluster.remove_node(node, allow_graceful=False)


@pytest.mark.slow
def test_what_the_cluster_lacks_is_said_in_one_sentence(cluster: Any, toy_model: Path, tmp_path: Path) -> None:
    node = cluster.add_node(num_cpus=1, env_vars={"PYTHONPATH": paths(tmp_path)}, **SMALL)
    study = write_study(tmp_path / "s", toy_model, ray={"cpus": 3})
    greedy = subprocess.run(command(cluster, study), env=around(), capture_output=True, text=True)
    assert greedy.returncode == 1
    assert "No node of the Ray cluster has the 3 CPUs that a cell asks for." in json.loads(greedy.stdout)["error"]
    nowhere = subprocess.run([*RUN, str(study), "--ray", "ray://h:1"], env=around(), capture_output=True, text=True)
    assert nowhere.returncode == 2
    assert "the study is driven from a node of the cluster" in nowhere.stderr
    cluster.remove_node(node, allow_graceful=False)
