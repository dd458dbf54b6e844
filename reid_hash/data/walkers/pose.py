"""The walking skeleton: joints of a person in the middle of a step, as a camera sees them."""

import math
from dataclasses import dataclass

from reid_hash.data.walkers.person import Person

Point = tuple[float, float, float]
"""Metres: x to the right, y up, z towards the camera; the origin is on the ground."""


@dataclass(frozen=True)
class Pose:
    """How a person stands in the picture.

    Attributes:
        phase: of the gait in radians; 2π is a step of each leg.
        turn: 0 faces the camera, π/2 walks to the right of the picture, π walks away.
        tilt: angle by which the camera looks down, radians.
        swing: 1 a brisk walk, 0 stands still.
        head: by how much the head is turned to the person's left, radians.
        phone: the hand that is held up before the chest: +1 left, -1 right, 0 none.
    """

    phase: float
    turn: float
    tilt: float = 0.2
    swing: float = 1.0
    head: float = 0.0
    phone: int = 0


@dataclass(frozen=True)
class Skeleton:
    """Joints as the camera sees them. Pairs are the person's (right, left)."""

    hips: Point
    hip: tuple[Point, Point]
    knee: tuple[Point, Point]
    ankle: tuple[Point, Point]
    heel: tuple[Point, Point]
    toe: tuple[Point, Point]
    waist: Point
    neck: Point
    shoulder: tuple[Point, Point]
    elbow: tuple[Point, Point]
    hand: tuple[Point, Point]
    chin: Point
    crown: Point


class View:
    """Turns points of the body (x to the person's left, y up, z forward) into the camera's."""

    def __init__(self, pose: Pose) -> None:
        self._turn = (math.cos(pose.turn), math.sin(pose.turn))
        self._tilt = (math.cos(pose.tilt), math.sin(pose.tilt))

    def __call__(self, x: float, y: float, z: float) -> Point:
        """One point."""
        (c, s), (ct, st) = self._turn, self._tilt
        depth = z * c - x * s
        return x * c + z * s, y * ct - depth * st, y * st + depth * ct


def skeleton(person: Person, pose: Pose) -> Skeleton:
    """Put the joints where they are in this pose; the lower foot stands on the ground."""
    tall, view = person.height, View(pose)
    swing = pose.swing * person.stride
    hip_high, knee_down, ankle_down = person.legs * tall, 0.47, 0.45
    half_hip = tall * (0.054 + 0.004 * person.build)
    legs = []
    for side in (-1, 1):
        phase = pose.phase + (math.pi if side < 0 else 0.0)
        thigh = 0.37 * swing * math.sin(phase) + 0.05 * swing
        bend = 0.06 + 0.95 * swing * max(0.0, math.cos(phase + 0.45)) ** 1.5
        shank = thigh - bend
        lift = 0.28 * max(0.0, math.sin(phase)) - 0.75 * max(0.0, math.cos(phase + 1.0)) ** 2
        foot = math.pi / 2 + swing * lift + 0.5 * min(0.0, shank + 0.35)
        knee = _add((side * half_hip, 0.0, 0.0), thigh, knee_down * hip_high)
        ankle = _add((side * half_hip * 0.88, *knee[1:]), shank, ankle_down * hip_high)
        heel = _add(_add(ankle, foot - math.pi / 2, 0.022 * tall), foot, -0.026 * tall)
        toe = _add(heel, foot, 0.118 * tall)
        legs.append((knee, ankle, heel, (toe[0] + side * 0.015, *toe[1:])))
    # The foot that reaches lowest carries the body: it rises and sinks as real walkers do.
    ground = min(min(heel[1], toe[1]) for _, _, heel, toe in legs) - 0.018 * tall

    lean, twist = 0.035 * swing, 0.13 * swing * math.sin(pose.phase)
    torso = (0.825 - person.legs) * tall
    half_shoulder = tall * 0.093 * person.shoulders * (1 + 0.06 * person.build)
    arms = []
    for side in (-1, 1):
        phase = pose.phase + (0.0 if side < 0 else math.pi)
        upper = 0.42 * swing * math.sin(phase) - 0.03
        bend = 0.22 + 0.25 * swing * max(0.0, math.sin(phase))
        if pose.phone == side:
            upper, bend = 0.25, 1.75
        ahead = lean * torso - side * twist * half_shoulder
        shoulder = (side * half_shoulder, torso - 0.026 * tall, ahead)
        elbow = _add(shoulder, upper, 0.158 * tall)
        elbow = (elbow[0] + side * 0.018 * tall, *elbow[1:])
        hand = _add(elbow, upper + bend, 0.150 * tall)
        inward = 0.35 if pose.phone == side else 0.0
        hand = (hand[0] * (1 - inward) + side * 0.004 * tall, *hand[1:])
        arms.append((shoulder, elbow, hand))

    def seen(point: Point) -> Point:
        return view(point[0], point[1] - ground, point[2])

    def pair(of: list[tuple[Point, ...]], joint: int) -> tuple[Point, Point]:
        return seen(of[0][joint]), seen(of[1][joint])

    limbs = [tuple(leg) for leg in legs]
    reach = [tuple(arm) for arm in arms]
    head = 0.985 * tall - person.legs * tall  # the hair adds the rest
    return Skeleton(
        hips=seen((0.0, 0.0, 0.0)),
        hip=(seen((-half_hip, 0.0, 0.0)), seen((half_hip, 0.0, 0.0))),
        knee=pair(limbs, 0),
        ankle=pair(limbs, 1),
        heel=pair(limbs, 2),
        toe=pair(limbs, 3),
        waist=seen((0.0, 0.42 * torso, 0.42 * lean * torso)),
        neck=seen((0.0, torso + 0.028 * tall, lean * torso)),
        shoulder=pair(reach, 0),
        elbow=pair(reach, 1),
        hand=pair(reach, 2),
        chin=seen((0.0, head - 0.140 * tall, lean * torso + 0.012 * tall)),
        crown=seen((0.0, head, lean * torso + 0.012 * tall)),
    )


def _add(point: Point, angle: float, length: float) -> Point:
    """Go `length` from a point, `angle` forward from straight down."""
    return point[0], point[1] - length * math.cos(angle), point[2] + length * math.sin(angle)
