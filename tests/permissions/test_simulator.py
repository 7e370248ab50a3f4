"""The simulator decides what AWS's documentation says it should, and refuses what AWS could not receive."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from localaws.errors import LocalError
from localaws.paths import cache as cache_folder
from localaws.toolchain import iam_simulator
from tests.permissions.simulator.judging import Request, Verdict, judge

ACCOUNT = "111122223333"
TABLE = f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/ledger"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/worker"
KEYS = "dynamodb:LeadingKeys"


def allow(action: str | list[str], resource: str = "*", **more: Any) -> dict[str, Any]:
    return {"Sid": "Allow", "Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: str, **more: Any) -> dict[str, Any]:
    return {"Sid": "Deny", "Effect": "Deny", "Action": action, **({"Resource": "*"} | more)}


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


POLICIES = {
    "everything": policy(allow("*")),
    "reads": policy(allow("dynamodb:GetItem")),
    "own rows": policy(
        allow("dynamodb:*", TABLE, Condition={"ForAllValues:StringLike": {KEYS: ["OWN#*", "ALSO#?"]}})
    ),
    "own rows, named": policy(
        allow(
            "dynamodb:*",
            TABLE,
            Condition={"ForAllValues:StringLike": {KEYS: "OWN#*"}, "Null": {KEYS: "false"}},
        )
    ),
    "no approvals": policy(
        allow("*"), deny("dynamodb:PutItem", Condition={"ForAnyValue:StringLike": {KEYS: "APPROVAL#*"}})
    ),
    "but the worker": policy(allow("*"), deny("*", Condition={"ArnNotEquals": {"aws:PrincipalArn": ROLE}})),
    "only versions": policy(
        allow("*"),
        {
            "Sid": "Deny",
            "Effect": "Deny",
            "Action": "lambda:DeleteFunction",
            "NotResource": f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:*:*",
        },
    ),
    "tagged": policy(allow("dynamodb:GetItem", Condition={"StringEquals": {"aws:ResourceTag/team": "blue"}})),
    "as oneself": policy(
        {
            "Sid": "Trust",
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/alice"},
            "Action": "sts:AssumeRole",
            "Condition": {
                "Bool": {"aws:MultiFactorAuthPresent": "true"},
                "StringEquals": {"sts:SourceIdentity": "${aws:username}"},
            },
        }
    ),
    "wrong": {"Version": "2012-10-17", "Statement": [{"Effect": "Perhaps", "Action": "*", "Resource": "*"}]},
}


def item(identity: str, *keys: str, action: str = "dynamodb:PutItem", **more: Any) -> Request:
    context = {"aws:PrincipalArn": ROLE} | ({KEYS: keys} if keys else {}) | more.pop("context", {})
    return Request(
        principal=f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/alice",
        action=action,
        resource=more.pop("resource", TABLE),
        account=ACCOUNT,
        context=context,
        identity=(identity,),
        **more,
    )


def taking(user: str = "alice", source: str = "alice", mfa: str | None = "true") -> Request:
    context = {"aws:username": user, "sts:SourceIdentity": source}
    return Request(
        principal=f"arn:aws:iam::{ACCOUNT}:user/{user}",
        action="sts:AssumeRole",
        resource=ROLE,
        account=ACCOUNT,
        context=context | ({"aws:MultiFactorAuthPresent": mfa} if mfa else {}),
        trust="as oneself",
    )


FUNCTION = f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:get"
# What is asked, and whether it is allowed.
CASES: dict[str, tuple[Request, bool]] = {
    "what nothing allows": (item("reads", "OWN#1"), False),
    "a key that is allowed": (item("own rows", "OWN#1"), True),
    "one character for a question mark": (item("own rows", "ALSO#1"), True),
    "two characters for a question mark": (item("own rows", "ALSO#12"), False),
    "one key of two that is not allowed": (item("own rows", "OWN#1", "OTHER#1"), False),
    "no key, for all values": (item("own rows", action="dynamodb:Scan"), True),
    "no key, for all values and not null": (item("own rows, named", action="dynamodb:Scan"), False),
    "a key, for all values and not null": (item("own rows, named", "OWN#1"), True),
    "a key of another case": (item("own rows, named", "own#1"), False),
    "one key of two that is denied, for any value": (item("no approvals", "OWN#1", "APPROVAL#1"), False),
    "keys that are not denied": (item("no approvals", "OWN#1"), True),
    "the role that is excepted": (item("but the worker", "OWN#1"), True),
    "a role that is not": (
        item("but the worker", "OWN#1", context={"aws:PrincipalArn": f"{ROLE}-2"}),
        False,
    ),
    "what the boundary allows": (
        item("everything", "OWN#1", action="dynamodb:GetItem", boundary="reads"),
        True,
    ),
    "what the boundary does not allow": (item("everything", "OWN#1", boundary="reads"), False),
    "what the boundary alone allows": (
        item("own rows, named", "X#1", action="dynamodb:GetItem", boundary="everything"),
        False,
    ),
    "a version, where only functions are kept": (
        item("only versions", action="lambda:DeleteFunction", resource=f"{FUNCTION}:3"),
        True,
    ),
    "a function, where functions are kept": (
        item("only versions", action="lambda:DeleteFunction", resource=FUNCTION),
        False,
    ),
    "a table with the tag": (
        item("tagged", "OWN#1", action="dynamodb:GetItem", context={"aws:ResourceTag/team": "blue"}),
        True,
    ),
    "a table with another tag": (
        item("tagged", "OWN#1", action="dynamodb:GetItem", context={"aws:ResourceTag/team": "red"}),
        False,
    ),
    "taking a role as oneself": (taking(), True),
    "taking a role as another": (taking(source="bob"), False),
    "taking a role without MFA": (taking(mfa="false"), False),
    "taking a role with keys of one's own": (taking(mfa=None), False),
    "taking somebody else's role": (taking(user="bob", source="bob"), False),
}
# What AWS could not receive, and what is said of it.
IMPOSSIBLE: dict[str, tuple[Request, str]] = {
    "an action that is none": (item("everything", action="dynamodb:PutThing"), "invalid.action"),
    "a service that is none": (item("everything", action="dynamo:PutItem"), "invalid.service"),
    "a resource of another kind": (item("everything", resource="arn:aws:s3:::bucket"), "no.resource.types"),
    "a resource for an action without": (
        item("everything", action="lambda:ListFunctions"),
        "must.use.wildcard",
    ),
    "a key that the action never carries": (
        item("everything", context={"s3:prefix": "x"}),
        "never carries s3:prefix",
    ),
    "a policy that is none": (item("wrong", "OWN#1"), "policy.errors"),
}


@cache
def verdicts() -> dict[str, Verdict]:
    asked = {name: request for name, (request, _) in (CASES | IMPOSSIBLE).items()}
    return dict(zip(asked, judge(asked.values(), POLICIES), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_it_decides_as_aws_does(name: str) -> None:
    verdict = verdicts()[name]

    assert verdict.problem is None
    assert verdict.allowed is CASES[name][1]


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_what_aws_could_not_receive_is_neither_allowed_nor_passed_over(name: str) -> None:
    verdict = verdicts()[name]

    assert IMPOSSIBLE[name][1] in str(verdict.problem)


def test_it_names_the_statement_that_has_decided() -> None:
    assert verdicts()["a key that is allowed"].allowing == ("Allow",)
    assert verdicts()["one key of two that is denied, for any value"].denying == ("Deny",)


def test_every_package_is_locked_by_its_hash_and_no_address_is_written_down() -> None:
    folder = iam_simulator.LOCKS
    lock = json.loads((folder / "package-lock.json").read_text(encoding="utf-8"))
    packages = {name: of for name, of in lock["packages"].items() if name}

    assert len(packages) == 4
    assert all(of["integrity"].startswith("sha512-") for of in packages.values())
    for name in ("package.json", "package-lock.json", "../npm.txt", ".npmrc"):
        assert "://" not in (folder / name).read_text(encoding="utf-8")


def test_npms_errors_are_shown_and_nothing_half_fetched_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'npm error code EINTEGRITY' >&2\nexit 1\n", encoding="utf-8")
    npm.chmod(0o755)

    with pytest.raises(LocalError, match="EINTEGRITY") as raised:
        iam_simulator.ensure_simulator(npm=str(npm))

    assert "the registry in npm's settings" in str(raised.value)
    assert [path.name for path in cache_folder().iterdir()] == ["iam-simulator.lock"]


def test_without_npm_it_is_taken_from_its_package_and_what_the_installer_states_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    requirement = tmp_path / "npm.txt"
    requirement.write_text("no such package\n", encoding="utf-8")

    with pytest.raises(LocalError, match="no such package"):
        iam_simulator.ensure_simulator(npm=None, requirement=requirement)
