#!/usr/bin/env bash
# silero-vad's package holds its network for 16 kHz as a safetensors file and as ONNX models. The weights are not the same: only the
# fixed Fourier basis is. A network that is rebuilt with the one file gives other probabilities than the models of the same package.
#
# Guess before: the safetensors file and silero_vad_16k_op15.onnx of one release hold the same 15 tensors, as tinygrad_model.py in
# the package reads the one for the same network.
# Seen with silero-vad 6.2.3; silero_vad.jit and the other ONNX models of the package hold other weights than the file, too.
# What follows for nnscratch: the example's test gives either's weights to both sides, where they agree to 1e-5.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/python" -m pip install --quiet safetensors==0.8.0 onnx==1.23.2 numpy==2.4.6
"$folder/environment/bin/python" -m pip install --quiet --no-deps silero-vad==6.2.3
found=$("$folder/environment/bin/python" - <<'PROGRAM'
from importlib.metadata import distribution

import numpy as np
import onnx
from safetensors.numpy import load_file

package = distribution("silero-vad")
print("silero-vad", package.version)
data = package.locate_file("silero_vad/data")
weights = load_file(data / "silero_vad_16k.safetensors")
model = onnx.load(str(data / "silero_vad_16k_op15.onnx"))
own = {t.name.removeprefix("model."): onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
names = {
    "stft_conv.weight": "stft.forward_basis_buffer",
    "conv1.weight": "encoder.0.reparam_conv.weight",
    "lstm_cell.weight_hh": "decoder.rnn.weight_hh",
    "final_conv.weight": "decoder.decoder.2.weight",
}
for name, there in names.items():
    a, b = weights[name], own[there]
    print(name, a.shape == b.shape, f"differ by up to {np.abs(a - b).max():.3f}, of at most {np.abs(b).max():.3f}")
PROGRAM
)
expected='silero-vad 6.2.3
stft_conv.weight True differ by up to 0.000, of at most 1.000
conv1.weight True differ by up to 4.027, of at most 14.516
lstm_cell.weight_hh True differ by up to 0.651, of at most 2.602
final_conv.weight True differ by up to 1.165, of at most 4.714'
echo "$found"
[ "$found" = "$expected" ] || { echo "this has changed; before it was:"; echo "$expected"; exit 1; }
