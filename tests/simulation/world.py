"""An account, its ledger, a clock that only calls and sleeps move, and whoever works there."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

from rollback.config.settings import Settings, parse
from rollback.ledger.store import _read
from rollback.lifecycle.lifecycle import Lifecycle
from rollback.model.automatic import AlarmSeen, Change
from rollback.model.identity import Actor
from rollback.model.record import now_iso
from rollback.releases.record_release import Commits, record
from tests.doubles.world import ALICE, BOB, DAN, SHA, TABLE, create_table, texts
from tests.simulation.aws.dynamodb_model import DynamoDB
from tests.simulation.aws.lambda_model import AliasSeen, Lambda
from tests.simulation.aws.ssm_model import Ssm
from tests.simulation.calls import Call
from tests.simulation.fibers import Killed
from tests.simulation.process import Process
from tests.simulation.truth import Truth, Violation
from tests.simulation.wire import Letter

CAROL = Actor(role=ALICE.role, person="carol")
GUARD = Actor(role=ALICE.role, person="guard")
PEOPLE = {"alice": ALICE, "carol": CAROL, "bob": BOB, "dan": DAN, "guard": GUARD}
# The alarms that may take what is on standby, one that may not, and for how many minutes after a release.
ALARM, OTHER, STRANGE, BAKE = "errors", "latency", "another", 30
ALIAS = "live"
SERVICES = {"teams": ["teams-get", "teams-list"], "roles": ["roles-get"]}
RELEASES = ("v1.0.0", "v1.1.0", "v1.2.0")


class World:
    """`now` is seconds. `told` is the schedule so far in short sentences."""

    def __init__(
        self,
        *,
        policy: str = "none",
        keeps: bool = False,
        canary: bool = False,
        automatic: bool = False,
        production: bool = False,
    ) -> None:
        self.settings, self.files, self.root = _settings(policy, automatic=automatic, production=production)
        # Those that there are, by name, as CloudWatch would show them.
        self.alarms: dict[str, AlarmSeen] = {}
        self.now = 0.0
        self.notes: list[str] = []
        self.broken: BaseException | None = None
        self.processes: list[Process] = []
        self.letters: list[Letter] = []
        self.delivering = False
        self.struck: Callable[[Process, Call], None] = lambda _process, _call: None
        self._names = 0
        functions, parameters, dynamodb, self.now, self._names, kept = _story(policy, keeps, canary)
        self.functions: Lambda = functions
        self.parameters: Ssm = parameters
        self.dynamodb: DynamoDB = dynamodb
        self.dynamodb._now = lambda: self.now
        self.truth = Truth(self, kept)

    people = PEOPLE

    # -- time ------------------------------------------------------------------------------------------

    def pass_time(self, seconds: float) -> None:
        """Lets time go on; every beat that falls due meanwhile is given, unless its process stands still."""
        end = self.now + seconds
        while True:
            due = [
                (beat.at, number, process, beat)
                for number, process in enumerate(self.processes)
                if not process.stopped and not process.dead
                for beat in process.beats
                if beat.at <= end
            ]
            if not due:
                break
            at, _, process, beat = min(due, key=lambda one: one[:2])
            self.now = max(self.now, at)
            beat.at = self.now + beat.seconds
            process.beating_now = True
            try:
                again = beat.beat()
            except Killed:
                continue
            finally:
                process.beating_now = False
            if not again and beat in process.beats:
                process.beats.remove(beat)
        self.now = max(self.now, end)

    def identifier(self) -> str:
        """A name as a ULID is: 26 characters that sort by when it was given."""
        self._names += 1
        return f"01SYM{self._names:021d}"

    # -- alarms ------------------------------------------------------------------------------------------

    def alarm_turns(
        self, state: str, minutes: int, *, name: str = ALARM, flapped: bool = False, known: bool = True
    ) -> None:
        """An alarm is in a state since so many minutes after the newest release. `flapped`: it was red until five minutes
        before that release, too. `known`: its history is.
        """
        released = next(entry for entry in reversed(self.truth.timeline) if entry["kind"] == "deployment")

        def at(minute: float) -> str:
            return now_iso(datetime.fromisoformat(released["at"]) + timedelta(minutes=minute))

        changes = [Change(at=at(minutes), before="OK", state=state)]
        if flapped:
            changes += [
                Change(at=at(-5), before="ALARM", state="OK"),
                Change(at=at(-30), before="OK", state="ALARM"),
            ]
        self.alarms[name] = AlarmSeen(
            name=name, state=state, since=at(minutes), changes=tuple(changes if known else ())
        )
        self.note(
            f"alarm {name} is {state} since {minutes} minutes after {released['version']}"
            + (", and was red before" if flapped else "")
        )

    def read_alarms(self, process: Process) -> tuple[AlarmSeen, ...]:
        """What CloudWatch shows a process."""
        process.alarms_seen = dict(self.alarms)
        return tuple(self.alarms.values())

    # -- calls -----------------------------------------------------------------------------------------

    def carry_out(
        self, process: Process, call: Call, method: Callable[..., Any], request: Mapping[str, Any]
    ) -> Any:
        """What the service does with a request that has arrived, watched."""
        return self.truth.watched(process, call, method, request)

    def post(self, letter: Letter) -> None:
        self.letters.append(letter)

    def deliver(self) -> None:
        """Everything that was on its way arrives."""
        letters, self.letters = self.letters, []
        for letter in letters:
            self.note(f"{letter.process.name}'s {letter.call} arrives only now")
            self.delivering = True
            try:
                letter.deliver()
            except Exception as error:  # noqa: BLE001 - nobody hears the answer
                self.note(f"… and is refused: {type(error).__name__}")
            finally:
                self.delivering = False

    def on_branch(self, _root: Path, _branch: str, name: str) -> str:
        return self.files[name]

    # -- what anybody sees -----------------------------------------------------------------------------

    @property
    def names(self) -> list[str]:
        return list(self.settings.catalogue())

    def alias(self, function: str) -> AliasSeen | None:
        return _seen(self.functions, function)

    def item(self, pk: str, sk: str) -> dict[str, Any] | None:
        item = self.dynamodb._tables[TABLE].item((pk, sk))
        return None if item is None else _read(item)

    def partition(self, pk: str) -> list[dict[str, Any]]:
        found = [_read(item) for item, _ in self.dynamodb._tables[TABLE].partition(pk, 0)]
        return sorted(found, key=lambda item: str(item["SK"]))

    @staticmethod
    def manifest(items: list[dict[str, Any]]) -> dict[str, str]:
        """Function → version, of a release's items."""
        chunks = [json.loads(item["functions"]) for item in items if str(item["SK"]).startswith("FUNCTIONS#")]
        return {name: deployed["version"] for chunk in chunks for name, deployed in chunk.items()}

    # -- who works there -------------------------------------------------------------------------------

    def begin(self, person: str, verb: str, body: Callable[[Lifecycle], Any], **kind: Any) -> Process:
        number = sum(process.name.startswith(f"{person}'s {verb}") for process in self.processes)
        name = f"{person}'s {verb}" + (f" {number + 1}" if number else "")
        process = Process(self, name, PEOPLE[person], verb, body, **kind)
        self.processes.append(process)
        return process

    def note(self, sentence: str) -> None:
        self.notes.append(f"{self.now:8.2f}  {sentence.rstrip('.:')}.")

    def violated(self, what: str) -> Violation:
        self.broken = self.broken or Violation(what)
        assert isinstance(self.broken, BaseException)
        return self.broken if isinstance(self.broken, Violation) else Violation(what)

    def release(self, version: str) -> None:
        """Somebody deploys: a new version of every function, and its alias on it."""
        for name in self.names:
            if self.alias(name) is not None:
                number = self.functions.publish(name, version)
                self.functions.point(name, ALIAS, number)
                self.truth.outside_write(name)


def _seen(functions: Lambda, function: str) -> AliasSeen | None:
    held = functions._functions.get(function)
    alias = None if held is None else held.aliases.get(ALIAS)
    if alias is None:
        return None
    return AliasSeen(alias.version, tuple(sorted(alias.weights.items())), alias.description, alias.revision)


class Checkout:
    """A folder that holds the two settings files; that is all that is asked of it."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self._files = files

    def resolve(self) -> NoReturn:
        """It has no place of its own, by which what a verb has met could be kept for the tab key."""
        raise RuntimeError("There is no such folder.")

    def __truediv__(self, name: str) -> SimpleNamespace:
        # No file of a real folder: none that could name another folder for the stacks' files.
        return SimpleNamespace(
            read_text=lambda encoding: self._files[name],  # noqa: ARG005 - a Path's
            is_file=lambda: False,
        )


@cache
def _settings(
    policy: str, *, automatic: bool = False, production: bool = False
) -> tuple[Settings, dict[str, str], Any]:
    project, stack = texts(
        approval=policy,
        services=SERVICES,
        production=production,
        automatic={"takes": automatic, "alarms": [ALARM, OTHER], "bake": BAKE},
    )
    files = {"Pulumi.yaml": project, "Pulumi.dev.yaml": stack}
    return parse("dev", project, stack), files, Checkout(files)


def _story(policy: str, keeps: bool, canary: bool) -> Any:
    return pickle.loads(_story_files(policy, keeps, canary))  # noqa: S301 - written below


_NOTICED: dict[tuple[str, bool, bool], bytes] = {}


def _story_files(policy: str, keeps: bool, canary: bool) -> bytes:
    """Three releases, recorded; with `canary` one alias still gives a tenth to the release before, and nothing may go
    below the second release.
    """
    known = _NOTICED.get((policy, keeps, canary))
    if known is None:
        known = _NOTICED[policy, keeps, canary] = _serialized(policy, keeps=keeps, canary=canary)
    return known


def _serialized(policy: str, *, keeps: bool, canary: bool) -> bytes:
    world = World.__new__(World)
    world.settings, world.files, world.root = _settings(policy)
    world.now, world.notes, world.broken, world._names = 0.0, [], None, 0
    world.processes, world.letters, world.delivering = [], [], False
    world.functions = Lambda(noop_keeps_revision=keeps)
    world.parameters = Ssm()
    world.dynamodb = DynamoDB()
    create_table(world.dynamodb)
    world.truth = Truth(world, None)
    for name in world.names:
        world.functions.make_function(name)
    for version in RELEASES:
        for name in world.names:
            number = world.functions.publish(name, version)
            world.functions.point(name, ALIAS, number)
            if canary and version == RELEASES[-1] and name == world.names[0]:
                world.functions.point(name, ALIAS, number, {str(int(number) - 1): 0.1})
            world.truth.outside_write(name)
        process = world.begin(
            "dan",
            "record",
            lambda flow, version=version: record(
                flow.session,
                version,
                Commits(code=SHA),
                flow.ui,
                not_below=version if canary and version == RELEASES[1] else "",
            ),
        )
        process.run(lambda _: False)
        if process.error is not None:
            raise process.error
    del world.dynamodb._now
    parts = (
        world.functions,
        world.parameters,
        world.dynamodb,
        world.now,
        world._names,
        world.truth.kept(),
    )
    return pickle.dumps(parts, pickle.HIGHEST_PROTOCOL)
