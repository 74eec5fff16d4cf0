"""Where in a recording somebody speaks: the trained network silero-vad, rebuilt with nnscratch's layers.

    pip install --no-deps silero-vad==6.2.3         # MIT; its file of weights is used, none of its code
    python examples/silero_vad.py [recording.wav]   # 16 kHz, one channel, 16 bits; without it, generated sounds

The network hears 32 ms at a time, with the last 4 ms before them, and keeps an LSTM's state from one piece to the next.
The weights in the file are of another training than those in the ONNX models of the same package; the network is the same.
"""

import sys
import wave
from importlib import metadata

import numpy as np

import nnscratch as ns
from nnscratch import functional as F
from nnscratch import nn

RATE, CHUNK, CONTEXT = 16000, 512, 64


class SileroVAD(nn.Module):
    """Short Fourier transforms, four convolutions, one LSTM cell; the names are those of the file of weights."""

    def __init__(self):
        super().__init__()
        self.stft_conv = nn.Conv1d(1, 258, 256, stride=128, bias=False)  # its rows are 129 cosines, then 129 sines
        self.conv1 = nn.Conv1d(129, 128, 3, padding=1)
        self.conv2 = nn.Conv1d(128, 64, 3, stride=2, padding=1)
        self.conv3 = nn.Conv1d(64, 64, 3, stride=2, padding=1)
        self.conv4 = nn.Conv1d(64, 128, 3, padding=1)
        self.lstm_cell = nn.LSTMCell(128, 128)
        self.final_conv = nn.Conv1d(128, 1, 1)

    def forward(self, x, state=None):
        """A piece of N recordings, (N, 576), and the state before -> N probabilities, and the state after."""
        x = ns.concatenate([x, ns.flip(x[:, -CONTEXT - 1 : -1], axis=1)], axis=1)  # the end, mirrored
        x = self.stft_conv(ns.expand_dims(x, 1))
        x = ns.sqrt(x[:, :129] ** 2 + x[:, 129:] ** 2)  # how strong each of 129 frequencies is, at four times
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = F.relu(conv(x))
        h, c = self.lstm_cell(ns.squeeze(x, 2), state)
        y = F.sigmoid(self.final_conv(F.relu(ns.expand_dims(h, 2))))
        return ns.reshape(y, (-1,)), (h, c)


def weights(file="silero_vad_16k.safetensors"):
    """The path of a file of the package, which is not imported: its code would need PyTorch."""
    try:
        package = metadata.distribution("silero-vad")
    except metadata.PackageNotFoundError:
        raise FileNotFoundError(
            "silero_vad: its weights are not installed; run pip install --no-deps silero-vad==6.2.3"
        ) from None
    return package.locate_file(f"silero_vad/data/{file}")


def pretrained():
    model = SileroVAD()
    model.load_state_dict(ns.load(weights()))
    return model.eval()


def pieces(audio):
    """(samples,) or (N, samples) -> for each 512 samples, they and the 64 before; zeros before the beginning and after the end."""
    audio = np.atleast_2d(np.asarray(audio, "float32"))
    audio = np.pad(audio, ((0, 0), (CONTEXT, -audio.shape[1] % CHUNK)))
    for start in range(0, audio.shape[1] - CONTEXT, CHUNK):
        yield audio[:, start : start + CONTEXT + CHUNK]


def probabilities(model, audio):
    """How likely it is speech, for each 32 ms: (N, pieces)."""
    found, state = [], None
    with ns.no_grad():
        for piece in pieces(audio):
            p, state = model(ns.tensor(piece), state)
            found.append(p.numpy())
    return np.stack(found, axis=1)


def sounds(seconds=2.0, seed=0):
    """Sounds by name: noise, a tone, a chirp, and a voice's vowels, which are pulses through resonances."""
    rng, t = np.random.default_rng(seed), np.arange(int(seconds * RATE)) / RATE
    pulses = np.diff(np.floor(np.cumsum(120 + 20 * np.sin(5 * t)) / RATE), prepend=0)
    f1, f2 = 500 + 250 * np.sin(9 * t), 1500 + 700 * np.sin(7 * t)  # formants, in Hz
    voice = np.zeros_like(t)
    for formant, width in ((f1, 80), (f2, 120), (np.full_like(t, 2700), 160)):
        for k in np.flatnonzero(pulses):
            s = t[k : k + 640] - t[k]
            voice[k : k + 640] += np.exp(-np.pi * width * s) * np.sin(2 * np.pi * formant[k] * s)
    return {
        "noise": 0.1 * rng.standard_normal(len(t)),
        "tone": 0.3 * np.sin(2 * np.pi * 440 * t),
        "chirp": 0.3 * np.sin(2 * np.pi * (100 * t + 950 * t**2)),
        "voice": 0.2 * voice * (np.sin(2 * np.pi * 2 * t) > -0.5),
    }


def read(path):
    with wave.open(path) as file:
        if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (RATE, 1, 2):
            raise ValueError(f"silero_vad: {path} is not of 16 kHz, one channel and 16 bits; convert it")
        return np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768


if __name__ == "__main__":
    model = pretrained()
    for name, audio in ({p: read(p) for p in sys.argv[1:]} or sounds()).items():
        (p,) = probabilities(model, audio)
        print(f"{name:6}", "".join(" .:-=+*#%@"[min(int(10 * v), 9)] for v in p), f"speech in {np.mean(p > 0.5):.0%}")
