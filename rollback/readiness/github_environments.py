"""Reads the protection rules of the GitHub environments: who must review before a job can assume a role.

"Get an environment" (https://docs.github.com/en/rest/deployments/environments) and "List deployment branch
policies" (https://docs.github.com/en/rest/deployments/branch-policies); a job's token needs `actions: read`.
Branch policies can only be listed if the environment has custom ones.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError, URLError

from rollback.engines.github_actions import asked
from rollback.readiness.rules import CheckAnswer, Judgement

_API = "https://api.github.com"
_GONE = 404


class NotAsked(Exception):
    """GitHub could not be read; the message is the reason."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Gate:
    """A GitHub environment. `patterns` are the branches and tags that may deploy to it, None for all;
    `reviewers` is how many reviewers are configured.
    """

    name: str
    declared: bool = True
    reviewers: int = 0
    prevents_self_review: bool = False
    patterns: tuple[str, ...] | None = None
    any_protected: bool = False
    bypassed: bool = False


def gates(repository: str, names: list[str]) -> list[Gate]:
    """The environments of a repository (`owner/name`). Raises `NotAsked`.

    Asked with GITHUB_TOKEN or GH_TOKEN, at GITHUB_API_URL.
    """
    token = os.environ.get("GITHUB_TOKEN") or os.environ.get("GH_TOKEN") or ""
    if not token:
        raise NotAsked("neither GITHUB_TOKEN nor GH_TOKEN is set")
    base = os.environ.get("GITHUB_API_URL") or _API

    def ask(path: str) -> Any:
        return asked(base, token, f"repos/{repository}/environments{path}")

    try:
        return [_gate(name, ask) for name in names]
    except HTTPError as error:
        with error:
            raise NotAsked(
                f"GitHub returned {error.code} for {repository}: does the token have actions: read?"
            ) from None
    except (URLError, TimeoutError, OSError) as error:
        raise NotAsked(f"GitHub is not reachable: {getattr(error, 'reason', error)}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotAsked(f"GitHub could not be read: {error}") from None


def _gate(name: str, ask: Callable[[str], Any]) -> Gate:
    try:
        environment: Mapping[str, Any] = ask(f"/{name}")
    except HTTPError as error:
        if error.code != _GONE:
            raise
        error.close()
        ask("?per_page=1")  # without access to the repository the response is the same
        return Gate(name=name, declared=False)
    rules = [rule for rule in environment.get("protection_rules", ()) if rule["type"] == "required_reviewers"]
    branches = environment.get("deployment_branch_policy")
    listed: tuple[str, ...] = ()
    if branches and branches.get("custom_branch_policies"):
        policies = ask(f"/{name}/deployment-branch-policies?per_page=100")["branch_policies"]
        listed = tuple(
            str(one["name"]) if one.get("type", "branch") == "branch" else f"{one['type']} {one['name']}"
            for one in policies
        )
    return Gate(
        name=name,
        reviewers=sum(len(rule.get("reviewers") or ()) for rule in rules),
        prevents_self_review=any(rule.get("prevent_self_review") is True for rule in rules),
        patterns=listed if branches else None,
        any_protected=bool(branches and branches.get("protected_branches")),
        bypassed=environment.get("can_admins_bypass") is True,
    )


def judged(gate: Gate, branch: str, *, reviewed: bool) -> Judgement:
    """Checks that the environment's protection blocks unauthorised jobs. Pure.

    Only `branch` may deploy to it; with `reviewed`, only after another person's review.
    """
    why: list[str] = []
    if not gate.declared:
        why.append("it does not exist: GitHub would create it with the first job, unprotected")
    else:
        if reviewed and not gate.reviewers:
            why.append("it has no required reviewers")
        elif reviewed and not gate.prevents_self_review:
            why.append("the person who starts a run may review it")
        if gate.patterns is None:
            why.append(f"it is not restricted to {branch}: jobs of any branch can assume its role")
        elif not gate.any_protected and gate.patterns != (branch,):
            others = ", ".join(pattern for pattern in gate.patterns if pattern != branch)
            why.append(f"it also allows {others}" if others else f"it does not allow {branch}")
    if why:
        return Judgement(
            check="github",
            subject=gate.name,
            answer=CheckAnswer.NO,
            why="; ".join(why),
            next="Set github:owner and rollback:reviewers, then pulumi up of the foundation creates it.",
        )
    message = f"only {'protected branches' if gate.any_protected else branch} may deploy to it"
    if reviewed:
        message += f", after a review by one of {gate.reviewers} reviewers"
    if gate.bypassed:
        message += "; administrators can bypass that"
    return Judgement(check="github", subject=gate.name, answer=CheckAnswer.YES, why=message)
