"""What would change: a frozen plan, its digest, and the refusals against it.

Display, execution and simulation all use the same
object. Its digest covers what would be done and the initial state, but no identifiers and no times:
requests that resolve to the same targets share a digest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Generic, Protocol, TypeVar

from pydantic import TypeAdapter

from rollback.model import deployed
from rollback.model.deployed import Deployed
from rollback.model.kind import Kind
from rollback.model.request import Request, StoredRequest, read, stored
from rollback.util.canonical import canonical, digest, plain


class Step(Protocol):
    """One step of a plan. `changes` is false if it only confirms what is already deployed."""

    @property
    def subject(self) -> str: ...
    @property
    def changes(self) -> bool: ...


S = TypeVar("S", bound=Step)


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """One reason not to apply a plan: its subject, the reason, and what to type next."""

    subject: str
    reason: str
    remedy: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan(Generic[S]):
    """What a target would do.

    `leaves` and `targets` map each subject to the version that is deployed and to the target version, e.g.
    `{"team_service": "v1.2.0"}`: a service to its release, the stack and the Terraform configuration
    (`release.STACK`, `TERRAFORM`) to their commit. `quarantines` (subject → version) are those of `leaves`
    that must not be deployed again, because the target is older. `facts` (name → value, both
    text) are other conditions when the plan is applied. `request` is stored so that the plan can be
    made again and compared. `infrastructure` counts resources per operation, e.g. `{"create":
    1, "update": 2}`. It, `notices` and `refusals` are for display and not part of the digest.
    """

    kind: Kind
    environment: str
    account: str
    region: str
    request: Request
    from_version: str
    to_version: str
    leaves: Mapping[str, str]
    targets: Mapping[str, str]
    quarantines: Mapping[str, str]
    steps: tuple[S, ...]
    facts: Mapping[str, str] = field(default_factory=dict)
    infrastructure: Mapping[str, int] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    refusals: tuple[Refusal, ...] = ()

    @property
    def subjects(self) -> tuple[str, ...]:
        """The plan's subjects: services and infrastructure."""
        return tuple(self.targets)

    @property
    def services(self) -> tuple[str, ...]:
        return tuple(subject for subject in self.targets if not subject.startswith("@"))

    @property
    def changing(self) -> tuple[S, ...]:
        """The steps that change something; the others only confirm."""
        return tuple(step for step in self.steps if step.changes)

    def left(self, *, undone: bool) -> dict[str, Deployed]:
        """Subject → its deployed version after the plan is done, or undone."""
        return {
            subject: deployed.read(self.leaves.get(subject)) if undone else to
            for subject, to in self.targets.items()
        }

    def digest(self) -> str:
        """64 hexadecimal digits over everything that approval is given for."""
        asked = stored(self.request)
        return digest(
            {
                "kind": self.kind,
                "environment": self.environment,
                "account": self.account,
                "region": self.region,
                "options": {
                    name: sorted(value) if isinstance(value, tuple) else value
                    for name in StoredRequest.__slots__
                    # Left out, because `targets` has the result: requests with the same targets share a digest.
                    if name not in ("to", "services")
                    for value in (getattr(asked, name),)
                    if value or name not in StoredRequest.LATER
                },
                "facts": self.facts,
                "targets": self.targets,
                "quarantines": self.quarantines,
                "steps": sorted(canonical(step) for step in self.steps),
            }
        )


# Well below DynamoDB's 400 KB per item.
_CHUNK_BYTES = 300_000


def to_chunks(plan: Plan[Any]) -> list[str]:
    """The plan as JSON texts of at most 300 kB each: the head first, then runs of steps."""
    head = canonical(_head(plan))
    chunks = [head]
    run: list[str] = []
    size = 0
    for text in map(canonical, plan.steps):
        if run and size + len(text.encode()) > _CHUNK_BYTES:
            chunks.append(f"[{','.join(run)}]")
            run, size = [], 0
        run.append(text)
        size += len(text.encode()) + 1
    if run:
        chunks.append(f"[{','.join(run)}]")
    return chunks


def from_chunks(chunks: list[str], step: type[S]) -> Plan[S]:
    """The plan that `to_chunks` wrote. Raises `pydantic.ValidationError` where a chunk is malformed."""
    steps: list[S] = []
    adapter = reader(tuple[step, ...])  # type: ignore[valid-type] # the type is a value here on purpose
    for chunk in chunks[1:]:
        steps.extend(adapter.validate_json(chunk))
    head = reader(dict[str, Any]).validate_json(chunks[0])
    message = reader(StoredRequest).validate_python(head.pop("request", None))
    request = read(str(head.get("kind")), message)
    plan: Plan[S] = reader(Plan[Any]).validate_python({**head, "request": request, "steps": ()})
    return replace(plan, steps=tuple(steps))


def plain_plan(plan: Plan[Any]) -> dict[str, Any]:
    """A plan as JSON: the fields of `Plan` by name, its request as `request.stored` stores it."""
    values = {**_head(plan), "steps": plan.steps}
    return {name: plain(values[name]) for name in Plan.__slots__}


def stored_digest(chunks: list[str]) -> str:
    """The digest of a stored plan with any steps. Raises `ValueError` where it is malformed."""
    return from_chunks(chunks, dict[str, Any]).digest()  # type: ignore[type-var] # read as it is


@cache
def reader(kind: Any) -> TypeAdapter[Any]:
    """The parser of the type `kind`. Cached, because making one takes milliseconds."""
    return TypeAdapter(kind)


def _head(plan: Plan[Any]) -> dict[str, Any]:
    """A plan without its steps."""
    return {
        "kind": plan.kind,
        "environment": plan.environment,
        "account": plan.account,
        "region": plan.region,
        "request": stored(plan.request),
        "from_version": plan.from_version,
        "to_version": plan.to_version,
        "leaves": plan.leaves,
        "targets": plan.targets,
        "quarantines": plan.quarantines,
        "facts": plan.facts,
        "infrastructure": plan.infrastructure,
        "notices": plan.notices,
        "refusals": plan.refusals,
    }
