"""What the program declares of roles in each environment, and the requests that somebody under a role makes."""

from __future__ import annotations

import itertools
import json
import runpy
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import yaml

from localaws.paths import ROOT
from rollback.config.settings import load
from tests.permissions.simulator.judging import Request, Verdict
from tests.unit.components.pulumi_mocks import run

ENVIRONMENTS = ("dev", "sit", "prod")
# Small, because every statement is looked at for every request; names that begin alike.
CATALOGUE = {
    "role_service": ["role-service-get", "role-service-list"],
    "role_service_admin": ["role-service-get-all"],
}
# Who is configured to take which role by hand.
PEOPLE = {
    "deployer": "dan",
    "rollback": "alice",
    "restore": "alice",
    "drill": "alice",
    "approver": "bob",
    "break-glass": "olga",
}
_SETTINGS = {
    "deployer": "deployers",
    "rollback": "onCall",
    "approver": "approvers",
    "break-glass": "breakGlass",
}
KEY_POLICY = "policy of a key"
_ROLE = "aws:iam/role:Role"
_POLICY = "aws:iam/policy:Policy"
_INLINE = "aws:iam/rolePolicy:RolePolicy"
_ATTACHED = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"


@dataclass(frozen=True, kw_only=True)
class Declared:
    """An environment's roles as `pulumi up` would make them.

    `policies` are all documents by a name; `held` says which of them a role holds, `ceilings` its boundary,
    `trusts` its trust; `roles` are the ARNs. Roles are words of `naming`.
    """

    environment: str
    account: str
    region: str
    functions: tuple[str, ...]
    repository: str
    roles: Mapping[str, str]
    held: Mapping[str, tuple[str, ...]]
    ceilings: Mapping[str, str]
    trusts: Mapping[str, str]
    policies: Mapping[str, Any] = field(repr=False)

    def user(self, name: str) -> str:
        return f"arn:aws:iam::{self.account}:user/{name}"

    def request(
        self,
        role: str,
        action: str,
        resource: str,
        *,
        trust: str | None = None,
        **keys: str | tuple[str, ...],
    ) -> Request:
        """What a session of `role` asks for. `trust` names the policy of a role that is asked for."""
        return Request(
            principal=self.session(role),
            action=action,
            resource=resource,
            account=self.account,
            context={"aws:PrincipalArn": self.roles[role], **keys},
            identity=tuple(f"{self.environment}: {name}" for name in self.held[role]),
            boundary=f"{self.environment}: {self.ceilings[role]}",
            trust=trust,
        )

    def session(self, role: str) -> str:
        name = self.roles[role].rpartition("/")[2]
        return f"arn:aws:sts::{self.account}:assumed-role/{name}/{PEOPLE.get(role, 'somebody')}"

    def granted(self, role: str) -> set[tuple[str, str]]:
        """(Sid, action) of everything that the role's own policies allow."""
        return {
            (statement["Sid"], action)
            for name in self.held[role]
            for statement in self.policies[name]["Statement"]
            for action in listed(statement["Action"])
        }

    def allowing(self, role: str, action: str, verdict: Verdict) -> set[str]:
        """The Sids of the statements of `role` by which an action was allowed; any that could, if that is not told."""
        if not verdict.allowed:
            return set()
        return set(verdict.allowing) or {sid for sid, granted in self.granted(role) if granted == action}


@cache
def declared(environment: str) -> Declared:
    """Runs the program against mocks of the engine, with somebody configured for each role."""
    settings = load(ROOT, environment)
    account = settings.account
    people = {setting: [f"arn:aws:iam::{account}:user/{PEOPLE[role]}"] for role, setting in _SETTINGS.items()}
    ran = run(
        _program,
        stack=settings.names.foundation_stack,
        config=_configuration(environment, people),
        account=account,
    )
    roles = {role: ran.of(_ROLE)[role].inputs for role in ran.of(_ROLE)}
    parts = {made["name"]: role for role, made in roles.items()}
    managed = {f"arn:aws:iam::{account}:policy/{one.inputs['name']}": one for one in ran.of(_POLICY).values()}
    policies = {arn: one.policy() for arn, one in managed.items()}
    held: dict[str, list[str]] = {role: [] for role in roles}
    for one in ran.of(_INLINE).values():
        label = f"{one.inputs['role']}/{one.inputs['name']}"
        policies[label] = one.policy()
        held[parts[one.inputs["role"]]].append(label)
    for one in ran.of(_ATTACHED).values():
        held[parts[one.inputs["role"]]].append(one.inputs["policyArn"])
    for role in roles:
        policies[f"trust of {role}"] = ran.of(_ROLE)[role].policy("assumeRolePolicy")
    # What `aws kms create-key` gives a key: identities' policies decide ("Default key policy", AWS KMS guide).
    owner = {"AWS": f"arn:aws:iam::{account}:root"}
    policies[KEY_POLICY] = {
        "Version": "2012-10-17",
        "Statement": [
            {"Sid": "Enable", "Effect": "Allow", "Principal": owner, "Action": "kms:*", "Resource": "*"}
        ],
    }
    return Declared(
        environment=environment,
        account=account,
        region=settings.region,
        functions=tuple(map(settings.names.function, itertools.chain(*CATALOGUE.values()))),
        repository=settings.repository,
        roles={role: f"arn:aws:iam::{account}:role/{made['name']}" for role, made in roles.items()},
        held={role: tuple(names) for role, names in held.items()},
        ceilings={role: made["permissionsBoundary"] for role, made in roles.items()},
        trusts={role: f"trust of {role}" for role in roles},
        policies=policies,
    )


def _configuration(stack: str, people: Mapping[str, list[str]]) -> dict[str, str]:
    """As the engine hands it to a program: structured values as JSON text."""
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text(encoding="utf-8"))
    values = {f"rollback:{key}": one.get("default") for key, one in project["config"].items()}
    values |= yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8"))["config"]
    values |= {"rollback:people": people, "rollback:services": CATALOGUE}
    (account,) = values["aws:allowedAccountIds"]
    keys = f"arn:aws:kms:{values['aws:region']}:{account}:key/{stack}"
    values |= {"rollback:stateKey": f"{keys}-state", "rollback:tableKeys": [f"{keys}-table"]}
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}


def _program() -> None:
    runpy.run_path(str(ROOT / "__main__.py"))


def listed(value: str | list[str]) -> list[str]:
    """One of something, or several, as policies have them."""
    return [value] if isinstance(value, str) else value
