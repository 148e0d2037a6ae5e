"""Opening of a training run: which samples it trains on."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest
import torch
from torchvision.io import read_image

from falw_cli.config.settings import Config
from falw_cli.data import images, loading
from falw_cli.data.forget_list import digest_of_ids
from falw_cli.models.checkpoint import LeftOut
from falw_cli.runtime.progress import Silent
from falw_cli.training import run
from tests.data.pictures import make_folder, save_png
from tests.engine import cpu


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of images, and a list of two of them."""
    make_folder(tmp_path / "pictures", {"a": 3, "b": 3})
    (tmp_path / "ids.txt").write_text("a/2.png\nb/1.png\n")
    return tmp_path


def opened(folder: Path, **settings: object) -> tuple[set[bytes], LeftOut]:
    """The pixels that a run trains on, and the list in its metadata."""
    config = Config.model_validate(
        {
            "data": f"imagefolder:{folder / 'pictures'}", "arch": "tiny-cnn",
            "without": str(folder / "ids.txt"), "out": str(folder / "out.safetensors"),
            "cache": False,
        } | settings
    )  # fmt: skip
    with ExitStack() as held:
        inputs = run._open(config, Silent(), cpu(), held)
    pixels = next(inputs.retain.read([torch.arange(len(inputs.retain))]))
    return {image.numpy().tobytes() for image in pixels}, inputs.said


def stored(folder: Path, *names: str) -> set[bytes]:
    """The pixels of files."""
    images = (read_image(str(folder / "pictures" / name)) for name in names)
    return {image.permute(1, 2, 0).contiguous().numpy().tobytes() for image in images}


@pytest.mark.parametrize("broken", ["a/0.png", "a/1.png", "a/2.png", "b/2.png"])
def test_a_skipped_image_does_not_shift_the_rows_left_out(pictures: Path, broken: str) -> None:
    """Retrain must never see a listed sample, wherever an unreadable image lies."""
    every = {f"{c}/{n}.png" for c in "ab" for n in range(3)}
    kept = stored(pictures, *(every - {"a/2.png", "b/1.png", broken}))
    (pictures / "pictures" / broken).write_bytes(b"no image")
    seen, said = opened(pictures, skip_unreadable=True)
    assert seen == kept
    assert said == LeftOut(count=2, ids=digest_of_ids(["b/1.png", "a/2.png"]))


def test_a_state_belongs_to_the_pixels_of_the_data(pictures: Path) -> None:
    config = Config(data=f"imagefolder:{pictures / 'pictures'}", cache=False)

    def known() -> dict[str, str]:
        listing = loading.open_source(config, "data", Silent())
        wanted = images.geometry(listing, config.preprocessing, 3)
        return run._belongs_to(config, images.load(listing, config, wanted, Silent()), images.NONE)

    before = known()
    assert known() == before
    save_png(pictures / "pictures" / "a" / "0.png", seed=77)
    assert known() != before
