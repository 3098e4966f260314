"""A whole GRPO step of presat and of a stock `GRPOTrainer`: `python benchmarks/step.py [lab] [smollm2] [--small]`.

Both train the same model on the same prompts with the same objective, lengths and optimiser, each in a process of its
own, and take turns: one waits while the other makes a step. Printed are medians by part, beside the time that the
multiplications of presat's step take at the rate measured here and its weights at the rate they are copied at; and the
most memory each process held. Sampling ends where a response ends: the lab's by chance, SmolLM2's never.
"""

# ruff: noqa: ARG002  (transformers passes all of these to every hook, and the trainer to every reward)

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from timing import ROWS, Row, processor
from transformers import PrinterCallback, TrainerCallback

from presat.models import load_model_and_tokenizer, make_lab_model
from presat.models.cpu import use_cpu
from presat.tasks import load_problems
from presat.types import Problem, RolloutGroup

GROUP = 8
PARTS = ("sampling", "verification", "reference", "update", "everything else")


@dataclass(frozen=True)
class Work:
    """What is trained. `rounds` are measured, after one that is not counted."""

    title: str
    model: str
    prompts: int
    new_tokens: int
    micro_batch: int
    rounds: int
    attention: str = "sdpa"
    onednn: bool = False

    def problems(self) -> list[Problem]:
        if self.model == "lab":
            return load_problems("lab/chains", count=self.prompts, operands=[6, 8])
        texts = [f"What is {17 + i} * {6 + i} - {12 + i}? Think step by step." for i in range(self.prompts)]
        turns = [({"role": "user", "content": text},) for text in texts]
        return [Problem(f"sum-{i}", turn, str(i), "math", "math") for i, turn in enumerate(turns)]

    def load(self, folder: str) -> tuple[Any, Any]:
        name = str(make_lab_model(Path(folder) / "model", seed=0)) if self.model == "lab" else self.model
        if self.model != "lab":
            from presat.models.packaged import packaged_folder

            name = str(packaged_folder(self.model))
        model, tokenizer = load_model_and_tokenizer(name, "float32", attention=self.attention)
        if self.model != "lab":  # an end that is never drawn
            tokenizer.eos_token = "<empty_output>"
            model.generation_config.eos_token_id = tokenizer.eos_token_id
        return model, tokenizer


WORKS = {
    "lab": Work("the lab model", "lab", 8, 40, 64, 9),
    "smollm2": Work("SmolLM2-135M", "smollm2-135m", 8, 44, 8, 5, "eager", onednn=True),
}


def mixed(texts: list[str]) -> list[float]:
    """A reward that is neither 0 nor 1 for a whole group, whatever the model says."""
    return [float(sum(text.encode()) % 2) for text in texts]


class Parity:
    name = "parity"

    def __call__(self, group: RolloutGroup, scores: Any) -> list[float | None]:
        return list(mixed([completion.text for completion in group.completions]))


class Enough(Exception):  # noqa: N818  (nothing went wrong)
    """No more steps are asked for."""


class Turns(TrainerCallback):
    """Makes a step when asked to, and tells how long its parts took."""

    def __init__(self, pipe: Connection, trainer: Any) -> None:
        self.pipe, self.trainer = pipe, trainer
        self.spent: dict[str, float] = {}
        self.began = 0.0

    def time(self, owner: Any, name: str, part: str | Callable[[], str]) -> None:
        """Count the time of a method as a part's."""
        work = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            began, of = time.perf_counter(), part if isinstance(part, str) else part()
            found = work(*args, **kwargs)
            self.spent[of] = self.spent.get(of, 0.0) + time.perf_counter() - began
            return found

        setattr(owner, name, timed)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        passes = "_get_per_token_logps_and_entropies"
        self.time(self.trainer, passes, lambda: "within" if torch.is_grad_enabled() else "reference")
        self.time(self.trainer, "_prepare_inputs", "prepared")
        self.time(self.trainer, "training_step", "trained")
        self.time(self.trainer, "_get_grad_norm", "update")

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if not self.pipe.recv():
            raise Enough
        self.spent.clear()
        self.began = time.perf_counter()

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.spent["update"] -= time.perf_counter()

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.spent["update"] += time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        whole = time.perf_counter() - self.began
        spent = {part: self.spent.get(part, 0.0) for part in PARTS}
        spent["update"] += self.spent["trained"] - self.spent["prepared"]
        spent["everything else"] = whole - sum(spent[part] for part in PARTS[:-1])
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        length = self.trainer._metrics["train"]["completions/mean_length"][-1]
        self.pipe.send({"step": whole, **spent, "memory": memory, "length": length})


def presat(work: Work, pipe: Connection, folder: str) -> Any:
    """Presat's trainer, as `presat train` makes it."""
    from presat.config.batches import plan_batches
    from presat.config.schema import ModelConfig, TrainConfig
    from presat.rollouts import make_engine
    from presat.training.grpo.groups import GroupRollouts
    from presat.training.grpo.schedule import make_schedule
    from presat.training.grpo.train import make_trainer
    from presat.types import Sampling
    from presat.verify import Verifier

    model, tokenizer = work.load(folder)
    steps = work.rounds + 2
    config = TrainConfig(
        run=Path(folder) / "run",
        model=ModelConfig(name=model.config._name_or_path),
        steps=steps,
        prompts_per_step=work.prompts,
        group_size=GROUP,
        micro_batch=work.micro_batch,
        max_new_tokens=work.new_tokens,
    )
    engine, verifier = make_engine(model, tokenizer), Verifier("boxed")
    rollouts = GroupRollouts(
        work.problems(),
        make_schedule(work.prompts, steps, work.prompts, 0),
        engine,
        verifier,
        Parity(),
        Sampling(1.0, work.new_tokens, 256),
        GROUP,
        None,
        seed=0,
        sink=lambda _: None,
    )
    trainer = make_trainer(config, plan_batches(config, 1), model, tokenizer, rollouts, Path(folder) / "checkpoints")
    turns = Turns(pipe, trainer)
    turns.time(engine, "generate", "sampling")
    turns.time(verifier, "score_many", "verification")
    trainer.add_callback(turns)
    return trainer


def stock(work: Work, pipe: Connection, folder: str) -> Any:
    """TRL's trainer with the same settings; the same verifier judges before the same reward is given."""
    from datasets import Dataset
    from trl.trainer.grpo_config import GRPOConfig
    from trl.trainer.grpo_trainer import GRPOTrainer

    from presat.verify import Verifier

    model, tokenizer = work.load(folder)
    problems, verifier = work.problems(), Verifier("boxed")

    def parity(completions: list[str], place: list[int], **_: Any) -> list[float]:
        verifier.score_many([(problems[i], text) for i, text in zip(place, completions, strict=True)])
        return mixed(completions)

    texts = [tokenizer.apply_chat_template(p.messages, tokenize=False, add_generation_prompt=True) for p in problems]
    rows = {"prompt": texts, "place": list(range(len(texts)))}
    passes = work.prompts * GROUP // work.micro_batch
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=[parity],
        args=GRPOConfig(
            output_dir=str(Path(folder) / "checkpoints"),
            loss_type="grpo",
            scale_rewards="group",
            beta=0.001,
            epsilon=0.2,
            disable_dropout=True,
            num_generations=GROUP,
            temperature=1.0,
            top_p=1.0,
            top_k=0,
            max_completion_length=work.new_tokens,
            max_steps=work.rounds + 2,
            per_device_train_batch_size=work.micro_batch,
            steps_per_generation=passes,
            gradient_accumulation_steps=passes,
            optim="adamw_torch_fused",
            learning_rate=1e-6,
            lr_scheduler_type="constant",
            max_grad_norm=1.0,
            bf16=False,
            gradient_checkpointing=False,
            use_cpu=True,
            dataloader_pin_memory=False,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_dict(rows),
        processing_class=tokenizer,
    )
    turns = Turns(pipe, trainer)
    trainer.remove_callback(PrinterCallback)
    turns.time(trainer, "_generate_single_turn", "sampling")
    turns.time(trainer, "_calculate_rewards", "verification")
    trainer.add_callback(turns)
    return trainer


def work_on(make: Callable[..., Any], work: Work, threads: int, pipe: Connection) -> None:
    """A process that makes steps."""
    from presat.models.libraries import quiet_libraries

    use_cpu(threads, work.onednn)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder, quiet_libraries(), contextlib.suppress(Enough):
        make(work, pipe, folder).train()


def floors(work: Work, tokens: float, threads: int) -> dict[str, float]:
    """Seconds that presat's step takes at least: products at the rate of the model's own, bytes as they are copied."""
    use_cpu(threads, work.onednn)
    with tempfile.TemporaryDirectory() as folder:
        model, tokenizer = work.load(folder)
    prompts = [tokenizer.apply_chat_template(p.messages, add_generation_prompt=True) for p in work.problems()]
    read = sum(len(ids["input_ids"] if hasattr(ids, "keys") else ids) for ids in prompts)
    head = model.lm_head.weight.numel()
    body = sum(w.numel() for w in model.model.layers.parameters() if w.ndim == 2)
    weight = model.model.layers[0].mlp.up_proj.weight
    products = matrix_rate(max(64, int(read + tokens) * work.micro_batch // (work.prompts * GROUP)), weight)
    size = 4 * sum(w.numel() for w in model.parameters())
    copied = copy_rate()
    forward = 2 * (body * (read + tokens) + head * tokens)
    print(f"  {products / 1e9:.0f} GFLOP/s in its products, copies at {copied / 1e9:.1f} GB/s")
    return {
        "sampling": max(forward / products, work.new_tokens * size / (2 * copied)),  # copying reads and writes
        "verification": 0.0,
        "reference": forward / products,
        "update": 3 * forward / products + 7 * size / (2 * copied),  # AdamW reads four and writes three
        "everything else": 0.0,
    }


def matrix_rate(rows: int, weight: torch.Tensor) -> float:
    """Operations a second of a product of the model."""
    x = torch.randn(rows, weight.shape[1])
    with torch.no_grad():
        return 2 * rows * weight.numel() / quickest(lambda: torch.nn.functional.linear(x, weight))


def copy_rate() -> float:
    """Bytes copied a second, where source and target lie in memory."""
    one, other = torch.zeros(2**24), torch.zeros(2**24)
    return 4 * 2**24 / quickest(lambda: other.copy_(one))


def quickest(work: Callable[[], Any], turns: int = 20) -> float:
    """Seconds of the quickest of some turns."""
    found = []
    for _ in range(turns):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return min(found)


def medians(steps: list[dict[str, float]]) -> dict[str, float]:
    return {key: statistics.median(step[key] for step in steps) for key in steps[0]}


def compare_steps(work: Work, threads: int) -> float:
    """Time both in turns and print what was found; returns how many times presat is as fast."""
    context = multiprocessing.get_context("spawn")
    found: dict[str, list[dict[str, float]]] = {"presat": [], "TRL": []}
    pipes = {}
    for name, make in (("presat", presat), ("TRL", stock)):
        pipes[name], theirs = context.Pipe()
        context.Process(target=work_on, args=(make, work, threads, theirs), daemon=True).start()
        theirs.close()
    for turn in range(work.rounds + 1):
        for name, pipe in pipes.items():
            pipe.send(True)
            one = pipe.recv()
            if turn:
                found[name].append(one)
    for pipe in pipes.values():
        pipe.send(False)
    middle = {
        name: {key: statistics.median(s[key] for s in steps) for key in steps[0]} for name, steps in found.items()
    }
    ratios = [theirs["step"] / ours["step"] for ours, theirs in zip(found["presat"], found["TRL"], strict=True)]
    print(f"\nA GRPO step of {work.title}: {work.prompts} prompts x {GROUP}, at most {work.new_tokens} tokens, float32")
    print(f"  {processor()}, {threads} thread(s), {work.rounds} steps each in turns")
    lengths = [middle[name]["length"] for name in found]
    print(f"  responses of {lengths[0]:.1f} and {lengths[1]:.1f} tokens")
    floor = floors(work, work.prompts * GROUP * lengths[0], threads)
    print(f"  {'seconds':<18} {'presat':>9} {'TRL':>9} {'ratio':>7} {'floor':>9}")
    for part in ("step", *PARTS):
        ours, theirs = middle["presat"][part], middle["TRL"][part]
        least = sum(floor.values()) if part == "step" else floor[part]
        print(f"  {part:<18} {ours:9.3f} {theirs:9.3f} {theirs / max(ours, 1e-9):7.2f} {least:9.3f}")
    ratio = statistics.median(ratios)
    print(f"  {'memory, GB':<18} {middle['presat']['memory'] / 1e9:9.2f} {middle['TRL']['memory'] / 1e9:9.2f}")
    share = sum(floor.values()) / middle["presat"]["step"]
    ROWS.append(Row(f"A GRPO step of {work.title}", "presat", "stock TRL", ratio, min(ratios), max(ratios), share))
    print(f"  presat's step is {ratio:.2f} times as fast ({min(ratios):.2f} to {max(ratios):.2f})")
    return ratio


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", choices=[*WORKS, []], help="all where none is named")
    parser.add_argument("--small", action="store_true", help="one short step of the lab model, to see that it runs")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, help="measured steps of each")
    asked = parser.parse_args()
    if asked.small:
        compare_steps(Work("the lab model", "lab", 2, 6, 8, 1), asked.threads)
        return
    for name in asked.models or WORKS:
        work = WORKS[name]
        compare_steps(work if asked.rounds is None else Work(**{**vars(work), "rounds": asked.rounds}), asked.threads)


if __name__ == "__main__":
    main()
