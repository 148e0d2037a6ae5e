"""What mkdocs calls: pages made from the code, and equations that a browser shows by itself."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.structure.files import File

sys.path.insert(0, str(Path(__file__).parent))
import reference

ROOT = Path(__file__).parents[1]
MATHS = re.compile(r"\$\$(.+?)\$\$|\$`(.+?)`\$", re.DOTALL)
OUTSIDE = re.compile(r"\]\((?:\.\./)+(sample_configs/[^)#]+)\)")


def on_files(files: Any, config: Any) -> Any:
    """Add the reference, and the sample configs that pages point to."""
    for name, text in reference.pages().items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    text = notebook(ROOT / "docs" / "unlearner.ipynb")
    files.append(File.generated(config, "notebook.md", content=text))
    for path in sorted((ROOT / "sample_configs").rglob("*.y*ml")):
        place = path.relative_to(ROOT).as_posix()
        files.append(File.generated(config, place, abs_src_path=str(path)))
    return files


def notebook(path: Path) -> str:
    """A notebook as Markdown, with the outputs that it was saved with."""
    parts = []
    for cell in json.loads(path.read_text())["cells"]:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
        for output in cell.get("outputs", []):
            if "text" in output:
                parts.append(f"```text\n{''.join(output['text'])}```")
            elif picture := output.get("data", {}).get("image/png"):
                parts.append(f"![](data:image/png;base64,{''.join(picture.split())})")
    return "\n\n".join(parts)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Equations as MathML; the same Markdown shows them on a code host. Links into the site."""
    up = "../" * page.file.src_uri.count("/")
    markdown = markdown.replace("(unlearner.ipynb)", "(notebook.md)")
    markdown = OUTSIDE.sub(rf"]({up}\1)", markdown)
    return MATHS.sub(_formula, markdown)


def _formula(found: re.Match[str]) -> str:
    block = found[1] is not None
    maths = str(convert((found[1] or found[2]).strip(), display="block" if block else "inline"))
    # A line that began with <math> would be taken for a block.
    return maths if block else f"<span>{maths}</span>"
