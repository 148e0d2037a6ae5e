"""The result of a gate, in the report."""

from __future__ import annotations

import re
from contextlib import suppress

from falw_cli.evaluation.metrics import Figures
from falw_cli.runtime.printable import significant


class GateResult(Figures):
    """A gate and its result."""

    expression: str
    value: float | None
    passed: bool

    @property
    def shown(self) -> str:
        """The value as text."""
        if self.value is None:
            return "no value"
        bounds = []
        with suppress(ValueError):  # the file of the report may have been changed
            bounds.append(float(re.split("[<>=]", self.expression)[-1]))
        return significant(self.value, 4, bounds)
