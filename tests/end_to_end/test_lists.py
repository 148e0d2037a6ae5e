"""Requests as they come: damaged images, copies, columns and groups, with the installed command."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from falw_cli.audit.report import Report
from tests.conftest import falw
from tests.data.pictures import make_folder

CONFIG = """\
arch: tiny-cnn
data: imagefolder:seen
heldout: imagefolder:unseen
train: {epochs: 30, batch_size: 8}
"""
UNLEARN = ("unlearn", "model.safetensors", "--forget", "ids.txt", "--epochs", "1")


@pytest.fixture(scope="module")
def trained_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A read-only folder with a model of random images."""
    folder = tmp_path_factory.mktemp("pictures")
    make_folder(folder / "seen", {"ant": 12, "bee": 12})
    make_folder(folder / "unseen", {"ant": 12, "bee": 12}, seed=5000)
    (folder / "falw.yaml").write_text(CONFIG)
    done = falw("train", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def folder(trained_pictures: Path, tmp_path: Path) -> Path:
    """A copy of the trained folder that a test may write to."""
    for file in trained_pictures.rglob("*"):
        if file.is_file():
            copy = tmp_path / file.relative_to(trained_pictures)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(file.read_bytes())
    return tmp_path


def written(folder: Path) -> Report:
    return Report.model_validate_json((folder / "model.unlearned.audit.json").read_text())


def test_an_unreadable_listed_image_is_not_forgotten(folder: Path) -> None:
    ids = ["ant/1.png", "ant/2.png", "bee/3.png"]
    (folder / "ids.txt").write_text("\n".join(ids))
    image = folder / "seen" / ids[0]
    image.write_bytes(image.read_bytes()[:60])
    refused = falw(*UNLEARN, cwd=folder)
    assert refused.returncode == 2
    assert "1 of 3 listed images cannot be read" in refused.stderr
    (folder / "seen/bee/0.png").write_bytes(b"no image")  # a retain sample
    done = falw(*UNLEARN, "--skip-unreadable", cwd=folder)
    assert done.returncode == 1, done.stderr
    report = written(folder)
    assert (report.forget.count, report.forget.unreadable) == (2, 1)
    assert [one.passed for one in report.gates if one.expression == "forget.unreadable==0"] == [
        False
    ]
    assert any("1 of 3 listed samples cannot be read" in one for one in report.warnings)
    assert any("2 unreadable images" in one for one in report.warnings)
    assert not any("retain metrics use" in one for one in report.warnings)
    for name in ids:
        assert name not in report.model_dump_json()


def test_a_list_of_unreadable_images_is_refused(folder: Path) -> None:
    (folder / "ids.txt").write_text("ant/1.png\n")
    (folder / "seen" / "ant" / "1.png").write_bytes(b"no image")
    before = set(folder.rglob("*"))
    done = falw(*UNLEARN, "--skip-unreadable", cwd=folder)
    assert done.returncode == 2
    assert "none of the 1 listed images can be read" in done.stderr
    assert set(folder.rglob("*")) == before


def test_a_copy_under_another_name_is_refused_or_forgotten_too(folder: Path) -> None:
    (folder / "ids.txt").write_text("ant/1.png\n")
    copy = folder / "seen" / "ant" / "copy.png"
    copy.write_bytes((folder / "seen" / "ant" / "1.png").read_bytes())
    for command in (UNLEARN, ("train", "--without", "ids.txt")):
        refused = falw(*command, cwd=folder)
        assert refused.returncode == 2
        assert "1 sample has the same pixels as listed ones" in refused.stderr
    done = falw(*UNLEARN, "--with-copies", "--no-forgotten-gate", cwd=folder)
    assert done.returncode == 0, done.stderr
    report = written(folder)
    assert (report.forget.count, report.forget.copies) == (2, 1)
    assert "1 exact copy of listed samples put on the list" in report.warnings
    assert "copy.png" not in report.model_dump_json()
    retrained = falw("train", "--without", "ids.txt", "--with-copies", "--json", cwd=folder)
    said = json.loads(retrained.stdout)
    assert (said["samples"], said["left_out"]) == (23, 2)


def test_near_duplicates_are_proposed_as_comments(folder: Path) -> None:
    dark = Image.open(folder / "seen/ant/1.png").point(lambda value: value * 0.8)
    dark.save(folder / "seen/bee/dark.png")
    (folder / "people.csv").write_text("id,person\nant/1.png,17\n")
    where = ("forget-list", "--metadata", "people.csv", "--where", "person=17", "--near", "0.95")
    done = falw(*where, cwd=folder)
    assert done.stdout.splitlines() == ["ant/1.png", "## like ant/1.png: 1.00", "# bee/dark.png"]
    assert "1 sample resembles 1 of 1 listed ones" in done.stderr
    (folder / "ids.txt").write_text(done.stdout)
    checked = falw("forget-list", "--forget", "ids.txt", cwd=folder)
    assert checked.stdout.split() == ["ant/1.png"]
    again = falw("forget-list", "--forget", "ids.txt", "--near", "0.95", "--json", cwd=folder)
    assert json.loads(again.stdout)["proposed"][0]["name"] == "bee/dark.png"
    (folder / "ids.txt").write_text(done.stdout.replace("\n# ", "\n"))
    checked = falw("forget-list", "--forget", "ids.txt", cwd=folder)
    assert checked.stdout.split() == ["ant/1.png", "bee/dark.png"]
    for wrong in (("--forget", "ids.txt"), ("--near", "2")):
        refused = falw(*where, *wrong, cwd=folder)
        assert refused.returncode == 2
        assert len(refused.stderr.strip().splitlines()) == 2


def test_proposals_need_json_where_ids_look_like_them(folder: Path) -> None:
    seen = folder / "seen"
    (seen / "# ant").mkdir()
    for name in ("ant/copy.png", "# ant/copy.png"):
        shutil.copy(seen / "ant/0.png", seen / name)
    ask = ("forget-list", "--id", "ant/0.png", "--near", "0.99")
    refused = falw(*ask, cwd=folder)
    assert refused.returncode == 2
    assert "begin with # and a space" in refused.stderr
    found = json.loads(falw(*ask, "--json", cwd=folder).stdout)["proposed"]
    assert {one["name"] for one in found} == {"# ant/copy.png", "ant/copy.png"}


def test_accuracy_on_right_labels(folder: Path) -> None:
    """The list was trained as ant, and its right label is bee."""
    names = [f"ant/{number}.png" for number in range(3)]
    (folder / "ids.txt").write_text("\n".join(names))
    lines = [f"{name},bee" for name in names]
    (folder / "truth.csv").write_text("\n".join(["id,truth", *lines, "ant/3.png,wasp"]))
    ask = (*UNLEARN, "--metadata", "truth.csv", "--no-forgotten-gate")
    done = falw(*ask, "--correct", "truth", cwd=folder)
    assert done.returncode == 0, done.stderr
    found = written(folder).corrections
    assert found is not None
    assert found.before is not None
    assert "on the right labels of the list (truth)" in done.stderr
    (folder / "ids.txt").write_text("ant/3.png\nant/4.png\n")
    for column, word in (("truth", "2 of 2 listed samples"), ("label", "unknown column 'label'")):
        refused = falw(*ask, "--force", "--correct", column, cwd=folder)
        assert refused.returncode == 2
        assert word in refused.stderr


def test_samples_that_guided_a_run_are_known_in_its_checkpoint(folder: Path) -> None:
    """Without --group, evaluate would split the held-out data otherwise than the run did."""
    (folder / "ids.txt").write_text("ant/1.png\n")
    names = [f"{name}/{number}.png" for name in ("ant", "bee") for number in range(12)]
    lines = [f"{name},{place % 7}" for place, name in enumerate(names)]
    (folder / "who.csv").write_text("\n".join(["id,person", *lines]))
    group = ("--group", "person", "--heldout-metadata", "who.csv")
    done = falw(*UNLEARN, *group, "--no-forgotten-gate", cwd=folder)
    assert done.returncode == 0, done.stderr
    make_folder(folder / "other", {"ant": 3, "bee": 3}, seed=9000)
    ask = ("evaluate", "model.unlearned.safetensors", "--forget", "ids.txt")
    for flags, warned in ((group, False), ((), True), (("--test", "imagefolder:other"), False)):
        found = falw(*ask, *flags, cwd=folder)
        assert found.returncode == 0, found.stderr
        assert ("test samples may have guided" in found.stderr) == warned
