"""What roles are granted although no end-to-end test asks for it: each with who asks for it.

Read by a test that fails for a grant that is neither asked for nor here, and for one here that is asked for by now.
"""

from __future__ import annotations

# Why, and who is granted what in which statement (Sid).
REASONS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "A real account's provider reads all there is of a function; the local one reads what is declared "
    "(terraform-provider-aws, `Read` of aws_lambda_function)": (
        ("deployer", "Deploy", "lambda:GetFunctionCodeSigningConfig"),
    ),
    "A commit that is put back may change this; those of the tests change a tag and what an API says of itself": (
        ("deployer", "AccessTable", "dynamodb:TagResource UntagResource UpdateTable"),
        ("deployer", "ChangeApi", "apigateway:DELETE"),
        ("deployer", "TagApis", "apigateway:PUT DELETE"),
    ),
    "A session's source identity goes along, which AWS judges and the emulator does not": (
        ("rollback", "RestoreTables", "sts:SetSourceIdentity"),
        ("drill", "DeployAndPutBack", "sts:SetSourceIdentity"),
    ),
    'AWS judges a restore by what it could do to the copy (Amazon DynamoDB Developer Guide, "Using IAM with '
    'DynamoDB backup and restore"), and the emulator by what it is done from': (
        (
            "restore",
            "ToCopies",
            "dynamodb:BatchWriteItem DeleteItem GetItem PutItem Query RestoreTableToPointInTime UpdateItem",
        ),
    ),
    "The stacks of the tests have a passphrase, and their tables the emulator's key; "
    "`integration/localaws/test_keys.py` has the stack's key": (
        ("deployer", "StateKey", "kms:Encrypt GenerateDataKey"),
        (
            "restore",
            "TableKeys",
            (
                "kms:Decrypt DescribeKey Encrypt GenerateDataKey GenerateDataKeyWithoutPlaintext ReEncryptFrom "
                "ReEncryptTo"
            ),
        ),
        ("restore", "KeepCopiesUnderTableKeys", "kms:CreateGrant"),
    ),
    "The smoke command of the tests is a stand-in, but where an on-call person has it run": (
        ("deployer", "Invoke", "lambda:InvokeFunction"),
        ("break-glass", "Invoke", "lambda:InvokeFunction"),
    ),
    "Functions with provisioned concurrency are waited for, in an emergency as well; the tests' have none": (
        ("break-glass", "ReadFunctions", "lambda:GetProvisionedConcurrencyConfig"),
    ),
    "A table whose items expire: `integration/test_table_restore.py`, without roles": (
        ("restore", "ToCopies", "dynamodb:UpdateTimeToLive"),
    ),
    "A large report goes up in parts, and may break off": (
        ("restore", "KeepReports", "s3:AbortMultipartUpload"),
    ),
    "A deployer's rollback of a stack is told on Slack as an on-call person's is, which is tested": (
        ("deployer", "TellSlack", "ssm:GetParameter"),
    ),
}  # fmt: skip


def _each(granted: str) -> list[str]:
    service, _, names = granted.partition(":")
    return [f"{service}:{name}" for name in names.split()]


# (Role, Sid, action).
UNASKED = frozenset(
    (role, sid, action)
    for exceptions in REASONS.values()
    for role, sid, granted in exceptions
    for action in _each(granted)
)
