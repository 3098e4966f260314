"""How well does `presat check` foretell RL? Tables for docs/forecast.md, and the weights of the verdicts.

    python scripts/forecast.py runs/lab-forecast [--test 104 105 106 107] [--weights src/presat/forecast/weights.json]

Reads a study whose points have a `check` and a `train` stage (`presat study run lab-forecast`). Weights are fitted on
the seeds that are not named by `--test`, and everything that is printed is measured on those that are.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from presat.analysis import summarise
from presat.forecast.skill import Fitted, Trial, as_weights, fit, gain_follows, measure, over_seeds, tells_apart
from presat.forecast.verdict import KINDS, OF_THE_JUDGE, SURE, Kind, weights
from presat.jsons import read_json
from presat.metrics import Interval
from presat.metrics.calibration import expected_calibration_error, reliability_bins
from presat.study.folder import Folder, StudyFile
from presat.tracking import open_run

CANDIDATES: Mapping[Kind, tuple[str, ...]] = {
    "clean": ("aligned_right", "usable", "avg"),
    "noisy": ("aligned_right", "noise_room", "avg"),
    "majority_vote": ("aligned_right", "live_vote", "avg"),
    "self_certainty": ("aligned_right", "certainty_auroc", "avg"),
}
"""What each kind's verdict weighs: chosen before any run was seen."""
BEFORE = (
    "aligned_right", "aligned", "faithful_diversity", "diversity", "right_diversity", "avg", "pass_minus_avg", "maj",
    "live_vote", "usable", "noise_limit", "certainty_auroc", "length_auroc", "entropy",
)  # fmt: skip
"""Quantities known before RL, baselines among them: accuracy, pass@16 - avg@16, entropy, diversity alone."""
DURING = ("t_sat", "start_reward", "length", "lr")
CHANCE = "chance"
"""What a fitted verdict says: the chance of generalising."""
MIN_GAIN = 0.05
"""A smaller rise is no generalisation, whatever its interval says."""


def main(words: Sequence[str]) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("study", type=Path, help="folder of the study")
    parser.add_argument("--test", type=int, nargs="*", help="seeds to measure on; the later half when not given")
    parser.add_argument("--weights", type=Path, help="file to write the fitted weights to")
    given = parser.parse_args(words)
    trials, left_out = read_trials(given.study)
    seeds = sorted({trial.seed for trial in trials})
    test = set(given.test or seeds[len(seeds) // 2 :])
    fitted_on = [trial for trial in trials if trial.seed not in test]
    held_out = [trial for trial in trials if trial.seed in test]
    print(f"{len(trials)} runs of {len(seeds)} seeds; {len(held_out)} of {len(test)} seeds are measured on.")
    print("".join(f"Left out: {count} points, {why}.\n" for why, count in left_out.items()))
    print(outcomes(trials))
    for kind in (None, *KINDS):
        print(associations(f"{kind or 'all kinds'}, test seeds", [t for t in held_out if kind in (None, t.kind)]))
    print(questions(held_out))
    models = skills(fitted_on, held_out)
    if given.weights:
        source = f"Fitted to {len(fitted_on)} lab runs (seeds {_seeds(fitted_on)}) of `presat study run lab-forecast`."
        given.weights.write_text(json.dumps({"source": source, **models}, indent=2) + "\n", encoding="utf-8")
        print(f"wrote {given.weights}")
    return 0


def read_trials(path: Path) -> tuple[list[Trial], dict[str, int]]:
    """Every point of a study whose check and run are there; and why others are not, with their numbers."""
    folder = Folder(path)
    study = read_json(folder.path / "study.json", StudyFile)
    trials: list[Trial] = []
    left_out: dict[str, int] = {}
    for point in study.points:
        cells = {stage: folder.path / study.cells[name].path for stage, name in point.cells.items()}
        run, forecast = cells["train"], cells["check"] / "forecast.json"
        if not forecast.is_file() or not (run / "metrics.jsonl").is_file() or open_run(run).status != "finished":
            why = "a stage is not done"
            left_out[why] = left_out.get(why, 0) + 1
            continue
        trials.append(_trial(run, json.loads(forecast.read_text(encoding="utf-8")), point.axes, "corrupt" in cells))
    return trials, left_out


def _trial(path: Path, forecast: Mapping[str, Any], axes: Mapping[str, str], noisy: bool) -> Trial:
    run = open_run(path)
    summary = summarise(run)
    config: Mapping[str, Any] = run.config
    source = config["reward"]["source"]
    kind: Kind = "noisy" if noisy else "clean" if source == "verifiable" else source
    known = {name: item["value"] for name, item in forecast["evidence"]["measures"].items()}
    known["pass_minus_avg"] = None if known["pass"] is None else known["pass"] - known["avg"]
    gamma = config["data"].get("gamma", 0.5)
    known["noise_room"] = None if known["noise_limit"] is None else known["noise_limit"] - gamma
    assert summary.main_set is not None
    change = summary.main_set.headline
    certain = change.interval is not None and change.interval.low > 0.0
    during = {
        "t_sat": float(summary.t_sat) if summary.t_sat is not None else None,
        "start_reward": summary.reward.before if summary.reward else None,
        "length": known["length"],
        "lr": math.log(config["optim"]["lr"]),
    }
    gain = change.difference
    return Trial(kind, int(axes["seed"]), axes["start"], known, gain, certain and gain >= MIN_GAIN, during)


def outcomes(trials: Sequence[Trial]) -> str:
    """Which starts generalised under which supervision."""
    lines = ["| start | supervision | runs | generalised | gain (mean) |", "|---|---|---|---|---|"]
    for start in dict.fromkeys(trial.start for trial in trials):
        for kind in KINDS:
            some = [trial for trial in trials if (trial.start, trial.kind) == (start, kind)]
            if some:
                mean = sum(trial.gain for trial in some) / len(some)
                lines.append(f"| {start} | {kind} | {len(some)} | {sum(t.generalised for t in some)} | {mean:+.3f} |")
    return "\n".join([*lines, ""])


def associations(title: str, trials: Sequence[Trial]) -> str:
    """Every quantity known before RL against the gain."""
    lines = [f"**{title}** ({len(trials)} runs, {sum(t.generalised for t in trials)} generalised)", "",
             "| known before RL | Spearman with gain | AUROC for generalised |", "|---|---|---|"]  # fmt: skip
    for name in BEFORE:
        rank, area = over_seeds(trials, gain_follows(name)), over_seeds(trials, tells_apart(name))
        lines.append(f"| {name} | {_shown(rank)} | {_shown(area)} |")
    return "\n".join([*lines, ""])


def questions(trials: Sequence[Trial]) -> str:
    """The paper's own questions, as they come out here."""
    asked = (
        ("faithfulness", "aligned_right", ()),
        ("diversity", "diversity", ()),
        ("diversity, accuracy held fixed", "diversity", ("avg",)),
        ("faithfulness, accuracy held fixed", "aligned_right", ("avg",)),
        ("faithful diversity, faithfulness held fixed", "faithful_diversity", ("aligned_right",)),
        ("t_sat", "t_sat", ()),
        ("t_sat, starting reward, length and rate held fixed", "t_sat", ("start_reward", "length", "lr")),
    )
    lines = ["| what | (partial) Spearman with gain |", "|---|---|"]
    lines += [f"| {said} | {_shown(over_seeds(trials, gain_follows(name, given)))} |" for said, name, given in asked]
    return "\n".join([*lines, ""])


def skills(fitted_on: Sequence[Trial], held_out: Sequence[Trial]) -> dict[str, Any]:
    """Fit every kind with and without the judge, print the skill on test seeds, return what `weights.json` holds."""
    models: dict[str, Any] = {}
    judged: list[Trial] = []
    print("| kind | weighs | skill on test seeds |\n|---|---|---|")
    for kind in KINDS:
        own = [trial for trial in fitted_on if trial.kind == kind]
        if not own:
            print(f"| {kind} | | no run of it to fit to |")
            models[kind] = weights()[kind]
            continue
        others = [trial for trial in held_out if trial.kind == kind]
        unjudged = tuple(name for name in CANDIDATES[kind] if name not in OF_THE_JUDGE)
        whole, bare = fit(own, CANDIDATES[kind]), fit(own, unjudged)
        models[kind] = _shown_model(kind, whole, CANDIDATES[kind], others)
        models[kind]["without_judge"] = _shown_model(kind, bare, unjudged, others)
        judged += [replace(t, known={**t.known, CHANCE: whole.probability(t)}) for t in others]
    print(f"\n{calibration(judged)}")
    return models


def _shown_model(kind: Kind, model: Fitted, names: Sequence[str], others: Sequence[Trial]) -> dict[str, Any]:
    found = measure(model, others)
    print(f"| {kind} | {', '.join(names)} | {found.sentence} |")
    return as_weights(model, found)


def calibration(trials: Sequence[Trial]) -> str:
    """What became of the test runs by verdict, and by the chance that was said; of all kinds together."""
    if not trials:
        return ""
    said = [trial.known[CHANCE] or 0.0 for trial in trials]
    happened = [trial.generalised for trial in trials]
    lines = ["| verdict | runs | generalised | gain (mean) |", "|---|---|---|---|"]
    for label, low, high in (("generalise", SURE, 2.0), ("uncertain", 1 - SURE, SURE), ("memorise", -1.0, 1 - SURE)):
        some = [trial for trial, chance in zip(trials, said, strict=True) if low <= chance < high]
        gain = f"{sum(t.gain for t in some) / len(some):+.3f}" if some else "-"
        lines.append(f"| {label} | {len(some)} | {sum(t.generalised for t in some)} | {gain} |")
    rank = _shown(over_seeds(trials, gain_follows(CHANCE)))
    lines += [
        "",
        f"Spearman of the chance with the gain: {rank}. AUROC: {_shown(over_seeds(trials, tells_apart(CHANCE)))}.",
    ]
    lines += ["", "| chance said | runs | mean said | generalised |", "|---|---|---|---|"]
    for found in reliability_bins(said, happened, 5):
        share = f"{found.share:.2f}" if found.happened is None else _shown(found.happened)
        lines.append(f"| {found.low:.1f} to {found.high:.1f} | {found.cases} | {found.said:.2f} | {share} |")
    return "\n".join(
        [*lines, "", f"Expected calibration error: {expected_calibration_error(said, happened, 5):.2f}.", ""]
    )


def _shown(interval: Interval | None) -> str:
    return "-" if interval is None else f"{interval.estimate:.2f} ({interval.low:.2f} to {interval.high:.2f})"


def _seeds(trials: Sequence[Trial]) -> str:
    return ", ".join(map(str, sorted({trial.seed for trial in trials})))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
