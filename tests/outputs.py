"""Every document that a command gives as JSON is one that `docs/output.schema.json` describes for its verb.

`check` is called wherever a test has run a command, so that each test that asks for JSON shows it, too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from localaws.paths import ROOT
from rollback.cli.app import VERBS
from rollback.cli.output import asks_for_json

SCHEMA: Mapping[str, Any] = json.loads((ROOT / "docs" / "output.schema.json").read_text(encoding="utf-8"))


def check(arguments: Sequence[str], out: str) -> None:
    """Raises `AssertionError` where `rollback ARGUMENTS` has given another document than its verb may give."""
    if out.strip() and asks_for_json(["rollback", *arguments]) and (verb := verb_of(arguments)):
        documents = out.splitlines() if "--watch" in arguments else [out]
        for document in documents:
            fits(verb, json.loads(document))


def fits(verb: str, document: Any) -> None:
    """Raises `AssertionError` where a verb may not give this document."""
    errors = list(_validator(verb).iter_errors(document))
    error = best_match(errors)
    assert error is None, (
        f"rollback {verb} answers otherwise than its schema: {_explained(error)}\n{document}"
    )


def verb_of(arguments: Sequence[str]) -> str:
    """`release record`, say; empty where it is no verb, or one that has no JSON."""
    first, second = (*arguments, "", "")[:2]
    verb = f"{first} {second}" if first in VERBS and first != "rollback" else first
    return verb if f"rollback-{verb.replace(' ', '-')}" in SCHEMA["$defs"] else ""


def _explained(error: Any) -> str:
    """What is wrong, of all shapes that the document might have had."""
    lines = [f"{error.json_path}: {error.message[:300]}"]
    lines += [f"  {one.json_path}: {one.message[:300]}" for one in error.context or ()]
    return "\n".join(lines)


@cache
def _validator(verb: str) -> Draft202012Validator:
    name = f"rollback-{verb.replace(' ', '-')}"
    return Draft202012Validator({**SCHEMA, "anyOf": [{"$ref": f"#/$defs/{name}"}]})
