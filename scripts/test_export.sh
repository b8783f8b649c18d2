#!/usr/bin/env bash
# Exports the larger public models with random weights, checks them against PyTorch and runs skyfix on them.
# usage: scripts/test_export.sh [PYTHON]     (a Python with models/export/requirements.txt; by default one made in out/export)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${1:-out/export/venv/bin/python}
if [ ! -x "$python" ]; then
    python3 -m venv out/export/venv
    out/export/venv/bin/pip install -q -r models/export/requirements.txt
fi
python=$(realpath -s "$python")
export SKYFIX=${SKYFIX:-$PWD/${CARGO_TARGET_DIR:-target}/release/skyfix}
cd models/export
"$python" -W ignore -m unittest -v test_export
