"""What must be so after every call, and what must be so in the end: said independently of the product.

Every request that arrives is watched here. What the account and the ledger hold is read from the models
themselves, so that nothing that the product believes can hide what it did.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from rollback.model.record import now_iso
from tests.doubles.world import TABLE
from tests.simulation.aws.lambda_model import AliasSeen
from tests.simulation.calls import Call, key

if TYPE_CHECKING:
    from tests.simulation.process import Process
    from tests.simulation.world import World

LOCK = ("LOCK#dev", "aliases")
OPEN = ("PLANNED", "AWAITING_APPROVAL", "STANDBY", "IN_PROGRESS", "FAILED")
WAITING = ("", "AWAITING_APPROVAL", "STANDBY")


class Violation(AssertionError):
    """An invariant that did not hold."""


class PastState(NamedTuple):
    """How an alias stood once somebody had written it; `record` is empty where that was no rollback.

    None where it was gone. `tag` names the rollback, its holder and its direction.
    """

    record: str
    tag: str
    seen: AliasSeen | None

    @property
    def at(self) -> tuple[str, tuple[tuple[str, float], ...]] | None:
        """What has to come back byte for byte."""
        return None if self.seen is None else (self.seen.version, self.seen.weights)


@dataclass
class Story:
    """What a record was seen to say: `steps` by function, `found` pairs of function and RevisionId."""

    steps: dict[str, dict[str, Any]] = field(default_factory=dict)
    head: dict[str, Any] = field(default_factory=dict)
    found: set[tuple[str, str]] = field(default_factory=set)
    kinds: list[str] = field(default_factory=list)
    fences: set[str] = field(default_factory=set)
    # Function → how many writes of its alias had been seen when the record was opened.
    began: dict[str, int] = field(default_factory=dict)


class Truth:
    """Watches one world."""

    def __init__(self, world: World, kept: Any) -> None:
        self._world = world
        self.history: dict[str, list[PastState]]
        self.timeline: list[dict[str, Any]]
        self.stories: dict[str, Story]
        self.history, self.timeline, self._lock_changed = kept or ({}, [], 0.0)
        self.stories = {}
        # Whether the parameter was last written by a request that had been on its way for long: Systems
        # Manager knows no conditional write, so nobody can keep that from overwriting what came after.
        self.excused = False
        # The record that somebody has changed past this command: nobody may act upon it.
        self.forged = ""

    def kept(self) -> Any:
        return self.history, self.timeline, self._lock_changed

    # -- what happens ----------------------------------------------------------------------------------

    def outside_write(self, function: str) -> None:
        """Somebody else has written an alias, or taken it away."""
        self.history.setdefault(function, []).append(PastState("", "", self._world.alias(function)))

    def watched(
        self, process: Process, call: Call, method: Callable[..., Any], request: Mapping[str, Any]
    ) -> Any:
        operation = call.operation
        if operation == "update_alias":
            before = self._world.alias(request["FunctionName"])
            answer = method(**request)
            self._moved(process, request["FunctionName"], before)
            return answer
        if operation == "transact_write_items":
            return self._transaction(process, method, request)
        if operation == "update_item":
            return self._lease(process, method, request)
        answer = method(**request)
        if operation == "query" and call.about.startswith("RELEASE#"):
            process.read_at = now_iso(process.now())
        if operation == "put_parameter":
            self.excused = self._world.delivering
        if operation == "get_function":
            found = answer["Configuration"]
            process.states[request["FunctionName"], found["Version"]] = found["State"]
        if operation == "get_function" and request.get("Qualifier") == "live":
            name = request["FunctionName"]
            process.looked[name] = len(self.history.get(name, ()))
        if operation == "get_alias":
            name = request["FunctionName"]
            process.weighed[name] = len(self.history.get(name, ()))
        return answer

    def _moved(self, process: Process, function: str, before: AliasSeen | None) -> None:
        after = self._world.alias(function)
        assert after is not None
        if after == before:
            return
        past = self.history[function]
        record, _, rest = after.description.removeprefix("rollback/").partition("/")
        if not after.description.startswith("rollback/"):
            raise self._world.violated(f"{process.name} wrote {function} without saying for which rollback")
        self._not_forged(process, record)
        story = self.stories.get(record)
        if story is None or function not in story.steps:
            raise self._world.violated(f"{process.name} wrote {function}, which no plan of {record} names")
        status = self._status(record)
        # A FAILED record says of what got no answer that nobody knows where it stands.
        doubtful = status == "FAILED" and self._world.delivering
        if status != "IN_PROGRESS" and not doubtful:
            raise self._world.violated(f"{process.name} wrote {function} although {record} is {status}")
        fence, _, back = rest.partition("/")
        self._one_write(process, function, after.description, story, back=bool(back), fence=fence)
        self._no_outside_write_lost(process, function, before, story)
        step = story.steps[function]
        if not back and (after.version, after.weights) != (step["to_version"], ()):
            raise self._world.violated(f"{process.name} moved {function} to {after.version}{after.weights}")
        seen = process.states.get((function, after.version), "Active")
        if not back and seen != "Active" and step["from_version"] != after.version:
            raise self._world.violated(f"{process.name} moved {function} to {after.version}, which is {seen}")
        past.append(PastState(record, after.description, after))

    def _not_forged(self, process: Process, record: str) -> None:
        if record == self.forged:
            raise self._world.violated(f"{process.name} acted upon {record}, which was forged")

    def _one_write(
        self, process: Process, function: str, tag: str, story: Story, *, back: bool, fence: str
    ) -> None:
        past = self.history[function]
        # Again only upon what somebody else has written meanwhile, which is journalled first.
        if any(state.tag == tag for state in past) and past[-1].record:
            raise self._world.violated(f"{process.name} wrote {function} twice under {tag}")
        if back and "reverting" not in story.kinds:
            raise self._world.violated(f"{process.name} put {function} back without saying so first")
        if fence not in story.fences:
            raise self._world.violated(f"{process.name} wrote {function} under {tag}, which took nothing")
        later = [int(state.tag.split("/")[2]) for state in past if state.tag]
        if later and int(fence) < max(later):
            raise self._world.violated(
                f"two owners: {process.name} wrote {function} under {fence}, after {max(later)} had"
            )

    def _no_outside_write_lost(
        self,
        process: Process,
        function: str,
        before: AliasSeen | None,
        story: Story,
    ) -> None:
        past = self.history[function]
        assert before is not None
        if past[-1].record:
            return
        step = story.steps[function]
        known = before.revision == step["revision_id"] or (function, before.revision) in story.found
        if not known:
            raise self._world.violated(
                f"{process.name} overwrote {function} as somebody else had left it, unjournalled"
            )
        planned = [(step["from_version"], dict(step["weights"])), (step["to_version"], {})]
        if (before.version, dict(before.weights)) not in planned:
            raise self._world.violated(
                f"{process.name} overwrote {function}, which somebody else had at {before.version} "
                f"with {before.weights}"
            )

    def _lease(self, process: Process, method: Callable[..., Any], request: Mapping[str, Any]) -> Any:
        if request["Key"]["SK"]["S"] != LOCK[1]:
            return method(**request)  # what a recording holds beside it, and no rollback of aliases looks at
        before = self._world.item(*LOCK)
        answer = method(**request)
        after = self._world.item(*LOCK) or {}
        taken = request["UpdateExpression"].startswith("SET #owner = :owner")
        renewed = request["UpdateExpression"].startswith("SET beat = beat")
        if renewed and after.get("nonce") not in process.nonces:
            raise self._world.violated(
                f"{process.name} renewed the lease of {after.get('owner')}, not its own"
            )
        if taken:
            process.nonces.add(after["nonce"])
            if before and before.get("nonce") and "owner" in before:
                silence = self._world.now - self._lock_changed
                if silence < self._world.settings.lease_seconds - 0.001:
                    raise self._world.violated(
                        f"{process.name} took the lease of {before['owner']}, silent for {silence:.0f} s only"
                    )
        self._lock_changed = self._world.now
        self._flight_is_blocked(process)
        return answer

    def _transaction(self, process: Process, method: Callable[..., Any], request: Mapping[str, Any]) -> Any:
        table = self._world.dynamodb._tables[TABLE]
        members = request["TransactItems"]
        lock, position = self._world.item(*LOCK), table.position
        records = {pk.partition("#")[2] for pk, _ in map(key, members) if pk.startswith("ROLLBACK#")}
        before = {record: self._status(record) for record in records}
        frozen_by = self.frozen_by
        answer = method(**request)
        if table.position == position:
            return answer
        bound = frozen_by not in ("", process.who.person)
        for member in members:
            pk, sk = key(member)
            item = next(iter(member.values())).get("Item")
            if pk.startswith("ROLLBACK#"):
                self._wrote(pk.partition("#")[2], sk, item)
            elif sk.startswith("SEQ#"):
                self._ordered(process, item)
                if bound and self.timeline[-1]["kind"] == "deployment":
                    raise self._world.violated(f"{process.name} recorded a release though {frozen_by} froze")
            elif pk.startswith("APPROVAL#"):
                self._approved(process, pk.partition("#")[2])
        for record in records:
            self._not_forged(process, record)
            begun = before[record] in WAITING and self._status(record) in OPEN
            if bound and begun and self._status(record) != before[record]:
                raise self._world.violated(f"{process.name} began {record} though {frozen_by} froze")
            self._owned(process, record, before[record], lock)
            self._ends(process, record, before[record])
        self._flight_is_blocked(process)
        return answer

    def _wrote(self, record: str, sk: str, item: Mapping[str, Any] | None) -> None:
        story = self.stories.setdefault(record, Story())
        if item is None:
            return
        if sk == "PLAN#0001":
            story.head = json.loads(item["plan"]["S"])
            story.began = {name: len(past) for name, past in self.history.items()}
        elif sk.startswith("PLAN#"):
            story.steps |= {step["function"]: step for step in json.loads(item["plan"]["S"])}
        elif sk.startswith("EVENT#"):
            kind, data = item["kind"]["S"], json.loads(item["data"]["S"])
            story.kinds.append(kind)
            if kind in ("planned", "approved", "confirmed", "resumed", "aborting"):
                lock = self._world.item(*LOCK) or {}
                story.fences.add(str(lock.get("fence")))
            if kind == "found":
                story.found.add((data["function"], data["revision"]))

    def _ordered(self, process: Process, item: Mapping[str, Any]) -> None:
        number = int(item["seq"]["N"])
        if number != len(self.timeline) + 1:
            raise self._world.violated(f"{process.name} wrote timeline entry {number} out of order")
        entry = self._world.item(item["PK"]["S"], item["SK"]["S"])
        assert entry is not None
        for past in self.timeline:
            same = "deployment" == past["kind"] == entry["kind"] and past["version"] == entry["version"]
            if same and self._manifest(past["id"]) != self._manifest(entry["id"]):
                raise self._world.violated(f"{process.name} recorded another {entry['version']}")
        self.timeline.append(entry)

    def _owned(self, process: Process, record: str, was: str, lock: Mapping[str, Any] | None) -> None:
        """Whatever is written of a rollback that is under way, its holder writes."""
        now = self._status(record)
        if "IN_PROGRESS" not in (was, now):
            return
        if not lock or lock.get("owner") != record or lock.get("nonce") not in process.nonces:
            raise self._world.violated(f"{process.name} wrote {record} without holding its lease")

    def _flight_is_blocked(self, process: Process) -> None:
        lock = self._world.item(*LOCK) or {}
        for record in self.stories:
            if (
                record != self.forged
                and self._status(record) == "IN_PROGRESS"
                and lock.get("owner") != record
            ):
                raise self._world.violated(f"after {process.name}, {record} is under way without its lease")

    def _approved(self, process: Process, record: str) -> None:
        announced = process.said
        metadata = self._metadata(record)
        if not announced or not str(metadata.get("digest", "")).startswith(announced):
            raise self._world.violated(f"{process.name} approved {record} with another plan's digest")

    def _ends(self, process: Process, record: str, was: str) -> None:
        now = self._status(record)
        if now == was:
            return
        story = self.stories[record]
        if now == "IN_PROGRESS" and was in WAITING:
            self._as_planned(process, record, story)
        if now == "IN_PROGRESS" and was == "STANDBY":
            self._taken(process, record, story)
        if now == "EXPIRED" and not self._has_ended(record, story):
            raise self._world.violated(f"{process.name} called {record} EXPIRED, which has not ended")
        if now == "COMPLETE":
            self._complete(process, record, story)
        if now == "REVERTED":
            self._reverted(process, record, story)

    def _as_planned(self, process: Process, record: str, story: Story) -> None:
        """What begins is what was planned, and what was planned is what was asked for."""
        for name, step in story.steps.items():
            seen, past = self._world.alias(name), self.history[name]
            if (seen is None or seen.version != step["from_version"]) and len(past) <= process.looked.get(
                name, 0
            ):
                raise self._world.violated(
                    f"{process.name} began {record}, but {name} does not stand where its plan begins"
                )
        for service, to in story.head["targets"].items():
            if (floor := self._floor_above(service, to)) and not story.head["request"].get("allow_below"):
                raise self._world.violated(f"{process.name}: {record} takes {service} to {to}, below {floor}")
        if story.head["request"]["to"] == "previous":
            for service, to in story.head["targets"].items():
                expected = self._previous(service)
                if to != expected:
                    raise self._world.violated(
                        f"{process.name}: previous of {service} is {expected}, {record} goes to {to}"
                    )

    def _taken(self, process: Process, record: str, story: Story) -> None:
        """What was on standby is taken: as long as it lasts, once it is approved, and by an alarm where that may be."""
        until = story.head["facts"]["standby until"]
        if self._has_ended(record, story):
            raise self._world.violated(f"{process.name} took {record}, which has ended")
        # A process may stand still between its last look and its write: DynamoDB knows no condition on the time.
        if not process.read_at < until:
            raise self._world.violated(f"{process.name} took {record} at {process.read_at}, after {until}")
        world, metadata = self._world, self._metadata(record)
        alarm = metadata.get("alarm", "")
        strict = world.settings.approval.aliases == "identity" or (alarm and world.settings.production)
        given = world.partition(f"APPROVAL#{record}")
        if strict and not any(one["digest"] == metadata["digest"] for one in given):
            raise world.violated(f"{process.name} took {record}, which nobody has approved")
        if alarm:
            self._by_alarm(process, record, str(alarm))

    def _by_alarm(self, process: Process, record: str, alarm: str) -> None:
        """That an alarm may take it, was green before the release, and red soon after; and that it is the first time."""
        world, seen = self._world, (process.alarms_seen or {}).get(alarm)
        if not world.settings.automatic.takes:
            raise world.violated(f"{process.name} took {record} for an alarm, which may take nothing")
        if seen is None or seen.state != "ALARM":
            raise world.violated(f"{process.name} took {record} for alarm {alarm}, which it saw as {seen}")
        if alarm not in world.settings.automatic.alarms:
            raise world.violated(f"{process.name} took {record} for alarm {alarm}, which nobody named")
        released = next(entry for entry in reversed(self.timeline) if entry["kind"] == "deployment")
        at, bake = datetime.fromisoformat(released["at"]), timedelta(minutes=world.settings.automatic.bake)
        if not at < datetime.fromisoformat(seen.since) <= at + bake:
            raise world.violated(f"{process.name} took {record} for an alarm that is red since {seen.since}")
        if not seen.changes:
            raise world.violated(f"{process.name} took {record} for an alarm whose history nobody knows")
        reds = [one for one in seen.changes if one.before == "ALARM"]
        if any(at - bake < datetime.fromisoformat(one.at) <= at for one in reds):
            raise world.violated(f"{process.name} took {record} for an alarm that was red before")
        place = self.timeline.index(released)
        others = [
            entry["id"]
            for entry in self.timeline[place:]
            if entry["id"] != record
            and entry["kind"] == "opened"
            and self._metadata(entry["id"]).get("taken_by")
        ]
        if others:
            raise world.violated(f"{process.name} took {record} after {others[0]}, for the same release")

    def _has_ended(self, record: str, story: Story) -> bool:
        """Whether what is on standby has ended, by what the ledger holds before it is taken or closed."""
        facts, services = story.head["facts"], set(story.head["targets"])
        entries = [entry for entry in self.timeline if entry["id"] != record or entry["kind"] == "opened"]
        newest = next(number for number, one in enumerate(entries) if one["id"] == facts["standby of"])
        since = entries[newest + 1 :]
        began = next(number for number, one in enumerate(since) if one["id"] == record)
        return any(
            entry["at"] >= facts["standby until"]
            or entry["kind"] == "deployment"
            or (number > began and services & set(entry["services"]))
            for number, entry in enumerate(since)
        )

    def _floor_above(self, service: str, to: str) -> str | None:
        """A release that a later one was recorded as not to be rolled back past, if `to` is older than it."""
        releases = [entry for entry in self.timeline if entry["kind"] == "deployment"]
        if to == self.timeline[-1]["stands"].get(service):
            return None
        newest = {entry["version"]: place for place, entry in enumerate(releases)}
        for place, entry in enumerate(releases):
            floor = entry.get("not_below")
            if floor and newest.get(to, place) < max(
                at for at, one in enumerate(releases[: place + 1]) if one["version"] == floor
            ):
                return str(floor)
        return None

    def _previous(self, service: str) -> str | None:
        """The release recorded before the one that stands, by the order in which they were committed."""
        deployed = self.timeline[-1]["stands"].get(service)
        quarantined = {
            item["version"]
            for item in self._world.partition("RELEASE#dev")
            if str(item["SK"]).startswith(f"QUARANTINE#{service}#") and not item.get("lifted_at")
        }
        bad = quarantined | self.not_verified(service)
        reached = False
        for entry in reversed(self.timeline):
            if entry["kind"] != "deployment":
                continue
            if entry["version"] == deployed:
                reached = True
            elif reached and entry["version"] not in bad:
                return str(entry["version"])
        return None

    def not_verified(self, service: str) -> set[str]:
        """The releases of which the last thing that is known is that they failed in verification."""
        last: dict[str, bool] = {}
        for entry in self.timeline:
            at = entry["stands"].get(service)
            if entry["kind"] not in ("deployment", "rollback") or service not in entry["services"] or not at:
                continue
            # What its record says today may be of a later end.
            ends = [
                json.loads(item["data"])
                for item in self._world.partition(f"ROLLBACK#{entry['id']}")
                if entry["status"] == "FAILED" and item.get("hash") == entry["covers"]
            ]
            failed = any(not check["ok"] for end in ends for check in end.get("checks", ()))
            # An undo shows nothing about the release that it came back to.
            if failed or entry["kind"] == "deployment" or entry["status"] == "COMPLETE":
                last[at] = failed
        return {version for version, failed in last.items() if failed}

    def _complete(self, process: Process, record: str, story: Story) -> None:
        for name, step in story.steps.items():
            past = self.history[name]
            ours = [state for state in past if state.record == record]
            if ours and ours[-1].at == (step["to_version"], ()):
                if past[-1] is ours[-1]:
                    continue
                # Somebody else may have come after it was looked at.
                if not past[-1].record and (
                    len(past) > process.weighed.get(name, 0) or past[-1].at == (step["to_version"], ())
                ):
                    continue
            raise self._world.violated(
                f"{process.name} called {record} COMPLETE, but {name} stands at {past[-1].at}"
            )

    def _reverted(self, process: Process, record: str, story: Story) -> None:
        for name in story.steps:
            past = self.history[name]
            began = story.began[name]
            # Another rollback, closed before, may have written it; what this one wrote does not count.
            others = [
                state.at
                for number, state in enumerate(past)
                if number >= began - 1 and state.record != record
            ]
            # Who moves it to where we move it cannot be told from who touches what we have moved.
            alike = others[-1] is not None and others[-1][0] == story.steps[name]["to_version"]
            allowed = set(others) if alike else {others[-1]}
            if past[-1].at not in allowed:
                raise self._world.violated(
                    f"{process.name} called {record} REVERTED, but {name} stands at {past[-1].at}, "
                    f"not at {sorted(map(str, allowed))}"
                )

    # -- what is --------------------------------------------------------------------------------------

    def records(self) -> Iterator[tuple[str, str]]:
        """Every rollback with its status."""
        for record in self.stories:
            yield record, self._status(record)

    @property
    def frozen_by(self) -> str:
        """The person who holds the environment frozen; empty where nobody does."""
        freeze = self._world.item("RELEASE#dev", "QUARANTINE#@environment#*") or {"lifted_at": "never was"}
        return "" if freeze.get("lifted_at") else str(freeze["by"]["person"])

    def _metadata(self, record: str) -> Mapping[str, Any]:
        return self._world.item(f"ROLLBACK#{record}", "METADATA") or {}

    def _status(self, record: str) -> str:
        # Unread, for it is asked for at every write.
        item = self._world.dynamodb._tables[TABLE].item((f"ROLLBACK#{record}", "METADATA"))
        return "" if item is None else str(item["status"]["S"])

    def _manifest(self, release: str) -> dict[str, str]:
        return self._world.manifest(self._world.partition(f"DEPLOYMENT#{release}"))
