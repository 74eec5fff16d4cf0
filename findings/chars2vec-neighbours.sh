#!/usr/bin/env bash
# chars2vec makes a word's vector with Keras's LSTM. It pads the words of a call to the longest with rows of zeros in front, and no
# Masking layer leaves them out: with its bias the LSTM moves on through them. So a word's vector depends on the words asked for with it,
# and the first one seen is kept in a cache.
#
# Guess before: a word has one vector, whatever it is asked for with, as pretrained embeddings do; rows of zeros change nothing.
# Seen with chars2vec 0.1.7 on keras 3.15.1 (JAX).
# What follows for nnscratch: nn.LSTM takes lengths=, and the example's test asks for the same vector alone and among others.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/python" -m pip install --quiet keras==3.15.1 jax==0.10.2 jaxlib==0.10.2 h5py==3.16.0 numpy==2.4.6 scipy setuptools wheel
"$folder/environment/bin/python" -m pip install --quiet --no-deps --no-build-isolation chars2vec==0.1.7
found=$(KERAS_BACKEND=jax "$folder/environment/bin/python" - 2>"$folder/errors" <<'PROGRAM' || cat "$folder/errors"
from importlib.metadata import version

import keras
import numpy as np

predict = keras.Model.predict
keras.Model.predict = lambda self, *inputs: predict(self, *inputs, verbose=0)
import chars2vec

print("chars2vec", version("chars2vec"), "keras", version("keras"))
for words in (["hamlet"], ["hamlet", "ophelia"], ["hamlet", "incomprehensibilities"]):
    model = chars2vec.load_model("eng_50")
    vector = model.vectorize_words(words)[0]
    alone = vector if len(words) == 1 else alone
    print("hamlet", *words[1:], f"differs by up to {np.abs(vector - alone).max():.2f}, of at most {np.abs(alone).max():.2f}")
PROGRAM
)
expected='chars2vec 0.1.7 keras 3.15.1
hamlet differs by up to 0.00, of at most 0.91
hamlet ophelia differs by up to 0.08, of at most 0.91
hamlet incomprehensibilities differs by up to 0.69, of at most 0.91'
echo "$found"
[ "$found" = "$expected" ] || { echo "this has changed; before it was:"; echo "$expected"; exit 1; }
