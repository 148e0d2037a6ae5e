"""bad-teacher: the incompetent teacher."""

from __future__ import annotations

import torch

from tests.unlearning.methods.conftest import make, make_network


def test_the_incompetent_teacher_is_drawn_from_the_seed() -> None:
    one, other = (make("bad-teacher", make_network()) for _ in range(2))
    pairs = zip(
        one.incompetent.parameters(),  # type: ignore[attr-defined]
        other.incompetent.parameters(),  # type: ignore[attr-defined]
        strict=True,
    )
    assert all(torch.equal(a, b) for a, b in pairs)
