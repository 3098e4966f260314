"""Settings of the `data` verbs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator
from tyro.conf import Positional

from presat.config.schema.base import DrawConfig, ModelConfig, TaskConfig, VerifyConfig
from presat.config.schema.kinds import (
    AnyPath,
    Problems,
    Samples,
    Seed,
    Settings,
    Share,
    Tokens,
    Word,
)
from presat.text import brief


def _is_parquet(path: Path) -> Path:
    if path.suffix != ".parquet":
        within = f", such as {brief(str(path / 'problems.parquet'))}" if path.is_dir() else ""
        raise ValueError(f"a parquet file is written, so its name should end in .parquet{within}")
    return path


ParquetFile = Annotated[AnyPath, AfterValidator(_is_parquet)]


class SampleConfig(DrawConfig):
    """Sampling the model to be trained, for the data verbs that need its answers."""

    data: TaskConfig = Field(default_factory=TaskConfig)
    """The problems."""
    model: ModelConfig = Field(default_factory=ModelConfig)
    """The model that will be trained."""
    run: AnyPath = Path("runs/data")
    """Run directory of the samples. Started again, the verb goes on with the samples that are there."""
    out: ParquetFile = Path("problems.parquet")
    """The file to write, in the verl record format."""
    samples: Samples = 16
    """Responses per problem."""
    chunk: Problems = 32
    """Problems sampled between two saves; at most these are lost when the verb is killed."""
    seed: Seed = 0
    """Seed of the draws."""


class FilterConfig(SampleConfig):
    """The model-aware filter: problems the model solves sometimes (the paper's)."""

    common: ClassVar[tuple[str, ...]] = (
        "data.source",
        "model.name",
        "out",
        "samples",
        "max_new_tokens",
        "verify.extraction",
    )
    run: AnyPath = Path("runs/data-filter")
    """Run directory of the samples. Started again, the verb goes on with the samples that are there."""
    out: ParquetFile = Path("filtered.parquet")
    """The file to write, in the verl record format, with the counts in the column `solve`."""
    lowest: int = Field(default=1, ge=0, le=2**16)
    """Problems solved less often are dropped."""
    highest: Annotated[int, Field(ge=0, le=2**16)] | None = None
    """Problems solved more often are dropped; None is `samples` - 1."""
    draws_by: Literal["id", "position"] = "id"
    """What decides a problem's draws besides the seed: its id, whatever the other problems, or its place among them."""

    @model_validator(mode="after")
    def _bounds(self) -> FilterConfig:
        highest = self.samples - 1 if self.highest is None else self.highest
        if highest < self.lowest:
            raise ValueError(f"no problem is solved at least {self.lowest} (`lowest`) and at most {highest} times")
        return self


class CorruptConfig(SampleConfig):
    """Label noise: the most frequent incorrect answer becomes the gold answer (section 3)."""

    common: ClassVar[tuple[str, ...]] = (
        "data.source",
        "model.name",
        "out",
        "gamma",
        "samples",
        "max_new_tokens",
        "verify.extraction",
    )
    run: AnyPath = Path("runs/data-corrupt")
    """Run directory of the samples. Started again, also for another gamma, the verb goes on with what is there."""
    out: ParquetFile = Path("noisy.parquet")
    """The file to write, in the verl record format; the true answers stay as `original_ground_truth`."""
    samples: Samples = 96
    """Responses per problem."""
    gamma: Share = 0.7
    """Share of the problems to corrupt."""
    seed: Seed = 0
    """Seed of the draws and of which problems are corrupted; those of a lower gamma are among those of a higher."""


class SubsetConfig(Settings):
    """A stratified subset of N problems, nested over N for one seed (as the paper draws them)."""

    common: ClassVar[tuple[str, ...]] = ("data.source", "out", "n", "counts")
    data: TaskConfig = Field(default_factory=TaskConfig)
    """Problems with solve counts: what `presat data filter` wrote, or a published file."""
    out: ParquetFile = Path("subset.parquet")
    """The file to write, in the verl record format."""
    n: Problems = 8
    """N, how many problems."""
    batch: int = Field(default=64, ge=0, le=10**7)
    """Fewer problems than this are each written `batch / n` times; 0 writes each once."""
    counts: Word = "solve"
    """Column of the solve counts; `difficulty.MODEL` in the published files."""
    samples: int = Field(default=16, ge=2, le=2**16)
    """What a bare count is out of; the column `solve` says so itself."""
    mean: Share | None = None
    """Choose at random, so that this share of the samples is right, in place of the paper's choice across the range of
    difficulty: runs of different models then start RL from about the same reward."""
    balance: str = ""
    """Column, or key of `extra_info`, whose values get equal shares, while they last: `source_dataset` for the paper's
    Graph sets."""
    seed: Seed = 0
    """Seed of the choice."""


class TracesConfig(Settings):
    """Thinking and Non-Thinking SFT sets from one file of reasoning traces (section 4, appendix B)."""

    common: ClassVar[tuple[str, ...]] = ("data.source", "model.name", "out", "where", "max_length")
    data: TaskConfig = Field(default_factory=TaskConfig)
    """The traces. `columns` can name `question`, `trace`, `solution`, `answer`, `messages`; usual names, OpenThoughts'
    among them, are found by themselves. `prompt` gives every example the system message of a style."""
    where: dict[str, str] = Field(default_factory=dict)
    """Only rows whose columns have these values, for instance `{domain: math}`."""
    model: ModelConfig = Field(default_factory=ModelConfig)
    """The model to be fine-tuned; only its tokenizer is loaded."""
    out: AnyPath = Path("sft")
    """Folder to write `thinking.parquet` and `non_thinking.parquet` to."""
    max_length: Annotated[Tokens, Field(ge=2)] = 8192
    """Prompts whose thinking example has more tokens are left out of both sets."""
    require_answer: bool = False
    """Leave out rows without a gold answer too; otherwise they are kept, and counted."""
    verify: VerifyConfig = Field(default_factory=VerifyConfig)
    """How the solutions' answers are checked against the gold ones."""


class InspectConfig(TaskConfig):
    """Look into a data source without training anything."""

    common: ClassVar[tuple[str, ...]] = ("source", "count", "columns", "verify.extraction")
    saved: ClassVar[bool] = False
    source: Positional[str] = ""
    """The source: a file, a folder, `lab/NAME`, `reasoning_gym/TASK`, `benchmark/NAME` or a Hugging Face dataset id."""
    against: str = ""
    """Another source, for instance the held-out set: how many questions stand in both."""
    verify: VerifyConfig = Field(default_factory=VerifyConfig)
    """How the gold self-check verifies."""
