"""Checkpoints and data of other libraries, through the command: docs/compatibility.md.

    python -m benchmarks.compatibility [WORD]

Images are drawn: four classes, each a pattern with noise. Every checkpoint is made by its library,
inspected and unlearned by falw, and read back by the library; on unseen images, which the library
prepares, its logits are compared with those of `falw evaluate`. With WORD, only rows that contain
it are run and replaced. If a library is not installed, its row says so.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import platform
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from benchmarks.compatibility_data import CONTAINERS, medmnist_rows, torchvision_rows
from benchmarks.compatibility_foreign import foreign
from benchmarks.compatibility_models import NAMES, SIZE, Case, cases, plain_prepare
from falw_cli.cli.app import run
from falw_cli.config.resolution import resolve
from falw_cli.data.device import place
from falw_cli.models import checkpoint_files
from falw_cli.models.inputs import open_inputs
from falw_cli.runtime.engine import make_fabric
from falw_cli.runtime.progress import Silent

PAGE = Path(__file__).parents[1] / "docs" / "compatibility.md"
PARTS = {"seen": 25, "guide": 40, "judge": 25}
"""Images per class for training, to guide the unlearning, and for evaluation."""
FORGET = 3
"""Images per class on the list."""
LONGEST = 220
"""Longest cell in characters."""


def falw(*arguments: str) -> tuple[int, str, str]:
    """Run a command, and return its exit code, stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run([*arguments])
    return code, out.getvalue(), err.getvalue()


def draw() -> None:
    """Draw the images of each part, and write the forget list: images with a wrong label."""
    for seed, (part, count) in enumerate(PARTS.items()):
        patterns = [
            np.random.default_rng(one).integers(60, 190, (4, 4, 3)) for one in range(len(NAMES))
        ]
        patterns = [np.kron(one, np.ones((SIZE // 4, SIZE // 4, 1))) for one in patterns]
        for label, name in enumerate(NAMES):
            draws = np.random.default_rng([seed, label])
            Path(part, name).mkdir(parents=True)
            for number in range(count):
                wrong = part == "seen" and number < FORGET
                pattern = patterns[(label + wrong) % len(NAMES)]
                pixels = pattern + draws.normal(0, 120, pattern.shape)
                image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
                image.save(Path(part, name, f"{number}.png"))
    ids = [f"{name}/{number}.png" for name in NAMES for number in range(FORGET)]
    Path("ids.txt").write_text("\n".join(ids))


def opened(part: str, prepare: Callable[[Image.Image], Tensor]) -> tuple[Tensor, Tensor]:
    """Return the images of a part as a library prepares them, and their classes."""
    files = sorted(Path(part).rglob("*.png"), key=Path.as_posix)
    images = torch.stack([prepare(Image.open(file).convert("RGB")) for file in files])
    return images, torch.tensor([NAMES.index(file.parent.name) for file in files])


def logits(model: nn.Module, images: Tensor) -> Tensor:
    """Return the logits of a model of any library."""
    output = model(images)
    found: Tensor = output if isinstance(output, Tensor) else output.logits
    return found


def train(model: nn.Module) -> nn.Module:
    """Train in a plain loop until the model knows its training data."""
    images, labels = opened("seen", plain_prepare)
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=2e-3)
    for number in range(60):
        right = 0
        for rows in torch.randperm(len(labels)).split(25):
            optimizer.zero_grad()
            found = logits(model, images[rows])
            nn.functional.cross_entropy(found, labels[rows]).backward()
            optimizer.step()
            right += int((found.argmax(1) == labels[rows]).sum())
        if number > 12 and right > 0.98 * len(labels):  # BatchNorm needs some steps
            break
    return model.eval()


def write_config(case: Case | None) -> None:
    """Write a falw.yaml with the data, and the preprocessing if the checkpoint lacks it."""
    lines = ["data: imagefolder:seen", "heldout: imagefolder:guide", "test: imagefolder:judge"]
    if case and case.bare:
        lines.append("preprocessing: {mean: [0.4, 0.5, 0.6], std: [0.2, 0.3, 0.25]}")
        lines.append(f"classes: [{', '.join(NAMES)}]")
    Path("falw.yaml").write_text("\n".join(lines))


def row(case: Case) -> list[str]:
    """Make, inspect, unlearn and read back a checkpoint; return the cells of its row."""
    torch.manual_seed(0)
    where = Path("work")
    where.mkdir()
    model = where / case.place
    case.save(train, model)
    write_config(case)
    code, out, err = falw("inspect", str(model), "--json", *case.flags)
    cells = [case.library, case.file, said(json.loads(out)) if code == 0 else error(err)]
    ask = ("unlearn", str(model), "--forget", "ids.txt", "--json", *case.flags)
    code, out, err = falw(*ask)
    if code not in (0, 1):
        return [*cells, error(err), "–"]
    report = json.loads(out)
    before, after = (report["metrics"][when]["forget_accuracy"] for when in ("before", "after"))
    try:
        off = read_back(case, Path(report["output"]["path"]))
    except Exception as failed:  # libraries raise many kinds of errors
        off = shortened(f"**{type(failed).__name__}: {failed}**")
    return [*cells, f"{before:.0f} → {after:.0f}{', exit 1: not forgotten' * code}", off]


def said(facts: dict[str, object]) -> str:
    """Return what `falw inspect` says of a checkpoint beyond counts."""
    notes = facts.get("notes")
    known = [f"prefix `{facts['prefix']}`"] if facts.get("prefix") else []
    known += [f"extra: {', '.join(facts['extra_tensors'])}"] if "extra_tensors" in facts else []  # type: ignore[arg-type]
    known += notes if isinstance(notes, list) else []
    return shortened("; ".join([f"{facts['format']}", *known]))


def error(text: str) -> str:
    """Return a command's error for a cell."""
    line = next((one for one in text.splitlines() if one.startswith("error:")), text)
    return shortened("refused: " + line.removeprefix("error: ").replace("work/", ""))


def shortened(text: str) -> str:
    """Return text that fits a cell of a table."""
    text = " ".join(text.split()).replace("|", "\\|").replace("work/", "")
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def read_back(case: Case, out: Path) -> str:
    """Return the largest difference between the library's logits of the output and falw's."""
    again, prepare = case.load(out)
    flags = {"model": str(out), "forget": "ids.txt"}
    if "--arch" in case.flags:
        flags["arch"] = case.flags[case.flags.index("--arch") + 1]
    config = resolve("evaluate", flags, Path("falw.yaml"))
    given = open_inputs(config, Silent(), make_fabric(config))
    ours = given.network.predict(place(given.splits.test, torch.device("cpu")))
    images, _ = opened("judge", prepare)
    with torch.no_grad():
        theirs = logits(again.float(), images)
    return f"{float((ours - theirs).abs().max()):.0e}"


def model_rows(word: str) -> Iterator[list[str]]:
    """Yield a row for each checkpoint."""
    for make in cases():
        try:
            case = make()
        except ImportError as missing:
            yield [str(missing.name), "–", "–", f"not run: {missing}", "–"]
            continue
        if word in f"{case.library} {case.file}":
            try:
                yield row(case)
            except Exception as failed:  # libraries raise many kinds of errors
                what = shortened(f"**{type(failed).__name__}: {failed}**")
                yield [case.library, case.file, what, "–", "–"]
        shutil.rmtree("work", ignore_errors=True)


def foreign_rows(word: str) -> Iterator[list[str]]:
    """Yield a row for each file that falw does not open."""
    where = Path("work")
    where.mkdir()
    for library, what, path in foreign(where):
        if word in f"{library} {what}":
            code, out, err = falw("inspect", str(path), "--json", "--arch", "tiny-cnn")
            notes = "; ".join(json.loads(out).get("notes", [])) if code == 0 else ""
            yield [library, what, shortened(notes) if code == 0 else error(err)]
    shutil.rmtree(where)


def container_rows(word: str) -> Iterator[list[str]]:
    """Yield a row for each format of the same samples: digests of metrics and of weights."""
    write_config(None)
    Path("falw.yaml").unlink()
    folders = {part: Path(part).absolute() for part in PARTS}
    arguments = ("--arch", "tiny-cnn", "--data", "imagefolder:seen", "--epochs", "20")
    falw("train", *arguments, "--out", "model.safetensors", "--force")
    ids = Path("ids.txt").read_text().split()
    rows = {name: str(row) for row, name in enumerate(
        sorted(file.relative_to("seen").as_posix() for file in Path("seen").rglob("*.png"))
    )}  # fmt: skip
    for kind, (library, write) in CONTAINERS.items():
        if word not in f"{library} {kind}":
            continue
        specs = {part: write(folder, part) for part, folder in folders.items()}
        listed = {"imagefolder": ids, "webdataset": [name.removesuffix(".png") for name in ids],
                  "csv": [f"seen/{name}" for name in ids]}  # fmt: skip
        Path("list.txt").write_text("\n".join(listed.get(kind) or [rows[name] for name in ids]))
        code, out, err = falw(
            "unlearn", "model.safetensors", "--forget", "list.txt", "--json", "--force",
            "--data", specs["seen"], "--heldout", specs["guide"], "--test", specs["judge"],
        )  # fmt: skip
        if code not in (0, 1):
            yield [library, f"`{kind}:`", error(err), "–"]
            continue
        report = json.loads(out)
        metrics = json.dumps(report["metrics"], sort_keys=True).encode()
        found = checkpoint_files.read(report["output"]["path"]).tensors
        weights = b"".join(found[name].numpy().tobytes() for name in sorted(found))
        digests = [hashlib.sha256(one).hexdigest()[:16] for one in (metrics, weights)]
        yield [library, f"`{kind}:`", *(f"`{one}`" for one in digests)]


def table(head: str, rows: list[list[str]]) -> str:
    """Return a table in Markdown."""
    columns = head.count("|") + 1
    lines = [f"| {' | '.join(one)} |" for one in rows]
    return "\n".join([f"| {head} |", f"|{'---|' * columns}", *lines])


def replaced(page: str, rows: list[list[str]]) -> str:
    """Return the page with these rows in place of those of the same library and file."""
    lines = page.splitlines()
    for one in rows:
        same = f"| {one[0]} | {one[1]} |"
        lines = [f"| {' | '.join(one)} |" if line.startswith(same) else line for line in lines]
    return "\n".join([*lines, ""])


def versions(rows: list[list[str]]) -> str:
    """Return the versions of the libraries of all rows."""
    found = []
    for name in sorted({one[0] for one in rows} | {"torch", "numpy"}):
        with contextlib.suppress(PackageNotFoundError):
            found.append(f"{name} {version(name)}")
    return ", ".join(found)


def main() -> None:
    """Run every row, and write the page."""
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    warnings.simplefilter("ignore")
    os.environ |= {"NO_COLOR": "1", "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    began = time.process_time()
    tables: dict[str, list[list[str]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        draw()
        named = {
            "models": model_rows(word), "foreign": foreign_rows(word),
            "containers": container_rows(word),
            "sets": (
                list(one) for rows in (torchvision_rows, medmnist_rows)
                for one in rows(Path(folder)) if word in " ".join(one)
            ),
        }  # fmt: skip
        for name, rows in named.items():
            tables[name] = []
            for one in rows:
                tables[name].append(one)
                sys.stderr.write(" | ".join(one) + "\n")
        os.chdir(PAGE.parent)
    seconds = time.process_time() - began
    sys.stderr.write(f"{seconds:.0f} seconds of CPU time\n")
    if word:
        PAGE.write_text(
            replaced(PAGE.read_text(), [one for rows in tables.values() for one in rows])
        )
    else:
        every = [one for rows in tables.values() for one in rows]
        PAGE.write_text(INTRO.format(
            machine=platform.machine(), versions=versions(every), minutes=f"{seconds / 60:.0f}",
            models=table("library | file | `falw inspect` | forget accuracy, % | difference",
                         tables["models"]),
            foreign=table("library | file | `falw inspect`", tables["foreign"]),
            containers=table("library | format | metrics | weights", tables["containers"]),
            sets=table("library | `--data` | parts | result", tables["sets"]),
        ))  # fmt: skip


INTRO = """# Compatibility

Made by `python -m benchmarks.compatibility` in {minutes} minutes of CPU time, on {machine}, Python
{python}: {versions}.

**What to conclude:** for each checkpoint that `falw` unlearns, the library reads the output and
computes the same logits, up to rounding errors. `falw` names the reason for each file that it
refuses. The format of the data does not change a run.

## Checkpoints

Each library built a small network, trained it on {count} images of four classes, and saved it.
`falw inspect` described the file, `falw unlearn` forgot {forget} images, which have a wrong label,
and the library alone read the output. *Difference* is the largest difference between the library's
logits, on unseen images that it prepared itself, and those of `falw evaluate`.

{models}

## Files that falw recognises but does not open

The error or note is followed by a hint with the command that converts the file, where there is one.

{foreign}

## The same samples in several formats

Digests of the report's metrics and of the unlearned weights are equal: the format of the data does
not change a run.

{containers}

## Datasets

Small files in the layout of each dataset. *Same* means that pixels and labels of each part are
those that the library returns.

{sets}
""".replace("{python}", platform.python_version()).replace(
    "{count}", str(PARTS["seen"] * len(NAMES))
).replace("{forget}", str(FORGET * len(NAMES)))  # fmt: skip


if __name__ == "__main__":
    main()
