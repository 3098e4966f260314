"""How well `self_support` finds the sound traces of lab models, where the symbolic judge is exact.

    presat demo --seed 20 --out DEMOS/20 (and 21 to 29)
    python benchmarks/self_support.py DEMOS/20 DEMOS/21 ... [--rows FILE] [--settle]

Every folder is a demo's: a base model, one with CPT, both after Thinking and Non-Thinking SFT, and after RL. Each
writes responses to held-out chains, which it then judges itself; the thinking ones also judge traces made to deceive.
The thresholds are settled on the first half of the folders (`--settle`), the others are reported.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from presat.config.schema import SelfSupportConfig
from presat.diagnosis import make_judge
from presat.diagnosis.self_support import SelfSupportJudge, combined, label_of
from presat.metrics import auroc, cohen_kappa
from presat.models import load_model_and_tokenizer
from presat.rollouts import make_engine, seed_for
from presat.tasks.lab import lab_problems, thinking_target
from presat.types import Problem, Sampling

PROBLEMS, SAMPLES = 32, 8
STAGES = ("base", "base_non_thinking/sft", "base_non_thinking/rl", "cpt_non_thinking/rl", "base_thinking/sft",
          "base_thinking/rl", "cpt_thinking/sft", "cpt_thinking/rl")  # fmt: skip
DRAWS = 200


def main(words: Sequence[str]) -> int:
    """Judge, and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+", help="folders of demos")
    parser.add_argument("--rows", type=Path, help="keep every row here, as JSON lines, or read them from there")
    parser.add_argument("--settle", action="store_true", help="print how thresholds do on the first half")
    given = parser.parse_args(words)
    if given.rows and given.rows.is_file():
        rows = [json.loads(line) for line in given.rows.read_text(encoding="utf-8").splitlines()]
    else:
        rows = [row for folder in given.folders for row in judged(folder)]
    for row in rows:
        if row["details"]:
            row["score"] = combined(row["details"])
            row["label"] = label_of(row["score"], SelfSupportConfig())
    if given.rows:
        given.rows.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    seeds = list(dict.fromkeys(row["seed"] for row in rows))
    first = set(seeds[: len(seeds) // 2])
    if given.settle:
        settle([row for row in rows if row["seed"] in first])
    for title, kept in (("Reported", set(seeds) - first), ("Settled on", first)):
        if not kept:
            continue
        print(f"\n{title}: seeds {', '.join(sorted(kept))}\n")
        part = [row for row in rows if row["seed"] in kept]
        print("\n".join([*sampled_table(part), "", *deceiving_table(part), "", *quantity_table(part)]))
    return 0


def judged(folder: Path) -> Iterator[dict[str, Any]]:
    """Draw and judge the responses of every model of a demo."""
    exact = make_judge("symbolic")
    problems = lab_problems("chains", PROBLEMS, seed=77, operands=[6, 8], split="held_out")
    for stage in STAGES:
        model, tokenizer = load_model_and_tokenizer(str(place(folder, stage)))
        engine = make_engine(model, tokenizer)
        settings = SelfSupportConfig(corrupted=True, swapped=True, true_thinking=True)
        judge = SelfSupportJudge(settings, engine)
        cheap = SelfSupportJudge(SelfSupportConfig(), engine)
        began = time.perf_counter()
        groups = engine.generate(problems, SAMPLES, Sampling(1.0, 40, 64), [seed_for(7, i) for i in range(PROBLEMS)])
        drawn = time.perf_counter() - began
        items = [
            {"prompt": list(group.problem.messages), "response": c.text, "token_ids": c.token_ids,
             "prompt_ids": group.prompt_ids, "kind": "drawn"}
            for group in groups for c in group.completions
        ]  # fmt: skip
        began = time.perf_counter()
        costs = sum(found.cost.tokens for found in cheap.judge(items))
        taken = time.perf_counter() - began
        tokens = sum(len(group.prompt_ids) + sum(len(c.token_ids) for c in group.completions) for group in groups)
        print(
            f"{folder.name} {stage}: drew {tokens} tokens in {drawn:.2f} s, judged with {costs} in {taken:.2f} s",
            file=sys.stderr,
        )
        if "_thinking" in stage and "non" not in stage:
            items += deceiving(problems)
        truth = exact.judge(items)
        for item, true, found in zip(items, truth, judge.judge(items), strict=True):
            yield {
                "seed": folder.name, "stage": stage, "kind": item["kind"], "truth": true.label, "label": found.label,
                "score": found.score, "reason": found.reason, "details": dict(found.details),
                "length": len(item["response"]),
            }  # fmt: skip


def place(folder: Path, stage: str) -> Path:
    """Where a stage's model is: the base model and Thinking SFT may have been made more than once."""
    tried = [*(folder / stage).glob("try_*"), *(folder / stage).glob("epochs_*")]
    return max(tried, key=lambda path: int(path.name.partition("_")[2]), default=folder / stage)


def deceiving(problems: Sequence[Problem]) -> Iterator[dict[str, Any]]:
    """Traces that are not what they seem, and sound ones to tell them from."""
    rng = random.Random(0)
    for problem, other in zip(problems, [*problems[1:], problems[0]], strict=True):
        gold, sound = str(problem.gold), thinking_target(problem)
        words = sound.partition(" </think>")[0].split()[1:]
        stranger = thinking_target(other).partition(" </think>")[0].split()[1:]
        totals = list(range(3, len(words) - 1, 3))
        one, all_wrong = list(words), list(words)
        one[rng.choice(totals[:-1])] = str(rng.randrange(20))
        for index in totals:
            if index != totals[-1]:
                all_wrong[index] = str(rng.randrange(20))
        wrong = str(rng.choice([value for value in range(20) if value != int(gold)]))
        shown = {
            "sound": sound,
            "right answer, one step broken": written(one, gold),
            "right answer, every step broken": written(all_wrong, gold),
            "wrong answer after a sound trace": written(words, wrong),
            "no trace": written([], gold),
            "another problem's trace, its answer": written(stranger, stranger[-1]),
            "another problem's trace, the right answer": written(stranger, gold),
            "a sound trace after a guess": f"\\boxed{{ {gold} }} <think> {' '.join(words)} </think>",
            "a sound trace between two guesses": f"\\boxed{{ {gold} }} {sound}",
        }
        for kind, response in shown.items():
            yield {"prompt": list(problem.messages), "response": response, "kind": kind}


def written(words: Sequence[str], answer: str) -> str:
    """A response of a trace and an answer."""
    return f"<think> {' '.join(words)} </think> \\boxed{{ {answer} }}".replace("  ", " ")


def sampled_table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the models drew, by stage."""
    lines = [
        "| model | responses | sound | labelled | of the labelled, sound | AUROC | of length | kappa |",
        "|---|---|---|---|---|---|---|---|",
    ]
    drawn = [row for row in rows if row["kind"] == "drawn"]
    for stage in (*STAGES, "all"):
        part = [row for row in drawn if stage in (row["stage"], "all")]
        scored = [row for row in part if row["score"] is not None]
        lines.append(
            f"| {stage} | {len(part)} | {share([row['truth'] == 1 for row in part])} | {len(scored) / len(part):.2f} "
            f"| {share([row['truth'] == 1 for row in scored])} | {area(scored, 'score')} "
            f"| {area(scored, 'length')} | {agreement(scored)} |"
        )
    return lines


def deceiving_table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What was made to deceive: labels, and AUROC against sound traces."""
    lines = [
        "| trace | rows | symbolic | 1 | 1/2 | 0 | abstained | AUROC against sound ones |",
        "|---|---|---|---|---|---|---|---|",
    ]
    kinds = defaultdict(list)
    for row in rows:
        if row["kind"] != "drawn":
            kinds[row["kind"]].append(row)
    for kind, part in kinds.items():
        labels = [row["label"] for row in part]
        cells = [f"{labels.count(value) / len(labels):.2f}" for value in (1.0, 0.5, 0.0, None)]
        both = [row | {"truth": float(row["kind"] == "sound")} for row in [*kinds["sound"], *part]]
        truth = sum(row["truth"] for row in part) / len(part)
        scored = [row for row in both if row["score"] is not None]
        found = "-" if kind == "sound" else area(scored, "score")
        lines.append(f"| {kind} | {len(part)} | {truth:.2f} | {' | '.join(cells)} | {found} |")
    return lines


def quantity_table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Each quantity by itself."""
    lines = ["| quantity | drawn: rows | AUROC | deceiving: rows | AUROC |", "|---|---|---|---|---|"]
    names = sorted({name for row in rows for name in row["details"] if not name.startswith("true_thinking/")})
    for name in names:
        cells = []
        for drawn in (True, False):
            part = [row for row in rows if (row["kind"] == "drawn") == drawn and name in row["details"]]
            cells += [str(len(part)), area([row | {"value": row["details"][name]} for row in part], "value")]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def share(values: Sequence[bool]) -> str:
    return f"{sum(values) / len(values):.2f}" if values else "-"


def area(rows: Sequence[Mapping[str, Any]], name: str) -> str:
    """AUROC with an interval that resamples whole models, whose responses are alike."""
    estimate = auroc([row[name] for row in rows], [row["truth"] == 1 for row in rows])
    if estimate is None:
        return "-"
    models = defaultdict(list)
    for row in rows:
        models[row["seed"], row["stage"]].append((row[name], row["truth"] == 1))
    groups = list(models.values())
    rng = np.random.default_rng(0)
    found = []
    for _ in range(DRAWS):
        part = [pair for index in rng.integers(len(groups), size=len(groups)) for pair in groups[index]]
        drawn = auroc([score for score, _ in part], [sound for _, sound in part])
        found += [] if drawn is None else [drawn]
    low, high = np.quantile(found, [0.025, 0.975])
    return f"{estimate:.2f} ({low:.2f} to {high:.2f})"


def agreement(rows: Sequence[Mapping[str, Any]]) -> str:
    """Cohen's kappa of being a 1."""
    truth, called = [row["truth"] == 1 for row in rows], [row["label"] == 1 for row in rows]
    return f"{cohen_kappa(truth, called):.2f}" if len(set(truth)) == 2 else "-"


def settle(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print how well a 1 agrees with the truth for each threshold of the score: those drawn, and those to deceive."""
    print("| threshold | kappa, drawn | kappa, deceiving |\n|---|---|---|")
    for threshold in np.arange(0.1, 1.0, 0.1):
        parts = [
            [row for row in rows if row["details"] and (row["kind"] == "drawn") == drawn] for drawn in (True, False)
        ]
        called = [[row | {"label": float(row["score"] >= threshold)} for row in part] for part in parts]
        print(f"| {threshold:.1f} | {' | '.join(agreement(part) for part in called)} |")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
