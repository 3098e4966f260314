"""Make the data of the SmolLM2 example: greatest common divisors of two numbers up to 30, as parquet and JSONL.

    python examples/smollm2/make_data.py runs/smollm2/data

Every pair a < b is used once at most: 128 worked examples for SFT, 64 training problems (`train-64`; eight of them are
`train-8`) and 24 held-out ones. Among the pairs 61% have the divisor 1, so a model that always answered 1 would look
good; here only 58 of those are used, and in each set of problems no divisor makes up more than a quarter, which is the
most a constant answer can earn.
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from math import gcd
from pathlib import Path

from presat.tasks import save_problems
from presat.types import Message, Problem

LARGEST = 30
EXAMPLES, TRAIN, HELD_OUT = 128, 64, 24
MOST_OF_ONE_DIVISOR = 0.25
QUESTION = "What is the greatest common divisor of {a} and {b}? List the divisors, then put the answer in \\boxed{{}}."

Pair = tuple[int, int]


def divisors(number: int) -> list[int]:
    """All divisors in ascending order."""
    return [d for d in range(1, number + 1) if number % d == 0]


def worked(pair: Pair) -> str:
    """The worked answer: both lists of divisors, the common ones, the greatest."""
    first, second = (divisors(number) for number in pair)
    lists = [f"Divisors of {n}: {', '.join(map(str, ds))}." for n, ds in zip(pair, (first, second), strict=True)]
    common = ", ".join(str(d) for d in first if d in second)
    return "\n".join([*lists, f"Common: {common}.", f"The greatest is \\boxed{{{gcd(*pair)}}}."])


def answer(pair: Pair) -> str:
    """The answer without the work."""
    return f"The greatest is \\boxed{{{gcd(*pair)}}}."


def messages(pair: Pair) -> tuple[Message, ...]:
    """The prompt."""
    return (Message(role="user", content=QUESTION.format(a=pair[0], b=pair[1])),)


def problem(pair: Pair) -> Problem:
    """The pair as a problem that Math-Verify checks."""
    return Problem(f"gcd-{pair[0]}-{pair[1]}", messages(pair), str(gcd(*pair)), "math", "math", {})


def take(left: list[Pair], count: int) -> list[Pair]:
    """Move the first `count` pairs out of `left`, letting no divisor make up more than a quarter of them."""
    chosen: list[Pair] = []
    seen: Counter[int] = Counter()
    for pair in list(left):
        if len(chosen) < count and seen[gcd(*pair)] < count * MOST_OF_ONE_DIVISOR:
            seen[gcd(*pair)] += 1
            chosen.append(pair)
            left.remove(pair)
    return chosen


def main(folder: Path, seed: int = 0) -> None:
    """Write `sft.jsonl`, `answers.jsonl` (the answers alone), `train-8`, `train-64` and `held-out.parquet`."""
    rng = random.Random(seed)
    pairs = [(a, b) for a in range(2, LARGEST + 1) for b in range(a + 1, LARGEST + 1)]
    rng.shuffle(pairs)
    left = [pair for pair in pairs if gcd(*pair) > 1]
    left += [pair for pair in pairs if gcd(*pair) == 1][: EXAMPLES + TRAIN + HELD_OUT - len(left)]
    rng.shuffle(left)
    held_out, train = take(left, HELD_OUT), take(left, TRAIN)
    examples = left
    folder.mkdir(parents=True, exist_ok=True)
    save_problems([problem(pair) for pair in train], folder / "train-64.parquet")
    save_problems([problem(pair) for pair in take(list(train), 8)], folder / "train-8.parquet")
    save_problems([problem(pair) for pair in held_out], folder / "held-out.parquet")
    for name, response in (("sft", worked), ("answers", answer)):
        with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as file:
            for pair in examples:
                turns = [*messages(pair), {"role": "assistant", "content": response(pair)}]
                file.write(json.dumps({"messages": turns}) + "\n")
    print(f"{len(examples)} worked examples, {len(train)} training and {len(held_out)} held-out problems in {folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/smollm2/data"))
