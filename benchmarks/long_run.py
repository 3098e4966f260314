"""A long GRPO run of a tiny model: whether memory, files or the time of a step grow with the steps.

    .venv/bin/python benchmarks/long_run.py [STEPS] [FOLDER]

Prints the slope of the memory after the first steps, what a step takes at the start and at the end, and how many files
of which size are left. Every 25th step is evaluated and saved, which is where things pile up.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np

from presat.config.schema import EvalSettings, ModelConfig, OptimConfig, RewardConfig, TaskConfig, TrainConfig
from presat.models import make_lab_model
from presat.training import run_train

STEPS, WARM_UP, EVERY = 2000, 200, 25
"""Steps; those before memory is judged; between two evaluations and checkpoints."""
LOOK_S = 0.2


def settings(folder: Path, steps: int) -> TrainConfig:
    """A run of short responses, so that what surrounds a step weighs most."""
    return TrainConfig(
        run=folder / "run",
        model=ModelConfig(name=str(make_lab_model(folder / "model", seed=0))),
        data=TaskConfig(source="lab/chains", count=16),
        reward=RewardConfig(source="random"),
        eval=EvalSettings(
            sets=[TaskConfig(source="lab/chains", name="held_out", count=4, options={"split": "held_out"})],
            every=EVERY,
            samples=4,
        ),
        optim=OptimConfig(lr=1e-5),
        steps=steps,
        prompts_per_step=2,
        group_size=2,
        micro_batch=4,
        max_new_tokens=8,
        max_prompt_tokens=64,
        save_every=EVERY,
        save_rollouts_every=5,
        threads=1,
    )


class Watch(threading.Thread):
    """Looks at this process now and then: `looks`, seconds since the epoch, MB of memory, and its processor seconds."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.looks: list[tuple[float, float, float]] = []
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(LOOK_S):
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self.looks.append((time.time(), pages * 4096 / 1e6, time.process_time()))


def report(run: Path, looks: list[tuple[float, float, float]]) -> None:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    rows = [row for row in rows if row["step"] >= 1]
    steps, times = [row["step"] for row in rows], [row["time"] for row in rows]
    at, memory, busy = np.array(looks).T
    step_of_look = np.interp(at, times, steps)
    for first, last in ((min(WARM_UP, steps[-1] // 10), steps[-1]), (steps[-1] // 2, steps[-1])):
        judged = (step_of_look > first) & (step_of_look < last)
        slope = np.polyfit(step_of_look[judged], memory[judged], 1)[0] * 1000
        print(f"memory, steps {first} to {last}: {slope:+.1f} MB per 1000 steps, at {memory[judged][-1]:.0f} MB")
    tenth = len(rows) // 10
    for name, part in (("first", rows[5:tenth]), ("last", rows[-tenth:])):
        waited = statistics.median(row["step_time"] for row in part)
        used = np.diff(np.interp([part[0]["time"], part[-1]["time"]], at, busy))[0] / (len(part) - 1)
        print(f"{name} tenth: {1000 * waited:.0f} ms a step, {1000 * used:.0f} ms of a processor with all around it")
    files = [path for path in run.rglob("*") if path.is_file()]
    print(f"files: {len(files)}, {sum(path.stat().st_size for path in files) / 1e6:.1f} MB")
    counts, sizes = Counter(), Counter()
    for path in files:
        kind = path.relative_to(run).parts[0]
        counts[kind] += 1
        sizes[kind] += path.stat().st_size
    for kind, count in sorted(counts.items()):
        print(f"  {kind}: {count} files, {sizes[kind] / 1e6:.2f} MB")
    states = sorted(run.glob("checkpoints/*/trainer_state.json"), key=lambda path: int(path.parent.name[5:]))
    print(f"trainer_state.json: {states[0].stat().st_size} bytes in the first, {states[-1].stat().st_size} in the last")


def main() -> None:
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else STEPS
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(temporary)
        watch = Watch()
        watch.start()
        run_train(settings(folder, steps), quiet=True)
        watch.over.set()
        report(folder / "run", watch.looks)


if __name__ == "__main__":
    main()
