"""Asks the simulator: many requests in one process, a few thousandths of a second each."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localaws.errors import LocalError
from localaws.toolchain.iam_simulator import node
from localaws.toolchain.tools import SIMULATOR
from tests.prepared import prepared

_PROGRAM = Path(__file__).with_name("judge.cjs")
_LAST_LINES = 15


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One request as IAM sees it.

    `principal` is an ARN (of a session, a user, a role or an identity provider); `account` the one that the resource is
    in; `context` the condition keys that the request carries, with one or several values. `identity` names
    the policies of the principal, `boundary` its permissions boundary, and `trust` the policy of the resource.
    """

    principal: str
    action: str
    resource: str
    account: str
    context: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    identity: tuple[str, ...] = ()
    boundary: str | None = None
    trust: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What IAM would decide.

    `allowing` and `denying` are the Sids of the statements that matched. `problem` says why AWS could not
    receive such a request: no such action, a resource of another type, or a condition key that this
    action never carries.
    """

    allowed: bool
    allowing: tuple[str, ...] = ()
    denying: tuple[str, ...] = ()
    problem: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Action:
    """An action of AWS's: its access level (`Read`, `Write`, …), and whether it takes no resource."""

    level: str
    everywhere: bool


def judge(requests: Iterable[Request], policies: Mapping[str, Any]) -> list[Verdict]:
    """The verdict on each request. `policies` maps the names that requests use to policy documents.

    Raises `LocalError` if the simulator cannot be had or fails.
    """
    asked = [
        {
            "principal": request.principal,
            "action": request.action,
            "resource": request.resource,
            "account": request.account,
            "context": {
                key: value if isinstance(value, str) else list(value)
                for key, value in request.context.items()
            },
            "identity": list(request.identity),
            "boundary": request.boundary,
            "trust": request.trust,
        }
        for request in requests
    ]
    return [_verdict(verdict) for verdict in _run(asked, policies, ())["verdicts"]]


def actions(services: Iterable[str]) -> dict[str, Action]:
    """`service:Action` → what AWS says of it, for all actions of some services."""
    verdict = _run([], {}, services)["actions"]
    return {
        f"{service}:{name}": Action(**of) for service, all_ in verdict.items() for name, of in all_.items()
    }


def _run(requests: list[dict[str, Any]], policies: Mapping[str, Any], services: Iterable[str]) -> Any:
    asked = {"requests": requests, "policies": dict(policies), "services": list(services)}
    done = subprocess.run(
        [str(node()), str(_PROGRAM), str(prepared(SIMULATOR))],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
        env={},
    )
    if done.returncode:
        last = "\n".join(done.stderr.strip().splitlines()[-_LAST_LINES:])
        raise LocalError(f"The IAM simulator failed.\n{last}")
    return json.loads(done.stdout)


def _verdict(verdict: Mapping[str, Any]) -> Verdict:
    if "problem" in verdict:
        return Verdict(allowed=False, problem=verdict["problem"])
    ignored = ", ".join(verdict["ignored"])
    return Verdict(
        allowed=verdict["decision"] == "Allowed",
        allowing=tuple(verdict["allowing"]),
        denying=tuple(verdict["denying"]),
        problem=f"it never carries {ignored}" if ignored else None,
    )
