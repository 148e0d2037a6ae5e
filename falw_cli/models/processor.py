"""Image processors of transformers, as falw's preprocessing: exactly, or refused by their key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from falw_cli.config.settings import Preprocessing

SHOWN = "preprocessor_config.json"
PILLOWS: dict[int, Any] = {0: "nearest", 2: "bilinear", 3: "bicubic"}
"""Interpolations by Pillow's numbers."""
KINDS = {
    "ViT": (True, False, 2), "DeiT": (True, True, 3), "Beit": (True, False, 3),
    "EfficientNet": (True, False, 3), "Pvt": (True, False, 2), "Segformer": (True, False, 2),
    "Bit": (False, True, 3), "CLIP": (False, True, 3), "ConvNext": (False, False, 3),
    "Levit": (False, True, 3), "MobileNetV1": (False, True, 2), "MobileNetV2": (False, True, 2),
    "MobileViT": (False, True, 3), "PoolFormer": (False, True, 3),
}  # fmt: skip
"""Per kind of processor: whether a size that is a number means both sides, whether it crops, and
its interpolation, where its file does not say so."""
OTHER_STEPS = ("Perceiver", "TextNet", "ImageGPT", "Donut", "Siglip2")
"""Kinds that resize or crop in their own way."""
APPLIED = ("do_resize", "do_center_crop", "do_rescale", "do_normalize")
HARMLESS = ("do_convert_rgb", "do_reduce_labels")
"""Steps that change no RGB image."""
WARPED = 384
"""Size from which ConvNeXt's processor squashes images."""


def preprocessing(shown: Mapping[str, Any], side: object) -> Preprocessing:
    """Return a processor's preprocessing.

    Args: shown, its file; side, the input size in the model's config.

    Raises:
        ValueError: it has a step that falw does not apply exactly. KeyError, TypeError: a value
            is missing or malformed.
    """
    shown = {key: value for key, value in shown.items() if value is not None}
    kind = _kind(shown)
    if kind in OTHER_STEPS:
        raise ValueError(f"image_processor_type {kind} has steps that falw does not apply")
    flips = shown.get("do_flip_channel_order", kind == "MobileViT")
    known = (*APPLIED, *HARMLESS, "do_flip_channel_order")
    others = [key for key, value in shown.items() if key.startswith("do_") and value]
    if refused := [
        *["do_flip_channel_order"] * bool(flips),
        *(k for k in others if k not in known),
    ]:
        raise ValueError(f"falw does not apply its step {refused[0]}")
    size, resize, squash = _sizes(shown, kind, side)
    mean, std = _scale(shown, kind)
    resample = shown.get("resample", KINDS.get(kind, (0, 0, 2))[2])
    return Preprocessing(
        image_size=size, resize=resize, squash=squash, mean=mean, std=std,
        interpolation=PILLOWS.get(resample, "bilinear"),
    )  # fmt: skip


def notes(shown: Mapping[str, Any]) -> tuple[str, ...]:
    """Return sentences on what is exact for some images only, or replaced."""
    said, kind = [], _kind(shown)
    resample, size = shown.get("resample"), shown.get("size")
    if resample is not None and resample not in PILLOWS:
        said.append(f"{SHOWN}: falw lacks interpolation {resample}, and uses bilinear")
    crops = shown.get("do_center_crop", KINDS.get(kind, (0, False))[1]) or kind == "ConvNext"
    edge = isinstance(size, Mapping) and size.get("shortest_edge")
    edge = edge or (isinstance(size, int) and not KINDS.get(kind, (True,))[0])
    if edge and not crops and "crop_pct" not in shown and shown.get("do_resize", True):
        said.append(
            f"{SHOWN} has size.shortest_edge without a crop: images that are not square are "
            "cropped to their centre, which the processor does not do"
        )
    return tuple(said)


def _kind(shown: Mapping[str, Any]) -> str:
    named = str(shown.get("image_processor_type") or shown.get("feature_extractor_type") or "")
    return re.sub(r"(ImageProcessor(Fast|Pil)?|FeatureExtractor)$", "", named)


def _scale(
    shown: Mapping[str, Any], kind: str
) -> tuple[tuple[float, ...], tuple[float, ...]]:  # fmt: skip
    """Return mean and std of pixels in [0, 1] that have the effect of all steps on values."""
    unit = (
        255 * float(shown.get("rescale_factor", 1 / 255)) if shown.get("do_rescale", True) else 255
    )
    unit = 1.0 if abs(unit - 1) <= 1e-4 else unit
    mean: Iterable[float] = (0.0, 0.0, 0.0)
    std: Iterable[float] = (1.0, 1.0, 1.0)
    if shown.get("do_normalize", True) and kind != "MobileViT":
        mean, std = shown["image_mean"], shown["image_std"]
    if shown.get("rescale_offset"):
        if kind != "EfficientNet" or not shown.get("do_rescale", True):
            raise ValueError("falw does not apply its step rescale_offset")
        mean = [value + 1 for value in mean]
    if shown.get("include_top", kind == "EfficientNet"):
        std = [a * b for a, b in zip(std, shown["image_std"], strict=True)]
    if unit != 1:
        mean, std = [value / unit for value in mean], [value / unit for value in std]
    return tuple(mean), tuple(std)


def _sizes(shown: Mapping[str, Any], kind: str, side: object) -> tuple[int, int, bool]:
    """Return the input size, the side before the crop, and whether images are squashed."""
    square, crops, _ = KINDS.get(kind, (None, False, 2))
    crops = bool(shown.get("do_center_crop", crops))
    if not shown.get("do_resize", True):
        if crops:
            raise ValueError("falw does not apply do_center_crop without do_resize")
        whole = int(side)  # type: ignore[call-overload]
        return whole, whole, False
    size = shown.get("size", {})
    if isinstance(size, int):
        if square is None:
            raise ValueError(
                f"size is {size}: both sides or the shorter one, and falw does not know "
                f"image_processor_type {kind or '(missing)'}"
            )
        size = {"height": size, "width": size} if square else {"shortest_edge": size}
    if isinstance(size, list):
        size = dict(zip(("height", "width"), size, strict=True))
    size = {key: value for key, value in size.items() if value is not None}
    if extra := set(size) - {"height", "width", "shortest_edge"}:
        raise ValueError(f"falw does not apply size.{min(extra)}")
    squash = "height" in size
    edge = _square(size, "size") if squash else int(size["shortest_edge"])
    if kind == "ConvNext" or ("crop_pct" in shown and kind != "PoolFormer"):
        return _convnext(edge, float(shown.get("crop_pct", 224 / 256)), squash)
    before = edge
    if kind == "Levit" and not squash:
        before = int(256 / 224 * edge)
    if kind == "PoolFormer":
        before, squash = int(edge / float(shown.get("crop_pct", 0.9))), False
    cut = _square(shown["crop_size"], "crop_size") if crops else before
    if cut > before:
        raise ValueError(f"falw does not apply a crop_size, {cut}, larger than the image, {before}")
    return cut, before, squash


def _convnext(edge: int, crop: float, squash: bool) -> tuple[int, int, bool]:
    if squash:
        raise ValueError("crop_pct needs size.shortest_edge")
    return edge, edge if edge >= WARPED else int(edge / crop), edge >= WARPED


def _square(size: Any, key: str) -> int:
    if isinstance(size, int):
        return size
    if size["height"] != size["width"]:
        raise ValueError(f"{key} is not square")
    return int(size["height"])
