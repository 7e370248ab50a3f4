"""Clients under another role: with the caller's session name, taken anew before they end, or refused by name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError

from rollback.aws.account import Account
from rollback.aws.assume_role import clients
from rollback.config.naming import RESTORE
from rollback.util.errors import Code, Refused
from tests.coded import coded
from tests.doubles.world import ALICE, settings

ROLE = "arn:aws:iam::111122223333:role/acme-dev-restore-role"


def account(assume_role: Any) -> Any:
    sts = Mock(assume_role=Mock(side_effect=assume_role))
    made = Mock(spec=Account, settings=settings(), caller=ALICE, client=lambda _: sts)
    made.asked = sts.assume_role
    return made


def lasting(minutes: int) -> dict[str, Any]:
    """Credentials that end in so many minutes, and are called after it."""
    credentials = {"AccessKeyId": f"A{minutes}", "SecretAccessKey": "s", "SessionToken": "t"}
    return {"Credentials": {**credentials, "Expiration": datetime.now(UTC) + timedelta(minutes=minutes)}}


def key_of(client: Any) -> str:
    return str(client._request_signer._credentials.get_frozen_credentials().access_key)


def test_the_role_is_taken_once_under_the_callers_session_name() -> None:
    caller = account(lambda **_: lasting(60))

    made = clients(caller, RESTORE)

    assert key_of(made("dynamodb")) == key_of(made("s3")) == "A60"
    caller.asked.assert_called_once_with(RoleArn=ROLE, RoleSessionName="alice", SourceIdentity="alice")


def test_the_role_is_taken_anew_before_its_hour_is_over() -> None:
    given = iter([lasting(5), lasting(60)])
    caller = account(lambda **_: next(given))

    assert key_of(clients(caller, RESTORE)("dynamodb")) == "A60"


def test_who_may_not_take_it_is_reported_which_role_it_is_and_who_may() -> None:
    def denied(**_: Any) -> Any:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "AssumeRole")

    with pytest.raises(Refused, match=ROLE, check=coded(Code.WRONG_ROLE)) as raised:
        clients(account(denied), RESTORE)

    assert "acme-dev-rollback-role" in raised.value.next
    assert "rollback login --env dev --role rollback" in raised.value.next
