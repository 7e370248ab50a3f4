"""`python -m tools.settings`: checks that the table in `docs/settings.md` matches the model.

`--write` updates the page; without it, exit 1 reports a difference.
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
# Derived from the stack's name, and set in no file.
_NO_SETTING = "environment"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 up to date (or written), 1 not."""
    return in_step(
        arguments,
        module="tools.settings",
        page=PAGE,
        markers=(BEGIN, END),
        content=reference,
        what="the current settings",
    )


def reference() -> str:
    """A Markdown table with one line for each setting, nested settings below their group."""
    lines = ["| setting | means | default | for example |", "|---|---|---|---|"]
    return "\n".join([*lines, *_rows(Settings, "")]) + "\n"


def _rows(model: type[BaseModel], above: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if name == _NO_SETTING:
            continue
        key = PROVIDERS.get(name, f"{above}{to_camel(name)}")
        inner = _model_of(field)
        # The description of an incomplete group says what is missing.
        default = "" if inner or (above and field.is_required()) else _default(field)
        example = _yaml(field.examples[0]) if field.examples and not inner else ""
        yield f"| `{key}` | {_cell(field.description or '')} | {default} | {example} |"
        if inner:
            yield from _rows(inner, f"{key}.")


def _model_of(field: FieldInfo) -> type[BaseModel] | None:
    kinds = (field.annotation, *getattr(field.annotation, "__args__", ()))
    return next((one for one in kinds if isinstance(one, type) and issubclass(one, BaseModel)), None)


def _default(field: FieldInfo) -> str:
    """The default value; "" if there is none, or if the description names it."""
    if field.is_required():
        return "it must be set"
    return _yaml(field.default) if field.default not in (None, "", (), {}) else ""


def _yaml(value: Any) -> str:
    """A value as YAML on one line."""
    shown = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=1000)
    return f"`{_cell(shown.removesuffix(chr(10)).removesuffix('...').strip())}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())
