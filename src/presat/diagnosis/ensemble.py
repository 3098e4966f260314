"""Several judges as one: the probability that a response is sound, calibrated on responses that people labelled.

A logistic regression over three features a judge: its score, standardised; how far its label is below 1, for to find
something wrong says more than a low score; and whether it abstained, for what a judge passes over is no coincidence.
Where all abstain, so does the ensemble. A fit is a small JSON file that says which judges it is of, by identity, and
what it was fitted on; it serves no others.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, model_validator

from presat.diagnosis.judges import Cost, Estimating, Judge, Judgement, make_judge
from presat.errors import ConfigError, DataError
from presat.jsons import read_json
from presat.metrics.logistic import Logistic, fit_logistic
from presat.outputs import Maker
from presat.text import listed

VERSION = 1
_NAME = "presat.diagnosis.fit_ensemble"
MAKER = Maker(_NAME, begins=re.compile(rb'\{\s*"made_by": "' + re.escape(_NAME).encode() + b'"'))
_ALIGNED = 0.5


class Member(BaseModel):
    """One judge of a fit.

    Attributes:
        identity: its identity.
        mean: mean of its scores where it gave one.
        spread: their standard deviation; 1 where they did not differ.
        weight: of the standardised score, 0 where there is none.
        doubt: what a label of 0 adds; one of 1/2 adds half.
        absent: what its abstention adds.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    identity: str
    mean: float
    spread: float
    weight: float
    doubt: float
    absent: float


class EnsembleFit(BaseModel):
    """How judges are combined.

    Attributes:
        made_by: the mark of such files.
        fitted_on: on what, in words.
        cases: how many responses.
        sound: how many of them were sound.
        bias: of a response that every judge finds average.
        members: the judges, in order.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    made_by: str = MAKER.name
    fitted_on: str
    cases: int
    sound: int
    bias: float
    members: list[Member]

    @model_validator(mode="after")
    def _check(self) -> EnsembleFit:
        if not self.members or any(member.spread <= 0 for member in self.members):
            raise ValueError("an ensemble has members, whose spreads are above 0")
        return self

    @property
    def identity(self) -> str:
        """Name, version and the hash of all that decides."""
        decides = json.dumps([self.bias, [member.model_dump() for member in self.members]])
        return f"ensemble/{VERSION}/{hashlib.sha256(decides.encode()).hexdigest()[:12]}"

    def probabilities(self, said_MN: Sequence[Sequence[Judgement]]) -> list[float | None]:
        """The probability that each of N responses is sound; None where all M members abstain.

        Args:
            said_MN: what each member says of each response, members in order.
        """
        weights_3M = [[getattr(member, name) for member in self.members] for name in ("weight", "doubt", "absent")]
        features = _features(said_MN, [(member.mean, member.spread) for member in self.members])
        found_N = Logistic(self.bias, np.concatenate(weights_3M)).probabilities(features)
        silent = [all(one.score is None for one in said) for said in zip(*said_MN, strict=True)]
        return [None if none else float(p) for p, none in zip(found_N, silent, strict=True)]

    def save(self, path: Path | str) -> Path:
        """Write the fit; over a fit, and over nothing else.

        Raises:
            ConfigError: something else is there.
            RunError: it cannot be written.
        """
        return MAKER.write_text(Path(path), json.dumps(self.model_dump(), indent=2) + "\n")


def fit_ensemble(
    said: Mapping[str, Sequence[Judgement]], sound: Sequence[bool], fitted_on: str, penalty: float = 1.0
) -> EnsembleFit:
    """Fit how judges are combined.

    Args:
        said: what each judge says of the same responses, by its identity.
        sound: what people say of them.
        fitted_on: which responses these are, in words.
        penalty: of the weights, as `presat.metrics.fit_logistic`.

    Raises:
        DataError: other lengths, no judge, or responses that are all sound or all not.
    """
    if not said or any(len(judgements) != len(sound) for judgements in said.values()):
        counts = [len(judgements) for judgements in said.values()]
        raise DataError(f"Every judge must judge the same {len(sound)} responses; got {counts}.")
    said_MN = list(said.values())
    members = [_moments(said_N) for said_N in said_MN]
    found = fit_logistic(_features(said_MN, members), sound, penalty)
    weights_M, doubt_M, absent_M = np.split(found.weights, 3)
    return EnsembleFit(
        fitted_on=fitted_on,
        cases=len(sound),
        sound=sum(map(bool, sound)),
        bias=found.bias,
        members=[
            Member(identity=identity, mean=mean, spread=spread, weight=weight, doubt=doubt, absent=absent)
            for identity, (mean, spread), weight, doubt, absent in zip(
                said, members, weights_M.tolist(), doubt_M.tolist(), absent_M.tolist(), strict=True
            )
        ],
    )


class EnsembleJudge:
    """Combines judges: the score is the probability that a response is sound, the label whether that is above 1/2."""

    def __init__(self, fit: Path | str | EnsembleFit, members: Sequence[Judge] | None = None) -> None:
        """Take up a fit.

        Args:
            fit: the fit, or its file.
            members: the judges it is of, in any order; those without settings are made where None.

        Raises:
            ConfigError: the members are not those of the fit.
            RunError: the file is no fit.
        """
        self.fit = fit if isinstance(fit, EnsembleFit) else read_fit(Path(fit))
        wanted = [member.identity for member in self.fit.members]
        if members is None:
            members = [make_judge(name) for name in (identity.split("/")[0] for identity in wanted)]
        found = {member.identity: member for member in members}
        if set(found) != set(wanted):
            raise ConfigError(
                f"The ensemble was fitted on the judges {listed(wanted)}; these are {listed(list(found))}. A fit "
                "serves no others: give those (`members`), or fit it again (`fit_ensemble`)."
            )
        self._members = [found[identity] for identity in wanted]

    @property
    def identity(self) -> str:
        """That of the fit."""
        return self.fit.identity

    def estimate(self, items: Sequence[Mapping[str, Any]]) -> Cost:
        """Return about what the members would take."""
        costs = [member.estimate(items) for member in self._members if isinstance(member, Estimating)]
        return Cost(sum(cost.tokens for cost in costs), sum(cost.calls for cost in costs))

    def judge(self, items: Sequence[Mapping[str, Any]]) -> list[Judgement]:
        """Return one judgement per item; see `presat.diagnosis.judges`.

        Raises:
            DataError: an item without a prompt or a response.
            JudgeError: a member failed.
        """
        said_MN = [member.judge(items) for member in self._members]
        found = self.fit.probabilities(said_MN)
        return [_combined(p, [said_N[n] for said_N in said_MN], self.fit.members) for n, p in enumerate(found)]


def read_fit(path: Path) -> EnsembleFit:
    """Read a fit.

    Raises:
        ConfigError: there is no such file.
        RunError: it is no fit.
    """
    if not path.exists():
        raise ConfigError(f"There is no fit of an ensemble at {path}: make one with `fit_ensemble(...).save(path)`.")
    return read_json(path, EnsembleFit)


def _combined(p: float | None, said: Sequence[Judgement], members: Sequence[Member]) -> Judgement:
    cost = Cost(sum(one.cost.tokens for one in said), sum(one.cost.calls for one in said))
    lasting = all(one.lasting for one in said)
    if p is None:
        return Judgement(None, None, f"All {len(said)} judges abstain.", cost, lasting=lasting)
    parts = [
        f"{member.identity.split('/')[0]} {'abstains' if one.score is None else f'{one.score:.2g}'}"
        for member, one in zip(members, said, strict=True)
    ]
    reason = f"Sound with probability {p:.2f}: {', '.join(parts)}."
    return Judgement(1.0 if p > _ALIGNED else 0.0, p, reason, cost, lasting=lasting)


def _moments(said_N: Sequence[Judgement]) -> tuple[float, float]:
    """Mean and standard deviation of the scores there are; 1 where they do not differ."""
    known = [one.score for one in said_N if one.score is not None]
    return (float(np.mean(known)), float(np.std(known)) or 1.0) if known else (0.0, 1.0)


def _features(
    said_MN: Sequence[Sequence[Judgement]], moments_M: Sequence[tuple[float, float]]
) -> npt.NDArray[np.float64]:
    """Standardised scores, 0 where there is none; doubts; abstentions. Shape (N, 3M)."""
    columns: list[list[float]] = []
    for said_N, (mean, spread) in zip(said_MN, moments_M, strict=True):
        columns.append([0.0 if one.score is None else (one.score - mean) / spread for one in said_N])
    columns += [[0.0 if one.label is None else 1.0 - one.label for one in said_N] for said_N in said_MN]
    columns += [[float(one.score is None) for one in said_N] for said_N in said_MN]
    return np.array(columns).T
