"""What a type is: its fields as data, and five acts in the cloud."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import ClassVar

from localaws.provider.cloud import Cloud
from localaws.provider.schema import CheckFailure, Fields
from localaws.provider.values import Values


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadResult:
    """An object as the cloud has it: inputs and outputs under their Pulumi names."""

    id: str
    state: Values


class Resource(ABC):
    """A type. Tags are given back by `read` as `tagsAll`; the lifecycle tells `tags` from it."""

    pulumi_type: ClassVar[str]
    fields: ClassVar[Fields]
    # Unknown until the object exists; those in `moving` also while an update is previewed.
    outputs: ClassVar[tuple[str, ...]]
    moving: ClassVar[frozenset[str]] = frozenset()
    # Inputs by which AWS tells two objects apart: while none of them changes, the old object has to
    # go before its replacement can come.
    identity: ClassVar[tuple[str, ...]]

    def problems(self, inputs: Values) -> Iterator[CheckFailure]:  # noqa: ARG002
        """What no field can say alone. Called with known inputs only."""
        yield from ()

    @abstractmethod
    def create(self, cloud: Cloud, inputs: Values) -> str:
        """Make the object; its ID. What follows in `finish` may fail with the object remembered."""

    def finish(self, cloud: Cloud, id_: str, inputs: Values) -> None:  # noqa: B027 (most types have nothing to add)
        """What takes further calls after the one that creates."""

    @abstractmethod
    def existing_id(self, cloud: Cloud, inputs: Values) -> str:
        """The ID of the object that stands in the way of these inputs."""

    @abstractmethod
    def read(self, cloud: Cloud, id_: str, known: Values) -> ReadResult | None:
        """The object, or None if it is gone. `known` is the last state; empty on import."""

    @abstractmethod
    def update(self, cloud: Cloud, id_: str, old: Values, new: Values, changed: Collection[str]) -> None:
        """Bring the inputs named in `changed` from the old state to the new inputs."""

    @abstractmethod
    def delete(self, cloud: Cloud, id_: str, state: Values) -> None:
        """Remove the object; one that is already gone may raise as AWS does."""
