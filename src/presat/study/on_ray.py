"""Cells on the nodes of a Ray cluster. Ray places them, and takes up elsewhere what was lost with a node.

A cell is a task of Ray's that starts its verb as a process on the node (`on_node.py`). The task ends with the driver
that asked for it, and the process with the task, so that no cell runs which nobody knows of.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import presat
from presat.config.schema import StudyConfig
from presat.config.yamls import read_yaml_file
from presat.errors import ConfigError, RunError
from presat.processes import ENDING, ENDS_WITH
from presat.study import on_node
from presat.study.alone import GRACE_S
from presat.study.folder import Folder
from presat.study.local import Ended, division, reason_of
from presat.tracking.lock import HOLDER_NAME
from presat.tracking.provenance import PROVENANCE

_ANSWER_S = 60.0
"""Seconds that a node has to say whether it can run cells."""
_CONNECT_S = 10.0
"""Seconds that a cluster has to answer."""
_LOOK_S = 2.0
"""Seconds between two looks at the nodes."""
_LOST = -signal.SIGKILL


class Share(NamedTuple):
    """What a cell asks of a node."""

    cpus: int
    gpus: float

    def fits(self, resources: Mapping[str, float]) -> int:
        """How many cells a node has room for."""
        cells = int(resources.get("CPU", 0) // self.cpus)
        return min(cells, int(resources.get("GPU", 0) / self.gpus)) if self.gpus else cells

    def __str__(self) -> str:
        return f"{self.cpus} CPUs" + (f" and {self.gpus:g} GPUs" if self.gpus else "")


class RayWorkers:
    """Runs verbs on a Ray cluster.

    Args:
        address: the cluster's, or `auto` for the one that this machine is a node of.
        study: what is run; how many cells side by side, and what each asks for.
        say: called with what a person should know, a sentence at a time.

    Raises:
        ConfigError: Ray is not installed, or the address is of a kind that does not serve.
        RunError: there is no such cluster, or no node of it can run cells.
    """

    def __init__(self, address: str, study: StudyConfig, folder: Folder, say: Callable[[str], None]) -> None:
        self._folder, self._say, self._retries = folder, say, study.ray.retries
        self._home = _home(folder)
        self._up: dict[str, str] = {}
        self._refused: dict[str, str] = {}
        self._running: dict[Any, str] = {}
        self._jobs: dict[str, on_node.Job] = {}
        self._workers, self._looked, self._room, self._hopeless = study.workers, 0.0, 0, False
        with contextlib.ExitStack() as stack:
            # what Ray has to say of its nodes it prints, and standard output is for the result
            messages = stack.enter_context((folder.path / "logs" / "ray.log").open("a", buffering=1, encoding="utf-8"))
            stack.enter_context(contextlib.redirect_stdout(messages))
            self._ray = _connected(address)
            stack.callback(self._ray.shutdown)
            self._ask_nodes()
            self._share = share(study, [node["Resources"] for node in self._nodes()])
            self._need_room()
            self.threads = self._share.cpus
            self.count = self._workers or self._room
            self._open = stack.pop_all()

    @property
    def free(self) -> int:
        """How many more can start."""
        return (self._workers or self._room) - len(self._running)

    def start(self, name: str, verb: str, config: Path, log: Path) -> None:
        """Give a verb with the settings in a file to Ray; all that it says goes to the end of `log`."""
        environment = division(self.threads)
        if not self._share.gpus:
            environment["CUDA_VISIBLE_DEVICES"] = ""  # Ray sets it where a cell asks for GPUs
        self._jobs[name] = on_node.Job(
            words=[*verb.split(), "--config", str(config.absolute()), "--json"],
            run=str(self._folder.run(name).absolute()),
            record=PROVENANCE,
            resumes="resume" in read_yaml_file(config),
            log=str(log.absolute()),
            environment=environment,
            ends_with=ENDS_WITH,
            grace_s=GRACE_S,
        )
        self._submit(name)

    def ended(self) -> dict[str, Ended]:
        """Return those that have ended since the last look.

        Raises:
            RunError: the nodes that are left refuse to run cells.
        """
        if self._hopeless:
            raise RunError(self._why_none())
        if time.monotonic() - self._looked > _LOOK_S:
            self._look()
        found: dict[str, Ended] = {}
        for name, refused, ended in self._over():
            if refused:
                self._submit(name)  # another node has it now
                self._hopeless = not self._look()
            else:
                found[name] = ended
        return found

    def close(self) -> dict[str, Ended]:
        """Ask all that still run to end, kill those that take too long, and return how they ended."""
        with self._open:
            self._cancel(force=False)
            found = {name: ended for name, _, ended in self._over()}
            self._cancel(force=True)
            return found | dict.fromkeys(self._running.values(), Ended(128 + signal.SIGTERM, "it was ended"))

    def _cancel(self, force: bool) -> None:
        for reference in self._running:
            self._ray.cancel(reference, force=force)
        if self._running:
            self._ray.wait(list(self._running), num_returns=len(self._running), timeout=2 * GRACE_S)

    def _submit(self, name: str) -> None:
        task = self._ray.remote(on_node.run_cell).options(
            name=f"presat {name}",
            num_cpus=self._share.cpus,
            num_gpus=self._share.gpus,
            max_retries=self._retries,
            label_selector={"ray.io/node-id": f"!in({','.join(self._refused)})"} if self._refused else None,
        )
        self._running[task.remote(self._home, self._jobs[name])] = name

    def _over(self) -> Iterator[tuple[str, str, Ended]]:
        """Yield every cell that has ended: its name, why its node refused it, and how it ended."""
        if not self._running:
            return
        over, _ = self._ray.wait(list(self._running), num_returns=len(self._running), timeout=0)
        for reference in over:
            name = self._running.pop(reference)
            try:
                node, refused, code = self._ray.get(reference)
            except self._ray.exceptions.RayTaskError as error:
                yield name, "", Ended(1, str(error.cause))
            except self._ray.exceptions.RayError as error:
                yield name, "", Ended(_LOST, _first_line(error))
            else:
                if refused:
                    self._refuse(node, refused)
                yield name, refused, Ended(code, reason_of(code, Path(self._jobs[name].log)))

    def _ask_nodes(self) -> None:
        """Ask every node whether it can run cells."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # pyright: ignore[reportMissingImports]

        task, asked = self._ray.remote(on_node.unfit), {}
        for node in self._nodes():
            if node["Resources"].get("CPU"):
                there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
                asked[task.options(num_cpus=0, max_retries=0, scheduling_strategy=there).remote(self._home)] = node
        if not asked:
            return
        self._ray.wait(list(asked), num_returns=len(asked), timeout=_ANSWER_S)
        for reference, node in asked.items():
            try:
                if refused := self._ray.get(reference, timeout=0):
                    self._refuse(node["NodeID"], refused)
            except self._ray.exceptions.RayError as error:
                name = node["NodeManagerHostname"]
                why = f"The node {name} runs no cells of this study: it does not answer ({_first_line(error)})."
                self._refuse(node["NodeID"], why)

    def _refuse(self, node: str, why: str) -> None:
        if node not in self._refused:
            self._say(why)
        self._refused[node] = why

    def _nodes(self) -> list[dict[str, Any]]:
        """The nodes that are up and may run cells."""
        return [node for node in self._ray.nodes() if node["Alive"] and node["NodeID"] not in self._refused]

    def _look(self) -> int:
        """Return how many cells the nodes have room for now."""
        self._looked = time.monotonic()
        nodes, before = self._nodes(), self._room
        self._room = sum(self._share.fits(node["Resources"]) for node in nodes)
        up = {node["NodeID"]: f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})" for node in nodes}
        for lost in self._up.keys() - up.keys() - self._refused.keys():
            self._say(f"The node {self._up[lost]} is lost. Ray takes up its cells elsewhere.")
        self._up = up
        if before and not self._room:
            self._say(f"{self._why_none()} Cells wait for one; Ctrl-C ends that.")
        return self._room

    def _need_room(self) -> None:
        if not self._look():
            raise RunError(self._why_none())

    def _why_none(self) -> str:
        if not self._nodes() and self._refused:
            return " ".join(["No node of the Ray cluster can run cells.", *self._refused.values()])
        return (
            f"No node of the Ray cluster has the {self._share} that a cell asks for. Start one that has (`ray start "
            "--address=HOST:PORT`), or ask for less: `ray.cpus` and `ray.gpus` in the study's file."
        )


def share(study: StudyConfig, nodes: Sequence[Mapping[str, float]]) -> Share:
    """Return what a cell asks for: what the study says, else what it would get if each node was this machine.

    Args:
        study: what is run.
        nodes: the resources of each node, as Ray names them.
    """
    gpus = study.ray.gpus
    if gpus is None:
        gpus = 1.0 if any(node.get("GPU", 0) >= 1 for node in nodes) else 0.0
    if study.ray.cpus:
        return Share(study.ray.cpus, gpus)
    if gpus:
        with_gpus = [node for node in nodes if node.get("GPU", 0) >= gpus]
        cpus = min((int(node.get("CPU", 0) / (node["GPU"] // gpus)) for node in with_gpus), default=1)
    elif study.workers:
        cores = [int(node.get("CPU", 0)) for node in nodes]
        cpus = min(max(cores, default=1), sum(cores) // study.workers)
    else:
        cpus = 1
    return Share(max(1, cpus), gpus)


def _home(folder: Folder) -> on_node.Home:
    holder = (folder.path / HOLDER_NAME).absolute()
    return on_node.Home(
        version=presat.__version__,
        code=on_node.fingerprint(Path(presat.__file__).parent),
        cwd=os.getcwd(),  # noqa: PTH109 (as text)
        holder=str(holder),
        said=holder.read_text(encoding="utf-8"),
    )


def _connected(address: str) -> Any:
    """Return Ray's module, connected to a cluster; signals that end a program keep the meaning they had.

    Raises:
        ConfigError: Ray is not installed, or the address is of a kind that does not serve.
        RunError: there is no such cluster, or it is of another version of Ray or Python.
    """
    if "://" in address:
        raise ConfigError(
            f"--ray {address}: the study is driven from a node of the cluster. Go to one, and say `--ray auto`."
        )
    try:
        import ray  # pyright: ignore[reportMissingImports]  (an optional extra)
        from ray import cloudpickle  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise ConfigError("--ray needs Ray, which is not installed here: run `pip install 'presat[ray]'`.") from error
    cloudpickle.register_pickle_by_value(on_node)
    handlers = {number: signal.getsignal(number) for number in ENDING}
    try:
        _listens(address)
        ray.init(address=address, namespace="presat", log_to_driver=False, logging_level=logging.WARNING)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise RunError(
            f"Cannot join the Ray cluster ({address}): {_first_line(error)} Start one by `ray start --head`, join this "
            "machine to one by `ray start --address=HOST:PORT`, or name its address: `--ray HOST:PORT`."
        ) from error
    finally:
        for number, handler in handlers.items():
            if handler is not None:
                signal.signal(number, handler)
    return ray


def _listens(address: str) -> None:
    """Look whether anything is at an address: Ray itself would wait for it for many minutes.

    Raises:
        OSError: nothing is.
        ValueError: it is no address.
    """
    if address == "auto":  # where Ray notes the cluster that this machine joined last; it may be long gone
        noted = Path(os.environ.get("RAY_TMPDIR", "/tmp"), "ray", "ray_current_cluster")  # noqa: S108 (Ray's choice)
        address = os.environ.get("RAY_ADDRESS") or (noted.read_text().strip() if noted.is_file() else "")
        if not address or address == "auto":
            raise ConnectionError("this machine is no node of one.")
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError("an address is HOST:PORT.")
    try:
        socket.create_connection((host, int(port)), _CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise ConnectionError(f"nothing answers at {address} ({error}).") from error


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
