"""Our own code, broken on purpose, one guard at a time: what the simulation has to notice.

A mutant is a change of a module's text. What it changes is compiled and put into the running functions, so
that whoever holds one of them is broken with it; a text that is no longer there is an error.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any


@dataclass(frozen=True, slots=True)
class Mutant:
    """`changes` are pairs of what stands once in the module's text, and what stands there instead.

    `where` is the cell, fault and phase, with which the schedules begin that look for it.
    """

    name: str
    where: tuple[str, str]
    module: str
    changes: tuple[tuple[str, str], ...]

    @contextmanager
    def at_large(self) -> Iterator[None]:
        """The mutant instead of the code. Raises `LookupError` where the text has changed meanwhile."""
        module = import_module(self.module)
        path = Path(str(module.__file__))
        text = path.read_text(encoding="utf-8")
        changed = text
        for old, new in self.changes:
            if changed.count(old) != 1:
                raise LookupError(f"{self.name}: {changed.count(old)} times in {self.module}: {old!r}")
            changed = changed.replace(old, new)
        sound = dict(_codes(compile(text, str(path), "exec", dont_inherit=True)))
        swapped: list[tuple[FunctionType, CodeType]] = []
        try:
            for name, code in _codes(compile(changed, str(path), "exec", dont_inherit=True)):
                if not _same(code, sound[name]):
                    function = _function(module, name)
                    swapped.append((function, function.__code__))
                    function.__code__ = code
            if not swapped:
                raise LookupError(f"{self.name}: nothing of {self.module} is changed by it")
            yield
        finally:
            for function, code in swapped:
                function.__code__ = code


def _codes(code: CodeType, prefix: str = "") -> Iterator[tuple[str, CodeType]]:
    """The functions of a module and of its classes, by their names."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            name = f"{prefix}{constant.co_name}"
            if constant.co_flags & inspect.CO_OPTIMIZED:
                yield name, constant
            else:
                yield from _codes(constant, f"{name}.")


def _same(one: CodeType, other: CodeType) -> bool:
    """Whether they do the same: where their lines are does not count."""

    def does(code: CodeType) -> list[Any]:
        nested = [does(item) if isinstance(item, CodeType) else repr(item) for item in code.co_consts]
        return [code.co_code, code.co_names, code.co_varnames, nested]

    return does(one) == does(other)


def _function(module: ModuleType, name: str) -> FunctionType:
    found: Any = module
    for part in name.split("."):
        found = inspect.getattr_static(found, part)
    found = getattr(found, "fget", None) or getattr(found, "__func__", found)
    return inspect.unwrap(found)  # type: ignore[return-value] # a function, as its code was one's


_ALIASES, _LEASE = "rollback.targets.aliases.target", "rollback.ledger.lease"
_MINE = "        if (stands, description, found) == (version, tag, weights):\n"
_WRITE = '        revision = self._update(step, version, weights, alias["RevisionId"], tag)\n'

MUTANTS = (
    Mutant(
        "no RevisionId sent",
        ("foreign write", "execute"),
        _ALIASES,
        (("                    RevisionId=revision,\n", ""),),
    ),
    Mutant(
        "weights skipped",
        ("crash", "execute"),
        _ALIASES,
        (('                    RoutingConfig={"AdditionalVersionWeights": dict(weights)},\n', ""),),
    ),
    Mutant(
        "weights not put back",
        ("crash", "undo"),
        _ALIASES,
        (('{"AdditionalVersionWeights": dict(weights)}', '{"AdditionalVersionWeights": {}}'),),
    ),
    Mutant(
        "foreign write taken for ours",
        ("foreign write", "execute"),
        _ALIASES,
        ((_MINE, "        if stands == version:\n"),),
    ),
    Mutant(
        "foreign release overwritten",
        ("foreign write", "execute"),
        _ALIASES,
        (("        if stands not in ({version}", "        if False and stands not in ({version}"),),
    ),
    Mutant(
        "lost answer treated as failure",
        ("lost answer", "execute"),
        _ALIASES,
        ((_MINE, "        if False:\n"),),
    ),
    Mutant(
        "journal after overwrite",
        ("foreign write", "execute"),
        _ALIASES,
        (
            (
                "        # Written down before it is overwritten.\n",
                _WRITE.replace(" weights,", " found if back and theirs else weights,"),
            ),
            ("            weights = found\n" + _WRITE, "            weights = found\n"),
        ),
    ),
    Mutant(
        "REVERTED without undo of a doubtful write",
        ("lost answer", "execute"),
        _ALIASES,
        (("(state.moved or state.doubtful or journal.taken_over)", "(state.moved or journal.taken_over)"),),
    ),
    Mutant(
        "taken over without touching what may be moved",
        ("crash", "execute"),
        _ALIASES,
        (("(state.moved or state.doubtful or journal.taken_over)", "(state.moved or state.doubtful)"),),
    ),
    Mutant(
        "no fence in the description",
        ("crash", "undo"),
        "rollback.actions.ledger_store",
        (("{self.record.rollback_id}/{self.lease.fence}", "{self.record.rollback_id}/1"),),
    ),
    Mutant(
        "no lease condition on a write",
        ("lease expiry", "execute"),
        "rollback.ledger.repository",
        (("[*(lease.proofs() if lease else []), *writes]", "[*writes]"),),
    ),
    Mutant(
        "a decision read from GSI1",
        ("stale index", "record"),
        "rollback.actions.record_release",
        (
            (
                "        known = timeline.release_of(version)\n",
                (
                    "        listed = [getattr(one, 'version', '') for one in session.ledger.history(50)]\n"
                    "        known = timeline.release_of(version) if version in listed else None\n"
                ),
            ),
        ),
    ),
    Mutant(
        "order by clock",
        ("clock skew", "record"),
        "rollback.ledger.repository",
        (
            (
                "        return (model(Entry, item) for item in items)\n",
                (
                    "        return iter(sorted((model(Entry, item) for item in items), "
                    "key=lambda entry: entry.at, reverse=True))\n"
                ),
            ),
        ),
    ),
    Mutant(
        "lease released before the record is closed",
        ("server error", "execute"),
        _LEASE,
        (
            (
                "lease.in_flight, lease.given_back = self.in_flight, self.given_back",
                "lease.given_back = self.given_back",
            ),
        ),
    ),
    Mutant(
        "takeover without watching",
        ("second operator", "execute"),
        _LEASE,
        (("watch, began = max(seconds, default=0), ", "watch, began = 0, "),),
    ),
    Mutant(
        "takeover of what gave a sign of life",
        ("second operator", "lease"),
        _LEASE,
        (
            (
                '                "#owner = :old AND beat = :beat AND fence = :fence",\n',
                '                "#owner = :old",\n',
            ),
            (
                '{":old": owner, ":beat": held["beat"], ":fence": held["fence"]}',
                '{":old": owner}',
            ),
        ),
    ),
    Mutant(
        "stale plan accepted at apply",
        ("second operator", "apply"),
        "rollback.actions.lifecycle",
        (("            if today.digest() != record.digest:\n", "            if False:\n"),),
    ),
    Mutant(
        "approval digest not compared",
        ("throttle", "approve"),
        "rollback.actions.approval",
        (
            (
                (
                    "    if len(digest) < MIN_DIGEST or not record.digest.startswith(digest):\n"
                    '        raise Refused(\n            "That is'
                ),
                '    if len(digest) < MIN_DIGEST:\n        raise Refused(\n            "That is',
            ),
        ),
    ),
    Mutant(
        "COMPLETE although verification failed",
        ("foreign write", "verify"),
        "rollback.actions.lifecycle",
        (("        passed = all(check.ok for check in checks)\n", "        passed = True\n"),),
    ),
)
