import numpy as np
import pytest
import torch

from reid_hash.errors import CheckpointError, DataError
from reid_hash.paper.table1 import fpnn
from reid_hash.paper.table1.fpnn import CameraPairs, FilterPairing
from tests.helpers import coloured_pixels

TESTED = 10


def persons(identities, images=4, seed=0):
    """Images of FPNN's size, of which those of the second camera are darker."""
    pixels = coloured_pixels(identities, images, 64, 32, seed=seed)
    darker = np.where(pixels.cameras == 1, 1.0, 0.6)[:, None, None, None]
    return (pixels.images * darker).astype(np.uint8), pixels.labels, pixels.cameras


@pytest.mark.slow
def test_it_learns_to_tell_persons_apart_that_it_has_not_seen():
    images, labels, cameras = persons(40 + TESTED)
    tested = labels >= 40
    steps = []
    learner = FilterPairing(epochs=8, device="cpu").fit(
        images[~tested], labels[~tested], cameras[~tested], progress=steps.append
    )
    assert steps == [1] * 8
    one, other = tested & (cameras == 1), tested & (cameras == 2)
    distances = learner.distances(
        learner.responses(images[one], 0), learner.responses(images[other], 1)
    )
    nearest = labels[other][distances.argmin(axis=1)]
    found = (nearest == labels[one]).mean()
    assert found >= 0.5  # chance is a tenth
    same = labels[one][:, None] == labels[other]
    assert distances[same].mean() < distances[~same].mean() - 1


def test_distances_are_the_networks_odds_of_each_pair():
    images, labels, cameras = persons(4)
    learner = FilterPairing(epochs=1, device="cpu").fit(images, labels, cameras)
    first = learner.responses(images[cameras == 1], 0)
    second = learner.responses(images[cameras == 2], 1)
    counted = []
    distances = learner.distances(first, second, counted.append)
    assert (distances.shape, distances.dtype, len(counted)) == ((8, 8), np.float32, 8)
    assert len(np.unique(distances)) > 8
    with torch.inference_mode():
        for i, j in ((0, 0), (3, 5), (7, 2)):
            odds = learner.net.eval().compare(
                torch.from_numpy(first[i : i + 1]), torch.from_numpy(second[j : j + 1])
            )
            assert distances[i, j] == pytest.approx(-odds.item(), abs=1e-4)


@pytest.fixture
def one_thread():
    """Several threads add up in an order of their own; one gives the same bits each time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_training_goes_on_to_the_same_weights(tmp_path, monkeypatch, one_thread):
    images, labels, cameras = persons(5)
    whole = FilterPairing(epochs=3, device="cpu").fit(images, labels, cameras, 4)
    state = tmp_path / "state.safetensors"
    real, stopped = FilterPairing._epoch, []

    def interrupted(self, epoch, *rest):
        if epoch == 2 and "resumed" not in stopped:
            raise KeyboardInterrupt
        stopped.append(epoch)
        return real(self, epoch, *rest)

    monkeypatch.setattr(FilterPairing, "_epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        FilterPairing(epochs=3, device="cpu").fit(images, labels, cameras, 4, state)
    stopped[:] = ["resumed"]
    resumed = FilterPairing(epochs=3, device="cpu").fit(images, labels, cameras, 4, state)
    assert stopped == ["resumed", 2]
    for name, tensor in whole.net.state_dict().items():
        torch.testing.assert_close(resumed.net.state_dict()[name], tensor, rtol=0, atol=0)
    # what is trained is not trained again, and nothing else is taken for it
    FilterPairing(epochs=3, device="cpu").fit(images, labels, cameras, 4, state)
    assert stopped == ["resumed", 2]
    with pytest.raises(DataError, match="was trained on 20 images, but there are 16 here"):
        FilterPairing(epochs=3).fit(images[:16], labels[:16], cameras[:16], 4, state)
    with pytest.raises(CheckpointError, match="of another training"):
        FilterPairing(epochs=3).fit(images, labels, cameras, 5, state)


def test_the_hardest_pairs_are_those_most_taken_for_one_person():
    images, labels, cameras = persons(6)
    learner = FilterPairing(epochs=1, device="cpu").fit(images, labels, cameras)
    pairs = CameraPairs(labels, cameras)
    a, b = learner._hardest(images, pairs, 5, np.random.default_rng(3))
    drawn = pairs.different(5 * fpnn.CANDIDATES, np.random.default_rng(3))
    all_apart = learner.distances(learner.responses(images, 0), learner.responses(images, 1))
    expected = np.sort(all_apart[drawn])[:5]
    np.testing.assert_allclose(np.sort(all_apart[a, b]), expected, atol=1e-4)
    assert (labels[a] != labels[b]).all()


def test_pairs_are_of_both_cameras_and_of_one_person_or_two():
    labels = np.array([7, 7, 7, 9, 9, 5, 8])
    cameras = np.array([1, 2, 2, 1, 2, 1, 2])  # 5 and 8 are seen by one camera only
    pairs = CameraPairs(labels, cameras)
    random = np.random.default_rng(0)
    first, second = pairs.same(random)
    assert sorted(first.tolist()) == [0, 3]
    assert (labels[first] == labels[second]).all()
    partners = [dict(zip(*pairs.same(random), strict=True))[0] for _ in range(40)]
    assert set(partners) == {1, 2}
    first, second = pairs.different(200, random)
    assert (cameras[first] == 1).all()
    assert (cameras[second] == 2).all()
    assert (labels[first] != labels[second]).all()
    assert set(labels[first]) == {7, 9, 5}
    assert set(labels[second]) == {7, 9, 8}


@pytest.mark.parametrize(
    ("labels", "cameras", "message"),
    [
        ([0, 0, 1, 1], [1, 1, 1, 1], "two cameras, there are 1"),
        ([0, 0, 1, 1], [1, 2, 3, 1], "two cameras, there are 3"),
        ([0, 0, 1, 1], [1, 2, 2, 2], "two persons or more"),
        ([], [], "two cameras, there are 0"),
    ],
)
def test_pairs_that_cannot_be_made(labels, cameras, message):
    with pytest.raises(DataError, match=message):
        CameraPairs(np.array(labels, np.int64), np.array(cameras, np.int64))


def test_errors():
    images, labels, cameras = persons(2)
    with pytest.raises(DataError, match="call fit first"):
        FilterPairing().responses(images, 0)
    with pytest.raises(DataError, match="64×32 pixels, not 32×32"):
        FilterPairing().fit(images[:, :32], labels, cameras)
