"""Judges the responses of a run, once: judgements are kept beside what they judge, and found there the next time.

Every other part that wants judgements asks for them here. Work that was broken off goes on where it stopped, for
judgements are written as they come; what a judge could not say for a reason that may pass (a server that did not
answer) is not kept.
"""

from __future__ import annotations

import itertools
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from presat.diagnosis.judges import Cost, Estimating, Judge, Judgement, read_item
from presat.errors import JudgeError, RunError
from presat.files import expanded
from presat.text import printable
from presat.tracking import Run, open_run
from presat.tracking.judgements import JudgementFile, judgement_folder, response_key
from presat.tracking.lock import RunLock
from presat.tracking.progress import Progress
from presat.tracking.responses import GROUP
from presat.tracking.run import Split

if TYPE_CHECKING:
    import polars as pl

CHUNK = 64
"""Responses that are judged, and written down, together; the responses to one problem always are."""
_TEXTS = ("prompt", "messages", "text", "gold")
_TOKENS = ("prompt_ids", "token_ids")
_PLACES = (*GROUP, "sample", "score")


class _Response(NamedTuple):
    key: str
    item: Mapping[str, Any]
    place: Mapping[str, Any]
    group: Any


@dataclass(frozen=True, slots=True)
class Judged:
    """Responses and what a judge said of them.

    Attributes:
        judge: its identity.
        places: which response each is: step, set, problem_id, seed, sample, score; empty for rows.
        judgements: one a response, in the same order.
        known: how many of them were found and not judged again.
        spent: what the others took.
    """

    judge: str
    places: Sequence[Mapping[str, Any]]
    judgements: Sequence[Judgement]
    known: int
    spent: Cost

    def abstentions(self) -> Counter[str]:
        """How many responses have no label, by reason."""
        return Counter(found.reason for found in self.judgements if found.label is None)

    def to_frame(self) -> pl.DataFrame:
        """One row a response: where it stands and its verdict (`score`), then `label`, `support` and `reason`."""
        import polars as pl

        said = pl.DataFrame(
            {
                "label": [found.label for found in self.judgements],
                "support": [found.score for found in self.judgements],
                "reason": [found.reason for found in self.judgements],
            },
            schema={"label": pl.Float64, "support": pl.Float64, "reason": pl.String},
        )
        places = pl.DataFrame([row for row in self.places if row], infer_schema_length=None)
        return pl.concat([places, said], how="horizontal") if places.height else said


def judge_responses(
    source: Run | Path | str | Sequence[Mapping[str, Any]],
    judge: Judge,
    *,
    split: Split = "train",
    set_name: str | None = None,
    steps: Collection[int] | None = None,
    limit: int | None = None,
    folder: Path | str | None = None,
    quiet: bool = False,
) -> Judged:
    """Judge responses, those that this judge has not judged yet.

    What it will take is said on stderr before it begins, where the judge can tell, and its progress after.

    Args:
        source: a run, where it is, or rows: {prompt, response, gold where there is one}.
        judge: who judges.
        split: of a run, training or evaluation responses.
        set_name: of a run, only this evaluation set's.
        steps: of a run, only these.
        limit: only so many responses, the first.
        folder: where judgements are kept: `judgements` of a run directory when None, the cache for another's log; those
            of rows are then not kept.
        quiet: nothing on stderr.

    Raises:
        RunError: the run has no such responses, they or the judgements cannot be read or written, or somebody else
            writes judgements there.
        DataError: a row is no response.
        JudgeError: the judge failed. What it said before is kept.
    """
    run = open_run(source) if isinstance(source, Path | str) else source
    if isinstance(run, Run):
        kept = expanded(folder) if folder is not None else judgement_folder(run.path, run.kind == "presat")
    else:
        kept = None if folder is None else expanded(folder)
    with ExitStack() as stack:
        if kept is not None:
            stack.callback(_lock(kept).release)
        store = None if kept is None else JudgementFile(kept, judge.identity)
        work = _Work(judge, store, quiet)

        def responses(tokens: bool) -> Iterator[_Response]:
            found = _of_run(run, split, set_name, steps, tokens) if isinstance(run, Run) else _of_rows(run)
            return itertools.islice(found, limit)

        total, new = work.plan(responses(tokens=False))
        if isinstance(run, Run) and not total:
            raise RunError(f"{run.name} has no saved responses of this kind ({split}): nothing to judge.")
        return work.do(responses(tokens=True), total, new)


class _Work:
    """One pass over responses: what is known, what is asked."""

    def __init__(self, judge: Judge, store: JudgementFile | None, quiet: bool) -> None:
        self._judge, self._store, self._quiet = judge, store, quiet
        self._known = {key: _judgement(row) for key, row in store.rows.items()} if store else {}
        self._passing: dict[str, Judgement] = {}  # not kept
        self._spent = Cost()

    def plan(self, responses: Iterator[_Response]) -> tuple[int, int]:
        """Count the responses and those to be judged, and say what that takes."""
        total, cost, new = 0, Cost(), set[str]()
        for part in _chunks(responses):
            total += len(part)
            missing = {one.key: one.item for one in part if one.key not in self._known and one.key not in new}
            new.update(missing)
            if isinstance(self._judge, Estimating):
                cost = _sum(cost, self._judge.estimate(list(missing.values())))
        if new and not self._quiet:
            takes = f": {cost.calls:,} calls, about {cost.tokens:,} tokens" if cost.calls else ""
            said = f"{self._judge.identity} judges {len(new):,} of {total:,} responses{takes}."
            print(printable(said), file=sys.stderr, flush=True)
        return total, len(new)

    def do(self, responses: Iterator[_Response], total: int, new: int) -> Judged:
        """Judge what is new."""
        known_before = set(self._known)
        places: list[Mapping[str, Any]] = []
        judgements: list[Judgement] = []
        known = 0
        with Progress("judge", self._quiet) as progress:
            if new:
                progress.start(0, total)
            for part in _chunks(responses):
                self._judge_new(part)
                found = [self._known.get(one.key) or self._passing[one.key] for one in part]
                places += [one.place for one in part]
                judgements += found
                known += sum(one.key in known_before for one in part)
                if new:
                    none = sum(item.label is None for item in judgements)
                    progress.tell(len(judgements), f"{none} without a label" if none else "")
        return Judged(self._judge.identity, places, judgements, known, self._spent)

    def _judge_new(self, part: Sequence[_Response]) -> None:
        missing = {
            one.key: one.item for one in part if one.key not in self._known and one.key not in self._passing
        }  # the same response twice is judged once
        if not missing:
            return
        found = self._judge.judge(list(missing.values()))
        if len(found) != len(missing):
            raise JudgeError(f"{self._judge.identity} said {len(found)} things about {len(missing)} responses.")
        said = dict(zip(missing, found, strict=True))
        self._spent = _sum(self._spent, *(one.cost for one in found))
        lasting = {key: one for key, one in said.items() if one.lasting}
        if self._store is not None:
            self._store.add({key: _row(one) for key, one in lasting.items()})
        self._known.update(lasting)
        self._passing.update({key: one for key, one in said.items() if not one.lasting})


def _of_run(
    run: Run, split: Split, set_name: str | None, steps: Collection[int] | None, tokens: bool
) -> Iterator[_Response]:
    """The saved responses, a step at a time, for they are large; with their tokens where these are asked for."""
    more = _TOKENS if tokens else ()
    for step in run.rollout_steps(split):
        if steps is not None and step not in steps:
            continue
        frame = run.rollouts(split, [step], set_name=set_name, columns=(*_TEXTS, *_PLACES, *more))
        for row in frame.iter_rows(named=True) if frame is not None else ():
            if row["text"] is None or (row["messages"] is None and row["prompt"] is None):
                raise RunError(f"{run.name} saved responses of step {step} without their text or prompt.")
            item = {"prompt": row["messages"] or row["prompt"], "response": row["text"], "gold": row["gold"]}
            item |= {name: row[name] for name in more if row[name] is not None}
            place = {name: row[name] for name in _PLACES}
            yield _response(item, 0, place, tuple(row[name] for name in GROUP))


def _of_rows(rows: Sequence[Mapping[str, Any]]) -> Iterator[_Response]:
    for place, item in enumerate(rows):
        one = _response(item, place, {}, None)
        yield one._replace(group=read_item(item, place).prompt)


def _response(item: Mapping[str, Any], number: int, place: Mapping[str, Any], group: Any) -> _Response:
    return _Response(response_key(*read_item(item, number)), item, place, group)


def _chunks(responses: Iterator[_Response]) -> Iterator[list[_Response]]:
    """Responses in parts of `CHUNK` or a few more: a judge may compare the responses to one problem."""
    part: list[_Response] = []
    for _, group in itertools.groupby(responses, lambda one: one.group):
        part += group
        if len(part) >= CHUNK:
            yield part
            part = []
    if part:
        yield part


def _lock(folder: Path) -> RunLock:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"Judgements cannot be kept in {folder}: {error.strerror}. Name another folder for them (`folder`)."
        ) from error
    return RunLock(folder)


def _row(found: Judgement) -> dict[str, Any]:
    return {
        "label": found.label,
        "score": found.score,
        "reason": found.reason,
        "tokens": found.cost.tokens,
        "calls": found.cost.calls,
        **({"details": dict(found.details)} if found.details else {}),
    }


def _judgement(row: Mapping[str, Any]) -> Judgement:
    return Judgement(
        row["label"], row["score"], row["reason"], Cost(row["tokens"], row["calls"]), row.get("details", {})
    )


def _sum(*costs: Cost) -> Cost:
    return Cost(sum(cost.tokens for cost in costs), sum(cost.calls for cost in costs))
