"""What `presat check` found, by the words under which a study compares it: `avg`, `generalise:clean`."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field

from presat.errors import ConfigError, nearest
from presat.forecast.evidence import MEANINGS
from presat.forecast.run import FORECAST_FILE
from presat.forecast.verdict import KINDS
from presat.jsons import read_json
from presat.text import brief

_GENERALISE, _VERDICT = "generalise", "verdict"
NAMES = (*MEANINGS, *(f"{of}:{kind}" for of in (_GENERALISE, _VERDICT) for kind in KINDS))
"""Every word: a quantity, the probability of generalising under a kind of supervision, and the verdict about it."""


class _Measure(BaseModel):
    value: float | None


class _Evidence(BaseModel):
    measures: dict[str, _Measure]


class _Verdict(BaseModel):
    kind: str
    label: str
    probability: float | None


class Checked(BaseModel):
    """What of `forecast.json` is compared.

    Attributes:
        evidence: the quantities.
        verdicts: one for each kind of supervision.
        by_prompt: by the prompt's id, its own values of the quantities that are means over prompts.
    """

    evidence: _Evidence
    verdicts: list[_Verdict]
    by_prompt: dict[str, dict[str, float | None]] = Field(default_factory=dict)

    def value(self, name: str) -> float | str | None:
        """Return what is called by a word of `NAMES`; None where it is not defined there."""
        of, _, kind = name.partition(":")
        if not kind:
            found = self.evidence.measures.get(name)
            return found.value if found else None
        verdict = next((item for item in self.verdicts if item.kind == kind), None)
        if verdict is None:
            return None
        return verdict.probability if of == _GENERALISE else verdict.label

    def prompts(self, name: str) -> dict[str, float]:
        """Return the values that a quantity is the mean of, by prompt; empty where it is no such mean."""
        rows = {prompt: values.get(name) for prompt, values in self.by_prompt.items()}
        return {prompt: value for prompt, value in rows.items() if value is not None}


def read_checked(run: Path) -> Checked:
    """Read what the check in a run directory found.

    Raises:
        RunError: there is no such file, or it is damaged.
    """
    return read_json(run / FORECAST_FILE, Checked)


def refuse_unknown(name: str) -> None:
    """Refuse a word that stands for nothing a check finds.

    Raises:
        ConfigError: it is one; the message lists all there are.
    """
    if name not in NAMES:
        raise ConfigError(
            f"A check finds no {brief(name)}.{nearest(name, NAMES)} After `check:` stands one of "
            f"{', '.join(MEANINGS)}; or `{_GENERALISE}:` (the probability of it) or `{_VERDICT}:` and a kind of "
            f"supervision: {', '.join(KINDS)}."
        )
