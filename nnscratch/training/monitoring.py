"""Callbacks that show a training run in the windows of other programs: TensorBoard and MLflow. Each needs its own library."""

import importlib
import numbers
import os

import numpy as np

from nnscratch import arguments
from nnscratch.training.callbacks import Callback


def _library(owner, module, package):
    """A library that only a callback needs."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ImportError(f"{owner}: {module} is not installed; install it by `pip install {package}`") from None


def _settings(trainer):
    """What a run was made with, by name: the network, its number of parameters, the optimisers' settings, epochs and batches."""
    found = {"epochs": trainer.epochs, **{k: v for k, v in trainer._settings.items() if v is not None}}
    for name, module in trainer.step.modules.items():
        found |= {
            f"{name}.class": type(module).__name__,
            f"{name}.parameters": sum(p.data.size for p in module.parameters()),
        }
    for name, optimizer in trainer.step.optimizers.items():
        found[f"{name}.class"] = type(optimizer).__name__
        found |= {f"{name}.{k}": v for k, v in optimizer.param_groups[0].items() if k != "params"}
    return {k: v if isinstance(v, bool | str | numbers.Real) else str(v) for k, v in found.items()}


class TensorBoard(Callback):
    """Write what TensorBoard shows: the history's curves, histograms of weights and gradients, images, the network as text, settings.

    It writes by tensorboardX (``pip install nnscratch[tensorboard]``); look at it by ``tensorboard --logdir LOGDIR``.

    Parameters
    ----------
    logdir : str or os.PathLike
        The folder to write to; one run a folder.
    histograms : int
        After how many epochs the weights, and the gradients that are there, are written as histograms; 0 for never.
    images : (N, C, H, W) array, or callable, optional
        Written when `fit` begins; or a function of the trainer that returns such an array, called after each epoch.
    hyperparameters : dict, optional
        Settings to compare runs by, beside those that the trainer knows.

    Raises
    ------
    TypeError, ValueError
        Where an argument is not such.
    ImportError
        Where tensorboardX is not installed.

    Examples
    --------
    >>> import nnscratch as ns
    >>> ns.training.TensorBoard("runs/first", histograms=-1)
    Traceback (most recent call last):
    ValueError: TensorBoard: histograms is -1, expected a whole number of at least 0; pass a larger one
    """

    def __init__(self, logdir, histograms=1, images=None, hyperparameters=None):
        self.histograms = arguments.count("TensorBoard", "histograms", histograms, 0)
        self.logdir, self.images = os.fspath(logdir), images
        self.hyperparameters = dict(hyperparameters or {})
        self._library = _library("TensorBoard", "tensorboardX", "nnscratch[tensorboard]")
        self._writer = None

    def on_fit_begin(self, trainer):
        self._writer = self._library.SummaryWriter(self.logdir)
        for name, module in trainer.step.modules.items():
            self._writer.add_text(name, f"```\n{module}\n```", 0)
        if self.images is not None and not callable(self.images):
            self._show(self.images, 0)

    def on_epoch_end(self, trainer, epoch, logs):
        for name in trainer.history:
            self._writer.add_scalar(name, float(trainer.history[name][epoch - 1]), epoch)
        if self.histograms and epoch % self.histograms == 0:
            for name, module in trainer.step.modules.items():
                for path, p in module.named_parameters():
                    self._histogram(f"{name}/{path}", p, epoch)
                    if p.grad is not None:
                        self._histogram(f"{name}/{path}/gradient", p.grad, epoch)
        if callable(self.images):
            self._show(self.images(trainer), epoch)
        self._writer.flush()

    def on_fit_end(self, trainer):
        last = {f"last/{name}": float(values[-1]) for name, values in trainer.history.items() if len(values)}
        self._writer.add_hparams(_settings(trainer) | self.hyperparameters, last, name="hparams")
        self._writer.close()

    def _histogram(self, name, tensor, epoch):
        values = tensor.numpy()
        if values.size and np.isfinite(values).all():
            self._writer.add_histogram(name, values, epoch)

    def _show(self, images, epoch):
        images = arguments.as_array("TensorBoard: images", images)
        if images.ndim != 4 or images.shape[1] not in (1, 3):
            raise ValueError(
                f"TensorBoard: images have shape {images.shape}, expected (N, 1 or 3, H, W); pass grey or coloured ones"
            )
        if images.dtype.kind == "f":  # bytes are what they are; numbers are shown from their least to their greatest
            low, high = images.min(), images.max()
            images = (images - low) / (high - low or 1)
        self._writer.add_images("images", np.repeat(images, 3 // images.shape[1], axis=1), epoch)


class MLflow(Callback):
    """Write a run's settings and history to MLflow, by its own client.

    Parameters
    ----------
    experiment : str, optional
        The experiment that the run belongs to.
    run_name : str, optional
    tracking_uri : str, optional
        Where MLflow keeps its runs: a server's address or a folder; by default what MLflow itself takes.
    parameters : dict, optional
        Settings beside those that the trainer knows.

    Raises
    ------
    ImportError
        Where MLflow is not installed.

    Examples
    --------
    >>> from nnscratch.training import MLflow
    >>> try:
    ...     callback = MLflow("digits", run_name="first")
    ... except ImportError as error:
    ...     print("MLflow: mlflow is not installed" in str(error))
    ... else:
    ...     print(callback.run_name == "first")
    True
    """

    def __init__(self, experiment=None, run_name=None, tracking_uri=None, parameters=None):
        self.experiment, self.run_name, self.tracking_uri = experiment, run_name, tracking_uri
        self.parameters = dict(parameters or {})
        self._library = _library("MLflow", "mlflow", "nnscratch[mlflow]")
        self._run = None

    def on_fit_begin(self, trainer):
        self._client = self._library.MlflowClient(self.tracking_uri)
        name = self.experiment or "Default"
        found = self._client.get_experiment_by_name(name)
        experiment = self._client.create_experiment(name) if found is None else found.experiment_id
        self._run = self._client.create_run(experiment, run_name=self.run_name).info.run_id
        for name, value in (_settings(trainer) | self.parameters).items():
            self._client.log_param(self._run, name, value)

    def on_epoch_end(self, trainer, epoch, logs):
        for name in trainer.history:
            self._client.log_metric(self._run, name, float(trainer.history[name][epoch - 1]), step=epoch)

    def on_fit_end(self, trainer):
        self._client.set_terminated(self._run)
