"""What check, diff, create, read, update and delete mean, whatever the type. No gRPC."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from botocore.exceptions import ClientError

from localaws.provider import schema
from localaws.provider.cloud import EXISTS, MISSING, Cloud, code_of
from localaws.provider.resource import ReadResult, Resource
from localaws.provider.schema import CheckFailure, PropertyChange
from localaws.provider.values import UNKNOWN, Unknown, Values, has_unknown


class Unfinished(Exception):
    """The object exists, but a later step failed: it has to be remembered, with what it has."""

    def __init__(self, found: ReadResult, cause: Exception) -> None:
        super().__init__(str(cause))
        self.found = found


@dataclass(frozen=True, kw_only=True, slots=True)
class DiffResult:
    """What an update would do."""

    changes: tuple[PropertyChange, ...]
    delete_first: bool

    @property
    def replaces(self) -> list[str]:
        """The inputs that cannot change in place."""
        return sorted({change.key for change in self.changes if change.replaces})


def check(
    resource: Resource, news: Values, *, old: Values, name: str, seed: bytes
) -> tuple[Values, list[CheckFailure]]:
    """The inputs with defaults filled in, and what is wrong with them."""
    found = list(schema.failures(resource.pulumi_type, resource.fields, news))
    inputs = schema.filled(resource.fields, news, old=old, name=name, seed=seed)
    if not found and not has_unknown(inputs):
        found = list(resource.problems(inputs))
    return inputs, found


def diff(
    resource: Resource,
    state: Values,
    inputs: Values,
    *,
    ignore: Collection[str] = (),
    default_tags: Mapping[str, str] | None = None,
) -> DiffResult:
    """From the state as last read to the inputs as asked for.

    `ignore` holds property paths. The engine has already put the checkpoint's value at each of them;
    a whole input named there is besides never a difference, as in the bridged provider.
    """
    found = schema.changes(resource.fields, state, inputs, ignore)
    if "tagsAll" in resource.outputs and not {"tags", "tagsAll"} & set(ignore):
        wanted = all_tags(inputs, default_tags or {})
        if wanted != state.get("tagsAll", {}) and not any(change.key == "tags" for change in found):
            found.append(PropertyChange(path="tagsAll", key="tagsAll", kind="UPDATE", replaces=False))
    keys = {change.key for change in found}
    generated = set(inputs.get(schema.DEFAULTS, []))
    fixed = not (keys | generated) & set(resource.identity)
    return DiffResult(changes=tuple(found), delete_first=fixed and any(one.replaces for one in found))


def all_tags(inputs: Values, default_tags: Mapping[str, str]) -> object:
    """The tags that the object is to carry, as far as they are known."""
    tags = inputs.get("tags", {})
    return UNKNOWN if isinstance(tags, Unknown) else {**default_tags, **tags}


def preview(
    resource: Resource, inputs: Values, *, state: Values | None, default_tags: Mapping[str, str]
) -> Values:
    """The outputs as far as they can be known before a create (no `state`) or an update."""
    values = {key: value for key, value in inputs.items() if key != schema.DEFAULTS}
    if state is None:
        values |= dict.fromkeys(resource.outputs, UNKNOWN)
        computed = (key for key, spec in resource.fields.items() if spec.computed and not spec.secret)
        values |= dict.fromkeys((key for key in computed if key not in values), UNKNOWN)
    else:
        silent = {key for key, spec in resource.fields.items() if not spec.computed and key not in values}
        kept = {key: value for key, value in state.items() if key not in silent}
        values = kept | values | dict.fromkeys(resource.moving, UNKNOWN)
    if "tagsAll" in resource.outputs:
        values["tagsAll"] = all_tags(inputs, default_tags)
    return values


def create(resource: Resource, cloud: Cloud, inputs: Values) -> ReadResult:
    """Make the object and read it back.

    An object that is already there is AWS's error, with one exception: where an earlier attempt of
    the same request may have made it (its answer was lost and botocore tried again) and it is in
    every input what was asked for, it is ours.
    """
    try:
        id_ = resource.create(cloud, inputs)
    except ClientError as error:
        retried = error.response["ResponseMetadata"].get("RetryAttempts", 0) > 0
        if not retried or code_of(error) not in EXISTS:
            raise
        twin = read(resource, cloud, resource.existing_id(cloud, inputs), state={}, inputs=inputs)
        if twin is None or diff(resource, twin.state, inputs, default_tags=cloud.default_tags).changes:
            raise
        id_ = twin.id
    try:
        resource.finish(cloud, id_, inputs)
        found = read(resource, cloud, id_, state={}, inputs=inputs)
    except Exception as error:
        made = ReadResult(id=id_, state={key: inputs[key] for key in inputs if key != schema.DEFAULTS})
        raise Unfinished(made, error) from error
    if found is None:
        raise LookupError(f"{resource.pulumi_type} {id_} was created and is not there")
    return found


def read(resource: Resource, cloud: Cloud, id_: str, *, state: Values, inputs: Values) -> ReadResult | None:
    """The object as it is now, in the words of the inputs `inputs` where these mean the same.

    `state` is the last state, if there is one. None: the object is gone.
    """
    found = resource.read(cloud, id_, state or inputs)
    if found is None:
        return None
    now = {key: value for key, value in found.state.items() if value is not None}
    now = schema.spelled_as(resource.fields, {**state, **inputs}, now)
    for key, spec in resource.fields.items():
        if spec.unread:
            value = inputs.get(key, state.get(key))
            now |= {} if value is None else {key: value}
    if "tagsAll" in now:
        own_tags: Values = inputs.get("tags") or state.get("tags") or {}
        now["tags"] = {
            key: value
            for key, value in now["tagsAll"].items()
            if key in own_tags or cloud.default_tags.get(key) != value
        }
    return ReadResult(id=found.id, state=now)


def update(
    resource: Resource, cloud: Cloud, id_: str, *, state: Values, inputs: Values, ignore: Collection[str]
) -> ReadResult:
    """Change the object in place and read it back."""
    difference = diff(resource, state, inputs, ignore=ignore, default_tags=cloud.default_tags)
    changed = {change.key for change in difference.changes}
    resource.update(cloud, id_, state, inputs, changed)
    found = read(resource, cloud, id_, state=state, inputs=inputs)
    if found is None:
        raise LookupError(f"{resource.pulumi_type} {id_} is gone")
    return found


def delete(resource: Resource, cloud: Cloud, id_: str, state: Values) -> None:
    """Remove the object; one that is already gone is no error."""
    try:
        resource.delete(cloud, id_, state)
    except ClientError as error:
        if code_of(error) not in MISSING:
            raise
