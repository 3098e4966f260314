"""The demo's live view: which stage each model is in, and its reward as it trains."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from presat.config.schema import DemoConfig
from presat.demo.folder import link_stages
from presat.demo.grid import BRANCHES, slug
from presat.demo.measure import stages_of
from presat.study import Folder
from presat.study.standing import Known

if TYPE_CHECKING:
    from rich.console import RenderableType

    from presat.tracking.follow import OurRun

STAGES = {"base": "pre-training", "cpt": "CPT", "sft": "SFT", "rl": "RL"}


class Board:
    """Draws one row a model.

    Args:
        config: the demo.
    """

    def __init__(self, config: DemoConfig) -> None:
        self.config, self._folder = config, Folder(config.out)
        self._stages: dict[str, str] = {}
        self._known: Known = {}
        self._done: dict[str, float] = {}
        self._followed: dict[str, OurRun] = {}

    def look(self, known: Known) -> None:
        """Take in how it stands, and link stages that are new.

        Raises:
            RunError: a link cannot be made.
        """
        if known.keys() != self._known.keys():
            self._stages = stages_of(self.config)
            link_stages(self.config.out, self._stages)
        self._known = dict(known)

    def render(self) -> RenderableType:
        """Return the table for this moment."""
        from rich.table import Table

        title = f"presat demo, seed {self.config.seed}"
        table = Table(title=title, title_justify="left", box=None, pad_edge=False)
        for heading in ("model", *STAGES.values(), "train reward"):
            table.add_column(heading, no_wrap=True)
        for branch, (origin, _) in BRANCHES.items():
            own = slug(branch)
            cpt = self._cell("cpt") if origin == "cpt" else "-"
            steps, line = self._reward(f"{own}/rl")
            rl = self._cell(f"{own}/rl", f" {steps}/{self.config.rl.steps}" if steps else "")
            table.add_row(branch, self._cell("base"), cpt, self._cell(f"{own}/sft"), rl, line)
        return table

    def _cell(self, stage: str, detail: str = "") -> str:
        name = self._stages.get(stage, "")
        state = self._known.get(name, ("waiting", ""))[0]
        if name in self._done:
            return f"done {self._done[name]:.0f}s"
        record = self._folder.record(name) if state in ("running", "done") else None
        if record is None:
            return state
        if state == "done":
            self._done[name] = record.seconds
            return self._cell(stage)
        return f"now {record.seconds + time.time() - record.started:.0f}s{detail}"

    def _reward(self, stage: str) -> tuple[int, str]:
        """Steps done, and the reward so far as a line."""
        from presat.report import sparkline
        from presat.tracking.follow import OurRun

        if stage not in self._stages:
            return 0, ""
        followed = self._followed.setdefault(stage, OurRun(self._folder.run(self._stages[stage])))
        rewards_T = followed.refresh().train_rewards()
        if not rewards_T.size:
            return 0, ""
        return len(rewards_T), f"{sparkline(rewards_T, width=24)} {rewards_T[-5:].mean():.2f}"
