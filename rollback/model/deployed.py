"""What is deployed of a subject (a service, a function, the stack, a table): a version, or unknown."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final


class Unknown(Enum):
    """That it is not known what is deployed: nothing recorded it, or it was left half-way."""

    UNKNOWN = "unknown"

    def __str__(self) -> str:
        return self.value


UNKNOWN: Final = Unknown.UNKNOWN
Deployed = str | Unknown


def known(deployed: Mapping[str, Deployed]) -> dict[str, str]:
    """Subject → version, of those that are known."""
    return {subject: version for subject, version in deployed.items() if version is not UNKNOWN}


def stored(deployed: Mapping[str, Deployed]) -> dict[str, str]:
    """Subject → version, as the ledger stores it: unknown is an empty text."""
    return {subject: "" if version is UNKNOWN else version for subject, version in deployed.items()}


def read(version: str | None) -> Deployed:
    """What the ledger stored, or did not."""
    return version or UNKNOWN


def apart(
    functions: Mapping[str, Deployed], services: Mapping[str, str], deployed: Mapping[str, Deployed]
) -> dict[str, str]:
    """Function → its release, of those that are not at the release of their service: that service is mixed. Pure.

    `functions` maps each function to its release, `services` to its service, `deployed` each service to its release.
    Where either is unknown nothing is claimed.
    """
    return {
        name: release
        for name, release in functions.items()
        if release is not UNKNOWN
        and (others := deployed.get(services[name], UNKNOWN)) is not UNKNOWN
        and release != others
    }
