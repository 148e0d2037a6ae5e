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
import random
import resource
import signal
import struct
import sys
import tarfile
import tempfile
import time
import traceback
import warnings
import zipfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, FunctionType

from falw_cli.errors import FalwError
from tests.faults.inputs import KINDS, Kind

CORPUS = Path(__file__).with_name("corpus")
SECONDS, MEMORY = 10, 1 << 30
HOSTILE = (
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"../../../etc/passwd", b"/etc/passwd", b"\x1b[31m",
    b"<script>", b"$(id)", b"{{7*7}}", b"!!python/object/apply:os.system [id]", b"&a [*a, *a]",
    b"nan", b"-1", b"1e999", b"9" * 40, b"\r\n", b"\n" * 9, b"'" * 9, b'"' * 9, b"\xe2\x80\xae",
    b"a\xcc\x88", b"[" * 99, b"{" * 99, b"null", b"true", b"NaN", b"Infinity",
    struct.pack("<Q", 2**63), struct.pack("<Q", 2**31), struct.pack(">I", 2**31), b"cos\nsystem\n",
)  # fmt: skip


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


def retar(content: bytes, rng: random.Random) -> bytes:
    """Return a tar file with changed members and valid checksums."""
    stream = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(content)) as old,
        tarfile.open(fileobj=stream, mode="w") as new,
    ):
        for member in old:
            inner = old.extractfile(member).read()  # type: ignore[union-attr]
            inner = mutate(inner, rng) if rng.random() < 0.6 else inner
            if rng.random() < 0.1:
                member.name = mutate(member.name.encode(), rng).decode(errors="surrogateescape")
            member.size = len(inner)
            new.addfile(member, io.BytesIO(inner))
    return stream.getvalue()


def changed(content: bytes, number: int, rng: random.Random) -> bytes:
    """Return changed content. In every second archive, the members are changed."""
    if number % 2 and content.startswith(b"PK"):
        return rezip(content, rng)
    if number % 2 and content[257:262] == b"ustar":
        return retar(content, rng)
    return mutate(content, rng)


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
    signal.setitimer(signal.ITIMER_PROF, SECONDS)  # CPU time: a busy machine is not a finding
    try:
        kind.read(file)
        tally.taken += 1
    except FalwError as error:
        tally.refused += 1
        if not str(error).strip():
            tally.findings["an error without a message"] = content
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
            feed(kind, changed(rng.choice(seeds), number, rng), folder, tally)
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
    parser.add_argument("--count", type=int, default=10_000, help="Inputs; of `report` a tenth.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--guided", type=int, metavar="SECONDS", help="Fuzz one kind with atheris.")
    asked = parser.parse_args()
    if asked.guided:
        guided(asked.kinds[0], asked.guided)
    lines = [
        "| input | changed inputs | accepted | refused | slowest, s | added, MiB | findings |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    fed = found = 0
    for name in asked.kinds or list(KINDS):
        count = asked.count // 10 if name == "report" else asked.count  # each draws pages
        tally = run(name, count, asked.seed)
        keep(name, tally)
        fed += count
        found += len(tally.findings)
        lines.append(
            f"| {name} | {count:,} | {tally.taken:,} | {tally.refused:,} | "
            f"{tally.slowest:.2f} | {tally.memory >> 20} | {len(tally.findings)} |"
        )
        print(lines[-1], flush=True)
    if asked.out:
        head = f"""# Hostile input

Valid files of each kind are changed at random and fed to the reader of that kind.
Made by `python -m tests.faults.fuzz`; its docstring describes the test.

**What to conclude:** {fed:,} changed inputs led to {found} findings. A finding is an unexpected
exception, more than 10 seconds, more than 1 GiB of memory, or a written file.

"""
        asked.out.write_text(head + "\n".join(lines) + "\n")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
