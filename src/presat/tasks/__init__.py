"""Problems: loaded from files and hubs, or made by Reasoning Gym and the lab."""

from __future__ import annotations

from presat.tasks.load import load_problems, load_task
from presat.tasks.saving import save_problems

__all__ = ["load_problems", "load_task", "save_problems"]
