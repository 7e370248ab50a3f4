"""`python -m tools.docs`: builds the pages and the API reference as a website in `.local/docs/site`, by Zensical.

Pages are README and `docs/`; mkdocstrings makes the reference from docstrings. A warning is an error:
a link to a missing page or heading, a reference to a missing name, a docstring that describes a
parameter which its function does not have. Neither the build nor the site loads anything from the network.

https://zensical.org/docs/setup/validation/, https://mkdocstrings.github.io/python/
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from localaws.paths import LOCAL, ROOT

PLACE = LOCAL / "docs"
_ZENSICAL = Path(sys.executable).with_name("zensical")
# The navigation: pages of `docs/` by title, in this order; a folder means all of its pages. Other pages follow.
SECTIONS = {
    "Start": ("local-account", "install", "getting-started", "recipes", "workflows", "ci", "identity-center"),
    "On call": ("runbook", "screens", "troubleshooting", "emergency"),
    "How to": ("how-to", "infrastructure", "automatic", "coming-from-the-workflows"),
    "Understand it": ("concepts", "faq", "glossary", "limits", "security", "audit"),
    "Reference": ("reference", "settings", "json", "events", "python-api"),
    "Evidence": ("benchmarks", "proofs", "acceptance"),
}
# The parts of the code in the reference, by title. For a package its docstring; with `.*` also its public modules.
REFERENCE = {
    "Python API": ("rollback", "rollback.api.*"),
    "Errors": ("rollback.util.errors",),
    "Components": ("rollback.components.*",),
    "Gated commands": ("rollback.engines.gated.*",),
}
_OPTIONS = {
    "docstring_style": "google",
    "heading_level": 1,
    "members_order": "source",
    # Without its fields: a dataclass describes them in its docstring.
    "merge_init_into_class": True,
    "separate_signature": True,
    "show_root_full_path": True,
    "show_root_heading": True,
    "show_signature_annotations": True,
    "show_source": False,
}
_STYLE = Path(__file__).with_suffix(".css")
# A table cell with one long name, such as a test's, and the characters after which it may be broken.
_CELL = re.compile(r"(?<=\| )`((?:[^`|\n\\]|\\\|){30,})`(?= \|)")
_MARK = re.compile(r"(?<=[/_|,])|(?<=::)|(?<=[a-z}]-)")
# GitHub is content with three, https://python-markdown.github.io/#differences is not.
_ITEM = re.compile(r"^ {3}(?=\S| +\S)")
_LINK = re.compile(r"(?:\]\(|\bsrc(?:set)?=\")([^)#:\s\"]+)(?:#[^)]*)?[)\"]")
# Warnings of the generator's docstring parsers, which its strict mode ignores.
_WARNED = re.compile(r"^(griffe|mkdocstrings|markdown|WARNING|ERROR)\b.*", re.MULTILINE)


def main() -> int:
    """0 if the site was built without a warning, 1 if not."""
    shutil.rmtree(PLACE, ignore_errors=True)
    wrong = build(ROOT, PLACE)
    if wrong:
        print(wrong, file=sys.stderr)
        return 1
    print(PLACE / "site" / "index.html")
    return 0


def build(root: Path, place: Path) -> str:
    """Builds the site of the repository `root` in `place/site`. Returns the warnings, "" if there are none."""
    source, packages = place / "source", place / "packages"
    source.mkdir(parents=True)
    guides = list(_pages(root, source))
    shutil.copy(_STYLE, source / _STYLE.name)
    _as_installed(root, packages)
    reference = dict(_reference(packages, source / "api"))
    config = _config(guides, reference, packages)
    (place / "zensical.toml").write_text("\n".join(_toml(config)), encoding="utf-8")
    done = subprocess.run(
        [str(_ZENSICAL), "build", "--strict", "--clean"],
        cwd=place,
        # Colours make a warning unreadable in a file.
        env={"PATH": "/usr/bin:/bin", "NO_COLOR": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    said = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)
    if done.returncode or _WARNED.search(said):
        return said.partition("Traceback")[0].strip()
    return ""


def _pages(root: Path, source: Path) -> Iterator[str]:
    """Copies the pages and what they link to. Yields the paths of the pages in `docs/`."""
    waiting = ["README.md"]
    pages = sorted(path.relative_to(root).as_posix() for path in (root / "docs").rglob("*.md"))
    waiting += pages
    done = set()
    while waiting:
        name = waiting.pop()
        if name in done or not (root / name).is_file():  # the generator reports the page with the broken link
            continue
        done.add(name)
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".md"):
            (source / name).write_text(_for_the_site((root / name).read_text("utf-8")), encoding="utf-8")
        else:
            shutil.copy(root / name, source / name)
        if name.endswith(".md"):
            there = [(root / name).parent / link for link in _LINK.findall((root / name).read_text("utf-8"))]
            waiting += [
                path.resolve().relative_to(root).as_posix()
                for path in there
                if path.resolve().is_relative_to(root)
            ]
    yield from pages


def _for_the_site(page: str) -> str:
    """The page as the generator needs it: what belongs to an item of a list is indented by four, and a long name that
    is alone in a cell of a table can be broken after its marks. Pure.
    """
    code, lines = False, []
    for line in page.splitlines(keepends=True):
        code ^= line.startswith("```")
        lines.append(line if code else _ITEM.sub("    ", _CELL.sub(_broken, line)))
    return "".join(lines)


def _broken(found: re.Match[str]) -> str:
    parts = _MARK.split(found[1].replace(r"\|", "|"))
    # No letter of it is Markdown.
    return f"<code>{'<wbr>'.join(''.join(f'&#{ord(one)};' for one in part) for part in parts)}</code>"


def _as_installed(root: Path, packages: Path) -> None:
    """The packages as the wheel has them: `components/` is `rollback.components` (setup.py)."""
    (packages / "rollback").mkdir(parents=True)
    for path in (*(root / "rollback").iterdir(), root / "components"):
        (packages / "rollback" / path.name).symlink_to(path)


def _reference(packages: Path, folder: Path) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Writes one page for each module. Yields each title with the names and paths of its pages."""
    folder.mkdir()
    for title, names in REFERENCE.items():
        described = [module for name in names for module in _modules(packages, name)]
        for module in described:
            package = packages.joinpath(*module.split(".")).is_dir()
            alone = "\n    options:\n      members: false" if package else ""
            (folder / f"{module}.md").write_text(f"::: {module}{alone}\n", encoding="utf-8")
        yield title, [{module.rpartition(".")[2]: f"api/{module}.md"} for module in described]


def _modules(packages: Path, name: str) -> Iterator[str]:
    """The name itself, and with `.*` the package's public modules."""
    package = name.removesuffix(".*")
    place = packages.joinpath(*package.split("."))
    yield package
    if package != name:
        yield from (
            f"{package}.{path.stem}" for path in sorted(place.glob("*.py")) if not path.stem.startswith("_")
        )


def _config(
    guides: Sequence[str], reference: Mapping[str, Sequence[Mapping[str, str]]], packages: Path
) -> dict[str, Any]:
    return {
        "project": {
            "site_name": "rollback",
            "docs_dir": "source",
            "site_dir": "site",
            # The site works without a server.
            "use_directory_urls": False,
            "extra_css": [_STYLE.name],
            "nav": [
                "README.md",
                *_sections(guides),
                *({title: list(pages)} for title, pages in reference.items()),
                {"Project": ["CONTRIBUTING.md", "CHANGELOG.md"]},
            ],
        },
        # Nothing from another host, fonts included; dark if the reader's system is.
        "project.theme": {
            "font": False,
            "palette": [
                {"media": f"(prefers-color-scheme: {wanted})", "scheme": scheme}
                for wanted, scheme in (("light", "default"), ("dark", "slate"))
            ],
        },
        "project.plugins.mkdocstrings.handlers.python": {"paths": [str(packages)]},
        "project.plugins.mkdocstrings.handlers.python.options": _OPTIONS,
    }


def _sections(guides: Sequence[str]) -> Iterator[dict[str, list[str]]]:
    """The pages by their title in the navigation; titles without a page are omitted."""
    rest = list(guides)
    for title, names in SECTIONS.items():
        pages = [page for name in names for page in rest if _is_in(page, f"docs/{name}")]
        rest = [page for page in rest if page not in pages]
        if pages:
            yield {title: pages}
    if rest:
        yield {"Guides": rest}


def _is_in(page: str, name: str) -> bool:
    """Whether a page is this one, or one of this folder."""
    return page == f"{name}.md" or page.startswith(f"{name}/")


def _toml(tables: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name, table in tables.items():
        yield f"[{name}]"
        for key, value in table.items():
            yield f"{key} = {_value(value)}"


def _value(value: Any) -> str:
    """A value as inline TOML."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{json.dumps(key)} = {_value(one)}' for key, one in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value)


if __name__ == "__main__":
    sys.exit(main())
