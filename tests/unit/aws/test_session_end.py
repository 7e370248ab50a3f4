"""When credentials end: what a job's step or a login has taken once, and what is renewed by itself."""

from __future__ import annotations

import json
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path

import boto3
import pytest

from rollback.aws.session_end import ends

pytestmark = pytest.mark.finding("S4")
KEYS = {"AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": "secret", "SessionToken": "token"}
END = "2999-01-01T12:00:00+00:00"


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person's machine without any credentials."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.mark.parametrize("said", [END, "2999-01-01T12:00:00Z", "", "soon"])
def test_a_job_says_in_its_environment_when_its_credentials_end(
    said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ASIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    if said != "soon":
        monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", said)

    known = datetime(2999, 1, 1, 12, tzinfo=UTC) if said.startswith("2999") else None
    assert ends(boto3.Session()) == known


@pytest.mark.parametrize("kept", [True, False])
def test_a_login_is_known_by_its_key_and_the_process_of_another_tool_is_asked_again_by_itself(
    kept: bool, tmp_path: Path
) -> None:
    answer = json.dumps({"Version": 1, **KEYS, "Expiration": END})
    (tmp_path / "answer").write_text(answer)
    process = shlex.join([sys.executable, "-c", f"print(open({str(tmp_path / 'answer')!r}).read())"])
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {process}\n")
    if kept:
        logins = tmp_path / "state" / "rollback" / "logins"
        logins.mkdir(parents=True)
        (logins / "broken.json").write_text("{")
        (logins / "111122223333-role.json").write_text(answer)

    found = ends(boto3.Session())

    assert found == (datetime(2999, 1, 1, 12, tzinfo=UTC) if kept else None)


def test_no_credentials_and_keys_of_a_file_have_no_end(tmp_path: Path) -> None:
    assert ends(boto3.Session()) is None
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = secret\n"
    )

    assert ends(boto3.Session()) is None
