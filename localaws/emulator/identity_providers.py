"""Teaches the emulator to change an identity provider: its audiences and its tags. Runs inside the emulator's process;
imports nothing of this project.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_AddClientIDToOpenIDConnectProvider.html
https://docs.aws.amazon.com/IAM/latest/APIReference/API_RemoveClientIDFromOpenIDConnectProvider.html
https://docs.aws.amazon.com/IAM/latest/APIReference/API_TagOpenIDConnectProvider.html
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

Change = Callable[[dict[str, Any], Any], None]


def install() -> None:
    """Put the operations beside the emulator's own, where it has none. Raises AttributeError where a newer emulator
    has moved them.
    """
    iam: Any = importlib.import_module("ministack.services.iam")

    def added(provider: dict[str, Any], asked: Any) -> None:
        audience = iam._p(asked, "ClientID")  # noqa: SLF001 - no other way in
        if audience not in provider["ClientIDList"]:
            provider["ClientIDList"].append(audience)

    def removed(provider: dict[str, Any], asked: Any) -> None:
        audience = iam._p(asked, "ClientID")  # noqa: SLF001
        provider["ClientIDList"] = [one for one in provider["ClientIDList"] if one != audience]

    def tagged(provider: dict[str, Any], asked: Any) -> None:
        tags = {tag["Key"]: tag["Value"] for tag in (*provider.get("Tags", ()), *iam._extract_tags(asked))}  # noqa: SLF001
        provider["Tags"] = [{"Key": key, "Value": value} for key, value in tags.items()]

    def untagged(provider: dict[str, Any], asked: Any) -> None:
        gone = iam._extract_tag_keys(asked)  # noqa: SLF001
        provider["Tags"] = [tag for tag in provider.get("Tags", ()) if tag["Key"] not in gone]

    def operation(action: str, change: Change) -> Callable[[Any], Any]:
        def answered(asked: Any) -> Any:
            arn = iam._p(asked, "OpenIDConnectProviderArn")  # noqa: SLF001
            provider = iam._oidc_providers.get(arn)  # noqa: SLF001
            if provider is None:
                return iam._error(404, "NoSuchEntity", f"OIDC provider {arn} not found.", ns="iam")  # noqa: SLF001
            change(provider, asked)
            return iam._xml(200, f"{action}Response", "", ns="iam")  # noqa: SLF001

        return answered

    for name, change in (
        ("AddClientIDTo", added),
        ("RemoveClientIDFrom", removed),
        ("Tag", tagged),
        ("Untag", untagged),
    ):
        action = f"{name}OpenIDConnectProvider"
        iam._IAM_HANDLERS.setdefault(action, operation(action, change))  # noqa: SLF001
