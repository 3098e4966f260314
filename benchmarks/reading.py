"""Reading many runs, and watching one: `python benchmarks/reading.py [report] [watch] [help]`, all if none is named.

`report` is of 200 runs of 500 steps with 512 responses each, as `presat train` leaves them by default: the responses of
every step, and an evaluation every 25 steps (of 100 problems x 16). To be made in a minute and on a few hundred MB, all
runs have the same files of responses (hard links), and every run its own log; so the disk is read from memory.
`watch` is of a run of 5,000 steps with responses, to which a step is added every second. What counts on a machine that
does other things as well are processor seconds: beside them stands what the clock says.
"""

from __future__ import annotations

import json
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from timing import processor

from presat.config.schema import EvalSettings, ModelConfig, RewardConfig, TaskConfig, TrainConfig
from presat.metrics import mean_pass_at_k
from presat.tracking import RolloutStore, RunWriter
from presat.types import Completion, Problem, RolloutGroup, Score

RUNS, STEPS, PROMPTS, GROUP = 200, 500, 64, 8
EVALUATED, SAMPLES, EVERY = 100, 16, 25
WATCHED_STEPS, WATCHED_S = 5000, 60
SET = "held_out"
LOOK_S = 0.25
WORDS = "so we then have the sum of all parts and each of them is as large as it was before this step"


class Cost(NamedTuple):
    """What a command took, its children included.

    Attributes:
        wall_s: seconds by the clock.
        cpu_s: seconds of a processor.
        peak_mb: most memory at a time, shared pages counted once.
    """

    wall_s: float
    cpu_s: float
    peak_mb: float


def measured(words: Sequence[str], end_after_s: float | None = None, warm_up_s: float = 0.0) -> Cost:
    """Run `presat` in a fresh process and say what it took.

    Args:
        words: its command line.
        end_after_s: seconds after which it is interrupted.
        warm_up_s: seconds at the beginning of which the processor time does not count.
    """
    began, peak_mb, before_s = time.perf_counter(), 0.0, 0.0
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen([sys.executable, "-m", "presat", *words], stdout=said, stderr=subprocess.STDOUT)
        while (ended := os.wait4(child.pid, os.WNOHANG))[0] == 0:
            time.sleep(LOOK_S if time.perf_counter() - began > 1 else LOOK_S / 50)
            if end_after_s is None:
                peak_mb = max(peak_mb, sum(map(_memory_mb, _family(child.pid))))
                continue
            passed = time.perf_counter() - began
            before_s = _cpu_s(child.pid) if passed < warm_up_s else before_s
            if passed > end_after_s:
                os.kill(child.pid, signal.SIGTERM)  # Popen's own would look for the end, and take it from `wait4`
        wall_s, usage = time.perf_counter() - began, ended[2]
        child.returncode = os.waitstatus_to_exitcode(ended[1])
        if end_after_s is None and child.returncode:
            said.seek(0)
            raise SystemExit(said.read().decode())
    return Cost(wall_s, usage.ru_utime + usage.ru_stime - before_s, peak_mb)


def _family(pid: int) -> list[int]:
    """A process and those it started."""
    found = [pid]
    for each in found:
        for task in Path(f"/proc/{each}/task").glob("*/children"):
            try:
                found += map(int, task.read_text().split())
            except OSError:  # it has just ended
                continue
    return found


def _memory_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has just ended
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def _cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has just ended
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def settings(folder: Path, steps: int) -> TrainConfig:
    """What a run is told, defaults but for the names."""
    return TrainConfig(
        run=folder,
        model=ModelConfig(name="some/model"),
        data=TaskConfig(source="train.parquet"),
        reward=RewardConfig(source="verifiable"),
        eval=EvalSettings(sets=[TaskConfig(source="test.parquet", name=SET)]),
        steps=steps,
    )


def groups(step: int, prompts: int, size: int, share: float) -> tuple[list[RolloutGroup], list[list[Score]]]:
    """Responses of some 120 words to `prompts` questions, right with chance `share`."""
    draw = random.Random(step * 1000 + size)
    words = WORDS.split()
    found, scores_PG = [], []
    for p in range(prompts):
        a, b, c = 11 + p, 3 + p % 7, 5 + p % 11
        text = f"A shop sells {a} boxes of {b} pens, and {c} pens are lost. How many are left?"
        problem = Problem(f"pens-{p}", ({"role": "user", "content": text},), str(a * b - c), "math", "math")
        responses, scores = [], []
        for _ in range(size):
            right = draw.random() < share
            answer = a * b - c + (0 if right else draw.randint(1, 9))
            story = " ".join(draw.choices(words, k=100))
            said = f"First, {a} * {b} = {a * b}. {story}. Then {a * b} - {c} = {answer}. It is \\boxed{{{answer}}}."
            tokens = tuple(draw.choices(range(32_000), k=170))
            responses.append(Completion(said, tokens, None, True))
            scores.append(Score(float(right), str(answer)))
        found.append(RolloutGroup(problem, tuple(range(40)), tuple(responses), step * prompts + p))
        scores_PG.append(scores)
    return found, scores_PG


def chance(step: int, steps: int) -> float:
    """How often a response is right at a step."""
    return 0.3 + 0.5 * (1 - math.exp(-4 * step / steps))


def line(step: int, steps: int, seed: int) -> dict[str, float | None]:
    """What `presat train` logs of a step."""
    draw = random.Random(seed * 100_000 + step)
    reward = min(1.0, max(0.0, draw.gauss(chance(step, steps), 0.02)))
    names = ("min", "max")
    lengths = {
        f"completions/{part}{name}_length": draw.uniform(90, 250) for part in ("", "terminated_") for name in names
    }
    zeros = ("labels/missing", "verify/cache_hits", "verify/timeouts", "verify/crashes", "completions/clipped_ratio")
    clips = ("low_mean", "high_mean", "region_mean", "low_min", "high_max")
    return {
        "loss": draw.gauss(0, 0.01),
        "grad_norm": draw.uniform(0.2, 0.6),
        "learning_rate": 1e-6,
        "labels/gold_accuracy": reward,
        "labels/all_right": reward / 3,
        "labels/all_wrong": (1 - reward) / 3,
        "labels/mixed": 2 / 3,
        "labels/majority_share": draw.uniform(0.5, 0.6),
        **dict.fromkeys(zeros, 0.0),
        "num_tokens": 1e5 * step,
        "completions/mean_length": draw.uniform(160, 180),
        "completions/mean_terminated_length": draw.uniform(160, 180),
        **lengths,
        "rewards/verifiable/mean": reward,
        "rewards/verifiable/std": 0.4,
        "reward": reward,
        "reward_std": 0.4,
        "frac_reward_zero_std": 1 / 3,
        "kl": draw.uniform(0, 0.01),
        "entropy": draw.uniform(0.4, 0.5),
        **{f"clip_ratio/{name}": 0.0 for name in clips},
        "step_time": draw.uniform(30, 32),
        "saturation/saturated": 0.0,
        "saturation/t_sat": None,
        "epoch": step / 10,
    }


def evaluate(store: RolloutStore, step: int, steps: int) -> dict[str, float]:
    """Write an evaluation; return its metrics."""
    found, scores_PG = groups(step, EVALUATED, SAMPLES, chance(step, steps))
    store.write("eval", step, found, scores_PG, set_name=SET)
    values_PG = [[score.value for score in scores] for scores in scores_PG]
    flat = [value or 0.0 for row in values_PG for value in row]
    return {
        f"eval/{SET}/avg@{SAMPLES}": sum(flat) / len(flat),
        f"eval/{SET}/pass@{SAMPLES}": mean_pass_at_k(values_PG, SAMPLES) or 0.0,
        f"eval/{SET}/greedy": chance(step, steps),
        f"eval/{SET}/missing": 0.0,
        f"eval/{SET}/problems": float(EVALUATED),
        f"eval/{SET}/judged_problems": float(EVALUATED),
        f"eval/{SET}/length": 170.0,
        f"eval/{SET}/finished": 1.0,
    }


def write(store: RolloutStore, step: int, prompts: int, share: float) -> None:
    """Write the responses of a training step."""
    found, scores_PG = groups(step, prompts, GROUP, share)
    store.write("train", step, found, scores_PG, [[score.value for score in scores] for scores in scores_PG])


def make_runs(folder: Path, runs: int, steps: int) -> list[Path]:
    """Write the runs; the responses of the first, and links to them in the others."""
    paths = [folder / f"run-{seed:03}" for seed in range(runs)]
    store = RolloutStore(paths[0] / "rollouts")
    evaluations: dict[int, dict[str, float]] = {}
    for seed, path in enumerate(paths):
        with RunWriter(path, settings(path, steps), "train"):
            pass
        if not seed:
            for step in range(1, steps + 1):
                write(store, step, PROMPTS, chance(step, steps))
            evaluations = {step: evaluate(store, step, steps) for step in range(0, steps + 1, EVERY)}
        else:
            for file in (paths[0] / "rollouts").glob("*/*.parquet"):
                linked = path / "rollouts" / file.parent.name / file.name
                linked.parent.mkdir(parents=True, exist_ok=True)
                os.link(file, linked)
        with (path / "metrics.jsonl").open("w", encoding="utf-8") as log:
            for step in range(steps + 1):
                log.write(logged(step, steps, seed, evaluations))
    return paths


def logged(step: int, steps: int, seed: int, evaluations: dict[int, dict[str, float]]) -> str:
    """A line of a log."""
    own = line(step, steps, seed) if step else {}
    return json.dumps({"step": step, "time": 1.8e9 + 30.0 * step, **own, **evaluations.get(step, {})}) + "\n"


def _megabytes(folder: Path) -> float:
    files = {file.stat().st_ino: file.stat().st_size for file in folder.rglob("*") if file.is_file()}
    return sum(files.values()) / 1e6


def measure_report(runs: int = RUNS) -> None:
    with tempfile.TemporaryDirectory(prefix="presat-reading-") as made:
        folder = Path(made)
        paths = make_runs(folder, runs, STEPS)
        responses = PROMPTS * GROUP
        print(f"\n{runs} runs x {STEPS} steps x {responses} responses ({_megabytes(folder):,.0f} MB, shared by links)")
        cost = measured(["report", *map(str, paths), "--out", str(folder / "report.html")])
        print(f"  presat report: {cost.wall_s:.1f} s, {cost.cpu_s:.1f} processor seconds, {cost.peak_mb:,.0f} MB")


def measure_watch(steps: int = WATCHED_STEPS, seconds: int = WATCHED_S) -> None:
    """The share of a core that `watch` takes, its start left out."""
    with tempfile.TemporaryDirectory(prefix="presat-reading-") as made:
        path = Path(made) / "run"
        store = RolloutStore(path / "rollouts")
        start = 15
        with RunWriter(path, settings(path, 2 * steps), "train"):
            stop = threading.Event()
            evaluations = {step: evaluate(store, step, steps) for step in range(0, steps + 1, 10 * EVERY)}
            for step in range(1, steps + 1, 25):
                write(store, step, 4, 0.5)
            with (path / "metrics.jsonl").open("w", encoding="utf-8") as log:
                for step in range(steps + 1):
                    log.write(logged(step, steps, 0, evaluations))

            def grow() -> None:
                step = steps
                while not stop.wait(1.0):
                    step += 1
                    with (path / "metrics.jsonl").open("a", encoding="utf-8") as log:
                        log.write(logged(step, steps, 0, {}))
                    write(store, step, 4, 0.5)

            thread = threading.Thread(target=grow)
            thread.start()
            try:
                cost = measured(["watch", str(path)], seconds + start, start)
            finally:
                stop.set()
                thread.join()
    print(f"\nwatch, a run of {steps} steps that grows by one a second, {seconds} s")
    print(f"  {cost.cpu_s:.2f} processor seconds: {cost.cpu_s / seconds:.1%} of a core")


def measure_help(rounds: int = 5) -> None:
    costs = [measured(["--help"]) for _ in range(rounds)]
    best = sorted(costs)[rounds // 2]
    print(
        f"\npresat --help: {best.wall_s:.2f} s, {best.cpu_s:.2f} processor seconds, {best.peak_mb:.0f} MB (median of 5)"
    )


WORKS = {"report": measure_report, "watch": measure_watch, "help": measure_help}


def main(names: Sequence[str] = ()) -> None:
    print(f"\nReading, {processor()}, {os.cpu_count()} processors")
    for name in names or WORKS:
        WORKS[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
