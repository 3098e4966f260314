"""Configuration, written once: one pydantic model per verb.

The attribute docstrings below are the command line's help, the YAML schema and the reference page. Defaults follow the
paper (arXiv:2604.18574, appendix B and METHOD of the docs); `docs/deviations.md` lists where they do not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator
from tyro.conf import Positional
from tyro.constructors import PrimitiveConstructorSpec


def _read_mapping(words: list[str]) -> dict[str, Any]:
    try:
        value = yaml.safe_load(words[0])
    except yaml.YAMLError as error:
        raise ValueError(f"not valid YAML: {words[0]}") from error
    if not isinstance(value, dict):
        raise ValueError(f"expected something like '{{difficulty: 3}}', got {words[0]}")  # noqa: TRY004 (tyro reads it)
    return value


# Free-form settings: on the command line one YAML mapping, for instance --data.options '{difficulty: 3}'.
YamlMapping = Annotated[
    dict[str, Any],
    PrimitiveConstructorSpec(
        nargs=1,
        metavar="YAML",
        instance_from_str=_read_mapping,
        is_instance=lambda value: isinstance(value, dict),
        str_from_instance=lambda value: [yaml.safe_dump(value, default_flow_style=True).strip()],
    ),
]


class Settings(BaseModel):
    """Base of every configuration: unknown keys are errors, values are checked on assignment."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, use_attribute_docstrings=True)


class TaskConfig(Settings):
    """Where problems come from."""

    source: str = ""
    """`lab/NAME`, `reasoning_gym/TASK`, `benchmark/NAME`, a .parquet, .jsonl or .csv file, a folder, or a Hugging Face
    dataset id."""
    name: str = ""
    """What its metrics are logged under (`eval/NAME/avg@16`); the source's last part when empty."""
    count: int | None = Field(default=None, ge=1)
    """How many problems to take or to make; None takes all of a file."""
    seed: int = 0
    """Seed of procedural problems, of random choices among rows, and of the letters of multiple-choice options."""
    split: str = "train"
    """Split of a Hugging Face dataset."""
    columns: dict[str, str] = Field(default_factory=dict)
    """For JSONL, CSV and plain datasets: which column is the `question`, the `answer`, and, if any, the `id`. The lab,
    Reasoning Gym and benchmarks refuse it."""
    domain: str = ""
    """Domain of all problems (`math`, `science`, `graph`), over what rows in the verl format say; decides the prompt of
    bare questions. When empty: what the rows say, else `math`. The lab and benchmarks refuse it."""
    prompt: Literal["", "plain", "thinking", "think_opened"] = ""
    """System message in place of the source's own: the domain's (`plain`), one that asks for `<think>` and `</think>`
    (`thinking`), or that one with the response begun by `<think>` (`think_opened`). The lab refuses it."""
    options: YamlMapping = Field(default_factory=dict)
    """Anything else the source understands: `operands: [6, 8]` (lab), `difficulty: 3` (Reasoning Gym), `folder`
    (benchmarks), `subset` (Hugging Face datasets), `sample`, `unique` and `system` (files and datasets)."""

    def label(self) -> str:
        """The set's name in metrics and file names."""
        return self.name or Path(self.source).stem or "problems"


def _distinct(sets: list[TaskConfig]) -> None:
    labels = [task.label() for task in sets]
    for label in labels:
        if labels.count(label) > 1:
            raise ValueError(f"two evaluation sets are called '{label}'; give each a `name` of its own")


class VerifyConfig(Settings):
    """How answers are read and checked."""

    extraction: Literal["boxed", "any"] = "boxed"
    """`boxed`: only the last balanced box counts. `any`: Math-Verify's fallbacks too (the paper's release)."""
    workers: int = Field(default=1, ge=1)
    """Killable worker processes for Math-Verify."""
    timeout_s: float = Field(default=5.0, gt=0)
    """Seconds a worker may spend on one answer, counted from when it starts; then the score is missing, not wrong."""


Gate = Literal["none", "boxed", "think", "think_opened", "single_box"]
VOTES = ("majority_vote", "soft_majority_vote")
"""Rewards that hold a vote."""


class RewardPart(Settings):
    """One part of a weighted sum of rewards."""

    source: str = "verifiable"
    """Any reward but `weighted_sum`."""
    weight: float = 1.0
    """What its values are multiplied by; a part of weight 0 is only logged."""
    name: str = ""
    """What it is logged under (`rewards/NAME/mean`); the source's own name when empty."""
    gate: Gate = "none"
    """Format gate of this part."""
    options: YamlMapping = Field(default_factory=dict)
    """Further options of the source."""


class RewardConfig(Settings):
    """What the policy is rewarded for."""

    source: str = "verifiable"
    """`verifiable`, `majority_vote`, `soft_majority_vote`, `self_certainty`, `negative_entropy`, `random`,
    `format_only`, `weighted_sum` of `parts`, or your own: `package.module:name` or the name of an entry point."""
    gate: Gate = "none"
    """Format gate: the reward is 0 unless the response passes it (`think`: `<think>...</think>` and a box after it;
    `think_opened`: the prompt opened `<think>`; `single_box`: exactly one box and nothing after it)."""
    votes: int = Field(default=16, ge=1)
    """Votes: responses per prompt that vote (at least the group size); the first `group_size` train."""
    options: YamlMapping = Field(default_factory=dict)
    """Further options of the source, for instance `{last: 0.25}` of `negative_entropy`."""
    parts: list[RewardPart] = Field(default_factory=list)
    """The parts of a `weighted_sum`; the gate above goes for all of them, beside their own."""

    @property
    def sources(self) -> list[str]:
        """Every source that takes part."""
        return [part.source for part in self.parts] or [self.source]

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
    samples: int = Field(default=16, ge=1)
    """Responses per problem for avg@k, pass@k and maj@k."""
    greedy: bool = True
    """Also decode greedily once per problem."""
    every: int = Field(default=25, ge=0)
    """Evaluate every this many steps, and at step 0 and at the end."""
    temperature: float = Field(default=1.0, ge=0)
    """Sampling temperature."""
    max_new_tokens: int | None = Field(default=None, ge=1)
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
    patience: int = Field(default=50, ge=1)
    """Steps without a new best reward (and without a new best held-out score) before stopping."""
    window: int = Field(default=5, ge=1)
    """Steps of the moving average the reward is judged on."""
    min_reward: float = 0.0
    """Never call a run saturated below this smoothed reward."""


class ModelConfig(Settings):
    """Which model, and how it is held."""

    name: str = ""
    """A Hugging Face id or folder, or a packaged name (`smollm2-135m`, `qwen2.5-coder-1.5b`)."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of the weights in training."""
    attention: str = "sdpa"
    """Attention implementation: `sdpa`, `eager`, `flash_attention_2`."""


class LoraConfig(Settings):
    """Low-rank adapters (LoRA, arXiv:2106.09685) in place of training every weight."""

    rank: int = Field(default=0, ge=0)
    """Rank of the adapters; 0 trains every weight."""
    alpha: int = Field(default=32, ge=1)
    """An adapter's update is scaled by alpha / rank."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout before the adapters, in CPT and SFT; RL trains without."""
    targets: list[str] = Field(default_factory=list)
    """Linear layers that get adapters (`q_proj`, ...); all of the transformer blocks when empty."""


class ServerConfig(Settings):
    """A server that speaks the OpenAI completions protocol. Its key, if it needs one, is read from OPENAI_API_KEY."""

    url: str = "http://localhost:8000/v1"
    """Where it is."""
    model: str = ""
    """What the server calls the model; the only one it has when empty."""
    concurrent: int = Field(default=32, ge=1)
    """Most problems asked about at the same time."""
    timeout_s: float = Field(default=3600.0, gt=0)
    """Longest wait for the responses to one problem."""


class OptimConfig(Settings):
    """Optimiser of the policy update."""

    lr: float = Field(default=1e-6, gt=0)
    """Learning rate, constant, no warm-up (section 3)."""
    weight_decay: float = Field(default=0.01, ge=0)
    """AdamW weight decay; the paper does not say, this is its framework's default."""
    max_grad_norm: float = Field(default=1.0, ge=0)
    """Gradient clipping; the paper does not say, this is its framework's default."""


class TrainConfig(Settings):
    """GRPO, exactly the paper's objective (section 3)."""

    run: Path = Path("runs/train")
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
    steps: int = Field(default=496, ge=1)
    """T, policy updates."""
    prompts_per_step: int = Field(default=64, ge=1)
    """Prompts a step, over all processes."""
    group_size: int = 8
    """G, responses a prompt."""
    micro_batch: int = Field(default=8, ge=1)
    """Responses per forward-backward pass and process. Votes and advantages always see the whole group."""
    advantage: Literal["grpo", "grpo_pos", "grpo_neg"] = "grpo"
    """`grpo`: (r - mean) / std of the group, tokens weighted by 1/|o|. Baselines of appendix E: `grpo_pos`: r - 0, only
    right responses push; `grpo_neg`: r - 1, only wrong ones; both without the 1/|o| weights."""
    beta: float = Field(default=0.001, ge=0)
    """KL coefficient (k3 estimator)."""
    epsilon: float = Field(default=0.2, gt=0)
    """Clip range of the probability ratio."""
    temperature: float = Field(default=1.0, gt=0)
    """Sampling temperature."""
    max_prompt_tokens: int = Field(default=2048, ge=1)
    """Longer prompts are dropped, and counted."""
    max_new_tokens: int = Field(default=2048, ge=1)
    """Response length limit in tokens."""
    save_every: int = Field(default=50, ge=0)
    """Checkpoint every this many steps, and at the end."""
    keep_checkpoints: int = Field(default=2, ge=0)
    """Newest checkpoints kept with optimiser state; 0 keeps all."""
    save_rollouts_every: int = Field(default=1, ge=0)
    """Keep the training responses of every this many steps; 0 keeps none."""
    engine: Literal["auto", "small", "transformers", "vllm"] = "auto"
    """Rollout engine: our small-model decoder where it runs the model, else transformers; `vllm`: see vllm.md."""
    threads: int = Field(default=0, ge=0)
    """CPU threads; 0 leaves torch's choice."""
    seed: int = 0
    """Seed of the schedule, the rollouts and the update."""
    report_to: list[str] = Field(default_factory=list)
    """TRL trackers besides our own log: `trackio`, `wandb`, `tensorboard`, `mlflow`."""
    resume: bool = False
    """Go on from the newest complete checkpoint of the run directory."""

    @model_validator(mode="after")
    def _sizes(self) -> TrainConfig:
        if self.group_size < 2:
            raise ValueError("group_size must be at least 2: the advantage compares responses within a group")
        if self.reward.votes < self.group_size and any(source in VOTES for source in self.reward.sources):
            raise ValueError("reward.votes must be at least group_size")
        if self.engine == "vllm" and self.lora.rank:
            raise ValueError("engine: vllm cannot sample a model with adapters; set lora.rank to 0 or use engine: auto")
        return self


class CorpusConfig(Settings):
    """Plain text to pre-train on."""

    source: str = ""
    """`lab/base`, `lab/cpt`, a .jsonl, .parquet, .csv or .txt file, a folder of them, or a Hugging Face dataset id."""
    text: str = "text"
    """Column that holds a document; in a .txt file every line is one."""
    seed: int = 0
    """Seed of procedural documents and of the order of a file's."""
    held_out_rows: int = Field(default=64, ge=0)
    """Sequences set aside to measure bits per token before and after."""
    weights: dict[str, float] = Field(default_factory=dict)
    """Lab corpora: share of each kind of document; the corpus's own when empty."""


class SupervisedOptimConfig(Settings):
    """Optimiser and schedule of CPT and SFT (METHOD section 6 gives CPT's values)."""

    optimizer: Literal["adamw", "muon"] = "adamw"
    """`muon`: Muon on the matrices of the transformer blocks, AdamW on everything else."""
    lr: float = Field(default=2e-5, gt=0)
    """Peak learning rate, of both halves when the optimiser is Muon."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """Shape of the decay after warm-up."""
    warmup: float = Field(default=0.05, ge=0, le=1)
    """Share of the steps with linear warm-up."""
    final_lr: float = Field(default=0.0, ge=0, le=1)
    """Learning rate at the end, as a share of the peak."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Decoupled weight decay."""
    max_grad_norm: float = Field(default=1.0, ge=0)
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
    micro_batch: int = Field(default=8, ge=1)
    """Most sequences per forward-backward pass and process; the next lower number that divides `batch` is taken."""
    save_every: int = Field(default=0, ge=0)
    """Checkpoint every this many steps; 0 saves at the end only."""
    keep_checkpoints: int = Field(default=2, ge=0)
    """Newest checkpoints kept; 0 keeps all."""
    log_every: int = Field(default=10, ge=1)
    """Steps between two log lines."""
    threads: int = Field(default=0, ge=0)
    """CPU threads; 0 leaves torch's choice."""
    seed: int = 0
    """Seed of the order of the data and of training."""
    report_to: list[str] = Field(default_factory=list)
    """TRL trackers besides our own log: `trackio`, `wandb`, `tensorboard`, `mlflow`."""
    resume: bool = False
    """Go on from the newest complete checkpoint of the run directory."""


class CptConfig(SupervisedConfig):
    """Continual pre-training on plain text (section 4; METHOD section 6)."""

    run: Path = Path("runs/cpt")
    """Run directory; the trained model is its last `checkpoints/step_N`."""
    data: CorpusConfig = Field(default_factory=CorpusConfig)
    """The text."""
    sequence_length: int = Field(default=2048, ge=2)
    """Tokens a sequence; documents are joined by the end-of-sequence token and cut into such sequences."""
    batch: int = Field(default=128, ge=1)
    """Sequences a step, over all processes."""
    steps: int | None = Field(default=None, ge=1)
    """Steps; None is one epoch (a procedural corpus has no end, so it needs a number)."""


class SftConfig(SupervisedConfig):
    """Supervised fine-tuning on reasoning traces or on solutions alone (section 4; METHOD section 6)."""

    run: Path = Path("runs/sft")
    """Run directory; the trained model is its last `checkpoints/step_N`."""
    data: TaskConfig = Field(default_factory=TaskConfig)
    """`lab/NAME`, or a file or data set with columns `question`, `trace`, `solution`, or `messages`."""
    thinking: bool = True
    """Train on `<think>` trace `</think>` and the solution; otherwise on the solution alone, same prompts."""
    max_length: int = Field(default=8192, ge=2)
    """Longer examples (in tokens) are dropped, and counted."""
    batch: int = Field(default=16, ge=1)
    """Examples a step, over all processes."""
    epochs: float = Field(default=3.0, gt=0)
    """Passes over the data."""


class EvalConfig(Settings):
    """How good a model or a checkpoint is, on named problem sets."""

    run: Path = Path("runs/eval")
    """Run directory; results are appended to the ones that are there."""
    model: ModelConfig = Field(default_factory=ModelConfig)
    """The model; a checkpoint (`runs/NAME/checkpoints/step_N`) is logged at its step."""
    sets: list[TaskConfig] = Field(default_factory=list)
    """Problem sets."""
    benchmarks: list[str] = Field(default_factory=list)
    """The paper's benchmarks besides: names (`math500`, `gpqa_diamond`), all that a training domain is evaluated on
    (`math`), or a part of those (`math/in_domain`, `math/out_of_domain`)."""
    folder: Path | None = None
    """Folder with the benchmarks' files; the environment variable PRESAT_BENCHMARKS when None."""
    skip_missing: bool = False
    """Leave out benchmarks that are in no folder and cannot be had otherwise, and say which; else they are an error."""
    prompt: Literal["", "plain", "thinking", "think_opened"] = ""
    """Prompt of the benchmarks, as `data.prompt`; the files' own when empty."""
    count: int | None = Field(default=None, ge=1)
    """Problems of each benchmark, chosen at random by `seed`; all when None."""
    every_checkpoint: bool = False
    """Evaluate every checkpoint of the run directory that `model.name` is, not the newest alone."""
    samples: int = Field(default=16, ge=1)
    """Responses per problem for avg@k, pass@k and maj@k."""
    greedy: bool = True
    """Also decode greedily once per problem."""
    temperature: float = Field(default=1.0, ge=0)
    """Sampling temperature."""
    max_prompt_tokens: int = Field(default=2048, ge=1)
    """Longer prompts are dropped, and counted."""
    max_new_tokens: int = Field(default=2048, ge=1)
    """Response length limit in tokens."""
    verify: VerifyConfig = Field(default_factory=VerifyConfig)
    """How answers are checked."""
    engine: Literal["auto", "small", "transformers", "vllm", "server"] = "auto"
    """Rollout engine, as in training; or a `server`: it has the weights, and of `model` only the tokenizer is read."""
    server: ServerConfig = Field(default_factory=ServerConfig)
    """The server of `engine: server`."""
    save_rollouts: bool = True
    """Keep every response under `rollouts/eval`."""
    threads: int = Field(default=0, ge=0)
    """CPU threads; 0 leaves torch's choice."""
    seed: int = 0
    """Seed of the draws; a training run's seed repeats the evaluation of that run."""

    @model_validator(mode="after")
    def _names(self) -> EvalConfig:
        _distinct(self.sets)
        if self.engine == "server" and self.every_checkpoint:
            raise ValueError("engine: server has one model, so it cannot evaluate every checkpoint")
        return self


class SampleConfig(Settings):
    """Sampling the model to be trained, for the data verbs that need its answers."""

    data: TaskConfig = Field(default_factory=TaskConfig)
    """The problems."""
    model: ModelConfig = Field(default_factory=ModelConfig)
    """The model that will be trained."""
    run: Path = Path("runs/data")
    """Run directory of the samples. Started again, the verb goes on with the samples that are there."""
    out: Path = Path("problems.parquet")
    """The file to write, in the verl record format."""
    samples: int = Field(default=16, ge=1)
    """Responses per problem."""
    temperature: float = Field(default=1.0, ge=0)
    """Sampling temperature."""
    max_prompt_tokens: int = Field(default=2048, ge=1)
    """Longer prompts are dropped, and counted."""
    max_new_tokens: int = Field(default=2048, ge=1)
    """Response length limit in tokens."""
    verify: VerifyConfig = Field(default_factory=VerifyConfig)
    """How answers are checked."""
    engine: Literal["auto", "small", "transformers", "vllm", "server"] = "auto"
    """Rollout engine, as in training; or a `server`: it has the weights, and of `model` only the tokenizer is read."""
    server: ServerConfig = Field(default_factory=ServerConfig)
    """The server of `engine: server`."""
    chunk: int = Field(default=32, ge=1)
    """Problems sampled between two saves; at most these are lost when the verb is killed."""
    threads: int = Field(default=0, ge=0)
    """CPU threads; 0 leaves torch's choice."""
    seed: int = 0
    """Seed of the draws."""


class FilterConfig(SampleConfig):
    """The model-aware filter: problems the model solves sometimes (section 2 of METHOD)."""

    run: Path = Path("runs/data-filter")
    """Run directory of the samples. Started again, the verb goes on with the samples that are there."""
    out: Path = Path("filtered.parquet")
    """The file to write, in the verl record format, with the counts in the column `solve`."""
    lowest: int = Field(default=1, ge=0)
    """Problems solved less often are dropped."""
    highest: int | None = Field(default=None, ge=0)
    """Problems solved more often are dropped; None is `samples` - 1."""

    @model_validator(mode="after")
    def _bounds(self) -> FilterConfig:
        highest = self.samples - 1 if self.highest is None else self.highest
        if highest < self.lowest:
            raise ValueError(f"no problem is solved at least {self.lowest} (`lowest`) and at most {highest} times")
        return self


class CorruptConfig(SampleConfig):
    """Label noise: the most frequent incorrect answer becomes the gold answer (section 3 of METHOD)."""

    run: Path = Path("runs/data-corrupt")
    """Run directory of the samples. Started again, also for another gamma, the verb goes on with what is there."""
    out: Path = Path("noisy.parquet")
    """The file to write, in the verl record format; the true answers stay as `original_ground_truth`."""
    samples: int = Field(default=96, ge=1)
    """Responses per problem."""
    gamma: float = Field(default=0.7, ge=0, le=1)
    """Share of the problems to corrupt."""
    seed: int = 0
    """Seed of the draws and of which problems are corrupted; those of a lower gamma are among those of a higher."""


class SubsetConfig(Settings):
    """A stratified subset of N problems, nested over N for one seed (section 2 of METHOD)."""

    data: TaskConfig = Field(default_factory=TaskConfig)
    """Problems with solve counts: what `presat data filter` wrote, or a published file."""
    out: Path = Path("subset.parquet")
    """The file to write, in the verl record format."""
    n: int = Field(default=8, ge=1)
    """N, how many problems."""
    batch: int = Field(default=64, ge=0)
    """Fewer problems than this are each written `batch / n` times; 0 writes each once."""
    counts: str = "solve"
    """Column of the solve counts; `difficulty.MODEL` in the published files."""
    samples: int = Field(default=16, ge=2)
    """What a bare count is out of; the column `solve` says so itself."""
    balance: str = ""
    """Column, or key of `extra_info`, whose values get equal shares: `source_dataset` for the paper's Graph sets."""
    seed: int = 0
    """Seed of the choice."""


class TracesConfig(Settings):
    """Thinking and Non-Thinking SFT sets from one file of reasoning traces (section 4; METHOD section 6)."""

    data: TaskConfig = Field(default_factory=TaskConfig)
    """The traces. `columns` can name `question`, `trace`, `solution`, `answer`, `messages`; usual names, OpenThoughts'
    among them, are found by themselves."""
    where: dict[str, str] = Field(default_factory=dict)
    """Only rows whose columns have these values, for instance `{domain: math}`."""
    model: ModelConfig = Field(default_factory=ModelConfig)
    """The model to be fine-tuned; only its tokenizer is loaded."""
    out: Path = Path("sft")
    """Folder to write `thinking.parquet` and `non_thinking.parquet` to."""
    max_length: int = Field(default=8192, ge=2)
    """Prompts whose thinking example has more tokens are left out of both sets."""
    require_answer: bool = False
    """Leave out rows without a gold answer too; otherwise they are kept, and counted."""
    verify: VerifyConfig = Field(default_factory=VerifyConfig)
    """How the solutions' answers are checked against the gold ones."""


class InspectConfig(TaskConfig):
    """Look into a data source without training anything."""

    source: Positional[str] = ""
    """The source: a file, a folder, `lab/NAME`, `reasoning_gym/TASK` or a Hugging Face dataset id."""
    verify: VerifyConfig = Field(default_factory=VerifyConfig)
    """How the gold self-check verifies."""


class DemoConfig(Settings):
    """The whole pipeline on tiny models made on the spot; the `demo` preset holds the recipe."""

    out: Path = Path("runs/demo")
    """Folder for the run directories and `report.html`."""
    seed: int = 20
    """Seed of everything: models, data, training and sampling."""
    workers: int = Field(default=2, ge=1)
    """Processes side by side, one thread each."""
    fresh: bool = False
    """Start over; otherwise the finished stages of an interrupted demo are kept."""
    min_recall: float = 0.95
    """A base model that recalls less than this share is made again from another seed (and the report says so)."""
    short: TaskConfig = Field(default_factory=TaskConfig)
    """Short training chains that Thinking SFT is checked on."""
    min_valid: float = 0.75
    """Thinking SFT is made again with one epoch more while fewer of its traces on the short chains are valid."""
    max_epochs: int = 8
    """Most epochs of Thinking SFT."""
    thinking_gate: Literal["think", "none"] = "think"
    """Format gate of the Thinking models' reward, as the paper has it after Thinking SFT."""
    candidates: TaskConfig = Field(default_factory=TaskConfig)
    """Problems from which each model's training problems are chosen by its own solve@16."""
    train_problems: int = Field(default=8, ge=1)
    """N, training problems."""
    train_mean: float = 0.3
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

    tail: int | None = Field(default=None, ge=0)
    """Steps at the end that t_sat is not searched in; None takes the paper's 50, or 10% of a run shorter than 496."""
    window: int = Field(default=5, ge=1)
    """Steps of the trailing mean for the smoothed t_sat, and for the reward `first` and `last`."""
    reading: Literal["interpolate", "previous", "nearest"] = "interpolate"
    """How a held-out score is read at a step between two evaluations."""
    grid: Literal["curve", "evaluations"] = "curve"
    """Where the maximum of the post-saturation residual is taken: with M(t_sat) among the candidates, or without."""


class WatchConfig(Settings):
    """Live terminal view of a run, ours or another trainer's."""

    run: Positional[str] = ""
    """Run directory, TRL output folder, verl log, or CSV. It may appear after the watching starts."""
    once: bool = False
    """Show the run as it is now and return."""
    refresh_s: float = Field(default=1.0, gt=0)
    """Seconds between two looks at the files."""
    window: int = Field(default=5, ge=1)
    """Steps of the trailing mean that saturation is judged on."""
    patience: int | None = Field(default=None, ge=1)
    """Steps that must follow t_sat; None takes the run's own `stop.patience`, else the tail for its planned length."""


class ReportConfig(Settings):
    """One self-contained page, and tables, for one run or many."""

    runs: Positional[list[str]] = Field(default_factory=list)
    """Runs of any kind `open_run` reads."""
    labels: list[str] = Field(default_factory=list)
    """What the runs are called, in their order; the shortest paths that tell them apart when empty."""
    groups: list[str] = Field(default_factory=list)
    """A group for each run, in their order: runs of one group (seeds of one setting) are also averaged."""
    out: Path | None = None
    """The page. None: `report.html` in the run's own folder for one run of ours, else in the current folder."""
    formats: list[Literal["html", "csv", "latex"]] = Field(default_factory=lambda: ["html", "csv", "latex"])
    """What to write; the tables go beside the page, with its name."""
    title: str = ""
    """Title of the page."""
    read: ReadingConfig = Field(default_factory=ReadingConfig)
    """How t_sat and the held-out scores are read."""
