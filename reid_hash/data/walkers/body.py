"""Legs, torso, and arms of a person in a pose, with the garments on them."""

import math
from dataclasses import dataclass

import numpy as np

from reid_hash.data.walkers import wardrobe
from reid_hash.data.walkers.person import Cloth, Person
from reid_hash.data.walkers.pose import Point, Pose, Skeleton
from reid_hash.data.walkers.surface import Paint, Part

# Depths of layers that hide one another whatever the view. Within a layer the nearer is on top.
BEHIND, FAR_ARM, LEGS, HIPS = -4.0, -3.0, -2.0, 0.0
TOP, ARM, HEAD, OVER = 1.0, 2.0, 4.0, 5.0

# The torso from the neck down to below the hips: share of the hip-to-shoulder height, half-width
# and half-depth as shares of the body height.
_HEIGHTS = (1.13, 1.08, 1.0, 0.93, 0.75, 0.5, 0.25, 0.0, -0.2)[::-1]
_WIDTHS = (0.030, 0.058, 0.098, 0.105, 0.094, 0.080, 0.091, 0.098, 0.097)[::-1]
_DEPTHS = (0.032, 0.044, 0.052, 0.058, 0.068, 0.060, 0.066, 0.070, 0.068)[::-1]
_STEPS = np.linspace(0, 1, 14)


@dataclass(frozen=True)
class Body:
    """A person in a pose: what the parts need to know of one another.

    Attributes:
        person: who.
        pose: how.
        joints: where, in metres.
    """

    person: Person
    pose: Pose
    joints: Skeleton

    @property
    def facing(self) -> float:
        """1 where the person faces the camera, -1 where it shows its back."""
        return math.cos(self.pose.turn)

    def across(self, wide: float, deep: float, turn: float | None = None) -> float:
        """Half-width as seen of an ellipse of these half-axes."""
        angle = self.pose.turn if turn is None else turn
        return math.hypot(wide * math.cos(angle), deep * math.sin(angle))

    def legs(self) -> list[Part]:
        """Legs, shoes, and what covers them but a skirt."""
        person, tall, found = self.person, self.person.height, []
        thick = 1 + 0.14 * person.build
        radii = (0.051 * tall * thick, 0.034 * tall * thick, 0.023 * tall)
        covered = person.bottom in ("trousers", "shorts")
        for i, side in ((0, -1), (1, 1)):
            j = self.joints
            chain = (j.hip[i], j.knee[i], j.ankle[i])
            depth = LEGS + (j.knee[i][2] + j.hip[i][2] - 2 * j.hips[2])
            heel, toe = j.heel[i], j.toe[i]
            sideways = abs(heel[0] - toe[0]) > 0.07 * tall
            paint = wardrobe.shoe(person, toe[0] > heel[0], sideways)
            # Trousers fall on the shoe; only from the front is the shoe before them.
            step = depth + 2e-3 if self.facing > 0.25 else depth
            shoe = Part(heel[:2], toe[:2], (0.025 * tall, 0.02 * tall), paint, step)
            shoe.halo = False
            found.append(shoe)
            length = person.bottom_length if covered else 0.0
            if length < 1 - person.boot:
                found += self.limb(chain, radii, None, 1.0, depth, side, hidden=length > 0.5)
            if person.boot:
                start = between(chain[2], chain[1], person.boot)
                wide = (radii[1] + 0.008, radii[2] + 0.014)
                found.append(Part(start, chain[2][:2], wide, person.shoes, depth, folds=0.1))
            if length:
                loose = 0.008 + person.fit
                leg = (radii[0] + 0.006, radii[1] + loose, radii[2] + 0.013 + loose)
                found += self.limb(chain, leg, person.bottom_cloth, length, depth + 1e-3, side)
        return found

    def limb(
        self,
        chain: tuple[Point, Point, Point],
        radii: tuple[float, float, float],
        fabric: Cloth | None,
        length: float,
        depth: float,
        side: int,
        hidden: bool = False,
    ) -> list[Part]:
        """Two tapered tubes along a chain of joints, cut after a share `length` of it.

        Without a fabric they are bare skin; with `hidden` the upper tube is left out.
        """
        upper = math.dist(chain[0], chain[1])
        share = upper / (upper + math.dist(chain[1], chain[2]))
        found = []
        stripe = self.person.side_stripe and fabric is self.person.bottom_cloth
        for a, b, first, last, r0, r1, start in (
            (chain[0], chain[1], 0.0, share, radii[0], radii[1], 0.0),
            (chain[1], chain[2], share, 1.0, radii[1], radii[2], upper),
        ):
            if hidden and not first:
                continue
            cut = min((length - first) / (last - first), 1.0)
            if cut <= 0.02:
                break
            end = between(a, b, cut)
            widths = (r0, r0 + (r1 - r0) * cut)
            if cut < 1:  # the hem of shorts and sleeves stands off a little
                widths = (widths[0], widths[1] + 0.008)
            paint: Paint = self.person.skin
            if fabric is not None:
                paint = wardrobe.trousers(fabric, (r0 + r1) / 2, start, stripe, side)
            found.append(
                Part(
                    a[:2], end, widths, paint, depth, self.pose.turn,
                    ends="cuff" if fabric and length <= last + 0.02 * (1 - last) else "round",
                    folds=0.11 if fabric else 0.0, halo=first == 0.0,
                )
            )  # fmt: skip
        return found

    def torso(self) -> list[Part]:
        """Neck, hips, shirt or coat, skirt, and scarf."""
        person, tall, j = self.person, self.person.height, self.joints
        found = [
            Part(
                lift(j.neck, 0.045 * tall), lift(j.neck, -0.01 * tall),
                (0.028 * tall, 0.031 * tall), person.skin, TOP - 0.1, halo=False,
            )
        ]  # fmt: skip
        dress, skirt = person.bottom == "dress", person.bottom == "skirt"
        leg = person.legs * tall
        hem = person.bottom_length * leg
        if skirt or (dress and person.coat is not None):
            fabric = person.top if dress else person.bottom_cloth
            paint = wardrobe.cloth(fabric, 0.17)
            found.append(self.tube(0.45 * self.rise, -hem, 0.004, 0.2, paint, HIPS))
        elif not dress and person.hem < 0.09:
            paint = wardrobe.cloth(person.bottom_cloth, 0.16)
            hips = self.tube(0.5 * self.rise, -0.035 * tall, 0.004, 0.0, paint, HIPS)
            hips.halo, hips.bulge = False, 0.02
            found.append(hips)
        low = hem if dress and person.coat is None else person.hem
        high = self.rise * _HEIGHTS[-1]
        loose = 0.006 if person.coat is None else 0.018
        paint = wardrobe.top(person, high + low, high)
        flare = 0.2 if dress and person.coat is None else 0.06
        found.append(self.tube(high, -low, loose, flare, paint, TOP))
        if person.scarf is not None:
            wide = (0.038 * tall, 0.05 * tall, 0.052 * tall)
            found.append(
                Part(lift(j.neck, 0.022 * tall), lift(j.neck, -0.022 * tall), wide,
                     person.scarf, ARM + 1, folds=0.3)
            )  # fmt: skip
        return found

    @property
    def rise(self) -> float:
        """From the hip joints to the shoulder joints, metres."""
        return (0.825 - self.person.legs) * self.person.height

    def tube(
        self,
        high: float,
        low: float,
        loose: float,
        flare: float,
        paint: Paint,
        depth: float,
    ) -> Part:
        """The torso's outline from `high` to `low` metres above the hip joints."""
        person, tall, j = self.person, self.person.height, self.joints
        levels = high + (low - high) * _STEPS
        share = levels / self.rise
        wide = np.interp(share, _HEIGHTS, _WIDTHS) * tall
        deep = np.interp(share, _HEIGHTS, _DEPTHS) * tall
        wide *= 1 + (person.shoulders - 1) * np.minimum(np.maximum(share - 0.6, 0), 0.4) / 0.4
        belly = np.maximum(1 - np.abs(share - 0.35), 0) * person.build
        below = np.maximum(-levels, 0)
        wide += 0.016 * belly + loose + flare * below
        # Striding legs push a skirt out in front and behind.
        push = 0.55 * abs(math.sin(self.pose.phase)) * self.pose.swing
        deep += 0.03 * belly + loose + (flare + 0.28 * push) * below
        widths = tuple(np.hypot(wide * self.facing, deep * math.sin(self.pose.turn)).tolist())
        span = self.rise + 0.028 * tall
        return Part(
            between(j.hips, j.neck, high / span), between(j.hips, j.neck, low / span), widths,
            paint, depth, self.pose.turn, "flat",
            bulge=float(deep[-1]) * math.sin(self.pose.tilt), folds=0.07,
        )  # fmt: skip

    def arms(self) -> list[Part]:
        """Hands, arms, and sleeves."""
        person, tall, found = self.person, self.person.height, []
        thick = 1 + 0.12 * person.build
        radii = (0.028 * tall * thick, 0.024 * tall * thick, 0.017 * tall)
        fabric = person.coat or person.top
        for i, side in ((0, -1), (1, 1)):
            chain = (self.joints.shoulder[i], self.joints.elbow[i], self.joints.hand[i])
            depth = self.arm_depth(i, side)
            wrist = chain[2]
            away = between(chain[1], wrist, 1.0 + 0.045 * tall / max(math.dist(*chain[1:]), 1e-6))
            hand = Part(wrist[:2], away, (0.016 * tall, 0.018 * tall), person.skin, depth)
            hand.halo = self.pose.phone == side
            found.append(hand)
            if person.sleeve < 1:
                found += self.limb(chain, radii, None, 1.0, depth, side)
            if person.sleeve > 0:
                more = 0.008 if person.coat is None else 0.017
                sleeve = (radii[0] + 0.6 * more, radii[1] + more, radii[2] + more)
                found += self.limb(chain, sleeve, fabric, person.sleeve, depth + 1e-3, side)
        return found

    def arm_depth(self, i: int, side: int) -> float:
        """The arm on the far side is behind the legs; a hand before the chest, behind the back."""
        behind = self.joints.shoulder[i][2] - self.joints.neck[2]
        if behind < -0.06 * self.person.height:
            return FAR_ARM
        if self.pose.phone == side and self.facing < 0:
            return HIPS - 0.5
        return ARM + behind


def lift(point: Point, by: float) -> tuple[float, float]:
    """The point (x, y), so many metres higher."""
    return point[0], point[1] + by


def between(a: Point, b: Point, share: float) -> tuple[float, float]:
    """The point (x, y) on the way from a to b; a share beyond 0 to 1 goes on beyond the ends."""
    return a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share
