"""float64 is used only where the device has it."""

from __future__ import annotations

import re
from pathlib import Path

import torch

import falw_cli
from falw_cli.runtime.precision import wide

ROOT = Path(falw_cli.__file__).parent
ELSEWHERE = {
    "runtime/precision.py": "the function itself",
    "models/batchnorm.py": "several ranks, which run on CUDA devices or CPUs",
    "unlearning/weighting/inverse_frequency.py": "on the CPU",
}


def test_wide_values_are_float64_on_their_device() -> None:
    found = wide(torch.tensor([1, 2]))
    assert found.dtype == torch.float64
    assert found.tolist() == [1.0, 2.0]


def test_no_other_module_asks_a_device_for_float64() -> None:
    """Apple's mps has none; a tensor there would raise an error."""
    found = {
        file.relative_to(ROOT).as_posix()
        for file in ROOT.rglob("*.py")
        if re.search(r"\.double\(\)", file.read_text())
    }
    assert found == set(ELSEWHERE)
