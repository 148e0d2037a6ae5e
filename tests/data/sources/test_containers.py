"""The same samples in each container format."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from falw_cli.data.opening import open_listing
from falw_cli.models import checkpoint_files
from tests.conftest import falw
from tests.data.pictures import make_folder
from tests.data.sources.conftest import hugging_face, shard

CONTAINERS = {"imagefolder": "", "parquet": ".parquet", "hf": ".hf", "webdataset": ".tar"}


@pytest.mark.slow
def test_all_containers_give_the_report_of_the_folder(tmp_path: Path) -> None:
    """The same samples in the same order give the same steps and the same metrics."""
    for number, name in enumerate(("seen", "guide", "judge")):
        counts = {"ant": 12, "bee": 12, "cat": 12}
        make_folder(tmp_path / name, counts, seed=9000 * number)
        folder = open_listing(f"imagefolder:{tmp_path / name}")
        made = hugging_face(folder)
        made.to_parquet(tmp_path / f"{name}.parquet")
        made.save_to_disk(tmp_path / f"{name}.hf")
        shard(folder, tmp_path / f"{name}.tar", list(range(36)))
    known = open_listing(f"imagefolder:{tmp_path / 'seen'}").ids
    chosen = ["ant/0.png", "ant/3.png", "bee/7.png"]
    train = ("train", "--arch", "tiny-cnn", "--data", "imagefolder:seen", "--epochs", "20",
             "--batch-size", "12")  # fmt: skip
    assert falw(*train, cwd=tmp_path).returncode == 0
    found = {}
    for kind, end in CONTAINERS.items():
        ids = {
            "imagefolder": chosen,
            "webdataset": [name.removesuffix(".png") for name in chosen],
        }.get(kind, [str(known.index(name)) for name in chosen])
        (tmp_path / "ids.txt").write_text("\n".join(ids))
        sources = [
            text for flag, name in (("--data", "seen"), ("--heldout", "guide"), ("--test", "judge"))
            for text in (flag, f"{kind}:{name}{end}")
        ]  # fmt: skip
        done = falw(
            "unlearn", "model.safetensors", "--forget", "ids.txt", "--batch-size", "12", "--force",
            "--no-forgotten-gate",
            "--json", *sources, cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        # The files differ: the metadata has the digest of the list, which names rows or keys.
        tensors = checkpoint_files.read(tmp_path / report["output"]["path"]).tensors
        found[kind] = report["metrics"], {name: one.tolist() for name, one in tensors.items()}
    assert found["parquet"] == found["hf"] == found["webdataset"] == found["imagefolder"]
