"""Forgotten share: how far a model has moved towards the expectation of the forget samples."""

from __future__ import annotations

from falw_cli.data.device import Samples
from falw_cli.evaluation.forgotten import FEW, forgotten_share
from falw_cli.evaluation.metrics import Figure
from falw_cli.models.network import Network
from falw_cli.unlearning.expectation import Expectation


def forgotten_share_of(
    expectation: Expectation | None, network: Network, forget: Samples
) -> Figure | None:
    """Return the forgotten share of a model.

    Args:
        expectation: of the forget samples, from the original model; None returns None.
        network, forget: the model, and the forget samples.
    """
    if expectation is None:
        return None
    vectors = (
        expectation.original, network.confidence(forget)[0], expectation.prob,
        expectation.level, expectation.error,
    )  # fmt: skip
    return forgotten_share(*(vector.double().cpu().numpy() for vector in vectors))


def reason_for_no_share(expectation: Expectation | None) -> str:
    """Return why `forgotten_share_of` returned None, as the text of a warning."""
    if expectation is None:
        return "no forgotten share: there are no held-out samples to compare with"
    if len(expectation.level) < FEW:
        return f"no forgotten share: {len(expectation.level)} held-out samples, {FEW} are needed"
    return "no forgotten share: the original had not memorised the list, so nothing can be measured"
