"""References that were trained without another list than the audited one."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from falw_cli.config.settings import Preprocessing
from falw_cli.data.forget_list import ForgetList, digest_of_ids
from falw_cli.data.listing import Listing
from falw_cli.models.checkpoint import Checkpoint, LeftOut, Metadata
from falw_cli.models.earlier import Earlier, Request
from falw_cli.models.left_out import AuditedLists, other_list
from falw_cli.models.training_data import TrainingData


def left_out(*ids: str) -> LeftOut:
    return LeftOut(count=len(ids), ids=digest_of_ids(ids) if ids else None)


@pytest.mark.parametrize(
    ("said", "warning"),
    [
        (None, None),  # an older falw, or another program
        (left_out("b", "a"), "not the samples of earlier requests"),
        (left_out("a", "b", "c"), None),  # with the model's earlier request
        (left_out("d", "c", "b", "a"), None),  # and with that of another model
        (left_out(), "left out no list"),
        (left_out("c"), "left out (1 ID; the forget list: 2)"),
        (left_out("a", "b", "e"), "left out (3 IDs; the forget list: 2)"),
    ],
)
def test_another_list_than_the_audited_one_is_reported(
    said: LeftOut | None, warning: str | None
) -> None:
    requests = tuple(
        Request("ledger", None, 1, np.array([row]), of_this_model=row == 2) for row in (2, 3)
    )
    earlier = Earlier(requests, (np.array([2]), np.array([3])), 0, 1)
    named = ForgetList(("a", "b"), "0" * 64, 0)
    data = cast(TrainingData, SimpleNamespace(named=named, earlier=earlier))
    lists = AuditedLists.of(data, cast(Listing, SimpleNamespace(ids=tuple("abcde"))))
    assert lists is not None
    metadata = Metadata(
        arch="tiny-cnn", classes=("x", "y"), preprocessing=Preprocessing(), left_out=said
    )
    reference = Checkpoint(Path("r"), "", {}, metadata=metadata)
    found = other_list(reference, lists)
    assert bool(found) == (warning is not None)
    assert warning is None or warning in found
    only = digest_of_ids(["a", "b"])
    first = AuditedLists(2, frozenset({only}), only)  # without earlier requests
    assert "earlier requests" not in other_list(reference, first)
