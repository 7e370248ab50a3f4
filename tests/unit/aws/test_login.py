"""What `rollback login` takes and keeps: in the user's own name, for its owner only, and not beyond its end."""

from __future__ import annotations

import json
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError

from rollback.aws.account import Account
from rollback.model.identity import Actor
from rollback.setup.login import assume as login
from rollback.setup.login import kept as kept_logins
from rollback.util.errors import (
    Code,
    Refused,
    RollbackError,
    UsageError,
)
from tests.coded import coded
from tests.doubles.world import settings

pytestmark = [pytest.mark.finding("S1")]
ROLE = "arn:aws:iam::111122223333:role/acme-dev-break-glass-role"
DEVICE = "arn:aws:iam::111122223333:mfa/alice"
NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
ENDS = NOW + timedelta(hours=1)
GIVEN = {"AccessKeyId": "ASIA", "SecretAccessKey": "hush", "SessionToken": "token", "Expiration": ENDS}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "rollback" / "logins" / "111122223333-acme-dev-break-glass-role.json"


def account(actor: Actor, answer: Any = None) -> Any:
    sts = Mock(assume_role=Mock(side_effect=answer or (lambda **_: {"Credentials": GIVEN})))
    made = Mock(spec=Account, settings=settings(), caller=actor, client=lambda _: sts)
    made.asked = sts.assume_role
    return made


ALICE = Actor(role="user", person="team/alice")


def test_a_role_is_taken_with_mfa_under_the_users_own_name_and_for_themselves() -> None:
    caller = account(ALICE)

    answer = login.take(caller, ROLE, serial=DEVICE, mfa="123456", hours=2)

    caller.asked.assert_called_once_with(
        RoleArn=ROLE,
        RoleSessionName="alice",
        SourceIdentity="alice",
        SerialNumber=DEVICE,
        TokenCode="123456",
        DurationSeconds=7200,
    )
    assert answer == {
        "Version": 1,
        "AccessKeyId": "ASIA",
        "SecretAccessKey": "hush",
        "SessionToken": "token",
        "Expiration": "2026-11-28T13:00:00+00:00",
    }
    assert login.device(caller) == DEVICE


@pytest.mark.parametrize("mfa", ["", "12345", "1234567", "12345a", "123 456"])
def test_what_cannot_be_a_code_is_not_sent(mfa: str) -> None:
    caller = account(ALICE)

    with pytest.raises(UsageError, check=coded(Code.OPTION_INVALID)):
        login.take(caller, ROLE, serial=DEVICE, mfa=mfa)

    caller.asked.assert_not_called()


def test_who_is_no_user_is_reported_to_name_their_own_keys() -> None:
    with pytest.raises(Refused, match="not an IAM user", check=coded(Code.WRONG_ROLE)):
        login.take(account(Actor(role="some-role", person="alice")), ROLE, serial=DEVICE, mfa="123456")


def test_whom_aws_does_not_let_in_is_reported_why_and_which_device_was_meant() -> None:
    def refused(**_: Any) -> Any:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "invalid MFA code"}}, "AssumeRole")

    with pytest.raises(Refused, match="invalid MFA code", check=coded(Code.ACCESS_DENIED)) as raised:
        login.take(account(ALICE, refused), ROLE, serial=DEVICE, mfa="123456")

    assert DEVICE in raised.value.next


def test_what_is_kept_is_served_as_it_is_and_is_its_owners_only(place: Path) -> None:
    old = os.umask(0)
    try:
        kept_logins.keep(ROLE, login.take(account(ALICE), ROLE, serial=DEVICE, mfa="123456"))
        kept_logins.keep(ROLE, login.take(account(ALICE), ROLE, serial=DEVICE, mfa="654321"))
    finally:
        os.umask(old)

    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
    assert list(place.parent.iterdir()) == [place]
    assert json.loads(kept_logins.kept(ROLE, NOW))["SecretAccessKey"] == "hush"


def test_what_has_ended_is_not_served_and_is_gone(place: Path) -> None:
    kept_logins.keep(ROLE, login.take(account(ALICE), ROLE, serial=DEVICE, mfa="123456"))

    with pytest.raises(
        UsageError, match=r"expired at \S+T13:00:00Z", check=coded(Code.NO_CREDENTIALS)
    ) as raised:
        kept_logins.kept(ROLE, ENDS)

    assert raised.value.next == "rollback login --env dev --role break-glass"
    assert not place.exists()


def test_what_others_may_read_is_not_trusted(place: Path) -> None:
    kept_logins.keep(ROLE, login.take(account(ALICE), ROLE, serial=DEVICE, mfa="123456"))
    place.chmod(0o640)

    with pytest.raises(RollbackError, match="not private", check=coded(Code.CREDENTIALS_INVALID)):
        kept_logins.kept(ROLE, NOW)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"Expiration": 5}', '{"Expiration": "soon"}', '{"Expiration": "2026-11-29"}', "\x00"],
)
def test_what_is_no_login_is_reported_as_none(place: Path, text: str) -> None:
    kept_logins.keep(ROLE, login.take(account(ALICE), ROLE, serial=DEVICE, mfa="123456"))
    place.write_text(text)

    with pytest.raises(UsageError, match="no readable login", check=coded(Code.NO_CREDENTIALS)):
        kept_logins.kept(ROLE, NOW)


def test_nothing_is_left_of_what_is_forgotten(place: Path) -> None:
    kept_logins.keep(ROLE, login.take(account(ALICE), ROLE, serial=DEVICE, mfa="123456"))
    place.with_name(f"{place.name}.killed").write_text("half")

    assert kept_logins.forget(ROLE)
    assert list(place.parent.iterdir()) == []
    assert not kept_logins.forget(ROLE)
    with pytest.raises(UsageError, match="There is no login"):
        kept_logins.kept(ROLE, NOW)


@pytest.mark.parametrize(
    "role", ["", "../../x", "arn:aws:iam::111122223333:role/../x", "arn:aws:iam::1:role/x"]
)
def test_only_a_roles_arn_names_a_file(role: str) -> None:
    with pytest.raises(UsageError, match="not the ARN of a role", check=coded(Code.OPTION_INVALID)):
        kept_logins.kept(role, NOW)
