"""Settings of `study`: what its YAML file holds, and what its verbs take."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field
from tyro.conf import Positional

from presat.config.schema.kinds import AnyPath, Seed, Settings, Word, Workers, YamlMapping
from presat.config.schema.tools import ReadingConfig

_NAME = re.compile(r"\w[\w.+ -]{0,99}")
StageName = Literal["pretrain", "cpt", "sft", "check", "filter", "subset", "corrupt", "train", "eval"]
STAGES: tuple[StageName, ...] = ("pretrain", "cpt", "sft", "check", "filter", "subset", "corrupt", "train", "eval")
"""Every stage a study may have, in the order in which they run."""


def _is_a_name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError("a study's folder is called by its name: letters, digits, and `.+ -` between them")
    return value


class StudyBase(Settings):
    """What all cells have in common.

    A stage's block holds settings of its verb, and may start from a file or preset (`config: paper-math-n8`). A stage
    without a block is not run.
    """

    model: YamlMapping = Field(default_factory=dict)
    """The model that the first stage starts from, as a verb's `model`; stages after `cpt`, `sft` and `train` get what
    those made."""
    data: YamlMapping = Field(default_factory=dict)
    """The problems that `check` and the first of `filter`, `subset`, `corrupt` and `train` read, as a verb's `data`;
    the others get the file that was written before them."""
    pretrain: YamlMapping | None = None
    """Settings of `presat cpt`, which a model without any training (`lab/new`) goes through before all else."""
    cpt: YamlMapping | None = None
    """Settings of `presat cpt`; `{}` for its defaults."""
    sft: YamlMapping | None = None
    """Settings of `presat sft`."""
    check: YamlMapping | None = None
    """Settings of `presat check`, on the model before RL and the problems before they are chosen from."""
    filter: YamlMapping | None = None
    """Settings of `presat data filter`."""
    subset: YamlMapping | None = None
    """Settings of `presat data subset`."""
    corrupt: YamlMapping | None = None
    """Settings of `presat data corrupt`."""
    train: YamlMapping | None = None
    """Settings of `presat train`."""
    eval: YamlMapping | None = None
    """Settings of `presat eval`."""


class StudyRay(Settings):
    """What a cell asks of a Ray cluster."""

    cpus: Workers | None = None
    """CPUs of a node. None: where cells ask for GPUs, a node's cores divided among its GPUs; else the cluster's divided
    among `workers`; without these one."""
    gpus: Annotated[float, Field(ge=0, le=1024)] | None = None
    """GPUs, or a part of one. None: one where any node has one, else none."""
    retries: Annotated[int, Field(ge=0, le=1000)] = 3
    """How often a cell is taken up again, within one `study run`, when its node is lost."""


class StudyConfig(Settings):
    """A grid of runs, as its YAML file holds it."""

    study: Annotated[str, AfterValidator(_is_a_name)]
    """What the study is called: letters, digits, and `.+ -` between them; the folder is called so too."""
    out: AnyPath | None = None
    """Folder for everything the study makes; `runs/STUDY` when None."""
    base: StudyBase = Field(default_factory=StudyBase)
    """What all cells have in common."""
    axes: YamlMapping = Field(default_factory=dict)
    """What is varied. A list under a setting of `base` (`train.optim.lr: [1e-6, 1e-5]`), or under any name a mapping
    of named values, each with the settings it changes and the stages it leaves out (`repair: {none: {sft: null}, sft:
    {}}`). Every combination is a point of the grid."""
    seeds: list[Seed] = Field(default_factory=list)
    """Every point is run with each of these seeds; when empty, once, each stage with its own seed."""
    seeded: list[StageName] = Field(default_factory=lambda: list(STAGES))
    """Stages that get the seed; the others keep their own, and are shared by all seeds unless they follow one that
    gets it."""
    only: list[dict[str, Any]] = Field(default_factory=list)
    """Points to run, by the values of their axes (`{repair: none, n: [8, 64]}`); all when empty."""
    exclude: list[dict[str, Any]] = Field(default_factory=list)
    """Points to leave out, likewise."""
    out_of_domain: list[Word] = Field(default_factory=list)
    """Evaluation sets that are out of domain, besides those whose names say so and the paper's benchmarks."""
    workers: Workers | None = None
    """Cells side by side. None: one for every GPU, without any one for every core. Cores are divided among them, and
    each has one GPU."""
    ray: StudyRay = Field(default_factory=StudyRay)
    """What a cell asks of a Ray cluster, for `study run --ray`."""
    keep: Literal["all", "last"] = "all"
    """`last`: once every stage that reads a run is done, only the last of its checkpoints is kept, without what
    resuming needs."""


class StudyRunConfig(Settings):
    """Run a study, or go on with it."""

    saved: ClassVar[bool] = False
    study: Positional[str] = ""
    """The study's YAML file, or a preset."""
    retry: Literal["nothing", "failed"] = "nothing"
    """`failed`: run cells that failed before once more; otherwise they stay as they are."""
    ray: Word | None = None
    """Run the cells on a Ray cluster: its address (HOST:PORT), or `auto` for the one that this machine is a node of."""


class StudyStatusConfig(Settings):
    """How it stands with a study, while it runs and after."""

    saved: ClassVar[bool] = False
    study: Positional[str] = ""
    """The study's folder, or its YAML file or preset."""


class StudyReportConfig(Settings):
    """A study's cells as tables: what each setting came to over its seeds, and which differences are beyond chance."""

    saved: ClassVar[bool] = False
    common: ClassVar[tuple[str, ...]] = ("study", "metric", "rows", "columns", "against", "out")
    study: Positional[str] = ""
    """The study's folder, or its YAML file or preset."""
    metric: list[Word] = Field(default_factory=list)
    """What is shown: `t_sat`, `verdict`, or a metric, an evaluation set, `main`, `in_domain` or `out_of_domain` at the
    end of the run; `change:` before it for what it rose by, `D_sat:` and `D_post:` for the gains before and after
    saturation, `G(VALUE):` for the gap to the runs at that value of an axis; `check:` and a quantity, or
    `generalise:KIND` or `verdict:KIND`, for what the check before RL found. When empty: `main`, `change:main`,
    `change:reward`, `t_sat`, `verdict`; without RL what checks and evaluations found."""
    rows: list[Word] = Field(default_factory=list)
    """Axes that make the rows; all that are varied, but for those of `columns`, when empty."""
    columns: list[Word] = Field(default_factory=list)
    """Axes that make columns. Of axes that are neither, the mean is taken within each seed."""
    where: list[Word] = Field(default_factory=list)
    """Only these values of axes: `AXIS=VALUE`."""
    against: list[Word] = Field(default_factory=list)
    """The baseline that all others are compared with: `AXIS=VALUE`; all pairs of a column when empty."""
    form: Literal["", "table1", "gains", "gaps", "averages"] = ""
    """In place of `metric`, what the paper's tables show: t_sat, D_sat and D_post of the main set beside the values of
    its table 1 (`table1`), the gains in and out of domain (`gains`), G(n', n) (`gaps`), or scores at the end
    (`averages`)."""
    aa: int | None = Field(default=None, ge=3, le=1000)
    """An A/A check: how often two groups of this many seeds of one setting would be called different."""
    out: list[AnyPath] = Field(default_factory=list)
    """Files to write, by their endings: Markdown (`.md`), `.csv`, LaTeX (`.tex`) or `.json`."""
    read: ReadingConfig = Field(default_factory=ReadingConfig)
    """How t_sat and the held-out scores are read."""
