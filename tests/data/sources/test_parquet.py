"""The source parquet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from falw_cli.config.settings import Config
from falw_cli.data.images import load
from falw_cli.data.listing import Listing
from falw_cli.data.opening import open_listing
from falw_cli.errors import RequestError
from falw_cli.runtime.progress import Silent
from tests.data.sources.conftest import WANTED, hugging_face, same_pixels


def test_a_file_of_hugging_face(pictures: Listing, tmp_path: Path) -> None:
    hugging_face(pictures).to_parquet(tmp_path / "data.parquet")
    listing = open_listing(f"parquet:{tmp_path / 'data.parquet'}")
    assert listing.ids == ("0", "1", "2", "3", "4")
    assert listing.classes == ("ant", "bee")
    same_pixels(listing, pictures)


def test_several_files_and_groups_with_ids(pictures: Listing, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    (tmp_path / "data").mkdir()
    order = [4, 0, 3, 1, 2]
    for number, some in enumerate((order[:2], order[2:])):
        table = pyarrow.table({
            "id": [pictures.ids[row] for row in some],
            "image": [pictures.raw(row) for row in some],
            "label": [pictures.classes[pictures.labels[row]] for row in some],
        })  # fmt: skip
        parquet.write_table(table, tmp_path / "data" / f"{number}.parquet", row_group_size=1)
    listing = open_listing(f"parquet:{tmp_path / 'data'}")
    assert listing.ids == pictures.ids  # with IDs, the order of the rows has no effect
    same_pixels(listing, pictures)
    same_pixels(listing.keep(np.array([1, 4])), pictures.keep(np.array([1, 4])))


def test_missing_columns_and_files_that_are_not_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    file = tmp_path / "data.parquet"
    parquet.write_table(pyarrow.table({"picture": [b""], "label": [0]}), file)
    with pytest.raises(RequestError, match="has the columns picture, label"):
        open_listing(f"parquet:{file}")
    parquet.write_table(pyarrow.table({"image": [None], "label": [0]}), file)
    with pytest.raises(RequestError, match="holds no image bytes"):
        load(open_listing(f"parquet:{file}"), Config(), WANTED, Silent())
    file.write_bytes(b"PAR1 and no more")
    with pytest.raises(RequestError, match="cannot be read as Parquet"):
        open_listing(f"parquet:{file}")
