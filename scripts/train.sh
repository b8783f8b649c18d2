#!/usr/bin/env bash
# Trains the bundled networks one after the other, each in a piece of at most 90 minutes on two cores; goes on where it was stopped.
# usage: scripts/train.sh [RUN_FOLDER]     ($SKYFIX_DATA holds train/; by default ../shared/data)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
run=${1:-out/models}
mkdir -p "$run"
run=$(realpath "$run")
threads=${OMP_NUM_THREADS:-$(nproc)}

# Threads that spin while they wait, and memory that is given back after each step, cost most of the time on a shared machine.
export OMP_NUM_THREADS=$threads OMP_WAIT_POLICY=PASSIVE
export MALLOC_MMAP_THRESHOLD_=2000000000 MALLOC_TRIM_THRESHOLD_=8000000000 MALLOC_TOP_PAD_=200000000 MALLOC_ARENA_MAX=2
export GLIBC_TUNABLES=glibc.malloc.hugetlb=1

cd models/train
if [ ! -x "$run/venv/bin/python" ]; then
    python3 -m venv "$run/venv"
    "$run/venv/bin/pip" install -q -r requirements.txt
fi
python=$run/venv/bin/python
"$python" worlds.py make "$run/worlds"
# On a GPU more pairs a step, made by the other processors.
device=$("$python" -c 'import torch; print("cuda" if torch.cuda.is_available() else "cpu")')
where=(--device cpu) pairs=8
[ "$device" = cpu ] || { where=(--device cuda --workers "$(($(nproc) > 3 ? $(nproc) - 2 : 1))"); pairs=32; }
"$python" dense.py train --run "$run" --threads "$threads" "${where[@]}" --pairs "$pairs" --without world --minutes 90
"$python" dense.py calibrate --run "$run" --threads "$threads" "${where[@]}" --without world
"$python" dense.py export --run "$run"
"$python" retrieval.py train --run "$run" --threads "$threads" "${where[@]}" --minutes 20
"$python" retrieval.py export --run "$run"
"$python" consensus.py train --run "$run" --threads "$threads" "${where[@]}" --loss known --minutes 20
"$python" consensus.py export --run "$run" --loss known
"$python" compare.py --write
