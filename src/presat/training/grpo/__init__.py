"""GRPO on TRL's trainer.

One step in the order it runs (`docs/contributing.md` says what comes before the first):

- TRL's trainer asks for the responses to its rows: `training/grpo/groups.py`.
- They are drawn: `rollouts/batching.py`, by `rollouts/small.py`, `rollouts/hf.py` or `rollouts/vllm.py`, with the
  random numbers of `rollouts/draws.py`. For a reward that reads the policy's distribution `rewards/policy.py` reads
  them once more.
- They are judged: `verify/groups.py`, `verify/verifier.py`, `answers/formats.py`, `verify/pool.py`, `verify/worker.py`;
  as they end, while others are drawn: `verify/early.py`. What the worker does to Math-Verify: `verify/quick.py`.
- They are rewarded by whole groups: `rewards/outcome.py`, with a source such as `rewards/vote.py`.
- Labels are counted by `rewards/labels.py`; the sink in `training/grpo/callbacks.py` saves the responses through
  `tracking/responses.py`.
- They get their advantages: `training/grpo/advantages.py`. TRL computes loss and gradient: `training/grpo/train.py`,
  from the log-probabilities of `training/grpo/passes.py` where these fit (`training/passes/decoder.py`);
  `training/runtime/safe.py` refuses an update that is not finite.
- The monitor in `training/grpo/callbacks.py` evaluates (`evaluation/evaluate.py`), judges saturation
  (`metrics/online.py`), decides about stopping and saving, and writes the step's line (`tracking/writer.py`,
  `tracking/progress.py`); `tracking/checkpoints.py` gives a checkpoint its name last.
"""
