"""The chain of a checkpoint: which checkpoints it was made from."""

from __future__ import annotations

import pytest

from falw_cli.models.chain import made_from, steps_back
from tests.models.test_earlier import COPY, IDS, LIST1, U1, U2, M, model, run, said


@pytest.mark.parametrize(("digest", "back"), [(M, 2), (U1, 1), (COPY, 1), (U2, None), ("x", None)])
def test_each_ancestor_is_known(digest: str, back: int | None) -> None:
    assert steps_back(said(), digest) == back


def test_a_model_is_made_from_what_metadata_and_ledger_say() -> None:
    older = run(IDS[:3], "f" * 64, M, LIST1).entry()
    assert made_from(model(said()), []) == [M, U1, COPY]
    assert made_from(model(said()), [older]) == ["f" * 64, M, U1, COPY]
    assert made_from(model(None), [run(IDS, COPY, U2, LIST1).entry()]) == [COPY]
