"""A textbook implementation of `falw-paper`, with which speed.py compares `falw`.

    python benchmarks/textbook.py MODEL IDS TRAIN HELDOUT TEST OUT --epochs 2

It uses a DataLoader with per-image transforms. Before every step, two more passes compute mu and
sigma over all held-out data and the probabilities of the forget samples. At the end, it measures
forget, retain and test accuracy and the membership attack, as in the papers' public code.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from sklearn.svm import SVC
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from falw_cli.models.architectures import builder

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)
PLAIN = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
Net = torch.nn.Module


class Marked(Dataset[Any]):
    """Training samples, each with a forget flag and a random label."""

    def __init__(self, folder: Path, names: set[str], augmented: ImageFolder) -> None:
        self.plain, self.augmented = ImageFolder(folder, v2.Compose(PLAIN)), augmented
        self.forget = [
            str(Path(path).relative_to(folder)) in names for path, _ in augmented.samples
        ]
        classes = len(augmented.classes)
        self.drawn = [
            (label + int(shift)) % classes
            for (_, label), shift in zip(
                augmented.samples, torch.randint(1, classes, (len(self.forget),)), strict=True
            )
        ]

    def __len__(self) -> int:
        return len(self.forget)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, torch.Tensor, int, bool, int]:
        image, label = self.augmented[row]
        return image, self.plain[row][0], label, self.forget[row], self.drawn[row]


@torch.no_grad()
def confidence(net: Net, loader: DataLoader[Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the true-class probability, correctness and class of every sample."""
    net.eval()
    found: list[tuple[np.ndarray, ...]] = []
    for images, labels in loader:
        logits = net(images.to(DEVICE)).cpu()
        prob = logits.softmax(1).gather(1, labels[:, None]).squeeze(1)
        found.append((prob.numpy(), (logits.argmax(1) == labels).numpy(), labels.numpy()))
    prob, right, label = (np.concatenate(part) for part in zip(*found, strict=True))
    return prob, right, label


def weights(
    net: Net, images: torch.Tensor, labels: torch.Tensor, heldout: DataLoader[Any], balance: Any
) -> torch.Tensor:
    """Return the weights of a batch's forget samples by FaLW equations 1 and 3."""
    prob, _, label = confidence(net, heldout)
    mu = torch.tensor([prob[label == c].mean() for c in range(len(balance))])
    sigma = torch.tensor([prob[label == c].std() for c in range(len(balance))])
    with torch.no_grad():
        p = net(images.to(DEVICE)).cpu().softmax(1).gather(1, labels[:, None]).squeeze(1)
    z = (p - mu[labels]) / sigma[labels]
    return 1 + z.sign() * z.abs().tanh() ** (1 / balance[labels])


def unlearn(net: Net, data: Marked, heldout: DataLoader[Any], epochs: int, lr: float) -> None:
    """Run FaLW's Algorithm 1 with random labels."""
    labels = torch.tensor([label for _, label in data.augmented.samples])
    gone = torch.bincount(labels[torch.tensor(data.forget)], minlength=len(data.augmented.classes))
    balance = (gone.sum() / (len(gone) * gone.clamp(min=1))) ** 0.15
    loader = DataLoader(data, 128, shuffle=True, num_workers=2)
    optimizer = torch.optim.SGD(net.parameters(), lr, momentum=0.9, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(loader))
    for _ in range(epochs):
        for images, plain, label, forget, drawn in loader:
            weight = torch.ones(len(label))
            if forget.any():
                weight[forget] = weights(net, plain[forget], label[forget], heldout, balance)
            net.train()
            target = torch.where(forget, drawn, label).to(DEVICE)
            each = F.cross_entropy(net(images.to(DEVICE)), target, reduction="none")
            loss = (weight.to(DEVICE) * each).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()


def main() -> None:
    """Unlearn, evaluate, and write the model."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("model", "ids", "train", "heldout", "test", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--lr", type=float, default=0.03)
    parser.add_argument("--arch", default="tiny-cnn")
    asked = parser.parse_args()
    net = builder(asked.arch)(10, 3)
    net.load_state_dict(load_file(asked.model))
    net.to(DEVICE)
    augmented = ImageFolder(asked.train, v2.Compose([v2.RandomHorizontalFlip(), *PLAIN]))
    data = Marked(asked.train, set(asked.ids.read_text().split()), augmented)
    unseen, test = (
        DataLoader(
            ImageFolder(folder, v2.Compose(PLAIN)), 256, num_workers=2, persistent_workers=True
        )
        for folder in (asked.heldout, asked.test)
    )
    unlearn(net, data, unseen, asked.epochs, asked.lr)
    forget = np.flatnonzero(data.forget).tolist()
    retain = np.flatnonzero(~np.array(data.forget)).tolist()
    parts = {
        name: confidence(net, DataLoader(Subset(data.plain, rows), 256, num_workers=2))
        for name, rows in (("forget", forget), ("retain", retain))
    }
    parts["test"] = confidence(net, test)
    size = min(2500, len(retain), len(parts["test"][0]))
    features = np.concatenate([parts[name][0][:size] for name in ("retain", "test")])[:, None]
    attack = SVC(C=3, gamma="auto", kernel="rbf").fit(features, np.repeat([1, 0], size))
    print({name: 100 * float(right.mean()) for name, (_, right, _) in parts.items()})
    print("mia", 100 * float((attack.predict(parts["forget"][0][:, None]) == 0).mean()))
    save_file(net.state_dict(), asked.out)


if __name__ == "__main__":
    main()
