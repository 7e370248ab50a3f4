"""Groups an account's functions into services, and names their entries. Pure: a proposal, about which a person decides.

A function belongs to its CloudFormation stack, to a construct of its CDK path, to the value of a tag, or to its
name's prefix. An entry is its short name: `GetOrder` of `orders-prod-GetOrderFunction-1A2B3C4D5E6F`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from rollback.model.found import FoundFunction

# Service → entry → full name, as the setting `services` has it.
Services = Mapping[str, Mapping[str, str]]
_ALIKE = (
    ("production", "prod", "prd"),
    ("staging", "stage", "stg"),
    ("development", "dev"),
    ("test", "tst"),
    ("integration", "int"),
    ("qa",),
    ("uat",),
    ("sit",),
    ("preprod",),
    ("sandbox",),
)
# Usual tag keys for a service, in order of preference.
_SERVICE_TAGS = ("service", "component", "app", "application", "team")
# Suffixes of logical ids: CDK's hash of eight digits; the words that SAM and the Serverless Framework append.
_HASH = re.compile(r"(?<=[a-z0-9])[0-9A-F]{8}$")
_KIND = re.compile(r"(?<=.)(?:LambdaFunction|Function|Lambda)$")
_RESOURCE = "Resource"
_LONGEST = 63


class By(StrEnum):
    """How functions are grouped into services."""

    STACK = "stack"
    PATH = "path"
    TAG = "tag"
    PREFIX = "prefix"


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """A selection of functions: all, or those of some stacks, with a prefix, or with a tag."""

    stacks: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    excluded: tuple[str, ...] = ()

    @property
    def given(self) -> bool:
        """Whether it is restricted."""
        return bool(self.stacks or self.prefixes or self.tags)

    def takes(self, function: FoundFunction) -> bool:
        """Whether a function is selected. One of several stacks, prefixes or tags is enough."""
        if function.name in self.excluded:
            return False
        return (
            not self.given
            or function.stack in self.stacks
            or function.name.startswith(self.prefixes or ("\0",))
            or any(function.tags.get(key) == value for key, value in self.tags)
        )


def words(environment: str) -> tuple[str, ...]:
    """The words for an environment in names: `production`, `prod`."""
    return next((alike for alike in _ALIKE if environment in alike), (environment,))


def chosen(
    functions: Iterable[FoundFunction], environment: str, selection: Selection
) -> tuple[tuple[FoundFunction, ...], tuple[FoundFunction, ...]]:
    """The functions of an environment, and those excluded because their names belong to another one.

    With a restricted selection, or if no function's name contains this environment, none is excluded.
    """
    taken = [one for one in functions if selection.takes(one)]
    own, others = words(environment), [word for alike in _ALIKE for word in alike]
    if selection.given or not any(_says(one, own) for one in taken):
        return tuple(taken), ()
    left = [one for one in taken if not _says(one, own) and _says(one, others)]
    return tuple(one for one in taken if one not in left), tuple(left)


def near(functions: Iterable[FoundFunction], known: Collection[str]) -> tuple[FoundFunction, ...]:
    """The functions in a stack of the `known` ones (full names), or named like one of them except for the last
    word: `orders-put` and `orders-get`.
    """
    every = tuple(functions)
    stacks = {one.stack for one in every if one.name in known and one.stack}
    beginnings = {_all_but_last(name) for name in known} - {""}
    return tuple(one for one in every if one.stack in stacks or _all_but_last(one.name) in beginnings)


def _all_but_last(name: str) -> str:
    return name[: max(name.rfind("-"), name.rfind("_")) + 1]


def ungrouped(
    functions: Sequence[FoundFunction], paths: Mapping[str, str], by: By, tag: str = ""
) -> tuple[str, ...]:
    """The functions without what they should be grouped by: `services` uses the next best for them."""
    key = tag or _service_tag(functions)
    found: Callable[[FoundFunction], str] = {
        By.STACK: lambda one: one.stack,
        By.TAG: lambda one: one.tags.get(key, ""),
        By.PATH: lambda one: _construct(paths.get(one.name, "")),
        By.PREFIX: lambda one: one.name,
    }[by]
    return tuple(one.name for one in functions if not found(one))


def unknown(functions: Iterable[FoundFunction], selection: Selection) -> tuple[str, ...]:
    """The excluded names that no function has."""
    names = {one.name for one in functions}
    return tuple(one for one in selection.excluded if one not in names)


def _construct(path: str) -> str:
    """The group in a CDK path: the construct of Stack/Construct/Function/Resource, the stack of Stack/Function/Resource."""
    parts = path.split("/")
    return parts[1] if len(parts) > 3 else ""  # noqa: PLR2004 - as drawn above


def of_another(functions: Iterable[FoundFunction], environment: str) -> str:
    """The word for another environment that all these functions have in their names or their stacks'; empty if there is none."""
    every, own = tuple(functions), words(environment)
    others = [word for alike in _ALIKE for word in alike if word not in own]
    if any(_says(one, own) for one in every):
        return ""
    return next((word for word in others if every and all(_says(one, (word,)) for one in every)), "")


def _says(function: FoundFunction, among: Collection[str]) -> bool:
    return any(_without(text, among) != text for text in (function.name, function.stack))


def _without(text: str, among: Iterable[str]) -> str:
    """A name without these words, separated by `-` or `_`."""
    for word in among:
        text = re.sub(rf"(?i)(^|[-_]){re.escape(word)}(?=$|[-_])", "", text)
    return text


def services(
    functions: Sequence[FoundFunction],
    paths: Mapping[str, str],
    environment: str,
    *,
    by: By | None = None,
    tag: str = "",
    known: Services | None = None,
) -> dict[str, dict[str, str]]:
    """Services and their entries. `known` functions (full names) keep theirs; new ones come after them."""
    kept = {service: dict(entries) for service, entries in (known or {}).items()}
    names = {name for entries in kept.values() for name in entries.values()}
    estate = _Estate(
        functions=functions, paths=paths, own=words(environment), tag=tag or _service_tag(functions)
    )
    first = by or estate.best
    everything = {one.name for one in functions} | names
    for one in functions:
        if one.name in names:
            continue
        service = estate.service(one, first)
        if service in everything:
            service = f"{service}-service"[:_LONGEST]
        taken = {entry for entries in kept.values() for entry in entries} | everything - {one.name}
        entries = kept.setdefault(service, {})
        entries[_unique(entry(one, paths, environment, service), service, one.name, taken)] = one.name
    return kept


@dataclass(frozen=True, kw_only=True, slots=True)
class _Estate:
    """Functions, and how to group them. `own` are the words for their environment."""

    functions: Sequence[FoundFunction]
    paths: Mapping[str, str]
    own: Sequence[str]
    tag: str

    @property
    def best(self) -> By:
        """The best grouping: by stack if there are several, else by what divides the one, else by names."""
        stacks = {one.stack for one in self.functions}
        tagged = {one.tags.get(self.tag, "") for one in self.functions}
        if "" in stacks:
            if "" not in tagged:
                return By.TAG
            return By.STACK if len(stacks) > 2 else By.PREFIX  # noqa: PLR2004 - two real ones
        if len(stacks) > 1:
            return By.STACK
        if len({self.service(one, By.PATH) for one in self.functions}) > 1:
            return By.PATH
        return By.TAG if len(tagged) > 1 and "" not in tagged else By.STACK

    def service(self, function: FoundFunction, by: By) -> str:
        """The service of a function, by the first attribute that it has."""
        path = _construct(self.paths.get(function.name, ""))
        found = {By.PATH: path, By.STACK: function.stack, By.TAG: function.tags.get(self.tag, "")}
        order = () if by is By.PREFIX else (by, *(one for one in (By.STACK, By.TAG) if one is not by))
        text = next((found[one] for one in order if found[one]), "")
        return _service_name(_without(text, self.own) if text else self._beginning(function))

    def _beginning(self, function: FoundFunction) -> str:
        """The first word of a name after the prefix of all names."""
        every = [_parts(one.name, self.own) for one in self.functions]
        mine, common = _parts(function.name, self.own), 0
        while all(len(each) > common + 1 for each in every) and len({each[common] for each in every}) == 1:
            common += 1
        return mine[common] if len(every) > 1 else mine[0]


def _parts(name: str, own: Iterable[str]) -> list[str]:
    return re.split(r"[-_]+", _without(name, own).strip("-_"))


def _service_tag(functions: Sequence[FoundFunction]) -> str:
    keys = {key.lower(): key for one in functions for key in one.tags}
    return next((keys[name] for name in _SERVICE_TAGS if name in keys), "")


def _service_name(text: str) -> str:
    """Text as a valid service name."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-_")
    name = name if name[:1].isalpha() else f"s{name}"
    return f"{name}-functions" if name == "all" else name[:_LONGEST]


def entry(function: FoundFunction, paths: Mapping[str, str], environment: str, service: str) -> str:
    """A function's entry: its CDK construct, the template's logical id, or the distinct part of its name."""
    parts = paths.get(function.name, "").split("/")
    if len(parts) > 1 and parts[-1] == _RESOURCE:
        named = parts[-2]
    elif function.logical:
        named = _HASH.sub("", function.logical)
    else:
        named = _without(function.name, words(environment)).strip("-_")
        named = re.sub(rf"(?i)^{re.escape(service)}[-_]", "", named)
    return re.sub(r"[^A-Za-z0-9_-]+", "-", _KIND.sub("", named)).lstrip("-_")[:_LONGEST] or "function"


def _unique(wanted: str, service: str, name: str, taken: Collection[str]) -> str:
    candidates = [wanted, f"{service}-{wanted}"[:_LONGEST], name.lstrip("-_")[:_LONGEST]]
    number = 2
    while candidates[0] in taken:
        candidates.pop(0)
        if not candidates:
            candidates.append(f"{wanted[: _LONGEST - 4]}-{number}")
            number += 1
    return candidates[0]


def common_alias(aliases: Mapping[str, Mapping[str, str]]) -> tuple[str, ...]:
    """The aliases of functions, most frequent first, then by name."""
    count: dict[str, int] = {}
    for one in aliases.values():
        for alias in one:
            count[alias] = count.get(alias, 0) + 1
    return tuple(sorted(count, key=lambda alias: (-count[alias], alias)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """How a catalogue and an account differ.

    `new` and `gone` are as the setting `services`; `renamed` are entries whose full name has changed: service,
    entry, name in the catalogue, name in the account. `without_alias` are new functions that are not added.
    """

    new: Services = field(default_factory=dict)
    gone: Services = field(default_factory=dict)
    renamed: tuple[tuple[str, str, str, str], ...] = ()
    without_alias: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (self.new or self.gone or self.renamed)


def difference(
    known: Services,
    existing: Collection[str],
    candidates: Sequence[FoundFunction],
    paths: Mapping[str, str],
    environment: str,
    *,
    without_alias: Collection[str] = (),
) -> Difference:
    """The catalogue's functions missing in the account (`existing` full names), and the `candidates` that are new.

    A function replaced by CloudFormation is the same entry with another full name.
    """
    gone = {
        service: left
        for service, entries in known.items()
        if (left := {one: name for one, name in entries.items() if name not in existing})
    }
    there = {name for entries in known.values() for name in entries.values()}
    fresh = [one for one in candidates if one.name not in there and one.name not in without_alias]
    renamed: list[tuple[str, str, str, str]] = []
    for one in list(fresh):
        for service, entries in gone.items():
            called = entry(one, paths, environment, service)
            if called in entries and _alike(entries[called], one.name):
                renamed.append((service, called, entries.pop(called), one.name))
                fresh.remove(one)
                break
    kept = {
        service: {one: name for one, name in entries.items() if name in existing}
        for service, entries in known.items()
    }
    names = {service: set(entries) for service, entries in kept.items()}
    made = services(fresh, paths, environment, known=kept) if fresh else {}
    return Difference(
        new={
            service: added
            for service, entries in made.items()
            if (added := {one: name for one, name in entries.items() if one not in names.get(service, ())})
        },
        gone={service: entries for service, entries in gone.items() if entries},
        renamed=tuple(renamed),
        without_alias=tuple(sorted(one.name for one in candidates if one.name in without_alias)),
    )


def _alike(old: str, new: str) -> bool:
    """Whether two names differ only by CloudFormation's suffix."""
    return old.rpartition("-")[0] == new.rpartition("-")[0]


def updated(known: Services, what: Difference) -> dict[str, dict[str, str]]:
    """The catalogue after a difference: entries keep their order, new ones come last, empty services are removed."""
    changed = {(service, one): new for service, one, _, new in what.renamed}
    made = {
        service: {
            one: changed.get((service, one), name)
            for one, name in entries.items()
            if one not in what.gone.get(service, {})
        }
        for service, entries in known.items()
    }
    for service, entries in what.new.items():
        made.setdefault(service, {}).update(entries)
    return {service: entries for service, entries in made.items() if entries}
