import dataclasses
import math

import numpy as np
import pytest

from reid_hash.data.walkers.figure import figure
from reid_hash.data.walkers.person import Bag, Cloth, Logo, Person, person
from reid_hash.data.walkers.pose import Pose, skeleton
from reid_hash.data.walkers.raster import draw
from reid_hash.data.walkers.surface import Part

LIGHT = (0.0, 0.0, 1.0)
SIZE, FEET, PIXELS = (256, 160), (80.0, 240.0), 120.0
WHITE, RED = (0.8, 0.8, 0.8), (0.8, 0.0, 0.0)


def plain(**changes: object) -> Person:
    """Somebody in white with nothing on."""
    cloth = Cloth(WHITE, WHITE)
    given = {
        "skin": WHITE, "hair": WHITE, "hair_style": "short", "hat": "none", "beard": False,
        "top": cloth, "coat": None, "logo": None, "sleeve": 1.0, "scarf": None, "hem": 0.05,
        "bottom": "trousers", "bottom_cloth": cloth, "bottom_length": 1.0, "side_stripe": False,
        "shoes": WHITE, "boot": 0.0, "bag": Bag("none", 1, RED, RED, 1.0),
    }  # fmt: skip
    return dataclasses.replace(person(0, 0), **{**given, **changes})


def red_area(who: Person, turn: float) -> int:
    layer = figure(who, Pose(0.3, turn, swing=0.2), SIZE, FEET, PIXELS, LIGHT)
    return int(np.count_nonzero((layer[0] > 0.15) & (layer[1] < 0.2 * layer[0])))


@pytest.mark.parametrize("turn", [0.0, 1.2, math.pi, -2.0])
@pytest.mark.parametrize("phase", [0.0, 2.0, 4.0])
def test_a_figure_is_as_tall_as_the_person_and_stands_on_its_feet(turn: float, phase: float):
    for identity in range(6):
        who = dataclasses.replace(person(0, identity), hair_style="short", hat="none")
        layer = figure(who, Pose(phase, turn, tilt=0.0), SIZE, FEET, PIXELS)
        rows = np.flatnonzero((layer[3] > 0.5).any(1))
        assert abs(rows[-1] + 1 - FEET[1]) <= 3
        assert abs((rows[-1] + 1 - rows[0]) / PIXELS / who.height - 1) < 0.06


def test_alpha_and_colour_are_in_range_and_finite():
    for identity in range(40):
        layer = figure(person(2, identity), Pose(identity, 0.5 * identity), SIZE, FEET, PIXELS)
        assert layer.dtype == np.float32
        assert np.isfinite(layer).all()
        assert layer.min() >= 0
        assert layer[3].max() <= 1 + 1e-5
        assert (layer[:3][:, layer[3] == 0] == 0).all()


def test_a_backpack_shows_from_behind_and_its_straps_in_front():
    who = plain(bag=Bag("backpack", 1, RED, RED, 1.0))
    front, side, back = (red_area(who, turn) for turn in (0.0, math.pi / 2, math.pi))
    assert 0 < front < side < back
    assert red_area(plain(), math.pi) == 0


def test_a_print_is_on_one_side_only():
    for back in (False, True):
        who = plain(logo=Logo(back, "disc", 0.08, 0.0, RED))
        shown, hidden = red_area(who, math.pi * back), red_area(who, math.pi * (not back))
        assert shown > 50
        assert hidden == 0


def test_an_open_coat_shows_the_shirt_from_the_front_only():
    who = plain(coat=Cloth(WHITE, WHITE), opening=0.5, top=Cloth(RED, RED), hem=0.1)
    assert red_area(who, 0.0) > 500
    assert red_area(who, math.pi) == 0


def test_a_handbag_is_at_the_hand_of_its_side():
    who = plain(bag=Bag("handbag", 1, RED, RED, 1.0))
    layer = figure(who, Pose(0.3, 0.0, swing=0.2), SIZE, FEET, PIXELS, LIGHT)
    columns = np.nonzero((layer[0] > 0.15) & (layer[1] < 0.2 * layer[0]))[1]
    assert columns.mean() > FEET[0] + 15  # the wearer's left is to the right of the picture


@pytest.mark.parametrize("pattern", ["stripes", "pinstripes", "checks", "dots"])
def test_patterns_show_the_second_colour(pattern: str):
    assert red_area(plain(), 0.0) == 0
    assert red_area(plain(top=Cloth(WHITE, RED, pattern, 0.1)), 0.0) > 300


def test_stripes_run_around_and_pinstripes_along_the_body():
    spread = {}
    for pattern in ("stripes", "pinstripes"):
        who = plain(top=Cloth(WHITE, RED, pattern, 0.12))
        layer = figure(who, Pose(0.3, 0.0, 0.0, swing=0.0), SIZE, FEET, PIXELS, LIGHT)
        chest = layer[1, 95:125, 70:90]
        spread[pattern] = chest.mean(1).std(), chest.mean(0).std()
    assert spread["stripes"][0] > 3 * spread["stripes"][1]
    assert spread["pinstripes"][1] > 3 * spread["pinstripes"][0]


def test_walking_moves_the_legs_to_opposite_sides():
    who = person(0, 1)
    joints = skeleton(who, Pose(math.pi / 2, math.pi / 2, 0.0))
    right, left = (ankle[0] for ankle in joints.ankle)
    assert left - right > 0.3  # to the right of the picture is forward
    assert joints.hand[0][0] > joints.hand[1][0]  # and the arms swing against the legs
    still = skeleton(who, Pose(math.pi / 2, math.pi / 2, 0.0, swing=0.0))
    assert abs(still.ankle[0][0] - still.ankle[1][0]) < 0.02


@pytest.mark.parametrize("ends", ["round", "flat", "cuff", "ball"])
def test_a_part_covers_its_outline(ends: str):
    canvas = np.zeros((4, 100, 100), np.float32)
    widths = (0.2,) if ends == "ball" else (0.2, 0.2)
    draw(canvas, [Part((0, 0.3), (0, -0.3), widths, WHITE, 0, ends=ends)], (50, 50), 100, LIGHT)
    cap = math.pi * 20**2 / 2
    area = {
        "round": 60 * 40 + 2 * cap, "flat": 60 * 40, "cuff": 60 * 40 + cap,
        "ball": math.pi * 20 * 30,
    }[ends]  # fmt: skip
    assert abs(canvas[3].sum() / area - 1) < 0.02
    assert canvas[3, 50, 50] == 1
    assert canvas[3, 50, 31] == 1
    assert canvas[3, 50, 28] == 0


def test_light_from_the_left_lights_the_left():
    canvas = np.zeros((4, 100, 100), np.float32)
    part = Part((0, 0.3), (0, -0.3), (0.2, 0.2), WHITE, 0)
    draw(canvas, [part], (50, 50), 100, (-0.9, 0.0, 0.436))
    assert canvas[0, 50, 35] > 1.5 * canvas[0, 50, 65]


def test_parts_outside_the_canvas_are_left_out():
    canvas = np.zeros((4, 20, 20), np.float32)
    far = Part((5, 5), (5, 4), (0.1, 0.1), WHITE, 0)
    draw(canvas, [far], (10, 10), 100, LIGHT)
    draw(canvas, [], (10, 10), 100, LIGHT)
    assert not canvas.any()
