"""The list that a retrained model was trained without, compared with the audited one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from falw_cli.data.forget_list import digest_of_ids
from falw_cli.data.images import NONE
from falw_cli.data.listing import Listing
from falw_cli.models.checkpoint import Checkpoint
from falw_cli.models.training_data import TrainingData
from falw_cli.runtime.printable import counted


@dataclass(frozen=True)
class AuditedLists:
    """The forget list, and what a model that is retrained for it may have left out."""

    count: int
    """IDs on the forget list."""
    accepted: frozenset[str]
    """Digests of its IDs with the samples of earlier requests, of this model or of all."""
    alone: str
    """Digest of the IDs of the forget list alone."""

    @classmethod
    def of(cls, data: TrainingData, listing: Listing) -> AuditedLists | None:
        """Return the lists of a run; None without a forget list."""
        if data.named is None:
            return None
        pairs = zip(data.earlier.requests, data.earlier.parts, strict=True)
        own = np.concatenate([NONE, *(rows for one, rows in pairs if one.of_this_model)])
        alone, *accepted = (
            digest_of_ids({*data.named.ids, *(listing.ids[row] for row in rows.tolist())})
            for rows in (NONE, own, data.earlier.rows)
        )
        return cls(len(data.named.ids), frozenset(accepted), alone)


def other_list(reference: Checkpoint, lists: AuditedLists) -> str:
    """Return that a reference of `falw train` left out another list, by its metadata; else "".

    A digest does not show whether that list holds the samples of the audited one.
    """
    said = reference.metadata and reference.metadata.left_out
    if not said or said.ids in lists.accepted:
        return ""
    if said.ids == lists.alone:
        return (
            f"reference {reference.path}: its training left out the forget list, but not the "
            "samples of earlier requests; make references with `falw train --without FILE`, with "
            "the IDs of all requests so far"
        )
    what = (
        f"names another list that its training left out ({counted(said.count, 'ID')}; the forget "
        f"list: {lists.count})"
        if said.count
        else "says that its training left out no list"
    )
    return (
        f"reference {reference.path}: its metadata {what}, so it may have been trained on the "
        "forget list; make references with `falw train --without LIST`"
    )
