import numpy as np
import pytest

from reid_hash.baselines import KISSME
from reid_hash.baselines.kissme import different_pairs, likelihood_metric, similar_pairs
from reid_hash.errors import ReidHashError
from reid_hash.metrics import average_precision, tie_groups


def persons(identities=60, images=4, dims=12, seed=0):
    """Identities seen by two cameras, which add noise of their own in some directions."""
    random = np.random.default_rng(seed)
    identity = np.repeat(np.arange(identities), images)
    camera = np.tile([0, 1], len(identity) // 2)
    features = random.normal(size=(identities, dims))[identity]
    noise = np.linspace(0.1, 3.0, dims)
    features = features + noise * random.normal(size=features.shape)
    return features.astype(np.float32), identity, camera


@pytest.mark.parametrize("with_cameras", [True, False])
def test_the_similar_covariance_is_the_loop_over_pairs(with_cameras):
    features, identity, camera = persons(8, 6, 4)
    camera = np.where(np.arange(48) % 5 == 0, 2, camera)  # uneven counts
    if not with_cameras:
        camera = np.arange(48)
    total, pairs = np.zeros((4, 4)), 0
    for i in range(48):
        for j in range(i):
            if identity[i] == identity[j] and camera[i] != camera[j]:
                difference = (features[i] - features[j]).astype(float)
                total += np.outer(difference, difference)
                pairs += 1
    covariance, count = similar_pairs(features.astype(float), identity, camera)
    assert count == pairs
    np.testing.assert_allclose(covariance, total / pairs, rtol=1e-6)


def test_distances_are_the_quadratic_form_of_the_metric():
    features, identity, camera = persons()
    learner = KISSME(dims=12).fit(features, identity, camera)
    gallery, query = features[:30], features[30:50]
    # all dimensions are kept, so that the form can be written without the projection
    metric = learner._directions @ learner.metric @ learner._directions.T
    expected = np.array([[(x - y) @ metric @ (x - y) for y in gallery] for x in query])
    np.testing.assert_allclose(learner.distances(query, gallery), expected, rtol=1e-4, atol=1e-3)
    assert np.linalg.eigvalsh(learner.metric).min() > -1e-9
    squared = np.square(learner.transform(query)[:, None] - learner.transform(gallery)).sum(2)
    np.testing.assert_allclose(learner.distances(query, gallery), squared, atol=1e-6)


def test_the_metric_is_the_difference_of_the_inverses_without_its_negative_part():
    random = np.random.default_rng(0)
    a, b = (random.normal(size=(30, 5)) for _ in range(2))
    similar, dissimilar = a.T @ a / 30, b.T @ b / 30
    metric, factor = likelihood_metric(similar, dissimilar)
    raw = np.linalg.inv(similar) - np.linalg.inv(dissimilar)
    values, vectors = np.linalg.eigh(raw)
    assert values.min() < 0 < values.max()
    np.testing.assert_allclose(metric, (vectors * values.clip(min=0)) @ vectors.T, atol=1e-9)
    np.testing.assert_allclose(factor @ factor.T, metric, atol=1e-9)


def test_persons_are_found_better_than_by_euclidean_distance():
    learner = KISSME(dims=12).fit(*persons())
    features, identity, camera = persons(seed=1)
    query, gallery = camera == 0, camera == 1

    def quality(distances):
        relevant = identity[query][:, None] == identity[gallery]
        return average_precision(tie_groups(distances, relevant)).mean()

    euclidean = np.square(features[query][:, None] - features[gallery]).sum(2)
    learned = quality(learner.distances(features[query], features[gallery]))
    assert learned > quality(euclidean) + 0.15


def test_different_pairs_are_of_other_identities_and_cameras():
    _, identity, camera = persons()
    i, j = different_pairs(identity, camera, 500, np.random.default_rng(0))
    assert len(i) == len(j) == 500
    assert (identity[i] != identity[j]).all()
    assert (camera[i] != camera[j]).all()


def test_the_same_seed_gives_the_same_metric():
    first, again, other = (KISSME(8).fit(*persons(), seed=seed).metric for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f, i, c: (f[:1], i[:1], c[:1]), "at least 2 samples"),
        (lambda f, i, c: (f * np.nan, i, c), "NaN"),
        (lambda f, i, c: (f, i[1:], c), "identities of shape [239]"),
        (lambda f, i, c: (f, i, c[1:]), "cameras of shape [239]"),
        (lambda f, i, c: (f, np.arange(240), c), "0 pairs of one identity before different"),
        (lambda f, i, c: (f, i, 0 * c), "0 pairs of one identity"),
        (lambda f, i, c: (f, 0 * i, c), "no pairs of different identities"),
        (lambda f, i, c: (f[:, [0, 0, 1, 2]], i, c), "choose fewer dimensions"),
    ],
)
def test_bad_samples_are_told_in_one_line(change, message):
    with pytest.raises(ReidHashError) as error:
        KISSME(12).fit(*change(*persons()))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_wrong_use():
    features, identity, camera = persons()
    with pytest.raises(ReidHashError, match="at least 1 dimension"):
        KISSME(0)
    with pytest.raises(ReidHashError, match="not fitted"):
        KISSME().distances(features, features)
    with pytest.raises(ReidHashError, match="11 dimensions for a metric of 12"):
        KISSME().fit(features, identity, camera).distances(features[:, 1:], features)
