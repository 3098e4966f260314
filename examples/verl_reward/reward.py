"""presat as verl's custom reward: one file, which needs nothing but presat where verl's reward workers run.

    python3 -m verl.trainer.main_ppo ... \
        reward.custom_reward_function.path=reward.py reward.custom_reward_function.name=compute_gated_score

(verl 0.9; older versions know the same two settings without `reward.` in front.) `compute_score` gives 1 for a right
answer, judged as everywhere in presat; `compute_gated_score` also asks for `<think>...</think>` before the box, as
after Thinking SFT.
"""

from __future__ import annotations

from functools import partial

from presat.rewards.verl import compute_score

compute_gated_score = partial(compute_score, gate="think")
