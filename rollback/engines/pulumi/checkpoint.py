"""Reads a stack's checkpoint, and hashes it for a plan's digest. Pure.

A checkpoint is read with encrypted secrets: this module never sees one in plain text. What differs from run
to run without a change is left out of the hash: times, the order of resources, where in a program
they are declared, and what a refresh rewrites. A secret's ciphertext is included, and changes with every
update, even one without changes: such an update makes a plan out of date, because it may have changed a secret.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any

from rollback.util.canonical import canonical

_FLEETING = {"sourcePosition", "stackTrace", "created", "modified", "propertyDependencies"}

# The engine's `apitype.DeploymentV3`: lists `resources`, `pending_operations`, `secrets_providers` and more
# (https://pkg.go.dev/github.com/pulumi/pulumi/sdk/v3/go/common/apitype#DeploymentV3).
Deployment = Mapping[str, Any]


def deployment(exported: Mapping[str, Any]) -> Deployment:
    """The deployment in the output of `pulumi stack export`, `{"version": 3, "deployment": {…}}`; empty for a
    stack without updates.
    """
    return exported.get("deployment") or {}


def resources(state: Deployment) -> Sequence[Mapping[str, Any]]:
    """The checkpoint's resources, `{"urn", "type", "id", "inputs", "outputs", …}` each, a parent before its
    children.
    """
    return state.get("resources") or ()


def pending(state: Deployment) -> Sequence[Mapping[str, Any]]:
    """What an interrupted update had started: `{"type": "creating", "resource": {"urn", …}}` each."""
    return state.get("pending_operations") or ()


def renamed(state: Deployment, names: Mapping[str, str]) -> Deployment:
    """The checkpoint with resources under other URNs (`names`: old → new), as `pulumi state rename` writes it."""

    def put(value: Any) -> Any:
        if isinstance(value, str):
            # References to providers have the form URN::ID.
            urn, _, identity = value.rpartition("::")
            return names.get(value) or (f"{names[urn]}::{identity}" if urn in names else value)
        if isinstance(value, Mapping):
            return {key: put(part) for key, part in value.items()}
        return [put(part) for part in value] if isinstance(value, list) else value

    kept = ("inputs", "outputs")
    return {
        **state,
        "resources": [
            {key: value if key in kept else put(value) for key, value in resource.items()}
            for resource in resources(state)
        ],
    }


def keyed(state: Deployment, value: Any) -> str:
    """A hash of `value` for a plan: 64 hexadecimal digits.

    The hashed values contain no secrets: the engine masks them in its events, and encrypts them in its state and in stack
    files. The key, the state's salt or wrapped key, is not in a record, so that hashed values cannot
    be guessed from a record alone. It is also in the committed stack file, but who has the repository can read what a
    program declares in plain text anyway.
    """
    key = canonical(state.get("secrets_providers") or {}).encode()
    return hmac.new(key, canonical(value).encode(), hashlib.sha256).hexdigest()


def digest(state: Deployment) -> str:
    """A keyed hash over the checkpoint `state`, the start of a plan."""
    kept = [
        {key: value for key, value in resource.items() if key not in _FLEETING}
        for resource in resources(state)
    ]
    kept.sort(key=lambda resource: (resource["urn"], resource.get("id", "")))
    begun = [[operation.get("type"), operation["resource"]["urn"]] for operation in pending(state)]
    return keyed(state, [kept, sorted(begun)])
