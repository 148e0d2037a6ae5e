"""Processors of transformers are applied exactly, or refused by the key that falw lacks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from falw_cli.data.images import Geometry
from falw_cli.data.images import _fit as fit
from falw_cli.models.processor import notes, preprocessing

MEAN, STD = [0.4, 0.5, 0.6], [0.2, 0.3, 0.25]
PLAIN = {"image_mean": MEAN, "image_std": STD, "resample": 2}


@pytest.mark.parametrize(
    ("kind", "shown", "sizes"),
    [("ViTFeatureExtractor", {"size": 16}, (16, 16, True)),
     ("BeitImageProcessorFast", {"size": 16}, (16, 16, True)),
     ("CLIPFeatureExtractor", {"size": 18, "crop_size": 16}, (16, 18, False)),
     ("ConvNextFeatureExtractor", {"size": 14}, (14, 16, False)),
     ("ConvNextFeatureExtractor", {"size": 384}, (384, 384, True)),
     ("DeiTImageProcessor", {"size": 20, "crop_size": 16}, (16, 20, True)),
     ("DeiTImageProcessor", {"size": {"height": 20, "width": 20}, "do_center_crop": False},
      (20, 20, True)),
     ("LevitImageProcessor", {"size": {"shortest_edge": 21}, "crop_size": 21}, (21, 24, False)),
     ("PoolFormerImageProcessor", {"size": {"shortest_edge": 18}, "crop_size": 16, "crop_pct": 0.9},
      (16, 20, False)),
     ("ViTImageProcessor", {"do_resize": False}, (32, 32, False)),
     ("CLIPImageProcessor", {"size": [16, 16], "do_center_crop": False}, (16, 16, True)),
     ("NewImageProcessor", {"size": {"height": 16, "width": 16}}, (16, 16, True))],
)  # fmt: skip
def test_sizes_depend_on_the_kind_of_processor(
    kind: str, shown: dict[str, Any], sizes: tuple[int, int, bool]
) -> None:
    found = preprocessing({**PLAIN, "image_processor_type": kind, **shown}, 32)
    assert (found.image_size, found.resize, found.squash) == sizes


@pytest.mark.parametrize(
    ("kind", "shown", "said"),
    [("New", {"size": 16}, "size is 16"), ("", {"size": 16}, r"\(missing\)"),
     ("ViT", {"size": [16, 18]}, "size is not square"),
     ("ViT", {"size": {"longest_edge": 16}}, "size.longest_edge"),
     ("ViT", {"size": 16, "do_pad": True}, "do_pad"),
     ("ViT", {"size": 16, "do_new": True}, "do_new"),
     ("ViT", {"size": 16, "rescale_offset": True}, "rescale_offset"),
     ("MobileViT", {"size": 16, "crop_size": 16}, "do_flip_channel_order"),
     ("DeiT", {"do_resize": False, "crop_size": 16}, "do_center_crop"),
     ("DeiT", {"size": 16, "crop_size": 20}, "crop_size"),
     ("Perceiver", {"size": 16}, "image_processor_type")],
)  # fmt: skip
def test_a_step_that_is_not_applied_is_refused_by_name(
    kind: str, shown: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        preprocessing({**PLAIN, "image_processor_type": f"{kind}ImageProcessor", **shown}, 16)


@pytest.mark.parametrize(
    ("shown", "value"),
    [({}, lambda p, m, s: (p - m) / s),
     ({"do_rescale": False}, lambda p, m, s: (255 * p - m) / s),
     ({"rescale_factor": 1 / 127.5}, lambda p, m, s: (2 * p - m) / s),
     ({"rescale_factor": 1 / 127.5, "rescale_offset": True}, lambda p, m, s: (2 * p - 1 - m) / s),
     ({"include_top": True}, lambda p, m, s: (p - m) / s / s),
     ({"do_normalize": False}, lambda p, m, s: p),
     ({"do_normalize": False, "include_top": True}, lambda p, m, s: p / s)],
)  # fmt: skip
def test_mean_and_std_have_the_effect_of_all_steps(shown: dict[str, Any], value: Any) -> None:
    kind = {"image_processor_type": "EfficientNetImageProcessor", "include_top": False}
    found = preprocessing({**PLAIN, **kind, "size": 16, **shown}, 16)
    assert found.mean is not None
    assert found.std is not None
    for m, s, mean, std in zip(MEAN, STD, found.mean, found.std, strict=True):
        assert (0.7 - mean) / std == pytest.approx(value(0.7, m, s))


@pytest.mark.parametrize(
    ("shown", "said"),
    [({"size": {"shortest_edge": 16}}, "not square"), ({"size": 16, "resample": 1}, "lacks"),
     ({"size": 16}, ""), ({"size": {"shortest_edge": 16}, "do_center_crop": True}, "")],
)  # fmt: skip
def test_what_is_not_exact_is_noted(shown: dict[str, Any], said: str) -> None:
    found = notes({"image_processor_type": "ViTImageProcessor", **shown})
    assert (said in found[0]) if said else not found


@pytest.mark.parametrize("resample", [0, 2, 3])
@pytest.mark.parametrize(
    ("kind", "shown"),
    [("ViT", {"size": {"height": 16, "width": 16}}),
     ("DeiT", {"size": {"height": 20, "width": 20}, "crop_size": {"height": 16, "width": 16}}),
     ("Levit", {"size": {"shortest_edge": 16}, "crop_size": {"height": 16, "width": 16}}),
     ("EfficientNet", {"size": {"height": 16, "width": 16}, "include_top": True})],
)  # fmt: skip
def test_pixels_are_those_of_the_library(kind: str, shown: dict[str, Any], resample: int) -> None:
    library = pytest.importorskip("transformers")
    said = {**shown, "image_mean": MEAN, "image_std": STD, "resample": resample}
    own = getattr(library, f"{kind}ImageProcessor")(**said)
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 24, 40), np.uint8))
    found = preprocessing({**said, "image_processor_type": f"{kind}ImageProcessor"}, 16)
    assert found.image_size
    wanted = Geometry(
        found.image_size, found.resize or 0, 3, found.interpolation, squash=found.squash
    )
    pixels = fit(image, wanted).float() / 255
    mean, std = (torch.tensor(one)[:, None, None] for one in (found.mean, found.std))
    expected = own(image, return_tensors="pt")["pixel_values"][0]
    torch.testing.assert_close((pixels - mean) / std, expected, atol=1e-4, rtol=1e-4)
