#!/usr/bin/env bash
# Does presat work on this machine's GPU? Needs Python 3.11 with PyTorch and transformers, no network, 7 minutes at most.
# usage: scripts/gpu_check.sh [--wheels DIR] [--device cuda|cpu] [--small] [--out FILE.json]
#   --wheels DIR  packages that are missing here; without it the script says which those are and how to make the folder
#   --device      cuda unless given
#   --small       a shorter run of everything, which a CPU does in a minute or two
#   --out FILE    where the results go (gpu_check.json)
# PYTHON names the interpreter (python3). Nothing is installed: wheels go to a folder that is deleted at the end.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3} wheels='' rest=()
while (($#)); do
  case $1 in
    -h | --help) sed -n '2,8s/^# //p' "$0"; exit 0 ;;
    --wheels) wheels=${2:?--wheels needs a folder}; shift 2 ;;
    *) rest+=("$1"); shift ;;
  esac
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PYTHONPATH="$work/site:$PWD/src" PYTHONDONTWRITEBYTECODE=1
# twice: what was installed may itself need a newer version of something that is here
for _ in 1 2; do
  missing=$("$python" scripts/gpu_check/needs.py) || exit 2
  [[ -z $missing ]] && break
  if [[ -z $wheels ]]; then
    "$python" scripts/gpu_check/needs.py --how >&2
    exit 2
  fi
  # shellcheck disable=SC2086  (one word a package)
  "$python" -m pip install --quiet --no-index --find-links "$wheels" --no-deps --no-compile --no-cache-dir \
    --disable-pip-version-check --upgrade --target "$work/site" $missing
done
"$python" scripts/gpu_check --work "$work" ${rest[@]+"${rest[@]}"}
