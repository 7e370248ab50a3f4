"""Teaches the emulator what the trust of people needs: MFA, the source identity, policy variables.

A code of six digits for an MFA device counts as right (there is no device): at GetSessionToken for all that is done
with its session, at AssumeRole for that one request and not for the role's session, as on AWS. A source identity
is judged by `sts:SourceIdentity`, needs `sts:SetSourceIdentity`, stays with the session as `aws:SourceIdentity`, goes
along to the roles that are taken from there, and cannot be changed. The session of a role that was taken with a web
identity has `aws:FederatedProvider`. A user whom a role's trust names needs no policy of their own to take it. Runs inside the emulator's process; imports nothing of this project.

https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_monitor.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_mfa_configure-api-require.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-basics-single-account.html
"""

from __future__ import annotations

import contextvars
import dataclasses
import importlib
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

_VARIABLE = re.compile(r"\$\{([A-Za-z]+:[^}]+)\}")
_MFA, _SOURCE, _PROVIDER = "aws:multifactorauthpresent", "aws:sourceidentity", "aws:federatedprovider"
_asked: contextvars.ContextVar[Mapping[str, str]] = contextvars.ContextVar("asked")


def install() -> None:
    """Put the functions of this module around the emulator's own.

    Raises AttributeError where a newer emulator has moved them.
    """
    evaluator: Any = importlib.import_module("ministack.core.iam_evaluator")
    sts: Any = importlib.import_module("ministack.services.sts")
    handle, register, provider = sts.handle_request, sts.register_session, sts._web_identity_principal  # noqa: SLF001 - no other way in
    keys, trusts = evaluator._principal_keys, evaluator.evaluate_trust_policy  # noqa: SLF001

    async def handled(method: str, path: str, headers: Any, body: bytes, query: Any) -> Any:
        action = headers.get("x-amz-target", "").rpartition(".")[2]
        _asked.set({"Action": action, **parameters(body, headers.get("content-type", ""))})
        return await handle(method, path, headers, body, query)

    def registered(access_key: str, session: dict[str, Any]) -> None:
        asked = _asked.get({})
        before = sts._sessions.get(session.get("SourceAccessKeyId"), {})  # noqa: SLF001
        session["Keys"] = kept(asked, before.get("Keys", {}))
        if asked.get("Action") == "AssumeRoleWithWebIdentity":
            session["Keys"][_PROVIDER], _ = provider(asked["WebIdentityToken"], "", asked["RoleArn"])
        register(access_key, session)

    def principal_keys(credential: Any) -> dict[str, Any]:
        session = sts._sessions.get(credential.access_key_id) or {}  # noqa: SLF001
        return {**keys(credential), **session.get("Keys", {})}

    def trusted(document: Any, caller: str, context: Any = None) -> bool:
        if context is None:
            return bool(trusts(document, caller, context))
        asked = _asked.get({})
        about = {**context.principal_keys, **({_MFA: "true"} if by_mfa(asked) else {})}
        document = with_variables(document, {**context.service_context, **about})
        had = about.get(_SOURCE)
        name = asked.get("SourceIdentity", had)
        if had not in (None, name):
            return False
        service_context = {**context.service_context, **({"sts:sourceidentity": name} if name else {})}
        taking = dataclasses.replace(context, principal_keys=about, service_context=service_context)
        allowed = bool(trusts(document, caller, taking))
        if not (allowed and name):
            return allowed
        # The session's name is a condition key of AssumeRole, not of SetSourceIdentity.
        service_context = {
            key: value for key, value in service_context.items() if key != "sts:rolesessionname"
        }
        setting = dataclasses.replace(taking, action="sts:SetSourceIdentity", service_context=service_context)
        return bool(trusts(document, caller, setting))

    _let_the_trust_decide(evaluator)
    sts.handle_request = handled
    sts.register_session = registered
    sts._principal_keys = evaluator._principal_keys = principal_keys  # noqa: SLF001
    evaluator.evaluate_trust_policy = trusted


def _let_the_trust_decide(evaluator: Any) -> None:
    """Of a user whom it names."""
    evaluate, iam = evaluator.evaluate, importlib.import_module("ministack.services.iam")

    def evaluated(context: Any, *policies: Any) -> Any:
        result = evaluate(context, *policies)
        if result.decision != "ImplicitDeny" or context.action != "sts:AssumeRole":
            return result
        role = iam._roles.get(context.resource_arn.rpartition("/")[2]) or {}  # noqa: SLF001
        if not names(role.get("AssumeRolePolicyDocument"), context.principal_arn):
            return result
        return dataclasses.replace(result, decision="Allow", reason="The trust decides")

    evaluator.evaluate = evaluated


def names(trust: Any, user: str) -> bool:
    """Whether a role's trust names this very user; the account as a whole is nobody."""
    policy = json.loads(trust) if isinstance(trust, str) else trust or {}
    statements = policy.get("Statement", [])
    named: set[str] = set()
    for statement in [statements] if isinstance(statements, dict) else statements:
        principal = statement.get("Principal")
        who = principal.get("AWS", []) if isinstance(principal, dict) else []
        named |= {who} if isinstance(who, str) else set(who)
    return ":user/" in user and user in named


def kept(asked: Mapping[str, str], before: Mapping[str, str]) -> dict[str, str]:
    """The condition keys that a new session has permanently, from the request and from the session that it was made with."""
    mfa = asked.get("Action") == "GetSessionToken" and by_mfa(asked)
    name = asked.get("SourceIdentity") or before.get(_SOURCE)
    return {**({_MFA: "true"} if mfa else {}), **({_SOURCE: name} if name else {})}


def with_variables(document: Any, values: Mapping[str, Any]) -> Any:
    """A policy with `${aws:username}` and its like in conditions replaced by what they stand for.

    An unknown one is left, and so matches nothing, as on AWS.
    """
    policy = json.loads(document) if isinstance(document, str) else document

    def replaced(value: Any) -> Any:
        if isinstance(value, str):
            return _VARIABLE.sub(lambda found: str(values.get(found[1].lower(), found[0])), value)
        if isinstance(value, list):
            return [replaced(one) for one in value]
        return {k: replaced(v) for k, v in value.items()} if isinstance(value, dict) else value

    statements = policy.get("Statement", [])
    statements = [statements] if isinstance(statements, dict) else statements
    return {
        **policy,
        "Statement": [
            {**s, "Condition": replaced(s["Condition"])} if "Condition" in s else s for s in statements
        ],
    }


def parameters(body: bytes, content_type: str) -> dict[str, str]:
    """The parameters of an STS request, in either of its protocols."""
    text = body.decode("utf-8", "replace")
    if "json" not in content_type:
        return dict(parse_qsl(text))
    try:
        data = json.loads(text)
    except ValueError:
        return {}
    return {k: v for k, v in data.items() if isinstance(v, str)} if isinstance(data, dict) else {}


def by_mfa(asked: Mapping[str, str]) -> bool:
    """Whether a request for a session comes with an MFA device and a code of it."""
    return ":mfa/" in asked.get("SerialNumber", "") and bool(
        re.fullmatch(r"\d{6}", asked.get("TokenCode", ""))
    )
