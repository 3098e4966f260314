"""The demo's live view: which stage each model is in, and its reward as it trains."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from presat.config.schema import DemoConfig
from presat.study import Progress

if TYPE_CHECKING:
    from rich.console import RenderableType

    from presat.tracking.follow import OurRun


class Board:
    """Draws one row a model.

    Args:
        config: the demo.
        branches: by a model's name: the stem of its stages' names, and the stage it starts from (`base` or `cpt`).
    """

    def __init__(self, config: DemoConfig, branches: Mapping[str, tuple[str, str]]) -> None:
        self.config, self.branches = config, branches
        self._followed: dict[str, OurRun] = {}

    def render(self, progress: Progress | None) -> RenderableType:
        """Return the table for one moment; None is the moment before the first."""
        from rich.table import Table

        title = f"presat demo, seed {self.config.seed}"
        table = Table(title=title, title_justify="left", box=None, pad_edge=False)
        for heading in ("model", "pre-training", "CPT", "SFT", "RL", "train reward"):
            table.add_column(heading, no_wrap=True)
        for branch, (name, origin) in self.branches.items():
            cpt = self._cell("cpt", progress) if origin == "cpt" else "-"
            steps, line = self._reward(name)
            rl = self._cell(f"{name}-rl", progress, f" {steps}/{self.config.rl.steps}" if steps else "")
            table.add_row(branch, self._cell("base", progress), cpt, self._cell(f"{name}-sft", progress), rl, line)
        return table

    def _cell(self, stage: str, progress: Progress | None, detail: str = "") -> str:
        state = "waiting" if progress is None else progress.states[stage]
        if progress is None or state in ("waiting", "kept"):
            return state
        seconds = progress.ended.get(stage, time.time()) - progress.started[stage]
        return f"{'done' if state == 'done' else 'now'} {seconds:.0f}s{detail if state == 'running' else ''}"

    def _reward(self, name: str) -> tuple[int, str]:
        """Steps done, and the reward so far as a line."""
        from presat.report import sparkline
        from presat.tracking.follow import OurRun

        followed = self._followed.setdefault(name, OurRun(self.config.out / name / "rl"))
        rewards_T = followed.refresh().train_rewards()
        if not rewards_T.size:
            return 0, ""
        return len(rewards_T), f"{sparkline(rewards_T, width=24)} {rewards_T[-5:].mean():.2f}"
