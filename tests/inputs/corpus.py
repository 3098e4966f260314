"""The corpus: every case of every table. To add a case is to add a line to a table in `tests/inputs/tables`."""

from __future__ import annotations

from tests.inputs.case import Case
from tests.inputs.tables import data, logs, models, paths, resumed, runs, settings, tokens, traces, words

TABLES = (data, traces, settings, words, runs, logs, paths, models, tokens, resumed)
CASES: list[Case] = [case for table in TABLES for case in table.CASES]
