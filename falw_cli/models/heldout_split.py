"""How the held-out data of an unlearning run was split: into guides and samples that evaluate."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from falw_cli.data.splits import Part
from falw_cli.models.checkpoint import Checkpoint
from falw_cli.runtime.progress import Progress


def split_of(described: Mapping[str, Any], test: Part) -> dict[str, str | None]:
    """Return what a checkpoint records of the held-out data of its run: its digest, and its split.

    Args: described, the report's `inputs`; test, the samples that only evaluate.
    """
    heldout, judge = described["heldout"], described["test"]
    halved = heldout and judge and heldout["sha256"] == judge["sha256"]
    return {
        "heldout": heldout["sha256"] if heldout else None,
        "judged": hashlib.sha256(test.rows.tobytes()).hexdigest() if halved else None,
    }


def warn_of_guides(
    source: Checkpoint, described: Mapping[str, Any], test: Part, progress: Progress
) -> None:
    """Warn if samples that evaluate may have guided the run that wrote the checkpoint."""
    said = (source.metadata and source.metadata.unlearned) or {}
    judge = described["test"]
    if not judge or judge["sha256"] != said.get("heldout"):
        return
    judged = split_of(described, test)["judged"]
    if judged is None or judged != said.get("judged"):
        progress.warn(
            "test samples may have guided the run that made this model: it split the same held-out "
            "data otherwise; give the same --group, --heldout-metadata and --test as then"
        )
