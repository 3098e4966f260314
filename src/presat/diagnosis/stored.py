"""Judges the responses of a run, once: judgements are kept beside what they judge, and found there the next time.

Every other part that wants judgements asks for them here. Work that was broken off goes on where it stopped, for
judgements are written as they come; what a judge could not say for a reason that may pass (a server that did not
answer) is not kept.
"""

from __future__ import annotations

import itertools
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from presat.diagnosis.judges import TEXTS, TOKENS, Cost, Estimating, Judge, Judgement, item_of, read_item
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
    with kept_judge(judge, kept) as remembering:
        work = _Work(remembering, quiet)

        def responses(tokens: bool) -> Iterator[_Response]:
            found = _of_run(run, split, set_name, steps, tokens) if isinstance(run, Run) else _of_rows(run)
            return itertools.islice(found, limit)

        total, new = work.plan(responses(tokens=False))
        if isinstance(run, Run) and not total:
            raise RunError(f"{run.name} has no saved responses of this kind ({split}): nothing to judge.")
        return work.do(responses(tokens=True), total, new)


class KeptJudge:
    """A judge that remembers: no response is judged twice, and what lasts is kept in a file.

    Attributes:
        identity: the judge's.
        known: what is known by the key of the response (`presat.tracking.judgements.response_key`).
        spent: what was taken of a model since this was made.
    """

    def __init__(self, judge: Judge, store: JudgementFile | None, quiet: bool = True) -> None:
        self.identity = judge.identity
        self.known = {key: _judgement(row) for key, row in store.rows.items()} if store else {}
        self.spent = Cost()
        self._judge, self._store, self._quiet = judge, store, quiet
        self._passing: dict[str, Judgement] = {}  # not kept

    def judge(self, items: Sequence[Mapping[str, Any]]) -> list[Judgement]:
        """Return one judgement per item, asking for those alone that are new.

        Raises:
            DataError: an item is no response.
            JudgeError: the judge failed. What it said before is kept.
            RunError: judgements cannot be written.
        """
        keys = [response_key(*read_item(item, place)) for place, item in enumerate(items)]
        missing = self.missing(zip(keys, items, strict=True))
        if missing:
            self._ask_in_parts(missing, len(items))
        return [self.said(key) for key in keys]

    def missing(self, pairs: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, Mapping[str, Any]]:
        """Return those of some keys and responses that were not judged yet; the same response twice is one."""
        return {key: item for key, item in pairs if key not in self.known and key not in self._passing}

    def said(self, key: str) -> Judgement:
        """Return what was said of a response that was judged."""
        return self.known.get(key) or self._passing[key]

    def estimate(self, items: Sequence[Mapping[str, Any]]) -> Cost:
        """Return about what `judge` would take of a model: nothing where the judge cannot tell."""
        return self._judge.estimate(items) if isinstance(self._judge, Estimating) else Cost()

    def _ask_in_parts(self, missing: Mapping[str, Mapping[str, Any]], total: int) -> None:
        if not self._quiet:
            _announce(self.identity, len(missing), total, self.estimate(list(missing.values())))
        done = 0
        with Progress("judge", self._quiet) as progress:
            progress.start(0, len(missing))
            for part in _chunks(_Response(key, item, {}, str(item["prompt"])) for key, item in missing.items()):
                self.ask({one.key: one.item for one in part})
                done += len(part)
                progress.tell(done, "")

    def ask(self, missing: Mapping[str, Mapping[str, Any]]) -> None:
        """Ask about responses by their keys, and keep what is said."""
        found = self._judge.judge(list(missing.values()))
        if len(found) != len(missing):
            raise JudgeError(f"{self.identity} said {len(found)} things about {len(missing)} responses.")
        said = dict(zip(missing, found, strict=True))
        self.spent = _sum(self.spent, *(one.cost for one in found))
        lasting = {key: one for key, one in said.items() if one.lasting}
        if self._store is not None:
            self._store.add({key: _row(one) for key, one in lasting.items()})
        self.known.update(lasting)
        self._passing.update({key: one for key, one in said.items() if not one.lasting})


@contextmanager
def kept_judge(judge: Judge, folder: Path | None, quiet: bool = True) -> Iterator[KeptJudge]:
    """A judge that keeps what it says in `folder`, where nobody else writes meanwhile; in memory alone when None.

    Args:
        judge: who judges what is not known.
        folder: where what it said lies.
        quiet: do not say on stderr what it will take and how far it is.

    Raises:
        RunError: the folder cannot be made or read, or somebody else writes judgements there.
    """
    with ExitStack() as stack:
        if folder is not None:
            stack.callback(_lock(folder).release)
        yield KeptJudge(judge, None if folder is None else JudgementFile(folder, judge.identity), quiet)


class _Work:
    """One pass over responses: what is known, what is asked."""

    def __init__(self, judge: KeptJudge, quiet: bool) -> None:
        self._judge, self._quiet = judge, quiet

    def plan(self, responses: Iterator[_Response]) -> tuple[int, int]:
        """Count the responses and those to be judged, and say what that takes."""
        total, cost, new = 0, Cost(), set[str]()
        for part in _chunks(responses):
            total += len(part)
            missing = {one.key: one.item for one in part if one.key not in self._judge.known and one.key not in new}
            new.update(missing)
            cost = _sum(cost, self._judge.estimate(list(missing.values())))
        if new and not self._quiet:
            _announce(self._judge.identity, len(new), total, cost)
        return total, len(new)

    def do(self, responses: Iterator[_Response], total: int, new: int) -> Judged:
        """Judge what is new."""
        known_before = set(self._judge.known)
        places: list[Mapping[str, Any]] = []
        judgements: list[Judgement] = []
        known = 0
        with Progress("judge", self._quiet) as progress:
            if new:
                progress.start(0, total)
            for part in _chunks(responses):
                if missing := self._judge.missing((one.key, one.item) for one in part):
                    self._judge.ask(missing)
                judgements += [self._judge.said(one.key) for one in part]
                places += [one.place for one in part]
                known += sum(one.key in known_before for one in part)
                if new:
                    none = sum(item.label is None for item in judgements)
                    progress.tell(len(judgements), f"{none} without a label" if none else "")
        return Judged(self._judge.identity, places, judgements, known, self._judge.spent)


def _announce(identity: str, new: int, total: int, cost: Cost) -> None:
    """Say on stderr what it will take."""
    takes = f": {cost.calls:,} calls, about {cost.tokens:,} tokens" if cost.calls else ""
    print(printable(f"{identity} judges {new:,} of {total:,} responses{takes}."), file=sys.stderr, flush=True)


def _of_run(
    run: Run, split: Split, set_name: str | None, steps: Collection[int] | None, tokens: bool
) -> Iterator[_Response]:
    """The saved responses, a step at a time, for they are large; with their tokens where these are asked for."""
    more = TOKENS if tokens else ()
    for step in run.rollout_steps(split):
        if steps is not None and step not in steps:
            continue
        frame = run.rollouts(split, [step], set_name=set_name, columns=(*TEXTS, *_PLACES, *more))
        for row in frame.iter_rows(named=True) if frame is not None else ():
            if row["text"] is None or (row["messages"] is None and row["prompt"] is None):
                raise RunError(f"{run.name} saved responses of step {step} without their text or prompt.")
            item = item_of(row)
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
