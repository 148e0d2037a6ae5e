"""Every code block of the documentation runs, unchanged and in the order of its page.

A block with a title is a file of that name. `text` blocks show output. `console` blocks cannot run
here, because they need another program, a network or minutes for torch.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import at_once
from tests.conftest import clean_environment, falw
from tests.data.pictures import make_folder
from tests.end_to_end.test_ci import run_action
from tests.unlearning.embedded.test_loop import LIST, memorised, parts  # noqa: F401 (a fixture)

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
BLOCK = re.compile(r'^```(\w*)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
SHOWN = {"text", "console"}
ELSEWHERE = {"pip", "python3", "docker", "cosign", "$"}
"""Programs in `console` blocks, and `falw doctor`, which examines the installation."""
Block = tuple[str, str, str]


def blocks(page: Path) -> list[Block]:
    """Return the language, title and text of each code block."""
    return BLOCK.findall(page.read_text())


def unlearned(folder: Path) -> None:
    """Prepare the reports that pages on reports start from."""
    done = falw("unlearn", "model.safetensors", "--forget", "ids.txt", cwd=folder)
    assert done.returncode == 0, done.stderr
    shutil.copy(folder / "model.unlearned.audit.json", folder / "other.audit.json")


def nothing(folder: Path) -> None:
    """Prepare nothing, for pages that need only the project."""


def empty(folder: Path) -> None:
    """Empty the folder, for pages that create all they need."""
    for file in folder.iterdir():
        file.unlink()


def photos(folder: Path) -> None:
    """Add a ResNet-18 and its images, as in the README, to the project."""
    (folder / "first.txt").write_text("3\n7\n11\n")
    (folder / "second.txt").write_text("20\n21\n")
    folder = folder / "own"
    folder.mkdir()
    for name, seed in (("train", 0), ("unseen", 500)):
        make_folder(folder / "photos" / name, {"cat": 6, "dog": 6}, seed=seed)
    (folder / "falw.yaml").write_text("preprocessing: {image_size: 64, resize: 64}\n")  # for speed
    (folder / "ids.txt").write_text("cat/0.png\ncat/1.png\ndog/3.png\n")
    done = falw(
        "train", "--arch", "resnet18", "--data", "imagefolder:photos/train", "--epochs", "2",
        "--batch-size", "6", "--lr", "0.01", cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


PAGES: dict[str, Callable[[Path], None]] = {
    "README.md": photos, "docs/index.md": nothing, "docs/tutorial.md": empty,
    "docs/tracking.md": nothing, "docs/cookbook.md": nothing, "docs/evidence.md": unlearned,
    "docs/audit.md": unlearned, "docs/scale.md": nothing, "docs/second-request.md": nothing,
}  # fmt: skip
OWN_TEST = {"docs/python.md"}


def test_every_block_has_a_known_language() -> None:
    for page in (ROOT / "README.md", *DOCS.rglob("*.md")):
        for language, title, text in blocks(page):
            name = page.relative_to(ROOT).as_posix()
            assert language, f"{name}: {text}"
            if language == "console":
                for line in text.splitlines():
                    first = line.removeprefix("$ ").split()[0]
                    known = first in ELSEWHERE or line == "$ falw doctor"
                    assert known, f"{name}: {line}"
            elif language not in SHOWN:
                assert name in PAGES or name in OWN_TEST, name
                runs = language in ("sh", "python") or bool(title)
                assert runs, f"{name}: {text}"


def shell(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a block in a folder, with stubs of programs that test machines lack, and a quick falw."""
    stubs = folder / ".stubs"
    stubs.mkdir(exist_ok=True)
    for name, script in (("srun", 'exec "$@"'), ("xdg-open", "exit 0")):
        (stubs / name).write_text(f"#!/bin/sh\n{script}\n")
        (stubs / name).chmod(0o755)
    quick = at_once.command()
    here = {
        "PATH": f"{stubs}:{quick.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "TESTS_PYTHON": str(quick.with_name("python")),
    }
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text], cwd=folder, env=clean_environment() | here,
        check=False, capture_output=True, text=True, timeout=900,
    )  # fmt: skip


def run_block(language: str, title: str, text: str, folder: Path) -> None:
    """Run a block, or the commands in the file that it shows."""
    if title:
        (folder / title).write_text(text)
    if title == "dvc.yaml":
        for stage in yaml.safe_load(text)["stages"].values():
            assert all((folder / name).exists() for name in stage["deps"])
            text, language = stage["cmd"], "sh"
    elif title == "forget.yml":
        (step,) = (s for s in yaml.safe_load(text)["jobs"]["forget"]["steps"] if "with" in s)
        assert run_action(folder, step["with"])["passed"] == "true"
        return
    elif title.endswith(".sbatch"):
        text, language = f"bash {title}", "sh"
    elif title or language in SHOWN:
        return
    if language == "python":
        text = f"python - <<'PYTHON'\n{text}PYTHON\n"
    if "minisign" in text and not shutil.which("minisign"):
        warnings.warn("no minisign here: a block was not run", stacklevel=1)
        return
    done = shell(text, folder)
    gated = "--gate" in text and done.returncode == 1
    assert done.returncode == 0 or gated, f"{text}\n{done.stdout}\n{done.stderr}"


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_the_blocks_of_a_page_run(name: str, project: Path) -> None:
    PAGES[name](project)
    for language, title, text in blocks(ROOT / name):
        if name == "README.md" and (language == "python" or "pip install" in text):
            continue  # Python runs in the test below; the install commands run verbatim elsewhere
        own = name == "README.md" and "imagefolder:" in text
        run_block(language, title, text, project / "own" if own else project)


@pytest.mark.slow
def test_the_python_blocks_run(
    project: Path,
    memorised: Any,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    from falw_cli import Unlearner

    seen, unseen, judges = parts()
    monkeypatch.chdir(project)
    for page in (DOCS / "python.md", ROOT / "README.md"):
        known = {"model": memorised, "seen": seen, "unseen": unseen, "judges": judges, "rows": LIST}
        known |= {
            "Unlearner": Unlearner, "optimizer": torch.optim.SGD(memorised.parameters(), lr=0.01)
        }  # fmt: skip
        found = [text for language, _, text in blocks(page) if language == "python"]
        assert found
        for text in found:
            for old in project.glob("model.unlearned.*"):
                old.unlink()
            exec(compile(text, page.name, "exec"), known)


@pytest.mark.slow
def test_the_notebook_runs_and_reproduces_its_output(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("nbclient")
    import nbclient
    import nbformat

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    saved = nbformat.read(DOCS / "unlearner.ipynb", as_version=4)
    again = deepcopy(saved)
    nbclient.NotebookClient(again, timeout=1200, kernel_name="python3").execute()
    ends = [
        [float(n) for n in re.findall(r"unlearned +([\d.]+) +([\d.]+) +([\d.]+)", said)[0]]
        for said in (printed(book) for book in (saved, again))
    ]
    # Summation order differs between machines, so results are only close.
    assert ends[1] == pytest.approx(ends[0], abs=12)


def printed(book: Any) -> str:
    """Return all printed output of a notebook."""
    outputs = [out for cell in book.cells for out in cell.get("outputs", [])]
    return "".join(out.get("text", "") for out in outputs)


def test_the_menu_has_at_most_twenty_pages_and_leads_to_all_others() -> None:
    config = (ROOT / "mkdocs.yml").read_text()
    menu = re.findall(r"[\w/-]+\.md", config.partition("\nnav:")[2].partition("\nnot_in_nav:")[0])
    assert len(menu) == len(set(menu)) <= 20
    written = [DOCS / name for name in menu if (DOCS / name).exists()]
    linked = {
        (page.parent / target).resolve()
        for page in written
        for target in re.findall(r"\]\(([^)#:]+)", page.read_text())
    }
    others = set(DOCS.rglob("*.md")) - set(written)
    assert {page.name for page in others - linked} == set()


def test_the_pages_of_the_evidence_say_what_to_conclude() -> None:
    listed = re.findall(r"\]\(([^)]+\.md)\)", (DOCS / "measurements.md").read_text())
    assert len(listed) > 20
    for name in {*listed} - {"reliability.md", "scaling.md", "scale.md"}:
        assert "**What to conclude:**" in (DOCS / name).read_text(), name


def test_the_figures_of_the_evidence_are_those_of_its_pages() -> None:
    """Check the figures that change most often."""
    summary = (DOCS / "measurements.md").read_text()
    demo, proof, requests = ((DOCS / f"{n}.md").read_text() for n in ("demo", "proof", "requests"))
    seeds = [line.split(" | ") for line in demo.splitlines() if re.match(r"\| \d", line)]
    for column, digits in ((5, 0), (7, 1)):  # the default, random labels
        factors = [float(cells[4]) / float(cells[column]) for cells in seeds]
        assert f"{min(factors):.{digits}f} to {max(factors):.{digits}f}" in summary
    false = max(float(x) for x in re.findall(r"\| Retrain \|(?:[^|]+\|){4} ([\d.]+) %", proof))
    assert f"in at most {false:g} % of cases" in summary
    (lists,) = re.findall(r"^(\d+) lists: ", proof, re.MULTILINE)
    ((claimed, agreed),) = re.findall(r"Of the (\d+) verdicts that claim something, (\d+) ", proof)
    assert f"verdicts on {lists} lists, {claimed} claim something, and all {agreed}" in summary
    ratios = [float(one) for one in re.findall(r"a ratio of ([\d.]+)\.", requests)]
    assert f"the gap is {min(ratios):.2f} to {max(ratios):.2f} times" in summary


@pytest.mark.slow
def test_the_site_builds_strictly_without_broken_links(tmp_path: Path) -> None:
    pytest.importorskip("material")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", str(tmp_path / "site")],
        cwd=ROOT, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    pages = {page: page.read_text() for page in (tmp_path / "site").rglob("*.html")}
    assert len(pages) > 30
    for page, text in pages.items():
        if page.name == "404.html":
            continue
        for tag in re.findall(r"<(?:script|img|iframe|link)[^>]*>", text):
            assert not re.search(r'(?:src|href)="?https?:', tag), f"{page.name} fetches: {tag}"
        for target, anchor in re.findall(r'(?:href|src)="?([^"# >:]*)(?:#([^" >]*))?"?[ >]', text):
            place = (page.parent / target).resolve() if target else page
            place = place / "index.html" if place.is_dir() else place
            assert place.exists(), f"{page.name}: {target}"
            if anchor and place.suffix == ".html" and not anchor.startswith("__"):
                assert re.search(rf'id="?{re.escape(anchor)}"?[ >]', pages[place]), (target, anchor)
