"""Checkpoints: reading and writing preserve the content, and invalid weights are not written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from falw_cli.config.settings import Preprocessing, TrainRecipe
from falw_cli.errors import RequestError, RunError
from falw_cli.models import checkpoint, checkpoint_files
from falw_cli.models.architectures import tiny_cnn
from falw_cli.models.checkpoint import Metadata
from falw_cli.models.fitting import fit
from falw_cli.models.formats import safetensors

METADATA = Metadata(
    arch="tiny-cnn",
    classes=("a", "b"),
    preprocessing=Preprocessing(image_size=8, resize=8, mean=(0.5,), std=(0.2,)),
    recipe=TrainRecipe(),
    parent="0" * 64,
)


def write(path: Path, prefix: str = "", dtype: torch.dtype = torch.float32) -> torch.nn.Module:
    model = tiny_cnn(2, 1)
    tensors = {
        prefix + name: tensor.to(dtype) if tensor.is_floating_point() else tensor
        for name, tensor in model.state_dict().items()
    }
    save_file(tensors, path)
    return model


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "model.", "module._orig_mod."])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_prefixes_and_dtypes_are_restored(tmp_path: Path, prefix: str, dtype: torch.dtype) -> None:
    file = tmp_path / "a.safetensors"
    write(file, prefix, dtype)
    model = tiny_cnn(2, 1)
    found = fit(safetensors.read(file), model)
    assert found.prefix == prefix
    checkpoint.load_weights(model, found, "tiny-cnn")
    assert next(model.parameters()).dtype == torch.float32
    again = tmp_path / "b.safetensors"
    tensors = found.restored(checkpoint.tensors_like(model, found))
    again.write_bytes(safetensors.write(tensors, METADATA, found))
    with safe_open(file, "pt") as one, safe_open(again, "pt") as other:
        assert set(one.keys()) == set(other.keys())
        for name in one.keys():  # noqa: SIM118
            assert one.get_tensor(name).dtype == other.get_tensor(name).dtype
            assert torch.equal(one.get_tensor(name), other.get_tensor(name))


def test_the_first_tensors_that_differ_are_named(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    write(file)
    with pytest.raises(RequestError, match=r"0\.weight is 32x1x3x3, expected 32x3x3x3"):
        checkpoint.load_weights(tiny_cnn(2, 3), safetensors.read(file), "tiny-cnn")


@pytest.mark.parametrize(
    ("change", "said"),
    [(lambda t: t.to_sparse(), "tensor 16.weight is sparse coo, not dense"),
     (lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8), "is quantized"),
     (lambda t: t.to(torch.float8_e4m3fn), "is float8_e4m3fn"),
     (lambda t: t.to("meta"), "is on the device meta"),
     (lambda t: (t * 99).to(torch.int8), "is int8, expected floating-point numbers"),
     (lambda t: t.to(torch.complex64), "is complex64, expected floating-point numbers")],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore")  # torch deprecates quantized tensors
def test_weights_that_cannot_be_trained_are_refused(
    tmp_path: Path, change: Callable[[Tensor], Tensor], said: str
) -> None:
    model = tiny_cnn(2, 1)
    whole = model.state_dict()
    torch.save({**whole, "16.weight": change(whole["16.weight"])}, tmp_path / "a.pt")
    with pytest.raises(RequestError, match=said):
        checkpoint.load_weights(model, fit(checkpoint_files.read(tmp_path / "a.pt"), model), "x")


def test_a_network_that_diverged_is_never_written(tmp_path: Path) -> None:
    """The last step may diverge after the last loss, and half precision may overflow."""
    write(tmp_path / "half.safetensors", dtype=torch.float16)
    source = safetensors.read(tmp_path / "half.safetensors")
    model = tiny_cnn(2, 1)
    with torch.no_grad():
        model.get_parameter("0.weight")[0] = 1e6
    checkpoint.check_finite(model.state_dict())
    with pytest.raises(RunError, match=r"0\.weight is not finite in torch\.float16"):
        checkpoint.tensors_like(model, source)
