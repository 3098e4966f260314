"""Documents of the lab's base pre-training and of its continual pre-training (CPT).

Base pre-training teaches the skills reasoning stands on, recall and copying foremost, and only a little unreliable
arithmetic; CPT is text of the domain: right worked chains. Documents are plain text without the chat template's
tokens. Document i of a corpus is a function of (corpus, seed, i); held-out chains never occur in one.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping

from presat.errors import ConfigError, nearest
from presat.tasks.lab.chains import LABELS, LARGEST_ADDEND, TOP, Chain, chain_rng, draw_chain

SEPARATOR, BREAK = ":", ";"
VALUES = tuple(str(value) for value in range(TOP + 1))
OPERANDS = tuple(f"{sign}{size}" for sign in "+-" for size in range(1, LARGEST_ADDEND + 1))
CONTENT = (*VALUES, *OPERANDS, *LABELS)
"""Every token that carries content; recall and copying range over them."""
WRONG_SHARE = 0.3
"""Share of the base corpus's facts and worked chains that are wrong."""


def recall(rng: random.Random) -> str:
    """Two to eight key-value pairs, then the same pairs asked for in another order."""
    keys = rng.sample(LABELS, rng.randint(2, 8))
    pairs = [f"{key} {rng.choice(VALUES + OPERANDS)}" for key in keys]
    return f"{' '.join(pairs)} {SEPARATOR} {' '.join(rng.sample(pairs, len(pairs)))}"


def copying(rng: random.Random) -> str:
    """A random sequence of 4 to 16 tokens, twice."""
    sequence = " ".join(rng.choices(CONTENT, k=rng.randint(4, 16)))
    return f"{sequence} {SEPARATOR} {sequence}"


def expression(rng: random.Random) -> str:
    """A problem's text, twice."""
    prompt = draw_chain(rng, rng.randint(3, 9), split="train").prompt
    return f"{prompt} {SEPARATOR} {prompt}"


def facts(rng: random.Random, wrong_share: float) -> str:
    """Six single additions `7 +3 10`, each wrong with probability `wrong_share`."""
    lines = []
    for _ in range(6):
        chain = draw_chain(rng, 1)
        total = rng.randint(0, TOP) if rng.random() < wrong_share else chain.totals[0]
        lines.append(f"{chain.start} {chain.operands[0]:+d} {total}")
    return f" {BREAK} ".join(lines)


def worked(rng: random.Random, shortest: int, longest: int, wrong_share: float) -> str:
    """A problem and its worked chain; with probability `wrong_share` each of its totals is a random value."""
    chain = draw_chain(rng, rng.randint(shortest, longest), split="train")
    totals = chain.totals
    if rng.random() < wrong_share:
        totals = tuple(rng.randint(0, TOP) for _ in totals)
    parts = [str(chain.start)]
    for label, operand, total in zip(LABELS, chain.operands, totals, strict=False):
        parts += [label, f"{operand:+d}", str(total)]
    return f"{chain.prompt} {SEPARATOR} {' '.join(parts)} {BREAK} {totals[-1]}"


def direct(rng: random.Random) -> str:
    """A problem and its answer without the work."""
    chain: Chain = draw_chain(rng, rng.randint(3, 9), split="train")
    return f"{chain.prompt} {BREAK} {chain.gold}"


Maker = Callable[[random.Random], str]

MAKERS: Mapping[str, Mapping[str, Maker]] = {
    "base": {
        "recall": recall,
        "copying": copying,
        "expressions": expression,
        "facts": lambda rng: facts(rng, WRONG_SHARE),
        "worked": lambda rng: worked(rng, 3, 5, WRONG_SHARE),
    },
    "cpt": {
        "worked": lambda rng: worked(rng, 3, 9, 0.0),
        "facts": lambda rng: facts(rng, 0.0),
        "direct": direct,
        "recall": recall,
        "copying": copying,
    },
}
WEIGHTS: Mapping[str, Mapping[str, float]] = {
    "base": {"recall": 0.35, "copying": 0.30, "expressions": 0.10, "facts": 0.15, "worked": 0.10},
    "cpt": {"worked": 0.65, "facts": 0.15, "direct": 0.10, "recall": 0.05, "copying": 0.05},
}
"""Share of each kind among the documents of a corpus."""


def refuse_unknown_lab_corpus(name: str) -> None:
    """Refuse a name that no corpus has.

    Raises:
        ConfigError: it is none; the message has the nearest one.
    """
    if name not in MAKERS:
        raise ConfigError(f"There is no lab corpus '{name}'.{nearest(name, MAKERS)}")


def documents(name: str, seed: int, weights: Mapping[str, float] | None = None) -> Iterator[str]:
    """Yield the endless documents of corpus `name` (`base` or `cpt`), mixed by `weights`.

    Raises:
        ConfigError: unknown corpus or kind of document.
    """
    refuse_unknown_lab_corpus(name)
    makers = MAKERS[name]
    weights = WEIGHTS[name] if weights is None else weights
    for kind in weights:
        if kind not in makers:
            raise ConfigError(f"The lab corpus '{name}' has no documents of kind '{kind}'.{nearest(kind, makers)}")
    kinds, shares = list(weights), list(weights.values())
    rng = chain_rng("corpus", name, seed)
    while True:
        yield makers[rng.choices(kinds, shares)[0]](rng)
