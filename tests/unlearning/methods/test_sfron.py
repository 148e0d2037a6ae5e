"""sfron: the mask of the forget gradient."""

from __future__ import annotations

from falw_cli.models.network import Network
from tests.unlearning.methods.conftest import backward, make


def test_sfron_forgets_only_with_masked_weights(network: Network) -> None:
    """The forget samples change the gradient only inside the mask."""
    method = make("sfron", network)
    assert method.forget_mask is not None
    mask = method.forget_mask
    assert any(part.any() for part in mask.values())
    assert any((~part).any() for part in mask.values())
    gradients = []
    for strength in (0.0, 1.0):
        method.settings = method.settings.model_copy(update={"strength": strength})  # type: ignore[attr-defined]
        network.module.zero_grad()
        backward(method, network)
        gradients.append({p: p.grad.clone() for p in network.module.parameters()})  # type: ignore[union-attr]
    for weights, part in mask.items():
        added = gradients[1][weights] - gradients[0][weights]
        assert (added[~part].abs() < 1e-6).all()
