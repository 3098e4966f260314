"""Grids and graphs of runs, executed locally and resumable.

`graph.py` runs a small graph of calls (the demo). `presat study` goes from axes to points (`grid.py`), from points to
cells (`plan.py`, with `contents.py` for what they read), and runs these (`drive.py`), here (`local.py`) or on a cluster
(`on_ray.py`, `on_node.py`), in a folder (`folder.py`), where anybody can look how it stands (`standing.py`). What came
of them is read (`finished.py`), measured (`quantities.py`) and compared (`comparison.py`).
"""

from presat.study.drive import folder_of, run_study
from presat.study.folder import Folder
from presat.study.graph import Progress, Stage, run_graph
from presat.study.standing import Watcher

__all__ = ["Folder", "Progress", "Stage", "Watcher", "folder_of", "run_graph", "run_study"]
