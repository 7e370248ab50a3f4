"""Whether the guard would act: its function is run, and messages that it could not process are told apart by what came later."""

from __future__ import annotations

import hashlib
import io
import json
import threading
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from rollback import Code, Environment, Refused, RollbackError
from rollback.guard import api as guard
from rollback.guard import function as guard_function
from rollback.model.guarding import other_runtime
from rollback.model.identity import Actor
from rollback.util.canonical import plain
from tests.coded import coded
from tests.doubles.clock import BEGAN
from tests.doubles.functions import client_error
from tests.doubles.instead import Instead
from tests.doubles.world import ALICE, DAN, World, settings

GUARD = Actor(role="acme-dev-guard-role", person="acme-dev-guard")
ALARMS = ("acme-dev-guard-teams", "acme-dev-guard-roles")
TOPIC = "arn:aws:sns:eu-west-1:111122223333:acme-dev-guard-alarms"
FUNCTION = "arn:aws:lambda:eu-west-1:111122223333:function:acme-dev-guard"
RELEASED = 7200
UP = "pulumi up --stack dev-foundation"
BUILD = "rollback guard build --env dev"


@dataclass
class Deployed:
    """A guard as `pulumi up` declares it; its function runs in this process. `fails` replaces what it answers."""

    world: World
    runtime: str = "python3.13"
    code: str = "deployed"
    deployed_at: datetime = BEGAN
    failed: list[datetime] = field(default_factory=list)
    aside: int = 0
    alarms: tuple[str, ...] = ALARMS
    fails: Callable[[], dict[str, Any]] | None = None
    reports: list[dict[str, Any]] = field(default_factory=list)

    def get_function_configuration(self, **_: str) -> dict[str, str]:
        at = self.deployed_at.strftime("%Y-%m-%dT%H:%M:%S.000+0000")
        return {"State": "Active", "Runtime": self.runtime, "LastModified": at, "CodeSha256": self.code}

    def get_function_concurrency(self, **_: str) -> dict[str, int]:
        return {"ReservedConcurrentExecutions": 1}

    def invoke(self, **asked: str) -> dict[str, Any]:
        assert asked["FunctionName"] == "acme-dev-guard"
        answer = self.fails() if self.fails else self.handles(json.loads(asked["Payload"]))
        return {"Payload": io.BytesIO(json.dumps(answer).encode())}

    def handles(self, event: object) -> dict[str, Any]:
        return guard_function._handled(event, self.world.session(GUARD), threading.Event())

    def get_queue_url(self, **_: str) -> dict[str, str]:
        return {"QueueUrl": "https://sqs.example/failed"}

    def get_queue_attributes(self, **_: Any) -> dict[str, Any]:
        shown = {"ApproximateNumberOfMessages": str(len(self.failed))}
        return {"Attributes": {**shown, "ApproximateNumberOfMessagesNotVisible": str(self.aside)}}

    def receive_message(self, **asked: Any) -> dict[str, Any]:
        assert asked["VisibilityTimeout"], "else the next read finds the same ones"
        sent = ((str(number), at) for number, at in enumerate(self.failed))
        return {
            "Messages": [
                {"MessageId": name, "Attributes": {"SentTimestamp": str(int(at.timestamp() * 1000))}}
                for name, at in sent
            ]
        }

    def list_subscriptions_by_topic(self, **_: str) -> dict[str, Any]:
        return {"Subscriptions": [{"Endpoint": FUNCTION}]}

    def publish(self, **asked: str) -> None:
        self.reports.append(json.loads(asked["Message"]))

    def describe_alarms(self, **_: Any) -> dict[str, Any]:
        alarm = {"ActionsEnabled": True, "AlarmActions": [TOPIC], "StateValue": "OK"}
        return {"CompositeAlarms": [{"AlarmName": name, **alarm} for name in self.alarms]}

    def guard(self) -> guard.Guard:
        opened = Environment(self.world.session(ALICE), anew=lambda **_: self.world.session(ALICE))
        return guard.Guard(opened)

    def minutes(self, after: float) -> datetime:
        return BEGAN + timedelta(seconds=RELEASED, minutes=after)

    def ends(self) -> RollbackError | None:
        return guard.error(plain(self.guard().status()), "It would not act.")


@pytest.fixture
def deployed(world: World) -> Deployed:
    """v1.3.0 was recorded two hours after the beginning, and its standby is there."""
    world.settings = settings(automatic={"takes": True, "bake": 30}, guard={"errors": 5})
    found = Deployed(world)
    names = ("get_function_configuration", "get_function_concurrency", "invoke")
    world.invokers["lambda"] = Instead(world.functions, **{name: getattr(found, name) for name in names})  # type: ignore[assignment] # a client as good as any
    for service in ("sqs", "sns"):
        world.invokers[service] = found  # type: ignore[assignment] # as above
    alarms = Instead(world.metrics, describe_alarms=found.describe_alarms)
    world.invokers["cloudwatch"] = alarms  # type: ignore[assignment] # as above
    world.invokers["scheduler"] = SimpleNamespace()  # type: ignore[assignment] # as above
    world.story()
    world.clock.seconds = RELEASED
    world.release("v1.3.0")
    world.record("v1.3.0")
    world.flow(DAN).prepare(45)
    for name in ALARMS:
        world.metrics.alarms[name] = [(BEGAN - timedelta(days=1), "OK")]
    return found


@pytest.mark.finding("A2")
def test_it_would_act_if_its_function_has_just_run_which_nobody_is_told(deployed: Deployed) -> None:
    state = deployed.guard().status()

    assert (state.ok, state.problems, state.unknown, state.code) == (True, (), "", "")
    assert deployed.reports == []
    assert deployed.ends() is None


@pytest.mark.finding("A2")
def test_a_function_that_fails_would_not_act(deployed: Deployed) -> None:
    deployed.fails = lambda: {"errorMessage": "cannot import name 'ArgsKwargs' from 'pydantic_core'"}

    state = deployed.guard().status()

    assert (state.ok, state.code, state.next) == (False, Code.AWS_ERROR, (BUILD, UP))
    assert "ArgsKwargs" in state.problems[0]
    ended = deployed.ends()
    assert ended is not None
    assert ended.exit_code == 1


@pytest.mark.finding("A2")
def test_where_its_function_cannot_be_run_it_is_not_known_whether_it_would_act(deployed: Deployed) -> None:
    def busy() -> dict[str, Any]:
        raise client_error("Invoke", "TooManyRequestsException")

    deployed.fails = busy

    ended = deployed.ends()

    assert isinstance(ended, Refused)
    assert (ended.exit_code, ended.code) == (3, Code.THROTTLED)
    assert ended.next.startswith("rollback guard status --env dev")


@pytest.mark.finding("A2")
def test_what_to_type_is_never_what_was_just_typed(deployed: Deployed) -> None:
    """The deployed package is the one that is here: to build it again would change nothing."""
    package = deployed.world.root / "guard.zip"
    package.write_bytes(b"PK")
    deployed.code = b64encode(hashlib.sha256(b"PK").digest()).decode()
    deployed.fails = lambda: {"errorMessage": "Task timed out after 300.00 seconds"}

    with pytest.raises(RollbackError, check=coded(Code.AWS_ERROR)) as raised:
        deployed.guard().test()

    assert raised.value.next.startswith("aws logs tail /aws/lambda/acme-dev-guard ")


@pytest.mark.finding("A2")
@pytest.mark.parametrize(
    ("declared", "first"),
    [("python3.13", "Set rollback:guard's runtime to python3.11 in Pulumi.dev.yaml"), ("python3.11", BUILD)],
    ids=["Lambda runs another Python than is declared", "the package is for another than is declared"],
)
def test_a_package_for_another_python_names_the_line_that_differs(
    deployed: Deployed, declared: str, first: str
) -> None:
    deployed.runtime = declared
    deployed.world.settings = settings(
        automatic={"takes": True, "bake": 30}, guard={"errors": 5, "runtime": declared}
    )
    deployed.fails = lambda: {"errorMessage": f"Init failed: {other_runtime('python3.13', 'python3.11')}"}

    with pytest.raises(RollbackError, check=coded(Code.AWS_ERROR)) as raised:
        deployed.guard().test()

    line, *rest = raised.value.next.splitlines()
    assert line.startswith(first)
    assert rest[-1] == UP


def test_a_runtime_other_than_that_of_the_settings_is_a_problem(deployed: Deployed) -> None:
    deployed.world.settings = settings(
        automatic={"takes": True, "bake": 30}, guard={"errors": 5, "runtime": "python3.12"}
    )

    state = deployed.guard().status()

    assert (state.code, state.next) == (Code.NOT_DECLARED, (BUILD, UP))


@pytest.mark.finding("B5")
@pytest.mark.parametrize(("there", "acts"), [(ALARMS[1:], True), ((), False)], ids=["one is gone", "all are"])
def test_an_alarm_that_is_gone_leaves_the_others_which_start_it(
    deployed: Deployed, there: tuple[str, ...], acts: bool
) -> None:
    deployed.alarms = there

    state = deployed.guard().status()

    assert (state.acts, state.code, state.next) == (acts, Code.NOT_DECLARED, (UP,))
    assert len(state.problems) == len(ALARMS) - len(there)
    ended = deployed.ends()
    assert ended is not None
    assert (ended.exit_code, ALARMS[0] in ended.what) == (1, acts)
    assert deployed.guard().test(ALARMS[1])["acts"] is acts


@pytest.mark.finding("A3")
def test_messages_from_before_the_release_are_settled(deployed: Deployed) -> None:
    deployed.failed = [deployed.minutes(-1), deployed.minutes(-2)]

    state = deployed.guard().status()

    assert (state.ok, state.failed, state.missed) == (True, 2, 0)
    tested = deployed.guard().test()
    assert (tested["code"], tested["missed"]) == ("", 0)


@pytest.mark.finding("A3")
def test_a_message_since_the_release_has_a_code_of_its_own_and_lines_to_type(deployed: Deployed) -> None:
    deployed.failed = [deployed.minutes(-1), deployed.minutes(5)]

    ended = deployed.ends()

    assert ended is not None
    assert (ended.exit_code, ended.code) == (1, Code.ALARM_MISSED)
    assert ended.next.splitlines()[0].startswith("rollback status --env dev")
    assert "aws sqs purge-queue --queue-url https://sqs.example/failed" in ended.next
    assert deployed.guard().status().missed == 1
    assert deployed.guard().test()["code"] == Code.ALARM_MISSED


@pytest.mark.finding("A3")
def test_an_alarm_that_was_missed_and_is_still_in_alarm_says_to_take_the_standby(deployed: Deployed) -> None:
    deployed.world.clock.seconds += 300
    deployed.world.metrics.alarms[ALARMS[0]].append((deployed.minutes(1), "ALARM"))
    deployed.failed = [deployed.minutes(4)]

    state = deployed.guard().status()

    assert (state.code, state.decision) == (Code.ALARM_MISSED, "TAKE")
    assert state.next[0].startswith("rollback standby take --env dev")


@pytest.mark.finding("A3")
@pytest.mark.parametrize("how", ["rolled back", "processed an alarm", "deployed again"])
def test_a_message_is_settled_by_what_came_after_it(deployed: Deployed, how: str) -> None:
    deployed.failed = [deployed.minutes(5)]
    assert deployed.guard().status().missed == 1
    deployed.world.clock.seconds += 600

    if how == "rolled back":
        deployed.world.flow(ALICE).take("checkout fails")
    elif how == "processed an alarm":
        deployed.handles({"Records": []})
    else:
        deployed.deployed_at = deployed.minutes(6)

    assert deployed.guard().status().missed == 0


@pytest.mark.finding("A3")
def test_a_message_that_another_reader_has_just_read_counts_as_new(deployed: Deployed) -> None:
    deployed.aside = 1

    assert deployed.guard().status().missed == 1


@pytest.mark.finding("A4")
@pytest.mark.parametrize("event", [[], [{"Records": []}], None, 7, 1.5, True, "ALARM"])
def test_what_is_no_alarm_is_reported_and_moves_nothing(deployed: Deployed, event: object) -> None:
    deployed.world.metrics.alarms[ALARMS[0]].append((deployed.minutes(1), "ALARM"))
    before = deployed.world.timeline().newest

    answer = deployed.handles(event)

    assert answer["code"] == "NOT_AN_ALARM"
    assert [one["code"] for one in deployed.reports] == ["NOT_AN_ALARM"]
    assert deployed.world.timeline().newest == before
    assert deployed.world.deployed == "v1.3.0"
