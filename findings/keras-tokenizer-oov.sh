#!/usr/bin/env bash
# The Tokenizer of Keras gives oov_token the index 1, unless the texts have a word that is spelt like it: then its index is that word's
# rank, which may be num_words or more. All unknown words get this index, and an embedding of num_words rows has none for it.
#
# Guess before: the index of oov_token is 1, and all indices are below num_words, as the documentation says of both. So it is with
# "<OOV>", whose signs the default filters take out of texts; with "unk", "oov" or "unknown" it is as the texts have it.
# Seen with keras-preprocessing 1.1.2, and the same with keras 3.15.1 (keras.src.legacy.preprocessing.text).
# What follows for nnscratch: in its Tokenizer a word that is spelt like oov_token has the number 1, and a test says so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/python" -m pip install --quiet keras-preprocessing==1.1.2 numpy==2.4.6
found=$("$folder/environment/bin/python" - <<'PROGRAM'
from importlib.metadata import version

from keras_preprocessing.text import Tokenizer

print("keras-preprocessing", version("keras-preprocessing"))
for oov_token in ("<OOV>", "unk"):
    tokenizer = Tokenizer(num_words=4, oov_token=oov_token)
    tokenizer.fit_on_texts(["a a a b b c unk d"])
    (sequence,) = tokenizer.texts_to_sequences(["a b never seen"])
    print(oov_token, "has index", tokenizer.word_index[oov_token], "of 4; a word has index 1:", 1 in tokenizer.index_word, sequence)
PROGRAM
)
expected='keras-preprocessing 1.1.2
<OOV> has index 1 of 4; a word has index 1: True [2, 3, 1, 1]
unk has index 5 of 4; a word has index 1: False [2, 3, 5, 5]'
echo "$found"
[ "$found" = "$expected" ] || { echo "this has changed; before it was:"; echo "$expected"; exit 1; }
