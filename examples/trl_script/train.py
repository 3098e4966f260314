"""A stock TRL script: GRPO without labels, rewarded by a majority vote. The two lines of presat are marked.

    python train.py --model MODEL --data problems.jsonl      (a question and, for the log only, an answer a line)

The data set's `answer` column is looked at by nothing but the log: gold accuracy beside the vote's own reward.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from datasets import load_dataset
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from presat.training import SaturationCallback, TRLReward


def main(arguments: Sequence[str] | None = None) -> GRPOTrainer:
    parser = argparse.ArgumentParser(description="GRPO without labels on TRL's own trainer.")
    parser.add_argument("--model", required=True, help="Hugging Face id or folder")
    parser.add_argument("--data", required=True, help="JSONL with the columns `question` and `answer`")
    parser.add_argument("--out", default="runs/trl")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--group-size", type=int, default=8)
    parser.add_argument("--batch", type=int, default=8, help="responses a process takes through one pass")
    parser.add_argument("--tokens", type=int, default=512, help="most tokens of a response")
    parser.add_argument("--reward", default="majority_vote")
    options = parser.parse_args(arguments)

    data = load_dataset("json", data_files=options.data, split="train")
    data = data.map(lambda row: {"prompt": [{"role": "user", "content": row["question"]}]})
    trainer = GRPOTrainer(
        model=options.model,
        reward_funcs=TRLReward(options.reward, gate="boxed"),  # presat: any reward, vote and gate
        callbacks=[SaturationCallback(stop=True, patience=20)],  # presat: t_sat while training, and an early stop
        args=GRPOConfig(
            output_dir=options.out,
            max_steps=options.steps,
            num_generations=options.group_size,
            per_device_train_batch_size=options.batch,
            gradient_accumulation_steps=1,
            max_completion_length=options.tokens,
            temperature=1.0,
            learning_rate=1e-6,
            logging_steps=1,
            report_to="none",
            bf16=False,
        ),
        train_dataset=data,
    )
    trainer.train()
    trainer.save_state()
    return trainer


if __name__ == "__main__":
    main()
