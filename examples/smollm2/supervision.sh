#!/usr/bin/env bash
# Three kinds of supervision on one real model and task: the SmolLM2-135M that `presat sft --config smollm2-sft` made,
# 64 problems, 4 a step, with gold answers (verifiable) and without (majority vote, self-certainty). About 15 minutes of
# one free CPU core each; started again, finished runs are kept and unfinished ones go on.
#
#     bash examples/smollm2/supervision.sh runs/smollm2 verifiable majority_vote self_certainty
set -euo pipefail
if [ $# -lt 2 ]; then
  echo "usage: bash $0 FOLDER REWARD... (the folder that holds sft and data; for instance majority_vote)" >&2
  exit 2
fi
folder=$1
shift
for source in "$@"; do
  run="$folder/rl-$source"
  presat train --config smollm2-train --model.name "$folder/sft" --data.source "$folder/data/train-64.parquet" \
    --reward.source "$source" --prompts-per-step 4 --eval.every 10 --run "$run" \
    $(test -d "$run" && echo --resume || true)
done
