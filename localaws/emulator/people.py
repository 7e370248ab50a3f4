"""Teaches the emulator what the trust of people needs: MFA, the source identity, policy variables.

A session from GetSessionToken with an MFA device's serial number and a code of six digits counts as
authenticated by MFA (the code itself is not checked: there is no device). AssumeRole with a
SourceIdentity is judged by `sts:SourceIdentity` and needs `sts:SetSourceIdentity`, as on AWS. Runs
inside the emulator's process; imports nothing of this project.

https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_monitor.html
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
_MFA = "aws:multifactorauthpresent"
_asked: contextvars.ContextVar[Mapping[str, str]] = contextvars.ContextVar("asked")


def install() -> None:
    """Put the functions of this module around the emulator's own.

    Raises AttributeError where a newer emulator has moved them.
    """
    evaluator: Any = importlib.import_module("ministack.core.iam_evaluator")
    sts: Any = importlib.import_module("ministack.services.sts")
    handle, register = sts.handle_request, sts.register_session
    keys, trusts = evaluator._principal_keys, evaluator.evaluate_trust_policy  # noqa: SLF001 - no other way in

    async def handled(method: str, path: str, headers: Any, body: bytes, query: Any) -> Any:
        _asked.set(parameters(body, headers.get("content-type", "")))
        return await handle(method, path, headers, body, query)

    def registered(access_key: str, session: dict[str, Any]) -> None:
        session["MultiFactor"] = by_mfa(_asked.get({}))
        register(access_key, session)

    def principal_keys(credential: Any) -> dict[str, Any]:
        found: dict[str, Any] = keys(credential)
        session = sts._sessions.get(credential.access_key_id)  # noqa: SLF001
        if session is not None and session.get("MultiFactor"):
            found[_MFA] = "true"
        return found

    def trusted(document: Any, caller: str, context: Any = None) -> bool:
        name = _asked.get({}).get("SourceIdentity")
        if context is None:
            return bool(trusts(document, caller, context))
        document = with_variables(document, context.principal_keys)
        if name is None:
            return bool(trusts(document, caller, context))
        told = {**context.service_context, "sts:sourceidentity": name}
        if not trusts(document, caller, dataclasses.replace(context, service_context=told)):
            return False
        # The session's name is a condition key of AssumeRole, not of SetSourceIdentity.
        told.pop("sts:rolesessionname", None)
        setting = dataclasses.replace(context, action="sts:SetSourceIdentity", service_context=told)
        return bool(trusts(document, caller, setting))

    sts.handle_request = handled
    sts.register_session = registered
    sts._principal_keys = evaluator._principal_keys = principal_keys  # noqa: SLF001
    evaluator.evaluate_trust_policy = trusted


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
