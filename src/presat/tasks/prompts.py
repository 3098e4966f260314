r"""Chat turns by domain, for sources that bring a bare question (section 2 of the paper; wording ours).

The paper's prompts: Math and Graph have a system message that asks to think step by step first and to put the final
answer in `\boxed{}`; Science asks to think step by step and to output the answer within `\boxed{}`; the question is the
user turn. Files in the published format bring their own messages, which are used as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from presat.errors import ConfigError, nearest
from presat.types import Message, Problem

_THINK_FIRST = (
    "You are a careful problem solver. First think about the problem step by step, then give the answer. "
    "Put your final answer in \\boxed{}."
)
SYSTEM_PROMPTS = {
    "math": _THINK_FIRST,
    "graph": _THINK_FIRST,
    "science": "Think step by step, and output your final answer within \\boxed{}.",
}
"""System message of each domain; other domains use the one of `math`."""

_THINK_TAGS = (
    "You are a careful problem solver. First think step by step between <think> and </think>. "
    "After that, {then} in \\boxed{{}}."
)
THINKING_PROMPTS = {
    "math": _THINK_TAGS.format(then="give a short solution, with your final answer"),
    "graph": _THINK_TAGS.format(then="give a short solution, with your final answer"),
    "science": _THINK_TAGS.format(then="output your final answer"),
}
"""The same for models that reason between `<think>` and `</think>`."""
STYLES = ("plain", "thinking", "think_opened")
"""`plain`: the domain's system message; `thinking`: the one that asks for the tags; `think_opened`: that one, and the
response is begun with `<think>` for the model."""


def chat(question: str, domain: str = "math", system: str | None = None) -> tuple[Message, ...]:
    """Return the turns for a question; `system` replaces the domain's own message, and "" leaves it out."""
    text = SYSTEM_PROMPTS.get(domain, _THINK_FIRST) if system is None else system
    user: Message = {"role": "user", "content": question}
    return ({"role": "system", "content": text}, user) if text else (user,)


def with_prompt(problem: Problem, style: str) -> Problem:
    """Return the problem with the system message of a style in place of its own; its other turns stay.

    The id stays too: it is the same problem.

    Raises:
        ConfigError: no such style, or a lab problem, whose model knows no words.
    """
    if problem.domain == "lab":
        raise ConfigError("Lab problems have one prompt only; leave `prompt` empty.")
    return replace(problem, messages=styled(problem.messages, style, problem.domain))


def styled(messages: Sequence[Message], style: str, domain: str) -> tuple[Message, ...]:
    """Return chat turns with the system message of a style in place of their own.

    Raises:
        ConfigError: no such style.
    """
    if style not in STYLES:
        raise ConfigError(f"There is no prompt style '{style}'.{nearest(style, STYLES)}")
    texts = SYSTEM_PROMPTS if style == "plain" else THINKING_PROMPTS
    system: Message = {"role": "system", "content": texts.get(domain, texts["math"])}
    turns = [turn for turn in messages if turn["role"] != "system"]
    opened: list[Message] = [{"role": "assistant", "content": "<think>\n"}] if style == "think_opened" else []
    return (system, *turns, *opened)
