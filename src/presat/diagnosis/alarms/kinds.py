"""What an alarm is, and what every check of the catalogue takes and returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from presat.diagnosis.alarms.series import Curves

Severity = Literal["critical", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("critical", "warning", "info")
"""The worst first. `critical`: what is spent from here on is lost; `warning`: look before it goes on; `info`: know."""
Number = float | int | str
Evidence = Mapping[str, Number]


class Remedy(NamedTuple):
    """What to do about an alarm: in words, and the settings by their names in presat, TRL and verl."""

    text: str
    presat: str = ""
    trl: str = ""
    verl: str = ""


@dataclass(frozen=True, slots=True)
class Alarm:
    """A warning about a run.

    Attributes:
        name: what it is called.
        sentence: what was seen, with the numbers.
        severity: how bad it is.
        onset: the step from which on it holds; None where it has none.
        evidence: the numbers behind it, by name.
        wasted: share of the responses sampled from the onset on (or ever, without one) that bought no gradient, for
            all responses of their group had the same reward; None where that is not known.
        remedy: what to do about it.
    """

    name: str
    sentence: str
    severity: Severity = "warning"
    onset: int | None = None
    evidence: Evidence = field(default_factory=dict)
    wasted: float | None = None
    remedy: Remedy = field(default=Remedy(""))

    def to_json(self) -> dict[str, Any]:
        """JSON-able form."""
        return {
            "name": self.name,
            "severity": self.severity,
            "sentence": self.sentence,
            "onset": self.onset,
            "evidence": dict(self.evidence),
            "wasted": self.wasted,
            "remedy": self.remedy._asdict(),
        }


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the catalogue.

    Attributes:
        find: looks at a run's curves and responses; returns an alarm of that name, or None.
        remedy: what to do.
        live: whether it holds whenever it is raised; others are about how a run ended, and wait for that.
    """

    find: Callable[[Curves], Alarm | None]
    remedy: Remedy
    live: bool = True
