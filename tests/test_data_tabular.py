"""The two small tables are scikit-learn's, value for value."""

import numpy as np
from sklearn import datasets

import nnscratch as ns


def test_iris_is_fishers():
    x, y = ns.data.iris()
    theirs = datasets.load_iris()
    assert (x.dtype, y.dtype) == (np.float32, np.int64)
    np.testing.assert_array_equal(x, theirs.data.astype(np.float32))
    np.testing.assert_array_equal(y, theirs.target)


def test_breast_cancer_has_the_ten_means_and_1_for_malignant():
    x, y = ns.data.breast_cancer()
    theirs = datasets.load_breast_cancer()
    assert (x.dtype, y.dtype) == (np.float32, np.int64)
    np.testing.assert_array_equal(x, theirs.data[:, :10].astype(np.float32))
    np.testing.assert_array_equal(y, 1 - theirs.target)
