#!/usr/bin/env bash
# torch.onnx.export of a wrapper around a network in evaluation mode leaves that network in training mode: afterwards its dropout drops.
# A module that is made anew is in training mode, its parts may not be; the exporter evaluates all for the export, and then sets all parts
# to the mode of the wrapper, not each to its own. What is measured or compared after the export is another network.
#
# Guess before: each part has its own mode again. Seen with PyTorch 2.13.0, by the exporter with dynamo=False.
# What follows for nnscratch: `Module.summary` and `Trainer.evaluate` restore the mode of each part; the benchmark beside onnxruntime puts
# the network that it exports, wrapper and all, into evaluation mode.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/python" -m pip install --quiet torch==2.13.0 numpy==2.4.6 onnx==1.23.2
found=$("$folder/environment/bin/python" -W ignore - 2>"$folder/errors" <<'PROGRAM' || cat "$folder/errors"
import io

import torch


class Wrapper(torch.nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x)


inner = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Dropout(0.5)).eval()
x = torch.ones(1, 4)
before = inner(x)
torch.onnx.export(Wrapper(inner), (x,), io.BytesIO(), dynamo=False)
print("torch", torch.__version__.split("+")[0])
print("in training mode after the export:", inner.training, inner[1].training)
print("its results are those before:", all(torch.equal(inner(x), before) for _ in range(20)))
PROGRAM
)
expected='torch 2.13.0
in training mode after the export: True True
its results are those before: False'
echo "$found"
[ "$found" = "$expected" ] || { echo "this has changed; before it was:"; echo "$expected"; exit 1; }
