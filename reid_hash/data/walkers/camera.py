"""The two cameras: where they look from, in what light, and what they do to a picture."""

import functools
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from reid_hash.data.walkers.surface import Array


@dataclass(frozen=True)
class Camera:
    """One camera. Blur and noise are for a person of about 115 pixels.

    Attributes:
        number: 1 or 2.
        tilt: angle by which it looks down, radians.
        turn: what it sees of people on average: 0 the front, π the back; radians.
        spread: the least and the greatest angle to either side of that, radians.
        light: direction to the light: x right, y down, z towards the camera; length 1.
        gain: factor on the light.
        white: factors on red, green, and blue.
        veil: share of stray light, which flattens contrast.
        blur: standard deviation in pixels.
        noise: standard deviation in grey levels of 255.
        quality: JPEG quality, from and to.
    """

    number: int
    tilt: float
    turn: float
    spread: tuple[float, float]
    light: tuple[float, float, float]
    gain: float
    white: tuple[float, float, float]
    veil: float
    blur: float
    noise: float
    quality: tuple[int, int]


CAMERAS = {
    1: Camera(
        number=1, tilt=0.17, turn=0.0, spread=(0.1, 0.95), light=(-0.56, -0.50, 0.66),
        gain=1.12, white=(1.10, 1.0, 0.86), veil=0.01, blur=0.45, noise=3.0, quality=(70, 92),
    ),
    2: Camera(
        number=2, tilt=0.26, turn=np.pi, spread=(0.15, 1.15), light=(0.52, -0.70, 0.49),
        gain=0.80, white=(0.86, 1.0, 1.13), veil=0.045, blur=0.75, noise=4.5, quality=(40, 75),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Exposure:
    """How one picture differs from the camera's usual: factors on its gain and white balance."""

    gain: float = 1.0
    white: tuple[float, float, float] = (1.0, 1.0, 1.0)


USUAL = Exposure()


def expose(picture: Array, camera: Camera, exposure: Exposure = USUAL) -> Array:
    """Linear reflectance to grey levels.

    Args:
        picture: [3, height, width] float32 linear RGB; changed.
        camera: the one that looks.
        exposure: of this picture.

    Returns:
        [3, height, width] float32 in [0, 255].
    """
    factors = np.array(camera.white, np.float32) * np.array(exposure.white, np.float32)
    factors *= camera.gain * exposure.gain * (1 - camera.veil)
    picture *= factors[:, None, None]
    picture += camera.veil
    np.minimum(picture, 1, out=picture)
    np.sqrt(picture, out=picture)
    picture *= 255
    return picture


def degrade(
    picture: Array, camera: Camera, coarse: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Blur, sensor noise, and JPEG.

    Args:
        picture: [3, height, width] float32 in [0, 255].
        camera: the one that looks.
        coarse: how much coarser the sensor is than the picture, at least 1: a person far away.
        rng: for the noise and the quality.

    Returns:
        [height, width, 3] uint8.
    """
    height, width = picture.shape[1:]
    image = cv2.merge(list(picture))
    step = coarse * max(height / 128, 1)
    if step > 1:
        small = (max(round(width / step), 4), max(round(height / step), 8))
        image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    image = cv2.GaussianBlur(image, (0, 0), camera.blur / coarse)
    grains = _grain()
    start = int(rng.integers(0, max(grains.size - image.size, 1)))
    image += camera.noise * np.resize(grains[start : start + image.size], image.shape)
    if step > 1:
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
    image += 0.5
    np.maximum(image, 0, out=image)
    np.minimum(image, 255, out=image)
    quality = int(rng.integers(camera.quality[0], camera.quality[1] + 1))
    flags = [cv2.IMWRITE_JPEG_QUALITY, quality]
    _, packed = cv2.imencode(".jpg", image.astype(np.uint8)[..., ::-1], flags)
    decoded = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(decoded[..., ::-1])


@functools.cache
def _grain() -> Array:
    """A store of noise: a stretch of it is as good as fresh noise, and costs next to nothing."""
    return np.random.default_rng(0).standard_normal(1 << 19, np.float32)
