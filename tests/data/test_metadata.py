"""Columns of each kind of source, and conditions on them."""

from __future__ import annotations

import io
import json
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest

from falw_cli.data.metadata import as_text, columns_of, right_labels
from falw_cli.data.opening import open_listing
from falw_cli.errors import RequestError
from falw_cli.runtime.progress import Silent
from tests.data.pictures import make_folder

PERSON = {"b/0.png": 18, "a/0.png": 17, "a/1.png": 18}
SITE = {"b/0.png": "x", "a/0.png": "y", "a/1.png": "y"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of three images."""
    make_folder(tmp_path / "pictures", {"a": 2, "b": 1})
    return tmp_path


def imagefolder(folder: Path) -> tuple[str, str | None]:
    lines = [f"{name},{PERSON[name]},{SITE[name]}" for name in PERSON]
    (folder / "people.csv").write_text("\n".join(["id,person,site", *lines, "c/9.png,17,x"]))
    return f"imagefolder:{folder / 'pictures'}", str(folder / "people.csv")


def parquet_metadata(folder: Path) -> tuple[str, str | None]:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = {"id": list(PERSON), "person": [18.0, 17.0, 18.0], "site": list(SITE.values())}
    table["nested"] = [[1], [2], [3]]
    parquet.write_table(arrow.table(table), folder / "people.parquet")
    return f"imagefolder:{folder / 'pictures'}", str(folder / "people.parquet")


def csv_source(folder: Path) -> tuple[str, str | None]:
    lines = [f"pictures/{name},{name[0]},{name},{PERSON[name]}, {SITE[name]} " for name in PERSON]
    (folder / "d.csv").write_text("\n".join(["path,label,id,person,site", *lines]))
    return f"csv:{folder / 'd.csv'}", None


def npz(folder: Path) -> tuple[str, str | None]:
    images = np.zeros((3, 8, 8, 1), dtype=np.uint8)
    columns = {"person": np.array([18, 17, 18]), "site": np.array(list(SITE.values()))}
    ids, labels = np.array(list(PERSON)), np.array(["b", "a", "a"])
    np.savez(folder / "d.npz", images=images, labels=labels, ids=ids, masks=images, **columns)
    return f"npz:{folder / 'd.npz'}", None


def table(folder: Path) -> dict[str, list[object]]:
    return {
        "image": [{"bytes": (folder / "pictures" / n).read_bytes(), "path": None} for n in PERSON],
        "label": [1, 0, 0], "id": list(PERSON), "person": list(PERSON.values()),
        "site": list(SITE.values()),
    }  # fmt: skip


def parquet(folder: Path) -> tuple[str, str | None]:
    arrow, library = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    library.write_table(arrow.table(table(folder)), folder / "d.parquet")
    return f"parquet:{folder / 'd.parquet'}", None


def hugging_face(folder: Path) -> tuple[str, str | None]:
    datasets = pytest.importorskip("datasets")
    made = datasets.Dataset.from_dict(table(folder))
    made = made.cast_column("image", datasets.Image())
    made.save_to_disk(str(folder / "hf"))
    return f"hf:{folder / 'hf'}", None


def webdataset(folder: Path) -> tuple[str, str | None]:
    with tarfile.open(folder / "d.tar", "w") as archive:
        for name, person in PERSON.items():
            record = json.dumps({"person": person, "site": SITE[name], "box": [1, 2]})
            image = (folder / "pictures" / name).read_bytes()
            for kind, content in (("png", image), ("cls", b"0"), ("json", record.encode())):
                member = tarfile.TarInfo(f"{name.removesuffix('.png')}.{kind}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return f"webdataset:{folder / 'd.tar'}", None


SOURCES = [imagefolder, parquet_metadata, csv_source, npz, parquet, hugging_face, webdataset]


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("keep", [False, True], ids=["whole", "some rows"])
def test_each_source_has_its_columns(folder: Path, source: object, keep: bool) -> None:
    """Columns follow the rows of the listing, whatever the order of the file."""
    spec, metadata = source(folder)  # type: ignore[operator]
    listing = open_listing(spec)
    listing = listing.keep(np.array([2, 1])) if keep else listing
    progress = Silent()
    found = columns_of(listing, metadata, progress)
    assert set(found.values) - {"label", "labels"} == {"person", "site"}
    if "webdataset" in spec:
        with pytest.raises(RequestError, match="'box' holds a list or an object in"):
            found.matching(["box=1"], progress)
    names = [name if "." in name else f"{name}.png" for name in listing.ids]
    assert list(found.column("person")) == [str(PERSON[name]) for name in names]
    assert list(found.column("site")) == [SITE[name] for name in names]
    assert progress.warnings == []
    rows = found.matching(["person=18", "site=y", "site=z"], progress)
    assert [names[row] for row in rows] == ["a/1.png"] * ("a/1.png" in names)
    assert progress.warnings == [f"no sample of {spec!r} has site=z"]


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        (["person"], "is not COLUMN=VALUE"),
        (["persona=17"], "unknown column 'persona'"),
        (["=17"], "is not COLUMN=VALUE"),
        (["person=1"], "no sample of .* has person=1"),
        (["person=17", "site=x"], "no sample of .* matches person=17, site=x"),
    ],
)
def test_conditions_without_a_match_are_refused(
    folder: Path, conditions: list[str], message: str
) -> None:
    spec, metadata = imagefolder(folder)
    found = columns_of(open_listing(spec), metadata, Silent())
    with pytest.raises(RequestError, match=message):
        found.matching(conditions, Silent())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name,person\na,1\n", "line 1: no column id"), ("id,person\n,1\n", "line 2 has no ID"),
        ("id,person\na/0.png,1\na/0.png,2\n", "'a/0.png' occurs twice"),
        ("id,person\na/0.png,1\n a/0.png,2\n", "'a/0.png' occurs twice"),
        ("id,person\nz,1\n", "has no ID of .*it has 'z', the data has 'a/0.png'"),
        ("id,person\n", "has no row"),
        ("id;person\na/0.png;1\n", "no column id among 'id;person'.*separate columns by commas"),
        ("ID,Id\na/0.png,1\n", "no column id among 'ID', 'Id'"),
        ("id,person\na\\0.png,1\n", "mean 'a/0.png'. The file has it with backslashes"),
        ("id,person\n/x/a/0.png,1\n", "mean 'a/0.png'. IDs are paths below the folder"),
        ("id,person,person\na/0.png,1,2\n", "line 1: column 'person' occurs twice"),
        ("id,id\na/0.png,a/1.png\n", "line 1: column 'id' occurs twice"),
        ("id,name,person\na/0.png,Doe, Jane,2\n", "line 2: more than 3 cells"),
    ],
)  # fmt: skip
def test_invalid_metadata_is_refused(folder: Path, content: str, message: str) -> None:
    (folder / "people.csv").write_text(content)
    listing = open_listing(f"imagefolder:{folder / 'pictures'}")
    with pytest.raises(RequestError) as refused:
        columns_of(listing, str(folder / "people.csv"), Silent())
    assert re.search(message, f"{refused.value} {refused.value.hint}")


@pytest.mark.parametrize("header", ["\ufeffid,person", " id , person", "ID,person", "Id ,person "])
def test_headers_of_spreadsheets_are_read(folder: Path, header: str) -> None:
    (folder / "people.csv").write_text(f"{header}\na/0.png,17\na/1.png,18\nb/0.png,18\n")
    listing = open_listing(f"imagefolder:{folder / 'pictures'}")
    found = columns_of(listing, str(folder / "people.csv"), Silent())
    assert list(found.column("person")) == ["17", "18", "18"]


def test_a_column_with_gaps_that_pandas_wrote_as_fractions(folder: Path) -> None:
    (folder / "people.csv").write_text("id,person,version\na/0.png,17.0,1.5\na/1.png,,1.5\n")
    listing = open_listing(f"imagefolder:{folder / 'pictures'}")
    found = columns_of(listing, str(folder / "people.csv"), Silent())
    for condition in ("person=17", "person=17.0"):
        rows = found.matching([condition, "version=1.5"], Silent())
        assert [listing.ids[row] for row in rows] == ["a/0.png"]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_ids_are_found_without_spaces_around_them(folder: Path, suffix: str) -> None:
    file, ids = folder / f"people.{suffix}", [" a/0.png", "a/1.png ", "b/0.png"]
    if suffix == "csv":
        file.write_text("\n".join(["id,person", *(f"{name},17" for name in ids)]))
    else:
        arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        parquet.write_table(arrow.table({"id": ids, "person": [17, 17, 17]}), file)
    listing, progress = open_listing(f"imagefolder:{folder / 'pictures'}"), Silent()
    assert list(columns_of(listing, str(file), progress).column("person")) == ["17"] * 3
    assert "without the spaces around them: 2" in progress.warnings[0]


def test_samples_without_metadata_are_counted(folder: Path) -> None:
    (folder / "people.csv").write_text("id,person\na/0.png,17\n")
    listing, progress = open_listing(f"imagefolder:{folder / 'pictures'}"), Silent()
    found = columns_of(listing, str(folder / "people.csv"), progress)
    assert list(found.column("person")) == ["17", "", ""]
    assert "2 samples" in progress.warnings[0]
    for wanted in ("person", "site"):  # a column that the file does not have needs no row
        warned = Silent()
        columns_of(listing, str(folder / "people.csv"), warned, wanted)
        assert len(warned.warnings) == (wanted == "person")
    with pytest.raises(RequestError, match="has no columns"):
        columns_of(listing, None, Silent()).column("person")


def test_values_as_text() -> None:
    values = [17, 17.0, 0.5, float("nan"), None, True, "TRUE", "False", " a "]
    meant = ["17", "17", "0.5", "", "", "true", "true", "false", "a"]
    assert [as_text(one) for one in values] == meant


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        (" size=1", ["a/0.png"]), ("size=1", ["a/0.png"]), ("size=cm=3", ["a/1.png"]),
        ("size=cm =3", ["a/1.png"]), ("nom\u00e9=Zo\u00eb", ["a/0.png", "a/1.png"]),
        ("nome\u0301=Zoe\u0308", ["a/0.png", "a/1.png"]),
    ],
)  # fmt: skip
def test_names_and_values_with_spaces_signs_and_accents(
    folder: Path, condition: str, found: list[str]
) -> None:
    lines = ["id, size,size=cm,nome\u0301", "a/0.png,1,2,Zoe\u0308", "a/1.png,2,3,Zo\u00eb"]
    (folder / "people.csv").write_text("\n".join([*lines, "b/0.png,2,2,Max"]))
    listing = open_listing(f"imagefolder:{folder / 'pictures'}")
    columns = columns_of(listing, str(folder / "people.csv"), Silent())
    rows = columns.matching([condition], Silent())
    assert [listing.ids[row] for row in rows] == found


def test_samples_that_the_metadata_does_not_name_keep_their_values(folder: Path) -> None:
    spec, _ = csv_source(folder)
    (folder / "some.csv").write_text("id,person,age\na/0.png,,5\nb/0.png,9,6\n")
    listing, progress = open_listing(spec), Silent()
    found = columns_of(listing, str(folder / "some.csv"), progress)
    assert listing.ids == ("a/0.png", "a/1.png", "b/0.png")
    assert list(found.column("person")) == ["", "18", "9"]
    assert list(found.column("age")) == ["5", "", "6"]
    assert list(found.column("site")) == ["y", "y", "x"]


@pytest.mark.parametrize(
    ("classes", "written", "found"),
    [
        (("Ant", "bee"), ("ant", "bee", " BEE "), [0, 1, 1]),
        (("Ant", "ANT", "bee"), ("Ant", "ANT", "bee"), [0, 1, 2]),
        (("Ant", "ANT", "bee"), ("ant", "bee", "bee"), None),
        (("False", "True"), ("True", "TRUE", "False"), [1, 1, 0]),
        (("1.0", "2.5"), ("1.0", "1", "2.5"), [0, 0, 1]),
        (("1.0", "1", "2"), ("1.0", "2", "2"), None),
        (("e\u0301", "a"), ("\u00e9", "e\u0301", "a"), [0, 0, 1]),
    ],
)
def test_right_labels_are_classes_of_the_model(
    folder: Path, classes: tuple[str, ...], written: tuple[str, ...], found: list[int] | None
) -> None:
    listing, progress = open_listing(f"imagefolder:{folder / 'pictures'}"), Silent()
    lines = [f"{name},{label}" for name, label in zip(listing.ids, written, strict=True)]
    (folder / "truth.csv").write_text("\n".join(["id,truth", *lines]))
    ask = (listing, classes, "truth", str(folder / "truth.csv"), progress)
    if found is None:
        with pytest.raises(RequestError, match="1 of 3 listed samples have no class"):
            right_labels(*ask)
    else:
        assert right_labels(*ask).tolist() == found
        assert bool(progress.warnings) == (written[0] == "ant")
