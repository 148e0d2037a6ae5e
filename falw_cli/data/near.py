"""Near-duplicates: images that resemble listed ones, though their pixels differ.

Each image is described by a thumbnail of SIDE x SIDE pixels, centred and scaled. The product of two
descriptions is the correlation of the thumbnails. Brightness and contrast do not change it, and
compression and size hardly do. docs/near.md compares this with a perceptual hash and with features
of a network.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from falw_cli.config.settings import Config
from falw_cli.data import images
from falw_cli.data.images import Geometry, Rows
from falw_cli.data.listing import Listing
from falw_cli.runtime.progress import Progress

SIDE = 8
"""Side of a thumbnail in pixels."""
DECODED = 32
"""Side of the decoded images, from which thumbnails are made."""
CHUNK = 4096
"""Images that are described at a time."""
PAIRS = 1 << 24
"""Pairs of images that are compared at a time, which bounds memory."""
ROUNDING = 1e-5
"""Tolerance of the similarity."""
Pixels = npt.NDArray[np.uint8]
Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Proposal:
    """A sample that resembles a listed one."""

    name: str
    """ID of the sample."""
    like: str
    """ID of the listed sample that it resembles most."""
    similarity: float
    """Correlation of the thumbnails, from -1 to 1."""


def propose(
    listing: Listing, listed: Rows, threshold: float, config: Config, progress: Progress
) -> list[Proposal]:
    """Return the samples that resemble listed ones, or their mirror images; most similar first.

    Args:
        listing: all samples.
        listed: rows of the list.
        threshold: smallest similarity.
        config: how images are read.
        progress: receives progress and warnings.

    Raises:
        RequestError: an image cannot be read.
    """
    channels = 3 if listing.array is None else listing.array.shape[3]
    wanted = Geometry(DECODED, DECODED, channels, squash=True)
    # Not cached: a later list would not be removed from a cache of this size.
    uncached = config.model_copy(update={"cache": False})
    data = images.load(listing, uncached, wanted, progress, secret=listed)
    names = data.listing.ids  # unreadable images are skipped
    known = {listing.ids[row] for row in listed.tolist()}
    of_list = np.array([name in known for name in names])
    mine, others = np.flatnonzero(of_list), np.flatnonzero(~of_list)
    if not len(mine):
        return []
    sides = [describe(data.pixels[mine]), describe(data.pixels[mine][:, :, ::-1])]
    found, step = [], max(1, PAIRS // len(mine))
    for rows in np.split(others, range(step, len(others), step)):
        theirs = describe(data.pixels[rows]).T
        alike = np.maximum(sides[0] @ theirs, sides[1] @ theirs)
        best = alike.argmax(0)
        for place in np.flatnonzero(alike.max(0) >= threshold - ROUNDING).tolist():
            like, value = names[mine[best[place]]], min(1.0, float(alike[best[place], place]))
            found.append(Proposal(names[rows[place]], like, value))
    return sorted(found, key=lambda one: (-one.similarity, one.name))


def describe(pixels: Pixels) -> Vectors:
    """Return a vector of length 1 per image, or of 0 for a single colour: uint8 [N, S, S, C]."""
    parts = [torch.empty(0, SIDE * SIDE * pixels.shape[3])]
    for begin in range(0, len(pixels), CHUNK):
        some = torch.from_numpy(np.ascontiguousarray(pixels[begin : begin + CHUNK]))
        shown = some.permute(0, 3, 1, 2).float()
        small = F.interpolate(shown, (SIDE, SIDE), mode="bilinear", antialias=True).flatten(1)
        parts.append(F.normalize(small - small.mean(1, keepdim=True), dim=1))
    found: Vectors = torch.cat(parts).numpy()
    return found
