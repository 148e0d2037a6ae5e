"""Cost of a run by the size of lists and data: docs/scale.md.

    python benchmarks/scale.py CIFAR_FOLDER SCRATCH_FOLDER [--files 1300000]

CIFAR_FOLDER holds CIFAR-10 as train/CLASS/ and test/CLASS/. SCRATCH_FOLDER stores hard links to the
images, made once. It must be on the same file system and have a million free inodes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import torch

FALW = Path(sys.executable).with_name("falw")
CLASSES, PER_LINK = 1000, 60_000
LIST = 100_000
LISTING = """
import json, resource, sys, time
import torch, torchvision
rss = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
before, began = rss(), time.perf_counter()
from falw_cli.data import forget_list, loading, opening, splits
listing = opening.open_listing(f"imagefolder:{sys.argv[1]}")
listed = time.perf_counter() - began
named = forget_list.read(sys.argv[2])
rows = forget_list.find(named.ids, listing.ids)
chosen = splits.choose(listing.labels, rows, 50_000, 0)
used = loading.only(listing, chosen.used())
chosen.within(loading.places(listing, used))
print(json.dumps({"files": len(listing.ids), "named": len(rows), "listed": listed,
    "split": time.perf_counter() - began, "mib": rss() - before}))
"""
SIZES = (500, 1000, 2500, 5000)
CONFIG = """
arch: tiny-cnn
data: imagefolder:{train}
heldout: imagefolder:{test}
per_class: {{data: [0, {size}], heldout: [0, 200]}}
train: {{epochs: 1, lr: 0.1, flip: true}}
"""


def link(cifar: Path, folder: Path, files: int) -> None:
    """Make a tree of hard links in CLASSES class folders, as in ImageNet."""
    if folder.exists():
        return
    images = sorted((cifar / "train").glob("*/*.jpg"))[: files // PER_LINK + 1]
    names = cycle(images)
    for c in range(CLASSES):
        there = folder / f"n{c:08d}"
        there.mkdir(parents=True)
        for k, image in enumerate(islice(names, files // CLASSES)):
            os.link(image, there / f"n{c:08d}_{k}.JPEG")


def write_ids(folder: Path, scratch: Path) -> None:
    """Write a list of LIST evenly spaced IDs."""
    names = sorted(f"{p.parent.name}/{p.name}" for p in folder.glob("*/*"))
    chosen = names[:: max(1, len(names) // LIST)][:LIST]
    (scratch / "ids.txt").write_text("\n".join(chosen))


def drop_caches() -> bool:
    """Drop the kernel's file caches; return False if this process lacks the permission."""
    try:
        os.sync()
        Path("/proc/sys/vm/drop_caches").write_text("3")
    except OSError:
        return False
    return True


def listing(folder: Path, scratch: Path) -> dict[str, Any]:
    """Measure the seconds and memory to list the tree and to split it by a list."""
    asked = [sys.executable, "-c", LISTING, str(folder), str(scratch / "ids.txt")]
    done = subprocess.run(asked, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def by_size(cifar: Path, scratch: Path) -> list[str]:
    """Unlearn the same list of 500 from data of several sizes; return the rows of the table."""
    rows = []
    os.environ["XDG_CACHE_HOME"] = str(scratch / "cache")
    for size in SIZES:
        text = CONFIG.format(train=cifar / "train", test=cifar / "test", size=size)
        (scratch / "falw.yaml").write_text(text)
        if not (scratch / "model.safetensors").exists():
            subprocess.run([FALW, "train", "-q"], cwd=scratch, check=True)
        ask = [FALW, "forget-list", "--count", "500", "-q", "--config", "first.yaml"]
        if size == SIZES[0]:
            (scratch / "first.yaml").write_text(text)
            chosen = subprocess.run(ask, cwd=scratch, check=True, capture_output=True, text=True)
            (scratch / "few.txt").write_text(chosen.stdout)
        run = [FALW, "unlearn", "model.safetensors", "--forget", "few.txt", "--force", "-q"]
        run += ["--max-utility-loss", "100"]
        subprocess.run(run, cwd=scratch, check=True, stdout=subprocess.DEVNULL)  # fills the cache
        began = time.perf_counter()
        subprocess.run(run, cwd=scratch, check=True, stdout=subprocess.DEVNULL)
        whole = time.perf_counter() - began
        report = json.loads((scratch / "model.unlearned.audit.json").read_text())
        data, spent = report["inputs"]["data"], report["run"]["seconds"]
        steps = report["run"]["steps"]
        rows.append(
            f"| {data['count']:,} | {data['used'] - 500:,} | {steps} | {spent:.1f} | {whole:.1f} |"
        )
    return rows


def main() -> None:
    """Measure, and write docs/scale.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cifar", type=Path)
    parser.add_argument("scratch", type=Path)
    parser.add_argument("--files", type=int, default=1_300_000)
    asked = parser.parse_args()
    cifar, scratch = asked.cifar.resolve(), asked.scratch.resolve()
    scratch.mkdir(exist_ok=True)
    link(cifar, scratch / "tree", asked.files)
    write_ids(scratch / "tree", scratch)
    cold = drop_caches()
    first, again = (listing(scratch / "tree", scratch) for _ in range(2))
    rows = "\n".join(by_size(cifar, scratch))
    text = Path(__file__).with_name("scale.intro.md").read_text()
    machine = f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, CPU"
    values = {
        "MACHINE": machine, "FILES": f"{first['files']:,}", "NAMED": f"{first['named']:,}",
        "LISTED": f"{again['listed']:.1f}", "SPLIT": f"{again['split']:.1f}",
        "FIRST": f"{first['split']:.1f}", "COLD": "dropped" if cold else "unchanged",
        "MIB": str(again["mib"]), "ROWS": rows,
    }  # fmt: skip
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    (Path(__file__).parents[1] / "docs" / "scale.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
