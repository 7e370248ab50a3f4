"""What the emulator is taught about who asks, and about what."""

from __future__ import annotations

import pytest

from localaws.emulator.identities import named, role_of

TABLE = "arn:aws:dynamodb:eu-west-1:536580886816:table/t"
PROVIDER = "arn:aws:iam::536580886816:oidc-provider/token.actions.githubusercontent.com"


@pytest.mark.parametrize(
    ("caller", "principal"),
    [
        ("arn:aws:sts::536580886816:assumed-role/approver/carol", "arn:aws:iam::536580886816:role/approver"),
        ("arn:aws-cn:sts::536580886816:assumed-role/r/s", "arn:aws-cn:iam::536580886816:role/r"),
        ("arn:aws:iam::536580886816:user/carol", "arn:aws:iam::536580886816:user/carol"),
        ("arn:aws:iam::536580886816:root", "arn:aws:iam::536580886816:root"),
    ],
)
def test_a_session_is_its_role_in_a_policy(caller: str, principal: str) -> None:
    assert role_of(caller) == principal


@pytest.mark.parametrize(
    ("service", "body", "query", "about"),
    [
        ("dynamodb", f'{{"ResourceArn": "{TABLE}"}}'.encode(), {}, TABLE),
        ("iam", b"", {"OpenIDConnectProviderArn": [PROVIDER]}, PROVIDER),
        ("iam", b"", {"OpenIDConnectProviderArn": PROVIDER}, PROVIDER),
        ("dynamodb", f'{{"BackupArn": "{TABLE}/backup/1"}}'.encode(), {}, f"{TABLE}/backup/1"),
        ("dynamodb", b'{"SourceTableName": "t", "TargetTableName": "u"}', {}, "arn:aws:dynamodb:::table/t"),
        ("dynamodb", b"", {}, "*"),
        ("dynamodb", b"not json", {}, "*"),
        ("dynamodb", b"[]", {}, "*"),
        ("iam", b"", {"OpenIDConnectProviderArn": []}, "*"),
        ("ssm", f'{{"ResourceArn": "{TABLE}"}}'.encode(), {}, "*"),
    ],
)
def test_a_request_is_about_the_arn_that_it_names(
    service: str, body: bytes, query: dict[str, object], about: str
) -> None:
    assert named(service, body, query) == about
