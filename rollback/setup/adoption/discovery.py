"""Finds which declared resources an account already has, and previews how the stack would import
them.

Only the requested files are written. In the account only the existence of each resource is checked;
the engine and its provider report how it differs.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from rollback.aws.account import Account, code, explained
from rollback.config.naming import arn
from rollback.config.settings import PROJECT_FILE, Settings
from rollback.engines.pulumi import update_history
from rollback.engines.pulumi.backend import backend_url
from rollback.engines.pulumi.engine import CommandWatch, Engine
from rollback.engines.terraform import NAMES
from rollback.lifecycle.context import Session
from rollback.lifecycle.ports import Ui
from rollback.model.deployed import UNKNOWN
from rollback.setup.adoption import foundation as foundations
from rollback.setup.adoption import import_ids
from rollback.setup.adoption.import_ids import Declared, ImportPlan
from rollback.setup.adoption.import_preview import rehearsal
from rollback.targets.terraform import backend
from rollback.targets.terraform.state_bucket import StateBucket
from rollback.util import safe_yaml
from rollback.util.errors import Code, RollbackError, UsageError

IMPORT_FILE, RELEASE_FILE = "pulumi-import.json", "terraform-state-rm.sh"
# Error codes for something that does not exist; a HEAD request only returns a number.
_ABSENT = {
    "404",
    "NoSuchBucket",
    "NoSuchEntity",
    "NoSuchPublicAccessBlockConfiguration",
    "ObjectLockConfigurationNotFoundError",
    "ParameterNotFound",
    "ResourceNotFoundException",
    "ServerSideEncryptionConfigurationNotFoundError",
}


def discover(
    session: Session, ui: Ui, stopping: Callable[[], bool], *, foundation: bool = False
) -> ImportPlan:
    """What the environment's stack, or that of its `foundation`, can import.

    Raises `UsageError` where there is no such stack, `Refused` where it still has resources of the foundation, `RollbackError`
    where its program does not run, or where something that exists cannot be imported.
    """
    settings, account = session.settings, session.account
    engine = Engine.found(backend_url(settings, foundation=foundation))
    engine.version()
    project = update_history.project_name(safe_yaml.read(session.root / PROJECT_FILE, session.root))
    watch = CommandWatch(seconds=settings.rto.infrastructure * 60, stopping=stopping)
    named = update_history.stack_name(engine, project, _stack(session, foundation=foundation))
    ui.start("Reading what the program declares (pulumi preview)", 0)
    try:
        with named as name:
            state = foundations.exported(name)
            if not foundation:
                foundations.refuse_unsplit(state, settings)
            with rehearsal(name, session.root, state, watch) as tried:
                forecast = then = tried.preview()
                everything = import_ids.declared(forecast, _iam(account))
                existing = _existing(account, everything)
                imports = import_ids.import_file(forecast, existing)
                if existing:
                    tried.imported(imports)
                    then = tried.preview()
    finally:
        ui.finish()
    return ImportPlan(
        found=import_ids.found(everything, {one.urn for one in existing}, then.steps),
        imports=imports,
        held=_held(session, everything, ui),
    )


def checked(folder: Path) -> None:
    """Raises `UsageError` where `folder` cannot be written to, before anything is read."""
    try:
        wrong = "" if not folder.exists() or folder.is_dir() else "it is a file"
    except (OSError, ValueError) as error:
        wrong = str(error.strerror if isinstance(error, OSError) else error)
    if wrong:
        raise _unwritable(folder, wrong)


def _stack(session: Session, *, foundation: bool) -> str:
    return session.settings.names.foundation_stack if foundation else session.environment


def _folder(settings: Settings) -> str:
    """The folder of the Terraform configuration, even if it does not exist."""
    return settings.terraform.folder if settings.terraform else "."


def write(adoption: ImportPlan, folder: Path, settings: Settings) -> list[Path]:
    """Writes the import file and, if there are any, the commands for Terraform. Raises `UsageError` where it cannot."""
    files = {IMPORT_FILE: json.dumps(adoption.imports, indent=2) + "\n"} if adoption.adopted else {}
    if adoption.held:
        lines = import_ids.releases(adoption, tool=tool(), folder=_folder(settings))
        head = [
            "#!/bin/sh",
            f"# Removes from Terraform's state what the stack {settings.environment} has. Nothing is destroyed.",
            "set -eu",
        ]
        files[RELEASE_FILE] = "\n".join([*head, *lines, ""])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise _unwritable(folder, str(error.strerror if isinstance(error, OSError) else error)) from None
    return [folder / name for name in files]


def _unwritable(folder: Path, why: str) -> UsageError:
    return UsageError(
        f"--write {str(folder)[:80]!a} cannot be written to: {why}.",
        code=Code.OUTPUT_UNWRITABLE,
        next="--write DIR",
    )


def commands(
    session: Session, adoption: ImportPlan, folder: Path | None, *, foundation: bool = False
) -> list[str]:
    """What to type next, in order."""
    environment, which = session.environment, " --foundation" if foundation else ""
    after = (
        [f"rollback adopt --env {environment}"]
        if foundation
        else [
            f"rollback release adopt --env {environment} --version V",
            f"rollback status --env {environment}",
        ]
    )
    if not (adoption.found or adoption.held):
        return after[-1:]
    if folder is None and (adoption.adopted or adoption.held):
        return [f"rollback adopt --env {environment}{which} --write ../adopt-{environment}"]
    file, before = (folder or Path()) / IMPORT_FILE, []
    if Path.cwd() != session.root:
        file = file.absolute()
        before = [f"cd {shlex.quote(str(session.root))}"]
    backend = backend_url(session.settings, foundation=foundation)
    if os.environ.get("PULUMI_BACKEND_URL") != backend:
        before.append(f"export PULUMI_BACKEND_URL={shlex.quote(backend)}")
    stack = _stack(session, foundation=foundation)
    typed = import_ids.commands(adoption, stack, str(file), tool=tool(), folder=_folder(session.settings))
    return [*before, *typed, *after]


def tool() -> str:
    """The Terraform program's name."""
    return next((name for name in NAMES if shutil.which(name)), NAMES[0])


def _iam(account: Account) -> import_ids.Arn:
    settings = account.settings
    return partial(arn, "iam", settings.region, settings.account)


def _held(session: Session, everything: Sequence[Declared], ui: Ui) -> tuple[str, ...]:
    if session.settings.terraform is None:
        return ()
    try:
        where = backend.deployed(session.root, UNKNOWN, session.settings)
    except RollbackError as error:
        ui.notice(f"Terraform's state could not be checked: {error.what}")
        return ()
    state = StateBucket(session.account, where).state()
    if import_ids.sealed(state):
        ui.notice(
            f"Terraform's state {where} is encrypted and could not be checked. Its own command (state list) shows "
            "it."
        )
    return import_ids.held(state, everything, _iam(session.account))


# -- what is there -----------------------------------------------------------------------------------------------

_Clients = Mapping[str, Any]


def _existing(account: Account, everything: Sequence[Declared]) -> list[Declared]:
    """Those that the account has and the stack does not."""
    clients = {name: account.client(name) for name in ("iam", "s3")} | {
        "dynamodb": account.dynamodb,
        "lambda": account.lambda_,
        "ssm": account.ssm,
    }
    asked = [one for one in everything if not one.in_stack and one.id is not None]
    there = account.each(partial(_exists, clients), asked)
    return [one for one, is_there in zip(asked, there, strict=True) if is_there]


def _exists(clients: _Clients, one: Declared) -> bool:
    with explained(f"looking for the {one.kind_name} {one.name}"):
        try:
            return READERS[one.type](clients, str(one.id))
        except ClientError as error:
            if code(error) in _ABSENT:
                return False
            raise


def _call(service: str, method: str, parameter: str) -> Callable[[_Clients, str], bool]:
    """A check that is one call, which fails if the resource does not exist."""

    def look(clients: _Clients, identifier: str) -> bool:
        getattr(clients[service], method)(**{parameter: identifier})
        return True

    return look


def _inline(clients: _Clients, identifier: str) -> bool:
    role, _, name = identifier.partition(":")
    clients["iam"].get_role_policy(RoleName=role, PolicyName=name)
    return True


def _attached(clients: _Clients, identifier: str) -> bool:
    role, _, policy = identifier.partition("/")
    pages = clients["iam"].get_paginator("list_attached_role_policies").paginate(RoleName=role)
    return any(item["PolicyArn"] == policy for page in pages for item in page["AttachedPolicies"])


def _alias(clients: _Clients, identifier: str) -> bool:
    function, _, name = identifier.partition("/")
    clients["lambda"].get_alias(FunctionName=function, Name=name)
    return True


def _versioned(clients: _Clients, identifier: str) -> bool:
    """A bucket that was never versioned returns no status."""
    return "Status" in clients["s3"].get_bucket_versioning(Bucket=identifier)


READERS: Mapping[str, Callable[[_Clients, str], bool]] = {
    "aws:dynamodb/table:Table": _call("dynamodb", "describe_table", "TableName"),
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": _call(
        "iam", "get_open_id_connect_provider", "OpenIDConnectProviderArn"
    ),
    "aws:iam/policy:Policy": _call("iam", "get_policy", "PolicyArn"),
    "aws:iam/role:Role": _call("iam", "get_role", "RoleName"),
    "aws:iam/rolePolicy:RolePolicy": _inline,
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": _attached,
    "aws:lambda/alias:Alias": _alias,
    "aws:ssm/parameter:Parameter": _call("ssm", "get_parameter", "Name"),
    "aws:s3/bucket:Bucket": _call("s3", "head_bucket", "Bucket"),
    "aws:s3/bucketVersioning:BucketVersioning": _versioned,
    "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration": _call(
        "s3", "get_object_lock_configuration", "Bucket"
    ),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": _call(
        "s3", "get_bucket_encryption", "Bucket"
    ),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": _call(
        "s3", "get_public_access_block", "Bucket"
    ),
}
