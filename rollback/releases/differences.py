"""What differs between two sets of function versions: two releases, or a release and what is deployed. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class FunctionChange:
    """One function whose version or code differs. A missing version is empty, and so is its hash (SHA-256 in base64, as
    Lambda has it).
    """

    service: str
    function: str
    before: str
    after: str
    before_code: str
    after_code: str

    @property
    def code(self) -> bool:
        """Whether the code differs, not only the version number."""
        return self.before_code != self.after_code


@dataclass(frozen=True, kw_only=True, slots=True)
class CommitChange:
    """One kind of commit (`code`, `stack`, `terraform`) that differs. `subjects` are the commits in between, newest
    first, as (40 digits, the first line of the message): `forwards`: from `before` to `after`, else in the other direction.
    """

    what: str
    before: str
    after: str
    forwards: bool = True
    subjects: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """One side of a comparison: its name, function → (version, code hash), kind → commit; and its release,
    or empty.
    """

    name: str
    functions: Mapping[str, tuple[str, str]]
    commits: Mapping[str, str]
    release: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """The differences from `before` to `after`, in the catalogue's order; the number of `unchanged` functions. `from_version` and
    `to_version` are the sides' releases, or empty. `resources` are the commands that show which resources of the stack or
    Terraform differ: an engine's dry run, which takes minutes.
    """

    environment: str
    before: str
    after: str
    functions: tuple[FunctionChange, ...]
    unchanged: int
    commits: tuple[CommitChange, ...] = ()
    from_version: str = ""
    to_version: str = ""
    resources: tuple[str, ...] = ()


def compare(environment: str, before: Side, after: Side, catalogue: Mapping[str, str]) -> Difference:
    """The difference. `catalogue` maps function → service; functions on neither side are ignored."""
    names = [name for name in catalogue if name in before.functions or name in after.functions]
    changes = [
        FunctionChange(
            service=catalogue[name],
            function=name,
            before=old[0],
            after=new[0],
            before_code=old[1],
            after_code=new[1],
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
