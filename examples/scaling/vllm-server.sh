#!/bin/sh
# A vLLM server that `presat train --engine server` can give new weights (docs/vllm.md), on GPUs of its own:
#     sh examples/scaling/vllm-server.sh MODEL GPUS [PORT]
# On a machine of eight, GPUs 4 to 7 serve and ddp-beside-server.yaml trains on 0 to 3.
# MAX_LENGTH (4096) is a prompt and its response, in tokens; SERVER_GPUS (4,5,6,7) which GPUs.
# Development mode lets whoever reaches the port change the server: it listens on this machine alone.
set -eu
MODEL=$1 GPUS=$2 PORT=${3:-8000}
export VLLM_SERVER_DEV_MODE=1
export CUDA_VISIBLE_DEVICES=${SERVER_GPUS:-4,5,6,7}
exec vllm serve "$MODEL" --host 127.0.0.1 --port "$PORT" --data-parallel-size "$GPUS" --dtype bfloat16 --max-model-len "${MAX_LENGTH:-4096}"
