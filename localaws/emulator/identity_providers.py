"""Teaches the emulator to change an identity provider, its audiences and its tags, and which claims of gitlab.com's tokens
a trust may ask for. Runs inside the emulator's process; imports nothing of this project.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_AddClientIDToOpenIDConnectProvider.html
https://docs.aws.amazon.com/IAM/latest/APIReference/API_RemoveClientIDFromOpenIDConnectProvider.html
https://docs.aws.amazon.com/IAM/latest/APIReference/API_TagOpenIDConnectProvider.html
https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecuritytokenservice.html#awssecuritytokenservice-policy-keys
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

Change = Callable[[dict[str, Any], Any], None]
_GITLAB = "gitlab.com"
# Of another GitLab's tokens it reads the subject and the audience only.
_OF_GITLAB = (
    "namespace_id",
    "pipeline_source",
    "project_id",
    "ref_protected",
    "runner_environment",
    "user_access_level",
    "user_email",
    "user_id",
    "user_login",
)


def install() -> None:
    """Put the operations beside the emulator's own, where it has none. Raises AttributeError where a newer emulator
    has moved them.
    """
    iam: Any = importlib.import_module("ministack.services.iam")
    # There is no other way in.
    value, tags_of, keys_of = iam._p, iam._extract_tags, iam._extract_tag_keys  # noqa: SLF001 - see above
    providers, handlers, error, answer = iam._oidc_providers, iam._IAM_HANDLERS, iam._error, iam._xml  # noqa: SLF001 - see above

    def added(provider: dict[str, Any], asked: Any) -> None:
        audience = value(asked, "ClientID")
        if audience not in provider["ClientIDList"]:
            provider["ClientIDList"].append(audience)

    def removed(provider: dict[str, Any], asked: Any) -> None:
        audience = value(asked, "ClientID")
        provider["ClientIDList"] = [one for one in provider["ClientIDList"] if one != audience]

    def tagged(provider: dict[str, Any], asked: Any) -> None:
        tags = {tag["Key"]: tag["Value"] for tag in (*provider.get("Tags", ()), *tags_of(asked))}
        provider["Tags"] = [{"Key": key, "Value": value} for key, value in tags.items()]

    def untagged(provider: dict[str, Any], asked: Any) -> None:
        gone = keys_of(asked)
        provider["Tags"] = [tag for tag in provider.get("Tags", ()) if tag["Key"] not in gone]

    def operation(action: str, change: Change) -> Callable[[Any], Any]:
        def answered(asked: Any) -> Any:
            arn = value(asked, "OpenIDConnectProviderArn")
            provider = providers.get(arn)
            if provider is None:
                return error(404, "NoSuchEntity", f"OIDC provider {arn} not found.", ns="iam")
            change(provider, asked)
            return answer(200, f"{action}Response", "", ns="iam")

        return answered

    for name, change in (
        ("AddClientIDTo", added),
        ("RemoveClientIDFrom", removed),
        ("Tag", tagged),
        ("Untag", untagged),
    ):
        action = f"{name}OpenIDConnectProvider"
        handlers.setdefault(action, operation(action, change))
    _read_gitlabs_claims()


def _read_gitlabs_claims() -> None:
    sts: Any = importlib.import_module("ministack.services.sts")
    cognito: Any = importlib.import_module("ministack.services.cognito")
    principal, decoded = sts._web_identity_principal, cognito._decode_id_token_unverified  # noqa: SLF001 - no other way in

    def read(token: str, provider: str, role: str) -> tuple[str, dict[str, Any]]:
        who, keys = principal(token, provider, role)
        if f"{_GITLAB}:sub" in keys:
            claims = decoded(token)
            keys |= {f"{_GITLAB}:{claim}": claims[claim] for claim in _OF_GITLAB if claim in claims}
        return who, keys

    sts._web_identity_principal = read  # noqa: SLF001 - as above
