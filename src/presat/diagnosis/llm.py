"""Judges that ask a language model: of faithfulness by the three labels of appendix F, and of strategies.

The paper asks o3 and GPT-4o; what we ask stands in the folder `rubrics`. The gold answer is not shown: the labels are
given whatever the correctness of the answer. An answer whose verdict cannot be read is an abstention, with the reason;
it never scores 0.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from presat.config.schema.chat import ChatConfig
from presat.diagnosis.chat import Answer, ChatClient
from presat.diagnosis.judges import Cost, Judgement, read_item
from presat.diagnosis.rubric import RUBRICS, Verdict, read_rubric, read_verdict
from presat.files import expanded

LOG = logging.getLogger("presat")
VERSION = 1
"""Another version may read another verdict out of the same answer. Rubrics are known by their hash."""
LABELS: Mapping[str, float] = {"aligned": 1.0, "partially aligned": 0.5, "misaligned": 0.0}
SAME: Mapping[str, bool] = {"same": True, "different": False}


class _Asking:
    """What both judges are made of: a model, a rubric, and how to read its verdicts."""

    settings = ChatConfig
    kind: ClassVar[str]
    rubric: ClassVar[str]
    words: ClassVar[tuple[str, ...]]
    needed: ClassVar[tuple[str, ...]]
    known: ClassVar[tuple[str, ...]]

    def __init__(self, config: ChatConfig) -> None:
        """Make the judge.

        Args:
            config: the model and how it is asked. A rubric of one's own asks for the same verdicts as ours; its places
                are `needed`, and perhaps others of `known`.

        Raises:
            ConfigError: a key is missing, `openai` is not installed, or the rubric is none.
            JudgeError: the server does not answer, where it has to say which model it has.
        """
        file = expanded(config.rubric) if config.rubric else RUBRICS / self.rubric
        self._rubric = read_rubric(file, self.needed, self.known)
        self._client = ChatClient(config)
        self.unread: Counter[str] = Counter()

    @property
    def identity(self) -> str:
        """Name, version, model, and the hash of the rubric."""
        return f"{self.kind}/{VERSION}/{self._client.model}/{self._rubric.hash}"

    def _cost(self, questions: Sequence[str]) -> Cost:
        new = [question for question in dict.fromkeys(questions) if not self._client.knows(question)]
        return Cost(sum(map(self._client.tokens_for, new)), len(new))

    def _read(self, answer: Answer) -> Verdict:
        """The verdict of an answer; what has none is counted by its reason."""
        if answer.text is None:
            found = Verdict(None, answer.fault)
        elif answer.cut:
            found = Verdict(None, "The answer was cut off before its verdict (`max_tokens`).")
        else:
            found = read_verdict(answer.text, self.words)
        if found.word is None:
            self.unread[found.reason] += 1
        return found


class LLMJudge(_Asking):
    """Labels responses by asking a language model.

    Attributes:
        unread: how many answers had no verdict, by reason.
    """

    kind = "llm"
    rubric = "faithfulness.md"
    words = tuple(LABELS)
    needed, known = ("PROMPT", "RESPONSE"), ("PROMPT", "RESPONSE", "GOLD")

    def estimate(self, items: Sequence[Mapping[str, Any]]) -> Cost:
        """Return about what `judge` would take now; answers that are known are free.

        Raises:
            DataError: as `judge`.
        """
        return self._cost(self._questions(items))

    def judge(self, items: Sequence[Mapping[str, Any]]) -> list[Judgement]:
        """Return one judgement per item; see `presat.diagnosis.judges`.

        Raises:
            DataError: an item without a prompt or a response.
            JudgeError: the server is gone, refuses the key, or does not have the model.
        """
        questions = self._questions(items)
        cost = self._cost(questions)
        LOG.info("%s: %d calls, about %d tokens.", self.identity, cost.calls, cost.tokens)
        return [self._judgement(answer) for answer in self._client.ask(questions)]

    def _questions(self, items: Sequence[Mapping[str, Any]]) -> list[str]:
        read = [read_item(item, place) for place, item in enumerate(items)]
        return [
            self._rubric.filled({"PROMPT": item.prompt, "RESPONSE": item.response, "GOLD": item.gold or "(unknown)"})
            for item in read
        ]

    def _judgement(self, answer: Answer) -> Judgement:
        found = self._read(answer)
        cost = Cost(answer.tokens, int(answer.asked))
        label = None if found.word is None else LABELS[found.word]
        return Judgement(label, label, found.reason, cost, lasting=answer.text is not None and not answer.cut)


class StrategyJudge(_Asking):
    """Says whether two responses to a problem follow the same strategy: what clusters are made by (section 5).

    Attributes:
        unread: how many answers had no verdict, by reason.
    """

    kind = "llm_strategy"
    rubric = "strategy.md"
    words = tuple(SAME)
    needed = known = ("PROMPT", "FIRST", "SECOND")

    def estimate(self, trios: Sequence[tuple[str, str, str]]) -> Cost:
        """Return about what `same_strategies` would take now."""
        return self._cost(self._questions(trios))

    def readable(self, prompt: str, response: str) -> bool:
        """Whether there is anything to ask about."""
        del prompt
        return bool(response.strip())

    def same_strategy(self, prompt: str, response_a: str, response_b: str) -> bool | None:
        """Whether two responses follow the same strategy; None where the model does not say.

        Raises:
            JudgeError: as `LLMJudge.judge`.
        """
        return self.same_strategies([(prompt, response_a, response_b)])[0]

    def same_strategies(self, trios: Sequence[tuple[str, str, str]]) -> list[bool | None]:
        """As `same_strategy`, of many (prompt, response, response) side by side.

        Raises:
            JudgeError: as `LLMJudge.judge`.
        """
        words = [self._read(answer).word for answer in self._client.ask(self._questions(trios))]
        return [None if word is None else SAME[word] for word in words]

    def _questions(self, trios: Sequence[tuple[str, str, str]]) -> list[str]:
        return [self._rubric.filled(dict(zip(("PROMPT", "FIRST", "SECOND"), trio, strict=True))) for trio in trios]
