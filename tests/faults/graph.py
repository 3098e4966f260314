"""A small graph of stages, run as the demo runs its own: on a pool of processes, with stamps."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from presat.files import write_atomically
from presat.study import Stage, run_graph

SECONDS = 0.3


def work(inputs: dict[str, int], name: str, folder: str) -> int:
    """A stage: takes a moment, writes a file, and adds to what it was given."""
    time.sleep(SECONDS)
    made = sum(inputs.values()) + len(name)
    write_atomically(Path(folder) / f"{name}.json", json.dumps({"made": made}))
    return made


def run(folder: str) -> None:
    """Run the graph to its end, and the process too."""
    place = Path(folder)
    place.mkdir(exist_ok=True)
    after = {"base": (), "cpt": ("base",), "a": ("base",), "b": ("cpt",), "c": ("a",), "d": ("a", "b")}
    stages = [Stage(name, work, {"name": name, "folder": folder}, needs) for name, needs in after.items()]
    results = run_graph(stages, place, workers=2)
    write_atomically(place / "results.json", json.dumps(results))
    os._exit(0)


def results(folder: Path) -> dict[str, Any]:
    """The results of every stage, and what each wrote; not who held the folder's lock."""
    return {file.name: json.loads(file.read_text()) for file in sorted((folder / "graph").glob("[!.]*.json"))}
