"""Figures of a report are compared with those measured again."""

from __future__ import annotations

from typing import Any

import pytest

from falw_cli.runs.claims import differences, missing

FOUND: dict[str, Any] = {
    "changes": {"retain_accuracy": {"value": -1.5, "p_value": 0.0073}},
    "after": {
        "forgotten_share": {"value": 60.0, "upper": 20460.1},
        "mia": {"auc": {"value": 0.6695}, "tpr_at_fpr_1": {"value": 12.0}},
        "distance": {"value": 0.123},
        "intervals": {"forget_probability": {"upper": 0.5}},
        "seeds": None,
    },
}


def changed(path: str, by: float | None) -> dict[str, Any]:
    """Return the figures with one of them larger, or without its key."""
    key, _, rest = path.partition(".")

    def deep(content: Any, first: str, rest: str) -> Any:
        if not rest and by is None:
            return {name: value for name, value in content.items() if name != first}
        inner = deep(content[first], *rest.partition(".")[::2]) if rest else content[first] + by
        return {**content, first: inner}

    result: dict[str, Any] = deep(FOUND, key, rest)
    return result


@pytest.mark.parametrize(
    ("path", "allowed", "refused"),
    [
        ("changes.retain_accuracy.value", 0.009, 0.011),
        ("changes.retain_accuracy.p_value", 0.00009, 0.0099),
        ("after.forgotten_share.value", 0.009, 0.011),
        ("after.forgotten_share.upper", 1.0, 3.0),
        ("after.mia.auc.value", 0.00009, -0.0099),
        ("after.mia.tpr_at_fpr_1.value", 0.009, 0.011),
        ("after.distance.value", 0.00009, 0.0099),
        ("after.intervals.forget_probability.upper", 0.00009, 0.0099),
    ],
)
def test_the_tolerance_depends_on_the_unit(path: str, allowed: float, refused: float) -> None:
    assert not differences(changed(path, allowed), FOUND, complete=True)
    assert len(differences(changed(path, refused), FOUND, complete=True)) == 1


@pytest.mark.parametrize("path", ["changes", "after.forgotten_share", "after.mia.auc"])
def test_a_figure_without_its_key_is_a_difference_or_not_checked(path: str) -> None:
    claimed = changed(path, None)
    assert differences(claimed, FOUND, complete=True) == [f"{path} is not in the report"]
    assert not differences(claimed, FOUND, complete=False)
    assert list(missing(claimed, FOUND)) == [path]
    assert not differences(changed("after.seeds", None), FOUND, complete=True)
