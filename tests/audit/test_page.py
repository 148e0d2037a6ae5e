"""The report as a page: it runs no script but its own, and opens in a browser without errors."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from base64 import b64encode
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from falw_cli.audit import rows
from falw_cli.audit.gauge import gauge
from falw_cli.audit.glossary import anchor
from falw_cli.audit.junit import junit
from falw_cli.audit.page import NamedReport, display_name, html, markdown
from falw_cli.audit.report import Forget, Report
from falw_cli.audit.seal import seal, to_text
from falw_cli.errors import RequestError
from falw_cli.evaluation.metrics import Figure, Metrics
from falw_cli.runs.inspection import read_report
from falw_cli.runs.publish import publish
from tests.audit.reports import HOSTILE, evidence, pairs, report, with_share
from tests.conftest import falw

BROWSER = Path(__file__).parents[1] / "page"
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")


def listed(count: int) -> dict[str, Any]:
    """Return an update of a report to a list of one sample, if `count` is 1."""
    return {"forget": Forget(count=1, per_class={}, unknown=0)} if count == 1 else {}


def plain(made: Report, **more: Any) -> Report:
    """Return a report with few pictures: drawing them takes most of the time of a page."""
    metrics = {
        name: one.model_copy(update={"distance": None})
        for name, one in dict(made.metrics).items()
        if isinstance(one, Metrics)
    }
    few = {"run": None, "comeback": None, "metrics": made.metrics.model_copy(update=metrics)}
    return seal(made.model_copy(update=few | more))


@pytest.fixture(scope="module")
def page() -> str:
    return html([NamedReport("audit", with_share(report()))])


@pytest.fixture(scope="module")
def two() -> str:
    """A page of two reports, the first with a hostile name."""
    return html([NamedReport(HOSTILE, with_share(report())), NamedReport("b", plain(report(4.0)))])


def test_the_verdict_comes_first(page: str) -> None:
    assert page.index("A gate failed") < page.index("Before, after, and Retrain")
    assert "What this does not prove" in page


def test_without_matplotlib_the_page_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(RequestError, match="needs matplotlib") as found:
        html([NamedReport("audit", report())])
    assert found.value.hint == "pip install 'falw[report]'"
    assert markdown([NamedReport("audit", report())])
    assert junit([NamedReport("audit", report())])


def test_the_policy_allows_only_the_script_that_copies(page: str, two: str) -> None:
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = re.findall(r'Content-Security-Policy" content="([^"]+)"', unescape(page))[0]
    assert policy.startswith("default-src 'none';")
    assert policy.endswith(f"script-src 'sha256-{digest}'")
    assert HOSTILE not in script
    assert "script-src" not in two


def test_text_from_files_is_escaped(page: str, two: str) -> None:
    assert page.count("<script") == 1
    assert "<script" not in two
    for text in (page, two):
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
        assert "\x1b" not in text


def test_a_page_is_the_same_for_the_same_report(page: str) -> None:
    assert html([NamedReport("audit", with_share(report()))]) == page


def test_a_digest_breaks_in_its_middle_only(page: str) -> None:
    whole = report().inputs.model.sha256
    assert f"<code>{whole[:32]}<wbr>{whole[32:]}</code>" in page
    assert whole not in page


def test_html_ids_are_unique(page: str) -> None:
    ids = [part.split('"')[0] for part in page.split(' id="')[1:]]
    assert len(ids) > 50
    assert len(ids) == len(set(ids))


def test_every_figure_has_a_caption(page: str) -> None:
    figures = page.split("<figure")[1:]
    # Paired plot, distributions, classes, ROC, run, relearned.
    assert len(figures) == 1 + 6 + 1 + 1 + 3 + 1
    for one in figures:
        assert "<figcaption><strong>" in one


def test_each_row_of_the_main_table_is_explained_once(page: str, two: str) -> None:
    made = with_share(report())
    shown = rows.models(made.metrics)
    texts = [row.explanation for row in rows.main_rows(shown)]
    assert "forgotten share" in {row.label for row in rows.main_rows(shown)}
    assert all(texts)
    for text in texts:
        for whole in (page, two):
            assert unescape(whole).count(f"<dd>{text}</dd>") == 1
            assert f'title="{text}">' in unescape(whole)


def test_each_term_leads_to_its_entry(page: str, two: str) -> None:
    for whole in (page, two):
        entries = re.findall(r'<div id="(term-[^"]+)"><dt>([^<]+)', whole)
        assert [anchor(unescape(name)) for _, name in entries] == [one for one, _ in entries]
        linked = set(re.findall(r'href="#(term-[^"]+)"', whole))
        assert len(linked) > 8
        assert linked <= {one for one, _ in entries}


def test_the_command_can_be_pasted_into_a_shell() -> None:
    words = ["falw", "unlearn", "my model.safetensors", "--gate", "test_accuracy>=90"]
    text = html([NamedReport("a", plain(report()).model_copy(update={"command": words}))])
    (shown,) = re.findall(r'<code id="command">(.*?)</code>', text)
    assert shlex.split(unescape(shown)) == words
    assert '<button type="button" data-copy="command" hidden>' in text
    words[0] = "/home/me/.venv/bin/falw"
    text = html([NamedReport("a", plain(report()).model_copy(update={"command": words}))])
    assert "/home/me" not in text


@pytest.mark.parametrize(("value", "place"), [(0, 10.0), (100, 200.0), (450, 390.0)])
def test_the_gauge_shows_the_share_in_its_place(value: float, place: float) -> None:
    drawn = gauge(Figure(value=value, lower=value - 5, upper=value + 5))
    assert f'class="value" cx="{place:.1f}"' in drawn


@pytest.mark.parametrize(
    "words",
    ["“Cannot tell”", "“Not forgotten”: it is below 50 %",
     "Noise floor: ", "head: AUC by loss", "shadow models was trained",
     "tenth of the forget samples", "predict the same class", "copied 100 times",
     "Residual knowledge (arXiv 2601.22359) is"],
)  # fmt: skip
def test_the_page_explains_its_figures(page: str, words: str) -> None:
    assert re.sub(r'title="[^"]*"', "", page).count(words) == 1


@pytest.mark.parametrize(
    ("count", "words"),
    [(1, "of 1 forget sample: "), (158, "of 158 forget samples: "),
     (40, "of 40 of the 158 forget samples: ")],
)  # fmt: skip
def test_the_paired_plot_states_the_means(count: int, words: str) -> None:
    found = pairs(count)
    text = html([NamedReport("a", plain(report(), pairs=found, **listed(count)))])
    means = [np.mean(one) for one in (found.expected, found.before, found.after)]
    figures = "{:.3f} expected, {:.3f} before, {:.3f} after.".format(*means)
    assert f"Mean true-class probability {words}{figures}" in text


def test_a_report_without_pairs_has_no_paired_plot() -> None:
    text = html([NamedReport("a", plain(report(), pairs=None))])
    assert "Each forget sample" not in text


def test_thousands_of_pairs_are_drawn_as_pixels() -> None:
    few, many = (html([NamedReport("a", plain(report(), pairs=pairs(n)))]) for n in (158, 2000))
    assert "<image" not in few
    assert many.count("<image") == 1
    assert 'xlink:href="data:image/png' in many
    assert len(many) < len(few) + 200_000


def test_markdown_escapes_hostile_text() -> None:
    text = markdown([NamedReport("a|b", report())])
    assert text.startswith("### a\\|b: A gate failed")
    assert HOSTILE not in text
    assert "| forget accuracy, % |" in text
    assert "**failed**" in text
    assert "| avg\\_gap\\<=2 | 1 | passed |" in text
    assert "| residual knowledge against Retrain 1 | 1.25 |" in text
    assert "against Retrain 2" not in text


def test_shares_of_classes_and_thirds_are_shown() -> None:
    named = [NamedReport("share", with_share(report()))]
    whole, text = html(named), markdown(named)
    assert "forgotten share by class" in whole
    assert "head: forgotten share, %" in whole
    assert "<small>80 to 104</small>" in whole
    assert "| head: forgotten share, % | – | 93 (80 to 104) | – |" in text
    assert HOSTILE not in text
    assert "script\\> (90 forget samples), % | 93 (80 to 104) |" in text
    assert "| tail: forgotten share, % | – | – | – |" in text
    assert " (8 forget samples), % | – |" in text
    assert "forgotten share" not in markdown([NamedReport("none", report())])


def test_evidence_on_a_short_list() -> None:
    short = plain(report(), per_sample=evidence(2))
    whole = html([NamedReport("short", short)])
    assert "Evidence per sample" in whole
    assert "<h2>Per-sample attacks" not in whole
    text = markdown([NamedReport("short", short)])
    assert "| sample 2 | 90.0 | 11 (0 to 31) | 50.0 | 56 (0 to 81) |" in text
    for shown in (whole, text):
        assert "16 models cannot show a false-positive rate (FPR) below 11.1 %" in shown
        assert "fewer than 16" not in shown
    few = plain(report(), per_sample=evidence(2).model_copy(update={"models": 14}))
    for write in (html, markdown):
        assert "With fewer than 16 shadow models" in write([NamedReport("few", few)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, after in (("one", 1.5), ("two", 4.0)):
        (tmp_path / f"{name}.audit.json").write_text(to_text(with_share(report(after))))
    return tmp_path


def test_the_command(tmp_path: Path) -> None:
    folder = tmp_path
    for name in ("one", "two"):
        (folder / f"{name}.audit.json").write_text(to_text(plain(report())))
    done = falw("report", "one.audit.json", cwd=folder)
    assert (done.returncode, done.stdout) == (0, "one.audit.html\n")
    again = falw("report", "one.audit.json", cwd=folder)
    assert again.returncode == 2
    assert "--force" in again.stderr
    both = falw("report", "one.audit.json", "two.audit.json", cwd=folder)
    assert both.stdout == "audits.html\n"
    shown = falw("report", "two.audit.json", "--format", "md", "--out", "-", cwd=folder)
    assert shown.stdout.startswith("### two: ")
    junit_file = falw("report", "two.audit.json", "--format", "junit", cwd=folder)
    assert junit_file.stdout == "two.audit.junit.xml\n"


@pytest.mark.parametrize(
    ("names", "form", "out", "said"),
    [
        (["one.audit.json"], "pdf", None, "unknown format"),
        (["one.audit.json"], "html", "one.audit.json", "is one of the reports"),
        (["one.audit.json"], "md", "model.safetensors", "suffix of another format"),
        (["one.audit.json"], "html", "other.json", "suffix of another format"),
        (["one.audit.json"] * 2, "html", None, "given 2 times"),
        (["three.audit.json"], "html", None, "cannot be read"),
    ],
)
def test_invalid_requests(
    folder: Path,
    names: list[str],
    form: str,
    out: str | None,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(RequestError, match=said):
        publish([Path(name) for name in names], form, out, force=True)
    assert not list(folder.glob("*.html"))


def test_markdown_has_shadow_models_and_recovery() -> None:
    text = markdown([NamedReport("audit", report())])
    for part in ("U-LiRA on shadow models: AUC", "float16: forget accuracy", "| relearning 9 of"):
        assert part in text


@pytest.mark.parametrize("others", [{}, {"before": None}])
@pytest.mark.parametrize("write", [html, markdown, junit])
def test_a_report_without_the_audited_model_is_written(write: Any, others: dict[str, None]) -> None:
    metrics = report().metrics.model_copy(update={"after": None} | others)
    made = plain(report()).model_copy(update={"metrics": metrics})
    assert "audit" in write([NamedReport("audit", made)])


@pytest.mark.parametrize("digest", ["0" * 64, None])
def test_a_changed_report_has_no_verdict(tmp_path: Path, digest: str | None) -> None:
    changed = tmp_path / "one.audit.json"
    changed.write_text(to_text(plain(with_share(report())).model_copy(update={"digest": digest})))
    done = falw("report", changed.name, "--format", "md", "--out", "-", cwd=tmp_path)
    assert done.returncode == 0
    assert f"warning: {changed.name} " in done.stderr
    assert "### one: No verdict: the report " in done.stdout
    page = html([NamedReport("one", read_report(changed))])
    assert "No verdict: the report " in page
    assert "how the headline is chosen" not in page
    inspected = falw("inspect", changed.name, cwd=tmp_path)
    assert f"warning: {changed.name} " in inspected.stderr


@pytest.mark.slow
@pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="no Chromium here")
@pytest.mark.skipif(
    not (BROWSER / "node_modules/axe-core").is_dir() or shutil.which("node") is None,
    reason="no axe-core here: npm install --prefix tests/page",
)
@pytest.mark.parametrize("names", [["one"], ["one", "two"]], ids=["one", "side by side"])
def test_it_opens_in_a_browser_without_errors(folder: Path, names: list[str]) -> None:
    """Three widths, light and dark: no console line, request, cut text, or violation by axe."""
    paths = [folder / f"{name}.audit.json" for name in names]
    written, _ = publish(paths, "html", None, force=False)
    done = subprocess.run(
        ["node", str(BROWSER / "look.mjs"), str(written), str(folder)],
        capture_output=True, text=True, check=False, timeout=1200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []
    assert len(list(folder.glob("*.png"))) == 6


def test_a_page_without_retrained_models_or_weights_shows_neither() -> None:
    made = report()
    metrics = made.metrics.model_copy(update={"reference": None})
    weights = [one.model_copy(update={"min": 1, "mean": 1, "max": 1}) for one in made.weights]
    bare = seal(made.model_copy(update={"metrics": metrics, "weights": weights}))
    text = html([NamedReport("a", bare)])
    assert "<h2>Before and after</h2>" in text
    assert "Weights and target" not in text


@pytest.mark.parametrize(
    ("file", "name"),
    [("m.unlearned.audit.json", "m.unlearned"), ("mine.json", "mine"), ("mine", "mine")],
)
def test_a_page_is_named_after_the_file_of_the_report(file: str, name: str) -> None:
    assert display_name(Path("runs") / file) == name
