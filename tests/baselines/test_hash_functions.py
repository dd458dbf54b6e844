"""What holds for every hash function."""

import functools

import numpy as np
import pytest

from reid_hash.baselines import BRE, HASH_FUNCTIONS, KSH, MLH
from reid_hash.data.labels import relevance
from reid_hash.distances import hamming
from reid_hash.errors import CodeError, ReidHashError
from reid_hash.metrics.retrieval_benchmark import retrieval

QUICK = HASH_FUNCTIONS | {
    "mlh": functools.partial(MLH, steps=600),
    "bre": functools.partial(BRE, anchors=20, sweeps=2),
    "ksh": functools.partial(KSH, anchors=40, iterations=50),
}


def blobs(samples=240, dims=24, classes=4, seed=0):
    """Classes that differ in their mean, in a space whose other directions vary more."""
    random = np.random.default_rng(seed)
    labels = np.arange(samples) % classes
    centres = np.random.default_rng(7).normal(size=(classes, dims))
    features = centres[labels] + random.normal(size=(samples, dims))
    features[:, :4] += 3 * random.normal(size=(samples, 4))
    return features.astype(np.float32), labels


def several(labels):
    """Each image also has the next class; every tenth has none."""
    has = np.eye(4, dtype=bool)[labels] | np.eye(4, dtype=bool)[(labels + 1) % 4]
    has[::10] = False
    return has


@pytest.mark.parametrize("name", HASH_FUNCTIONS)
@pytest.mark.parametrize("kind", ["single", "several"])
def test_codes_are_the_signs_of_outputs_and_follow_from_the_seed(name, kind):
    features, labels = blobs()
    labels = several(labels) if kind == "several" else labels
    first, again, other = (QUICK[name](12).fit(features, labels, seed) for seed in (3, 3, 4))
    codes = first.encode(features)
    outputs = first.outputs(features)
    assert (outputs.shape, outputs.dtype) == ((240, 12), np.float32)
    np.testing.assert_array_equal(codes.unpack(), outputs > 0)
    np.testing.assert_array_equal(codes.weights, np.ones(12))
    np.testing.assert_array_equal(codes.packed, again.encode(features).packed)
    assert first.fingerprint == again.fingerprint == codes.model
    if name != "sh":  # it draws nothing
        assert first.fingerprint != other.fingerprint
        with pytest.raises(CodeError, match="model"):
            hamming(codes, other.encode(features))
    # a row's code does not depend on its neighbours
    np.testing.assert_array_equal(first.encode(features[5:8]).packed, codes.packed[5:8])
    assert len(first.encode(features[:0])) == 0


def test_labels_help_the_methods_that_see_them():
    features, labels = blobs()
    query, query_labels = blobs(seed=1)

    def quality(name, train_labels, test_labels):
        function = QUICK[name](16).fit(features, train_labels)
        codes = function.encode(query), function.encode(features)
        return retrieval(*codes, test_labels, train_labels).map

    single = {name: quality(name, labels, query_labels) for name in HASH_FUNCTIONS}
    assert max(single[n] for n in ("lsh", "sh", "itq")) < 0.55
    assert min(single[n] for n in ("bre", "mlh", "ksh")) > 0.65
    multi = {name: quality(name, several(labels), several(query_labels)) for name in single}
    assert multi["lsh"] > relevance(several(query_labels), several(labels)).mean()
    assert min(multi[n] for n in ("bre", "ksh")) > multi["lsh"] + 0.1
    assert multi["mlh"] > multi["lsh"]  # no straight cut tells these overlapping classes apart


@pytest.mark.parametrize("name", ["bre", "mlh", "ksh"])
def test_supervised_methods_learn_from_so_many_samples_at_most(name):
    features, labels = blobs(60)
    function = QUICK[name](8, samples=50).fit(features, labels, seed=0)
    rows = np.sort(np.random.default_rng(0).choice(60, 50, replace=False))
    # labels of other samples are not looked at
    changed = np.where(np.isin(np.arange(60), rows), labels, 3 - labels)
    assert QUICK[name](8, samples=50).fit(features, changed).fingerprint == function.fingerprint


@pytest.mark.parametrize("name", HASH_FUNCTIONS)
def test_few_and_repeated_samples(name):
    features, labels = blobs(30, dims=8)
    features[10:20] = features[:10]
    features[:, 3] = 1.0
    outputs = QUICK[name](8).fit(features, labels).outputs(features)
    assert np.isfinite(outputs).all()
    np.testing.assert_array_equal(outputs[10:20] > 0, outputs[:10] > 0)
    two = QUICK[name](2).fit(features[[0, 1]], labels[[0, 1]])
    assert np.isfinite(two.outputs(features)).all()


@pytest.mark.parametrize("name", HASH_FUNCTIONS)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f, y: (np.where(f == f[2, 1], np.nan, f), y), "of 1 of 240 samples are NaN"),
        (lambda f, y: (np.where(f == f[2, 1], -np.inf, f), y), "of 1 of 240 samples are NaN"),
        (lambda f, y: (f[:1], y[:1]), "at least 2 samples, not 1"),
        (lambda f, y: (f[:0], y[:0]), "at least 2 samples, not 0"),
        (lambda f, y: (f, y[:-1]), "240 rows of features, but 239 of labels"),
        (lambda f, y: (f[0], y), "a matrix [n, dims], not of shape [24]"),
        (lambda f, y: (0 * f + 1, y), "all training samples have the same features"),
    ],
)
def test_bad_samples_are_told_in_one_line(name, change, message):
    features, labels = change(*blobs())
    with pytest.raises(ReidHashError) as error:
        QUICK[name](8).fit(features, labels)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["sh", "itq"])
def test_more_bits_than_dimensions(name):
    with pytest.raises(ReidHashError, match="25 bits asked of features that have 24"):
        QUICK[name](25).fit(*blobs())
    assert len(QUICK[name](24).fit(*blobs()).encode(blobs()[0])) == 240


@pytest.mark.parametrize("name", HASH_FUNCTIONS)
def test_wrong_use(name):
    features, labels = blobs()
    with pytest.raises(ReidHashError, match="at least 1 bit, not 0"):
        QUICK[name](0)
    with pytest.raises(ReidHashError, match="not fitted yet"):
        QUICK[name](8).encode(features)
    function = QUICK[name](8).fit(features, labels)
    with pytest.raises(ReidHashError, match="23 dimensions for a hash function of 24"):
        function.encode(features[:, 1:])


@pytest.mark.parametrize("name", ["bre", "mlh", "ksh"])
def test_labels_of_neither_kind(name):
    features, labels = blobs()
    with pytest.raises(ReidHashError, match="labels are integers"):
        QUICK[name](8).fit(features, labels.astype(float))
