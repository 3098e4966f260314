"""Math-Verify and Reasoning Gym called directly, with nothing of presat: what our scores are held against.

Run as a script, with Math-Verify's time-out in seconds, it reads JSON lines on stdin and writes one score (1, 0, null)
for each. It is a process of its own because those time-outs need the main thread and the alarm clock, as pytest does.

    {"kind": "math", "gold": "1/2", "text": "so \\boxed{0.5}"}
    {"kind": "reasoning_gym", "gold": "A → B", "text": "\\boxed{A → B}", "metadata": {"source_dataset": ...}}
"""

from __future__ import annotations

import json
import logging
import sys
from functools import cache
from typing import Any

from math_verify import parse, verify
from math_verify.parser import ExprExtractionConfig, LatexExtractionConfig

logging.disable(logging.ERROR)


@cache
def gold_of(gold: str) -> list[Any]:
    return parse("\\boxed{" + gold + "}", [LatexExtractionConfig()])


def by_math_verify(gold: str, text: str, timeout_s: int) -> float | None:
    """The whole response is given to Math-Verify; None where it cannot read the gold answer."""
    if not gold_of(gold):
        return None
    answers = parse(text, [ExprExtractionConfig(), LatexExtractionConfig()], parsing_timeout=timeout_s)
    return float(verify(gold_of(gold), answers, timeout_seconds=timeout_s))


def last_box(text: str) -> str:
    """The last box, found by going backwards over its openings; empty without a closed one."""
    start = text.rfind("\\boxed{")
    while start >= 0:
        depth = 0
        for place in range(start + len("\\boxed"), len(text)):
            depth += {"{": 1, "}": -1}.get(text[place], 0)
            if depth == 0:
                return text[start + len("\\boxed{") : place]
        start = text.rfind("\\boxed{", 0, start)
    return ""


def by_reasoning_gym(gold: str, text: str, metadata: dict[str, Any]) -> float:
    """The content of the last box is given to the task's scorer, as the gold answer is: as written."""
    from reasoning_gym.factory import get_score_answer_fn

    score = get_score_answer_fn(metadata["source_dataset"])
    return float(score(last_box(text), {"answer": gold, "metadata": metadata}) == 1)


def main() -> None:
    for line in sys.stdin:
        item = json.loads(line)
        if item["kind"] == "math":
            score = by_math_verify(item["gold"], item["text"], int(sys.argv[1]))
        else:
            score = by_reasoning_gym(item["gold"], item["text"], item["metadata"])
        print(json.dumps(score), flush=True)


if __name__ == "__main__":
    main()
