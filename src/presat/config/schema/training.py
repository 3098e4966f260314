"""Settings of `cpt`, `sft` and `train`. Defaults follow the paper (arXiv:2604.18574, appendix B)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from presat.config.schema.base import EngineConfig, LoraConfig, ModelConfig, TaskConfig, VerifyConfig, _distinct
from presat.config.schema.kinds import (
    AnyPath,
    OneDnn,
    Rows,
    Samples,
    Seed,
    Settings,
    Share,
    Steps,
    StepsOrZero,
    Temperature,
    Threads,
    Tokens,
    Weight,
    Word,
    YamlMapping,
)

Gate = Literal["none", "boxed", "think", "think_opened", "single_box"]


VOTES = ("majority_vote", "soft_majority_vote")
"""Rewards that hold a vote."""


class RewardPart(Settings):
    """One part of a weighted sum of rewards."""

    stands_for: ClassVar[str] = "source"

    source: Word = "verifiable"
    """Any reward but `weighted_sum`."""
    weight: Weight = 1.0
    """What its values are multiplied by; a part of weight 0 is only logged."""
    name: str = ""
    """What it is logged under (`rewards/NAME/mean`); the source's own name when empty."""
    gate: Gate = "none"
    """Format gate of this part."""
    options: YamlMapping = Field(default_factory=dict)
    """Further options of the source."""


class RewardConfig(Settings):
    """What the policy is rewarded for."""

    stands_for: ClassVar[str] = "source"

    source: Word = "verifiable"
    """`verifiable`, `majority_vote`, `soft_majority_vote`, `self_certainty`, `negative_entropy`, `random`,
    `format_only`, `weighted_sum` of `parts`, or your own: `package.module:name` or the name of an entry point."""
    gate: Gate = "none"
    """Format gate: what fails it earns 0, or less where the reward may be negative (`think`: `<think>...</think>` and a
    box after it; `think_opened`: the prompt opened `<think>`; `single_box`: exactly one box and nothing after it)."""
    votes: Samples = 16
    """Votes: responses per prompt that vote (at least the group size); the first `group_size` train."""
    options: YamlMapping = Field(default_factory=dict)
    """Further options of the source, for instance `{last: 0.25}` of `negative_entropy`."""
    parts: list[RewardPart] = Field(default_factory=list)
    """The parts of a `weighted_sum`; the gate above goes for all of them, beside their own."""

    @property
    def sources(self) -> list[str]:
        """Every source that takes part."""
        return [part.source for part in self.parts] or [self.source]

    @property
    def ballots(self) -> list[int]:
        """The number of votes of every source that holds a vote; its own option comes before `votes`."""
        given = [(part.source, part.options) for part in self.parts] or [(self.source, self.options)]
        votes = [options.get("votes", self.votes) for source, options in given if source in VOTES]
        return [number for number in votes if isinstance(number, int)]  # another kind is refused with the reward

    @model_validator(mode="after")
    def _sum(self) -> RewardConfig:
        if (self.source == "weighted_sum") != bool(self.parts):
            raise ValueError("`source: weighted_sum` and `parts` go together: give both or neither")
        if self.parts and self.options:
            raise ValueError("a weighted sum has no options of its own; give them to its parts")
        return self


class EvalSettings(Settings):
    """Evaluation during and after training."""

    sets: list[TaskConfig] = Field(default_factory=list)
    """Held-out and out-of-distribution problem sets."""
    skip_missing: bool = False
    """Leave out benchmarks that are in no folder and cannot be had otherwise, and say which; else they are an error."""
    samples: Samples = 16
    """Responses per problem for avg@k, pass@k and maj@k."""
    greedy: bool = True
    """Also decode greedily once per problem."""
    every: StepsOrZero = 25
    """Evaluate every this many steps, and at step 0 and at the end."""
    temperature: Temperature = 1.0
    """Sampling temperature."""
    max_new_tokens: Tokens | None = None
    """Response length limit in tokens; the training limit when None."""
    save_rollouts: bool = True
    """Keep every evaluated response under `rollouts/eval`."""

    @model_validator(mode="after")
    def _names(self) -> EvalSettings:
        _distinct(self.sets)
        return self


class StopConfig(Settings):
    """Early stop once the reward has saturated."""

    when: Literal["never", "saturated"] = "never"
    """`saturated`: stop when the smoothed reward is flat near its maximum and the held-out score is flat too."""
    patience: Steps = 50
    """Steps without a new best reward (and without a new best held-out score) before stopping."""
    window: Steps = 5
    """Steps of the moving average the reward is judged on."""
    min_reward: Weight = 0.0
    """Never call a run saturated below this smoothed reward."""

    @property
    def deciding(self) -> dict[str, Any]:
        """What decides when a run is saturated, by the names that `presat.metrics.OnlineSaturation` has for it."""
        return {"window": self.window, "patience": self.patience, "min_reward": self.min_reward}


class OptimConfig(Settings):
    """Optimiser of the policy update."""

    lr: float = Field(default=1e-6, gt=0)
    """Learning rate, constant, no warm-up (section 3)."""
    weight_decay: float = Field(default=0.01, ge=0, le=1e6)
    """AdamW weight decay; the paper does not say, this is its framework's default."""
    max_grad_norm: float = Field(default=1.0, ge=0, le=1e9)
    """Gradient clipping; the paper does not say, this is its framework's default."""


class TrainConfig(EngineConfig):
    """GRPO, exactly the paper's objective (section 3)."""

    common: ClassVar[tuple[str, ...]] = (
        "model.name",
        "data.source",
        "reward.source",
        "run",
        "steps",
        "prompts_per_step",
        "group_size",
        "optim.lr",
        "max_new_tokens",
        "verify.extraction",
        "resume",
    )
    run: AnyPath = Path("runs/train")
    """Run directory."""
    model: ModelConfig = Field(default_factory=ModelConfig)
    """The policy before RL; also the KL reference."""
    data: TaskConfig = Field(default_factory=TaskConfig)
    """Training problems. Fewer than `prompts_per_step` are repeated uniformly to fill a step."""
    reward: RewardConfig = Field(default_factory=RewardConfig)
    """The training signal."""
    verify: VerifyConfig = Field(default_factory=VerifyConfig)
    """How answers are checked (for the reward, and for the gold accuracy logged beside any proxy)."""
    eval: EvalSettings = Field(default_factory=EvalSettings)
    """Evaluation."""
    optim: OptimConfig = Field(default_factory=OptimConfig)
    """Optimiser."""
    lora: LoraConfig = Field(default_factory=LoraConfig)
    """LoRA; off by default."""
    bf16: bool = False
    """Forward and backward passes under bfloat16 autocast, the weights kept as `model.dtype`: for GPUs."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass instead of keeping them: less memory, about a third more time."""
    stop: StopConfig = Field(default_factory=StopConfig)
    """Early stop."""
    steps: Steps = 496
    """T, policy updates."""
    prompts_per_step: Rows = 64
    """Prompts a step, over all processes."""
    group_size: Samples = 8
    """G, responses a prompt."""
    micro_batch: Rows = 8
    """Responses per forward-backward pass and process. Votes and advantages always see the whole group."""
    advantage: Literal["grpo", "grpo_pos", "grpo_neg"] = "grpo"
    """`grpo`: (r - mean) / std of the group, tokens weighted by 1/|o|. Baselines of appendix E: `grpo_pos`: r - 0, only
    right responses push; `grpo_neg`: r - 1, only wrong ones; both without the 1/|o| weights."""
    beta: float = Field(default=0.001, ge=0, le=1e6)
    """KL coefficient (k3 estimator)."""
    epsilon: float = Field(default=0.2, gt=0, le=1e6)
    """Clip range of the probability ratio."""
    temperature: Annotated[Temperature, Field(gt=0)] = 1.0
    """Sampling temperature."""
    max_prompt_tokens: Tokens = 2048
    """Longer prompts are dropped, and counted."""
    max_new_tokens: Tokens = 2048
    """Response length limit in tokens."""
    save_every: StepsOrZero = 50
    """Checkpoint every this many steps, and at the end."""
    keep_checkpoints: StepsOrZero = 2
    """Newest checkpoints kept with optimiser state, to resume from; 0 keeps that of all."""
    keep_weights: bool = True
    """Keep the weights of older checkpoints, to evaluate them; otherwise they are deleted."""
    save_rollouts_every: StepsOrZero = 1
    """Keep the training responses of every this many steps; 0 keeps none."""
    threads: Threads = 0
    onednn: OneDnn = False
    seed: Seed = 0
    """Seed of the schedule, the rollouts and the update."""
    report_to: list[Word] = Field(default_factory=list)
    """TRL trackers besides our own log: `trackio`, `wandb`, `tensorboard`, `mlflow`."""
    resume: bool = False
    """Go on from the newest complete checkpoint of the run directory."""

    @model_validator(mode="after")
    def _sizes(self) -> TrainConfig:
        if self.group_size < 2:
            raise ValueError("group_size must be at least 2: the advantage compares responses within a group")
        if any(votes < self.group_size for votes in self.reward.ballots):
            raise ValueError("reward.votes must be at least group_size")
        return self


class CorpusConfig(Settings):
    """Plain text to pre-train on."""

    stands_for: ClassVar[str] = "source"

    source: str = ""
    """`lab/base`, `lab/cpt`, a .jsonl, .parquet, .csv or .txt file, a folder of them, or a Hugging Face dataset id."""
    text: Word = "text"
    """Column that holds a document; in a .txt file every line is one."""
    subset: str = ""
    """Configuration of a Hugging Face dataset that has several (`4plus` of `nvidia/Nemotron-CC-Math-v1`)."""
    seed: Seed = 0
    """Seed of procedural documents, and of which sequences of a file are held out."""
    held_out_rows: int = Field(default=64, ge=0, le=2**20)
    """Sequences set aside to measure bits per token before and after."""
    weights: dict[str, Annotated[float, Field(ge=0, le=1e6)]] = Field(default_factory=dict)
    """Lab corpora: share of each kind of document; the corpus's own when empty."""


class SupervisedOptimConfig(Settings):
    """Optimiser and schedule of CPT and SFT (appendix B gives CPT's values)."""

    optimizer: Literal["adamw", "muon"] = "adamw"
    """`muon`: Muon on the matrices of the transformer blocks, AdamW on everything else."""
    lr: float = Field(default=2e-5, gt=0)
    """Peak learning rate, of both halves when the optimiser is Muon."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """Shape of the decay after warm-up."""
    warmup: Share = 0.05
    """Share of the steps with linear warm-up."""
    final_lr: Share = 0.0
    """Learning rate at the end, as a share of the peak."""
    weight_decay: float = Field(default=0.01, ge=0, le=1e6)
    """Decoupled weight decay."""
    max_grad_norm: float = Field(default=1.0, ge=0, le=1e9)
    """Gradient clipping."""


class SupervisedConfig(Settings):
    """What CPT and SFT share."""

    model: ModelConfig = Field(default_factory=ModelConfig)
    """The model to train further."""
    optim: SupervisedOptimConfig = Field(default_factory=SupervisedOptimConfig)
    """Optimiser and schedule."""
    lora: LoraConfig = Field(default_factory=LoraConfig)
    """LoRA; off by default."""
    bf16: bool = False
    """Forward and backward passes under bfloat16 autocast, the weights kept as `model.dtype`: for GPUs."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass instead of keeping them: less memory, about a third more time."""
    micro_batch: Rows = 8
    """Most sequences per forward-backward pass and process; the next lower number that divides `batch` is taken."""
    save_every: StepsOrZero = 0
    """Checkpoint every this many steps; 0 saves at the end only."""
    keep_checkpoints: StepsOrZero = 2
    """Newest checkpoints kept with optimiser state, to resume from; 0 keeps that of all."""
    keep_weights: bool = True
    """Keep the weights of older checkpoints; otherwise they are deleted."""
    log_every: Steps = 10
    """Steps between two log lines."""
    threads: Threads = 0
    onednn: OneDnn = False
    seed: Seed = 0
    """Seed of the order of the data and of training."""
    report_to: list[Word] = Field(default_factory=list)
    """TRL trackers besides our own log: `trackio`, `wandb`, `tensorboard`, `mlflow`."""
    resume: bool = False
    """Go on from the newest complete checkpoint of the run directory."""


class CptConfig(SupervisedConfig):
    """Continual pre-training on plain text (section 4, appendix B)."""

    common: ClassVar[tuple[str, ...]] = (
        "model.name",
        "data.source",
        "run",
        "steps",
        "sequence_length",
        "batch",
        "optim.lr",
        "resume",
    )
    run: AnyPath = Path("runs/cpt")
    """Run directory; the trained model is its last `checkpoints/step_N`."""
    data: CorpusConfig = Field(default_factory=CorpusConfig)
    """The text."""
    sequence_length: Annotated[Tokens, Field(ge=2)] = 2048
    """Tokens a sequence; documents are joined by the end-of-sequence token and cut into such sequences."""
    batch: Rows = 128
    """Sequences a step, over all processes."""
    steps: Steps | None = None
    """Steps; None is one epoch (a procedural corpus has no end, so it needs a number)."""


class PackConfig(CptConfig):
    """Tokenising a `cpt` run's text beforehand, told by the run's own configuration.

    Of it `data`, `model.name`, `sequence_length` and `batch` matter.
    """

    common: ClassVar[tuple[str, ...]] = ("data.source", "model.name", "sequence_length", "batch")


class SftConfig(SupervisedConfig):
    """Supervised fine-tuning on reasoning traces or on solutions alone (section 4, appendix B)."""

    common: ClassVar[tuple[str, ...]] = (
        "model.name",
        "data.source",
        "run",
        "thinking",
        "epochs",
        "batch",
        "optim.lr",
        "resume",
    )
    run: AnyPath = Path("runs/sft")
    """Run directory; the trained model is its last `checkpoints/step_N`."""
    data: TaskConfig = Field(default_factory=TaskConfig)
    """`lab/NAME`, or a file or data set of traces: columns `question`, `trace`, `solution`, or `messages`, and what
    else `data sft` finds by itself; `columns` names others. `prompt` gives all examples the system message of a style.
    """
    thinking: bool = True
    """Train on `<think>` trace `</think>` and the solution; otherwise on the solution alone, same prompts."""
    max_length: Annotated[Tokens, Field(ge=2)] = 8192
    """Longer examples (in tokens) are dropped, and counted."""
    batch: Rows = 16
    """Examples a step, over all processes."""
    epochs: float = Field(default=3.0, gt=0, le=1e6)
    """Passes over the data."""
