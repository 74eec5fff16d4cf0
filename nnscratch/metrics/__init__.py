"""Measures of a network: functions of all predictions, and the same accumulated batch by batch.

Functions (`accuracy`, `precision`, `confusion_matrix`, …) take all samples at once. `Accuracy`, `Precision`,
`ConfusionMatrix`, … take them in batches and keep counts alone, so that their value over an epoch is that over all of its
samples together, however it was cut into batches.
"""

from nnscratch.metrics.accumulated import (
    F1,
    Accuracy,
    ConfusionMatrix,
    FunctionMetric,
    Mean,
    Metric,
    Perplexity,
    Precision,
    Recall,
)
from nnscratch.metrics.classifier import (
    accuracy,
    auc,
    confusion_matrix,
    confusion_table,
    f1,
    precision,
    recall,
    roc_curve,
)

__all__ = [
    "F1",
    "Accuracy",
    "ConfusionMatrix",
    "FunctionMetric",
    "Mean",
    "Metric",
    "Perplexity",
    "Precision",
    "Recall",
    "accuracy",
    "auc",
    "confusion_matrix",
    "confusion_table",
    "f1",
    "precision",
    "recall",
    "roc_curve",
]
