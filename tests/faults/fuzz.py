"""Feed untrusted input to each reader: it accepts the input, or refuses it in two lines.

    python -m tests.faults.fuzz [--count 10000] [--seed 0] [--out docs/fuzz.md] [KIND …]
    python -m tests.faults.fuzz --guided 600 KIND

Valid files are changed by flipping, cutting, repeating and inserting bytes, and by inserting known
hostile strings. Any exception but a `FalwError` is a finding, and so are more than 10 seconds, more
than 1 GiB of memory, and a written file. Findings are saved in tests/faults/corpus/KIND, and
tests/faults/test_fuzz.py feeds them again.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import random
import resource
import signal
import struct
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, FunctionType

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
from falw_cli.data.opening import open_listing
from falw_cli.errors import FalwError
from falw_cli.models import checkpoint_files
from falw_cli.models.architectures import tiny_cnn
from falw_cli.models.formats.safetensors import KEY, read
from falw_cli.runs.publish import FORMATS, publish
from falw_cli.runtime.progress import Silent
from falw_cli.training.recipe import optimizer
from falw_cli.training.state import State, StateFile
from tests.audit.reports import report

CORPUS = Path(__file__).with_name("corpus")
SECONDS, MEMORY = 10, 1 << 30
HOSTILE = (
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"../../../etc/passwd", b"/etc/passwd", b"\x1b[31m",
    b"<script>", b"$(id)", b"{{7*7}}", b"!!python/object/apply:os.system [id]", b"&a [*a, *a]",
    b"nan", b"-1", b"1e999", b"9" * 40, b"\r\n", b"\n" * 9, b"'" * 9, b'"' * 9, b"\xe2\x80\xae",
    b"a\xcc\x88", b"[" * 99, b"{" * 99, b"null", b"true", b"NaN", b"Infinity",
    struct.pack("<Q", 2**63), struct.pack("<Q", 2**31), struct.pack(">I", 2**31), b"cos\nsystem\n",
)  # fmt: skip


def checkpoint_seeds() -> Iterator[bytes]:
    """Yield a small model without metadata, with falw metadata and with foreign metadata."""
    tensors = {name: t.contiguous() for name, t in tiny_cnn(3, 1).state_dict().items()}
    few = {name: tensors[name] for name in list(tensors)[:3]}
    notes = {"arch": "tiny-cnn", "classes": ["a", "b", "c"], "preprocessing": {"image_size": 8}}
    yield save(few)
    yield save(few, metadata={KEY: json.dumps(notes)})
    yield save({"x": torch.zeros(2, 3)}, metadata={"made by": "\x1b[31m<script>"})


def torch_seeds() -> Iterator[bytes]:
    """Yield a state dict, and training dictionaries with averages and inert types, new and old."""
    tensors = dict(list(tiny_cnn(3, 1).state_dict().items())[:3])
    beside = {
        "args": argparse.Namespace(lr=0.1, out=Path("x")), "best": np.float64(0.5), "epoch": 3,
        "rng": np.random.RandomState(0).get_state()[2:], "shape": np.zeros(2),
    }  # fmt: skip
    for whole in (tensors, {"state_dict": tensors, "ema": {"module": tensors}, **beside}):
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
    """Yield images and labels, uncompressed and compressed."""
    pixels = np.zeros((4, 8, 8, 3), np.uint8)
    for write in (np.savez, np.savez_compressed):
        stream = io.BytesIO()
        write(stream, images=pixels, labels=np.array([0, 1, 0, 1]), ids=np.array(list("abcd")))
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


def read_csv(file: Path) -> None:
    """Read the file as a CSV source."""
    open_listing(f"csv:{file}")


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


KINDS = {
    "checkpoint": Kind(checkpoint_seeds, read, ".safetensors"),
    "torch": Kind(torch_seeds, checkpoint_files.read, ".pt"),
    "model": Kind(foreign_seeds, checkpoint_files.read, ""),
    "state": Kind(state_seeds, read_state, ".state"),
    "list": Kind(
        lambda: iter((b"a/1.jpg\nb/2.jpg\n", "# ä\r\nü/1\r\n".encode())),
        lambda file: forget_list.read(str(file)),
        ".txt",
    ),
    "npz": Kind(npz_seeds, lambda file: open_listing(f"npz:{file}"), ".npz"),
    "csv": Kind(csv_seeds, read_csv, ".csv"),
    "image": Kind(image_seeds, read_image, ".bin"),
    "yaml": Kind(yaml_seeds, read_yaml, ".yaml"),
    "report": Kind(report_seeds, show_report, ".json"),
}


def mutate(content: bytes, rng: random.Random) -> bytes:
    """Return the content with one to six random changes."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        place = rng.randrange(len(data) + 1)
        # Parsers fail most often on headers.
        if rng.random() < 0.5:
            place = min(place, rng.randrange(200))
        end = min(len(data), place + rng.choice((1, 2, 4, 8, 64)))
        what = rng.randrange(7)
        if what == 0 and place < len(data):
            data[place] ^= 1 << rng.randrange(8)
        elif what == 1:
            data[place:end] = rng.randbytes(end - place)
        elif what == 2:
            data = data[:place]
        elif what == 3:
            data[place:end] = b""
        elif what == 4:
            data[place:place] = data[place:end] * rng.choice((1, 2, 50))
        elif what == 5:
            data[place:place] = rng.choice(HOSTILE)
        else:
            data[place:end] = rng.choice(HOSTILE)[: end - place]
    return bytes(data)


def rezip(content: bytes, rng: random.Random) -> bytes:
    """Return an archive with changed members and valid checksums."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(stream, "w") as new:
        for name in old.namelist():
            inner = old.read(name)
            new.writestr(name, mutate(inner, rng) if rng.random() < 0.6 else inner)
    return stream.getvalue()


@dataclass
class Tally:
    """Outcomes of one kind of input."""

    taken: int = 0
    refused: int = 0
    slowest: float = 0.0
    memory: int = 0
    findings: dict[str, bytes] = field(default_factory=dict)


def feed(kind: Kind, content: bytes, folder: Path, tally: Tally) -> None:
    """Feed the content to the reader, and record the outcome."""

    def late(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"over {SECONDS} s")

    file = folder / f"input{kind.suffix}"
    file.write_bytes(content)
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)  # of this process: a busy machine is no finding
    try:
        kind.read(file)
        tally.taken += 1
    except FalwError as error:
        tally.refused += 1
        if not str(error).strip():
            tally.findings["an error without words"] = content
    except BaseException as error:  # any other exception is a finding
        if isinstance(error, KeyboardInterrupt):
            raise
        place = traceback.extract_tb(error.__traceback__)[-1]
        tally.findings[f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}"] = (
            content
        )
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    taken = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    tally.slowest = max(tally.slowest, time.perf_counter() - began)
    tally.memory = max(tally.memory, taken)
    if taken > MEMORY:
        tally.findings[f"{taken >> 20} MiB"] = content


def run(name: str, count: int, seed: int) -> Tally:
    """Feed `count` changed inputs of one kind."""
    kind, tally = KINDS[name], Tally()
    seeds, rng = list(kind.seeds()), random.Random(f"{name} {seed}")
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as here:
        folder = Path(here)
        for content in (*seeds, *corpus(name)):
            feed(kind, content, folder, tally)
        expected = {entry.name for entry in folder.iterdir()}
        for number in range(count):
            content = rng.choice(seeds)
            inside = content.startswith(b"PK") and number % 2
            feed(kind, rezip(content, rng) if inside else mutate(content, rng), folder, tally)
        written = {entry.name for entry in folder.iterdir()} - expected
        if written:
            tally.findings[f"files were written: {sorted(written)}"] = b""
    return tally


def guided(name: str, seconds: int) -> None:
    """Fuzz one kind with atheris, guided by branch coverage; this ends the process.

    A finding is printed as its traceback. libFuzzer saves the input in the working folder.
    """
    import atheris  # not a test dependency: it lacks wheels for some Python versions

    kind = KINDS[name]
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as here:
        seeds = Path(here) / "seeds"
        seeds.mkdir()
        for number, content in enumerate((*kind.seeds(), *corpus(name))):
            (seeds / str(number)).write_bytes(content)
        file = Path(here) / f"input{kind.suffix}"

        def once(content: bytes) -> None:
            file.write_bytes(content)
            with suppress(FalwError):
                kind.read(file)

        for module in [m for n, m in sys.modules.items() if n.startswith("falw_cli")]:
            for function in [f for f in vars(module).values() if isinstance(f, FunctionType)]:
                if function.__module__ == module.__name__:
                    atheris.instrument_func(function)  # in place, to count its branches
        limits = [f"-max_total_time={seconds}", f"-timeout={SECONDS}", "-rss_limit_mb=2048"]
        atheris.Setup([sys.argv[0], *limits, str(seeds)], once)
        atheris.Fuzz()


def corpus(name: str) -> list[bytes]:
    """Return the earlier findings of one kind."""
    folder = CORPUS / name
    return [file.read_bytes() for file in sorted(folder.iterdir())] if folder.is_dir() else []


def keep(name: str, tally: Tally) -> None:
    """Save the findings to the corpus."""
    for what, content in tally.findings.items():
        print(f"  {name}: {what}", flush=True)
        folder = CORPUS / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / hashlib.sha256(content).hexdigest()[:16]).write_bytes(content)


def main() -> None:
    """Feed each kind, print the outcomes, and save the findings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", help=f"Kinds to test: {', '.join(KINDS)}.")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--guided", type=int, metavar="SECONDS", help="Fuzz one kind with atheris.")
    asked = parser.parse_args()
    if asked.guided:
        guided(asked.kinds[0], asked.guided)
    lines = [
        "| input | fed | taken | refused | slowest, s | most memory, MiB | findings |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    found = 0
    for name in asked.kinds or list(KINDS):
        tally = run(name, asked.count, asked.seed)
        keep(name, tally)
        found += len(tally.findings)
        lines.append(
            f"| {name} | {asked.count:,} | {tally.taken:,} | {tally.refused:,} | "
            f"{tally.slowest:.2f} | {tally.memory >> 20} | {len(tally.findings)} |"
        )
        print(lines[-1], flush=True)
    if asked.out:
        head = ["# Hostile input", "", "Made by `python -m tests.faults.fuzz`, which says how.", ""]
        asked.out.write_text("\n".join([*head, *lines]) + "\n")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
