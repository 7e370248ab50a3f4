"""What holds a secret is masked: by the variable that has it, or by what it looks like."""

from __future__ import annotations

import pytest

from rollback.util.secrets import MASK, masker


@pytest.mark.parametrize(
    "name",
    [
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "PULUMI_CONFIG_PASSPHRASE",
        "PULUMI_ACCESS_TOKEN",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
        "CI_JOB_TOKEN",
        "SLACK_BOT_TOKEN",
        "TF_VAR_db_password",
        "SOME_API_KEY",
    ],
)
def test_the_value_of_a_variable_that_is_called_so_is_masked_wherever_it_is(name: str) -> None:
    mask = masker({name: "zo-.*(ne", "HOME": "/home/alice", "X_TOKEN": "zo-.*(ne-longer"})

    assert mask("a zo-.*(ne, zo-.*(ne-longer /home/alice") == f"a {MASK}, {MASK} /home/alice"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("AKIAIOSFODNN7EXAMPLE", MASK),
        ("ASIAIOSFODNN7EXAMPLE is", f"{MASK} is"),
        (f"IQoJ{'b3JpZ2luX2Vj' * 10}==", MASK),
        ("ghp_16C7e42F292c6912E7710c838347Ae178B4a", MASK),
        ("glpat-16C7e42F292c6912", MASK),
        ("xoxb-16C7e42F292c6912", MASK),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmN", MASK),
        ("https://user:secret@example.org/x", f"https://{MASK}@example.org/x"),
        ("password=hush, and", f"password={MASK}, and"),
        ("TF_VAR_TOKEN=hush", f"TF_VAR_TOKEN={MASK}"),
    ],
)
def test_what_looks_like_a_secret_is_masked(text: str, shown: str) -> None:
    assert masker({})(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "01M86PTPG00000000000000001 is COMPLETE",
        "arn:aws:lambda:eu-west-1:111122223333:function:acme-dev-lambda-token-get",
        "2026-11-29T02:15:30.123Z INFO rollback.aws lambda GetFunction 200 in 84 ms, request 7d3f-01",
        f"digest {'a1' * 32}",
        "rollback lambda --env dev --to v1.1.0",
    ],
)
def test_what_is_none_stays(text: str) -> None:
    assert masker({"SHORT_TOKEN": "dev", "A_SECRET": ""})(text) == text
