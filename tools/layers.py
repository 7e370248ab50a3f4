"""`python -m tools.layers`: checks that the table of the packages in CONTRIBUTING.md matches the code.

`--write` updates the page; without it, exit 1 reports a difference. The layers are those of the import contract in
pyproject.toml, the imports are those of the code.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import grimp

from localaws.paths import ROOT
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
    """A Markdown table with one line for each layer, the highest first: its content, its modules, its imports."""
    graph = grimp.build_graph("rollback", cache_dir=None)
    layers = _layers()
    members = {layer: {layer, *graph.find_descendants(layer)} for layer in layers}
    lines = ["| package | holds | modules | imports |", "|---|---|--:|---|"]
    for layer in layers:
        used = {
            target for module in members[layer] for target in graph.find_modules_directly_imported_by(module)
        }
        below = [other.rpartition(".")[2] for other in layers if other != layer and members[other] & used]
        name, count = layer.rpartition(".")[2], sum(not _is_package(module) for module in members[layer])
        lines.append(f"| `{name}` | {_sentence(layer)} | {count} | {', '.join(below) or '–'} |")
    return "\n".join(lines) + "\n"


def _layers() -> list[str]:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    return next(list(one["layers"]) for one in contracts["contracts"] if one["type"] == "layers")


def _path(module: str) -> Path:
    return ROOT.joinpath(*module.split("."))


def _is_package(module: str) -> bool:
    return _path(module).is_dir()


def _sentence(package: str) -> str:
    """The first sentence of a package's docstring."""
    text = (_path(package) / "__init__.py").read_text(encoding="utf-8")
    docstring = " ".join(text.partition('"""')[2].partition('"""')[0].split())
    return docstring.partition(". ")[0].removesuffix(".")


if __name__ == "__main__":
    sys.exit(main())
