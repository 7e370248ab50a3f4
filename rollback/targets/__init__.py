"""The kinds of targets and their classes. A new kind is one line
here.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from rollback.model.kind import Kind
from rollback.targets.base import Context, Target
from rollback.util.errors import Code, RollbackError
from rollback.util.version import UPGRADE

# Kind → module and class. Imported on demand, because some import large modules.
_MAKERS: Mapping[str, tuple[str, str]] = {
    Kind.ALIASES: ("rollback.targets.aliases.target", "Aliases"),
    Kind.STACK: ("rollback.targets.stack.target", "Stack"),
    Kind.CUTOVER: ("rollback.targets.table.cutover", "Cutover"),
    Kind.PRUNE: ("rollback.targets.prune.target", "Prune"),
    Kind.FULL: ("rollback.targets.full.target", "Full"),
    Kind.TERRAFORM: ("rollback.targets.terraform.target", "Terraform"),
    Kind.TABLE: ("rollback.targets.table.restore", "TableRestore"),
}


def make(kind: str, context: Context) -> Target:
    """The target of `kind`. Raises `RollbackError` for an unknown kind."""
    if kind not in _MAKERS:
        raise RollbackError(
            f"This version of the command cannot roll back {kind!r}.",
            code=Code.CLIENT_OUTDATED,
            next=UPGRADE,
        )
    module, name = _MAKERS[kind]
    target: Target = getattr(import_module(module), name)(context)
    return target
