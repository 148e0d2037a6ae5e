"""The source hf."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from falw_cli.data.listing import Listing
from falw_cli.data.opening import open_listing
from falw_cli.errors import RequestError
from tests.data.sources.conftest import columns, hugging_face, same_pixels


def test_a_saved_dataset(pictures: Listing, tmp_path: Path) -> None:
    hugging_face(pictures).save_to_disk(tmp_path / "data")
    listing = open_listing(f"hf:{tmp_path / 'data'}")
    assert listing.ids == ("0", "1", "2", "3", "4")
    assert listing.classes == ("ant", "bee")
    same_pixels(listing, pictures)


def test_a_dictionary_of_datasets_has_parts(pictures: Listing, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    whole = datasets.Dataset.from_dict(columns(pictures)).cast_column("image", datasets.Image())
    parts = {"train": whole.select([0, 1, 3]), "test": whole.select([2, 4])}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "data")
    assert len(open_listing(f"hf:{tmp_path / 'data'}").ids) == 3
    assert len(open_listing(f"hf:{tmp_path / 'data'}#test").ids) == 2
    assert open_listing(f"hf:{tmp_path / 'data'}", "test").numbered


def test_the_local_cache_of_load_dataset(pictures: Listing, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    made = hugging_face(pictures)
    made.select([0, 1, 3]).to_parquet(tmp_path / "seen.parquet")
    made.select([2, 4]).to_parquet(tmp_path / "unseen.parquet")
    files = {"train": str(tmp_path / "seen.parquet"), "test": str(tmp_path / "unseen.parquet")}
    datasets.load_dataset("parquet", data_files=files, cache_dir=str(tmp_path / "cache"))
    listing = open_listing(f"hf:{tmp_path / 'cache'}")
    assert listing.parts == ("test", "train")
    assert listing.identity != open_listing(f"hf:{tmp_path / 'cache'}", "test").identity
    assert listing.classes == ("ant", "bee")
    same_pixels(listing, pictures.keep(np.array([0, 1, 3])))
    assert len(open_listing(f"hf:{tmp_path / 'cache'}", "test").ids) == 2


def test_any_name_of_a_part(pictures: Listing, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    whole = hugging_face(pictures)
    parts = {"train": whole.select([0, 1, 3]), "validation": whole.select([2, 4])}
    datasets.DatasetDict(parts).save_to_disk(str(tmp_path / "d"))
    spec = f"hf:{tmp_path / 'd'}"
    assert open_listing(f"{spec}#validation").labels.tolist() == [0, 1]
    assert open_listing(spec, "test").labels.tolist() == [0, 1]  # what there is of unseen data
    assert open_listing(spec).labels.tolist() == [0, 0, 1]
    assert open_listing(spec).parts == ("train", "validation")
    with pytest.raises(RequestError, match="no part 'val'") as caught:
        open_listing(f"{spec}#val")
    assert caught.value.hint == "choose from: #train, #validation"
    whole.save_to_disk(str(tmp_path / "one"))
    assert len(open_listing(f"hf:{tmp_path / 'one'}", "test").ids) == 5
    with pytest.raises(RequestError, match="one dataset, of the part without a name"):
        open_listing(f"hf:{tmp_path / 'one'}#validation")
