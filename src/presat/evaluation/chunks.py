"""Responses drawn and judged chunk by chunk, each chunk a file: a verb that was killed and is started again goes on.

What decides the draws stands in every file, and what was drawn otherwise is not mixed in.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from presat.rollouts.batching import BatchEngine
from presat.tracking.identity import refuse_other
from presat.tracking.responses import RolloutStore, drawn_with, read_file, rollout_files
from presat.types import Completion, Problem, RolloutGroup, Sampling, Score
from presat.verify.groups import score_groups

if TYPE_CHECKING:
    from presat.verify import Verifier

RESPONSES, AT_ONCE = 512, 2048
"""Responses between two saves: of an engine that decodes in batches, at least; of one that is given all at once."""

Judged = tuple[list[RolloutGroup], list[list[Score]]]
"""Groups and scores_PG."""
Measure = Callable[[list[RolloutGroup]], list[RolloutGroup]]
"""Adds statistics to the responses of groups."""
STAT = "stat/"
"""What the columns of statistics begin with."""


@dataclass(frozen=True)
class Chunks:
    """Saved chunks of one kind in a run directory.

    Attributes:
        run: the run directory.
        split: their folder below `rollouts`.
        drawn: what decides the draws (`presat.tracking.identity`).
        name: tells them from others in the folder.
        columns: further columns, by name what a problem's responses have there.
        stats: names of `Completion.stats` that are kept, each in a column `stat/NAME`.
    """

    run: Path
    split: str
    drawn: Mapping[str, Any]
    name: str = ""
    columns: Mapping[str, Callable[[Problem], Any]] = field(default_factory=dict)
    stats: Sequence[str] = ()

    def files(self) -> list[Path]:
        """The files there are, in the order they were written."""
        return [file for _, file in rollout_files(self.run, self.split, self.name or None)]

    def refuse_others(self, what: str) -> None:
        """Refuse to go on with responses that were drawn otherwise.

        Args:
            what: whose responses these are.

        Raises:
            RunError: what differs, and what to do; or a file cannot be read.
        """
        for file in self.files():
            refuse_other(
                drawn_with(file),
                self.drawn,
                f"{self.run} holds unfinished responses of {what} that were drawn otherwise",
                f"Choose another run directory, or delete {file.parent} to draw anew.",
            )

    def draw(
        self,
        engine: BatchEngine,
        verifier: Verifier,
        problems: Sequence[Problem],
        samples: int,
        sampling: Sampling,
        seeds: Sequence[int],
        size: int,
        measure: Measure | None = None,
    ) -> Iterator[Judged]:
        """Draw, measure, judge and save `size` problems at a time.

        Args:
            engine: draws; `problems`, `samples`, `sampling` and `seeds` are those of `Engine.generate`.
            verifier: judges.
            problems: P problems.
            samples: responses a problem.
            sampling: temperature and lengths.
            seeds: one a problem.
            size: problems of a chunk.
            measure: adds the statistics that are kept to the responses.
        """
        store = RolloutStore(self.run / "rollouts", self.drawn)
        written = [at for at, _ in rollout_files(self.run, self.split, self.name or None)]
        for number, first in enumerate(range(0, len(problems), size), start=1 + max(written, default=-1)):
            chunk = problems[first : first + size]
            groups = engine.generate(chunk, samples, sampling, seeds[first : first + size])
            groups = measure(groups) if measure else groups
            scores_PG = score_groups(verifier, groups)
            extra_PG = {name: [[of(problem)] * samples for problem in chunk] for name, of in self.columns.items()}
            extra_PG |= {
                STAT + name: [[response.stats.get(name) for response in group.completions] for group in groups]
                for name in self.stats
            }
            store.write(self.split, number, groups, scores_PG, None, self.name, extra_PG)
            yield groups, scores_PG

    def saved(self) -> dict[int, tuple[RolloutGroup, list[Score]]]:
        """Return what is on disk by the seed of the group, without log-probabilities; the problems have an id alone.

        Raises:
            RunError: a file cannot be read.
        """
        found = {}
        wanted = ["problem_id", "seed", "prompt_ids", "sample", "text", "token_ids", "finished", "score", "extracted"]
        columns = {name: STAT + name for name in self.stats}
        for file in self.files():
            rows = read_file(file, [*wanted, "reason", *columns.values()])
            for (seed,), part in rows.group_by("seed", maintain_order=True):
                drawn = part.sort("sample").to_dicts()
                answers = [
                    Completion(row["text"], tuple(row["token_ids"]), None, row["finished"], _known(row, columns))
                    for row in drawn
                ]
                scores = [Score(row["score"], row["extracted"], row["reason"]) for row in drawn]
                problem = Problem(drawn[0]["problem_id"], (), None, "", "")
                group = RolloutGroup(problem, tuple(drawn[0]["prompt_ids"]), tuple(answers), int(str(seed)))
                found[group.seed] = group, scores
        return found

    def discard(self) -> None:
        """Remove the files, which are in another place by now.

        Raises:
            OSError: they cannot be removed.
        """
        for file in self.files():
            file.unlink()
        with contextlib.suppress(OSError):  # others are in it, or nothing was ever saved
            (self.run / "rollouts" / self.split).rmdir()


def _known(row: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, float]:
    """The statistics of a saved response, as far as they are known."""
    return {name: row[column] for name, column in columns.items() if row[column] is not None}


def chunk_size(rows: int, samples: int) -> int:
    """Return how many problems a chunk has: whole batches, so that it is decoded as it is within all problems.

    Args:
        rows: most responses that the engine decodes side by side.
        samples: responses a problem.
    """
    if rows > AT_ONCE:
        return max(1, AT_ONCE // samples)
    fill = rows // math.gcd(rows, samples)
    return fill * max(1, math.ceil(RESPONSES / (fill * samples)))
