"""The key of the stack's secrets: the deployer may use it, by its alias as well, and no other; nobody else may."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from components.boundary import boundary, trust
from components.permissions import inline_policy
from components.policies import Scope, text
from localaws import identity
from localaws.clients import connect
from localaws.emulator import server
from localaws.paths import ROOT
from rollback.config.naming import DEPLOYER, ROLLBACK
from rollback.config.settings import load

pytestmark = [pytest.mark.finding("S2"), pytest.mark.finding("W2")]
ALIAS = "alias/rollback-dev"


@dataclass(frozen=True, kw_only=True)
class Keys:
    """Clients of KMS under two roles, and a key that is none of theirs."""

    deployer: Any
    rollback: Any
    other: str


@pytest.fixture(scope="module")
def keys() -> Iterator[Keys]:
    dev = load(ROOT, "dev")
    with server.running(auth=True) as account:
        kms, iam = (connect(service, account.endpoint, dev) for service in ("kms", "iam"))
        own, other = (kms.create_key()["KeyMetadata"] for _ in range(2))
        kms.create_alias(AliasName=ALIAS, TargetKeyId=own["KeyId"])
        of = Scope(
            names=dev.names,
            account=dev.account,
            region=dev.region,
            alias=dev.alias,
            functions=tuple(dev.catalogue()),
            tables=dev.restorable,
            state_key=own["Arn"],
        )
        ceiling = iam.create_policy(PolicyName=dev.names.boundary, PolicyDocument=text(boundary(of)))
        for role in (DEPLOYER, ROLLBACK):
            iam.create_role(
                RoleName=dev.names.role(role),
                AssumeRolePolicyDocument=text(
                    trust(of, dev.repository, dev.names.github_environment(role), ())
                ),
                PermissionsBoundary=ceiling["Policy"]["Arn"],
            )
            iam.put_role_policy(
                RoleName=dev.names.role(role), PolicyName="own", PolicyDocument=text(inline_policy(role, of))
            )
        yield Keys(
            **{
                role: connect(
                    "kms", account.endpoint, dev, identity.assume(account.endpoint, dev, role, "dan")
                )
                for role in (DEPLOYER, ROLLBACK)
            },
            other=other["Arn"],
        )


def test_the_deployer_reads_and_writes_the_stacks_secrets(keys: Keys) -> None:
    locked = keys.deployer.encrypt(KeyId=ALIAS, Plaintext=b"a data key")["CiphertextBlob"]

    assert keys.deployer.decrypt(CiphertextBlob=locked)["Plaintext"] == b"a data key"
    assert keys.deployer.generate_data_key(KeyId=ALIAS, KeySpec="AES_256")["CiphertextBlob"]


def test_the_deployer_uses_no_other_key_and_nobody_else_uses_this_one(keys: Keys) -> None:
    for kms, key in ((keys.deployer, keys.other), (keys.rollback, ALIAS)):
        with pytest.raises(ClientError, match="AccessDenied"):
            kms.encrypt(KeyId=key, Plaintext=b"a data key")


def test_the_deployer_cannot_end_the_key(keys: Keys) -> None:
    with pytest.raises(ClientError, match="AccessDenied"):
        keys.deployer.disable_key(KeyId=ALIAS)
