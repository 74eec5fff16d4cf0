"""Threads side by side: `python tests/threads.py [ANSWERS]` has eight threads predict while two train, and says what differed.

Everything is compared, bit for bit, with what one thread computes alone. `tests/test_threads.py` asks for fewer answers.
"""

import json
import sys
import threading
import time

import numpy as np

import nnscratch as ns
from nnscratch import nn

rng = np.random.default_rng(0)
X = rng.normal(size=(128, 1, 12, 12)).astype(np.float32)
Y = rng.integers(0, 10, 128)


def network():
    layers = (
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.3),
        nn.Flatten(),
        nn.Linear(100, 10),
    )
    return nn.Sequential(*layers, nn.Softmax())


def trained(seed, epochs=2, own=True):
    """A Trainer that has trained a network from a seed: by the thread's `manual_seed`, or, as `own` says, by a Generator."""
    if not own:
        ns.manual_seed(seed)
        return _trained(epochs)
    with ns.Generator(seed):
        return _trained(epochs)


def _trained(epochs):
    model = network()
    trainer = ns.Trainer(model, "cross_entropy", ns.optim.Adam(model.parameters()))
    trainer.fit(X, Y, epochs=epochs, batch_size=32, verbose=False)
    return trainer


def bits(trainer):
    return {name: array.tobytes() for name, array in trainer.model.state_dict().items()}


def side_by_side(*calls, timeout=600):
    """Call functions in threads of their own, all at once; returns their results, and how many never came back."""
    results, errors = [None] * len(calls), []

    def run(i):
        try:
            results[i] = calls[i]()
        except BaseException as error:
            errors.append(error)

    running = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(len(calls))]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(timeout)
    if errors:
        raise errors[0]
    return results, sum(thread.is_alive() for thread in running)


def figures(answers=10_000, predicting=8):
    """What differs when threads predict and train at once from what they do alone."""
    asked = trained(7)
    right, before = asked.predict(X), bits(asked)
    alone = [bits(trained(seed)) for seed in (1, 2)]
    each = -(-answers // predicting)

    def predict(first):
        wrong = 0
        for i in range(each):
            at = (first + 37 * i) % len(X)
            wrong += not np.array_equal(asked.predict(X[at : at + 1])[0], right[at])
        return wrong

    # one sample at a time is another product than all at once: what is right is what one thread says of one sample
    right = np.concatenate([asked.predict(X[i : i + 1]) for i in range(len(X))])
    calls = [lambda first=first: predict(first) for first in range(predicting)]
    calls += [lambda: bits(trained(1)), lambda: bits(trained(2, own=False))]
    results, hanging = side_by_side(*calls)
    return {
        "answers": each * predicting,
        "wrong": sum(n or 0 for n in results[:predicting]),
        "statistics changed": bits(asked) != before,
        "models that differ": sum(a != b for a, b in zip(alone, results[predicting:], strict=True)),
        "hanging": hanging,
    }


if __name__ == "__main__":
    start = time.perf_counter()
    found = figures(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
    print(json.dumps({**found, "seconds": round(time.perf_counter() - start, 1)}))
    sys.exit(any(value for name, value in found.items() if name != "answers"))
