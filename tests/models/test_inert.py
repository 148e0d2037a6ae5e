"""Inert types beside the weights are read and kept; code is never run."""

from __future__ import annotations

import argparse
import datetime
import pathlib
import pickle
import subprocess
import types
import zipfile
from collections import Counter, OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from falw_cli.errors import RequestError
from falw_cli.models import checkpoint_files, inert

WEIGHTS = {"weight": torch.rand(2, 3)}
KEPT: dict[str, Any] = {
    "namespace": argparse.Namespace(lr=0.1, layers=[1, 2], nested=argparse.Namespace(a=None)),
    "simple": types.SimpleNamespace(epoch=3),
    "float64": np.float64(0.93), "float32": np.float32(0.5), "int64": np.int64(-7),
    "big endian": np.array([1.5], ">f8")[0], "bool": np.bool_(True), "text": np.str_("acc"),
    "complex": np.complex128(1 + 2j), "dtype": np.dtype("float32"), "torch dtype": torch.float16,
    "path": pathlib.PosixPath("runs/one"), "pure": pathlib.PurePosixPath("/a"),
    "windows": pathlib.PureWindowsPath("C:/a"), "ordered": OrderedDict(b=1, a=[np.float64(2)]),
    "counter": Counter("aab"), "set": {1, 2}, "frozen": frozenset({"a"}), "tuple": (1, ("b",)),
    "date": datetime.date(2026, 1, 2), "time": datetime.datetime(2026, 1, 2, 3),
    "zone": datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc),
    "span": datetime.timedelta(hours=1), "size": torch.Size([2, 3]), "device": torch.device("cpu"),
}  # fmt: skip


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("name", KEPT)
def test_inert_values_are_kept_with_their_types(tmp_path: Path, name: str, legacy: bool) -> None:
    file, value = tmp_path / "a.pth", KEPT[name]
    whole = {"state_dict": WEIGHTS, "value": value}
    torch.save(whole, file, _use_new_zipfile_serialization=not legacy)
    found = checkpoint_files.read(file)
    assert torch.equal(found.tensors["weight"], WEIGHTS["weight"])
    new = {"weight": torch.rand(2, 3)}
    ((_, content),) = checkpoint_files.written(tmp_path / "b.pth", new, None, found).items()
    (tmp_path / "b.pth").write_bytes(content)
    again = torch.load(tmp_path / "b.pth", weights_only=False)
    assert list(again) == ["value", "state_dict"]
    assert (type(again["value"]), again["value"]) == (type(value), value)
    assert torch.equal(again["state_dict"]["weight"], new["weight"])


@pytest.mark.parametrize("shape", [(2,), (2, 1)])
@pytest.mark.parametrize("kind", ["U3", "S3", "object"])
def test_vectors_of_text_are_kept(tmp_path: Path, kind: str, shape: tuple[int, ...]) -> None:
    names = np.array(["cat", "owl"]).astype(kind).reshape(shape)
    torch.save({"state_dict": WEIGHTS, "classes": names}, tmp_path / "a.pth")
    found = checkpoint_files.read(tmp_path / "a.pth")
    assert found.around["classes"].tolist() == names.tolist()
    ((_, content),) = checkpoint_files.written(tmp_path / "b.pth", WEIGHTS, None, found).items()
    (tmp_path / "b.pth").write_bytes(content)
    again = torch.load(tmp_path / "b.pth", weights_only=False)["classes"]
    assert (again.tolist(), again.dtype) == (names.tolist(), np.dtype(kind))


LEFT_OUT: dict[str, Any] = {
    "array": np.arange(3.0), "random state": np.random.default_rng(0).bit_generator.state,
    "old random state": np.random.RandomState(0).get_state(), "tensor": torch.rand(2),
    "tensors": {"exp_avg": [torch.rand(2)]}, "array type": np.float32,
    "text beyond Unicode": np.frombuffer(b"\xff\xff\xff\x7fa\0\0\0", "<U1"),
    "surrogates": np.frombuffer(b"\0\xd8\0\0a\0\0\0", "<U1"), "empty array": np.array([]),
    "matrix of text": np.array([["a", "b"]]), "mixed array": np.array(["a", 1], object),
    "namespace of a tensor": argparse.Namespace(center=torch.rand(2)),
}  # fmt: skip


@pytest.mark.parametrize("name", LEFT_OUT)
def test_arrays_and_tensors_are_left_out_and_named(tmp_path: Path, name: str) -> None:
    """They may hold values per sample, such as losses."""
    torch.save({"state_dict": WEIGHTS, "epoch": 3, "more": LEFT_OUT[name]}, tmp_path / "a.pt")
    found = checkpoint_files.read(tmp_path / "a.pt")
    kept = name == "random state"  # numbers only
    assert set(found.around) == ({"epoch", "more"} if kept else {"epoch"})
    assert kept or found.notes == (
        "left out of the output, since only weights and settings are kept: more",
    )


def test_a_default_dictionary_becomes_a_plain_one(tmp_path: Path) -> None:
    best = defaultdict(list, {"acc": [0.5]})
    torch.save({"state_dict": WEIGHTS, "best": best}, tmp_path / "a.pt")
    assert checkpoint_files.read(tmp_path / "a.pt").around == {"best": {"acc": [0.5]}}


def pickled(name: str, state: dict[str, Any]) -> bytes:
    """Return the pickle of an object with a state, of a type that need not exist."""
    module, _, kind = name.rpartition(".")
    body = pickle.dumps(state, 2)[2:-1]
    return b"c" + f"{module}\n{kind}\n".encode() + b")\x81" + body + b"b"


def saved(file: Path, more: bytes) -> None:
    """Write a torch file whose entry `more` is a given pickle."""
    torch.save({"state_dict": WEIGHTS, "more": "PLACE"}, file)
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    place = b"X\x05\x00\x00\x00PLACE"
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            changed = content.replace(place, more) if name.endswith("data.pkl") else content
            archive.writestr(name, changed)


@pytest.mark.parametrize(
    "name",
    ["omegaconf.dictconfig.DictConfig", "omegaconf.listconfig.ListConfig",
     "omegaconf.nodes.AnyNode", "mmengine.logging.history_buffer.HistoryBuffer"],
)  # fmt: skip
def test_objects_of_other_libraries_are_passed_over(tmp_path: Path, name: str) -> None:
    """No library is imported for them."""
    saved(tmp_path / "a.pt", pickled(name, {"_content": {"lr": 0.1}, "_parent": None}))
    found = checkpoint_files.read(tmp_path / "a.pt")
    assert found.around == {}
    assert found.notes[0].endswith("are kept: more")
    assert torch.equal(found.tensors["weight"], WEIGHTS["weight"])


class Evil:
    """An object that calls a function when it is unpickled."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        """Args: function and its arguments."""
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def _evil() -> dict[str, Any]:
    import os

    return {
        "system": Evil(os.system, "touch owned"),
        "popen": Evil(subprocess.Popen, ["touch", "owned"]),
        "eval": Evil(eval, "open('owned', 'w')"), "exec": Evil(exec, "open('owned', 'w')"),
        "open": Evil(open, "owned", "w"), "getattr": Evil(getattr, "", "__class__"),
        "path": Evil(pathlib.Path.touch, pathlib.Path("owned")),
        "numpy load": Evil(np.load, "owned"), "save": Evil(np.save, "owned", 0),
        "import": Evil(__import__, "this"),
        "namespace": argparse.Namespace(a=Evil(eval, "1")),
        "in a set": Evil(set, [Evil(eval, "1")]), "torch load": Evil(torch.load, "owned"),
    }  # fmt: skip


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("name", _evil())
def test_code_is_refused(
    tmp_path: Path, name: str, legacy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(
        {"state_dict": WEIGHTS, "more": _evil()[name]}, "a.pt",
        _use_new_zipfile_serialization=not legacy,
    )  # fmt: skip
    with pytest.raises(RequestError, match="holds more than weights, which could run code"):
        checkpoint_files.read("a.pt")
    assert [file.name for file in tmp_path.iterdir()] == ["a.pt"]


@pytest.mark.parametrize(
    "state",
    [{"__class__": 1, "lr": 2}, {"__reduce_ex__": 1}, {1: 2}],
)
def test_a_namespace_with_special_names_is_left_out(tmp_path: Path, state: Any) -> None:
    saved(tmp_path / "a.pt", pickled("argparse.Namespace", state))
    assert checkpoint_files.read(tmp_path / "a.pt").around == {}


def test_a_scalar_allocates_nothing_beyond_its_content(tmp_path: Path) -> None:
    for text in ("V1000000000", "O", "f8"):
        more = (
            b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n"
            + b"(X" + len(text).to_bytes(4, "little") + text.encode() + b"tRU\x01atR"
        )  # fmt: skip
        saved(tmp_path / "a.pt", more)
        with pytest.raises(RequestError, match="cannot be loaded"):
            checkpoint_files.read(tmp_path / "a.pt")


def test_values_within_themselves_and_shared_ones() -> None:
    loop: list[Any] = [1]
    loop.append(loop)
    doubled: list[Any] = [0]
    for _ in range(60):
        doubled = [doubled, doubled]
    found, left_out = inert.kept({"loop": loop, "doubled": doubled, "a": 1})
    assert left_out == ["loop"]
    assert found["doubled"][0] is found["doubled"][1]
