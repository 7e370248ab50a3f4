"""Import ids: under which id each existing resource is imported into the stack, and how the import file is
made. Pure.

The engine's preview lists the declared resources; here is only what no
preview contains: the id by which each type is imported ("Import" in the provider's pages,
https://www.pulumi.com/registry/packages/aws/api-docs/), and which of Terraform's types is the same thing.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from rollback.engines.pulumi.preview_events import (
    CREATE,
    DELETE,
    REPLACE,
    SAME,
    STACK_TYPE,
    Facts,
    PreviewStep,
    unknown,
)
from rollback.setup.adoption.import_preview import Forecast
from rollback.util.errors import Code, Refused, UsageError

Arn = Callable[[str], str]
_TABLE = "aws:dynamodb/table:Table"
_POLICY = "aws:iam/policy:Policy"
_BUCKET = "aws:s3/bucket:Bucket"
# The inputs that ids are made of.
_NOTICED = ("bucket", "functionName", "name", "policyArn", "role", "url")
# All of a resource's tags, those of the provider included: they follow `tags`.
_ECHOES = {"tagsAll"}
# The audiences of an identity provider.
_AUDIENCES = "clientIdLists"
# The stack itself and its providers.
_ENGINES = "pulumi:"


class ImportState(StrEnum):
    """Whether a declared resource that the stack does not have exists in the account, and as declared."""

    exists = "exists"
    differs = "differs"
    replaced = "replaced"
    missing = "missing"
    unseen = "unseen"


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportKind:
    """A type of resource: its name for people, its Terraform type, and how its id is made of its inputs.

    `id` takes the inputs (property → value, as Pulumi spells them) and `arn`, which makes an ARN of an IAM
    resource (`policy/NAME`). Terraform's attributes, spelled as Pulumi does, make the same id.
    """

    name: str
    terraform: str
    id: Callable[[Facts, Arn], str]


def _named(inputs: Facts, arn: Arn) -> str:  # noqa: ARG001 - as all of them
    return str(inputs["name"])


def _of_bucket(inputs: Facts, arn: Arn) -> str:  # noqa: ARG001 - as all of them
    return str(inputs["bucket"])


def _provider(inputs: Facts, arn: Arn) -> str:
    return arn(f"oidc-provider/{str(inputs['url']).removeprefix('https://').rstrip('/')}")


def _alias(inputs: Facts, arn: Arn) -> str:  # noqa: ARG001 - as all of them
    function = str(inputs["functionName"])
    return f"{function.split(':')[6] if function.startswith('arn:') else function}/{inputs['name']}"


KINDS: Mapping[str, ImportKind] = {
    _TABLE: ImportKind(name="table", terraform="aws_dynamodb_table", id=_named),
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": ImportKind(
        name="identity provider", terraform="aws_iam_openid_connect_provider", id=_provider
    ),
    _POLICY: ImportKind(
        name="policy",
        terraform="aws_iam_policy",
        id=lambda inputs, arn: arn(f"policy{inputs.get('path') or '/'}{inputs['name']}"),
    ),
    "aws:iam/role:Role": ImportKind(name="role", terraform="aws_iam_role", id=_named),
    "aws:iam/rolePolicy:RolePolicy": ImportKind(
        name="inline policy",
        terraform="aws_iam_role_policy",
        id=lambda inputs, _: f"{inputs['role']}:{inputs['name']}",
    ),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": ImportKind(
        name="attached policy",
        terraform="aws_iam_role_policy_attachment",
        id=lambda inputs, _: f"{inputs['role']}/{inputs['policyArn']}",
    ),
    "aws:lambda/alias:Alias": ImportKind(name="alias", terraform="aws_lambda_alias", id=_alias),
    "aws:ssm/parameter:Parameter": ImportKind(name="parameter", terraform="aws_ssm_parameter", id=_named),
    _BUCKET: ImportKind(name="bucket", terraform="aws_s3_bucket", id=_of_bucket),
    "aws:s3/bucketVersioning:BucketVersioning": ImportKind(
        name="versioning", terraform="aws_s3_bucket_versioning", id=_of_bucket
    ),
    "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration": ImportKind(
        name="object lock", terraform="aws_s3_bucket_object_lock_configuration", id=_of_bucket
    ),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": ImportKind(
        name="encryption",
        terraform="aws_s3_bucket_server_side_encryption_configuration",
        id=_of_bucket,
    ),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": ImportKind(
        name="public access", terraform="aws_s3_bucket_public_access_block", id=_of_bucket
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Declared:
    """One resource of the program. `id` is its import id; None for a type that is not known here.

    `in_stack`: the stack already has it.
    """

    urn: str
    type: str
    id: str | None
    in_stack: bool

    @property
    def name(self) -> str:
        """The displayed name: its id without the common part of ARNs."""
        return re.sub(r"arn:aws[a-z-]*:iam::\d*:", "", self.id or self.urn.rpartition("::")[2])

    @property
    def kind_name(self) -> str:
        return KINDS[self.type].name if self.type in KINDS else self.type


@dataclass(frozen=True, kw_only=True, slots=True)
class Importable:
    """A declared resource that the stack does not have: its state in the account, and which of its
    properties make `pulumi up` change or replace it after the import.
    """

    declared: Declared
    state: ImportState
    properties: tuple[str, ...] = ()

    @property
    def then(self) -> str:
        """What will happen to it, in words."""
        listed = ", ".join(self.properties)
        return {
            ImportState.exists: "adopted",
            ImportState.differs: f"adopted; pulumi up then changes {listed}",
            ImportState.replaced: f"refused: pulumi up would replace it for {listed}",
            ImportState.missing: "pulumi up creates it",
            ImportState.unseen: "not checked: pulumi up creates it",
        }[self.state]


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportPlan:
    """`found`: the declared resources that the stack does not have; `imports`: the import file for those that
    exist (`{"nameTable": {name: urn}, "resources": [{"type", "name", "id", …}]}`); `held`: the
    Terraform addresses of declared resources.
    """

    found: tuple[Importable, ...]
    imports: Mapping[str, Any]
    held: tuple[str, ...]

    @property
    def adopted(self) -> list[Importable]:
        return [one for one in self.found if one.state in (ImportState.exists, ImportState.differs)]

    @property
    def replaced(self) -> list[Importable]:
        return [one for one in self.found if one.state is ImportState.replaced]

    @property
    def as_it_is(self) -> bool:
        """Whether `pulumi up` has nothing to change after the import."""
        return all(one.state is ImportState.exists for one in self.found)


def declared(forecast: Forecast, arn: Arn) -> tuple[Declared, ...]:
    """The program's resources; without components and providers, which do not exist in an account."""
    steps = {step.urn: step for step in forecast.steps if step.op != DELETE}
    made: dict[str, Declared] = {}

    def one(step: PreviewStep) -> Declared:
        if step.urn not in made:
            inputs = dict(step.new or {})
            for name, urns in forecast.depends.get(step.urn, {}).items():
                # Only an ARN of a policy is waited for; it can be told beforehand.
                if unknown(inputs.get(name)) and len(urns) == 1 and steps[urns[0]].type == _POLICY:
                    inputs[name] = one(steps[urns[0]]).id
            kind = KINDS.get(step.type)
            known = kind is not None and not any(unknown(inputs.get(name)) for name in _NOTICED)
            made[step.urn] = Declared(
                urn=step.urn,
                type=step.type,
                id=kind.id(inputs, arn) if kind and known else None,
                in_stack=step.op != CREATE,
            )
        return made[step.urn]

    return tuple(one(step) for step in steps.values() if step.custom and not step.type.startswith(_ENGINES))


def import_file(forecast: Forecast, wanted: Collection[Declared]) -> dict[str, Any]:
    """The engine's import file (`ImportPlan.imports`) with `wanted` in it, their ids filled in.

    All components are kept: they exist only in the stack, and their resources need them.
    """
    ids = {one.urn: one.id for one in wanted}
    kept = []
    for urn, entry in _entries(forecast):
        if entry.get("component"):
            kept.append(dict(entry))
        elif urn in ids:
            kept.append({**entry, "id": ids[urn]})
    parents = {entry.get("parent") for entry in kept}
    table = {name: urn for name, urn in (forecast.imports.get("nameTable") or {}).items() if name in parents}
    return {**({"nameTable": table} if table else {}), "resources": kept}


def found(
    everything: Sequence[Declared], existing: Collection[str], then: Sequence[PreviewStep]
) -> tuple[Importable, ...]:
    """The state of each resource that the stack does not have.

    `existing`: URNs of the resources that the account has; `then`: the preview after the import.
    """
    steps = {step.urn: step for step in then}
    made = []
    for one in everything:
        if one.in_stack:
            continue
        if one.urn not in existing:
            state = ImportState.missing if one.id is not None else ImportState.unseen
            made.append(Importable(declared=one, state=state))
            continue
        step = steps[one.urn]
        state = {SAME: ImportState.exists, REPLACE: ImportState.replaced}.get(step.op, ImportState.differs)
        properties = tuple(
            _named_property(name, step) for name in step.replacing or step.properties if name not in _ECHOES
        )
        made.append(Importable(declared=one, state=state, properties=properties))
    return tuple(sorted(made, key=lambda one: (one.declared.kind_name, one.declared.name)))


def _named_property(name: str, step: PreviewStep) -> str:
    """A property that changes; for an identity provider, which the whole account shares, also the audiences that would be removed."""
    if name != _AUDIENCES:
        return name
    before, after = ((side or {}).get(name) or () for side in (step.old, step.new))
    gone = sorted({*map(str, before)} - {*map(str, after)})
    return f"{name} (no longer {', '.join(gone)})" if gone else name


def held(state: Mapping[str, Any], everything: Sequence[Declared], arn: Arn) -> tuple[str, ...]:
    """The addresses under which a Terraform state (its JSON) manages what the program declares.

    Everything else is ignored. Raises `UsageError` where `state` is malformed.
    """
    ours = {(KINDS[one.type].terraform, one.id) for one in everything if one.type in KINDS}
    types = {kind.terraform: kind for kind in KINDS.values()}
    addresses: dict[str, None] = {}
    try:
        for resource in state.get("resources") or ():
            kind = types.get(resource["type"])
            if resource["mode"] != "managed" or kind is None:
                continue
            for instance in resource["instances"]:
                attributes = {_camel(name): value for name, value in instance["attributes"].items()}
                if (kind.terraform, kind.id(attributes, arn)) in ours:
                    addresses[_address(resource, instance.get("index_key"))] = None
    except (AttributeError, KeyError, TypeError):
        raise UsageError(
            "The file in Terraform's backend is not a Terraform state.", code=Code.STATE_INVALID
        ) from None
    return tuple(addresses)


def sealed(state: Mapping[str, Any]) -> bool:
    """Whether a state (its JSON) is encrypted by the tool itself, so that nobody else can read it ("State and
    Plan Encryption", https://opentofu.org/docs/language/state/encryption/).
    """
    return "encrypted_data" in state


def refuse(adoption: ImportPlan) -> None:
    """Raises `Refused` naming each resource that `pulumi up` would replace, and a remedy."""
    if not adoption.replaced:
        return
    lines = [
        f"{one.declared.kind_name} {one.declared.name}: {', '.join(one.properties)}. {_remedy(one.declared)}"
        for one in adoption.replaced
    ]
    raise Refused(
        "\n".join(["Existing resources cannot be adopted, because pulumi up would replace them:", *lines]),
        code=Code.WOULD_DESTROY,
    )


def commands(adoption: ImportPlan, stack: str, file: str, *, tool: str, folder: str) -> list[str]:
    """The commands, in order, for the checkout's folder: nothing changes the account before `pulumi up`.

    `stack` is the stack's name, `file` is the import file; `tool` is Terraform or OpenTofu, `folder` where its configuration is.
    """
    at = f"--stack {stack}"
    expecting = " --expect-no-changes" if adoption.as_it_is else " --diff"
    imported = [f"pulumi import {at} --file {shlex.quote(file)} --generate-code=false --yes"]
    return [
        *(imported if adoption.adopted else []),
        *releases(adoption, tool=tool, folder=folder),
        f"pulumi preview {at}{expecting}",
        f"pulumi up {at}",
    ]


def releases(adoption: ImportPlan, *, tool: str, folder: str) -> list[str]:
    """The commands that remove declared resources from Terraform's state; they destroy nothing."""
    return [f"{tool} -chdir={folder} state rm {shlex.quote(address)}" for address in adoption.held]


def _entries(forecast: Forecast) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The import file's resources, each with the URN that the engine makes of it."""
    prefix = next(step.urn for step in forecast.steps if step.type == STACK_TYPE).rpartition(
        "::pulumi:pulumi:"
    )[0]
    known = {name: urn.split("::")[2] for name, urn in (forecast.imports.get("nameTable") or {}).items()}
    by_name = {entry["name"]: entry for entry in forecast.imports.get("resources") or ()}

    def qualified(entry: Mapping[str, Any]) -> str:
        parent = entry.get("parent")
        if not parent:
            return str(entry["type"])
        return f"{known.get(parent) or qualified(by_name[parent])}${entry['type']}"

    for entry in by_name.values():
        yield f"{prefix}::{qualified(entry)}::{entry.get('logicalName') or entry['name']}", entry


def _address(resource: Mapping[str, Any], index: Any) -> str:
    module = f"{resource['module']}." if resource.get("module") else ""
    # As HCL quotes a string (https://developer.hashicorp.com/terraform/language/expressions/strings).
    quoted = json.dumps(index, ensure_ascii=False).replace("${", "$${").replace("%{", "%%{")
    return f"{module}{resource['type']}.{resource['name']}" + ("" if index is None else f"[{quoted}]")


def _camel(name: str) -> str:
    first, *rest = str(name).split("_")
    return first + "".join(part.capitalize() for part in rest)


def _remedy(one: Declared) -> str:
    if one.type == _TABLE:
        return (
            "This table cannot be the ledger: back it up (aws dynamodb create-backup), delete it when nothing "
            "uses it, and run adopt again; or use another prefix in Pulumi.yaml."
        )
    if one.type == _BUCKET:
        return (
            "Object lock can be enabled on an existing bucket: aws s3api put-object-lock-configuration --bucket "
            f"{one.id} --object-lock-configuration ObjectLockEnabled=Enabled, after enabling versioning."
        )
    return "Delete it when nothing uses it, and run adopt again: pulumi up creates it."
