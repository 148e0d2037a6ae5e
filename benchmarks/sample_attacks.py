"""Strength of per-sample attacks on lists of 20 digits, and of the posterior; see docs/audit.md.

    python -m benchmarks.sample_attacks WORK_FOLDER

Each of 16 shadow models is attacked with the other ones. RULI is the likelihood ratio of kernel
densities. IAM compares with interpolations between models that never saw the list and those that
learned it; it uses all shadow models here, so that the cost is the same for each attack.
"""

from __future__ import annotations

import argparse
import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from scipy import stats
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score

from falw_cli.shadow import attacks
from falw_cli.shadow.attacks import Matrix, Vector
from falw_cli.shadow.evidence import log_ratio

CONFIG = "arch: tiny-cnn\ndata: npz:{name}.npz\nheldout: npz:unseen.npz\ntrain: {{epochs: 8}}\n"
COUNT, MODELS = 20, 16
LISTS = {"random": ("random", 0), "random 2": ("random", 1), "random 3": ("random", 2),
         "mislabelled": ("mislabelled", 0)}  # fmt: skip
"""Data of each list, and the number of its first sample divided by COUNT."""


def falw(folder: Path, *arguments: str) -> None:
    """Run the command in a folder."""
    subprocess.run(["falw", *arguments, "-q"], cwd=folder, check=True, capture_output=True)


def prepare(work: Path) -> None:
    """Write the digits, with 20 wrong labels in one copy."""
    digits = load_digits()
    images, labels = digits.images.astype(np.uint8)[..., None] * 15, digits.target
    order = np.random.default_rng(0).permutation(len(labels))
    seen, unseen = order[600:], order[:600]
    np.savez(work / "unseen.npz", images=images[unseen], labels=labels[unseen])
    np.savez(work / "random.npz", images=images[seen], labels=labels[seen])
    wrong = labels[seen].copy()
    wrong[:COUNT] = (wrong[:COUNT] + 1 + np.arange(COUNT) % 9) % 10
    np.savez(work / "mislabelled.npz", images=images[seen], labels=wrong)


def ensemble(work: Path, name: str) -> dict[str, Matrix]:
    """Return the outputs of the shadow models of a list, which are trained if they are missing."""
    folder = work / name
    if not (folder / "report.json").exists():
        folder.mkdir(exist_ok=True)
        data, part = LISTS[name]
        for one in (f"{data}.npz", "unseen.npz"):
            (folder / one).write_bytes((work / one).read_bytes())
        (folder / "falw.yaml").write_text(CONFIG.format(name=data))
        rows = range(COUNT * part, COUNT * (part + 1))
        (folder / "ids.txt").write_text("".join(f"{row}\n" for row in rows))
        falw(folder, "train", "--force")
        falw(folder, "unlearn", "model.safetensors", "--forget", "ids.txt", "--force",
             "--no-forgotten-gate")  # fmt: skip
        falw(folder, "audit", "model.unlearned.safetensors", "--forget", "ids.txt",
             "--shadow", str(MODELS), "--report", "report.json")  # fmt: skip
    found = [load_file(one) for one in sorted(folder.glob("falw-shadows/shadows/*.safetensors"))]
    return {key: np.concatenate([one[key] for one in found]) for key in found[0]}


def ruli(target: Vector, inside: Matrix, outside: Matrix) -> Vector:
    """Likelihood ratio of Gaussian kernel densities per sample, arXiv 2506.13009."""
    return np.array([
        float(stats.gaussian_kde(a).logpdf(x)[0] - stats.gaussian_kde(b).logpdf(x)[0])
        for x, a, b in zip(target, inside.T, outside.T, strict=True)
    ])  # fmt: skip


def iam(target: Vector, learned: Matrix, outside: Matrix) -> Vector:
    """Weighted mean of the distribution functions of interpolations, arXiv 2506.06112."""
    found = np.zeros(len(target))
    for share, weight in pairwise(np.linspace(0, 1, 100)):
        between = outside + share * (learned.mean(axis=0) - outside)
        found += weight * stats.norm.cdf(target, between.mean(axis=0), between.std())
    return found


def mean_log_odds(columns: dict[str, Matrix]) -> tuple[float, float, float]:
    """Return the mean log-odds of models that learned, unlearned and never saw the list."""
    after, trained = columns["margins"], columns["trained_margins"]
    inside = (after != trained).any(axis=1)
    return float(trained[inside].mean()), float(after[inside].mean()), float(after[~inside].mean())


def strengths(columns: dict[str, Matrix], before: bool) -> dict[str, float]:
    """Return the AUC of each attack: learned, or unlearned, against never seen."""
    after, trained = columns["margins"], columns["trained_margins"]
    members = np.repeat((after != trained).any(axis=1)[:, None], COUNT, axis=1)
    margins = trained if before else after
    probs = 1 / (1 + np.exp(-margins))
    rng = np.random.default_rng(0)
    rows = [attacks.left_out(members, row, rng) for row in range(MODELS)]

    def sides(values: Matrix, row: int) -> tuple[Matrix, Matrix]:
        """Split the values of the other models, [M / 2 - 1, N] each."""
        inside, outside = (one[:, 0] for one in rows[row])
        return values[inside], values[outside]

    population = columns["population"]
    scorers: dict[str, Callable[[int], Vector]] = {
        "U-LiRA": lambda row: attacks.ulira(margins[row], margins, rows[row]),
        "U-LiRA with Student's t": lambda row: log_ratio(margins[row], *sides(margins, row)),
        "RMIA": lambda row: attacks.rmia(probs[row], population[row], probs, population, rows[row]),
        "RULI": lambda row: ruli(margins[row], *sides(margins, row)),
        "IAM": lambda row: iam(margins[row], sides(trained, row)[0], sides(margins, row)[1]),
    }
    return {
        name: float(roc_auc_score(members.ravel(), np.concatenate([f(r) for r in range(MODELS)])))
        for name, f in scorers.items()
    }


def wrong_share(models: int, *, normal: bool, trials: int = 4000) -> float:
    """Return how often the posterior of the truth is below 5 %, for one simulated sample.

    Args:
        models: number of shadow models; log-odds differ by two standard deviations.
        normal: whether the likelihood is normal; otherwise it is Student's t.
        trials: number of simulated samples, half of them learned.
    """
    rng = np.random.default_rng(0)
    members = np.arange(models)[:, None] % 2 == 0
    wrong = 0
    for trial in range(trials):
        margins = 2 * members + rng.normal(size=(models, 1))
        target = 2 * (trial % 2) + rng.normal(size=1)
        if normal:
            ratio = attacks.ulira(target, margins, (members, ~members))
        else:
            ratio = log_ratio(target, margins[members[:, 0]], margins[~members[:, 0]])
        wrong += (ratio if trial % 2 else -ratio)[0] < np.log(0.05 / 0.95)
    return wrong / trials


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    work: Path = parser.parse_args().work
    work.mkdir(parents=True, exist_ok=True)
    prepare(work)
    print("| attack | " + " | ".join(f"{name}: before | after" for name in LISTS) + " |")
    outputs = [ensemble(work, name) for name in LISTS]
    found = [strengths(columns, before) for columns in outputs for before in (True, False)]
    for name in found[0]:
        print(f"| {name} | " + " | ".join(f"{one[name]:.3f}" for one in found) + " |")
    print("\n| list | learned | unlearned | never seen |")
    for name, columns in zip(LISTS, outputs, strict=True):
        print(f"| {name} | " + " | ".join(f"{one:.1f}" for one in mean_log_odds(columns)) + " |")
    print("\n| shadow models | normal | Student's t |")
    for models in (4, 8, 16):
        shares = [100 * wrong_share(models, normal=normal) for normal in (True, False)]
        print(f"| {models} | " + " | ".join(f"{share:.1f} %" for share in shares) + " |")


if __name__ == "__main__":
    main()
