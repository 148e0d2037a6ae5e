"""Data of `falw demo`: scikit-learn's digits, distorted so that a network has to memorise them."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

SEED = 22
"""Random seed of distortions and split, the same in every run."""
SIDE = 12
"""Side of the distorted images in pixels; scikit-learn's are 8 x 8."""
TRAIN, UNSEEN = 900, 800
"""Numbers of training and of unseen samples."""
DEGREES, SCALE, SHIFT = 30.0, 0.2, 1.0
"""Largest rotation, change of size, and shift in original pixels; all are drawn uniformly."""
NOISE = 50.0
"""Standard deviation of the Gaussian noise on pixels from 0 to 255."""
HOW_MADE = (
    f"scikit-learn's digits at {SIDE}x{SIDE} pixels, each rotated by up to {DEGREES:.0f} degrees, "
    f"resized by up to {100 * SCALE:.0f} %, shifted, and with noise"
)


def files() -> dict[str, bytes]:
    """Return the npz files `train.npz` and `unseen.npz`, which hold images and labels."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    rng = np.random.default_rng(SEED)
    pixels = distorted(images.reshape(-1, 8, 8) * (255 / 16), rng)
    order = rng.permutation(len(labels))
    parts = {"train.npz": order[:TRAIN], "unseen.npz": order[TRAIN : TRAIN + UNSEEN]}
    return {name: _npz(pixels[rows], labels[rows]) for name, rows in parts.items()}


def distorted(images: npt.NDArray[np.float64], rng: np.random.Generator) -> Pixels:
    """Rotate, resize and shift each image at random, and add noise.

    Args:
        images: [N, 8, 8], from 0 to 255.
        rng: draws everything.

    Returns:
        [N, SIDE, SIDE, 1].
    """
    from scipy.ndimage import affine_transform

    found = np.empty((len(images), SIDE, SIDE))
    middle, source_middle = (SIDE - 1) / 2, (images.shape[1] - 1) / 2
    for image, into in zip(images, found, strict=True):
        angle = np.deg2rad(rng.uniform(-DEGREES, DEGREES))
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        turn *= images.shape[1] / SIDE / rng.uniform(1 - SCALE, 1 + SCALE)
        place = source_middle + rng.uniform(-SHIFT, SHIFT, 2) - turn @ [middle, middle]
        affine_transform(image, turn, place, output=into, order=1)
    found += rng.normal(0, NOISE, found.shape)
    pixels: Pixels = found.clip(0, 255).round().astype(np.uint8)[..., None]
    return pixels


def _npz(images: Pixels, labels: npt.NDArray[np.int64]) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, images=images, labels=labels)
    return stream.getvalue()
