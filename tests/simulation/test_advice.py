"""The advice is typed: whatever has happened, what `status` says to type next is not refused and goes not too far back.

Hypothesis decides what happens to a simulated account: releases, deployments nobody recorded, canaries, rollbacks
that are killed or fail in verification, quarantines, freezes, other operators. The advised line goes through the real
command line's parser, and its verb runs on the same world.
"""

from __future__ import annotations

import io
import itertools
import shlex
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from typing import Any

import pytest
import typer
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from rollback.cli.app import app
from rollback.lifecycle import context
from rollback.lifecycle.freeze import freeze, unfreeze
from rollback.lifecycle.lifecycle import Lifecycle
from rollback.lifecycle.quarantine import lift, quarantine
from rollback.model.advice import Advice, Step
from rollback.model.identity import Actor
from rollback.model.request import AliasesRequest
from rollback.model.situation import State
from rollback.queries.status import Overview, overview
from rollback.releases.record_release import Commits, record
from tests.simulation.faults import on_the_way
from tests.simulation.play import Play
from tests.simulation.process import Process
from tests.simulation.world import ALIAS, World

_REFUSED = (2, 3)
_STEPS = 12
people = st.sampled_from(("alice", "carol"))
functions = st.integers(0, 2)


@contextmanager
def session_of(process: Process) -> Iterator[None]:
    """Verbs act in a simulated process's sessions, each operation in one of its own."""
    real = context.begin, context.session_of
    context.begin = context.session_of = lambda *_, **__: process.session()  # type: ignore[assignment]
    try:
        yield
    finally:
        context.begin, context.session_of = real


def typed(world: World, line: str, who: Actor) -> tuple[int, str]:
    """Types a line as `who`: the exit code, and what came on the terminal."""
    program, *arguments = shlex.split(line)
    assert program == "rollback", line
    process = Process(world, f"{who.person}'s line", who, arguments[0], lambda _: None)
    if "--digest" in arguments:
        process.said = arguments[arguments.index("--digest") + 1]
    shown = io.StringIO()
    with redirect_stdout(shown), redirect_stderr(shown):
        try:
            with session_of(process), _one_recording(process, arguments):
                code = app(arguments, standalone_mode=False)
        except typer.TyperException as error:
            code = error.exit_code
    if world.broken is not None:
        raise world.broken
    return int(code or 0), shown.getvalue()


@contextmanager
def _one_recording(process: Process, arguments: list[str]) -> Iterator[None]:
    """A release's commits are looked up in a checkout and in an engine, and here there is neither."""
    from rollback.releases import record_release  # noqa: PLC0415

    real = record_release.commits_for
    record_release.commits_for = lambda _, commit, __: Commits(code=commit)
    try:
        yield
    finally:
        record_release.commits_for = real


class Advised(RuleBasedStateMachine):
    """One run is one sequence of events; the advice is typed at any moment of it."""

    @initialize(policy=st.sampled_from(("none", "none", "identity")), canary=st.booleans())
    def begins(self, *, policy: str, canary: bool) -> None:
        self.policy = policy
        self.play = Play(World(policy=policy, canary=canary), policy)
        self._released = 0

    @property
    def world(self) -> World:
        return self.play.world

    def by(self, person: str, verb: str, body: Callable[[Any], Any]) -> None:
        """A verb of somebody's, to its end, refused or not."""
        self.play.finish(self.world.begin(person, verb, body))

    # -- what happens ----------------------------------------------------------------------------------

    @rule(recorded=st.booleans(), only=st.none() | functions)
    def deploy(self, *, recorded: bool, only: int | None) -> None:
        """Somebody deploys, all or one function; and records it, or does not."""
        self._released += 1
        version = f"v3.{self._released}.0"
        world = self.world
        world.note(f"dan deploys {version}, {'all' if only is None else world.names[only]}")
        for name in world.names if only is None else [world.names[only]]:
            world.functions.point(name, ALIAS, world.functions.publish(name, version))
            world.truth.outside_write(name)
        if recorded:
            self.by(
                "dan", "record", lambda flow: record(flow.session, version, Commits(code="b" * 40), flow.ui)
            )

    @rule(to=st.integers(0, 4), only=st.none() | functions)
    def by_hand(self, *, to: int, only: int | None) -> None:
        """Somebody points aliases at a version that there is already."""
        world = self.world
        for name in world.names if only is None else [world.names[only]]:
            there = sorted(world.functions._functions[name].versions, key=int)
            world.functions.point(name, ALIAS, there[-1 - to % len(there)])
            world.truth.outside_write(name)
        world.note(f"somebody moves {'all' if only is None else world.names[only]} by hand, {to} back")

    @rule(only=functions)
    def canary(self, *, only: int) -> None:
        world = self.world
        name = world.names[only]
        seen = world.alias(name)
        assert seen is not None
        other = "1" if seen.version != "1" else "2"
        world.note(f"somebody gives version {other} of {name} a quarter")
        world.functions.point(name, ALIAS, seen.version, {other: 0.25})
        world.truth.outside_write(name)

    @rule(
        person=people,
        to=st.sampled_from(("previous", "v1.0.0", "v1.1.0", "v1.2.0")),
        part=st.booleans(),
        killed=st.none()
        | st.sampled_from(("lease", "plan", "open", "execute", "verify", "publish", "close")),
        calls=st.integers(0, 3),
        dies=st.sampled_from((None, 1, 70, 70)),
    )
    @precondition(lambda self: not self.play.crowded)
    def roll_back(
        self, *, person: str, to: str, part: bool, killed: str | None, calls: int, dies: int | None
    ) -> None:
        """To its end, or to a moment at which it stands still, or is killed so many seconds ago."""
        process = self.play.rollback(person, to, ("teams",) if part else ())
        if killed is None:
            self.play.finish(process)
        elif self.play.to(process, killed, 1) and self.play.go(process, calls) and dies:
            self.play.kill(process)
            self.play.pass_time(dies)

    @rule(person=people)
    @precondition(lambda self: self.policy == "none" and not self.play.crowded)
    def interrupted(self, *, person: str) -> None:
        """Somebody presses Ctrl-C in the middle."""

        def body(flow: Lifecycle) -> Any:
            stops.append(flow.stop)
            return flow.start("aliases", AliasesRequest(), "it went bad")

        stops: list[threading.Event] = []
        process = self.world.begin(person, "rollback", body)
        self.play.to(process, "execute", 2)
        stops[0].set()
        self.play.finish(process)

    @rule(person=people)
    @precondition(lambda self: self.policy == "none" and not self.play.crowded)
    def fail(self, *, person: str) -> None:
        """A rollback whose verification fails: the parameter cannot be written."""
        process = self.play.rollback(person)
        if self.play.to(process, "publish", 1, writing=True):
            process.wire.armed = on_the_way("lost request", 1)
            self.play.finish(process)

    @rule(
        verb=st.sampled_from(("approve", "apply", "resume", "abort")),
        which=functions,
        dies=st.booleans(),
        calls=st.integers(1, 12),
    )
    @precondition(lambda self: self.world.truth.stories and not self.play.crowded)
    def act(self, *, verb: str, which: int, dies: bool, calls: int) -> None:
        found = list(self.world.truth.stories)
        process = self.play.act("bob" if verb == "approve" else "alice", verb, found[-1 - which % len(found)])
        if not dies:
            self.play.finish(process)
        elif self.play.go(process, calls):
            self.play.kill(process)
            self.play.pass_time(70)

    @rule(which=functions)
    @precondition(lambda self: self.play.live)
    def finish(self, *, which: int) -> None:
        live = self.play.live
        self.play.finish(live[which % len(live)])

    @rule(back=st.integers(0, 3), lifted=st.booleans(), part=st.booleans())
    def quarantined(self, *, back: int, lifted: bool, part: bool) -> None:
        versions = list(
            dict.fromkeys(e["version"] for e in self.world.truth.timeline if e["kind"] == "deployment")
        )
        version = versions[-1 - back % len(versions)]
        services = ["teams"] if part else []
        change = lift if lifted else quarantine
        self.world.note(f"dan: {change.__name__} {version} {services}")
        self.by("dan", change.__name__, lambda flow: change(flow.session, version, services, "so"))

    @rule(person=people, ends=st.booleans())
    def frozen(self, *, person: str, ends: bool) -> None:
        change = unfreeze if ends else freeze
        self.world.note(f"{person}: {change.__name__}")
        self.by(person, change.__name__, lambda flow: change(flow.session, "so"))

    @rule(seconds=st.sampled_from((1, 20, 70)))
    def wait(self, *, seconds: int) -> None:
        self.play.pass_time(seconds)

    # -- what is advised -------------------------------------------------------------------------------

    @rule(person=people, which=st.integers(0, 5))
    def looks(self, *, person: str, which: int) -> None:
        """As often again: it is what all of this is about."""
        self.advice(person=person, which=which)

    @rule(person=people, which=st.integers(0, 5))
    def advice(self, *, person: str, which: int) -> None:
        view = self.seen(person)
        steps = [step for each in view.advice for step in each.steps]
        self.healthy_asks_for_nothing(view)
        for each in view.advice:
            self.goes_not_too_far(each)
        if steps:
            self.not_refused(steps[which % len(steps)], person, view)
        elif view.ways:
            way = next((way for way in view.ways if way.kind == "aliases"), None)
            if way and which == 0:
                self.not_refused(Step(command=way.command), person, view)

    def seen(self, person: str) -> Overview:
        process = Process(
            self.world, f"{person}'s status", self.world.people[person], "status", lambda _: None
        )
        view = overview(process.session())
        self.play.check()
        assert view.advice
        return view

    def not_refused(self, step: Step, person: str, view: Overview) -> None:
        people = self.world.people
        who = people["bob"] if step.command.startswith("rollback approve") else people[person]
        if step.command.startswith("rollback release record"):
            # Under the deployer's role, and still the one whom a freeze of their own does not bind.
            who = replace(who, role=people["dan"].role)
        # Who began it cannot be the one who approves it; whoever else holds the environment frozen is seen by both.
        self.world.note(
            f"{who.person} types: {step.command}  ({', '.join(each.state for each in view.advice)})"
        )
        code, shown = typed(self.world, step.command, who)
        story = "\n".join(self.world.notes)
        assert code not in _REFUSED, f"{story}\n{step.command}: exit {code}\n{shown}"

    def goes_not_too_far(self, advice: Advice) -> None:
        """Each step goes to the newest good release; or, in a drift, to the next good one before it, beside a step that
        does not, and first of the two only where somebody has gone there by hand, or has failed to leave the newest one.
        """
        story = "\n".join([*self.world.notes, *advice.commands])
        nearest: list[int] = []
        further: list[int] = []
        for place, step in enumerate(advice.steps):
            words = shlex.split(step.command)
            if words[:2] != ["rollback", "lambda"]:
                continue
            options = dict(itertools.pairwise(words))
            to = options["--to"]
            services = (
                options["--services"].split(",") if "--services" in options else self.world.settings.services
            )
            for service in services:
                good = self.good(service)
                assert good, f"{story}\nnothing is good for {service}"
                assert to in good[:2], f"{story}\n{service} could go to {good[0]}"
                (nearest if to == good[0] else further).append(place)
        if further:
            assert advice.state in (State.DRIFT, State.DRIFT_TO_RECORDED), story
            assert nearest, f"{story}\nnothing goes to what was recorded last"
            assert min(nearest) < min(further) or self.begun_by_hand() or self.reverted(), story

    def reverted(self) -> bool:
        """Whether the newest rollback was reverted."""
        records = [entry for entry in self.world.truth.timeline if entry["kind"] in ("opened", "rollback")]
        return bool(records) and records[-1]["status"] == "REVERTED"

    def begun_by_hand(self) -> bool:
        """Whether somebody has moved a function to where the good release before the deployed one has it."""
        world = self.world
        manifests = self.manifests()
        for name, service in world.settings.catalogue().items():
            good, alias = self.good(service), world.alias(name)
            if len(good) > 1 and alias is not None:
                last, before = (manifests[version].get(name) for version in good[:2])
                if alias.version == before != last:
                    return True
        return False

    def manifests(self) -> dict[str, dict[str, str]]:
        """Release → function → version."""
        return {
            entry["version"]: self.world.manifest(self.world.partition(f"DEPLOYMENT#{entry['id']}"))
            for entry in self.world.truth.timeline
            if entry["kind"] == "deployment"
        }

    def good(self, service: str) -> list[str]:
        """The releases of a service, newest first, from the deployed one on, that are neither quarantined nor failed in
        verification.
        """
        timeline = list(reversed(self.world.truth.timeline))
        order = list(
            dict.fromkeys(
                entry["version"]
                for entry in timeline
                if entry["kind"] == "deployment" and service in entry["services"]
            )
        )
        deployed = timeline[0]["stands"].get(service)
        order = order[order.index(deployed) :] if deployed in order else order
        bad = {
            item["version"]
            for item in self.world.partition("RELEASE#dev")
            if str(item["SK"]).startswith(f"QUARANTINE#{service}#") and not item.get("lifted_at")
        } | self.world.truth.not_verified(service)
        return [version for version in order if version not in bad]

    def healthy_asks_for_nothing(self, view: Overview) -> None:
        """As this test sees it: every alias is where the newest release that is deployed has it, all is whole."""
        world = self.world
        stands = world.truth.timeline[-1]["stands"]
        manifests = self.manifests()
        catalogue = world.settings.catalogue()
        seen = {name: world.alias(name) for name in catalogue}
        at_home = all(
            service in stands
            and (alias := seen[name]) is not None
            and alias.version == manifests[stands[service]].get(name)
            for name, service in catalogue.items()
        )
        # One that was recorded so is as recorded.
        weighted = any(alias is not None and alias.weights for alias in seen.values())
        good = all(self.good(service)[:1] == [stands.get(service)] for service in world.settings.services)
        idle = "owner" not in (world.item("LOCK#dev", "aliases") or {})
        open_ = self.play.records(
            "PLANNED", "AWAITING_APPROVAL", "STANDBY", "IN_PROGRESS", "FAILED", "REVERTED"
        )
        states = {each.state for each in view.advice}
        asked = [step.command for each in view.advice for step in each.steps]
        if at_home and not weighted and good and idle and not open_:
            assert not asked, "\n".join([*world.notes, *asked])
            assert states <= {State.HEALTHY, State.MIXED, State.FROZEN}
        elif not at_home:
            assert asked, "\n".join([*world.notes, str(states)])

    def teardown(self) -> None:
        for process in self.play.live if hasattr(self, "play") else ():
            process.kill()


class OnStandby(Advised):
    """The same, where ways back are on standby as well, approved or not, taken, left half-way, or ended."""

    @rule(minutes=st.sampled_from((1, 45, 45)), approved=st.sampled_from((True, True, False)))
    @precondition(lambda self: not self.play.crowded)
    def prepare(self, *, minutes: int, approved: bool) -> None:
        self.by("dan", "prepare", lambda flow: flow.prepare(minutes))
        for name in self.play.records("STANDBY")[-1:] if approved else ():
            self.play.finish(self.play.act("bob", "approve", name))

    @rule(calls=st.integers(1, 60), dies=st.booleans())
    @precondition(lambda self: not self.play.crowded)
    def take(self, *, calls: int, dies: bool) -> None:
        process = self.play.take("carol")
        if not dies:
            self.play.finish(process)
        elif self.play.go(process, calls):
            self.play.kill(process)
            self.play.pass_time(70)

    @rule()
    def its_time_is_over(self) -> None:
        self.play.pass_time(46 * 60)


def played(examples: int, *, derandomize: bool = True, kind: type[Advised] = Advised) -> None:
    run_state_machine_as_test(
        kind,
        settings=settings(
            max_examples=examples,
            stateful_step_count=_STEPS,
            deadline=None,
            database=None,
            derandomize=derandomize,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink],
            print_blob=False,
            report_multiple_bugs=False,
        ),
    )


@pytest.mark.finding("U1")
@pytest.mark.finding("U3")
@pytest.mark.finding("M2")
@pytest.mark.finding("F6")
def test_the_advised_line_is_not_refused_and_goes_back_no_further_than_it_must() -> None:
    played(100)


def test_so_it_is_with_ways_back_on_standby() -> None:
    played(60, kind=OnStandby)


@pytest.mark.soak
def test_so_it_is_with_ways_back_on_standby_in_a_thousand_sequences() -> None:
    played(1000, derandomize=False, kind=OnStandby)


@pytest.mark.soak
def test_so_it_is_in_a_thousand_other_sequences() -> None:
    played(2000, derandomize=False)
