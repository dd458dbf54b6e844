import numpy as np
import pytest

from reid_hash.baselines.pca import principal_components


@pytest.mark.parametrize(("samples", "dims"), [(50, 8), (12, 40)])
def test_components_are_those_of_the_singular_values(samples, dims):
    random = np.random.default_rng(0)
    features = (random.normal(size=(samples, dims)) * np.linspace(1, 4, dims)).astype(np.float32)
    mean, directions, variances = principal_components(features, 5)
    _, singular, rows = np.linalg.svd(features - mean, full_matrices=False)
    np.testing.assert_allclose(variances, singular[:5] ** 2 / samples, rtol=1e-6)
    np.testing.assert_allclose(directions.T @ directions, np.eye(5), atol=1e-9)
    np.testing.assert_allclose(np.abs((directions.T * rows[:5]).sum(axis=1)), 1, rtol=1e-6)
    assert (directions[np.abs(directions).argmax(axis=0), np.arange(5)] > 0).all()
