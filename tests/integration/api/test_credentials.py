"""Whose credentials an environment is opened with is looked at anew each time."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

from rollback.aws.account import caller_account


def test_who_asks_without_a_name_leaves_no_session_behind_for_who_asks_next(
    moto: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)

    assert caller_account("eu-west-1")

    assert boto3.DEFAULT_SESSION is None
