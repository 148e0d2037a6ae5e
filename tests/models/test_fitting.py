"""Names of a checkpoint and of a module: wrappers, ties, averages and extra tensors."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file, save_model
from torch import Tensor, nn

from falw_cli.errors import RequestError
from falw_cli.models import checkpoint_files
from falw_cli.models.checkpoint import Checkpoint, load_weights, tensors_like
from falw_cli.models.fitting import fit, tolerated, unwrap

WRAPPERS = ["", "module.", "_orig_mod.", "_module.", "timm_model.", "model.", "net.", "backbone.",
            "my_attribute.", "module._orig_mod.", "_orig_mod.module.", "module.model.",
            "model._orig_mod.", "model.timm_model.", "module.model.net.backbone."]  # fmt: skip
ATTRIBUTES = ["model", "net", "network", "backbone", "module", "timm_model", "encoder"]


def plain(width: int = 4) -> nn.Module:
    """Return a small network with BatchNorm."""
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.Linear(width, 2))


class Own(nn.Module):
    """A network whose own attribute has a wrapper's name."""

    def __init__(self, name: str) -> None:
        """Args: name, of the attribute."""
        super().__init__()
        self.add_module(name, plain())


class Tied(nn.Module):
    """A network with one parameter under two names."""

    def __init__(self) -> None:
        """Make the layers."""
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.stem = self.conv
        self.fc = nn.Linear(4, 2)


def read(file: Path, tensors: dict[str, Tensor]) -> Checkpoint:
    """Return tensors as a checkpoint that was written and read."""
    if file.suffix == ".pt":
        torch.save(tensors, file)
    else:
        save_file({name: t.clone() for name, t in tensors.items()}, file)
    return checkpoint_files.read(file)


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    """Assert that tensors are equal to the bit, by name."""
    torch.testing.assert_close(one, other, rtol=0, atol=0)


def round_trip(found: Checkpoint, model: nn.Module, target: nn.Module, arch: str = "x") -> None:
    """Assert that the target gets the model's weights, and that writing restores the file."""
    load_weights(target, found, arch)
    same(dict(target.state_dict()), dict(model.state_dict()))
    ((out, content),) = checkpoint_files.written(
        found.path.with_name(f"out{found.path.suffix}"), tensors_like(target, found), None, found
    ).items()
    out.write_bytes(content)
    same(checkpoint_files.read(out).tensors, checkpoint_files.read(found.path).tensors)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("attribute", ["", *ATTRIBUTES])
def test_wrappers_are_stripped_where_the_module_lacks_them(
    tmp_path: Path, wrapper: str, attribute: str, suffix: str
) -> None:
    model, target = (Own(attribute) if attribute else plain() for _ in range(2))
    file = tmp_path / f"a{suffix}"
    found = read(file, {wrapper + name: t for name, t in model.state_dict().items()})
    fitted = fit(found, target)
    assert fitted.prefix == wrapper
    round_trip(fitted, model, target)


@pytest.mark.parametrize(
    "rename",
    [lambda n: n.replace("0.", "0.module.", 1), lambda n: n.replace("0.", "0._orig_mod.", 1),
     lambda n: "model." + n.replace("1.", "1._fsdp_wrapped_module.", 1),
     lambda n: "module." + n.replace("1.", "1._checkpoint_wrapped_module.", 1)],
)  # fmt: skip
def test_wrappers_inside_the_names(tmp_path: Path, rename: Any) -> None:
    """`features = DataParallel(features)`, and parts that are compiled or checkpointed."""
    model, target = plain(), plain()
    found = fit(
        read(tmp_path / "a.pt", {rename(k): v for k, v in model.state_dict().items()}), target
    )
    assert "are named otherwise than the module's" in found.notes[0]
    round_trip(found, model, target)


def test_a_wrapper_of_the_module_that_the_file_lacks(tmp_path: Path) -> None:
    model, target = plain(), Own("model")
    found = fit(read(tmp_path / "a.pt", dict(model.state_dict())), target)
    load_weights(target, found, "x")
    same(dict(target.get_submodule("model").state_dict()), dict(model.state_dict()))
    assert set(found.restored(tensors_like(target, found))) == set(model.state_dict())


EXTRAS = ["criterion.pos_weight", "loss.weight", "loss_fn.class_weights", "ce_loss.weight",
          "acc.tp", "train_acc.correct", "val_metrics.total", "valAuroc.confmat", "pos_weight",
          "0.total_ops", "total_params", "test_f1.tp"]  # fmt: skip


@pytest.mark.parametrize("prefix", ["", "model."])
@pytest.mark.parametrize("extra", EXTRAS)
def test_extra_tensors_of_losses_and_metrics_are_kept(
    tmp_path: Path, extra: str, prefix: str
) -> None:
    model, target = plain(), plain()
    tensors = {prefix + name: t for name, t in model.state_dict().items()}
    found = fit(read(tmp_path / "a.pt", {**tensors, extra: torch.rand(2)}), target)
    assert list(found.extras) == [extra]
    assert any(extra in note and "kept as they are" in note for note in found.notes)
    assert any("multi-label" in note for note in found.notes) == extra.endswith("pos_weight")
    round_trip(found, model, target)


@pytest.mark.parametrize("prefix", ["", "model."])
@pytest.mark.parametrize(
    "extra",
    ["3.weight", "0.bias2", "head_dist.weight", "dist_token", "normalize.mean", "mean", "fc.weight",
     "aux.weight", "accumulator.weight", "1.loss"],
)  # fmt: skip
def test_other_extra_tensors_are_refused(tmp_path: Path, extra: str, prefix: str) -> None:
    """They may be layers of another architecture, or a normalisation of the inputs."""
    tensors = {prefix + name: t for name, t in plain().state_dict().items()}
    found = fit(read(tmp_path / "a.pt", {**tensors, extra: torch.rand(2)}), plain())
    assert found.extras == {}
    with pytest.raises(RequestError, match=f"is not a x: .*{extra} is unexpected"):
        load_weights(plain(), found, "x")


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("prefix", ["model.", "module."])
@pytest.mark.parametrize("extra", ["2.bias", "0.weight"])
def test_an_extra_tensor_never_replaces_one_of_the_network(
    tmp_path: Path, extra: str, prefix: str, suffix: str
) -> None:
    """`self.model = net` beside a second head, `self.head`, of a LightningModule."""
    tensors = {prefix + name: t for name, t in plain().state_dict().items()}
    whole = {**tensors, extra: torch.rand_like(tensors[prefix + extra])}
    with pytest.raises(RequestError, match=rf"two tensors that could be {extra} .*{prefix}{extra}"):
        fit(read(tmp_path / f"a{suffix}", whole), plain())


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_prefix_on_some_names_only_is_noted_and_restored(tmp_path: Path, suffix: str) -> None:
    model, target = plain(), plain()
    tensors = {
        name if name == "2.bias" else f"model.{name}": t for name, t in model.state_dict().items()
    }
    found = fit(read(tmp_path / f"a{suffix}", tensors), target)
    assert "are named otherwise than the module's" in found.notes[0]
    round_trip(found, model, target)


class Stateful(nn.Linear):
    """A layer with state that is no tensor."""

    def get_extra_state(self) -> dict[str, int]:
        """Return it."""
        return {"version": 1}

    def set_extra_state(self, state: object) -> None:
        """Take it."""


def test_state_that_is_no_tensor_is_refused(tmp_path: Path) -> None:
    found = read(tmp_path / "a.pt", dict(nn.Linear(4, 2).state_dict()))
    with pytest.raises(RequestError, match="'_extra_state', which is no tensor"):
        fit(found, Stateful(4, 2))


def test_different_tensors_for_one_parameter_are_refused(tmp_path: Path) -> None:
    tensors = dict(Tied().state_dict())
    tensors["stem.weight"] = torch.rand_like(tensors["stem.weight"])
    with pytest.raises(RequestError, match=r"conv\.weight and stem\.weight differ"):
        fit(read(tmp_path / "a.pt", tensors), Tied())


def test_a_deeper_network_is_not_a_shallower_one(tmp_path: Path) -> None:
    from falw_cli.models.architectures import builder

    tensors = dict(builder("resnet34")(2, 3).state_dict())
    target = builder("resnet18")(2, 3)
    with pytest.raises(RequestError, match=r"is not a resnet18: .*layer1\.2.* is unexpected"):
        load_weights(target, fit(read(tmp_path / "a.pt", tensors), target), "resnet18")


def test_a_module_that_has_the_tensor_has_no_extra() -> None:
    assert tolerated("loss.weight", "", {"fc"})
    assert not tolerated("loss.bias", "", {"loss"})


AVERAGES = ["ema.", "model_ema.", "model_ema.module.", "ema_model.", "averaged_model.module.",
            "swa_model.", "emaModel.", "shadow."]  # fmt: skip


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("raw", ["", "model."])
@pytest.mark.parametrize("key", ["", "state_dict"])
def test_averages_beside_the_weights(tmp_path: Path, key: str, raw: str, average: str) -> None:
    one, other, target = plain(), plain(), plain()
    tensors = {raw + k: v for k, v in one.state_dict().items()}
    tensors |= {average + k: v for k, v in other.state_dict().items()}
    tensors |= {average.partition(".")[0] + ".n_averaged": torch.tensor(3)}
    file = tmp_path / "a.pt"
    torch.save({key: tensors} if key else tensors, file)
    with pytest.raises(RequestError, match="two sets of weights that differ") as refused:
        fit(checkpoint_files.read(file), target)
    assert "--weights ema or --weights raw" in refused.value.hint
    for wanted, model, left in (("raw", one, raw), ("ema", other, average)):
        found = fit(checkpoint_files.read(file, wanted), target)  # type: ignore[arg-type]
        load_weights(target, found, "x")
        same(dict(target.state_dict()), dict(model.state_dict()))
        written = found.restored(tensors_like(target, found))
        assert {k for k in written if not k.endswith("n_averaged")} == {
            left + k for k in model.state_dict()
        }
        assert any("left out of the output" in note for note in found.notes)


def test_equal_averages_need_no_choice_and_are_left_out(tmp_path: Path) -> None:
    model, target = plain(), plain()
    tensors = {p + k: v for p in ("", "ema.") for k, v in model.state_dict().items()}
    found = fit(read(tmp_path / "a.pt", tensors), target)
    assert set(found.restored(tensors_like(target, found))) == set(model.state_dict())


def test_averages_under_other_names_are_never_written(tmp_path: Path) -> None:
    """The averages of latent diffusion have names without dots."""
    model, target = plain(), plain()
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    tensors |= {f"model_ema.{k.replace('.', '')}": v + 1 for k, v in model.state_dict().items()}
    read(tmp_path / "a.pt", tensors)
    for wanted in (None, "ema"):
        with pytest.raises(RequestError, match="averaged weights beside"):
            fit(checkpoint_files.read(tmp_path / "a.pt", wanted), target)  # type: ignore[arg-type]
    found = fit(checkpoint_files.read(tmp_path / "a.pt", "raw"), target)
    assert set(found.restored(tensors_like(target, found))) == {
        f"model.{k}" for k in model.state_dict()
    }


def test_an_averaged_model_alone(tmp_path: Path) -> None:
    averaged = torch.optim.swa_utils.AveragedModel(plain())
    target = plain()
    found = fit(read(tmp_path / "a.pt", dict(averaged.state_dict())), target)
    load_weights(target, found, "x")
    assert (found.prefix, list(found.extras)) == ("module.", ["n_averaged"])
    averaged.load_state_dict(found.restored(tensors_like(target, found)))


@pytest.mark.parametrize("key", ["", "ema", "state_dict"])
def test_both_networks_of_ema_pytorch(tmp_path: Path, key: str) -> None:
    networks, target = {"online_model.": plain(), "ema_model.": plain()}, plain()
    counts = {"initted": torch.tensor(True), "step": torch.tensor(7)}
    whole = {p + k: v for p, one in networks.items() for k, v in one.state_dict().items()} | counts
    torch.save({key: whole} if key else whole, tmp_path / "a.pt")
    with pytest.raises(RequestError, match=r"differ: 'online_model\.' and .* 'ema_model\.'"):
        fit(checkpoint_files.read(tmp_path / "a.pt"), target)
    for wanted, prefix in (("raw", "online_model."), ("ema", "ema_model.")):
        found = fit(checkpoint_files.read(tmp_path / "a.pt", wanted), target)  # type: ignore[arg-type]
        load_weights(target, found, "x")
        same(dict(target.state_dict()), dict(networks[prefix].state_dict()))
        written = found.restored(tensors_like(target, found))
        assert set(written) == {prefix + k for k in target.state_dict()} | set(counts)
        torch.save(written, tmp_path / "out.pt")
        load_weights(target, fit(checkpoint_files.read(tmp_path / "out.pt"), target), "x")


@pytest.mark.parametrize("shared", [True, False])
def test_ema_pytorch_as_an_attribute_of_a_lightning_module(tmp_path: Path, shared: bool) -> None:
    """Its online model is the network itself, under a second name."""
    networks, target = {"net.": plain(), "ema.ema_model.": plain()}, plain()
    networks["ema.online_model."] = networks["net."] if shared else plain()
    counts = {"ema.initted": torch.tensor(True), "ema.step": torch.tensor(7)}
    whole = {p + k: v for p, one in networks.items() for k, v in one.state_dict().items()} | counts
    torch.save({"state_dict": whole}, tmp_path / "a.pt")
    said = r"'net\.' and the averaged \(EMA\) 'ema\.ema_model\.'" if shared else "2 copies of the"
    with pytest.raises(RequestError, match=said):
        fit(checkpoint_files.read(tmp_path / "a.pt"), target)
    for wanted, prefix in (("raw", "net."), ("ema", "ema.ema_model.")) if shared else ():
        found = fit(checkpoint_files.read(tmp_path / "a.pt", wanted), target)  # type: ignore[arg-type]
        load_weights(target, found, "x")
        same(dict(target.state_dict()), dict(networks[prefix].state_dict()))
        written = found.restored(tensors_like(target, found))
        kept = set(counts) if wanted == "ema" else set()
        assert set(written) == {prefix + k for k in target.state_dict()} | kept


@pytest.mark.parametrize("file", ["a.pt", "a.safetensors", "with key.pt"])
def test_two_networks_in_one_file_are_refused_with_the_command_that_saves_one(
    tmp_path: Path, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    student = plain()
    tensors = {f"student.{k}": v for k, v in student.state_dict().items()}
    tensors |= {f"teacher.{k}": v for k, v in plain().state_dict().items()}
    read(tmp_path / file, {"state_dict": tensors} if "key" in file else tensors)  # type: ignore[dict-item]
    with pytest.raises(RequestError, match=r"2 copies of the network: student\., teach") as refused:
        fit(checkpoint_files.read(tmp_path / file), plain())
    monkeypatch.chdir(tmp_path)
    command = shlex.split(refused.value.hint.partition("python ")[2])
    subprocess.run([sys.executable, *command], check=True)
    (alone,) = tmp_path.glob("weights.*")
    same(checkpoint_files.read(alone).tensors, dict(student.state_dict()))


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_tied_tensors(tmp_path: Path, suffix: str, prefix: str) -> None:
    model, target = Tied(), Tied()
    tensors = {prefix + name: t for name, t in model.state_dict().items()}
    round_trip(fit(read(tmp_path / f"a{suffix}", tensors), target), model, target)


@pytest.mark.parametrize("out", ["b.pt", "b.safetensors"])
def test_a_tied_tensor_under_one_name(tmp_path: Path, out: str) -> None:
    """`safetensors.torch.save_model` keeps one of the names, and so does the output."""
    model, target = Tied(), Tied()
    file = tmp_path / "a.safetensors"
    save_model(model, str(file))
    found = fit(checkpoint_files.read(file), target)
    assert len(found.names or ()) == 4
    round_trip(found, model, target)
    written = checkpoint_files.written(tmp_path / out, tensors_like(target, found), None, found)
    (tmp_path / out).write_bytes(written[tmp_path / out])
    again = Tied()
    load_weights(again, fit(checkpoint_files.read(tmp_path / out), again), "x")
    same(dict(again.state_dict()), dict(model.state_dict()))


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_counters_that_old_torch_did_not_write(tmp_path: Path, prefix: str, suffix: str) -> None:
    model, target = plain(), plain()
    tensors = {prefix + k: v for k, v in model.state_dict().items() if "num_batches" not in k}
    found = fit(read(tmp_path / f"a{suffix}", tensors), target)
    round_trip(found, model, target)
    tensors.pop(f"{prefix}0.weight")
    found = fit(read(tmp_path / f"b{suffix}", tensors), target)
    with pytest.raises(RequestError, match=r"0\.weight is missing"):
        load_weights(target, found, "x")


def test_differences_are_named_below_the_prefix(tmp_path: Path) -> None:
    tensors = {f"module.{k}": v for k, v in plain(5).state_dict().items() if k != "2.bias"}
    found = fit(read(tmp_path / "a.pt", tensors), plain())
    with pytest.raises(RequestError, match=r"0\.weight is 5x3x3x3, expected 4x3x3x3"):
        load_weights(plain(), found, "x")
    found = fit(
        read(tmp_path / "b.pt", {k: v for k, v in tensors.items() if "0" not in k}), plain()
    )
    with pytest.raises(RequestError, match=r"0\.weight is missing"):
        load_weights(plain(5), found, "x")


def test_prefixes_that_are_probably_a_wrappers() -> None:
    one = torch.zeros(1)
    assert unwrap({"module.model.a": one, "module.model.b": one})[0] == "module.model."
    assert unwrap({"model.a": one, "mode.b": one}) == ("", {"model.a": one, "mode.b": one})
    assert unwrap({}) == ("", {})
