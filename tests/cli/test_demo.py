"""The demo's data and table; `test_commands.py` runs the whole."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from falw_cli.cli import demo, demo_data
from tests.audit.reports import report


@pytest.fixture(scope="module")
def parts() -> dict[str, np.lib.npyio.NpzFile]:
    """The arrays of each file."""
    return {name: np.load(io.BytesIO(text)) for name, text in demo_data.files().items()}


def test_the_data_are_the_same_in_every_run(parts: dict[str, np.lib.npyio.NpzFile]) -> None:
    for name, text in demo_data.files().items():
        again = np.load(io.BytesIO(text))
        for key in ("images", "labels"):
            assert np.array_equal(again[key], parts[name][key])


def test_training_and_unseen_images_have_all_digits_and_differ(
    parts: dict[str, np.lib.npyio.NpzFile],
) -> None:
    train, unseen = parts["train.npz"], parts["unseen.npz"]
    for one, count in ((train, demo_data.TRAIN), (unseen, demo_data.UNSEEN)):
        assert one["images"].shape == (count, demo_data.SIDE, demo_data.SIDE, 1)
        assert one["images"].dtype == np.uint8
        assert sorted(set(one["labels"].tolist())) == list(range(10))
    known = {image.tobytes() for image in train["images"]}
    assert len(known) == demo_data.TRAIN
    assert not known & {image.tobytes() for image in unseen["images"]}


def test_without_distortion_an_image_is_only_enlarged(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DEGREES", "SCALE", "SHIFT", "NOISE"):
        monkeypatch.setattr(demo_data, name, 0.0)
    image = np.zeros((1, 8, 8))
    image[0, :4] = 200.0
    found = demo_data.distorted(image, np.random.default_rng(0))[0, :, :, 0]
    middle = demo_data.SIDE // 2
    assert (found[1 : middle - 1, 1:-1] == 200).all()
    assert (found[middle + 1 :] == 0).all()


def test_the_table_has_a_row_per_model_and_the_result_as_its_title() -> None:
    reports = {"match": report(1.5), "finetune": report(4.0), "falw": report(5.0)}
    out = io.StringIO()
    Console(file=out, width=80).print(demo.comparison(reports))
    lines = out.getvalue().splitlines()
    found = reports["match"].metrics
    assert found.before is not None
    assert found.after is not None
    old, new = f"{found.before.avg_gap:.1f}", f"{found.after.avg_gap:.1f}"
    assert f"from {old} to {new} points" in lines[0]
    labels = ["before", *(run.label for run in demo.RUNS.values()), "Retrain: trained without"]
    rows = [line for line in lines if "│" in line]
    assert [label in row for label, row in zip(labels, rows, strict=True)] == [True] * 5
    assert rows[0].rstrip(" │").endswith(old)
    assert rows[-1].rstrip(" │").endswith(f"{found.noise_floor:.1f}")
