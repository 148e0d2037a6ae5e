"""Runs without retain samples (`--no-retain`): held-out samples take their place in the steps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from falw_cli.data.images import NONE, Rows
from falw_cli.data.splits import Part, Splits, class_aware_order
from falw_cli.runtime.progress import Progress

UNKNOWN = 1 << 40
"""Number of retain samples of a class that are not at hand: so many that no list changes the class
prior."""


def substituted(parts: Splits, progress: Progress) -> Splits:
    """Return the parts in which half of the guiding held-out samples replace the retain samples.

    The other half guides. Retain metrics have no samples.
    """
    guide = parts.heldout
    order = class_aware_order(guide.labels, np.random.default_rng(18))
    cut = len(order) // 2
    first, second = (_some(guide, np.sort(rows)) for rows in (order[:cut], order[cut:]))
    progress.warn(
        f"without retain samples: {len(first):,} held-out samples take their place in the steps, "
        f"{len(second):,} others guide; there are no retain metrics and no MIA efficacy, harm to "
        "training samples that stay is not measured, and the expectation is less certain"
    )
    return replace(parts, retain=first, judged=_some(parts.retain, NONE), heldout=second)


def _some(part: Part, rows: Rows) -> Part:
    return Part(part.pixels, part.rows[rows], part.labels[rows])
