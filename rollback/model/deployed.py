"""What is deployed of a subject (a service, a function, the stack, a table): a version, or unknown."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final


class Unknown(Enum):
    """It is unknown what is deployed: nothing is recorded, or a rollback stopped half-way."""

    UNKNOWN = "unknown"

    def __str__(self) -> str:
        return self.value


UNKNOWN: Final = Unknown.UNKNOWN
Deployed = str | Unknown


def known(deployed: Mapping[str, Deployed]) -> dict[str, str]:
    """Subject → version, only for known ones."""
    return {subject: version for subject, version in deployed.items() if version is not UNKNOWN}


def stored(deployed: Mapping[str, Deployed]) -> dict[str, str]:
    """Subject → version, as stored in the ledger: unknown is an empty text."""
    return {subject: "" if version is UNKNOWN else version for subject, version in deployed.items()}


def read(version: str | None) -> Deployed:
    """Parses a stored version; empty or missing is unknown."""
    return version or UNKNOWN


def apart(
    functions: Mapping[str, Deployed], services: Mapping[str, str], deployed: Mapping[str, Deployed]
) -> dict[str, str]:
    """Function → its release, for those not at the release of their service, which is then mixed. Pure.

    `functions` maps each function to its release, `services` to its service, `deployed` each service to its release.
    Unknown ones are left out.
    """
    return {
        name: release
        for name, release in functions.items()
        if release is not UNKNOWN
        and (others := deployed.get(services[name], UNKNOWN)) is not UNKNOWN
        and release != others
    }
