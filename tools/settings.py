"""`python -m tools.settings`: `docs/settings.md` is that of the model, between two markers.

With `--write` it is made so; without it, exit 1 says that it is not.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo

from localaws.paths import ROOT
from rollback.config.model import Settings
from rollback.config.problems import PROVIDERS
from tools.generated import in_step

PAGE = ROOT / "docs" / "settings.md"
BEGIN, END = "<!-- settings:begin -->", "<!-- settings:end -->"
# Told from the stack's name, and by no file.
_NO_SETTING = "environment"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 in step (or made so), 1 not."""
    return in_step(
        arguments,
        module="tools.settings",
        page=PAGE,
        markers=(BEGIN, END),
        content=reference,
        what="the settings as they are",
    )


def reference() -> str:
    """A Markdown table, a setting a line, those inside another below it."""
    lines = ["| setting | means | default | for example |", "|---|---|---|---|"]
    return "\n".join([*lines, *_rows(Settings, "")]) + "\n"


def _rows(model: type[BaseModel], above: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if name == _NO_SETTING:
            continue
        key = PROVIDERS.get(name, f"{above}{to_camel(name)}")
        inner = _model_of(field)
        # Of a group that has to be completed the group says by what.
        default = "" if inner or (above and field.is_required()) else _default(field)
        example = _yaml(field.examples[0]) if field.examples and not inner else ""
        yield f"| `{key}` | {_cell(field.description or '')} | {default} | {example} |"
        if inner:
            yield from _rows(inner, f"{key}.")


def _model_of(field: FieldInfo) -> type[BaseModel] | None:
    kinds = (field.annotation, *getattr(field.annotation, "__args__", ()))
    return next((one for one in kinds if isinstance(one, type) and issubclass(one, BaseModel)), None)


def _default(field: FieldInfo) -> str:
    """What it is where it is not set; empty where nothing is, or the description says."""
    if field.is_required():
        return "it must be set"
    return _yaml(field.default) if field.default not in (None, "", (), {}) else ""


def _yaml(value: Any) -> str:
    """As a file has it, on one line."""
    shown = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=1000)
    return f"`{_cell(shown.removesuffix(chr(10)).removesuffix('...').strip())}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())
