"""The source parquet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from falw_cli.config.settings import Config
from falw_cli.data.decoding import header_notes
from falw_cli.data.images import load
from falw_cli.data.listing import Listing
from falw_cli.data.metadata import columns_of
from falw_cli.data.metadata_file import parquet_table
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
    with pytest.raises(RequestError, match="no column of images: its columns are picture, label"):
        open_listing(f"parquet:{file}")
    parquet.write_table(pyarrow.table({"image": [None], "label": [0]}), file)
    with pytest.raises(RequestError, match="holds no image bytes"):
        load(open_listing(f"parquet:{file}"), Config(), WANTED, Silent())
    file.write_bytes(b"PAR1 and no more")
    with pytest.raises(RequestError, match="cannot be read as Parquet"):
        open_listing(f"parquet:{file}")


@pytest.fixture
def cells(pictures: Listing) -> list[dict[str, object]]:
    return [{"bytes": pictures.raw(row), "path": None} for row in range(3)]


def _write(file: Path, **columns: object) -> str:
    pyarrow = pytest.importorskip("pyarrow")
    file.parent.mkdir(parents=True, exist_ok=True)
    pytest.importorskip("pyarrow.parquet").write_table(pyarrow.table(columns), file)
    return f"parquet:{file}"


def test_fine_and_coarse_labels(tmp_path: Path, cells: list[dict[str, object]]) -> None:
    spec = _write(tmp_path / "a.parquet", img=cells, fine_label=[0, 9, 4], coarse_label=[0, 4, 2])
    fine = open_listing(spec)
    assert fine.labels.tolist() == [0, 9, 4]
    assert "'fine_label'; there is also coarse_label: choose with --label-column" in fine.notes[0]
    coarse = open_listing(spec, label_column="coarse_label")
    assert coarse.labels.tolist() == [0, 4, 2]
    assert coarse.notes == ()
    with pytest.raises(RequestError, match="no column other") as caught:
        open_listing(spec, label_column="other")
    assert "--label-column" in (caught.value.hint or "")


def test_a_column_split_is_not_used_without_a_note(
    tmp_path: Path, cells: list[dict[str, object]]
) -> None:
    split = ["train", "test", "train"]
    found = open_listing(_write(tmp_path / "a.parquet", image=cells, label=[0, 1, 2], Split=split))
    assert "the column 'Split' is not used: rows of all its values are" in found.notes


def test_two_columns_of_images_are_named(tmp_path: Path, cells: list[dict[str, object]]) -> None:
    spec = _write(tmp_path / "a.parquet", img=cells, image=cells, label=[0, 1, 2])
    (note,) = open_listing(spec).notes
    assert "images are taken from the column 'image'; there is also img" in note


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([0, None, 1], "1 of 3 samples have no label, the first in row 1"),
        (["a", None, None], "2 of 3 samples have no label, the first in row 1"),
        ([0.0, 0.5, 1.0], "0.5 is not a whole number"),
        ([[0], [1], [0, 1]], "labels are lists"),
        ([-1, 0, 1], "range from -1 to 1"),
    ],
)
def test_labels_that_are_none(
    tmp_path: Path, cells: list[dict[str, object]], labels: list[object], said: str
) -> None:
    with pytest.raises(RequestError, match=said):
        open_listing(_write(tmp_path / "a.parquet", image=cells, label=labels))


def test_labels_and_ids_of_bytes(tmp_path: Path, cells: list[dict[str, object]]) -> None:
    labels, ids = [b"cat", b"dog", b"cat"], [b"x", b"y", b"z"]
    found = open_listing(_write(tmp_path / "a.parquet", image=cells, label=labels, id=ids))
    assert found.classes == ("cat", "dog")
    assert found.ids == ("x", "y", "z")


@pytest.mark.parametrize("ids", [["x", None, "z"], ["x", "", "z"], [1.0, float("nan"), 3.0]])
def test_an_id_that_is_missing(
    tmp_path: Path, cells: list[dict[str, object]], ids: list[object]
) -> None:
    spec = _write(tmp_path / "a.parquet", image=cells, label=[0, 1, 0], id=ids)
    with pytest.raises(RequestError, match="1 of 3 samples have no ID, the first in row 1"):
        open_listing(spec)


@pytest.mark.parametrize("labels", [[0.0, 11.0, 2.0], ["0.0", "11.0", "2.0"]])
def test_whole_floating_point_labels(
    tmp_path: Path, cells: list[dict[str, object]], labels: list[object]
) -> None:
    found = open_listing(_write(tmp_path / "a.parquet", image=cells, label=labels))
    assert found.labels.tolist() == [0, 11, 2]
    assert found.numbered
    assert found.notes


@pytest.mark.parametrize(
    "name", ["{}-00000-of-00001.parquet", "{}/0.parquet", "data/{}.parquet", "0000_{}.parquet"]
)
def test_files_of_several_parts(tmp_path: Path, cells: list[dict[str, object]], name: str) -> None:
    for part, count in (("train", 3), ("validation", 2), ("test", 1)):
        file = tmp_path / "p" / name.format(part)
        _write(file, image=cells[:count], label=list(range(count)))
    spec = f"parquet:{tmp_path / 'p'}"
    assert len(open_listing(f"{spec}#validation").ids) == 2
    assert len(open_listing(f"{spec}#train").ids) == 3
    whole = open_listing(spec)
    assert len(whole.ids) == 6
    assert "all are used; one of them" in whole.notes[0]
    assert sorted(whole.parts) == ["test", "train", "validation"]
    with pytest.raises(RequestError, match="no part 'val'"):
        open_listing(f"{spec}#val")


def test_rows_with_a_path_only_are_counted_or_refused(
    tmp_path: Path, cells: list[dict[str, object]]
) -> None:
    bare: list[object] = [cells[0], {"bytes": None, "path": "x.png"}, None]
    listing = open_listing(_write(tmp_path / "a.parquet", image=bare, label=[0, 1, 2]))
    with pytest.raises(RequestError, match=r"row [12] of .*a\.parquet holds no image bytes"):
        load(listing, Config(cache=False), WANTED, Silent())
    kept = load(listing, Config(cache=False, skip_unreadable=True), WANTED, Silent())
    assert kept.listing.ids == ("0",)
    assert header_notes(listing) == ["2 of 3 images cannot be read"]


READ: dict[str, Callable[[Listing], object]] = {
    "image": lambda listing: load(listing, Config(), WANTED, Silent()),
    "person": lambda listing: columns_of(listing, None, Silent()),
}


@pytest.mark.parametrize("column", READ)
def test_a_broken_column_is_refused(pictures: Listing, tmp_path: Path, column: str) -> None:
    """The columns are read later than the file's schema and its labels."""
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    file = tmp_path / "data.parquet"
    columns = {"image": [pictures.raw(0)], "label": ["ant"], "person": ["x"]}
    names = [column, *(name for name in columns if name != column)]
    parquet.write_table(pyarrow.table({name: columns[name] for name in names}), file)
    content = bytearray(file.read_bytes())
    content[4:24] = bytes(20)  # the first page of the first column
    file.write_bytes(content)
    listing = open_listing(f"parquet:{file}")
    with pytest.raises(RequestError, match="cannot be read"):
        READ[column](listing)


@pytest.mark.parametrize("column", ["id", "label"])
def test_text_that_is_not_utf8_is_refused(pictures: Listing, tmp_path: Path, column: str) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    offsets = arrow.py_buffer(np.array([0, 1], dtype=np.int32))
    broken = arrow.StringArray.from_buffers(1, offsets, arrow.py_buffer(b"\xff"))
    cells = {"id": ["a"], "image": [pictures.raw(0)], "label": ["x"]} | {column: broken}
    parquet.write_table(arrow.table(cells), tmp_path / "data.parquet")
    for read in (lambda file: open_listing(f"parquet:{file}"), parquet_table):
        with pytest.raises(RequestError, match="cannot be read as Parquet"):
            read(tmp_path / "data.parquet")


@pytest.mark.parametrize(
    ("names", "classes", "labels", "noted"),
    [
        ((["a", "b", "c"], ["c", "a", "b"]), ("a", "b", "c"), [0, 1, 2, 2, 0, 1], True),
        ((["a", "b", "c"], ["d", "c", "a"]), ("a", "b", "c", "d"), [0, 1, 2, 3, 2, 0], True),
        ((["a", "b", "c"], ["a", "b", "c"]), ("a", "b", "c"), [0, 1, 2, 0, 1, 2], False),
    ],
)
def test_each_file_is_read_with_its_own_class_names(
    tmp_path: Path,
    cells: list[dict[str, object]],
    names: tuple[list[str], ...],
    classes: tuple[str, ...],
    labels: list[int],
    noted: bool,
) -> None:
    datasets = pytest.importorskip("datasets")
    for number, own in enumerate(names):
        kinds = {"image": datasets.Image(), "label": datasets.ClassLabel(names=own)}
        columns = {"image": cells, "label": [0, 1, 2]}
        some = datasets.Dataset.from_dict(columns, features=datasets.Features(kinds))
        some.to_parquet(tmp_path / "p" / f"{number}.parquet")
    found = open_listing(f"parquet:{tmp_path / 'p'}")
    assert (found.classes, found.labels.tolist()) == (classes, labels)
    assert ["0.parquet and 1.parquet name" in note for note in found.notes] == [True] * noted


@pytest.mark.parametrize("names", ["ab", "ba"], ids=["in order", "reversed"])
@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"label": ["x", "y", "x"]}, "labels of {b} are text, those of {a} are not"),
        ({"id": ["x", "y", "z"]}, "{b} has a column 'id', and {a} has none"),
    ],
)
def test_files_with_other_columns_are_refused(
    tmp_path: Path,
    cells: list[dict[str, object]],
    names: str,
    more: dict[str, object],
    said: str,
) -> None:
    files = [tmp_path / "p" / f"{name}.parquet" for name in names]
    _write(files[0], image=cells, label=[0, 1, 0])
    _write(files[1], image=cells, **{"label": [0, 1, 0], **more})
    with pytest.raises(RequestError) as caught:
        open_listing(f"parquet:{tmp_path / 'p'}")
    assert said.format(a=files[0], b=files[1]) in str(caught.value)


@pytest.mark.parametrize("names", ["ab", "ba"], ids=["in order", "reversed"])
def test_a_further_column_of_some_files(
    tmp_path: Path, cells: list[dict[str, object]], names: str
) -> None:
    for name, more in zip(names, ({}, {"person": ["x", "y", "z"]}), strict=True):
        _write(tmp_path / "p" / f"{name}.parquet", image=cells, label=[0, 1, 0], **more)
    found = columns_of(open_listing(f"parquet:{tmp_path / 'p'}"), None, Silent())
    gap, people = [""] * 3, ["x", "y", "z"]
    assert found.values["person"] == (gap + people if names == "ab" else people + gap)


@pytest.mark.parametrize(
    ("categories", "kind", "noted"),
    [(["small", "large"], "pandas", True), (["large", "small"], "pandas", False),
     (["small", "large"], "ordered", True), (["small", "large"], "plain", False),
     ([10, 9], "ordered", False)],
)  # fmt: skip
def test_categories_in_another_order_than_by_name_are_noted(
    tmp_path: Path, categories: list[Any], kind: str, noted: bool
) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    column = arrow.DictionaryArray.from_arrays(
        arrow.array([0, 1, 0]), arrow.array(categories), ordered=kind == "ordered"
    )
    table = arrow.table({"image": arrow.array([b"png"] * 3), "label": column})
    table = table.replace_schema_metadata({"pandas": "{}"} if kind == "pandas" else None)
    parquet.write_table(table, tmp_path / "a.parquet")
    found = open_listing(f"parquet:{tmp_path / 'a.parquet'}")
    values = [found.classes[row] for row in found.labels]
    assert values == [str(categories[row]) for row in (0, 1, 0)]
    notes = [note for note in found.notes if "categories in the order" in note]
    assert bool(notes) == noted
    assert all("small, large" in note for note in notes)
