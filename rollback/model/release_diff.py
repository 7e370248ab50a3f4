"""What differs between two sets of function versions: two releases, or a release and what is deployed. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class FunctionChange:
    """One function whose version or code differs. A version that a side does not have is empty; `code` says whether the
    code itself differs, and not its number alone.
    """

    service: str
    function: str
    before: str
    after: str
    code: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class CommitChange:
    """One kind of commit (`code`, `stack`, `terraform`) that differs. `subjects` are the commits that lie between, newest
    first, as (40 digits, the first line of the message): `forwards` from `before` to `after`, else back.
    """

    what: str
    before: str
    after: str
    forwards: bool = True
    subjects: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """One of the two that are compared: what it is called, function → (version, code hash), kind → commit; and the release
    that it is, empty where it is none.
    """

    name: str
    functions: Mapping[str, tuple[str, str]]
    commits: Mapping[str, str]
    release: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """What differs from `before` to `after`, in the catalogue's order; `unchanged` functions do not. `from_version` and
    `to_version` are the releases that these are, empty where they are none.
    """

    environment: str
    before: str
    after: str
    functions: tuple[FunctionChange, ...]
    unchanged: int
    commits: tuple[CommitChange, ...] = ()
    from_version: str = ""
    to_version: str = ""


def compare(environment: str, before: Side, after: Side, catalogue: Mapping[str, str]) -> Difference:
    """The difference. `catalogue` maps function → service; functions of neither side count for nothing."""
    names = [name for name in catalogue if name in before.functions or name in after.functions]
    changes = [
        FunctionChange(
            service=catalogue[name], function=name, before=old[0], after=new[0], code=old[1] != new[1]
        )
        for name in names
        if (old := before.functions.get(name, ("", ""))) != (new := after.functions.get(name, ("", "")))
    ]
    return Difference(
        environment=environment,
        before=before.name,
        after=after.name,
        functions=tuple(changes),
        unchanged=len(names) - len(changes),
        commits=tuple(_commits(before, after)),
        from_version=before.release,
        to_version=after.release,
    )


def _commits(before: Side, after: Side) -> Sequence[CommitChange]:
    kinds = dict.fromkeys([*before.commits, *after.commits])
    return [
        CommitChange(what=kind, before=old, after=new)
        for kind in kinds
        if (old := before.commits.get(kind, "")) != (new := after.commits.get(kind, "")) and old and new
    ]
