"""Architectures by name: torchvision, CIFAR variants, tiny-cnn, other libraries, user code."""

from __future__ import annotations

import importlib
import re
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from falw_cli.config.extensions import FORMATS
from falw_cli.errors import RequestError, unknown_name

Builder = Callable[[int, int], nn.Module]
"""(number of classes, image channels) -> a module from float [N, channels, H, W] to [N, classes]"""

COUNTER = "num_batches_tracked"
"""Last part of the name of BatchNorm's count of batches."""


def _convolution(inputs: int, outputs: int, stride: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    ]


def tiny_cnn(num_classes: int, channels: int = 3) -> nn.Module:
    """Return a BatchNorm CNN of 0.4 million parameters, fast on a CPU, for 8 pixels or more."""
    return nn.Sequential(
        *_convolution(channels, 32, stride=2),
        *_convolution(32, 64),
        nn.MaxPool2d(2, ceil_mode=True),
        *_convolution(64, 128),
        nn.MaxPool2d(2, ceil_mode=True),
        *_convolution(128, 256),
        nn.AdaptiveMaxPool2d(2),
        nn.Flatten(),
        nn.Linear(1024, num_classes),
    )


def _torchvision(name: str, num_classes: int) -> nn.Module:
    from torchvision.models import get_model

    # GoogLeNet and Inception warn of a slow default initialisation, which is intended.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        model: nn.Module = get_model(name, weights=None, num_classes=num_classes)
    return model


def _resnet_cifar(name: str, num_classes: int, channels: int) -> nn.Module:
    """ResNet with the CIFAR stem: a 3x3 convolution of stride 1 and no pooling (He et al.)."""
    model = _torchvision(name, num_classes)
    model.conv1 = nn.Conv2d(channels, 64, 3, stride=1, padding=1, bias=False)
    model.maxpool = nn.Identity()
    return model


def _vgg_cifar(num_classes: int, channels: int) -> nn.Module:
    """VGG-16 with BatchNorm for 32 pixels: one linear layer on the last 1x1 feature map."""
    model = _torchvision("vgg16_bn", num_classes)
    model.get_submodule("features").register_module("0", nn.Conv2d(channels, 64, 3, padding=1))
    model.avgpool = nn.AdaptiveAvgPool2d(1)
    model.classifier = nn.Linear(512, num_classes)
    return model


OWN: dict[str, Builder] = {
    "tiny-cnn": tiny_cnn,
    "resnet18-cifar": lambda classes, channels: _resnet_cifar("resnet18", classes, channels),
    "resnet34-cifar": lambda classes, channels: _resnet_cifar("resnet34", classes, channels),
    "vgg16_bn-cifar": _vgg_cifar,
}


def names() -> list[str]:
    """Return all architectures known by name."""
    from torchvision import models  # takes two seconds, which OWN does not need

    return [*OWN, *models.list_models(module=models)]


def canonical(name: str) -> str:
    """Return the registry's spelling of `name`; case, `-` and `_` are ignored ("ResNet-18")."""
    if is_code(name) or "/" in name or name in OWN:
        return name
    plain = {re.sub(r"[-_]", "", known).lower(): known for known in names()}
    return plain.get(re.sub(r"[-_]", "", name).lower(), name)


def is_code(name: str) -> bool:
    """Return whether the name is user code, `package.module:function`."""
    return ":" in name


def builder(name: str, said: dict[str, Any] | None = None) -> Builder:
    """Return the builder of an architecture; `said` holds the settings of a library's architecture.

    `package.module:function` imports code: the caller must check that the user asked for it.
    The function is called with the number of classes.

    Raises:
        RequestError: no such architecture, module or function.
    """
    if is_code(name):
        return _own_code(name)
    if found := library_builder(name, said or {}):
        return found
    name = canonical(name)
    if name in OWN:
        return OWN[name]
    if name not in names():
        error = unknown_name("architecture", name, names())
        error.hint = f"for your own code, give package.module:function; {error.hint}"
        raise error

    def build_torchvision(num_classes: int, channels: int) -> nn.Module:
        if channels != 3:
            raise RequestError(
                f"architecture {name} takes 3 channels, the images have {channels}",
                "choose tiny-cnn or a …-cifar architecture",
            )
        return _torchvision(name, num_classes)

    return build_torchvision


def library_builder(name: str, said: dict[str, Any]) -> Builder | None:
    """Return the builder of `LIBRARY/NAME` from the checkpoint format LIBRARY, if there is one."""
    library, slash, _ = name.partition("/")
    build: Any = FORMATS.load(library).FORMAT.builder if slash and library in FORMATS else None
    return build(name, said) if build else None


def _own_code(name: str) -> Builder:
    module_name, _, function_name = name.partition(":")
    if module_name.endswith(".py"):
        module = ".".join(Path(module_name).with_suffix("").parts)
        raise RequestError(
            f"architecture {name} names a file, not a module",
            f"write it as {module}:{function_name}",
        )
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.append(folder)  # last, so that no file there can shadow a library
    try:
        function = getattr(importlib.import_module(module_name), function_name)
    except Exception as error:  # user code may raise anything
        top = module_name.split(".")[0]
        absent = isinstance(error, ModuleNotFoundError) and error.name == top
        raise RequestError(
            f"architecture {name} cannot be imported: {error}",
            f"run in the folder of {top}, or add that folder to PYTHONPATH"
            if absent else "give it as package.module:function, and correct its code",
        ) from error  # fmt: skip

    def build(num_classes: int, channels: int) -> nn.Module:
        try:
            model = function(num_classes)
        except Exception as error:  # user code may raise anything
            raise RequestError(
                f"architecture {name} failed: {type(error).__name__}: {error}",
                "fix the function: it is called with one argument, the number of classes",
            ) from error
        if not isinstance(model, nn.Module):
            raise RequestError(
                f"architecture {name} returned {type(model).__name__}, not a torch.nn.Module",
                "return the module itself",
            )
        return model

    return build


def skeleton(build: Builder, num_classes: int = 2, channels: int = 3) -> nn.Module:
    """Return the module for its names and shapes only, without memory if possible."""
    try:
        with torch.device("meta"):
            return build(num_classes, channels)
    except (NotImplementedError, RuntimeError, RequestError):
        # Some compute their widths with tensors (RegNet), which must have values.
        return build(num_classes, channels)


def _shapes(build: Builder, num_classes: int, channels: int) -> dict[str, torch.Size]:
    return {k: v.shape for k, v in skeleton(build, num_classes, channels).state_dict().items()}


def class_count(build: Builder, shapes: Mapping[str, tuple[int, ...]], channels: int) -> int | None:
    """Return the number of classes of a checkpoint's tensors.

    The head is the first tensor whose shape differs between builds for two and three classes.

    Args:
        build: the architecture.
        shapes: the checkpoint's tensors by name.
        channels: image channels.

    Returns:
        The count, or None if the checkpoint lacks the head.
    """
    two, three = _shapes(build, 2, channels), _shapes(build, 3, channels)
    for key, shape in two.items():
        axis = next((i for i, n in enumerate(shape) if n != three[key][i]), None)
        if axis is not None and key in shapes and len(shapes[key]) == len(shape):
            return shapes[key][axis]
    return None


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    """Return the known architecture with tensors of these names and shapes, or None.

    Short names come first: they are common. RegNets come last: they take seconds to build. The
    counters of BatchNorm, which torch before 0.4.1 did not write, may be missing.
    """
    counted = any(name.endswith(COUNTER) for name in shapes)

    def expected(build: Builder, count: int, channels: int) -> dict[str, torch.Size]:
        found = _shapes(build, count, channels)
        return {k: v for k, v in found.items() if counted or not k.endswith(COUNTER)}

    for name in sorted(names(), key=lambda name: ("regnet" in name, len(name))):
        try:
            build = builder(name)
            if expected(build, 2, 3).keys() != shapes.keys():
                continue
            channels = channel_count(build, shapes)
            count = class_count(build, shapes, channels)
            if count and expected(build, count, channels) == shapes:
                return name
        except RequestError:  # it takes other channels
            continue
    return None


def channel_count(build: Builder, shapes: Mapping[str, tuple[int, ...]], other: int = 3) -> int:
    """Return the input channels of a checkpoint's first convolution, or `other` without one."""
    for name, module in skeleton(build, 2, 3).named_modules():
        if isinstance(module, nn.Conv2d):
            shape = shapes.get(f"{name}.weight", ())
            return shape[1] if len(shape) == 4 else other
    return other


def input_size(build: Callable[[], nn.Module]) -> int | None:
    """Return the side of the images that a network is built for, in pixels; None if it takes any.

    torchvision's and timm's transformers say it.
    """
    module = skeleton(lambda classes, channels: build())
    size = getattr(module, "image_size", getattr(getattr(module, "patch_embed", 0), "img_size", 0))
    side = size[0] if isinstance(size, tuple) and size else size
    return side if isinstance(side, int) and side > 0 else None
