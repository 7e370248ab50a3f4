"""Converts an environment's settings to the scope of its policies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollback.config.naming import APPROVER

from .policies import Scope

if TYPE_CHECKING:
    from rollback.config.settings import Settings


def scope_of(settings: Settings) -> Scope:
    """The scope of an environment's policies."""
    names, terraform, checks = settings.names, settings.terraform, settings.terraform_checks
    return Scope(
        names=names,
        account=settings.account,
        region=settings.region,
        alias=settings.alias,
        functions=tuple(settings.catalogue()),
        tables=settings.restorable,
        state_key=settings.state_key,
        table_keys=settings.table_keys,
        alike=settings.alike,
        by=settings.function_access.by,
        tag=tuple(settings.function_access.tag.items()),
        cloudformation_stacks=settings.cloudformation_stacks,
        permission_sets={
            role: name
            for role, name in settings.permission_sets.of_roles.items()
            if role != APPROVER or settings.approvals
        },
        drills=settings.drills,
        approvals=settings.approvals,
        terraform=terraform is not None,
        declared_tables=tuple(map(names.table, checks.tables)) if terraform else (),
        declared_apis=tuple(map(names.api, checks.apis)) if terraform else (),
        terraform_bucket=terraform.bucket if terraform else "",
        alarms=settings.automatic.takes,
        guard=settings.guard is not None,
        event_bus=settings.event_bus,
    )
