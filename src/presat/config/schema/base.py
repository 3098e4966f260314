"""What configurations share: where problems come from, how answers are checked, which model, who draws."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from presat.config.schema.kinds import (
    AnyPath,
    OneDnn,
    Problems,
    Rows,
    Seconds,
    Seed,
    Settings,
    Temperature,
    Threads,
    Tokens,
    Url,
    Word,
    Workers,
    YamlMapping,
)


def set_label(name: str, source: str) -> str:
    """What a set is called in metrics and file names: its name, else by its source."""
    return name or Path(source).stem or "problems"


class TaskConfig(Settings):
    """Where problems come from."""

    stands_for: ClassVar[str] = "source"

    source: str = ""
    """`lab/NAME`, `reasoning_gym/TASK`, `benchmark/NAME`, a .parquet, .jsonl or .csv file, a folder, or a Hugging Face
    dataset id."""
    name: str = ""
    """What its metrics are logged under (`eval/NAME/avg@16`); the source's last part when empty."""
    count: Problems | None = None
    """How many problems to take or to make; None takes all of a file, and makes 100 of what is made on the spot."""
    seed: Seed = 0
    """Seed of procedural problems, of random choices among rows, and of the letters of multiple-choice options. A
    source with none of these refuses it."""
    split: Word = "train"
    """Split of a Hugging Face dataset, or of the lab. Files refuse it."""
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
        return set_label(self.name, self.source)


def _distinct(sets: list[TaskConfig]) -> None:
    labels = [task.label() for task in sets]
    for label in labels:
        if labels.count(label) > 1:
            raise ValueError(f"two evaluation sets are called '{label}'; give each a `name` of its own")


class VerifyConfig(Settings):
    """How answers are read and checked."""

    extraction: Literal["auto", "boxed", "tag", "hash", "line", "any"] = "auto"
    """Where the answer stands in a response. `boxed`: the last box. `tag`: `<answer>72</answer>`. `hash`: `#### 72`.
    `line`: `Answer: 72`, `The answer is 72.` `auto`: what is stated last in any of these. `any`: Math-Verify's
    own reading of the whole response, and its own verdict (the paper's release)."""
    workers: Workers = 1
    """Killable worker processes for Math-Verify."""
    timeout_s: Seconds = 5.0
    """Seconds a worker may spend on one answer, counted from when it starts; then the score is missing, not wrong."""


class ModelConfig(Settings):
    """Which model, and how it is held."""

    stands_for: ClassVar[str] = "name"

    name: str = ""
    """A Hugging Face id or folder, or a packaged name (`smollm2-135m`, `qwen2.5-coder-1.5b`)."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of the weights in memory. Leave it at `float32` to train every weight: `bfloat16` rounds away most updates
    of the size AdamW makes at these learning rates. For evaluation, and under adapters, `bfloat16` is fine."""
    attention: Word = "sdpa"
    """Attention implementation: `sdpa`, `eager`, `flash_attention_2`."""
    chat_template: str = ""
    """A Jinja file, or a model whose chat template to use: for base models, which have none. It is saved with what is
    trained; empty keeps the model's own."""
    trust_remote_code: bool = False
    """Run the code that the model's folder or Hugging Face id brings along (`auto_map` in its files). Such a model is
    refused where this is off; read its code first. Stands in the provenance and the report of every run."""


class LoraConfig(Settings):
    """Low-rank adapters (LoRA, arXiv:2106.09685) in place of training every weight."""

    rank: int = Field(default=0, ge=0, le=2**16)
    """Rank of the adapters; 0 trains every weight."""
    alpha: int = Field(default=32, ge=1, le=2**20)
    """An adapter's update is scaled by alpha / rank."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout before the adapters, in CPT and SFT; RL trains without."""
    targets: list[Word] = Field(default_factory=list)
    """Linear layers that get adapters (`q_proj`, ...); all of the transformer blocks when empty."""


class ServerConfig(Settings):
    """A server that speaks the OpenAI completions protocol. Its key, if it needs one, is read from OPENAI_API_KEY."""

    url: Url = "http://localhost:8000/v1"
    """Where it is: without user name, password or key."""
    model: str = ""
    """What the server calls the model; the only one it has when empty."""
    concurrent: int = Field(default=32, ge=1, le=2**12)
    """Most problems asked about at the same time."""
    timeout_s: Seconds = 3600.0
    """Longest wait for the responses to one problem."""
    weights: AnyPath | None = None
    """For `train`: folder for new weights, which the server must see under the same path; `RUN/weights` when None."""


class VllmConfig(Settings):
    """vLLM inside the process (`engine: vllm`)."""

    gpu_share: float = Field(default=0.3, gt=0, le=1)
    """Share of the GPU's memory that vLLM takes, its own copy of the weights included."""
    dtype: Literal["", "float32", "bfloat16"] = ""
    """Type of that copy; the model's own when empty. `bfloat16` on GPUs, beside `bf16: true`."""


class EngineConfig(Settings):
    """Who draws the responses: shared by every verb that samples."""

    engine: Literal["auto", "small", "transformers", "vllm", "server"] = "auto"
    """Rollout engine. `auto`: our small-model decoder (`small`) where it runs the model, else `transformers`. `vllm`:
    inside the process. `server`: one that has the weights. See vllm.md."""
    rows: Rows | None = None
    """Most responses a process decodes side by side: fewer need less memory. None: 64 with `transformers`, else 256. A
    server decides by itself."""
    vllm: VllmConfig = Field(default_factory=VllmConfig)
    """Settings of `engine: vllm`."""
    server: ServerConfig = Field(default_factory=ServerConfig)
    """The server of `engine: server`. Verbs that only sample read of `model` the tokenizer alone."""


class DrawConfig(EngineConfig):
    """How a verb that only samples draws its responses: shared by `eval` and the data verbs."""

    temperature: Temperature = 1.0
    """Sampling temperature."""
    max_prompt_tokens: Tokens = 2048
    """Longer prompts are dropped, and counted."""
    max_new_tokens: Tokens = 2048
    """Response length limit in tokens."""
    verify: VerifyConfig = Field(default_factory=VerifyConfig)
    """How answers are checked."""
    threads: Threads = 0
    onednn: OneDnn = False
