r"""Chat turns by domain, for sources that bring a bare question (section 2 of METHOD; wording ours).

The paper's prompts: Math and Graph have a system message that asks to think step by step first and to put the final
answer in `\boxed{}`; Science asks to think step by step and to output the answer within `\boxed{}`; the question is the
user turn. Files in the published format bring their own messages, which are used as they are.
"""

from __future__ import annotations

from presat.types import Message

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


def chat(question: str, domain: str = "math", system: str | None = None) -> tuple[Message, ...]:
    """Return the turns for a question; `system` replaces the domain's own message, and "" leaves it out."""
    text = SYSTEM_PROMPTS.get(domain, _THINK_FIRST) if system is None else system
    user: Message = {"role": "user", "content": question}
    return ({"role": "system", "content": text}, user) if text else (user,)
