"""Fits an ensemble of judges on the odd lines of the labelled files, and says how it does on the even ones.

    python scripts/ensemble.py FOLDER --judges symbolic llm [--model MODEL] [--server URL] [--limit N] [--out FIT.json]

FOLDER is that of `scripts/judges.py`, whose table this prints too. What counts as sound is what people found no wrong
step in. `--out` saves the fit, which `make_judge("ensemble", fit="FIT.json")` takes up.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from judges import FILES, Labelled, judge_all, labelled, spread, table

from presat.diagnosis import Judge, fit_ensemble, judge_responses, make_judge
from presat.metrics import brier_score, expected_calibration_error, reliability_bins

_TAKES = {"llm": ("model", "server"), "self_support": ("model",)}
"""Which of the options a judge takes."""


def main(words: Sequence[str]) -> int:
    """Fit, and print the table and the reliability curve."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder with the labelled files")
    parser.add_argument("--judges", nargs="+", default=["symbolic"], help="names of the judges")
    parser.add_argument("--model", help="the model that judges ask, where they ask one")
    parser.add_argument("--server", help="address of the server that has it, for the judge llm")
    parser.add_argument("--limit", type=int, help="most rows of each half of a file, spread over it")
    parser.add_argument("--out", type=Path, help="where the fit is saved")
    given = parser.parse_args(words)
    files = {name: given.folder / f"{name}.jsonl" for name in FILES if (given.folder / f"{name}.jsonl").is_file()}
    if not files:
        print(f"{given.folder} holds none of the labelled files: {', '.join(FILES)}.", file=sys.stderr)
        return 1
    members = [
        make_judge(
            name, **{option: getattr(given, option) for option in _TAKES.get(name, ()) if getattr(given, option)}
        )
        for name in given.judges
    ]
    halves = [
        {name: spread(list(labelled(path))[place::2], given.limit) for name, path in files.items()} for place in (0, 1)
    ]
    odd = [row for rows in halves[0].values() for row in rows]
    said = {member.identity: judge_responses([row.item for row in odd], member).judgements for member in members}
    fit = fit_ensemble(said, [row.sound for row in odd], f"the odd lines of {', '.join(files)}: people's labels")
    judge = make_judge("ensemble", fit=fit, members=members)
    print(f"{judge.identity} of {', '.join(said)}, fitted on {fit.cases} responses, {fit.sound} of them sound.\n")
    print("Even lines\n")
    print("\n".join(table(halves[1], {name: judge_all(judge, rows) for name, rows in halves[1].items()})))
    print("\n".join(reliability(judge, [row for rows in halves[1].values() for row in rows])))
    if given.out:
        print(f"\nSaved: {fit.save(given.out)}")
    return 0


def reliability(judge: Judge, rows: Sequence[Labelled]) -> list[str]:
    """The reliability curve over the rows that have a probability, as a Markdown table, and its two numbers."""
    found = judge_responses([row.item for row in rows], judge, quiet=True).judgements
    pairs = [(one.score, row.sound) for one, row in zip(found, rows, strict=True) if one.score is not None]
    if not pairs:
        return ["", "All judges abstain on all of them."]
    p, sound = zip(*pairs, strict=True)
    lines = ["", "| probability | responses | said | sound |", "|---|---|---|---|"]
    for one in reliability_bins(p, sound):
        ends = f" ({one.happened.low:.2f} to {one.happened.high:.2f})" if one.happened else ""
        lines.append(f"| {one.low:.1f} to {one.high:.1f} | {one.cases} | {one.said:.2f} | {one.share:.2f}{ends} |")
    numbers = f"Brier {brier_score(p, sound):.3f}, calibration error {expected_calibration_error(p, sound):.3f}"
    return [*lines, "", f"{numbers}, over {len(pairs)} of {len(rows)} responses."]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
