"""Which similarity finds altered copies of an image, and nothing else: the table in docs/near.md.

    python -m benchmarks.near CIFAR WORK_FOLDER [--net NET]

CIFAR and WORK_FOLDER are those of benchmarks/networks_train.py; NET must be trained. Needs the
package imagehash, which falw itself does not use. Copies of 300 training images are altered as
often happens to files. For each similarity, the threshold is the lowest one at which one listed
image in 100 matches a different image of its class. The table shows the share of the altered
copies above this threshold.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageEnhance

from benchmarks.networks import request
from benchmarks.networks_train import POOL, Place
from falw_cli.data import near
from falw_cli.data.device import Resident
from falw_cli.models.inputs import open_inputs
from falw_cli.models.network import Network
from falw_cli.runtime.engine import make_fabric
from falw_cli.runtime.progress import Silent
from falw_cli.unlearning.features import middle_features

PAGE = Path(__file__).parents[1] / "docs" / "near.md"
LISTED = 300
RATE = 0.01
"""Share of the listed images that may match a different image."""
Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Vectors = np.ndarray[Any, np.dtype[np.float32]]
Describe = Callable[[Pixels], Vectors]


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    """Return the image after JPEG compression."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream)


def scaled(image: Image.Image, factor: float) -> Image.Image:
    """Return the image after it was stored at another size."""
    side = round(image.width * factor)
    return image.resize((side, side)).resize(image.size)


def cropped(image: Image.Image, pixels: int) -> Image.Image:
    """Return the image without its border, enlarged to the old size."""
    side = image.width - pixels
    return image.crop((pixels, pixels, side, side)).resize(image.size)


def mirrored(image: Image.Image) -> Image.Image:
    """Return the mirrored image."""
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def lit(image: Image.Image, factor: float) -> Image.Image:
    """Return the image with another brightness."""
    return ImageEnhance.Brightness(image).enhance(factor)


ALTERED: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG, quality 90": lambda one: jpeg(one, 90),
    "JPEG, quality 70": lambda one: jpeg(one, 70),
    "JPEG, quality 50": lambda one: jpeg(one, 50),
    "stored at 94 % size": lambda one: scaled(one, 0.94),
    "stored at 106 % size": lambda one: scaled(one, 1.06),
    "3 % of each border cut off": lambda one: cropped(one, 1),
    "mirrored": mirrored,
    "brightness 70 %": lambda one: lit(one, 0.7),
    "brightness 130 %": lambda one: lit(one, 1.3),
    "mirrored, JPEG 70, brightness 120 %": lambda one: jpeg(mirrored(lit(one, 1.2)), 70),
}


def altered(pixels: Pixels, how: Callable[[Image.Image], Image.Image]) -> Pixels:
    """Return altered copies of images."""
    return np.stack([np.asarray(how(Image.fromarray(one)).convert("RGB")) for one in pixels])


def unit(vectors: Vectors) -> Vectors:
    """Return the vectors at length 1, whose products are cosines."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.maximum(length, 1e-12)).astype(np.float32)


def hashed(pixels: Pixels) -> Vectors:
    """Perceptual hash of imagehash, as vectors whose cosine is 1 - 2 * Hamming distance / bits."""
    import imagehash

    bits = [imagehash.phash(Image.fromarray(one)).hash.flatten() for one in pixels]
    return unit(2.0 * np.array(bits) - 1)


def of_network(network: Network, kind: str, centre: Pixels) -> Describe:
    """Features of a network: its softmax outputs, or the inputs of its last layer."""
    head = [one for one in network.module.modules() if isinstance(one, torch.nn.Linear)][-1]

    def raw(pixels: Pixels) -> Vectors:
        found: list[torch.Tensor] = []
        hook = head.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0].flatten(1)))
        logits = network.logits(torch.from_numpy(pixels))
        hook.remove()
        chosen = logits.softmax(1) if kind == "softmax outputs" else torch.cat(found)
        return chosen.detach().numpy()

    if kind == "softmax outputs":
        return lambda pixels: unit(raw(pixels))
    middle = raw(centre).mean(0)
    return lambda pixels: unit(raw(pixels) - middle)


def of_middle(network: Network, centre: Pixels) -> Describe:
    """The middle features of the expectation."""

    def resident(pixels: Pixels) -> Resident:
        tensor = torch.from_numpy(pixels)
        return Resident(tensor, torch.zeros(len(tensor), dtype=torch.int64))

    scale = resident(centre)
    return lambda pixels: unit(middle_features(network, (resident(pixels), scale))[0].numpy())


def both(describe: Describe, pixels: Pixels) -> list[Vectors]:
    """Return the descriptions of images and of their mirror images."""
    return [describe(pixels), describe(np.ascontiguousarray(pixels[:, :, ::-1]))]


def row(describe: Describe, pixels: Pixels, labels: Any, listed: Any) -> list[float]:
    """Return the threshold, and the share of each kind of altered copies above it, percent."""
    mine = both(describe, pixels[listed])
    theirs = describe(pixels)
    alike = np.maximum(*(one @ theirs.T for one in mine))
    alike[np.arange(len(listed)), listed] = -1
    alike[labels[listed][:, None] != labels[None]] = -1
    threshold = float(np.quantile(alike.max(1), 1 - RATE))
    found = []
    for how in ALTERED.values():
        copies = describe(altered(pixels[listed], how))
        best = np.maximum(*((one * copies).sum(1) for one in mine))
        found.append(100 * float((best > threshold).mean()))
    return [threshold, *found]


def main() -> None:
    """Measure all similarities and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cifar", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--net", default="tiny-cnn, 16 epochs")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    place = Place(asked.cifar.resolve(), asked.folder.resolve(), asked.net, 1)
    config = request(place, POOL, place.original())
    given = open_inputs(config, Silent(), make_fabric(config))
    part, network = given.splits.retain, given.network
    pixels, labels = part.read(), part.labels
    listed = np.random.default_rng(1).permutation(len(labels))[:LISTED]
    centre = pixels[:1000]
    kinds: dict[str, Describe] = {
        "thumbnails of 8 x 8 pixels": near.describe,
        "perceptual hash (imagehash, 64 bits)": hashed,
        "middle features": of_middle(network, centre),
        "inputs of the last layer": of_network(network, "last", centre),
        "softmax outputs": of_network(network, "softmax outputs", centre),
    }
    rows = {}
    for name, describe in kinds.items():
        rows[name] = row(describe, pixels, labels, listed)
        print(name, [round(one, 3) for one in rows[name]], flush=True)
    PAGE.write_text(page(asked.net, len(labels), rows))


def page(net: str, count: int, rows: dict[str, list[float]]) -> str:
    """Return the page."""
    lines = [
        "# Near-duplicates",
        "",
        f"Which similarity finds altered copies of an image? {LISTED} of {count:,} CIFAR-10 images "
        "are the list. Copies of them are altered as often happens to files. For each similarity, "
        "the threshold is the one above which one listed image in 100 matches a different image "
        "of its class. The table shows how many of the altered copies are above this threshold. "
        "An image is compared with the list and with its mirror images.",
        "",
        "**What to conclude:** the thumbnails, which `falw forget-list --near` uses, find as much "
        "as a perceptual hash. They need no library and no model. Softmax outputs are equal for "
        "all images of a "
        "class that a model has memorised, and features of a network change with the brightness. "
        "In a larger data set, more images resemble a listed one by chance: check the proposals.",
        "",
        f"Features are those of {net}, which was trained on these images. Made by "
        "`python -m benchmarks.near CIFAR WORK_FOLDER`.",
        "",
        f"| altered by | {' | '.join(rows)} |",
        f"|---|{'--:|' * len(rows)}",
    ]
    for number, name in enumerate(ALTERED, 1):
        lines.append(
            f"| {name} | " + " | ".join(f"{row[number]:.0f} %" for row in rows.values()) + " |"
        )
    limits = " | ".join(f"{row[0]:.3f}" for row in rows.values())
    return "\n".join([*lines, f"| threshold | {limits} |", ""])


if __name__ == "__main__":
    main()
