"""What identifies the run of a saved state."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from falw_cli.config.settings import Config
from falw_cli.models.inputs import Inputs
from falw_cli.runs import prepare
from falw_cli.runs.prepare import belongs_to
from falw_cli.runtime.progress import Silent

CONFIG = Config(data="imagefolder:seen", heldout="imagefolder:unseen")


def inputs(**changed: Any) -> Inputs:
    """Return the inputs of a run, as far as they identify it."""
    said = {name: {"sha256": changed.get(name, "0")} for name in ("model", "data", "heldout")}
    rows = {name: np.array(changed.get(name, [1])) for name in ("forget", "guides", "earlier")}
    parts = {"forget": rows["forget"], "heldout": rows["guides"]}
    return cast(
        "Inputs",
        SimpleNamespace(
            described=said,
            splits=SimpleNamespace(**{k: SimpleNamespace(rows=v) for k, v in parts.items()}),
            data=SimpleNamespace(earlier=SimpleNamespace(rows=rows["earlier"])),
        ),
    )


@pytest.mark.parametrize(
    "changed",
    [{"model": "1"}, {"data": "1"}, {"heldout": "1"}, {"forget": [2]}, {"guides": [2]},
     {"earlier": [2]}],
)  # fmt: skip
def test_a_state_belongs_to_the_content_of_its_inputs(changed: dict[str, Any]) -> None:
    assert belongs_to(CONFIG, inputs()) != belongs_to(CONFIG, inputs(**changed))
    moved = CONFIG.model_copy(update={"data": "imagefolder:moved"})
    assert belongs_to(CONFIG, inputs()) == belongs_to(moved, inputs())


@pytest.mark.parametrize("metadata", [None, "known"])
def test_a_model_without_metadata_may_have_forgotten_a_request(metadata: str | None) -> None:
    """A request of the ledger that is not this model's, as far as is known."""
    request = SimpleNamespace(of_this_model=False, source="ledger")
    earlier = SimpleNamespace(again=0, of_others=[np.array([1, 2])], requests=[request])
    opened = SimpleNamespace(
        data=SimpleNamespace(earlier=earlier), source=SimpleNamespace(metadata=metadata)
    )
    progress = Silent()
    prepare._warn_of_earlier(cast("Inputs", opened), progress)
    (warning,) = progress.warnings
    assert ("not known to have been made to forget" in warning) == (metadata is None)
    assert warning.count("): 1; 2 samples" if metadata is None else "forget: 1; 2 samples") == 1
