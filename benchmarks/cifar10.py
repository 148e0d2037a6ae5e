"""The README's table: each method on 15,000 CIFAR-10 images, three seeds, by the installed command.

    python benchmarks/cifar10.py CIFAR_FOLDER WORK_FOLDER [--seeds 1 2 3]

CIFAR_FOLDER holds train/CLASS/*.jpg and test/CLASS/*.jpg. It trains 3 nets a seed (an original and
two Retrain references, 4 minutes each on two cores), unlearns by every method, and writes
docs/results.md, from which the README's table is copied. What WORK_FOLDER has already is not done
again.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
from pathlib import Path

CONFIG = Path(__file__).parents[1] / "sample_configs" / "cifar10.yaml"
TRAIN, HELDOUT, TEST = 1500, 200, 800  # images a class


def falw(*arguments: str, stdout: Path | None = None) -> None:
    """Run the installed command; a failure ends the benchmark."""
    command = [str(Path(sys.executable).with_name("falw")), *arguments]
    print("$ falw", *arguments, flush=True)
    if stdout is None:
        subprocess.run(command, check=True)
        return
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    stdout.write_text(text)


def subset(cifar: Path) -> dict[str, str]:
    """CSVs in the CIFAR folder that list the subset: the first images of every class."""
    wanted = {
        "data": ("train", 0, TRAIN),
        "heldout": ("test", 0, HELDOUT),
        "test": ("test", HELDOUT, HELDOUT + TEST),
    }
    for name, (part, begin, end) in wanted.items():
        with (cifar / f"falw-{name}.csv").open("w", newline="") as stream:
            rows = csv.writer(stream)
            rows.writerow(["path", "label"])
            for folder in sorted((cifar / part).iterdir()):
                for image in sorted(folder.iterdir())[begin:end]:
                    rows.writerow([f"{part}/{folder.name}/{image.name}", folder.name])
    return {name: f"csv:{cifar / f'falw-{name}.csv'}" for name in wanted}


def make_models(specs: dict[str, str], folder: Path, seed: int) -> None:
    """The original, the forget list (10 %, gamma 1) and two Retrain references of a seed."""
    folder.mkdir(parents=True, exist_ok=True)
    common = ("--config", str(CONFIG), "--data", specs["data"])
    ids = folder / "ids.txt"
    if not ids.exists():
        draw = ("--ratio", "0.1", "--gamma", "1", "--seed", str(seed))
        falw("forget-list", *common, *draw, stdout=ids)
    for name, its_seed, more in (
        ("model", seed, ()),
        ("retrain-a", 100 + seed, ("--without", str(ids))),
        ("retrain-b", 200 + seed, ("--without", str(ids))),
    ):
        out = folder / f"{name}.safetensors"
        if not out.exists():
            where = ("--heldout", specs["heldout"], "--out", str(out))
            falw("train", *common, *where, "--seed", str(its_seed), *more)


def main() -> None:
    """Make everything that is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cifar", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    wanted = parser.parse_args()
    specs = subset(wanted.cifar)
    for seed in wanted.seeds:
        make_models(specs, wanted.work / f"seed{seed}", seed)


if __name__ == "__main__":
    main()
