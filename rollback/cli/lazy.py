"""Imports a verb when it is called, and the modules that it imports when they are first used.

The first is Click's "Lazily Loading Subcommands" (https://click.palletsprojects.com/en/stable/complex/): a list of
verbs imports none of them. The second keeps a verb's own `--help` and its completion from waiting for boto3 and the
settings: a module that a verb's module imports as a module (`from rollback.lifecycle import freeze`) is executed when
something is first asked of it, as `importlib.util.LazyLoader` does. Names taken out of a module
(`from rollback.util.errors import Refused`) execute it at once, which is for light ones only.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, cast

import typer
from typer.core import TyperCommand
from typer.main import get_command

from rollback.cli import verbosity
from rollback.cli.help_texts import option_meant
from rollback.cli.output import OUTPUT, with_output
from rollback.rooms import function


class LazyCommand(TyperCommand):
    """A verb whose name and help line are known; its module is imported when it is called or completed.

    `where` is `module:function`, below `rollback`.
    """

    def __init__(self, name: str, where: str, line: str, examples: Sequence[str] = ()) -> None:
        super().__init__(name, help=line, rich_markup_mode=None)
        self.where = where
        self.examples = examples

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """The context of the real command, which replaces this one."""
        return self._verb().make_context(info_name, args, parent, **extra)

    def _verb(self) -> TyperCommand:
        with _first_use():
            callback = function(self.where)
        alone = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
        alone.command(self.name, cls=_Verb)(with_output(callback))
        verb = cast("_Verb", verbosity.added(get_command(alone)))
        verb.examples = self.examples
        return verb


class _Verb(TyperCommand):
    """A verb with examples in its help, and suggestions for mistyped options."""

    examples: Sequence[str] = ()

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        with meant(ctx):
            return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """What may be left out is in brackets, as in other tools' help."""
        arguments = [one for one in self.get_params(ctx) if one.param_type_name == "argument"]
        return ["[OPTIONS]", *(described(one, ctx)[0] for one in arguments)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """In groups: what is asked for, what is special, and what every verb has."""
        groups: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for one in self.get_params(ctx):
            if getattr(one, "hidden", False):
                continue
            usual = "Arguments" if one.param_type_name == "argument" else "Options"
            groups.setdefault(getattr(one, "rich_help_panel", None) or usual, []).append(described(one, ctx))
        # `--help` itself is the last that there is.
        groups[OUTPUT] = groups.pop(OUTPUT, [])
        if groups["Options"][-1][0].endswith("--help"):
            groups[OUTPUT].append(groups["Options"].pop())
        for name, rows in groups.items():
            if rows:
                with formatter.section(name):
                    formatter.write_dl(rows)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - click's
        """Unwrapped, so that a line can be copied."""
        with formatter.section("Examples"):
            for line in self.examples:
                formatter.write(f"  {line}\n")


def described(parameter: Any, ctx: Any) -> tuple[str, str]:
    """What an option or an argument is called in help, with a word for its value, and its line."""
    name, line = parameter.get_help_record(ctx)
    line = re.sub(r"(\d+)<=x<=(\d+)", r"\1 to \2", re.sub(r"x>=(\d+)", r"at least \1", line))
    if parameter.param_type_name == "argument":
        word = (parameter.metavar or parameter.name).strip("[]")
        return (word if parameter.required else f"[{word}]"), line.replace("  [required]", "")
    return name.replace("<", "").replace(">", ""), line


# Of what Pydantic says of a value, by which typer reads options: https://docs.pydantic.dev/latest/errors/validation_errors/
_PLAINLY = (
    (re.compile(r"Value error, "), ""),
    (re.compile(r"Input should be greater than or equal to "), "it must be at least "),
    (re.compile(r"Input should be less than or equal to "), "it must be at most "),
    (re.compile(r"Input should be a valid integer.*"), "it must be a number"),
)


@contextmanager
def meant(ctx: Any, otherwise: str = "") -> Iterator[None]:
    """Adds a suggestion, or `otherwise`, to the error for an unknown option, and explains a wrong value in plain words."""
    try:
        yield
    except typer.TyperException as error:
        for theirs, plain in _PLAINLY:
            error.message = theirs.sub(plain, error.message)
        # Only the error for an unknown option has this attribute; typer does not export its class.
        if hasattr(error, "possibilities"):
            options = [name for one in ctx.command.params for name in one.opts]
            found = option_meant(getattr(error, "option_name", ""), options)
            hint = f"Did you mean '{found}'?" if found else otherwise
            error.possibilities = None
            error.message = f"{error.message.rstrip('.')}. {hint}".rstrip()
        raise


@contextmanager
def _first_use() -> Iterator[None]:
    """Modules of the product that are imported inside this block are executed on first use, by any thread."""
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Finder:
    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not name.startswith("rollback."):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _AtFirstUse(spec.loader)
        return spec


class _AtFirstUse(Loader):
    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        spec = module.__spec__
        assert spec is not None  # noqa: S101 - the import system's own
        spec.loader = module.__loader__ = self._loader
        spec.loader_state = _Lock()
        module.__class__ = Waiting


class _Lock:
    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.executing = False


class Waiting(ModuleType):
    """A module that is executed when something is first asked of it: by one thread, for which all others wait.

    `importlib.util.LazyLoader` lets the others see what is half executed (https://github.com/python/cpython/issues/114763,
    mended in Python 3.12.3). Locks are per module, and no modules import each other in a circle: nobody waits for ever.
    """

    def __getattribute__(self, name: str) -> Any:
        asked = object.__getattribute__
        spec = asked(self, "__spec__")
        state = spec.loader_state
        with state.lock:
            if asked(self, "__class__") is Waiting and not state.executing:
                state.executing = True
                try:
                    spec.loader.exec_module(self)
                    self.__setattr__("__class__", ModuleType)
                finally:
                    state.executing = False
        return asked(self, name)
