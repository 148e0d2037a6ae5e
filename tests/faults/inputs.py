"""Kinds of untrusted input: valid examples, and the reader that each is fed to."""

from __future__ import annotations

import argparse
import io
import json
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torchvision.io import encode_jpeg, encode_png

from falw_cli.audit.seal import to_text
from falw_cli.bench import plan
from falw_cli.config.resolution import resolve
from falw_cli.config.settings import Config, Preprocessing, Recipe
from falw_cli.data import forget_list, images
from falw_cli.data.images import Geometry
from falw_cli.data.listing import Listing
from falw_cli.data.metadata import columns_of
from falw_cli.data.opening import open_listing
from falw_cli.errors import FalwError
from falw_cli.models import checkpoint_files
from falw_cli.models.architectures import tiny_cnn
from falw_cli.models.checkpoint import KEY
from falw_cli.runs.inspection import inspect_path
from falw_cli.runs.publish import FORMATS, publish
from falw_cli.runtime.progress import Silent
from falw_cli.training.recipe import optimizer
from falw_cli.training.state import State, StateFile
from tests.audit.reports import report

PNG = bytes(encode_png(torch.zeros(3, 8, 8, dtype=torch.uint8)).numpy())


def checkpoint_seeds() -> Iterator[bytes]:
    """Yield a small model without metadata, with falw metadata and with foreign metadata."""
    tensors = {name: t.contiguous() for name, t in tiny_cnn(3, 1).state_dict().items()}
    few = {name: tensors[name] for name in list(tensors)[:3]}
    notes = {"arch": "tiny-cnn", "classes": ["a", "b", "c"], "preprocessing": {"image_size": 8}}
    yield save(few)
    yield save(few, metadata={KEY: json.dumps(notes)})
    yield save(tensors, metadata={KEY: json.dumps(notes)})
    yield save(_masked(few))
    yield save({"x": torch.zeros(2, 3)}, metadata={"made by": "\x1b[31m<script>"})


def _masked(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return wrapped tensors with pruning masks."""
    masked = {f"module.{name}_orig": tensor for name, tensor in tensors.items()}
    return masked | {f"module.{name}_mask": torch.ones_like(t) for name, t in tensors.items()}


def torch_seeds() -> Iterator[bytes]:
    """Yield a state dict, and training dictionaries with averages and inert types, new and old."""
    tensors = dict(list(tiny_cnn(3, 1).state_dict().items())[:3])
    beside = {
        "args": argparse.Namespace(lr=0.1, out=Path("x")), "best": np.float64(0.5), "epoch": 3,
        "rng": np.random.RandomState(0).get_state()[2:], "shape": np.zeros(2),
    }  # fmt: skip
    both = {"state_dict": tensors, "ema": {"module": tensors}, **beside}
    unnamed = {"model": tensors, "ema": {"shadow_params": [*tensors.values()], "decay": 0.9}}
    for whole in (tensors, both, {"model": _masked(tensors)}, unnamed):
        for new in (True, False):
            stream = io.BytesIO()
            torch.save(whole, stream, _use_new_zipfile_serialization=new)
            yield stream.getvalue()


def foreign_seeds() -> Iterator[bytes]:
    """Yield a file without a suffix for each kind of content."""
    yield from (next(checkpoint_seeds()), *torch_seeds(), *npz_seeds())
    yield b"\x08\x07\x12\x07pytorch"
    yield b"\x89HDF\r\n\x1a\n" + b"0" * 100


def state_seeds() -> Iterator[bytes]:
    """Yield a saved run state of a small model."""
    module = tiny_cnn(3, 1)
    with tempfile.TemporaryDirectory() as folder:
        file = StateFile(Path(folder) / "x", {}, resume=True)
        file.save(State.of(module, optimizer(module, Recipe()), {}, 3, 1.5))
        yield file.path.read_bytes()


def npz_seeds() -> Iterator[bytes]:
    """Yield images, labels and a column, and parts as MedMNIST has them, also compressed."""
    pixels, labels = np.zeros((4, 8, 8, 3), np.uint8), np.array([0, 1, 0, 1])
    plain = {"images": pixels, "labels": labels, "ids": np.array(list("abcd")), "age": labels / 2}
    parts = {}
    for part in ("train", "val", "test"):
        parts |= {f"{part}_images": pixels[..., 0], f"{part}_labels": labels[:, None]}
    for write in (np.savez, np.savez_compressed):
        for arrays in (plain, parts):
            stream = io.BytesIO()
            write(stream, **arrays)
            yield stream.getvalue()


def list_csv_seeds() -> Iterator[bytes]:
    """Yield lists of IDs as CSV: with a column id, and with a single column."""
    yield b"id,note\na/1.jpg,x\nb/2.jpg,y\n"
    yield '\ufeffid\r\n"a, 1"\r\nü\r\n'.encode()
    yield b"a/1.jpg\nb/2.jpg\n"


def json_seeds() -> Iterator[bytes]:
    """Yield lists of IDs as JSON."""
    yield b'["a/1.jpg", "b/2.jpg", 3]'
    yield '[\n "ü", "\\u00e9"\n]'.encode()


def jsonl_seeds() -> Iterator[bytes]:
    """Yield lists of IDs as JSON Lines: objects, text and numbers."""
    yield b'{"id": "a/1.jpg", "note": [1]}\n{"id": 3}\n'
    yield b'"a/1.jpg"\n7\n\n'


def npy_seeds() -> Iterator[bytes]:
    """Yield lists of IDs as arrays of text, bytes and numbers."""
    for array in (np.array(["a", "bc"]), np.array([b"a", b"bc"]), np.arange(3)):
        stream = io.BytesIO()
        np.save(stream, array)
        yield stream.getvalue()


def metadata_seeds() -> Iterator[bytes]:
    """Yield metadata of samples as CSV."""
    yield b"id,person,age\na,17,3\nb,18,\nc,17,4.5\nd,,\n"
    yield b'id;person\r\na;"1, 7"\r\nb;2\r\n'


def _parquet(columns: dict[str, list[Any]], **options: Any) -> bytes:
    import pyarrow
    import pyarrow.parquet

    stream = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), stream, **options)
    return stream.getvalue()


def metadata_parquet_seeds() -> Iterator[bytes]:
    """Yield metadata of samples as Parquet."""
    yield _parquet({"id": list("abcd"), "person": [17, 18, None, 17], "more": [[1], [], [2], None]})
    yield _parquet({"id": [0, 1, 2], "where": ["x", "y", "x"]}, compression="gzip")


def parquet_seeds() -> Iterator[bytes]:
    """Yield images as Hugging Face's datasets have them, and as bare bytes."""
    cells = [{"bytes": PNG, "path": None}, {"bytes": PNG, "path": "a.png"}]
    yield _parquet({"image": cells, "label": [0, 1], "person": ["x", None]})
    yield _parquet({"id": ["a", "b"], "image": [PNG, PNG], "label": ["x", "y"]}, compression="none")


def shard_seeds() -> Iterator[bytes]:
    """Yield a tar shard with images, labels, columns and further files."""
    for form in (tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
            for number in range(2):
                columns = json.dumps({"person": number}).encode()
                members = {"png": PNG, "cls": b"%d" % number, "json": columns, "x.npy": b"x"}
                for kind, content in members.items():
                    about = tarfile.TarInfo(f"ü/{number}.{kind}")
                    about.size = len(content)
                    archive.addfile(about, io.BytesIO(content))
        yield stream.getvalue()


def csv_seeds() -> Iterator[bytes]:
    """Yield paths and labels, plain and quoted."""
    yield b"path,label\na/0.png,a\nb/1.png,b\n"
    yield b'id,path,label\r\nx,"a/0.png",a\r\ny,"b/1.png",b\r\n'


def image_seeds() -> Iterator[bytes]:
    """Yield JPEG and PNG images, colour and grey, and a GIF."""
    picture = torch.randint(0, 255, (3, 16, 12), generator=torch.Generator().manual_seed(0))
    for some in (picture.byte(), picture[:1].byte()):
        yield bytes(encode_jpeg(some).numpy())
        yield bytes(encode_png(some).numpy())
    yield (
        b"GIF89a\x02\x00\x02\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x00\x00\x00\x00\x00,"
        b"\x00\x00\x00\x00\x02\x00\x02\x00\x00\x02\x03D\x02\x05\x00;"
    )


def yaml_seeds() -> Iterator[bytes]:
    """Yield the shipped configs."""
    for file in sorted((Path(__file__).parents[2] / "sample_configs").glob("*.yaml")):
        yield file.read_bytes()


def report_seeds() -> Iterator[bytes]:
    """Yield a report that has every section."""
    yield to_text(report()).encode()


def inspect(file: Path) -> None:
    """Read the file as `falw inspect` does."""
    inspect_path(str(file), Config(), Silent())


def read_list(file: Path) -> None:
    """Read the file as a forget list, without and with IDs that are known."""
    forget_list.read(str(file))
    forget_list.read(str(file), ("a/1.jpg", "#1"))


def read_source(kind: str, file: Path) -> None:
    """Read the file as a data source, with its columns and its first image."""
    listing = open_listing(f"{kind}:{file}")
    columns_of(listing, None, Silent())
    if listing.array is None and kind != "csv":
        images.geometry(listing, Preprocessing(), None)
        images.load(listing, Config(cache=False), Geometry(8, 8, 3), Silent())


def read_metadata(file: Path) -> None:
    """Read the file as the metadata of four samples."""
    labels, pixels = np.zeros(4, np.int64), np.zeros((4, 8, 8, 3), np.uint8)
    listing = Listing("x", "x", tuple("abcd"), labels, ("x",), array=pixels)
    columns_of(listing, str(file), Silent())


def read_image(file: Path) -> None:
    """Read the file as an image folder with one image."""
    folder = file.parent / "images" / "class"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "0.png").write_bytes(file.read_bytes())
    listing = open_listing(f"imagefolder:{folder.parent}")
    images.load(listing, Config(cache=False), Geometry(8, 8, 3), Silent())
    images.geometry(listing, Preprocessing(), None)


def read_yaml(file: Path) -> None:
    """Read the file as a config, and as a bench config if that fails."""
    try:
        resolve("unlearn", {}, file)
    except FalwError:
        plan.entries(plan.read(file))


def show_report(file: Path) -> None:
    """Read the report, and show it in every format."""
    for form in FORMATS:
        publish([file], form, "-", force=False)


def read_state(file: Path) -> None:
    """Read the file as a saved run state."""
    StateFile(file, {}, resume=True).load(Silent())


@dataclass(frozen=True)
class Kind:
    """A kind of input: valid examples, the reader, and the file suffix."""

    seeds: Callable[[], Iterator[bytes]]
    read: Callable[[Path], object]
    suffix: str
    needs: str | None = None
    """Library that the examples and the reader need, if it belongs to an extra."""


KINDS = {
    "checkpoint": Kind(checkpoint_seeds, inspect, ".safetensors"),
    "torch": Kind(torch_seeds, inspect, ".pt"),
    "model": Kind(foreign_seeds, checkpoint_files.read, ""),
    "state": Kind(state_seeds, read_state, ".state"),
    "list": Kind(
        lambda: iter((b"a/1.jpg\nb/2.jpg\n", "# ä\r\nü/1\r\n".encode())), read_list, ".txt"
    ),
    "list-csv": Kind(list_csv_seeds, read_list, ".csv"),
    "list-json": Kind(json_seeds, read_list, ".json"),
    "list-jsonl": Kind(jsonl_seeds, read_list, ".jsonl"),
    "list-npy": Kind(npy_seeds, read_list, ".npy"),
    "metadata": Kind(metadata_seeds, read_metadata, ".csv"),
    "metadata-parquet": Kind(metadata_parquet_seeds, read_metadata, ".parquet", "pyarrow"),
    "npz": Kind(npz_seeds, partial(read_source, "npz"), ".npz"),
    "csv": Kind(csv_seeds, partial(read_source, "csv"), ".csv"),
    "parquet": Kind(parquet_seeds, partial(read_source, "parquet"), ".parquet", "pyarrow"),
    "webdataset": Kind(shard_seeds, partial(read_source, "webdataset"), ".tar"),
    "image": Kind(image_seeds, read_image, ".bin"),
    "yaml": Kind(yaml_seeds, read_yaml, ".yaml"),
    "report": Kind(report_seeds, show_report, ".json"),
}
