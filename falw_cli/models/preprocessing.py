"""Preprocessing that is not given: ImageNet's, or mean and std measured on the data."""

from __future__ import annotations

import torch

from falw_cli.config.settings import Preprocessing
from falw_cli.data.images import Geometry
from falw_cli.data.splits import Part
from falw_cli.errors import RequestError

IMAGENET = Preprocessing(
    image_size=224, resize=256, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
)


def measured(shown: Preprocessing, wanted: Geometry, data: Part) -> Preprocessing:
    """Return the preprocessing, with mean and std measured on the data if they are not given.

    Args:
        shown: preprocessing from config and metadata.
        wanted: geometry of the images.
        data: training samples that may be used.

    Raises:
        RequestError: they are not one number per channel, or are of pixels up to 255.
    """
    mean, std = shown.mean, shown.std
    if mean is None or std is None:
        sample = torch.from_numpy(data.read(max(1, len(data) // 10_000))).float()
        sample = sample.flatten(0, 2) / 255
        mean = tuple(round(v, 4) for v in sample.mean(0).tolist())
        std = tuple(round(max(v, 1e-3), 4) for v in sample.std(0).tolist())
    if len(mean) != wanted.channels or len(std) != wanted.channels:
        raise RequestError(
            f"preprocessing has {len(mean)} means and {len(std)} deviations, "
            f"the model {wanted.channels} channel{'s' if wanted.channels > 1 else ''}",
            "give one number per channel: preprocessing.mean and .std in falw.yaml",
        )
    if max(mean) > 1:
        raise RequestError(
            f"preprocessing.mean is {max(mean):g}, but pixels are from 0 to 1",
            "divide preprocessing.mean and .std in falw.yaml by 255",
        )
    settled = {"image_size": wanted.size, "resize": wanted.resize, "mean": mean, "std": std}
    return shown.model_copy(update=settled)
