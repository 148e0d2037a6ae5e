"""torch files: which weights a training dictionary holds, and what is kept of the rest."""

from __future__ import annotations

import shlex
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from falw_cli.errors import RequestError
from falw_cli.models import checkpoint_files

RAW, EMA = {"w": torch.rand(2, 3)}, {"w": torch.rand(2, 3)}


def saved(file: Path, whole: Any) -> Path:
    """Write a file of torch and return its path."""
    torch.save(whole, file)
    return file


def put_back(file: Path, found: checkpoint_files.Checkpoint, new: dict[str, Tensor]) -> Any:
    """Return what torch loads of a checkpoint that is written with new weights."""
    out = file.with_name("out.pt")
    out.write_bytes(checkpoint_files.written(out, new, None, found)[out])
    return torch.load(out, weights_only=True)


BOTH: dict[str, tuple[Any, list[str], list[str]]] = {
    "timm": ({"state_dict": RAW, "state_dict_ema": EMA}, ["state_dict"], ["state_dict_ema"]),
    "torchvision": ({"model": RAW, "model_ema": EMA}, ["model"], ["model_ema"]),
    "ema": ({"state_dict": RAW, "ema": EMA}, ["state_dict"], ["ema"]),
    "nested": ({"model": RAW, "ema": {"module": EMA, "decay": 0.9}}, ["model"], ["ema", "module"]),
    "both nested": (
        {"model": {"state_dict": RAW}, "ema_model": {"state_dict": EMA}},
        ["model", "state_dict"], ["ema_model", "state_dict"],
    ),
    "swa": ({"net": RAW, "swa_state_dict": EMA}, ["net"], ["swa_state_dict"]),
    "averaged": ({"net": RAW, "averaged_model": EMA}, ["net"], ["averaged_model"]),
    "camel case": ({"model": RAW, "modelEma": EMA}, ["model"], ["modelEma"]),
    "lightning": (
        {"state_dict": EMA, "current_model_state": RAW}, ["current_model_state"], ["state_dict"],
    ),
    "BasicSR": ({"params": RAW, "params_ema": EMA}, ["params"], ["params_ema"]),
    "within the averages": ({"model": RAW, "ema": {"ema_model": EMA}}, ["model"],
                            ["ema", "ema_model"]),
    "one entry": ({"model": {"state_dict": RAW, "ema": EMA}}, ["model", "state_dict"],
                  ["model", "ema"]),
    "shadow": ({"net": RAW, "shadow": EMA}, ["net"], ["shadow"]),
    "averages first": ({"emaNet2": EMA, "net2": RAW}, ["net2"], ["emaNet2"]),
    "other names": ({"classifier": RAW, "ema": EMA}, ["classifier"], ["ema"]),
    "wrapped": (
        {"state_dict": RAW, "ema": {f"module.{k}": v for k, v in EMA.items()}},
        ["state_dict"], ["ema"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BOTH)
def test_averages_beside_the_weights_are_chosen_and_never_mixed(tmp_path: Path, name: str) -> None:
    whole, raw, ema = BOTH[name]
    file = saved(tmp_path / "a.pt", {**whole, "epoch": 3})
    with pytest.raises(RequestError, match="two sets of weights that differ") as refused:
        checkpoint_files.read(file)
    assert repr(".".join(raw)) in str(refused.value)
    assert repr(".".join(ema)) in str(refused.value)
    assert "--weights ema or --weights raw" in refused.value.hint
    for wanted, key, values in (("raw", raw, RAW), ("ema", ema, EMA)):
        found = checkpoint_files.read(file, wanted)  # type: ignore[arg-type]
        (tensor,) = found.tensors.values()
        assert torch.equal(tensor, values["w"])
        assert f"of the weights, {'.'.join(key)!r} are used" in found.notes
        again = put_back(file, found, {"w": torch.zeros(2, 3)})
        assert again["epoch"] == 3
        assert set(again) == {"epoch", key[0]}  # the other set would keep what is forgotten
        inner = again[key[0]] if len(key) == 1 else again[key[0]][key[1]]
        assert not inner["w"].any()
        assert again[key[0]].get("decay") == (0.9 if name == "nested" and wanted == "ema" else None)


def test_equal_averages_need_no_choice(tmp_path: Path) -> None:
    file = saved(tmp_path / "a.pt", {"model": {"module.w": RAW["w"]}, "ema": RAW})
    found = checkpoint_files.read(file)
    assert found.key == ("model",)
    assert set(put_back(file, found, found.tensors)) == {"model"}


@pytest.mark.parametrize(
    ("whole", "wanted", "said"),
    [({"state_dict": RAW}, "ema", "holds no averaged"), ({"ema": EMA}, "raw", "holds no raw")],
)
def test_a_set_that_is_not_there_is_not_replaced(
    tmp_path: Path, whole: Any, wanted: Any, said: str
) -> None:
    with pytest.raises(RequestError, match=said):
        checkpoint_files.read(saved(tmp_path / "a.pt", whole), wanted)


@pytest.mark.parametrize("wanted", [None, "raw", "ema"])
def test_a_plain_state_dict_may_be_either(tmp_path: Path, wanted: Any) -> None:
    found = checkpoint_files.read(saved(tmp_path / "a.pt", RAW), wanted)
    assert torch.equal(found.tensors["w"], RAW["w"])
    assert any("--weights ema has no effect" in note for note in found.notes) == (wanted == "ema")


@pytest.mark.parametrize(
    ("whole", "key", "noted"),
    [({"state_dict": RAW}, ("state_dict",), False),
     ({"model_state_dict": RAW}, ("model_state_dict",), False), ({"ema": EMA}, ("ema",), True),
     ({"best_model": RAW}, ("best_model",), True), ({"params": RAW}, ("params",), True),
     ({"module": RAW, "iteration": 3}, ("module",), True),
     ({"model": {"module": RAW}}, ("model", "module"), True)],
)  # fmt: skip
def test_where_the_weights_are(
    tmp_path: Path, whole: Any, key: tuple[str, ...], noted: bool
) -> None:
    found = checkpoint_files.read(saved(tmp_path / "a.pt", whole))
    assert found.key == key
    assert any(repr(".".join(key)) in note for note in found.notes) == noted
    new = {"w": torch.ones(2, 3)}
    again = put_back(tmp_path / "a.pt", found, new)
    assert set(again) == set(whole)
    for one in key:
        again = again[one]
    assert torch.equal(again["w"], new["w"])


def test_weights_mixed_with_settings(tmp_path: Path) -> None:
    file = saved(tmp_path / "a.pt", {**RAW, "epoch": 3, "arch": "tiny"})
    found = checkpoint_files.read(file)
    assert list(found.tensors) == ["w"]
    new = {"w": torch.ones(2, 3)}
    assert {k: v for k, v in put_back(file, found, new).items() if k != "w"} == {
        "epoch": 3, "arch": "tiny",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("whole", "said"),
    [({"student": RAW, "teacher": EMA, "epoch": 3}, "several state dicts: student, teacher"),
     ({"epoch": 3}, "no state dict"), ([RAW], "no state dict"), (7, "no state dict")],
)  # fmt: skip
def test_no_weights_or_several_are_refused(tmp_path: Path, whole: Any, said: str) -> None:
    with pytest.raises(RequestError, match=f"holds {said}"):
        checkpoint_files.read(saved(tmp_path / "a.pt", whole))


@pytest.mark.parametrize("place", ["", "ema"])
def test_averages_without_names_are_named_and_not_written(tmp_path: Path, place: str) -> None:
    """torch_ema and diffusers keep a list of tensors."""
    averages: Any = {"shadow_params": [*EMA.values()], "collected_params": None, "decay": 0.9}
    name = f"{place}.shadow_params" if place else "shadow_params"
    averages = {place: averages} if place else averages
    with pytest.raises(RequestError, match=f"averaged weights without names: '{name}'") as refused:
        checkpoint_files.read(saved(tmp_path / "a.pt", averages))
    assert "copy_to" in refused.value.hint
    file = saved(tmp_path / "b.pt", {"model": RAW, **averages})
    found = checkpoint_files.read(file)
    assert any(f"'{name}' have no names and are not used" in note for note in found.notes)
    written = put_back(file, found, RAW)
    assert not {"shadow_params", "ema"} & set(written)
    with pytest.raises(RequestError, match="no averaged"):
        checkpoint_files.read(file, "ema")


def test_the_command_that_saves_one_of_several_state_dicts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = saved(tmp_path / "a.pt", {"student": RAW, "teacher": EMA})
    with pytest.raises(RequestError) as refused:
        checkpoint_files.read(file)
    monkeypatch.chdir(tmp_path)
    command = shlex.split(refused.value.hint.partition("python ")[2])
    subprocess.run([sys.executable, *command], check=True)
    found = checkpoint_files.read(tmp_path / "weights.pt")
    assert torch.equal(found.tensors["w"], RAW["w"])


OTHER = {"module.w": torch.rand(2, 3)}


@pytest.mark.parametrize(
    ("whole", "used", "rival"),
    [({"net": OTHER, "model": RAW}, "model", "net"),
     ({"model": OTHER, "state_dict": RAW}, "state_dict", "model"),
     ({"best_model_state_dict": OTHER, "model_state_dict": RAW}, "model_state_dict",
      "best_model_state_dict"),
     ({"model": RAW, "best": {"model": OTHER}}, "model", "best.model"),
     ({"ema": EMA, "swa": OTHER}, "ema", "swa"),
     ({"state_dict": RAW, "callbacks": {"EMACallback": {"ema_state_dict": EMA}}}, "state_dict",
      "callbacks.EMACallback.ema_state_dict"),
     ({"model": RAW, "swa": {"n": {"module.w": EMA["w"], "n_averaged": torch.ones(())}}}, "model",
      "swa.n"),
     ({"state_dict": RAW, "best": {"epoch": 3, "weights": OTHER}}, "state_dict", "best.weights"),
     ({"model": RAW, "history": [{"state": OTHER}]}, "model", "history.0.state"),
     ({"model": RAW, "best": {"model": {**EMA, "criterion.pos_weight": torch.ones(3)}}}, "model",
      "best.model"),
     ({"model": {**RAW, "criterion.pos_weight": torch.ones(3)}, "best": OTHER}, "model", "best"),
     ({"model": RAW, "best": {"weights": RAW}}, "model", None),
     ({"model": RAW, "optimizer": {"state": {0: {"exp_avg": RAW["w"]}}}}, "model", None),
     ({"model": RAW, "net": {"module.w": RAW["w"]}}, "model", None),
     ({"model": RAW, "criterion": {"weight": torch.rand(3)}}, "model", None)],
)  # fmt: skip
def test_other_weights_of_the_same_kind_are_named(
    tmp_path: Path, whole: Any, used: str, rival: str | None
) -> None:
    found = checkpoint_files.read(saved(tmp_path / "a.pt", whole))
    assert ".".join(found.key) == used
    notes = [one for one in found.notes if "differ" in one]
    said = f"the weights at {used!r} are used; those at {rival!r} differ"
    assert [one.startswith(said) for one in notes] == ([True] if rival else [])


def test_what_is_left_out_is_named(tmp_path: Path) -> None:
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.ones(2))])
    optimizer.param_groups[0]["params"][0].sum().backward()
    optimizer.step()
    whole = {"model": RAW, "optimizer": optimizer.state_dict(), "epoch": 3}
    found = checkpoint_files.read(saved(tmp_path / "a.pt", whole))
    assert found.notes[-1].endswith("only weights and settings are kept: optimizer")
    assert set(put_back(tmp_path / "a.pt", found, RAW)) == {"model", "epoch"}


def test_an_archive_that_unpacks_to_more_than_its_size_is_refused(tmp_path: Path) -> None:
    """torch allocates what the archive's directory says before it compares that with the tensor."""
    with (
        zipfile.ZipFile(saved(tmp_path / "a.pt", RAW)) as stored,
        zipfile.ZipFile(tmp_path / "b.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for member in stored.infolist():
            data = stored.read(member)
            packed.writestr(
                member.filename, bytes(1 << 24) if "/data/" in member.filename else data
            )
    with pytest.raises(RequestError, match="unpacks to 16 MiB, which is more than its size"):
        checkpoint_files.read(tmp_path / "b.pt")


def test_a_file_that_was_cut_off_is_called_incomplete(tmp_path: Path) -> None:
    whole = saved(tmp_path / "a.pt", RAW).read_bytes()
    (tmp_path / "b.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RequestError, match=r"b\.pt is incomplete: its end is missing"):
        checkpoint_files.read(tmp_path / "b.pt")
