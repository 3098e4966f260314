"""The lab domain: procedural chains of additions with machine-checkable steps, small enough to learn in seconds.

A problem reads `7 a +3 b -2`: a start value and labelled signed operands. Its reasoning writes every running total,
`7 a +3 10 b -2 8`, and its answer is the last one. Everything here is a pure function of (seed, index).
"""

from __future__ import annotations

from presat.tasks.lab.chains import NAMES, Chain, chain_of, lab_problems, refuse_unknown_lab
from presat.tasks.lab.solutions import answer_target, targets, thinking_target
from presat.tasks.lab.trace import TraceVerdict, check_trace, trace_is_valid

__all__ = [
    "NAMES",
    "Chain",
    "TraceVerdict",
    "answer_target",
    "chain_of",
    "check_trace",
    "lab_problems",
    "refuse_unknown_lab",
    "targets",
    "thinking_target",
    "trace_is_valid",
]
