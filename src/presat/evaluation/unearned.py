"""Why responses earn nothing: cut off, no answer where one is read, groups that are all right or all wrong.

GRPO learns from differences within a group. Where there are none, the numbers here say what to change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from presat.answers.formats import format_of

MANY = 0.2
"""Share of responses from which on a fault is said with what to do about it."""
_END = 2000
"""Characters at the end of a response in which its answer is looked for."""


@dataclass(frozen=True, slots=True)
class Unearned:
    """Counts over responses and groups.

    Attributes:
        responses: how many.
        cut_off: of these, how many reached the length limit.
        unread: how many state no answer where one is read.
        formats: of the unread, how many state one in which other format.
        groups: how many.
        all_right, all_wrong: how many groups have only right, only wrong (or missing) responses.
    """

    responses: int
    cut_off: int
    unread: int
    formats: Mapping[str, int]
    groups: int
    all_right: int
    all_wrong: int

    def sentence(self, limit: str = "max_new_tokens") -> str:
        """Say it to a person, with what to do about it.

        Args:
            limit: the setting that cuts responses off.
        """
        if not self.responses:
            return ""
        wrong = f"{self.all_wrong / self.groups:.0%}"
        parts = [
            f"{self.cut_off / self.responses:.0%} of {self.responses} responses were cut off at the length limit",
            f"{self.unread / self.responses:.0%} state no answer where one is read",
            f"of {self.groups} groups {self.all_right / self.groups:.0%} are all right and {wrong} all wrong",
        ]
        said = [f"{'; '.join(parts)}."]
        form, count = max(self.formats.items(), key=lambda item: item[1], default=("", 0))
        if count >= MANY * self.responses:
            said.append(
                f"{count / self.responses:.0%} state an answer in another format, most of them `{form}`: "
                f"--verify.extraction {form}, or auto, would read it."
            )
        elif self.cut_off >= MANY * self.responses:
            said.append(f"Raise `{limit}`, or take a model that answers more briefly.")
        elif self.unread >= MANY * self.responses:
            said.append("No format that presat knows would read them: ask for one, for instance with `data.prompt`.")
        return " ".join(said)


def unread_format(text: str, extracted: str | None) -> str | None:
    """Return the format in which a response states an answer, where none was read from it."""
    return format_of(text[-_END:]) if extracted is None else None


def unearned(
    values_PG: Sequence[Sequence[float | None]],
    finished_PG: Sequence[Sequence[bool]],
    extracted_PG: Sequence[Sequence[str | None]],
    formats_PG: Sequence[Sequence[str | None]],
) -> Unearned:
    """Count why responses earn nothing.

    Args:
        values_PG: their verdicts; None where missing.
        finished_PG: False where a response was cut off.
        extracted_PG: the answers read; None where there is none.
        formats_PG: what `unread_format` says.
    """
    unread = sum(answer is None for row in extracted_PG for answer in row)
    return Unearned(
        responses=sum(map(len, values_PG)),
        cut_off=sum(not done for row in finished_PG for done in row),
        unread=unread,
        formats=dict(Counter(form for row in formats_PG for form in row if form is not None)),
        groups=len(values_PG),
        all_right=sum(all(value == 1.0 for value in row) for row in values_PG),
        all_wrong=sum(all(value != 1.0 for value in row) for row in values_PG),
    )
