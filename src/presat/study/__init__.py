"""Grids of runs, executed locally or on a cluster and resumable; the demo is one.

`presat study` goes from axes to points (`grid.py`), from points to cells (`plan.py`, with `contents.py` for what they
read), and runs these (`drive.py`), here (`local.py`, `forked.py`) or on a cluster (`on_ray.py`, `on_node.py`), in a
folder (`folder.py`), where anybody can look how it stands (`standing.py`). What came of them is read (`finished.py`),
measured (`quantities.py`, `checked.py`) and compared (`comparison.py`).
"""

from presat.study.drive import folder_of, run_study
from presat.study.folder import Folder
from presat.study.standing import Watcher

__all__ = ["Folder", "Watcher", "folder_of", "run_study"]
