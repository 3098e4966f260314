"""Settings of `eval`, `demo`, `watch`, `diagnose` and `report`."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, model_validator
from tyro.conf import Positional

from presat.config.schema.base import DrawConfig, ModelConfig, TaskConfig, _distinct
from presat.config.schema.kinds import (
    AnyPath,
    Problems,
    Samples,
    Seed,
    Settings,
    Share,
    Steps,
    StepsOrZero,
    Weight,
    Word,
    Workers,
    YamlMapping,
)
from presat.config.schema.training import CptConfig, SftConfig, TrainConfig


class EvalConfig(DrawConfig):
    """How good a model or a checkpoint is, on named problem sets."""

    common: ClassVar[tuple[str, ...]] = (
        "model.name",
        "benchmarks",
        "run",
        "samples",
        "max_new_tokens",
        "verify.extraction",
    )
    run: AnyPath = Path("runs/eval")
    """Run directory; results are appended to the ones that are there."""
    model: ModelConfig = Field(default_factory=ModelConfig)
    """The model; a checkpoint (`runs/NAME/checkpoints/step_N`) is logged at its step."""
    sets: list[TaskConfig] = Field(default_factory=list)
    """Problem sets."""
    benchmarks: list[Word] = Field(default_factory=list)
    """The paper's benchmarks besides: names (`math500`, `gpqa_diamond`), all that a training domain is evaluated on
    (`math`), or a part of those (`math/in_domain`, `math/out_of_domain`)."""
    folder: AnyPath | None = None
    """Folder with the benchmarks' files; the environment variable PRESAT_BENCHMARKS when None."""
    skip_missing: bool = False
    """Leave out benchmarks that are in no folder and cannot be had otherwise, and say which; else they are an error."""
    prompt: Literal["", "plain", "thinking", "think_opened"] = ""
    """Prompt of the benchmarks, as `data.prompt`; the files' own when empty."""
    count: Problems | None = None
    """Problems of each benchmark, chosen at random, the same for every `seed`; all when None."""
    every_checkpoint: bool = False
    """Evaluate every checkpoint of the run directory that `model.name` is, not the newest alone."""
    samples: Samples = 16
    """Responses per problem for avg@k, pass@k and maj@k."""
    greedy: bool = True
    """Also decode greedily once per problem."""
    save_rollouts: bool = True
    """Keep every response under `rollouts/eval`."""
    seed: Seed = 0
    """Seed of the responses; a training run's seed repeats the evaluation of that run. Which problems there are, their
    order and the letters of their options go by each set's own seed, which is 0 for `benchmarks`."""

    @model_validator(mode="after")
    def _names(self) -> EvalConfig:
        _distinct(self.sets)
        return self


class DemoConfig(Settings):
    """The whole pipeline on tiny models made on the spot; the `demo` preset holds the recipe."""

    common: ClassVar[tuple[str, ...]] = ("out", "seed", "workers", "fresh")
    out: AnyPath = Path("runs/demo")
    """Folder for the run directories and `report.html`."""
    seed: Seed = 20
    """Seed of everything: models, data, training and sampling."""
    workers: Workers = 2
    """Processes side by side, one thread each."""
    fresh: bool = False
    """Start over; otherwise the finished stages of an interrupted demo are kept."""
    min_recall: Share = 0.95
    """A base model that recalls less than this share is made again from another seed (and the report says so)."""
    short: TaskConfig = Field(default_factory=TaskConfig)
    """Short training chains that Thinking SFT is checked on."""
    min_valid: Share = 0.75
    """Thinking SFT is made again with one epoch more while fewer of its traces on the short chains are valid."""
    max_epochs: int = Field(default=8, ge=1, le=1000)
    """Most epochs of Thinking SFT."""
    thinking_gate: Literal["think", "none"] = "think"
    """Format gate of the Thinking models' reward, as the paper has it after Thinking SFT."""
    candidates: TaskConfig = Field(default_factory=TaskConfig)
    """Problems from which each model's training problems are chosen by its own solve@16."""
    train_problems: Problems = 8
    """N, training problems."""
    train_mean: Share = 0.3
    """Mean solve rate of the chosen problems, so that all models start RL from about the same reward."""
    base: CptConfig = Field(default_factory=CptConfig)
    """Pre-training from scratch."""
    cpt: CptConfig = Field(default_factory=CptConfig)
    """Continual pre-training."""
    thinking: SftConfig = Field(default_factory=SftConfig)
    """Thinking SFT."""
    non_thinking: SftConfig = Field(default_factory=SftConfig)
    """Non-Thinking SFT, on the same prompts."""
    rl: TrainConfig = Field(default_factory=TrainConfig)
    """GRPO."""

    @model_validator(mode="after")
    def _epochs(self) -> DemoConfig:
        if self.max_epochs < self.thinking.epochs:
            raise ValueError(f"max_epochs must be at least thinking.epochs ({self.thinking.epochs:g})")
        return self


class ReadingConfig(Settings):
    """Choices the paper leaves open in reading a run (section 4.1); named wherever a number depends on them."""

    tail: StepsOrZero | None = None
    """Steps at the end that t_sat is not searched in; None takes the paper's 50, or 10% of a run shorter than 496."""
    window: Steps = 5
    """Steps of the trailing mean for the smoothed t_sat, and for the reward `first` and `last`."""
    reading: Literal["interpolate", "previous", "nearest"] = "interpolate"
    """How a held-out score is read at a step between two evaluations."""
    grid: Literal["curve", "evaluations"] = "curve"
    """Where the maximum of the post-saturation residual is taken: with M(t_sat) among the candidates, or without."""


class LogConfig(Settings):
    """How other trainers' logs are read; runs of ours need none of it."""

    columns: dict[str, str] = Field(default_factory=dict)
    """Which columns of a log are what: the `step`, the `reward`, `labels/gold_accuracy`, or the name of an evaluation
    set (`SET/METRIC`, or `SET`) and the column with its score."""
    reward_values: tuple[float, float] | None = None
    """The two values that a reward takes (`-1 1`), where the log does not show them: it is then read as a share."""

    @model_validator(mode="after")
    def _values(self) -> LogConfig:
        if self.reward_values is not None and not self.reward_values[0] < self.reward_values[1]:
            raise ValueError("reward_values must be two numbers, the lower first")
        return self


class InitConfig(Settings):
    """A commented configuration for `train`, from what the model's name and the data say."""

    saved: ClassVar[bool] = False
    common: ClassVar[tuple[str, ...]] = ("model", "data", "held_out", "out")
    model: Positional[str] = ""
    """The model to train: a Hugging Face id or folder, or a packaged name. Of it the name alone is looked at."""
    data: Positional[str] = ""
    """The training problems, as `data inspect` takes them."""
    held_out: str = ""
    """Problems to evaluate on, which the model does not train on; a verdict needs some."""
    out: AnyPath = Path("train.yaml")
    """The file to write."""


class PresetsConfig(Settings):
    """The configurations that come with presat."""

    saved: ClassVar[bool] = False


class WatchConfig(LogConfig):
    """Live terminal view of a run, ours or another trainer's."""

    common: ClassVar[tuple[str, ...]] = ("run", "once")
    saved: ClassVar[bool] = False
    run: Positional[str] = ""
    """Run directory, TRL output folder, another trainer's log, or a tracker's store. It may appear after the watching
    starts."""
    only: str = ""
    """Which run, where there are several (an export of several runs, a tracker's store)."""
    once: bool = False
    """Show the run as it is now and return."""
    refresh_s: float = Field(default=1.0, ge=0.01, le=24 * 3600)
    """Seconds between two looks at the files."""
    window: Steps | None = None
    """Steps of the trailing mean that saturation is judged on; None takes the run's own `stop.window`, else 5."""
    patience: Steps | None = None
    """Steps that must follow t_sat; None takes the run's own `stop.patience`, else the tail for its planned length."""
    min_reward: Weight | None = None
    """Not saturated while the smoothed reward is below this; None takes the run's own `stop.min_reward`, else any."""


class DiagnoseConfig(LogConfig):
    """What is wrong with a run, since when, and what to do about it."""

    common: ClassVar[tuple[str, ...]] = ("runs", "fail_on", "show")
    saved: ClassVar[bool] = False
    runs: Positional[list[Word]] = Field(default_factory=list)
    """Runs of any kind `presat report` reads, folders or files of saved responses, or JSON lines of
    `{prompt_id, rewards}` or `{prompt, response, reward}`, with a `step` or without."""
    fail_on: Literal["never", "critical", "warning"] = "never"
    """Exit with code 1 where an alarm is at least so bad: for continuous integration."""
    show: Literal["critical", "warning", "info"] = "info"
    """The least severity that is shown; what is less bad is left out of the screen and the JSON."""
    reasoning: bool = True
    """Also judge saved responses at some steps: how much of the reasoning is aligned, and how diverse it is. Takes
    seconds a run with the symbolic judge."""
    judge: Literal["symbolic", "self_support", "llm", "ensemble"] = "symbolic"
    """Who judges them (judges.md). What any but the symbolic one says is kept beside the responses, in `judgements`."""
    judge_options: YamlMapping = Field(default_factory=dict)
    """Settings of that judge: `{server: http://localhost:8000/v1, model: NAME}` for `llm`, `{model: NAME}` for
    `self_support`, the model that wrote the responses."""


class ReportConfig(LogConfig):
    """One self-contained page, and tables, for one run or many."""

    common: ClassVar[tuple[str, ...]] = ("runs", "out", "labels", "groups")
    saved: ClassVar[bool] = False
    runs: Positional[list[Word]] = Field(default_factory=list)
    """Runs of any kind `open_run` reads; of an export of several runs, or a tracker's store, all of them."""
    labels: list[Word] = Field(default_factory=list)
    """What the runs are called, in their order; the shortest paths that tell them apart when empty."""
    groups: list[Word] = Field(default_factory=list)
    """A group for each run, in their order: runs of one group (seeds of one setting) are also averaged."""
    out: AnyPath | None = None
    """The page. None: `report.html` in the run's own folder for one run of ours, else in the current folder."""
    formats: list[Literal["html", "csv", "latex"]] = Field(default_factory=lambda: ["html", "csv", "latex"])
    """What to write; the tables go beside the page, with its name."""
    title: str = ""
    """Title of the page."""
    read: ReadingConfig = Field(default_factory=ReadingConfig)
    """How t_sat and the held-out scores are read."""
