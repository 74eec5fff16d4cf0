"""A trained classifier made smaller, what that costs, and the files of the smaller one: `nnscratch compress` and `evaluate`."""

import json
import os
import statistics
import time

import numpy as np

import nnscratch as ns
from nnscratch import compress, systems
from nnscratch.compress.storage import PACKED, WAYS
from nnscratch.files import as_path, read_json, writable_folder, write_bytes
from nnscratch.kernels.blas import one_thread
from nnscratch.systems.system import MODEL, Classifier, TextSystem
from nnscratch.tensor import Tensor

#: What `--quantise` takes.
QUANTISED = (*WAYS[:2], *(way for way in PACKED if way != "sparse"))
#: Inputs of training by which the ranges of activations are known.
CALIBRATION = 512
#: Inputs that are timed at once, and how often at most.
INPUTS, REPEATS = (1, 256), 15


def run(folder, quantise=None, prune=None, channels=False, distil=None, epochs=None, seed=0, out=None, verbose=True):
    """Compress the network of a run, and write the smaller one into a folder of its own.

    Parameters
    ----------
    folder : str or os.PathLike
        Of a run of a classifier.
    quantise : str, optional
        One of `QUANTISED`; or, in its place:
    prune : float, optional
        Which share of the weights is set to 0, or, with `channels`, of the multiplications goes with whole channels.
    distil : str, optional
        The system whose network learns from that of the run.
    epochs : int, optional
        Of learning on, or of the student's learning; by default the system's own.
    seed : int
    out : str or os.PathLike, optional
        By default the run's folder with the way behind its name.
    verbose : bool

    Returns
    -------
    dict
        What ``metrics.json`` holds; "before" and "after" are what `measure` returns.

    Raises
    ------
    ValueError
        Where not just one way is given, the run is of no classifier, or the student tells other classes apart.
    """
    if sum(way is not None for way in (quantise, prune, distil)) != 1:
        raise ValueError("compress: expected one of --quantise, --prune and --distil; pass one")
    if channels and prune is None:
        raise ValueError("compress: --channels says how --prune does it; add --prune, or leave it out")
    folder = as_path("compress", folder)
    system, model, settings = _load("compress", folder)
    student = system if distil is None else systems.get(distil)
    if not isinstance(student, Classifier) or tuple(student.classes) != tuple(system.classes):
        raise ValueError(
            f"compress: {distil} does not tell the classes of {system.name} apart; pass one of {', '.join(_alike(system))}"
        )
    way = quantise or (("channels" if channels else "sparse") if distil is None else "distilled")
    out = as_path("compress", f"{os.path.normpath(folder)}-{way}" if out is None else out)
    writable_folder("compress", out)
    ns.manual_seed(seed)
    train, test = system.data(settings["full"])
    before = measure(system, model, os.path.join(folder, MODEL), test)
    settings = settings | {"epochs": student.epochs if epochs is None else epochs, "seed": seed}
    if quantise is not None:
        smaller = (
            compress.quantize(model, train[0][:CALIBRATION], quantise == "int8") if quantise in WAYS[:2] else model
        )
    elif distil is not None:
        settings |= {"batch_size": student.batch_size, "lr": student.lr}
        smaller = _distilled(student, model, train, settings, verbose)
    else:
        smaller = _pruned(system, model, prune, channels, train, settings, verbose)
    state = smaller.state_dict()
    ns.save(compress.pack(state, way) if way in PACKED else state, os.path.join(out, MODEL))
    results = {"system": student.name, "settings": settings, "compressed": way, "from": folder, "before": before}
    write_bytes("compress", os.path.join(out, "metrics.json"), json.dumps(results, indent=2).encode())
    results["after"] = evaluate(out)  # of what was written
    write_bytes("compress", os.path.join(out, "metrics.json"), json.dumps(results, indent=2).encode())
    return results | {"out": out}


def evaluate(folder):
    """What `measure` says of the network of a run, compressed or not.

    Raises
    ------
    ValueError
        Where the run is of no classifier.
    """
    folder = as_path("evaluate", folder)
    system, model, settings = _load("evaluate", folder)
    return measure(system, model, os.path.join(folder, MODEL), system.data(settings["full"])[1])


def measure(system, model, path, test):
    """A classifier's accuracy on test data, bytes on disk, parameters (and how many are not 0), and milliseconds for 1 and 256 inputs."""
    x, y = test
    with ns.no_grad(), one_thread(long=True):
        model.eval()
        batches = [Tensor(x[i : i + 256]) for i in range(0, len(x), 256)]
        prediction = np.concatenate([model(batch).numpy() for batch in batches])
        times = {n: _milliseconds(model, Tensor(np.resize(x, (n, *x.shape[1:])))) for n in INPUTS}
    values = [a for name, a in model.state_dict().items() if name.rpartition(".")[2] in ("weight", "bias")]
    return {
        "test accuracy": float(np.mean(system.labels(prediction) == y.reshape(-1))),
        "bytes on disk": os.path.getsize(path),
        "parameters": sum(a.size for a in values),
        "of them not 0": int(sum(np.count_nonzero(a) for a in values)),
        **{f"ms for {n} input{'s' * (n > 1)}": ms for n, ms in times.items()},
    }


def rows(**columns):
    """What `measure` said of some networks, as rows of a table.

    Examples
    --------
    >>> rows(before={"bytes on disk": 5120}, after={"bytes on disk": 1280})
    [('', 'before', 'after'), ('bytes on disk', '5,120', '1,280')]
    """
    names = next(iter(columns.values()))
    return [("", *columns), *((name, *(_shown(values[name]) for values in columns.values())) for name in names)]


def _shown(value):
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}" if value <= 1 else f"{value:.2f}"


def _milliseconds(model, x):
    """The median of some runs, after one that makes what is made once."""
    model(x)
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        model(x)
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def _load(operation, folder):
    """System, network and settings of a run that tells classes apart."""
    system, model = systems.load(folder)
    if not _able(system):
        able = ", ".join(s.name for s in systems.every() if _able(s))
        raise ValueError(
            f"{operation}: {folder} is a run of {system.name}, which is not measured so; pass one of {able}"
        )
    return system, model, read_json(operation, os.path.join(folder, "metrics.json"))["settings"]


def _able(system):
    return isinstance(system, Classifier) and not isinstance(system, TextSystem)


def _alike(system):
    return [s.name for s in systems.every() if _able(s) and tuple(s.classes) == tuple(system.classes)]


def _fit(system, trainer, train, settings, verbose, callbacks=()):
    with one_thread(long=True):
        trainer.fit(
            *train,
            epochs=settings["epochs"],
            batch_size=settings["batch_size"],
            validation_split=system.validation_split,
            callbacks=callbacks,
            verbose=verbose,
        )


def _pruned(system, model, share, channels, train, settings, verbose):
    """A network without a share of its weights, or multiplications, that has learnt on."""
    if channels:
        model = compress.prune_channels(model, train[0][:1], multiplications=1 - share, multiple=8)
        callbacks = []
    else:
        # half of the time it is pruned more and more, half of it learns with what is left
        callbacks = [compress.GradualPruning(compress.Masks(model), share, -(-settings["epochs"] // 2))]
    _fit(system, system.trainer(model, settings), train, settings, verbose, callbacks)
    return model


def _distilled(student, teacher, train, settings, verbose):
    """A student's network that has learnt from a teacher."""
    model = student.model()
    optimizer = student.optimizer(model.parameters(), settings["lr"])
    step = compress.Distillation(model, teacher, optimizer)
    trainer = ns.Trainer(step, scheduler=student.scheduler(optimizer, settings["epochs"]))
    _fit(student, trainer, train, settings, verbose)
    return model
