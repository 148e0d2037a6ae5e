"""Gates: conditions on the report, e.g. "avg_gap<=1.0", that pass or fail in a CI job."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel

from falw_cli.audit.gate_result import GateResult
from falw_cli.audit.report import Report
from falw_cli.errors import RequestError, nearest
from falw_cli.evaluation.forgotten import HALF
from falw_cli.evaluation.gap_metric import extra_metrics
from falw_cli.evaluation.metrics import Figure, Groups, Interval, Metrics

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}
PATTERN = re.compile(r"^\s*(?P<name>.+?)\s*(?P<op><=|>=|==|<|>)\s*(?P<number>[^<>=]+?)\s*$")
FORM = "write NAME OP NUMBER, e.g. 'avg_gap<=1.0'; OP is one of < <= > >= =="


@dataclass(frozen=True)
class Gate:
    """A parsed gate, NAME OP NUMBER; `path` is NAME's path from the report's root."""

    expression: str
    path: tuple[str, ...]
    op: str
    number: float

    def holds(self, value: float | None) -> bool:
        """Return whether a value passes; a missing one does not."""
        return value is not None and OPERATORS[self.op](value, self.number)


FORGOTTEN = Gate(
    f"forgotten_share.upper>={HALF:g}", ("metrics", "after", "forgotten_share", "upper"), ">=", HALF
)
"""The built-in gate: it fails if the 95 % interval of the forgotten share is below 50 %."""

READABLE = Gate("forget.unreadable==0", ("forget", "unreadable"), "==", 0)
"""The built-in gate of a run that skipped listed images: they are not forgotten."""


def parse(expression: str, classes: Sequence[str]) -> Gate:
    """Parse a gate, and check that its name can have a value.

    Args:
        expression: `NAME OP NUMBER`; NAME is a key of `metrics.after`, a metric or a dotted path.
        classes: class names, which are keys in the report.

    Raises:
        RequestError: the expression is no gate, or no report has the name.
    """
    found = PATTERN.match(expression)
    try:
        number = float(found["number"]) if found else None
    except ValueError:
        number = None
    if found is None or number is None or math.isnan(number) or found["name"].endswith("="):
        raise RequestError(f"invalid gate {expression!r}", _correction(expression))
    name = found["name"]
    path = _find(Report, name, classes)
    for below, room, own in (
        (("metrics", "after"), Metrics, name),
        (("metrics", "after", "groups"), Groups, name),
        (("metrics", "after"), Metrics, f"extra_metrics.{name}"),
    ):
        if path is None and (inner := _find(room, own, classes)) is not None:
            path = (*below, *inner)
    if path is None:
        known = [*_numbers(Metrics, ""), *extra_metrics(), *_numbers(Report, "")]
        match = nearest(name, known)
        if PATTERN.match(name):
            raise RequestError(f"invalid gate {expression!r}", "give each condition its own --gate")
        raise RequestError(
            f"gate {expression!r}: the report has no number {name!r}",
            f"did you mean {match!r}?" if match else f"use e.g. {', '.join(known[:5])}",
        )
    return Gate(expression, path, found["op"], number)


def _correction(expression: str) -> str:
    """Return the hint for an expression that is no gate."""
    shown = re.sub(r"([<>=])\s+=", r"\1=", expression.strip().removesuffix("%").strip())
    for wrong, right in (("=>", ">="), ("=<", "<="), ("\u2265", ">="), ("\u2264", "<=")):
        shown = shown.replace(wrong, right)
    shown = re.sub("(?<![<>=])=(?![<>=])", "==", shown)
    if shown != expression.strip() and PATTERN.match(shown):
        return f"did you mean '{shown}'? {FORM}"
    return FORM


def evaluate(gate: Gate, report: Report) -> GateResult:
    """Return the gate's result; a gate on a missing value fails."""
    value: Any = report
    for part in gate.path:
        if value is None:
            break
        value = value.get(part) if isinstance(value, dict) else getattr(value, part)
    number = None if value is None else float(value)
    return GateResult(expression=gate.expression, value=number, passed=gate.holds(number))


def _plain(annotation: Any) -> Any:
    """Return a type without its `| None`."""
    if get_origin(annotation) in (Union, UnionType):
        return next(a for a in get_args(annotation) if a is not type(None))
    return annotation


def _find(annotation: Any, name: str, classes: Sequence[str]) -> tuple[str, ...] | None:
    """Return the path to the number with a dotted name in a type, or None.

    Class names may contain dots, so whole keys are matched from the left.
    """
    annotation = _plain(annotation)
    if annotation in (float, int):
        return () if not name else None
    if not name and isinstance(annotation, type) and issubclass(annotation, Figure):
        return ("value",)
    if get_origin(annotation) is dict:
        keys, inner = {c: get_args(annotation)[1] for c in classes}, None
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        keys = {key: field.annotation for key, field in annotation.model_fields.items()}
        if (path := _end_of_interval(keys, name)) is not None:
            return path
    else:
        return None
    for key, inner in keys.items():
        if name == key or name.startswith(f"{key}."):
            names = extra_metrics() if key == "extra_metrics" else classes
            rest = _find(inner, name[len(key) + 1 :], names)
            if rest is not None:
                return (key, *rest)
    return None


def _end_of_interval(keys: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
    """Return the path of an interval's end: `avg_gap.upper` is `intervals.avg_gap.upper`."""
    figure, _, end = name.rpartition(".")
    plain = _plain(keys.get(figure)) in (float, int)
    known = plain and "intervals" in keys and end in Interval.model_fields
    return ("intervals", figure, end) if known else None


def _numbers(annotation: Any, prefix: str) -> list[str]:
    """Return dotted names of the numbers in a model, except those below class names."""
    annotation = _plain(annotation)
    if annotation in (float, int):
        return [prefix]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        own = [prefix] if issubclass(annotation, Figure) and prefix else []
        return own + [
            name
            for key, field in annotation.model_fields.items()
            for name in _numbers(field.annotation, f"{prefix}.{key}" if prefix else key)
        ]
    return []
