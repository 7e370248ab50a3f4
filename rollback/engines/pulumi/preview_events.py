"""Reads the engine's preview events: what it would do to each resource. Pure.

The event's fields are those of `apitype.StepEventMetadata`
(https://pkg.go.dev/github.com/pulumi/pulumi/sdk/v3/go/common/apitype#StepEventMetadata). Secrets in them are
always masked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rollback.model.record import INFRASTRUCTURE

CREATE, UPDATE, REPLACE, DELETE, SAME = INFRASTRUCTURE
STACK_TYPE = "pulumi:pulumi:Stack"
_REFERENCE_TYPE = "pulumi:pulumi:StackReference"
# The placeholder of a value that is unknown until another resource is created: `UnknownStringValue`,
# https://pkg.go.dev/github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin#pkg-constants
_UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba"
_OPS = {
    "create": CREATE,
    "import": CREATE,
    "update": UPDATE,
    "delete": DELETE,
    "remove-pending-replace": DELETE,
    "replace": REPLACE,
    "create-replacement": REPLACE,
    "delete-replaced": REPLACE,
    "import-replacement": REPLACE,
    "same": SAME,
}
# The inputs with a resource's name in the account, used while it has no id.
_NAMES = ("name", "bucket", "functionName")

Facts = Mapping[str, Any]
Events = Iterable[tuple[str, Facts]]


@dataclass(frozen=True, kw_only=True, slots=True)
class PreviewStep:
    """One resource: what happens to it, its inputs before (`old`) and after (`new`), property → value, and
    what guards it.

    `name` is its name in the account: its id, or its future name. `properties` are the inputs that
    change; for the stack itself, the outputs. `replacing` are those that cause a replacement. A resource
    that is not `custom` is a component, which does not exist in an account.
    """

    urn: str
    type: str
    op: str
    name: str = ""
    properties: tuple[str, ...] = ()
    replacing: tuple[str, ...] = ()
    old: Facts | None = None
    new: Facts | None = None
    protected: bool = False
    unprotects: bool = False
    retains: bool = False
    custom: bool = True


def operation(metadata: Facts) -> str | None:
    """What an event (its `metadata`: `{"urn", "op", "type", …}`) does to its resource; None for a refresh or
    a read.
    """
    default = "::pulumi:providers:" in metadata["urn"] and "::default" in metadata["urn"]
    return None if default else _OPS.get(metadata["op"])


def steps(events: Events) -> list[PreviewStep]:
    """The steps of a preview, without duplicates, sorted by resource, because their order varies."""
    found: dict[tuple[str, str], PreviewStep] = {}
    for kind, data in events:
        if kind == "resourcePreEvent" and (op := operation(data["metadata"])) is not None:
            step = _step(data["metadata"], op)
        elif kind == "resOutputsEvent" and data["metadata"]["type"] == STACK_TYPE:
            step = _outputs(data["metadata"])
        else:
            continue
        if step.type == STACK_TYPE and (known := found.pop((step.urn, SAME), None)):
            found[step.urn, step.op] = max(known, step, key=lambda one: len(one.properties))
            continue
        known = found.get((step.urn, step.op))
        found[step.urn, step.op] = _merged(known, step) if known else step
    return [found[key] for key in sorted(found)]


def drift(events: Events) -> list[tuple[str, tuple[str, ...]]]:
    """Resources that differ from the checkpoint, with their properties; no properties: the resource was deleted."""
    found = {}
    for kind, data in events:
        if kind != "resOutputsEvent" or data["metadata"]["op"] != "refresh":
            continue
        metadata = data["metadata"]
        if metadata.get("diffs"):
            found[metadata["urn"]] = tuple(sorted(metadata["diffs"]))
        elif metadata.get("old") and not metadata.get("new"):
            found[metadata["urn"]] = ()
    return sorted(found.items())


def references(events: Events) -> list[str]:
    """The full names of the stacks whose outputs the program reads, sorted."""
    found = set()
    for kind, data in events:
        metadata = data.get("metadata", {})
        if kind == "resOutputsEvent" and metadata.get("type") == _REFERENCE_TYPE:
            name = ((metadata.get("new") or {}).get("inputs") or {}).get("name")
            # Others are in Pulumi Cloud, which cannot be copied.
            if isinstance(name, str) and name.count("/") == 2:  # noqa: PLR2004 - organization/project/stack
                found.add(name)
    return sorted(found)


def unknown(value: Any) -> bool:
    """Whether `value` contains an unknown value."""
    if isinstance(value, Mapping):
        return any(map(unknown, value.values()))
    if isinstance(value, list):
        return any(map(unknown, value))
    return isinstance(value, str) and value.startswith(_UNKNOWN)


def _step(metadata: Facts, op: str) -> PreviewStep:
    old, new = metadata.get("old") or {}, metadata.get("new") or {}
    inputs = new.get("inputs", {})
    named = (inputs[key] for key in _NAMES if isinstance(inputs.get(key), str))
    return PreviewStep(
        urn=metadata["urn"],
        type=metadata["type"],
        op=op,
        name=old.get("id") or new.get("id") or next(named, ""),
        properties=tuple(sorted({*(metadata.get("diffs") or ()), *(metadata.get("keys") or ())})),
        replacing=tuple(sorted(metadata.get("keys") or ())),
        old=old.get("inputs"),
        new=new.get("inputs"),
        protected=bool(old.get("protect")),
        unprotects=bool(old.get("protect") and new and not new.get("protect")),
        retains=bool(old.get("retainOnDelete")),
        custom=bool((new or old).get("custom")),
    )


def _outputs(metadata: Facts) -> PreviewStep:
    """The step of the stack itself: an update if an output changes, which the engine reports as `same`."""
    step = _step(metadata, _OPS.get(metadata["op"], SAME))
    if metadata["op"] != "same":
        return step
    old, new = ((metadata.get(side) or {}).get("outputs", {}) for side in ("old", "new"))
    changed = tuple(sorted(name for name in {*old, *new} if old.get(name) != new.get(name)))
    return replace(step, op=UPDATE if changed else SAME, properties=changed, old=old, new=new)


def _merged(one: PreviewStep, other: PreviewStep) -> PreviewStep:
    """The parts of a replacement as one step."""
    return replace(
        one,
        name=one.name or other.name,
        properties=tuple(sorted({*one.properties, *other.properties})),
        replacing=tuple(sorted({*one.replacing, *other.replacing})),
        old=one.old or other.old,
        new=one.new or other.new,
        protected=one.protected or other.protected,
        unprotects=one.unprotects or other.unprotects,
        retains=one.retains or other.retains,
    )
