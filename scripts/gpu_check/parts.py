"""The parts of the GPU check, each run in a process of its own: `parts.py NAME DEVICE WORK [small]`.

A part returns its numbers, `ok` among them, and writes them to WORK/NAME.json. What is `ok` is said beside each.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from models import make_lab, make_llama
from presat.config.schema import EvalSettings, ModelConfig, OptimConfig, RewardConfig, TaskConfig, TrainConfig
from presat.types import Problem, RolloutGroup, Sampling

ROOT = Path(__file__).parents[2]
LR = 1e-3
Numbers = dict[str, Any]


class Parity:
    """A reward that differs within a group and needs no answer."""

    name = "parity"

    def __call__(self, group: RolloutGroup, scores: Any) -> list[float | None]:
        del scores
        return [parity(completion.token_ids) for completion in group.completions]


def parity(tokens: Any) -> float:
    return float(sum(tokens) % 2)


class Check:
    """Where a part runs and how much it does."""

    def __init__(self, device: str, work: Path, small: bool) -> None:
        self.device, self.work, self.small = device, work, small

    def llama(self) -> str:
        return make_llama(self.work / "llama", self.small)

    def config(self, run: str, model: str, steps: int, tokens: int, bf16: bool = False) -> TrainConfig:
        prompts, group = (2, 4) if self.small else (8, 8)
        return TrainConfig(
            run=self.work / run,
            model=ModelConfig(name=model),
            data=TaskConfig(source="lab/chains", count=prompts),
            reward=RewardConfig(source="gpu_check_reward:Parity"),
            optim=OptimConfig(lr=LR),
            steps=steps,
            prompts_per_step=prompts,
            group_size=group,
            micro_batch=prompts * group // 2,
            max_new_tokens=tokens,
            max_prompt_tokens=256,
            bf16=bf16,
            save_every=0,
        )

    def problems(self, count: int) -> list[Problem]:
        from presat.tasks import load_problems

        return load_problems("lab/chains", count=count, operands=[6, 8])


def tests(check: Check) -> Numbers:
    """The unit tests marked `device`; small: those of the weights alone."""
    found = sorted(str(file) for file in (ROOT / "tests").rglob("test_*.py") if "mark.device" in file.read_text())
    files = [file for file in found if "test_weights" in file] if check.small else found
    command = [sys.executable, "-m", "pytest", "-m", "device", "-q", "-p", "no:cacheprovider", *files]
    environment = os.environ | {"PRESAT_TEST_DEVICE": check.device}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    print(done.stdout[-6000:], done.stderr[-2000:], file=sys.stderr)
    return {"ok": done.returncode == 0, "said": done.stdout.strip().splitlines()[-1]}


def lab(check: Check) -> Numbers:
    """GRPO on the lab's model with evaluations, fp32 and bf16; ok: every number is finite and the weights moved."""
    found: Numbers = {"ok": True}
    for kind in ("fp32", "bf16"):
        model = make_lab(check.work / "lab")
        config = check.config(f"lab-{kind}", model, 3 if check.small else 30, 12 if check.small else 24, kind == "bf16")
        held_out = TaskConfig(source="lab/chains", name="held_out", count=4, options={"split": "held_out"})
        config.eval = EvalSettings(sets=[held_out], every=15, samples=2 if check.small else 4)
        found[kind] = ours(check, config)
        found["ok"] &= found[kind]["moved"] > 0
    return found


def llama_fp32(check: Check) -> Numbers:
    """GRPO on the 135M Llama beside TRL's own trainer with the same settings; ok as in `lab`, for both."""
    return _llama(check, bf16=False)


def llama_bf16(check: Check) -> Numbers:
    """The same under bfloat16 autocast."""
    return _llama(check, bf16=True)


def _llama(check: Check, bf16: bool) -> Numbers:
    name = "bf16" if bf16 else "fp32"
    steps, tokens = (2, 8) if check.small else (8, 64)
    config = check.config(f"llama-{name}", check.llama(), steps, tokens, bf16)
    mine = ours(check, config)
    other = stock(check, config.model_copy(update={"steps": min(steps, 5)}))
    return {"ok": min(mine["moved"], other["moved"]) > 0, "ours": mine, "stock": other}


def ours(check: Check, config: TrainConfig) -> Numbers:
    """Train as `presat train` does."""
    from safetensors.torch import load_file

    from presat.tracking import open_run
    from presat.training import run_train

    _reset(check)
    run_train(config, quiet=True)
    before = load_file(Path(config.model.name) / "model.safetensors")
    after = load_file(config.run / "checkpoints" / f"step_{config.steps}" / "model.safetensors")
    lines = [json.loads(line) for line in (config.run / "metrics.jsonl").read_text().splitlines()]
    assert len(open_run(config.run).train_rewards()) == config.steps
    moved = max(float((after[name] - weight).abs().max()) for name, weight in before.items())
    return {"seconds": _per_step(lines), "moved": moved, "peak_gb": _peak(check)}


def stock(check: Check, config: TrainConfig) -> Numbers:
    """Train by TRL's GRPOTrainer alone, with the settings presat gives it; `generate` draws."""
    from datasets import Dataset
    from trl import GRPOTrainer

    from presat.config.batches import plan_batches
    from presat.models import load_model_and_tokenizer
    from presat.models.libraries import quiet_libraries
    from presat.training.grpo.train import grpo_config

    _reset(check)
    problems = check.problems(config.prompts_per_step)
    rows = [{"prompt": [dict(message) for message in problem.messages]} for problem in problems] * config.steps
    with quiet_libraries():
        model, tokenizer = load_model_and_tokenizer(config.model.name)
        before = {name: weight.clone() for name, weight in model.state_dict().items()}
        trainer = GRPOTrainer(
            model=model,
            reward_funcs=lambda completion_ids, **_: [parity(ids) for ids in completion_ids],
            args=grpo_config(config, plan_batches(config, 1), check.work / "stock"),
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
        )
        trainer.train()
    moved = max(float((w.cpu() - before[name]).abs().max()) for name, w in model.state_dict().items())
    return {"seconds": _per_step(trainer.state.log_history), "moved": moved, "peak_gb": _peak(check)}


def engine(check: Check) -> Numbers:
    """Response tokens a second of the small engine, the general one and `generate`; ok: all of them drew.

    The small engine is also timed without CUDA graphs; `wide` are more and longer responses at once. `waits` is how
    often one batch of it made Python wait for the device, and `recordings` how many graphs it took.
    """
    from presat.models import load_model_and_tokenizer
    from presat.rollouts import make_engine

    sizes = {"": (2, 2, 8), "wide ": (2, 4, 20)} if check.small else {"": (8, 8, 64), "wide ": (32, 16, 128)}
    found: Numbers = {"ok": True}
    for kind in ("float32", "bfloat16"):
        model, tokenizer = load_model_and_tokenizer(check.llama(), kind)
        model.to(check.device).eval()
        found[kind] = {}
        for size, (prompts, n, tokens) in sizes.items():
            problems, sampling = check.problems(prompts), Sampling(1.0, tokens, 256)
            small = make_engine(model, tokenizer, "small", rows=prompts * n)
            general = make_engine(model, tokenizer, "transformers", rows=prompts * n)
            works: dict[str, Callable[[], int]] = {
                "small": lambda e=small, p=problems, s=sampling, n=n: _sampled(e, p, n, s),
                "plain": lambda e=small, p=problems, s=sampling, n=n: _plainly(e, p, n, s),
                "general": lambda e=general, p=problems, s=sampling, n=n: _sampled(e, p, n, s),
                "generate": lambda m=model, t=tokenizer, p=problems, k=tokens, n=n: _generated(m, t, p, n, k),
            }
            if size:  # takes long, and says what the narrow batch said
                works.pop("general")
            found[kind] |= {size + name: _rate(work, 1 if size or check.small else 2) for name, work in works.items()}
        found["ok"] &= min(found[kind].values()) > 0
        if check.device == "cuda":
            found[kind] |= _waits(works["small"])
    return found


def _sampled(engine: Any, problems: list[Problem], n: int, sampling: Sampling) -> int:
    return _drawn(engine.generate(problems, n, sampling, list(range(len(problems)))))


def _plainly(engine: Any, problems: list[Problem], n: int, sampling: Sampling) -> int:
    """The same where nothing is recorded."""
    from presat.rollouts import graphs

    records, graphs.records = graphs.records, lambda _: False
    try:
        return _sampled(engine, problems, n, sampling)
    finally:
        graphs.records = records


def _waits(work: Callable[[], int]) -> Numbers:
    """How often Python waits for the device while a batch is drawn, as PyTorch counts it, and what is recorded."""
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as said, _recordings() as recordings:
            warnings.simplefilter("always")
            work()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return {"waits": sum("synchroniz" in str(warning.message) for warning in said), "recordings": len(recordings)}


@contextlib.contextmanager
def _recordings() -> Iterator[list[int]]:
    """Yield a list that grows by one for every CUDA graph of a decoding step."""
    from presat.rollouts.graphs import Recorder

    record, made = Recorder.record, []

    def counted(self: Recorder, work: Callable[[], None]) -> Callable[[], None]:
        replay = record(self, work)
        made.append(1)
        return replay

    Recorder.record = counted
    try:
        yield made
    finally:
        Recorder.record = record


def logprobs(check: Check) -> Numbers:
    """Log-probabilities and certainty from the device against the CPU's; ok: float32 within 1e-3, bfloat16 0.1.

    On a GPU the small engine must have drawn from CUDA graphs, of which it takes another where its caches grow.
    """
    from presat.models import load_model_and_tokenizer
    from presat.rewards import Statistic
    from presat.rewards.policy import PolicyScorer
    from presat.rollouts import make_engine

    sampling, problems = Sampling(1.0, 8 if check.small else 100, 256), check.problems(3)
    found: Numbers = {"ok": True}
    for kind, bound in (("float32", 1e-3), ("bfloat16", 0.1)):
        here, tokenizer = load_model_and_tokenizer(check.llama(), kind)
        there = load_model_and_tokenizer(check.llama(), kind)[0].to(check.device).eval()
        here.float().eval()  # the same weights, rounded or not, read exactly
        for name in ("small", "transformers"):
            with _recordings() as recordings:
                groups = make_engine(there, tokenizer, name).generate(problems, 4, sampling, [0, 1, 2])
            found["ok"] &= name != "small" or check.device != "cuda" or len(recordings) == 2
            gaps = torch.cat([_gap(here, group, index) for group in groups for index in range(4)])
            found[f"{kind} {name}"] = float(gaps.max() if kind == "float32" else gaps.mean())
            found["ok"] &= found[f"{kind} {name}"] < bound
        need = [Statistic("self_certainty")]
        pairs = zip(PolicyScorer(there)(groups, need), PolicyScorer(here)(groups, need), strict=True)
        values = [(a.stats, b.stats) for x, y in pairs for a, b in zip(x.completions, y.completions, strict=True)]
        found[f"{kind} certainty"] = max(abs(a["self_certainty"] - b["self_certainty"]) for a, b in values)
        found["ok"] &= found[f"{kind} certainty"] < bound
    return found


def resume(check: Check) -> Numbers:
    """A run resumed in its middle against an unbroken one, which is made twice; ok: equal.

    A GPU may add in another order every time. There the gap may be ten times that of the two unbroken runs, or a tenth
    of what AdamW moves a weight in a step, which forgotten moments would exceed.
    """
    from safetensors.torch import load_file

    from presat.training import run_train

    half = 1 if check.small else 6
    model, ends = make_lab(check.work / "lab"), []
    for name in ("unbroken", "again", "resumed"):
        config = check.config(name, model, 2 * half, 16)
        if name == "resumed":
            run_train(config.model_copy(update={"steps": half}), quiet=True)
            config.resume = True
        run_train(config, quiet=True)
        ends.append(load_file(config.run / "checkpoints" / f"step_{2 * half}" / "model.safetensors"))
    unbroken, again, resumed = ends
    gap, repeat = (max(float((w - unbroken[n]).abs().max()) for n, w in other.items()) for other in (resumed, again))
    allowed = 0.0 if check.device == "cpu" else max(10 * repeat, LR / 10)
    return {"ok": gap <= allowed, "equal": gap == 0.0, "gap": gap, "repeat_gap": repeat}


def _gap(model: Any, group: RolloutGroup, index: int) -> torch.Tensor:
    """How far a response's log-probabilities are from those `model` gives it, token by token."""
    response = group.completions[index]
    ids = torch.tensor([[*group.prompt_ids, *response.token_ids]])
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0, len(group.prompt_ids) - 1 : -1]
    own = logits.log_softmax(-1).gather(1, torch.tensor(response.token_ids)[:, None])[:, 0]
    return (own - torch.tensor(response.logprobs)).abs()


def _drawn(groups: list[RolloutGroup]) -> int:
    return sum(len(completion.token_ids) for group in groups for completion in group.completions)


def _generated(model: Any, tokenizer: Any, problems: list[Problem], n: int, tokens: int) -> int:
    texts = [tokenizer.apply_chat_template(p.messages, tokenize=False, add_generation_prompt=True) for p in problems]
    batch = tokenizer(texts, return_tensors="pt", padding=True, padding_side="left", add_special_tokens=False)
    ids, mask = (batch[key].to(model.device) for key in ("input_ids", "attention_mask"))
    with torch.inference_mode():
        out = model.generate(
            input_ids=ids, attention_mask=mask, do_sample=True, top_k=0, top_p=1.0, temperature=1.0,
            max_new_tokens=tokens, num_return_sequences=n, pad_token_id=tokenizer.pad_token_id,
        )  # fmt: skip
    ended = (out[:, ids.shape[1] :] == tokenizer.eos_token_id).int()
    return int(torch.where(ended.any(1), ended.argmax(1) + 1, ended.shape[1]).sum())


def _rate(work: Callable[[], int], turns: int) -> float:
    """Tokens a second, the median of some turns after one that does not count."""
    work()
    rates = []
    for _ in range(turns):
        began = time.perf_counter()
        rates.append(work() / (time.perf_counter() - began))
    return statistics.median(rates)


def _per_step(lines: list[dict[str, Any]]) -> float:
    """Seconds a step, the median of those after the first."""
    steps = [line for line in lines if "loss" in line]
    assert all(abs(line["loss"]) < float("inf") for line in steps)
    return statistics.median(line["step_time"] for line in steps[1:])


def _reset(check: Check) -> None:
    gc.collect()
    if check.device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _peak(check: Check) -> float:
    """Gigabytes at most since `_reset`; on a CPU those of the process since it started."""
    if check.device == "cuda":
        return torch.cuda.max_memory_allocated() / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


PARTS = {"tests": tests, "lab": lab, "resume": resume, "engine": engine, "logprobs": logprobs,
         "llama_fp32": llama_fp32, "llama_bf16": llama_bf16}  # fmt: skip


def main(name: str, device: str, work: str, *size: str) -> None:
    sys.modules["gpu_check_reward"] = sys.modules[__name__]  # where `reward.source` finds Parity
    began = time.perf_counter()
    found = PARTS[name](Check(device, Path(work), size == ("small",)))
    seconds = {"seconds": time.perf_counter() - began}
    (Path(work) / f"{name}.json").write_text(json.dumps({**found, **seconds}))


if __name__ == "__main__":
    main(*sys.argv[1:])
