from pathlib import Path

import cv2
import numpy as np
import pytest

from reid_hash.data.walkers import write_video
from reid_hash.data.walkers.film import Film
from reid_hash.data.walkers.route import routes
from reid_hash.errors import ConfigError

SMALL = {"identities": 6, "seconds": 6.0, "fps": 5.0, "size": (320, 180)}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory):
    return write_video(tmp_path_factory.mktemp("video"), **SMALL)


def test_videos_can_be_read_back(written: tuple):
    for camera, filmed in enumerate(written, 1):
        assert filmed.video.name == f"camera{camera}.mp4"
        video, film = cv2.VideoCapture(str(filmed.video)), Film(camera, **SMALL)
        assert video.get(cv2.CAP_PROP_FPS) == 5
        frames = []
        while (got := video.read())[0]:
            frames.append(got[1][..., ::-1])
        assert len(frames) == len(film) == 30
        drawn = {index: film.frame(index)[0].astype(int) for index in (3, 17)}
        people = np.abs(drawn[3] - drawn[17]).max(2) > 60
        assert people.sum() > 300
        for index, other in ((3, 17), (17, 3)):  # the right frames in the right colours
            error = np.abs(frames[index] - drawn[index])
            assert error.mean() < 6
            assert error[people].mean() < 0.3 * np.abs(frames[index] - drawn[other])[people].mean()


def test_ground_truth_is_in_mot_format(written: tuple):
    for camera, filmed in enumerate(written, 1):
        rows = np.loadtxt(filmed.truth, delimiter=",")
        assert rows.shape[1] == 9
        frame, identity, left, top, width, height, one, kind, visibility = rows.T
        assert frame.min() >= 1
        assert frame.max() <= 30
        assert set(identity) <= set(range(1, 7))
        assert (one == 1).all()
        assert (kind == 1).all()
        assert (left >= 0).all()
        assert (top >= 0).all()
        assert (left + width <= 320).all()
        assert (top + height <= 180).all()
        assert visibility.min() >= 0
        assert visibility.max() <= 1
        assert visibility.max() > 0.95
        expected = [row for _, truths in Film(camera, **SMALL) for row in truths]
        assert [tuple(row[:6]) for row in rows] == [row[:6] for row in expected]


@pytest.mark.parametrize("camera", [1, 2])
def test_boxes_fit_what_is_drawn(camera: int):
    film = Film(camera, seconds=12, fps=5)
    tight = 0
    for index in range(5, 60, 9):
        picture, truths = film.frame(index)
        empty, none = film.frame(index, people=False)
        assert none == []
        changed = np.abs(picture.astype(int) - empty).max(2) > 32  # more than a shadow
        inside = np.zeros_like(changed)
        for row in truths:
            inside[row.top : row.top + row.height, row.left : row.left + row.width] = True
        grown = cv2.dilate(inside.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
        # somebody of whom fewer than 20 pixels are inside the picture has no box yet
        assert (changed & ~grown).sum() < 25
        for row in truths:
            if row.visibility < 0.97:
                continue
            tight += 1
            box = changed[row.top : row.top + row.height, row.left : row.left + row.width]
            rows, columns = np.flatnonzero(box.sum(1) > 0), np.flatnonzero(box.sum(0) > 0)
            assert max(rows[0], row.height - 1 - rows[-1]) <= 8
            assert max(columns[0], row.width - 1 - columns[-1]) <= 8
    assert tight >= 8


def test_visibility_falls_where_people_cross():
    rows = [row for _, truths in Film(1, seconds=20, fps=2) for row in truths]
    visible = np.array([row.visibility for row in rows])
    edge = np.array([row.left == 0 or row.left + row.width == 640 for row in rows])
    assert (visible > 0.99).mean() > 0.4
    assert ((visible < 0.7) & ~edge).sum() >= 3  # hidden by others
    assert ((visible < 0.7) & edge).sum() >= 3  # on their way in or out
    heights = np.array([row.height for row in rows])[visible > 0.95]
    assert heights.min() > 65
    assert heights.max() < 215
    assert heights.max() > 1.6 * heights.min()


def test_everybody_passes_both_cameras_in_both_directions():
    plan = routes(0, range(9000, 9012), 20.0, slope=0.64)
    for camera in (1, 2):
        assert {walk.identity for walk in plan[camera]} == set(range(9000, 9012))
        rightward = [walk.path[-1, 0] > walk.path[0, 0] for walk in plan[camera]]
        assert 0 < sum(rightward) < len(rightward)
        for walk in plan[camera]:
            assert walk.start < 20
            assert walk.end > 0
            assert walk.at(walk.start - 0.1) is None
            assert walk.at(walk.end + 0.1) is None
    assert sum(len(walks) for walks in plan.values()) > 24  # some come back


def test_people_walk_at_their_speed():
    walk = routes(0, range(9000, 9012), 20.0, slope=0.64)[1][0]
    times = np.arange(walk.start + 0.1, walk.end - 0.6, 0.5)
    places = np.array([walk.at(float(time)) for time in times])
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1) / 0.5
    assert np.allclose(steps, walk.speed, rtol=0.03)


def test_the_place_stands_still_apart_from_light_noise():
    film = Film(2, seconds=4)
    a, b = (film.frame(index, people=False)[0].astype(int) for index in (0, 9))
    assert 0 < np.abs(a - b).mean() < 6
    assert abs((a - b).mean()) < 0.1


def test_frames_are_reproducible_and_seeds_differ():
    a, b, other = (Film(1, seed, **SMALL).frame(11) for seed in (0, 0, 1))
    assert np.array_equal(a[0], b[0])
    assert a[1] == b[1]
    assert np.abs(a[0].astype(int) - other[0]).mean() > 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"identities": 0}, "identities is 0"),
        ({"seconds": 0}, "seconds is 0"),
        ({"fps": 0}, "fps is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"size": (100, 360)}, "width is 100"),
        ({"size": (641, 360)}, "must be even"),
    ],
)
def test_numbers_out_of_range_are_named(tmp_path: Path, change: dict, message: str):
    with pytest.raises(ConfigError, match=message):
        write_video(tmp_path, **{**SMALL, **change})
    assert not list(tmp_path.iterdir())
