"""How many responses of a SmolLM2 run list the divisors of both numbers rightly, and how many of the right ones do.

    python examples/smollm2/check_steps.py runs/smollm2/train-8

A table of every saved evaluation and of the first and last two training steps. The reward sees only the boxed answer.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import polars as pl
from make_data import QUESTION, divisors

LIST = re.compile(r"Divisors of (\d+): ([\d, ]+)\.")
NUMBERS = re.compile(re.escape(QUESTION.split("{a}")[0]) + r"(\d+) and (\d+)")


def steps_are_right(prompt: str, text: str) -> bool:
    """Whether the response's first two lists are those of the prompt's numbers, complete and in order."""
    asked = NUMBERS.search(prompt)
    wanted = [divisors(int(number)) for number in asked.groups()] if asked else []
    found = [[int(word) for word in re.findall(r"\d+", numbers)] for _, numbers in LIST.findall(text)[:2]]
    return found == wanted


def main(run: Path) -> None:
    """Print the table."""
    train = sorted((run / "rollouts" / "train").glob("*.parquet"))
    files = [*sorted((run / "rollouts" / "eval").glob("*.parquet")), *train[:2], *train[2:][-2:]]
    if not files:
        sys.exit(f"There is no run with saved responses in {run}.")
    print(f"{'responses':<28}{'right':>8}{'steps right':>14}{'of the right ones':>20}")
    for file in files:
        rows = pl.read_parquet(file, columns=["prompt", "text", "score"], glob=False).rows()
        steps = [steps_are_right(prompt, text) for prompt, text, _ in rows]
        right = [ok for ok, (_, _, score) in zip(steps, rows, strict=True) if score == 1.0]
        share = f"{sum(right) / len(right):.2f}" if right else "-"
        name = f"{file.parent.name}/{file.stem}"
        print(f"{name:<28}{len(right) / len(rows):>8.2f}{sum(steps) / len(rows):>14.2f}{share:>20}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/smollm2/train-8"))
