"""bad-teacher: the incompetent teacher."""

from __future__ import annotations

import torch
from torch import nn

from falw_cli.unlearning.methods.bad_teacher import untrained
from tests.unlearning.methods.conftest import make, make_network


def test_the_incompetent_teacher_is_drawn_from_the_seed() -> None:
    one, other = (make("bad-teacher", make_network()) for _ in range(2))
    pairs = zip(
        one.incompetent.parameters(),  # type: ignore[attr-defined]
        other.incompetent.parameters(),  # type: ignore[attr-defined]
        strict=True,
    )
    assert all(torch.equal(a, b) for a, b in pairs)


class Token(nn.Module):
    """A parameter in a layer without reset_parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.arange(100.0))


def test_an_untrained_copy_knows_nothing_of_the_original() -> None:
    linear, norm, token = nn.Linear(4, 4), nn.BatchNorm1d(4), Token()
    norm.running_mean = torch.full((4,), 7.0)
    torch.manual_seed(0)
    fresh = untrained(nn.Sequential(linear, norm, nn.MultiheadAttention(4, 1), token)).state_dict()
    assert not torch.equal(fresh["0.weight"], linear.weight)
    assert float(fresh["1.running_mean"].sum()) == 0
    assert not torch.equal(fresh["3.token"], token.token)
    assert fresh["3.token"].sort().values.equal(token.token)
