"""`python -m tools.layers`: checks that the tables of the packages in CONTRIBUTING.md match the code.

`--write` updates the page; without it, exit 1 reports a difference. Layers and rooms are those of the import contracts in
pyproject.toml, the imports are those of the code.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import grimp

from localaws.paths import ROOT
from rollback.rooms import ROOMS
from tools.generated import in_step

PAGE = ROOT / "CONTRIBUTING.md"
BEGIN, END = "<!-- layers:begin -->", "<!-- layers:end -->"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 up to date (or written), 1 not."""
    return in_step(
        arguments,
        module="tools.layers",
        page=PAGE,
        markers=(BEGIN, END),
        content=picture,
        what="the current packages",
    )


def picture() -> str:
    """Two Markdown tables, of the layers (the highest first) and of the rooms: what each holds, its modules, the layers
    that it imports.
    """
    graph = grimp.build_graph("rollback", cache_dir=None, exclude_type_checking_imports=True)
    layers, rooms = _layers(), [f"rollback.{name}" for name in ROOMS]
    members = {one: {one, *graph.find_descendants(one)} for one in (*layers, *rooms)}
    tables = []
    for title, packages in (("layer", layers), ("room", rooms)):
        lines = [f"| {title} | holds | modules | imports |", "|---|---|--:|---|"]
        for package in packages:
            used = {
                target
                for module in members[package]
                for target in graph.find_modules_directly_imported_by(module)
            }
            below = [
                other.rpartition(".")[2] for other in layers if other != package and members[other] & used
            ]
            name, count = (
                package.rpartition(".")[2],
                sum(not _is_package(module) for module in members[package]),
            )
            lines.append(f"| `{name}` | {_sentence(package)} | {count} | {', '.join(below) or '–'} |")
        tables.append("\n".join(lines) + "\n")
    return "\n".join(tables)


def _layers() -> list[str]:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    return next(list(one["layers"]) for one in contracts["contracts"] if one["type"] == "layers")


def _path(module: str) -> Path:
    return ROOT.joinpath(*module.split("."))


def _is_package(module: str) -> bool:
    return _path(module).is_dir()


def _sentence(package: str) -> str:
    """The first sentence of a package's docstring."""
    where = _path(package) / "__init__.py" if _is_package(package) else _path(package).with_suffix(".py")
    text = where.read_text(encoding="utf-8")
    docstring = " ".join(text.partition('"""')[2].partition('"""')[0].split())
    return docstring.partition(". ")[0].removesuffix(".")


if __name__ == "__main__":
    sys.exit(main())
