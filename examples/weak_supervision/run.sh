#!/usr/bin/env bash
# Four kinds of supervision on two models of a finished demo: 8 clean problems, 40 of which 70% have wrong labels, 40
# without labels (majority vote, self-certainty). About 10 minutes on one CPU core, then one report.
#
#     presat demo --seed 24 --out runs/lab/24
#     bash examples/weak_supervision/run.sh runs/lab/24 runs/weak
set -euo pipefail
if [ $# -ne 2 ]; then
  echo "usage: bash $0 DEMO OUT (the folder of a finished demo, and one to write to)" >&2
  exit 2
fi
demo=$1 out=$2
here=$(dirname "$0")
mkdir -p "$out"
runs=() labels=()

for style in thinking non_thinking; do
  model=$(realpath "$demo/cpt_$style/sft")
  gate=none
  if [ $style = thinking ]; then gate=think; fi
  data=(--max-new-tokens 40 --max-prompt-tokens 64 --threads 1)
  presat data filter --data.source lab/chains --data.count 300 --data.seed 24 --data.options '{operands: [6, 8]}' \
    --model.name "$model" --run "$out/filter_$style" --out "$out/usable_$style.parquet" "${data[@]}"
  for n in 8 40; do
    presat data subset --data.source "$out/usable_$style.parquet" --n $n --batch $n --out "$out/${style}_$n.parquet"
  done
  presat data corrupt --data.source "$out/${style}_40.parquet" --model.name "$model" --gamma 0.7 \
    --run "$out/corrupt_$style" --out "$out/${style}_noisy.parquet" "${data[@]}"

  train() { # name, file, reward
    presat train --config "$here/lab.yaml" --model.name "$model" --reward.gate $gate --reward.source "$3" \
      --data.source "$out/${style}_$2.parquet" --run "$out/${style}_$1"
    runs+=("$out/${style}_$1")
    labels+=("${style/_/-}: $1")
  }
  train clean 8 verifiable
  train noisy noisy verifiable
  train vote 40 majority_vote
  train certainty 40 self_certainty
done
presat report "${runs[@]}" --labels "${labels[@]}" --out "$out/report.html"
