"""Alarms beside `rldoctor` and `rlprobe`: which fault each names, at which step, and false alarms a healthy run.

    pip install --target PEERS rldoctor rlprobe       # for this comparison alone: presat needs neither
    PYTHONPATH=PEERS .venv/bin/python benchmarks/alarms.py [scenarios] [lab FOLDER] [--seeds 20]

`scenarios`: the synthetic runs that both ship, healthy ones included. `lab FOLDER`: the runs that
`benchmarks/alarm_lab.py FOLDER` makes. A tool that is not there is left out, and so are its scenarios.

Every tool reads the same numbers, under the names it knows. A run is looked at when each tenth of it is there; a fault
is named at the first of these at which an alarm of `NAMES`, of severity warning or worse, is raised, and a healthy run
has a false alarm if any such alarm is raised at any of them. The seeds that presat's thresholds were settled on are
shown apart (`SETTLED`). The peers' thresholds were settled by their authors on their own scenarios.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alarm_lab import FAULTS, HEALTHY

from presat.diagnosis import alarms
from presat.jsons import Faults, log_lines
from presat.tracking import Run, open_run
from presat.tracking.readers.build import Log, run_of

Row = dict[str, Any]
LOOKS = 10
SETTLED = {"scenarios": range(4), "healthy lab runs": range(1, 3), "lab faults": range(1, 2)}
"""Seeds that were looked at while the thresholds were settled; all others were not."""
"""Looks at a run, evenly spaced."""
TOOLS = ("presat", "rldoctor", "rlprobe")
PEERS = {"rldoctor": "rl_doctor", "rlprobe": "rlprobe"}
LIMIT, WIDTH = 24, 26

DEAD = {"dead_groups_all_right", "dead_groups_all_wrong", "dead_groups_mixed", "dead_groups_truncated"}
DEAD |= {"dead_groups_identical", "dead_groups_unjudged", "dead_groups_all_rewarded", "dead_groups_all_unrewarded"}
DEAD |= {"vanishing_advantage"}
HACKED = {"reward_hacking", "truth_flat", "above_truth", "held_out_fell", "memorising", "held_out_flat"}
STUCK = {"policy_stuck", "kl_weight"}
_COLLAPSE = ({"advantage_collapse"}, {"DEGENERATE_GROUPS", "ADV_COLLAPSE", "REWARD_STD_DEATH"})
_HACKED = ({"reward_hacking"}, {"REWARD_HACK_LENGTH", "FORMAT_GAMING"})
_LENGTH = ({"length_pathology"}, {"TRUNCATION_STARVE"})
_KL = ({"kl_drift"}, {"KL_BLOWUP"})
NAMES: dict[str, tuple[set[str], set[str], set[str]]] = {
    # rldoctor's and rlprobe's scenarios
    "entropy_collapse": ({"entropy_collapse"}, {"entropy_collapse"}, {"ENTROPY_COLLAPSE"}),
    "saturated_groups": (DEAD, *_COLLAPSE),
    "too_hard": (DEAD, *_COLLAPSE),
    "reward_hacking": (HACKED, *_HACKED),
    "length_hacking": ({"length_growth", *HACKED}, {"length_pathology", "reward_hacking"}, {"REWARD_HACK_LENGTH"}),
    "truncation": ({"truncation"}, *_LENGTH),
    "kl_blowup": ({"kl_runaway"}, *_KL),
    "clip_saturation": ({"clip_saturation"}, {"clip_saturation"}, {"CLIP_SATURATION"}),
    "grad_spikes": ({"gradient_spikes", "not_finite"}, {"gradient_pathology"}, {"GRAD_PATHOLOGY"}),
    "plateau": ({"plateau"}, {"plateau"}, set()),
    "format_domination": ({"part_drowns", "format_farming"}, {"reward_composition"}, {"FORMAT_GAMING"}),
    "reward_hack_length": ({"length_growth"}, {"length_pathology", "reward_hacking"}, {"REWARD_HACK_LENGTH"}),
    "format_gaming": ({"part_drowns", "format_farming"}, {"reward_composition"}, {"FORMAT_GAMING"}),
    "degenerate_groups": (DEAD, *_COLLAPSE),
    "adv_collapse": (DEAD, *_COLLAPSE),
    "value_divergence": ({"critic_diverging"}, set(), {"VALUE_DIVERGENCE"}),
    "grad_pathology": ({"gradient_spikes", "not_finite"}, {"gradient_pathology"}, {"GRAD_PATHOLOGY"}),
    "truncation_starve": ({"truncation"}, *_LENGTH),
    "repetition_spiral": ({"repetition"}, set(), {"REPETITION_SPIRAL"}),
    "reward_std_death": (DEAD, *_COLLAPSE),
    "ref_drift_asymmetry": ({"kl_in_first_tokens"}, {"kl_drift"}, {"REF_POLICY_DRIFT_ASYMMETRY"}),
    "throughput_rot": ({"slower_steps"}, set(), {"THROUGHPUT_ROT"}),
    # the lab's faults
    "rate_x100": ({"kl_runaway", "reward_collapse", "gradient_spikes"}, {"kl_drift", "gradient_pathology"},
                  {"KL_BLOWUP", "GRAD_PATHOLOGY"}),
    "rate_none": (STUCK, {"plateau"}, set()),
    "kl_weight_10": (STUCK, {"kl_drift"}, {"KL_BLOWUP"}),
    "limit_8": ({"truncation", "dead_groups_truncated"}, *_LENGTH),
    "no_end": ({"truncation", "repetition"}, _LENGTH[0], {"TRUNCATION_STARVE", "REPETITION_SPIRAL"}),
    "all_solved": ({"dead_groups_all_right", "vanishing_advantage"}, *_COLLAPSE),
    "unsolvable": ({"dead_groups_all_wrong", "nothing_earned"}, *_COLLAPSE),
    "wrong_labels": ({"labels_wrong", *HACKED}, *_HACKED),
    "greedy": ({"dead_groups_identical", "dead_groups_mixed"}, *_COLLAPSE),
    "unread": ({"answers_unread"}, *_COLLAPSE),
    "gate_alone": ({"format_farming", *HACKED}, _HACKED[0] | {"reward_composition"}, _HACKED[1]),
    "reversed": (HACKED, *_HACKED),
    "passes_all": ({"above_truth", *DEAD}, {"reward_hacking", *_COLLAPSE[0]}, _COLLAPSE[1]),
    "by_length": ({"length_growth", *HACKED}, {"length_pathology", "reward_hacking"}, {"REWARD_HACK_LENGTH"}),
    "constant_vote": ({"constant_answer", "labels_wrong", *HACKED}, *_HACKED),
    "certainty": (HACKED, *_HACKED),
    "memorises": ({"memorising", "held_out_flat", "held_out_fell"}, *_HACKED),
    "format_drowns": ({"part_drowns", "format_farming", *HACKED}, {"reward_composition"}, {"FORMAT_GAMING"}),
}  # fmt: skip
"""By which alarms of presat, rldoctor and rlprobe a fault counts as named. What a peer has no alarm for is an empty set
or the nearest one it has."""


@dataclass
class Case:
    """One run and its fault (empty: healthy), as every tool may read it."""

    fault: str
    seed: int
    rows: list[Row]
    run: Run
    config: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "scenarios"

    def until(self, step: int) -> Case:
        """The run as it was after a step."""
        values = {
            name: {at: value for at, value in series.items() if at <= step} for name, series in self.run.values.items()
        }
        run = _Cut(self.run.path, self.run.kind, {name: found for name, found in values.items() if found})
        run.config, run.until, run.status = self.run.config, step, "running"
        rows = [row for row in self.rows if row["step"] <= step]
        return Case(self.fault, self.seed, rows, run, self.config, self.kind)


class _Cut(Run):
    """A run of ours of which the responses after a step are not there yet."""

    until = 0

    def rollout_steps(self, split: Any = "train") -> list[int]:
        return [step for step in super().rollout_steps(split) if step <= self.until]

    def rollouts(self, split: Any = "train", steps: Any = None, **kwargs: Any) -> Any:
        return super().rollouts(split, self.rollout_steps(split) if steps is None else steps, **kwargs)


def presat_names(case: Case) -> set[str]:
    """What presat raises, of warning or worse."""
    return {alarm.name for alarm in alarms(case.run, live=case.run.status == "running") if alarm.severity != "info"}


def rldoctor_names(case: Case) -> set[str]:
    """What rldoctor raises, of warning or worse."""
    from rl_doctor import diagnose  # pyright: ignore[reportMissingImports]
    from rl_doctor.detectors.base import Severity  # pyright: ignore[reportMissingImports]
    from rl_doctor.ingest.base import run_from_records  # pyright: ignore[reportMissingImports]

    found = diagnose(run_from_records(case.rows, config=dict(case.config)))
    return {finding.detector for finding in found.findings if finding.severity >= Severity.WARNING}


def rlprobe_names(case: Case) -> set[str]:
    """What rlprobe raises, of warning or worse."""
    from rlprobe.doctor import RunView, engine  # pyright: ignore[reportMissingImports]
    from rlprobe.schemas import RunManifest, StepRecord  # pyright: ignore[reportMissingImports]

    records = [StepRecord(**_recorded(row)) for row in case.rows]
    manifest = RunManifest(run_id="case", created_at="", algorithm="grpo", trainer_config=dict(case.config))
    found = engine.diagnose_view(RunView(manifest, records))
    return {finding.signature_id for finding in found if finding.severity != "info"}


_RECORDED = {
    "reward": "reward_mean", "reward_std": "reward_std", "kl": "kl_mean", "entropy": "entropy_mean",
    "clip_ratio/region_mean": "clip_fraction", "frac_reward_zero_std": "zero_variance_group_frac",
    "completions/mean_length": "completion_len_mean", "completions/max_length": "completion_len_max",
    "completions/clipped_ratio": "truncation_rate", "learning_rate": "lr", "step_time": "step_time_s",
    "grad_norm": "grad_norm", "loss": "loss",
}  # fmt: skip
"""What rlprobe's recorder calls TRL's metrics."""


def _recorded(row: Row) -> Row:
    """A row as rlprobe's recorder would have it."""
    found = {theirs: row[ours] for ours, theirs in _RECORDED.items() if row.get(ours) is not None}
    if "completions/clipped_ratio" in row:
        found["max_len_hit_frac"] = row["completions/clipped_ratio"]
    parts = {
        name.removeprefix("rewards/").removesuffix("/mean"): value
        for name, value in row.items()
        if name.startswith("rewards/") and name.endswith("/mean") and value is not None
    }
    return {**row.get("recorded", {}), **found, "step": row["step"], "reward_components": parts}


CHECKS: dict[str, Callable[[Case], set[str]]] = {
    "presat": presat_names,
    "rldoctor": rldoctor_names,
    "rlprobe": rlprobe_names,
}


def rldoctor_cases(seeds: int) -> Iterator[Case]:
    """The scenarios that rldoctor ships."""
    from rl_doctor.simulate import SCENARIOS, simulate  # pyright: ignore[reportMissingImports]

    for scenario in SCENARIOS:
        for seed in range(seeds):
            rows, config = simulate(scenario, seed=seed)
            rows = [{**row, "step": row["step"] + 1} for row in rows]
            yield Case("" if scenario == "healthy" else scenario, seed, rows, _read(rows), config)


def rlprobe_cases(seeds: int) -> Iterator[Case]:
    """The scenarios that rlprobe ships."""
    from rlprobe.storage import RunReader  # pyright: ignore[reportMissingImports]
    from rlprobe.testing.synth import PATHOLOGIES, generate_run  # pyright: ignore[reportMissingImports]

    back = {theirs: ours for ours, theirs in _RECORDED.items()}
    for scenario in (None, *PATHOLOGIES):
        for seed in range(seeds):
            with tempfile.TemporaryDirectory() as folder:
                records = RunReader(generate_run(folder, scenario, seed=seed, sample_every=500)).steps()
            rows = []
            for record in records:
                known = {name: value for name, value in record.model_dump().items() if value is not None}
                parts, stretches = known.pop("reward_components"), known.pop("kl_positional", [])
                row = {back.get(name, name): value for name, value in known.items() if isinstance(value, int | float)}
                row |= {f"rewards/{name}/mean": value for name, value in parts.items()}
                row |= {f"kl_positional/{place}": value for place, value in enumerate(stretches)}
                left = {name: value for name, value in known.items() if name not in back.values() and name != "step"}
                rows.append({**row, "step": record.step + 1, "recorded": {**left, "kl_positional": stretches}})
            yield Case(scenario or "", seed, rows, _read(rows), {"group_size": 8})


def lab_cases(folder: Path) -> Iterator[Case]:
    """The lab's runs that are finished."""
    for path in sorted((folder / "runs").iterdir()):
        name, _, seed = path.name.rpartition("-")
        if not path.is_dir() or name not in {**HEALTHY, **FAULTS}:
            continue
        run = open_run(path)
        if run.status not in ("finished", "stopped", "failed"):
            continue
        rows = [line.row for line in log_lines(path / "metrics.jsonl", Faults()) if line.row]
        rows = [_known(row) for row in rows if row["step"] > 0 or any(key.startswith("eval/") for key in row)]
        config = {"num_generations": run.config["group_size"], "beta": run.config["beta"]}
        kind = "lab faults" if name in FAULTS else "healthy lab runs"
        yield Case(name if name in FAULTS else "", int(seed), rows, run, config, kind)


def _known(row: Row) -> Row:
    """A row with the names the peers know: the held-out score as `eval/accuracy`, and no nulls."""
    found = {name: value for name, value in row.items() if value is not None}
    if "eval/held_out/avg@4" in found:
        found["eval/accuracy"] = found["eval/held_out/avg@4"]
    return found


def _read(rows: Sequence[Row]) -> Run:
    """The rows as presat reads a log of flat JSON lines."""
    flat = [{name: value for name, value in row.items() if name != "recorded"} for row in rows]
    return run_of(Log(Path("scenario.jsonl"), "csv", list(enumerate(flat, start=1))))


@dataclass
class Tally:
    """What one tool said of the runs of one kind."""

    runs: int = 0
    named: int = 0
    at: list[float] = field(default_factory=list)
    false: int = 0
    which: dict[str, int] = field(default_factory=lambda: defaultdict(int))


def compare(cases: Iterator[Case], tools: Sequence[str]) -> dict[tuple[str, str], dict[str, Tally]]:
    """Tallies by fault and part of the seeds (`settled on`, `held out`), of every tool."""
    tallies: dict[tuple[str, str], dict[str, Tally]] = {}
    for case in cases:
        half = "settled on" if case.seed in SETTLED[case.kind] else "held out"
        row = tallies.setdefault((case.fault, half), {tool: Tally() for tool in tools})
        last = max(row["step"] for row in case.rows)
        for tool in tools:
            tally = row[tool]
            tally.runs += 1
            place = TOOLS.index(tool)
            first, seen = math.nan, set()
            for look in range(1, LOOKS + 1):
                step = math.ceil(last * look / LOOKS)
                raised = CHECKS[tool](case if look == LOOKS else case.until(step))
                seen |= raised
                if case.fault and raised & NAMES[case.fault][place]:
                    first = step
                    break
            if case.fault:
                tally.named += not math.isnan(first)
                tally.at += [first] if not math.isnan(first) else []
            else:
                tally.false += bool(seen)
                for name in seen:
                    tally.which[name] += 1
    return tallies


def show(title: str, tallies: Mapping[tuple[str, str], dict[str, Tally]], tools: Sequence[str]) -> None:
    """Print one table for each part of the seeds."""
    for half in ("settled on", "held out"):
        rows = {fault: row for (fault, of), row in tallies.items() if of == half}
        if not rows:
            continue
        print(f"\n{title}, seeds {half}")
        print(f"{'fault':<{LIMIT}}" + "".join(f"{tool:<{WIDTH}}" for tool in tools))
        for fault, row in rows.items():
            cells = [_cell(row[tool], fault) for tool in tools]
            print(f"{fault or 'healthy':<{LIMIT}}" + "".join(f"{cell:<{WIDTH}}" for cell in cells), flush=True)


def _cell(tally: Tally, fault: str) -> str:
    if fault:
        middle = sorted(tally.at)[len(tally.at) // 2] if tally.at else None
        return f"{tally.named}/{tally.runs}" + ("" if middle is None else f" at step {middle:g}")
    which = ", ".join(f"{name} {count}" for name, count in sorted(tally.which.items()))
    return f"{tally.false}/{tally.runs} false" + (f" ({which})" if which else "")


def main() -> None:
    """Compare what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", default=["scenarios"], help="scenarios, lab FOLDER")
    parser.add_argument("--tools", nargs="+", default=TOOLS, help="which tools")
    parser.add_argument("--seeds", type=int, default=20, help="seeds of each scenario")
    given = parser.parse_args()
    there = [name for name, module in PEERS.items() if importlib.util.find_spec(module)]
    for name in PEERS:
        if name not in there:
            print(f"{name} is not there, and is left out: pip install --target PEERS {name}, and PYTHONPATH=PEERS.")
    tools = [tool for tool in TOOLS if tool in given.tools and (tool == "presat" or tool in there)]
    if "scenarios" in given.what:
        for name, cases in (("rldoctor", rldoctor_cases), ("rlprobe", rlprobe_cases)):
            if name in there:
                show(f"scenarios of {name}", compare(cases(given.seeds), tools), tools)
    if "lab" in given.what:
        folder = Path(given.what[given.what.index("lab") + 1])
        show("lab runs", compare(lab_cases(folder), tools), tools)


if __name__ == "__main__":
    main()
