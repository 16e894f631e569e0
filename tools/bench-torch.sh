#!/usr/bin/env bash
# Makes .build/torch, a Python environment with PyTorch for the CPU, which only the comparisons in bench/ need.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! .build/torch/bin/python -c 'import torch' 2>/dev/null; then
  python3 -m venv .build/torch
  # The CPU build where pip's index offers it by name, else whatever torch it has; the steps run on the CPU either way.
  .build/torch/bin/pip install --quiet 'torch==2.13.0+cpu' || .build/torch/bin/pip install --quiet torch
fi
.build/torch/bin/python bench/torch/steps.py --check Tests/Fixtures/golden
