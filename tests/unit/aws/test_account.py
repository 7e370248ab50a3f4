"""What AWS, the clock and the smoke command answer, in this project's words."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any, cast

import pytest
import time_machine
from botocore import exceptions

from rollback.api.events import Reporter, WorkBegan, WorkEnded
from rollback.aws.account import Account, _actor, _clock_ahead, explained, was_refused
from rollback.aws.pacing import Throttles
from rollback.lifecycle import smoke_test
from rollback.lifecycle.context import begin
from rollback.model.identity import Actor
from rollback.model.record import now_iso
from rollback.model.taking import login
from rollback.setup.login.assume import own
from rollback.util.errors import Code, RollbackError, UsageError
from tests.coded import coded
from tests.doubles.functions import client_error, no_answer
from tests.doubles.world import settings, texts

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def answer(error: Exception, *, before: bool = False) -> RollbackError:
    with pytest.raises(RollbackError) as raised, explained("doing it", before=before):
        raise error
    return raised.value


@pytest.mark.parametrize(
    ("error", "exit_code", "code", "then"),
    [
        (exceptions.NoCredentialsError(), 2, Code.NO_CREDENTIALS, "make up"),
        (exceptions.ProfileNotFound(profile="x"), 2, Code.CREDENTIALS_INVALID, "Log in"),
        (exceptions.UnauthorizedSSOTokenError(), 2, Code.CREDENTIALS_INVALID, "aws sso login"),
        (client_error("X", "ExpiredToken"), 2, Code.CREDENTIALS_INVALID, "Log in"),
        (client_error("X", "InvalidClientTokenId"), 2, Code.CREDENTIALS_INVALID, "Log in"),
        (client_error("X", "RequestTimeTooSkewed", "too skewed"), 2, Code.CLOCK_WRONG, "clock"),
        (
            client_error("X", "InvalidSignatureException", "Signature expired: 1 is now earlier"),
            2,
            Code.CLOCK_WRONG,
            "clock",
        ),
        (client_error("X", "AccessDeniedException", "no"), 1, Code.ACCESS_DENIED, "role"),
        (
            client_error("GetItem", "ResourceNotFoundException", "Requested resource not found"),
            1,
            Code.NOT_DECLARED,
            "pulumi up",
        ),
        (client_error("X", "ThrottlingException", "slow"), 1, Code.THROTTLED, ""),
        (no_answer(), 1, Code.AWS_UNREACHABLE, "network"),
        (
            exceptions.EndpointConnectionError(endpoint_url="https://x"),
            1,
            Code.AWS_UNREACHABLE,
            "network",
        ),
        (ValueError("Invalid endpoint: x"), 1, Code.AWS_ERROR, ""),
        (exceptions.NoRegionError(), 1, Code.AWS_ERROR, ""),
    ],
    ids=str,
)
def test_each_trouble_has_its_exit_code_its_code_and_its_next_step(
    error: Exception, exit_code: int, code: Code, then: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)

    message = answer(error)

    assert (message.exit_code, message.code) == (exit_code, code)
    # Whatever may have been done was being done; credentials and clock are wrong for everything.
    assert exit_code == 2 or "doing it" in message.what
    assert then in message.next
    assert message.__cause__ is error


@pytest.mark.finding("B11")
@pytest.mark.parametrize("environment", ["dev", None])
def test_invalid_credentials_name_the_login_of_the_environment_or_of_each(
    environment: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    project, stack = texts()
    for name, text in {"Pulumi.yaml": project, "Pulumi.dev.yaml": stack, "Pulumi.sit.yaml": stack}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.setenv("AWS_PROFILE", "gone")

    with pytest.raises(UsageError, check=coded(Code.CREDENTIALS_INVALID)) as raised:
        begin(environment, tmp_path)

    names = [environment] if environment else ["dev", "sit"]
    assert raised.value.next.splitlines() == [f"rollback login --env {name}" for name in names]


@pytest.mark.finding("B11")
@pytest.mark.parametrize(
    ("role", "command"),
    [
        ("acme-dev-approver-role", "rollback login --env dev --role approver"),
        ("user", "rollback login --env dev"),
        ("AWSReservedSSO_OnCall_0123456789abcdef", "aws sso login"),
    ],
)
def test_who_had_a_role_logs_in_with_it_again(role: str, command: str) -> None:
    assert login("dev", role) == command


@pytest.mark.finding("B11")
def test_a_login_that_finds_invalid_keys_does_not_name_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "gone")

    with pytest.raises(UsageError, check=coded(Code.CREDENTIALS_INVALID)) as raised:
        own(settings(), "")

    assert "--profile" in raised.value.next


def test_what_goes_wrong_before_anything_can_have_changed_is_usage() -> None:
    assert answer(no_answer(), before=True).exit_code == 2
    assert answer(client_error("X", "AccessDenied"), before=True).exit_code == 2


def test_an_error_of_our_own_passes_as_it_is() -> None:
    ours = UsageError("ours")

    assert answer(ours) is ours


def test_a_local_endpoint_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")

    message = answer(no_answer())

    assert "http://127.0.0.1:1" in message.what
    assert "make up" in message.next


def test_a_password_in_an_endpoint_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://alice:hunter22@127.0.0.1:1")

    message = answer(no_answer())

    assert "127.0.0.1:1" in message.what
    assert "hunter22" not in message.what


def test_what_botocore_says_in_two_lines_is_shown_in_one() -> None:
    error = exceptions.ParamValidationError(report='Invalid bucket name "a@b"')

    assert answer(error).what.endswith('Invalid bucket name "a@b"')


@pytest.mark.parametrize(
    ("status", "attempts", "refused"),
    [(400, 0, True), (403, 0, True), (403, 1, False), (429, 0, False), (408, 0, False), (500, 0, False)],
)
def test_only_a_no_at_the_first_asking_was_not_done(status: int, attempts: int, refused: bool) -> None:
    error = client_error("X", "Whatever")
    error.response["ResponseMetadata"] = {"HTTPStatusCode": status, "RetryAttempts": attempts}  # type: ignore[typeddict-item]

    assert was_refused(answer(error)) is refused
    assert not was_refused(answer(no_answer()))


@pytest.mark.parametrize("minutes", [-4, 0, 4])
def test_a_clock_a_few_minutes_off_works(minutes: int) -> None:
    with time_machine.travel(NOW, tick=False):
        _clock_ahead(format_datetime(NOW + timedelta(minutes=minutes), usegmt=True))


@pytest.mark.parametrize(("minutes", "text"), [(-10, "ahead of"), (10, "behind")])
def test_a_clock_ten_minutes_off_is_named(minutes: int, text: str) -> None:
    with (
        time_machine.travel(NOW, tick=False),
        pytest.raises(UsageError, match="10 minutes", check=coded(Code.CLOCK_WRONG)) as raised,
    ):
        _clock_ahead(format_datetime(NOW + timedelta(minutes=minutes), usegmt=True))

    assert text in raised.value.what


@pytest.mark.finding("S13")
@pytest.mark.parametrize(("seconds", "ahead"), [(0, 0), (2, 0), (-2, 0), (90, -90), (-90, 90), (-3, 3)])
def test_how_far_a_clock_is_off_is_known_as_far_as_an_answer_shows(seconds: int, ahead: int) -> None:
    with time_machine.travel(NOW, tick=False):
        assert _clock_ahead(format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)) == ahead


@pytest.mark.finding("S13")
def test_what_is_written_down_has_the_time_of_aws_and_not_of_a_clock_that_is_off(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, text in zip(("Pulumi.yaml", "Pulumi.dev.yaml"), texts(), strict=True):
        (tmp_path / name).write_text(text, encoding="utf-8")
    account = Account(
        settings=settings(),
        caller=Actor(role="r", person="p"),
        lambda_=cast("Any", None),
        dynamodb=cast("Any", None),
        throttles=Throttles(),
        ahead=200.0,
    )
    monkeypatch.setattr("rollback.lifecycle.context.connect", lambda _: account)

    with time_machine.travel(NOW, tick=False):
        session = begin("dev", tmp_path)

        assert session.now() == NOW - timedelta(seconds=200)
        assert session.clocks.now() == now_iso(NOW - timedelta(seconds=200))


def test_an_answer_without_a_date_does_not_mention_the_clock() -> None:
    assert _clock_ahead(None) == 0


@pytest.mark.parametrize(
    ("arn", "actor"),
    [
        (
            "arn:aws:sts::1:assumed-role/acme-rollback-role/alice",
            Actor(role="acme-rollback-role", person="alice"),
        ),
        ("arn:aws:sts::1:assumed-role/r/alice@example.com", Actor(role="r", person="alice@example.com")),
        ("arn:aws:iam::1:user/alice", Actor(role="user", person="alice")),
        ("arn:aws:iam::1:user/teams/alice", Actor(role="user", person="teams/alice")),
        ("arn:aws:iam::1:root", Actor(role="root", person="root")),
        ("arn:aws:sts::1:federated-user/bob", Actor(role="federated-user", person="bob")),
    ],
)
def test_an_identity_is_a_role_and_a_person(arn: str, actor: Actor) -> None:
    assert _actor(arn) == actor


# -- smoke ---------------------------------------------------------------------------------------------


def smoked(*command: str, root: Path = Path("/"), **more: Any) -> tuple[Any, str]:
    proved = smoke_test.smoke(settings(smoke=list(command), **more), root)
    assert proved is not None
    return proved


def test_no_smoke_command_proves_nothing() -> None:
    assert smoke_test.smoke(settings(), Path("/")) is None


def test_while_the_smoke_command_runs_that_is_shown() -> None:
    events: list[object] = []
    reporter = Reporter(on_event=events.append, ask=lambda _: None)

    smoke_test.smoke(settings(smoke=["true"]), Path("/"), ui=reporter)

    assert [type(event) for event in events] == [WorkBegan, WorkEnded]


def test_the_smoke_command_runs_in_the_checkout_with_the_environments_name(tmp_path: Path) -> None:
    program = "import os, sys; print(os.environ['TEST_ENVIRONMENT'], os.getcwd(), sys.executable)"

    check, output = smoked("python", "-c", program, root=tmp_path)

    assert check.ok
    assert output.split() == ["dev", str(tmp_path), sys.executable]


def test_its_exit_code_and_last_line_are_kept_and_nothing_of_what_came_before() -> None:
    program = "print('password=hunter2'); print('=== 1 failed ==='); raise SystemExit(3)"

    check, output = smoked("python", "-c", program)

    assert (check.ok, check.detail) == (False, "exit 3: 1 failed")
    assert "hunter2" in output, "the person sees it, the record does not"


def test_a_silent_command_reports_it_and_a_long_line_is_cut() -> None:
    assert smoked("python", "-c", "")[0].detail == "exit 0: no output"
    assert len(smoked("python", "-c", "print('x' * 5000)")[0].detail) < 250


def test_control_characters_are_cleaned() -> None:
    program = r"print('\x1b[31mred\x1b[0m \x9b1m \x07 \u202egnp\u202c end\r')"

    check, output = smoked("python", "-X", "utf8", "-c", program)

    assert "red" in check.detail
    assert not set("\x1b\x9b\x07\r\u202e\u202c") & set(output + check.detail)


def test_a_missing_command_is_a_failed_check() -> None:
    check, _ = smoked("no-such-command-anywhere")

    assert not check.ok
    assert "cannot be run" in check.detail


def test_a_command_that_does_not_end_is_a_failed_check(monkeypatch: pytest.MonkeyPatch) -> None:
    run = subprocess.run
    monkeypatch.setattr(
        subprocess, "run", lambda *arguments, **more: run(*arguments, **{**more, "timeout": 0.2})
    )

    check, _ = smoked(
        "python", "-c", "import sys; sys.stdin.read(); import threading; threading.Event().wait()"
    )

    assert (check.ok, check.detail) == (False, "not finished after 5 minutes")
