"""Class names that a training script stored beside the weights."""

from __future__ import annotations

import argparse
import types
from typing import Any

import numpy as np
import pytest

from falw_cli.models.stored_classes import stored_classes

NAMES = ("owl", "dog", "cat")
INDEX = {"cat": 2, "dog": 1, "owl": 0}


@pytest.mark.parametrize(
    "around",
    [
        {"class_to_idx": INDEX},
        {"class_to_idx": {name: np.int64(place) for name, place in INDEX.items()}},
        {"idx_to_class": {2: "cat", 0: "owl", 1: "dog"}},
        {"idx_to_class": {"2": "cat", "0": "owl", "1": "dog"}},
        {"classes": list(NAMES), "class_to_idx": INDEX, "epoch": 3},
        {"hyper_parameters": {"lr": 0.1, "class_names": NAMES}},
        {"meta": {"CLASSES": NAMES}},
        {"id2label": {0: "owl", 1: "dog", 2: "cat"}, "label2id": INDEX},
        {"label_names": list(NAMES)},
        {"classes": ["cat"], "class_to_idx": INDEX},
        {"names": list(NAMES), "size": [1, 2, 3]},
        {"target_names": np.array(NAMES)},
        {"idx2label": dict(enumerate(NAMES))},
        {"class_to_idx": {name: str(place) for name, place in INDEX.items()}},
        {"args": argparse.Namespace(lr=0.1, class_names=list(NAMES))},
        {"config": {"data": {"label2idx": INDEX, "class_weights": {"cat": 0.5, "dog": 2.5}}}},
        {"classes": np.array(NAMES)},
        {"classes": np.array(NAMES, object)},
        {"classes": np.array([name.encode() for name in NAMES])},
        {"categories": types.SimpleNamespace(all_categories=list(NAMES))},
    ],
)
def test_complete_names_are_used(around: dict[str, Any]) -> None:
    names, notes = stored_classes(None, around, 3)
    assert names == NAMES
    assert "owl, dog, cat" in notes[0]
    assert stored_classes(NAMES, around, 3) == (None, [])
    for given in (("a", "b", "c"), ("dog", "owl", "cat")):
        assert "in another order: owl, dog, cat" in stored_classes(given, around, 3)[1][0]


@pytest.mark.parametrize(
    ("around", "why"),
    [
        ({"classes": ["cat", "dog"]}, "each of 3 outputs"),
        ({"classes": ["cat", "dog", "cat"]}, "each of 3 outputs"),
        ({"classes": set(NAMES)}, "each of 3 outputs once, in a known order"),
        ({"class_to_idx": {"cat": 1, "dog": 2, "owl": 3}}, "each of 3 outputs"),
        ({"class_to_idx": INDEX, "classes": ["cat", "dog", "owl"]}, "they differ"),
    ],
)
def test_names_that_do_not_fit_are_reported(around: dict[str, Any], why: str) -> None:
    names, notes = stored_classes(None, around, 3)
    assert names is None
    assert why in notes[0]


def test_names_that_are_numbers_keep_their_positions() -> None:
    assert stored_classes(None, {"class_to_idx": {"10": 1, "2": 0}}, 2)[0] == ("2", "10")
    assert stored_classes(None, {"idx_to_class": {"0": "7", "1": "0"}}, 2)[0] == ("7", "0")


@pytest.mark.parametrize("value", [3, None, [0, 1, 2], {"cat": 1.5}, {}, [], {"a": {"b": 0}}])
def test_other_values_name_nothing(value: object) -> None:
    assert stored_classes(None, {"classes": value}, 3) == (None, [])
