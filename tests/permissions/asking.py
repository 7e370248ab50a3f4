"""All that these tests ask the simulator, in one go: a question is a tuple of words, a verdict its answer.

Starting the simulator and reading the policies costs more than an answer does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from tests import asked
from tests.asked import Call
from tests.permissions.deeds import Deed, each
from tests.permissions.environments import ENVIRONMENTS, KEY_POLICY, Declared, declared
from tests.permissions.simulator.judging import Action, Request, Verdict, actions, judge
from tests.permissions.taking import attempts

Question = tuple[str, ...]
# What an administrator gives a role by mistake.
_EVERYTHING = {
    "Version": "2012-10-17",
    "Statement": [{"Sid": "Everything", "Effect": "Allow", "Action": "*", "Resource": "*"}],
}
# The environment in which roles are given everything, and where a change of an identity is tried on
# each kind of thing that IAM has.
GIVEN = "prod"
# The deeds by which an approval could be written.
APPROVALS = ("approve", "approve under a record's key")
# What stands for the words in angle brackets of a shape.
_EXAMPLES = {
    "ulid": "01JDHXQ0000000000000000000",
    "uuid": "086684df-58c9-4320-ad31-2884a5afaa24",
    "time": "2026-11-25T04:24:30.449Z",
    "copy": "20261125T101500",
    "backup": "01700000000000-abcdef01",
    "api": "a1b2c3d4e5",
    "number": "1795581115400096085",
    "version": "3",
    "person": "alice",
}
_IAM_WRITES = ("Write", "Tagging", "Permissions management")


@cache
def verdicts() -> Mapping[Question, Verdict]:
    """The answers to all questions."""
    questions: dict[Question, Request] = {}
    policies: dict[str, Any] = {"everything": _EVERYTHING}
    for environment in ENVIRONMENTS:
        of = declared(environment)
        policies |= {f"{environment}: {name}": policy for name, policy in of.policies.items()}
        questions.update(_deeds(of))
        questions.update(attempts(of))
        questions.update(_asked(of))
    questions.update(_given_everything(declared(GIVEN)))
    return dict(zip(questions, judge(questions.values(), policies), strict=True))


@cache
def known() -> Mapping[str, Action]:
    """Every action of AWS's in the services that roles have to do with."""
    services = {action.partition(":")[0] for _, action in each()}
    return actions(sorted(services))


def identity_changes() -> list[str]:
    """Every action that changes something in IAM."""
    return [
        name for name, of in known().items() if name.startswith("iam:") and of.level.endswith(_IAM_WRITES)
    ]


def identities(of: Declared) -> list[str]:
    """One ARN of each kind of thing in IAM, and all things."""
    named = (
        "policy/{stem}-boundary", "user/mallory", "group/mallory", "instance-profile/mallory", "mfa/mallory",
        "sms-mfa/mallory", "server-certificate/mallory", "saml-provider/mallory",
        "oidc-provider/token.actions.githubusercontent.com", "access-report/mallory", "delegation-request/mallory",
    )  # fmt: skip
    stem = f"bbws-access-{of.environment}"
    things = (f"arn:aws:iam::{of.account}:{name.format(stem=stem)}" for name in named)
    return [*of.roles.values(), *things, "*"]


def deed_by(of: Declared, role: str, deed: Deed, action: str, on: str) -> Request:
    """A role's request for a deed in the environment `on`, as if that were in the role's own account."""
    parts = {
        "env": on,
        "account": of.account,
        "region": of.region,
        "stem": f"bbws-access-{on}",
        "fn": of.functions[0].replace(f"-{of.environment}-", f"-{on}-"),
    }
    keys = {
        key: value.format(**parts) if isinstance(value, str) else tuple(one.format(**parts) for one in value)
        for key, value in deed.keys
    }
    return of.request(role, action, deed.on.format(**parts), trust=_policy_of_a_key(of, action), **keys)


def _policy_of_a_key(of: Declared, action: str) -> str | None:
    return f"{of.environment}: {KEY_POLICY}" if action.startswith("kms:") else None


def _deeds(of: Declared) -> Iterator[tuple[Question, Request]]:
    for deed, action in each():
        for role in of.roles:
            for on in ENVIRONMENTS:
                # Abroad only what may be done at home: the rest is nobody's anywhere.
                if on == of.environment or (role in deed.who(of.roles) and not deed.shared):
                    yield (of.environment, role, deed.what, action, on), deed_by(of, role, deed, action, on)


def _asked(of: Declared) -> Iterator[tuple[Question, Request]]:
    for call in asked.kept():
        if call.role in of.roles and is_judged(call):
            request = of.request(
                call.role,
                call.action,
                filled(of, call.resource),
                trust=_policy_of_a_key(of, call.action),
                **dict(_keys(of, call.keys)),
            )
            yield ("asked", of.environment, *call.question), request


def calls(of: Declared) -> list[Call]:
    """What end-to-end tests ask, where it is of roles that the environment has."""
    missing = {role for environment in ENVIRONMENTS for role in declared(environment).roles} - set(of.roles)
    return [
        call
        for call in sorted(asked.kept())
        if is_judged(call)
        if call.role not in missing and not any(f"-{role}-" in call.resource for role in missing)
    ]


def is_judged(call: Call) -> bool:
    """Whether the simulator knows what a call is about: of API Gateway it has the resource types of REST APIs alone."""
    return "::/apis" not in call.resource


def filled(of: Declared, shape: str) -> str:
    """An ARN or a key of the kind that `shape` is."""
    parts = {
        "env": of.environment,
        "account": of.account,
        "region": of.region,
        "function": of.functions[0].partition("-lambda-")[2],
        **_EXAMPLES,
    }
    return re.sub(r"<(\w+)>", lambda found: parts[found[1]], shape)


def _keys(of: Declared, keys: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    pairs = [filled(of, key).split("=", 1) for key in keys]
    for name in dict.fromkeys(name for name, _ in pairs):
        yield name, tuple(value for key, value in pairs if key == name)


def _given_everything(of: Declared) -> Iterator[tuple[Question, Request]]:
    for deed, action in each():
        for role in of.roles:
            if deed.never or deed.what in APPROVALS:
                request = deed_by(of, role, deed, action, GIVEN)
                yield ("given everything", role, deed.what, action), _given(request)
    for action in identity_changes():
        for thing in identities(of):
            yield (
                ("given everything", "deployer", action, thing),
                _given(of.request("deployer", action, thing)),
            )


def _given(request: Request) -> Request:
    return replace(request, identity=("everything",))
