r"""Judges responses: right, wrong, or missing with a reason, by the verifier each problem names.

Where the answer is read from is one of the formats of `presat.answers.formats`, or `any`: a math response is then given
to Math-Verify whole, whose own fallbacks also find an answer that stands in no format (section 3: the release's own
scoring), and its verdict is ours. Reasoning Gym, lab and multiple-choice answers are read from the box in mode `any`;
see `presat.verify.reasoning_gym.judge` for what that mode means to Reasoning Gym.
"""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Literal, get_args

from presat.answers.formats import Format, read_answer
from presat.errors import ConfigError, VerifierError, nearest
from presat.tasks.cells import sound
from presat.tasks.golds import accepted
from presat.tasks.rows import extra_info, is_labelled
from presat.text import brief
from presat.types import Problem, Score
from presat.verify import lab
from presat.verify.choice import read_choice
from presat.verify.early import Early
from presat.verify.pool import FAILURES, Item, Verdict, WorkerPool

Mode = Literal["auto", "boxed", "tag", "hash", "line", "any"]

NO_ANSWER: dict[str, str] = {
    "auto": "no answer in a known format", "boxed": "no boxed answer", "any": "no boxed answer",
    "tag": "no <answer>", "hash": "no line with ####", "line": "no line with the answer",
}  # fmt: skip
EMPTY_ANSWER = "empty answer"
ONE_BOX = ("lab", "reasoning_gym")
"""Verifiers whose answers never stand in several boxes."""
NO_GOLD = "no gold answer"
WORKED = ("math", "reasoning_gym")
"""Verifiers that need a worker."""
VERIFIERS = ("math", "reasoning_gym", "lab", "choice")
CACHE_LIMIT = 200_000
"""Verdicts kept; beyond it the oldest are forgotten."""

LONG = 200
"""Texts of more characters stand in the cache's keys by their hash: in mode `any` they are whole responses."""

_Key = tuple[Any, ...]
_Request = tuple[_Key, Item]


class Verifier:
    """Scores responses, with a cache and killable workers that are started only when a math or Gym answer needs them.

    Attributes:
        mode: the format answers are read in, or `any`.
        workers: processes for Math-Verify and Reasoning Gym.
        timeout_s: seconds one answer may take, counted from when a worker begins it.
        cache: whether verdicts on (gold, extracted answer) are kept. A time-out or a dead worker is no verdict (the
            machine may have been at fault) and is not kept.
    """

    def __init__(self, mode: Mode = "auto", workers: int = 1, timeout_s: float = 5.0, cache: bool = True) -> None:
        if mode not in get_args(Mode):
            raise ConfigError(f"There is no extraction mode '{mode}'.{nearest(mode, get_args(Mode))}")
        if workers < 1 or timeout_s <= 0:
            raise ConfigError("A verifier needs at least one worker and a timeout_s above 0.")
        self.mode: Mode = mode
        self.workers, self.timeout_s, self.cache = workers, timeout_s, cache
        self._counts: Counter[str] = Counter()
        self._verdicts: dict[_Key, Score] = {}
        self._pool: WorkerPool | None = None
        self._early = Early(self._work)
        self._lock = threading.RLock()

    @property
    def counts(self) -> dict[str, int]:
        """What was judged so far: `right`, `wrong`, `missing/REASON`, `cache_hits`, `timeouts`, `crashes`."""
        pool = self._pool
        counts = {"right": 0, "wrong": 0, "cache_hits": 0, **self._counts}
        counts["timeouts"] = pool.timeouts if pool else 0
        counts["crashes"] = pool.crashes if pool else 0
        return counts

    def score(self, problem: Problem, text: str) -> Score:
        """Judge one response."""
        return self.score_many([(problem, text)])[0]

    def score_many(self, pairs: Sequence[tuple[Problem, str]]) -> list[Score]:
        """Judge responses, in order; equal answers to equal golds are judged once.

        Raises:
            DataError: a gold answer that is no text (half of a character in it).
            VerifierError: a problem names an unknown verifier, or one that is broken or cannot be started.
        """
        with self._lock:
            decided = [[self._decide(one, text) for one in _each_gold(problem)] for problem, text in pairs]
            asked = iter(self._ask([item for row in decided for item in row if not isinstance(item, Score)]))
            judged = [[item if isinstance(item, Score) else next(asked) for item in row] for row in decided]
            scores = [min(row, key=_rank) for row in judged]
            self._count(scores)
            self._early.forget()
            return scores

    def begin(self, pairs: Sequence[tuple[Problem, str]]) -> None:
        """Have responses judged while their caller does something else, and return at once.

        This changes no score and no count: `score_many`, asked for them next, waits for what is not judged yet.
        """
        if not self.cache:
            return
        with self._lock:
            decided = [self._decide(one, text) for problem, text in pairs for one in _each_gold(problem)]
            self._early.begin(
                {item[0]: item[1] for item in decided if not isinstance(item, Score) and item[0] not in self._verdicts}
            )

    def extract(self, problem: Problem, texts: Sequence[str]) -> list[str | None]:
        """Read the final answer out of each response to a problem, without judging it; None where there is none."""
        if problem.verifier == "choice":
            answers = [self._stated(problem, text) for text in texts]
            return [answer and (_choice(problem, answer)[0] or answer) for answer in answers]
        if self.mode != "any" or problem.verifier != "math":
            return [self._stated(problem, text) for text in texts]
        with self._lock:
            return [
                score.extracted
                for score in self._ask([(("extract", _short(text)), ("extract", (text,))) for text in texts])
            ]

    def equivalent(self, pairs: Sequence[tuple[str, str]]) -> list[bool | None]:
        """Whether two math answers say the same, by Math-Verify; None where it hung or crashed over them."""
        with self._lock:
            scores = self._ask([_math_request(a, b, "auto") for a, b in pairs])
            return [None if score.reason in FAILURES else score.value == 1.0 for score in scores]

    def close(self) -> None:
        """Stop the workers. The verifier may be used again: they are started anew."""
        with self._lock:
            if self._pool is not None:
                self._early.forget(self._pool.stop)
                self._pool.close()

    def __enter__(self) -> Verifier:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the settings only: cache, counts and workers stay where they are."""
        return {"mode": self.mode, "workers": self.workers, "timeout_s": self.timeout_s, "cache": self.cache}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)

    def _decide(self, problem: Problem, text: str) -> Score | _Request:
        """Judge what needs no worker; else say what to ask one, and the key of the answer."""
        if problem.verifier not in VERIFIERS:
            raise VerifierError(
                f"Problem {problem.id} names the verifier '{problem.verifier}', which there is not."
                f"{nearest(problem.verifier, VERIFIERS)}"
            )
        answer = self._stated(problem, text)
        whole = self.mode == "any" and problem.verifier == "math"
        if not is_labelled(problem):
            return Score(None, answer, NO_GOLD)
        gold = problem.gold or ""
        sound({"gold": gold}, f"problem {brief(problem.id)}")
        if not whole and not answer:
            return Score(0.0, answer, NO_ANSWER[self.mode] if answer is None else EMPTY_ANSWER)
        if problem.verifier == "lab":
            return Score(float(lab.same(gold, answer or "")), answer)
        if problem.verifier == "choice":
            letter, reason = _choice(problem, answer or "")
            return Score(float(letter == gold), answer if letter is None else letter, reason)
        if problem.verifier == "reasoning_gym":
            metadata = _gym_metadata(problem)
            key = ("reasoning_gym", _short(repr(metadata)), problem.gold, answer)
            return key, ("reasoning_gym", (problem.gold, answer, metadata, self.mode))
        return _math_request(gold, text if whole else answer or "", self.mode)

    def _stated(self, problem: Problem, text: str) -> str | None:
        """The answer a response states in the verifier's format."""
        form: Format = "boxed" if self.mode == "any" else self.mode
        if form == "auto" and problem.verifier == "lab":  # whose prompts ask for a box
            form = "boxed"
        return read_answer(text, form, lists=problem.verifier not in ONE_BOX)

    def _ask(self, requests: Sequence[_Request]) -> list[Score]:
        """Answer requests from the cache or by the workers, each different one once."""
        known: dict[_Key, Score] = {}
        new: dict[_Key, Item] = {}
        for number, (key, item) in enumerate(requests):
            if not self.cache:
                new[number, *key] = item
            elif key in self._verdicts:
                known[key] = self._verdicts[key]
            else:
                new.setdefault(key, item)
        for (key, item), (value, extracted, reason) in zip(new.items(), self._run(new), strict=True):
            known[key] = Score(value, extracted if extracted is not None else _answer_of(item), reason)
            if self.cache and reason not in FAILURES:
                self._remember(key, known[key])
        self._counts["cache_hits"] += len(requests) - len(new)
        return [known[key if self.cache else (number, *key)] for number, (key, _) in enumerate(requests)]

    def _run(self, items: Mapping[_Key, Item]) -> list[Verdict]:
        """Judge items, but for those that were begun early."""
        early = self._early.take(items)
        judged = iter(self._work([item for key, item in items.items() if key not in early]))
        return [early[key] if key in early else next(judged) for key in items]

    def _work(self, items: Sequence[Item]) -> list[Verdict]:
        if not items:
            return []
        if self._pool is None:
            self._pool = WorkerPool(self.workers, self.timeout_s)
        return self._pool.run(items)

    def _remember(self, key: _Key, score: Score) -> None:
        if len(self._verdicts) >= CACHE_LIMIT:
            del self._verdicts[next(iter(self._verdicts))]
        self._verdicts[key] = score

    def _count(self, scores: Sequence[Score]) -> None:
        for score in scores:
            if score.value is None:
                self._counts[f"missing/{(score.reason or 'unknown').replace(' ', '_')}"] += 1
            else:
                self._counts["right" if score.value == 1.0 else "wrong"] += 1


def _each_gold(problem: Problem) -> list[Problem]:
    """A problem once for each answer it accepts, of which any is right."""
    golds = accepted(problem.gold) if problem.gold and problem.verifier == "math" else []
    return [replace(problem, gold=gold) for gold in golds] if len(golds) > 1 else [problem]


def _rank(score: Score) -> int:
    """Which verdict counts, of those by several golds: right, else one that might have been, else wrong."""
    return 0 if score.value == 1.0 else 1 if score.reason in FAILURES else 2 if score.value == 0.0 else 3


def _gym_metadata(problem: Problem) -> dict[str, Any]:
    """Reasoning Gym's metadata: the problem's own, or the `extra_info` of the row it came from."""
    own = problem.metadata
    metadata = dict(own if "source_dataset" in own else extra_info(own))
    if "source_dataset" not in metadata:
        raise VerifierError(
            f"Problem {problem.id} is to be scored by Reasoning Gym, but its metadata lacks `source_dataset`."
        )
    return metadata


def _choice(problem: Problem, answer: str) -> tuple[str | None, str | None]:
    """The letter an answer means, or None and the reason."""
    if "choices" not in problem.metadata:
        raise VerifierError(f"Problem {problem.id} is a multiple-choice question, but its metadata lacks `choices`.")
    return read_choice(answer, problem.metadata["choices"])


def _math_request(gold: str, answer: str, mode: Mode) -> _Request:
    read = "any" if mode == "any" else "stated"
    return ("math", read, gold, _short(answer)), ("math", (gold, answer, read))


def _short(text: str) -> str | bytes:
    return text if len(text) <= LONG else hashlib.sha256(text.encode(errors="surrogatepass")).digest()


def _answer_of(item: Item) -> str | None:
    """The answer an item asks about, kept when it could not be judged; None where the workers read the answer."""
    kind, arguments = item
    return arguments[1] if kind == "reasoning_gym" or (kind == "math" and arguments[2] != "any") else None
