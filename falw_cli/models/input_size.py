"""The checks that a network takes the images of its data and returns logits of its classes."""

from __future__ import annotations

import torch
from torch import nn

from falw_cli.data.listing import Listing
from falw_cli.errors import FalwError, RequestError
from falw_cli.models.network import Network, NetworkSpec
from falw_cli.runtime.printable import counted


def check_input_size(network: Network) -> None:
    """Try a network on one black image.

    Raises:
        RequestError: it does not take images of the preprocessing's size, or returns no logits, or
            more or fewer than it has classes.
    """
    shown = network.preprocessing
    assert shown.image_size is not None
    assert shown.mean is not None
    shape = (1, shown.image_size, shown.image_size, len(shown.mean))
    try:
        found = network.logits(torch.zeros(shape, dtype=torch.uint8, device=network.fabric.device))
    except (FalwError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # a network may raise anything
        convolves = any(isinstance(one, nn.Conv2d) for one in network.module.modules())
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise RequestError(
            f"{network.arch} fails on an image of {shown.image_size} pixels: {reason}",
            "give its input size: preprocessing.image_size in falw.yaml"
            + ("" if convolves else "; for grey images, give one mean and one std there"),
        ) from error
    if found.shape[1] != len(network.classes):
        raise RequestError(
            f"{network.arch} has {counted(found.shape[1], 'output')}, there are "
            f"{counted(len(network.classes), 'class', 'classes')}",
            "give an architecture that has one output per class",
        )


def check_channels(spec: NetworkSpec, listing: Listing) -> None:
    """Refuse a model of channels that the images cannot have: files are grey or colour.

    Raises:
        RequestError: the model takes another number of channels.
    """
    native = (1, 3) if listing.array is None else {listing.array.shape[3], 1, 3}
    if spec.channels not in native:
        raise RequestError(
            f"the model takes images of {spec.channels} channels, {listing.spec!r} has images of "
            f"{'1 or 3' if listing.array is None else listing.array.shape[3]}",
            "give a model for grey or colour images",
        )
