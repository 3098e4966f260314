"""A long work is shared with a second process: same results in the same order, and the same errors."""

import importlib
import os
import sys

import pytest

from presat.errors import RunError
from presat.report import beside
from presat.report.beside import shared

WORK = """
import os, time
from presat.errors import RunError

def squared(number):
    time.sleep(0.02)
    return os.getpid(), number * number

def refused(number):
    time.sleep(0.02)
    if number == 5:  # the second process has it
        raise RunError("The run 5 cannot be read.")
    return number

def here_alone(process):
    time.sleep(0.02)
    if os.getpid() != process:
        os._exit(3)
    return process
"""


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch):
    """Work of a module that both processes find, on two cores, which pays at once."""
    monkeypatch.setattr(beside, "cores", lambda: 2)
    monkeypatch.setattr(beside, "PAYS_S", 0.01)
    (tmp_path / "work_to_share.py").write_text(WORK)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.delitem(sys.modules, "work_to_share", raising=False)
    return importlib.import_module("work_to_share")


@pytest.mark.parametrize("count", [0, 1, 2, 3, 9, 12])
def test_results_are_in_order_and_half_of_them_made_by_another_process(work, count):
    found = shared(work.squared, range(count))
    assert [square for _, square in found] == [number**2 for number in range(count)]
    here = [maker for maker, _ in found].count(os.getpid())
    assert here == count - max(0, count - 2) // 2  # two to see how long they take, and of the others every second


def test_on_one_core_there_is_one_process(work, monkeypatch):
    monkeypatch.setattr(beside, "cores", lambda: 1)
    assert {maker for maker, _ in shared(work.squared, range(6))} == {os.getpid()}


def test_what_the_other_process_refuses_is_refused_here(work):
    with pytest.raises(RunError, match="The run 5 cannot be read"):
        shared(work.refused, range(6))


def test_what_a_process_that_dies_was_to_do_is_done_here(work):
    assert shared(work.here_alone, [os.getpid()] * 6) == [os.getpid()] * 6
