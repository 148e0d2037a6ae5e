"""Reference pages: commands from the app, settings from the config, fields from the report.

    python site/reference.py FOLDER

writes them there as Markdown; the site has them under Reference.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import typer
from pydantic_core import PydanticUndefined

from falw_cli.audit.report import Report
from falw_cli.cli.app import app
from falw_cli.cli.commands import COMMANDS
from falw_cli.config.flags import flag_of
from falw_cli.config.settings import Config, Preprocessing, Recipe, UnlearnRecipe


def pages() -> dict[str, str]:
    """Name and Markdown of each page."""
    return {"commands": commands(), "settings": settings(), "report": report()}


def commands() -> str:
    """Every command with its options, as `--help` has them."""
    group = typer.main.get_command(app)
    lines = ["# Commands", "", _cell(group.help or ""), "", "Generated from the application.", ""]
    for name in COMMANDS:
        command = group.get_command(None, name)  # type: ignore[attr-defined]
        context = typer.Context(command, info_name=f"falw {name}")
        lines += [f"## falw {name}", "", command.help or "", ""]
        usage = command.get_usage(context).removeprefix("Usage: ").strip()
        lines += ["```text", usage, (command.epilog or "").strip(), "```", ""]
        lines += ["| option | meaning | environment |", "|---|---|---|"]
        for option in sorted(command.params, key=lambda one: one.param_type_name != "argument"):
            lines.append(_option(option))
        lines.append("")
    return "\n".join(lines)


def _option(option: Any) -> str:
    names = ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])
    if option.param_type_name == "argument":
        names = f"`{option.name.upper()}`"
    default = option.default
    shown = "" if default in (None, False, 0, ()) or callable(default) else f" (default {default})"
    variable = f"`{option.envvar}`" if option.envvar else ""
    return f"| {names} | {_cell((option.help or '') + shown)} | {variable} |"


def settings() -> str:
    """Every key of falw.yaml, from the config's models."""
    sections = {"": Config, "preprocessing": Preprocessing, "train": Recipe,
                "unlearn": UnlearnRecipe}  # fmt: skip
    intro = (
        "The keys of `falw.yaml`, with their defaults. A flag has precedence over a key. An "
        "unknown key is an error; its message names the most similar one."
    )
    lines = ["# Settings", "", intro, ""]
    for name, model in sections.items():
        lines += [f"## `{name}:`" if name else "## The file", ""]
        lines += ["| key | default | meaning |", "|---|---|---|"]
        for key, field in model.model_fields.items():
            if name or (key not in sections and flag_of(field).in_file):
                lines.append(
                    f"| `{key}` | {_default(field.default)} | {_cell(field.description or '')} |"
                )
        lines.append("")
    return "\n".join(lines)


def _default(value: Any) -> str:
    shown = "–" if value is PydanticUndefined or value in (None, (), {}) else value
    return f"`{shown}`" if shown != "–" else "–"


def report() -> str:
    """Every field of the audit report, from its JSON schema."""
    schema = Report.model_json_schema()
    lines = [
        "# The report's fields",
        "",
        "Generated from `falw schema`. `?` marks fields that may be null.",
        "",
    ]
    for name, described in {"Report": schema, **schema["$defs"]}.items():
        if "properties" not in described:
            continue
        title = "The report" if name == "Report" else name
        lines += [f"## {title}", "", " ".join(described.get("description", "").split()), ""]
        lines += ["| field | type | meaning |", "|---|---|---|"]
        for key, field in described["properties"].items():
            lines.append(f"| `{key}` | {_type(field)} | {_cell(field.get('description', ''))} |")
        lines.append("")
    return "\n".join(lines)


def _type(field: dict[str, Any]) -> str:
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in field:
        kinds = [_type(one) for one in field["anyOf"] if one.get("type") != "null"]
        optional = len(kinds) < len(field["anyOf"])
        return " or ".join(kinds) + ("?" if optional else "")
    kind = str(field.get("type", "any"))
    if kind == "array" and "items" in field:
        return f"list of {_type(field['items'])}"
    if kind == "object" and isinstance(field.get("additionalProperties"), dict):
        return f"by name: {_type(field['additionalProperties'])}"
    return kind


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    for name, text in pages().items():
        (Path(sys.argv[1]) / f"{name}.md").write_text(text, encoding="utf-8")
