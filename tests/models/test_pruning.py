"""Pruned networks: zeros are reported and kept, and so are masks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import prune

from falw_cli.cli.app import run
from falw_cli.models import checkpoint_files
from falw_cli.models.architectures import tiny_cnn
from falw_cli.models.checkpoint import load_weights, tensors_like
from falw_cli.models.fitting import fit
from falw_cli.models.pruning import sparse, zeros_of
from tests.models.test_fitting import plain, same


def masked() -> nn.Module:
    """Return a network with masks on weights and a bias."""
    model = plain()
    prune.l1_unstructured(model[0], "weight", 0.5)  # type: ignore[index]
    prune.random_unstructured(model[0], "bias", 0.25)  # type: ignore[index]
    prune.ln_structured(model[2], "weight", 0.5, n=2, dim=0)  # type: ignore[index]
    return model


def permanent(model: nn.Module) -> nn.Module:
    """Make the masks permanent."""
    for layer, name in ((0, "weight"), (0, "bias"), (2, "weight")):
        prune.remove(model[layer], name)  # type: ignore[index]
    return model


def test_pruned_networks_are_named_with_the_share_of_zeros() -> None:
    """A trained or initialised network has no exact zeros; zero biases are usual."""
    model = tiny_cnn(2, 1)
    assert sparse(model.state_dict()) == []
    assert zeros_of(model) == []
    prune.l1_unstructured(model[3], "weight", 0.5)  # type: ignore[index]
    prune.remove(model[3], "weight")  # type: ignore[index]
    (said,) = sparse(model.state_dict())
    assert "(most in 3.weight: 50.0%)" in said
    whole = sum(t.numel() for t in model.state_dict().values() if t.ndim > 1)
    assert f"{model.get_parameter('3.weight').numel() / 2 / whole:.1%} of the weights" in said
    ((weights, zeros),) = zeros_of(model)
    assert weights is model.get_parameter("3.weight")
    assert int(zeros.sum()) == weights.numel() // 2


def test_masked_weights_count_as_zeros_and_masks_as_no_weights() -> None:
    model = tiny_cnn(2, 1)
    prune.l1_unstructured(model[3], "weight", 0.5)  # type: ignore[index]
    (said,) = sparse(model.state_dict())
    prune.remove(model[3], "weight")  # type: ignore[index]
    assert said.replace("weight_orig", "weight") == sparse(model.state_dict())[0]


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_masks_are_applied_and_restored(tmp_path: Path, prefix: str, suffix: str) -> None:
    """Under a mask, the output holds zeros: the values there would keep what is forgotten."""
    model, target, file = masked(), plain(), tmp_path / f"a{suffix}"
    tensors = {prefix + name: tensor for name, tensor in model.state_dict().items()}
    torch.save(tensors, file) if suffix == ".pt" else save_file(tensors, file)
    found = fit(checkpoint_files.read(file), target)
    load_weights(target, found, "x")
    assert any("pruning masks are kept, those of 3 tensors" in note for note in found.notes)
    written = found.restored(tensors_like(target, found))
    assert written.keys() == tensors.keys()
    for name, tensor in written.items():
        mask = tensors.get(name.replace("_orig", "_mask")) if name.endswith("_orig") else None
        assert torch.equal(tensor, tensors[name] if mask is None else tensors[name] * mask)
    model.load_state_dict({name.removeprefix(prefix): one for name, one in written.items()})
    same(dict(target.state_dict()), dict(permanent(model).state_dict()))


def test_a_module_that_is_pruned_itself_gets_the_tensors_as_they_are(tmp_path: Path) -> None:
    model, target, file = masked(), masked(), tmp_path / "a.pt"
    torch.save(model.state_dict(), file)
    found = fit(checkpoint_files.read(file), target)
    load_weights(target, found, "x")
    same(dict(target.state_dict()), dict(model.state_dict()))
    assert found.restored(target.state_dict()).keys() == model.state_dict().keys()


def test_commands_read_masks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`inspect` names them with and without an architecture, and `convert` keeps them."""
    model, file, out = tiny_cnn(3, 1), tmp_path / "a.pt", tmp_path / "b.safetensors"
    prune.l1_unstructured(model[3], "weight", 0.5)  # type: ignore[index]
    torch.save({f"module.{name}": one for name, one in model.state_dict().items()}, file)
    for more in ((), ("--arch", "tiny-cnn"), ("--arch", "resnet18")):
        assert run(["inspect", str(file), "--json", *more]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert facts["tensors"] == len(tiny_cnn(3, 1).state_dict())
        notes = " ".join(facts["notes"])
        assert "pruning masks are kept" in notes
        assert "unlearning keeps them at zero" in notes
    assert run(["convert", str(file), "--arch", "tiny-cnn", "--out", str(out)]) == 0
    assert checkpoint_files.read(out).tensors.keys() == model.state_dict().keys()
