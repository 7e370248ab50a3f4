"""`python -m tools.words`: the product's texts and its pages use the words of the glossary, and no private ones.

It checks the texts in the code (help included; other docstrings and stored names excepted) and the Markdown pages;
exit 1 names each place with the word to use instead.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from localaws.paths import ROOT

# Forbidden words, and what to write instead.
WORDS = {
    r"\bstands?\b(?! (for|beside))": "is deployed, or is at",
    r"\bbarred\b|\bBarred\b": "quarantined",
    r"\b[Ww]hoever\b": "anybody who",
    r"\bunwell\b": "unhealthy",
    r"\b[Pp]ut(s|ting)? back\b|\b[Pp]uts? (it|them|that|one) back\b": "roll back, revert or restore",
    r"\bmend(s|ed)\b": "fixed, corrected",
    r"\b[Ww]ays? back\b": "rollback, or standby",
    r"\bvouch": "prove",
    r"\banew\b": "again",
    r"\ball the same\b": "anyway",
    r"\bof late\b": "recently",
    r"\b([Tt]urn(s|ed)?|is|was) red\b": "goes, went, is or was in ALARM",
    r"\bin good order\b": "gracefully",
    r"\bsigns? of life\b": "heartbeat",
    r"\b([Tt]ake[ns]?|took|taking) back\b": "undo, or roll back",
    r"\b(go(es)?|gone|went|going) on with\b": "continue, or resume",
    r"\bgives? (it|them|that) back\b": "restore",
    r"\bin so many words\b": "literally",
    r"\bfor good\b": "permanently",
    r"\btampered\b": "changed",
    r"\bfree again\b": "released",
    r"\bonce more\b": "again",
    r"\bin flight\b": "running",
    r"\b(is|are) meant\b": "the name of what is expected",
    r"\b(is|are) at it\b": "is using it",
    r"\btells? of\b|\bspeaks? of\b": "names, or has an entry of",
    r"\b[Ss]ign(ed|s|ing)? in\b(?! a)": "log in",
    r"\bgiv(e|es|en|ing) up\b|\bgave up\b": "cancel, or abort",
    r"\bcarr(y|ies|ied|ying) out\b": "apply",
    r"\b(is|are|was|were) answered with\b": "failed with, or returned",
    r"\b([Cc]omes?|came|coming) back\b": "is available again; or is restored",
    r"\bhand(s|ed|ing)? over\b": "pass",
    r"\bnot looked at\b": "not checked",
    r"\b[Ss]tepped over\b": "skipped",
    r"\b(any|no) more\b(?=[.,;:)]|$)": "no longer",
    r"\b[Bb]ut for\b": "except",
    r"\b[Mm]ade by\b": "created by",
    r"\b[Bb]ad day\b": "incident",
    r"\b(for|of) who\b": "of a person who",
    r"\bis (not )?believed\b": "is trusted",
    r"\bcannot be had\b": "is not available",
    r"\bwould rather\b": "prefers",
    r"\bin words\b": "as text",
    r"\blast words\b": "last lines",
}
# Names of fields and keys that are stored, or that programs read.
_STORED = {"stands", "barred", "in flight", "put back from the archive: ", " stands"}
# Whose docstrings are help texts.
_VERBS = ROOT / "rollback" / "cli" / "commands"
_CODE, _PAGES = ("rollback", "components"), ("README.md", "docs")


def main() -> int:
    """The exit code: 0 if nothing is found, else 1."""
    found = [*_in_code(), *_in_pages()]
    for line in found:
        print(line)
    return 1 if found else 0


def wrong(text: str) -> Iterator[tuple[str, str]]:
    """The forbidden words in `text`, each with what to write instead. Pure."""
    for pattern, instead in WORDS.items():
        if (match := re.search(pattern, text)) is not None:
            yield match[0], instead


def _in_code() -> Iterator[str]:
    for path in sorted(path for top in _CODE for path in (ROOT / top).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        ours = set() if path.parent == _VERBS else {id(text) for text in _docstrings(tree)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in ours:
                yield from _lines(path, node.lineno, "" if node.value in _STORED else node.value)


def _docstrings(tree: ast.AST) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and ast.get_docstring(node) is not None
        ):
            yield node.body[0].value  # type: ignore[attr-defined]


def _in_pages() -> Iterator[str]:
    for top in _PAGES:
        for path in sorted((ROOT / top).rglob("*.md")) if (ROOT / top).is_dir() else [ROOT / top]:
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                yield from _lines(path, number, line)


def _lines(path: Path, number: int, text: str) -> Iterator[str]:
    for word, instead in wrong(text):
        yield f"{path.relative_to(ROOT)}:{number}: '{word}': write {instead}"


if __name__ == "__main__":
    sys.exit(main())
