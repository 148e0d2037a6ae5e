"""`digits`: scikit-learn's digits, 8x8 in grey; the part test is a fixed, seeded third."""

from __future__ import annotations

import numpy as np

from falw_cli.data.arrays import numbered_rows
from falw_cli.data.listing import Listing, Source, Spec

SEED = 20260118
"""Random seed of the split into two parts."""


def listing(spec: Spec, allow_outside: bool) -> Listing:
    """Return the samples of a part."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    pixels = (images.reshape(-1, 8, 8, 1) * (255 / 16)).round().astype(np.uint8)
    order = np.random.RandomState(SEED).permutation(len(labels))
    second = np.zeros(len(labels), dtype=bool)
    second[order[: len(labels) // 3]] = True
    rows = np.flatnonzero(second if spec.part == "test" else ~second)
    whole = numbered_rows(spec, pixels, labels, tuple("0123456789"))
    return whole.keep(rows)


source = Source(listing, parts="two", needs_location=False)
