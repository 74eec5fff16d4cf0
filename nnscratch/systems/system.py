"""What all systems have in common: training from beginning to end, and the files it leaves."""

import json
import os
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

import nnscratch as ns
from nnscratch import arguments, backend, documents
from nnscratch.files import as_path, parse_json, read_bytes, read_json, writable_folder, write_bytes
from nnscratch.kernels.blas import one_thread
from nnscratch.state_files import read_checkpoint
from nnscratch.training import Checkpoint, Trainer

CHECKPOINT = "checkpoint.safetensors"
MODEL = "model.safetensors"
VOCABULARY = "vocabulary.json"
PICTURES = ("curves", "mistakes", "samples", "learning", "walk", "nearest", "filled")
CONFIG = "config.json"
FILES = ("metrics.json", MODEL, VOCABULARY, CONFIG, *(f"{name}.png" for name in PICTURES), CHECKPOINT)
MOST_MISTAKES = 200  # images in one picture
MISTAKEN_TEXTS = 5
DPI = 120


def _takes(option, value):
    """Whether a system's own option has such a value: one of its choices, or where there are none its default, or another of a kind."""
    if "choices" in option:
        return value in option["choices"]
    default = option["default"]
    return value == default or type(value) is (str if default is None else type(default))


class System:
    """A network of the documents with its data and settings; `run` trains it.

    Attributes
    ----------
    name, id, title, document : str
        What the command calls it, its number in the index, what it is, and where the documents describe it.
    epochs, batch_size : int
    lr : float
    full : bool
        Whether there is a larger data set than the one that ships with nnscratch.

    Examples
    --------
    >>> import nnscratch as ns
    >>> system = ns.systems.get("regression-3-5-1")
    >>> system.id, system.epochs, sum(p.size for p in system.model().parameters())
    ('S1', 1000, 26)
    """

    name = id = title = document = ""
    epochs = batch_size = 1
    lr = 0.0
    full = False
    #: After how many epochs the checkpoint is written again.
    every = 1
    #: What the command can be told of this system alone: by name what argparse takes, with a "default".
    options: Mapping = MappingProxyType({})
    #: What the Trainer is given.
    loss = ""
    metrics: tuple = ()
    validation_split = 0.0

    def __init__(self):
        self.choose({})

    def choose(self, settings):
        """Take the values of the system's own options from a run's settings, or their defaults, into `chosen`."""
        self.chosen = {name: settings.get(name, option["default"]) for name, option in self.options.items()}

    def model(self):
        """The network with new weights."""
        raise NotImplementedError

    def data(self, full):
        """The pair of pairs ((x_train, y_train), (x_test, y_test))."""
        raise NotImplementedError

    def optimizer(self, parameters, lr):
        """The optimiser: Adam as the documents state it."""
        return ns.optim.Adam(parameters, lr=lr)

    def trainer(self, model, settings):
        """The Trainer of a network."""
        optimizer = self.optimizer([p for p in model.parameters() if p.requires_grad], settings["lr"])
        scheduler = self.scheduler(optimizer, settings["epochs"])
        return Trainer(model, self.loss, optimizer, self.metrics, scheduler)

    def example(self, train):
        """What the network is shown with: a batch for each of its inputs."""
        inputs = train[0] if isinstance(train[0], tuple) else train[:1]
        return tuple(x[:1] for x in inputs)

    def callbacks(self, settings, out):
        """Callbacks of the run, beside the one that writes its checkpoint."""
        return []

    def scheduler(self, optimizer, epochs):
        """The schedule of the learning rate, stepped after each epoch; None keeps the rate."""
        return None

    def validation_data(self, test):
        """Held-out data where they are not split off the training data."""
        return None

    def before(self, model, train):
        """Show something before training."""

    def report(self, trainer, train, test, out):
        """Print the result on the test data beside the baseline; return the last line, and both as a dict."""
        raise NotImplementedError

    def keep(self, out):
        """Write into a run's folder what it takes to use the network, beside its weights."""

    def load(self, folder):
        """The trained network of a run's folder, in evaluation mode."""
        path = os.path.join(folder, "metrics.json")
        results = parse_json(read_bytes("load", path))
        settings = results.get("settings", {})
        if not isinstance(settings, dict) or not all(
            _takes(option, settings.get(name, option["default"])) for name, option in self.options.items()
        ):
            raise ValueError(f"load: {path} has settings that {self.name} has not; train again")
        self.choose(settings)
        way = results.get("compressed")  # by `nnscratch compress`
        if way is not None and way not in ns.compress.WAYS:
            raise ValueError(f"load: {path} is of a network that was compressed in an unknown way; compress it again")
        model, state = self.model(), ns.load(os.path.join(folder, MODEL))
        if way is None:
            model.load_state_dict(state)
        else:
            model = ns.compress.restore(model, state, way)
        return model.eval()

    def run(
        self,
        epochs=None,
        batch_size=None,
        lr=None,
        seed=None,
        device="cpu",
        full=False,
        resume=False,
        out=None,
        verbose=True,
        distributed=None,
        capture=False,
        **options,
    ):
        """Train, print the result, and write it into a folder.

        Parameters
        ----------
        epochs, batch_size, lr : optional
            The system's own, where they are not given.
        seed : int, optional
            Everything random follows from it; 0 where it is not given.
        device : str
        full : bool
            Whether to take the full data set; see `ns.data.mnist`.
        resume : bool
            Go on from the last complete epoch in `out`, with the settings it began with. With more `epochs` than then,
            a schedule takes what is left of its course over the new number.
        out : str or os.PathLike, optional
            The folder, by default ``runs/NAME``.
        verbose : bool
            Whether to show the progress bar and a line for each epoch.
        distributed : nnscratch.distributed.Ranks, optional
            The processes that train together, all by this call; rank 0 writes and prints.
        capture : bool
            Whether steps are recorded once and run as programs; see `nnscratch.capture`.
        **options
            The system's own; see `options`.

        Returns
        -------
        dict
            What ``metrics.json`` holds; empty on other ranks than 0.

        Raises
        ------
        TypeError, ValueError
            Where an argument is not such, or contradicts the run to be resumed.
        OSError
            Where the folder cannot be written in, or data are missing; nothing is trained then.
        """
        unknown = next((name for name in options if name not in self.options), None)
        if unknown is not None:
            raise TypeError(f"train: {self.name} has no option {unknown!r}; leave it out")
        given = {"batch_size": batch_size, "lr": lr, "seed": seed, "full": full or None, **options}
        out = as_path("train", os.path.join("runs", self.name) if out is None else out)
        settings = self._settings(given, epochs, os.path.join(out, CHECKPOINT) if resume else None)
        backend.get(device)
        if distributed is None:
            return self._run(settings, device, resume, out, verbose, capture=capture)
        with distributed.together(), distributed.alone_speaking():
            return self._run(settings, device, resume, out, verbose, distributed, capture)

    def _run(self, settings, device, resume, out, verbose, ranks=None, capture=False):
        first = ranks is None or ranks.rank == 0
        if first:
            writable_folder("train", out)
        trainer, train, test = self.build(settings, device)
        trainer.distributed = ranks
        trainer.capture = capture
        self.train(trainer, train, test, settings, out, resume, verbose)
        return self._write_report(trainer, train, test, settings, out) if first else {}

    def _settings(self, given, epochs, checkpoint):
        """The settings of a run: the system's own, or those of the run to be resumed, and what is given."""
        self.choose({name: value for name, value in given.items() if value is not None})
        settings = {"batch_size": self.batch_size, "lr": self.lr, "seed": 0, "full": False, "epochs": self.epochs}
        settings |= {name: option["default"] for name, option in self.options.items()}
        if checkpoint is not None:
            settings = self._begun(checkpoint, given)
        settings.update({k: v for k, v in (given | {"epochs": epochs}).items() if v is not None})
        arguments.count("train", "epochs", settings["epochs"])
        arguments.count("train", "batch_size", settings["batch_size"])
        arguments.number("train", "lr", settings["lr"], 0, 1e6)
        if settings["full"] and not self.full:
            raise ValueError(f"train: {self.name} has no larger data set; leave out --full")
        for name, option in self.options.items():
            among = option.get("choices", (True, False))
            if settings[name] not in among and "metavar" not in option:  # which any text may be given for
                raise ValueError(
                    f"train: {name} is {settings[name]!r}, expected one of {', '.join(map(str, among))}; pass one"
                )
        return settings

    def build(self, settings, device="cpu"):
        """Seed everything, and make the Trainer and the data; prints what the network is.

        Parameters
        ----------
        settings : dict
            With "seed", "full", "lr" and "epochs".
        device : str

        Returns
        -------
        trainer, train, test
            The Trainer, and the pairs (x, y).
        """
        ns.manual_seed(settings["seed"])
        self.choose(settings)
        train, test = self.data(settings["full"])
        model = self.model().to(device)
        print(f"{self.id} {self.name}: {self.title} ({self.document})\n{documents.HINT}\n")
        print(f"{model.summary(*self.example(train))}\n")
        self.before(model, train)
        return self.trainer(model, settings), train, test

    def train(self, trainer, train, test, settings, out, resume=False, verbose=True):
        """Train for the epochs of the settings, with a checkpoint in the folder `out`, from which `resume` goes on."""
        path = os.path.join(out, CHECKPOINT)
        checkpoint = Checkpoint(path, self.every, notes={"system": self.name, **settings})
        # In products as small as these networks' a second BLAS thread costs more than it brings, far more on a busy machine.
        with one_thread(long=True):
            try:
                trainer.fit(
                    *train,
                    epochs=settings["epochs"],
                    batch_size=settings["batch_size"],
                    validation_split=self.validation_split,
                    validation_data=self.validation_data(test),
                    callbacks=[*self.callbacks(settings, out), checkpoint],
                    verbose=verbose,
                    resume=path if resume else None,
                )
            except KeyboardInterrupt:
                kept = resume or checkpoint.written
                advice = "the same command with --resume goes on from the last complete epoch"
                raise KeyboardInterrupt(advice if kept else "no epoch was complete yet; start it again") from None

    def _write_report(self, trainer, train, test, settings, out):
        """Write the weights, the curves and the measures; print the result, and return what metrics.json holds."""
        history = trainer.history
        ns.save(trainer.model, os.path.join(out, MODEL))
        self.keep(out)
        write_bytes("train", os.path.join(out, "curves.png"), history.plot().png(DPI))
        results = {"system": self.name, "settings": settings, "seconds": sum(history["seconds"])}
        last, found = self.report(trainer, train, test, out)
        results = {**results, **found, "history": dict(history.items())}
        write_bytes("train", os.path.join(out, "metrics.json"), json.dumps(results, indent=2).encode())
        files = [name for name in FILES if os.path.exists(os.path.join(out, name))]
        print(f"\nresults in {os.path.join(out, '')}: {', '.join(files)}")
        print(last)
        return results

    def _begun(self, path, given):
        """The settings of the run that left a checkpoint; what is given now must agree with them."""
        if not os.path.exists(path):
            raise FileNotFoundError(f"train: there is no {path} to resume; train without --resume first")
        content = read_checkpoint(path)[1]
        notes = content.get("notes") if isinstance(content, dict) else None
        notes = dict(notes) if isinstance(notes, dict) else {}
        found = notes.pop("system", None)
        if found != self.name:
            raise ValueError(
                f"train: {path} is of the system {arguments.shown(found)}, got {self.name!r}; pass the "
                f"folder of its own run"
            )
        for name, value in given.items():
            if value is not None and value != notes.get(name):
                option = "--" + name.replace("_", "-")
                raise ValueError(
                    f"train: the run in {path} began with {name} {arguments.named(notes.get(name))}, got {value}; leave out "
                    f"{option} to go on"
                )
        return notes


def write_sheet(out, name, *sheet, **settings):
    """Write a picture of many images into a run's folder: what `ns.pictures.sheet` makes of the arguments."""
    write_bytes("train", os.path.join(out, f"{name}.png"), ns.pictures.sheet(*sheet, **settings).png(DPI))


class Classifier(System):
    """A system that predicts classes: reports accuracy, and shows a confusion matrix.

    Attributes
    ----------
    classes : sequence of str

    Examples
    --------
    >>> import nnscratch as ns
    >>> system = ns.systems.get("mnist-cnn")
    >>> isinstance(system, Classifier), system.metrics, len(system.classes)
    (True, ('accuracy',), 10)
    """

    classes: tuple = ()
    metrics: tuple = ("accuracy",)

    def report(self, trainer, train, test, out):
        x, y = test
        values = trainer.evaluate(x, y)
        prediction = trainer.predict(x)
        labels = self.labels(prediction)
        truth = y.reshape(-1).astype(np.int64)
        common = np.bincount(train[1].reshape(-1).astype(np.int64)).argmax()
        baseline = float(np.mean(truth == common))
        matrix = ns.metrics.confusion_matrix(labels, truth, len(self.classes))
        print(f"\n{ns.metrics.confusion_table(matrix, self.classes)}\n")
        print(f"baseline, always {self.classes[common]}: accuracy {baseline:.4f}")
        self.show_mistakes(x, prediction, truth, out)
        return f"test accuracy {values['accuracy']:.4f}", {
            "test_accuracy": values["accuracy"],
            "test_loss": values["loss"],
            "baseline_accuracy": baseline,
        }

    def labels(self, prediction):
        """The classes that predictions are of."""
        return prediction.argmax(-1) if prediction.shape[-1] > 1 else (prediction[:, 0] > 0.5).astype(np.int64)

    def show_mistakes(self, x, prediction, truth, out):
        """Draw the images that were taken for something else; other inputs are not shown."""
        if x.ndim == 4:
            sheet = ns.pictures.mistakes(x, prediction, truth, self.classes, count=MOST_MISTAKES)
            write_bytes("train", os.path.join(out, "mistakes.png"), sheet.png(DPI))


class TextSystem(System):
    """A system of texts: its tokenizer, which `data` makes, is kept beside the weights.

    Attributes
    ----------
    tokenizer : nnscratch.data.text.Tokenizer or PieceTokenizer
        Of the data last made, or of the run last loaded.
    config : dict or None
        The settings of what reads the texts, where it is one of `nn.models`: they are kept, too.

    Examples
    --------
    >>> import nnscratch as ns
    >>> isinstance(ns.systems.get("text-generator"), TextSystem)
    True
    """

    tokenizer: ns.data.text.Tokenizer | ns.data.text.PieceTokenizer
    config: dict | None = None

    def restore(self, state):
        """Take from the trained weights what `model` needs of the data."""

    def keep(self, out):
        self.tokenizer.save(os.path.join(out, VOCABULARY))
        if self.config is not None:
            write_bytes("train", os.path.join(out, CONFIG), json.dumps(self.config).encode())

    def load(self, folder):
        path, config = os.path.join(folder, VOCABULARY), os.path.join(folder, CONFIG)
        kind = ns.data.text.PieceTokenizer if "model" in read_json("load", path) else ns.data.text.Tokenizer
        self.tokenizer = kind.load(path)
        if os.path.exists(config):
            self.config = read_json("load", config)
        self.restore(ns.load(os.path.join(folder, MODEL)))
        return super().load(folder)


class TextClassifier(TextSystem, Classifier):
    """A system that tells of which class a text is: shows its mistakes, and is asked about texts by `nnscratch predict`.

    Attributes
    ----------
    texts : pair of list of str
        Those of training and those of the test.

    Examples
    --------
    >>> import nnscratch as ns
    >>> isinstance(ns.systems.get("review-classifier"), TextClassifier)
    True
    """

    texts: tuple

    def numbers(self, texts):
        """Texts as the network's inputs, a pair of arrays."""
        raise NotImplementedError

    def validation_data(self, test):
        return test

    def show_mistakes(self, x, prediction, truth, out):
        confidence = prediction.max(1)
        wrong = np.flatnonzero(prediction.argmax(1) != truth)
        print("its most confident mistakes:")
        for i in wrong[np.argsort(-confidence[wrong])][:MISTAKEN_TEXTS]:
            print(f"  {confidence[i]:.2f} {self.classes[prediction[i].argmax()]}: {self.texts[1][i]}")
        print()

    def predict(self, model, text):
        """The class of a text with its probability."""
        model.eval()
        with ns.no_grad():
            p = model(*self.numbers([text])).numpy()[0]
        return f"{self.classes[p.argmax()]} ({p.max():.2f})"
