"""Grids and graphs of runs, executed locally and resumable."""

from presat.study.graph import Progress, Stage, run_graph

__all__ = ["Progress", "Stage", "run_graph"]
