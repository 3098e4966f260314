"""What to do about each alarm: in words, and by the names of the settings in presat, TRL 1.16 and verl 0.9.

Settings are separated by semicolons, and every name is complete: it can be searched for, and typed. What is no setting
is said in words of its own.
"""

from __future__ import annotations

from presat.diagnosis.alarms.kinds import Remedy

_OVERLONG = (
    "reward_model.reward_manager=dapo with +reward_model.reward_kwargs.overlong_buffer_cfg.enable=True "
    "(in versions with `reward` for `reward_model`: reward.reward_manager.name, +reward.reward_kwargs)"
)
"""The length penalty of verl's DAPO recipes: its settings are no part of the trainer's own configuration, hence `+`."""

SOLVED = Remedy(
    "Leave out the problems that are always solved, or take harder ones; what is learned is learned.",
    "presat data filter --highest 15; stop.when: saturated",
    "filter the data set by its solve rate before training",
    "algorithm.filter_groups.enable=True; filter the data (data.filter_overlong_prompts does not)",
)
HARD = Remedy(
    "Leave out the problems that are never solved, take easier ones, larger groups, or repair the model before RL; "
    "look first whether the gold answers verify.",
    "presat data inspect; presat data filter --lowest 1; group_size",
    "num_generations; filter the data set",
    "actor_rollout_ref.rollout.n; algorithm.filter_groups.enable=True",
)
PAID = Remedy(
    "Mend the reward: what it pays is not what is right, and leaving problems out does not change that.",
    "reward.source: verifiable; reward.gate; presat data inspect",
    "reward_funcs; reward_weights",
    "custom_reward_function.path",
)
SPREAD = Remedy(
    "See which groups are dead: leave out problems that are always or never solved; if what is paid is wrong, mend the "
    "reward.",
    "presat data filter; reward.source; temperature: 1.0",
    "filter the data set by its solve rate before training; reward_funcs",
    "algorithm.filter_groups.enable=True; custom_reward_function.path",
)
LIMIT = Remedy(
    "Raise the length limit, mask what is cut off, or take a model (or a prompt) that answers more briefly.",
    "max_new_tokens",
    "max_completion_length; mask_truncated_completions=True",
    f"data.max_response_length; {_OVERLONG}",
)
UNJUDGED = Remedy(
    "Mend the verifier: see why verdicts are missing before anything else.",
    "verify.timeout_s; verify.workers; the column `reason` of rollouts/train",
    "reward_funcs returning None",
    "custom_reward_function.path",
)
SAMPLING = Remedy(
    "Sample at temperature 1 and without top-k or top-p cuts, so that the responses of a group differ.",
    "temperature: 1.0",
    "temperature=1.0; top_p=1.0; top_k=0",
    "actor_rollout_ref.rollout.temperature=1.0; actor_rollout_ref.rollout.top_p=1.0; "
    "actor_rollout_ref.rollout.top_k=-1",
)
EXPLORE = Remedy(
    "Lower the learning rate, clip upwards more loosely, or go back to a checkpoint from before the fall.",
    "optim.lr; epsilon; temperature: 1.0",
    "learning_rate; epsilon_high=0.28; entropy_coef",
    "actor_rollout_ref.actor.optim.lr; actor_rollout_ref.actor.clip_ratio_high=0.28; "
    "actor_rollout_ref.actor.entropy_coeff",
)
DRIFT = Remedy(
    "Lower the learning rate or raise the KL weight, and go back to a checkpoint from before the onset.",
    "optim.lr; beta; optim.max_grad_norm",
    "learning_rate; beta; max_grad_norm",
    "actor_rollout_ref.actor.optim.lr; actor_rollout_ref.actor.kl_loss_coef; actor_rollout_ref.actor.grad_clip",
)
MOVE = Remedy(
    "See that the weights are trained at all: learning rate, schedule, frozen or detached parameters.",
    "optim.lr; model.dtype: float32 (bfloat16 rounds small updates away)",
    "learning_rate; lr_scheduler_type; bf16 weights",
    "actor_rollout_ref.actor.optim.lr; actor_rollout_ref.actor.optim.lr_warmup_steps",
)
WEIGHT = Remedy(
    "Lower the KL weight.", "beta: 0.001", "beta=0.001 (or 0.0)", "actor_rollout_ref.actor.kl_loss_coef=0.001"
)
CLIP = Remedy(
    "Take fewer or smaller updates a batch of samples, or a lower learning rate.",
    "optim.lr; epsilon (presat makes one update a step)",
    "num_iterations=1; learning_rate; epsilon",
    "actor_rollout_ref.actor.ppo_epochs=1; actor_rollout_ref.actor.ppo_mini_batch_size; "
    "actor_rollout_ref.actor.clip_ratio",
)
CRITIC = Remedy(
    "Lower the critic's learning rate, warm it up, or do without a critic.",
    "presat trains without a critic",
    "GRPOTrainer in place of a trainer with a critic",
    "critic.optim.lr; trainer.critic_warmup; algorithm.adv_estimator=grpo",
)
SPIKES = Remedy(
    "Clip the gradient and look at the batches of these steps: very short or very long responses, rewards off scale.",
    "optim.max_grad_norm: 1.0; optim.lr",
    "max_grad_norm=1.0; learning_rate",
    "actor_rollout_ref.actor.grad_clip=1.0; actor_rollout_ref.actor.optim.lr",
)
FINITE = Remedy(
    "Where it is the reward, mend what computes it. Else go back to the last checkpoint before that step, with a lower "
    "learning rate, float32 or bfloat16 (no float16).",
    "optim.lr; model.dtype; optim.max_grad_norm; reward.source",
    "learning_rate; bf16=True; fp16=False; max_grad_norm; reward_funcs",
    "actor_rollout_ref.actor.optim.lr; actor_rollout_ref.actor.grad_clip; "
    "actor_rollout_ref.actor.fsdp_config.model_dtype; custom_reward_function.path",
)
SPEED = Remedy(
    "Look for what grows: caches, logs, open files, another job on the machine.",
    "save_rollouts_every; eval.every; threads",
    "logging_steps; vllm_gpu_memory_utilization",
    "actor_rollout_ref.rollout.gpu_memory_utilization; trainer.test_freq",
)
LENGTH = Remedy(
    "Take length out of the reward, do not weigh sequences by their length, or pay less for what is long.",
    "reward.source; advantage: grpo weighs tokens by 1/|o|",
    "loss_type='dr_grpo'; reward_funcs; get_soft_overlong_punishment",
    f"actor_rollout_ref.actor.loss_agg_mode; {_OVERLONG}",
)
LOOPS = Remedy(
    "Go back to a checkpoint before the loops; sample at temperature 1; pay nothing for what is cut off.",
    "temperature; max_new_tokens; reward.gate",
    "temperature; repetition_penalty (sampling only); get_repetition_penalty_reward",
    "actor_rollout_ref.rollout.temperature; custom_reward_function.path",
)
HACKED = Remedy(
    "Stop, go back to a checkpoint from before the onset, read its best paid responses, and mend the reward.",
    "reward.source; reward.gate; stop.when: saturated",
    "reward_funcs; beta",
    "custom_reward_function.path; actor_rollout_ref.actor.kl_loss_coef",
)
PARTS = Remedy(
    "Weigh the parts so that being right pays most, or make the format a gate in place of a part.",
    "reward.parts[].weight; reward.gate",
    "reward_weights",
    "custom_reward_function.path (the weights stand in it)",
)
LABELS = Remedy(
    "Check the labels: sample some by hand, vote with more responses, or leave out problems without a clear vote.",
    "presat data inspect; reward.votes; reward.source",
    "the answer column of the data set",
    "the column reward_model.ground_truth of the data",
)
CONSTANT = Remedy(
    "Stop and go back: a vote has become its own truth. Use labels, or a model whose votes are right at first.",
    "reward.source: verifiable; optim.lr; stop",
    "reward_funcs; learning_rate",
    "custom_reward_function.path; actor_rollout_ref.actor.optim.lr",
)
REPAIR = Remedy(
    "Stop here; spend what is left on the model before RL (continual pre-training, Thinking SFT) or on more prompts.",
    "stop.when: saturated; presat cpt; presat sft; data.count",
    "SaturationCallback(stop=True); a larger data set",
    "trainer.total_epochs; data.train_files",
)
FLAT = Remedy(
    "Stop, or change something: other problems, a longer limit, another learning rate.",
    "stop.when: saturated; optim.lr; max_new_tokens; data",
    "SaturationCallback(stop=True); learning_rate; max_completion_length",
    "trainer.total_epochs; actor_rollout_ref.actor.optim.lr; data.max_response_length",
)
BACK = Remedy(
    "Go back to the checkpoint before the fall; lower the learning rate or raise the KL weight.",
    "optim.lr; beta",
    "learning_rate; beta",
    "actor_rollout_ref.actor.optim.lr; actor_rollout_ref.actor.kl_loss_coef",
)
READ = Remedy(
    "Read answers as they are given, or ask for the format that is read; see that responses end where they should.",
    "verify.extraction: auto; data.prompt",
    "TRLReward(extraction='auto'); the system prompt",
    "custom_reward_function.path; the prompt column of the data",
)
EARN = Remedy(
    "Read some responses: the grader or the format is wrong, the limit too short, or the problems too hard.",
    "presat data inspect; presat eval; verify.extraction; max_new_tokens",
    "reward_funcs; max_completion_length",
    "custom_reward_function.path; data.max_response_length",
)
