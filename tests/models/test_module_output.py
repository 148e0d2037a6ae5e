"""Logits from the output of a module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from falw_cli.errors import RequestError
from falw_cli.models import module_output


def test_auxiliary_logits_are_ignored() -> None:
    wanted, other = torch.ones(2, 3), torch.zeros(2, 3)
    assert module_output.logits((wanted, other)) is wanted


LOGITS, WIDE = torch.ones(2, 3), torch.zeros(2, 5)


class Named(NamedTuple):
    """An output whose logits are not its first entry."""

    features: Tensor
    logits: Tensor


@dataclass
class Output:
    """An output without entries."""

    logits: Tensor


@pytest.mark.parametrize(
    "output",
    [LOGITS, (LOGITS,), [LOGITS, WIDE], {"loss": None, "logits": LOGITS}, Output(LOGITS),
     Named(WIDE, LOGITS)],
)  # fmt: skip
def test_logits_are_found_by_name_or_come_first(output: object) -> None:
    assert module_output.logits(output, 3) is LOGITS


@pytest.mark.parametrize(
    ("output", "said", "hook"),
    [((WIDE, LOGITS), r"tuple ([0] [2, 5], [1] [2, 3]), not logits", "output[KEY]"),
     ((WIDE.sum(), LOGITS), r"tuple ([0] [], [1] [2, 3]), not logits", "output[1])"),
     ({"out": LOGITS}, "dict (['out'] [2, 3]), not logits", "output['out'])"),
     (Output(LOGITS[0]), "Output (.logits [3]), not logits", None),
     (LOGITS[..., None], "Tensor ([2, 3, 1]), not logits", None),
     ((), "tuple, not logits", None), (None, "NoneType, not logits", None)],
)  # fmt: skip
def test_other_outputs_are_named(output: object, said: str, hook: str | None) -> None:
    with pytest.raises(RequestError) as refused:
        module_output.logits(output, 3)
    assert said in str(refused.value)
    assert (hook or "forward returns the logits alone") in refused.value.hint
    assert ("register_forward_hook" in refused.value.hint) == (hook is not None)
