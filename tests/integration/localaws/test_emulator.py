"""The emulator comes and goes as it should, and judges policies as AWS does."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError

from components.boundary import people_may_take
from components.policies import document, statement, text
from localaws import estate, identity, shell
from localaws.clients import connect
from localaws.emulator import server
from localaws.emulator.server import Emulator
from localaws.paths import ROOT
from rollback.config.naming import APPROVER, DEPLOYER, GITHUB_OIDC_HOST, ROLLBACK, arn
from rollback.config.settings import Settings, load
from rollback.util.process_identity import alive

TABLE = "ledger"


@pytest.fixture(scope="module")
def dev() -> Settings:
    return load(ROOT, "dev")


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the emulator writes down what it judges."""
    return tmp_path_factory.mktemp("calls")


@pytest.fixture(scope="module")
def account(calls: Path) -> Iterator[Emulator]:
    with server.running(auth=True, calls=calls) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def rollback_role(account: Emulator, dev: Settings) -> str:
    _role(account, dev, ROLLBACK)
    return dev.names.role(ROLLBACK)


@pytest.fixture(scope="module")
def functions(account: Emulator, dev: Settings) -> Any:
    """A Lambda client of an account that has the functions' execution role."""
    estate.establish(connect("iam", account.endpoint, dev), dev)
    return connect("lambda", account.endpoint, dev)


@pytest.fixture(scope="module")
def ledger(account: Emulator, dev: Settings, rollback_role: str) -> Any:
    """A DynamoDB client under the rollback role, which may write ROLLBACK# and check LOCK#."""
    root = connect("dynamodb", account.endpoint, dev)
    root.create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}, {"AttributeName": "SK", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in ("PK", "SK", "GSI1PK")],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "GSI1",
                "KeySchema": [{"AttributeName": "GSI1PK", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    table = arn("dynamodb", dev.region, dev.account, f"table/{TABLE}")
    connect("iam", account.endpoint, dev).put_role_policy(
        RoleName=rollback_role,
        PolicyName="ledger",
        PolicyDocument=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    _allow(["PutItem", "UpdateItem", "GetItem", "Query"], table, "ROLLBACK#*"),
                    _allow(["ConditionCheckItem"], table, "LOCK#*"),
                    _allow(["Query"], f"{table}/index/GSI1", "ENV#dev"),
                ],
            }
        ),
    )
    return connect(
        "dynamodb", account.endpoint, dev, identity.assume(account.endpoint, dev, ROLLBACK, "alice")
    )


def _allow(actions: list[str], resource: str, keys: str) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Action": [f"dynamodb:{action}" for action in actions],
        "Resource": resource,
        "Condition": {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": [keys]}},
    }


def _role(account: Emulator, settings: Settings, role: str) -> None:
    names = settings.names
    trust = {
        "Effect": "Allow",
        "Principal": {
            "Federated": arn("iam", settings.region, settings.account, f"oidc-provider/{GITHUB_OIDC_HOST}")
        },
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {
            "StringEquals": {
                f"{GITHUB_OIDC_HOST}:aud": "sts.amazonaws.com",
                f"{GITHUB_OIDC_HOST}:sub": (
                    f"repo:{settings.repository}:environment:{names.github_environment(role)}"
                ),
            }
        },
    }
    connect("iam", account.endpoint, settings).create_role(
        RoleName=names.role(role),
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
    )


def _item(key: str) -> dict[str, Any]:
    return {"PK": {"S": key}, "SK": {"S": "METADATA"}, "GSI1PK": {"S": "ENV#dev"}}


def _put(key: str) -> dict[str, Any]:
    return {"Put": {"TableName": TABLE, "Item": _item(key)}}


def _check(key: str) -> dict[str, Any]:
    return {
        "ConditionCheck": {
            "TableName": TABLE,
            "Key": {"PK": {"S": key}, "SK": {"S": "aliases"}},
            "ConditionExpression": "attribute_not_exists(PK)",
        }
    }


def _query(client: Any, key: str, **more: Any) -> int:
    condition = {"KeyConditionExpression": "PK = :k", "ExpressionAttributeValues": {":k": {"S": key}}}
    return int(client.query(TableName=TABLE, **{**condition, **more})["Count"])


def _refused(do: Callable[[], object]) -> str:
    with pytest.raises(ClientError) as caught:
        do()
    code: str = caught.value.response["Error"]["Code"]
    assert code in ("AccessDeniedException", "AccessDenied"), caught.value
    return str(caught.value)


def test_each_call_of_a_role_is_written_down_once_with_what_it_was_judged_on(
    ledger: Any, account: Emulator, dev: Settings, calls: Path
) -> None:
    for key in ("ROLLBACK#told", "ROLLBACK#told", "APPROVAL#told"):
        with contextlib.suppress(ClientError):
            ledger.put_item(TableName=TABLE, Item=_item(key))
    connect("dynamodb", account.endpoint, dev).scan(TableName=TABLE)

    lines = [json.loads(line) for path in calls.iterdir() for line in path.read_text().splitlines()]
    assert not [line for line in lines if line[3] == "dynamodb:Scan"], "the account's root is not judged"
    role, table = dev.names.role(ROLLBACK), arn("dynamodb", dev.region, dev.account, f"table/{TABLE}")
    assert [line for line in lines if "told" in str(line[5])] == [
        [
            role,
            dev.account,
            dev.region,
            "dynamodb:PutItem",
            table,
            [["dynamodb:LeadingKeys", [key]]],
            verdict,
            "",
        ]
        for key, verdict in (("ROLLBACK#told", "Allow"), ("APPROVAL#told", "ImplicitDeny"))
    ]


def test_a_single_write_is_judged_by_its_partition_key(ledger: Any) -> None:
    ledger.put_item(TableName=TABLE, Item=_item("ROLLBACK#1"))

    _refused(lambda: ledger.put_item(TableName=TABLE, Item=_item("APPROVAL#1")))
    _refused(lambda: ledger.get_item(TableName=TABLE, Key={"PK": {"S": "LOCK#dev"}, "SK": {"S": "x"}}))


def test_a_transaction_is_judged_item_by_item(ledger: Any, account: Emulator, dev: Settings) -> None:
    ledger.transact_write_items(TransactItems=[_put("ROLLBACK#2"), _check("LOCK#dev")])

    message = _refused(
        lambda: ledger.transact_write_items(TransactItems=[_put("ROLLBACK#3"), _put("APPROVAL#3")])
    )
    assert "dynamodb:PutItem" in message
    _refused(lambda: ledger.transact_write_items(TransactItems=[_put("ROLLBACK#3"), _check("RELEASE#dev")]))
    _refused(lambda: ledger.transact_write_items(TransactItems=[_put("LOCK#dev"), _check("LOCK#dev")]))
    root = connect("dynamodb", account.endpoint, dev)
    assert _query(root, "ROLLBACK#3") == 0, "an allowed item was written with a denied one"


def test_a_query_is_judged_by_the_key_it_asks_for(ledger: Any) -> None:
    named = {"KeyConditionExpression": "#k = :k", "ExpressionAttributeNames": {"#k": "PK"}}
    ledger.put_item(TableName=TABLE, Item=_item("ROLLBACK#4"))

    assert _query(ledger, "ROLLBACK#4") == 1
    assert _query(ledger, "ROLLBACK#4", **named) == 1
    _refused(lambda: _query(ledger, "APPROVAL#4"))
    _refused(lambda: _query(ledger, "APPROVAL#4", **named))


def test_a_query_of_an_index_is_judged_by_the_index_key(ledger: Any) -> None:
    index = {"IndexName": "GSI1", "KeyConditionExpression": "GSI1PK = :k"}
    ledger.put_item(TableName=TABLE, Item=_item("ROLLBACK#5"))

    assert _query(ledger, "ENV#dev", **index) >= 1
    _refused(lambda: _query(ledger, "ENV#prod", **index))


def test_a_role_is_taken_only_from_its_own_github_environment(account: Emulator, dev: Settings) -> None:
    _role(account, dev, APPROVER)
    credentials = identity.assume(account.endpoint, dev, APPROVER, "bob")

    caller = connect("sts", account.endpoint, dev, credentials).get_caller_identity()

    assert caller["Arn"] == f"arn:aws:sts::{dev.account}:assumed-role/{dev.names.role(APPROVER)}/bob"
    _refused(
        lambda: identity.assume(account.endpoint, dev, APPROVER, "bob", github_environment="dev-rollback")
    )


def test_a_role_of_another_repository_or_of_nobody_is_refused(
    account: Emulator, dev: Settings, rollback_role: str
) -> None:
    elsewhere = dev.model_copy(update={"repository": "somebody/else"})

    _refused(lambda: identity.assume(account.endpoint, elsewhere, ROLLBACK, "eve"))
    _refused(lambda: identity.assume(account.endpoint, dev, "restore", "alice"))


@pytest.fixture(scope="module")
def carols_role(account: Emulator, dev: Settings) -> str:
    """A role that carol alone may take, as the program has it."""
    trust = document(people_may_take([arn("iam", dev.region, dev.account, "user/carol")]))
    made = connect("iam", account.endpoint, dev).create_role(
        RoleName=dev.names.role(DEPLOYER), AssumeRolePolicyDocument=text(trust)
    )
    return made["Role"]["Arn"]


def with_mfa(account: Emulator, dev: Settings, name: str) -> dict[str, str]:
    """A session of a user, as `aws sts get-session-token --serial-number … --token-code …` gives it."""
    sts = connect("sts", account.endpoint, dev, identity.person(account.endpoint, dev, name))
    session = sts.get_session_token(SerialNumber=identity.device(dev, name), TokenCode="123456")
    return identity.variables(session["Credentials"])


@pytest.mark.finding("S1")
def test_a_person_takes_a_role_with_mfa_and_in_their_own_name_only(
    account: Emulator, dev: Settings, carols_role: str
) -> None:
    carol = with_mfa(account, dev, "carol")

    def take(credentials: Mapping[str, str], session: str, **more: str) -> dict[str, Any]:
        sts = connect("sts", account.endpoint, dev, credentials)
        return dict(sts.assume_role(RoleArn=carols_role, RoleSessionName=session, **more)["AssumedRoleUser"])

    taken = take(carol, "carol")["Arn"]
    assert taken.endswith(f"assumed-role/{dev.names.role(DEPLOYER)}/carol")
    assert take(carol, "carol", SourceIdentity="carol")["Arn"] == taken
    _refused(lambda: take(carol, "dave"))
    _refused(lambda: take(carol, "dave", SourceIdentity="carol"))
    _refused(lambda: take(carol, "carol", SourceIdentity="dave"))
    _refused(lambda: take(identity.person(account.endpoint, dev, "carol"), "carol"))
    assert not connect("iam", account.endpoint, dev).list_user_policies(UserName="carol")["PolicyNames"]
    _refused(lambda: take(with_mfa(account, dev, "dave"), "dave"))


@pytest.mark.finding("S1")
@pytest.mark.finding("W1")
def test_the_documented_profile_takes_a_persons_role(
    account: Emulator, dev: Settings, carols_role: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = identity.person(account.endpoint, dev, "carol")
    serial = arn("iam", dev.region, dev.account, "mfa/carol")

    def caller(code: str, **changed: str) -> str:
        profile = {"role_arn": carols_role, "source_profile": "default", "mfa_serial": serial}
        profile |= {"role_session_name": "carol", "region": dev.region, **changed}
        lines = ["[default]", *(f"{name.lower()} = {value}" for name, value in keys.items())]
        lines += [
            "[profile deployer-dev]",
            *(f"{name} = {value}" for name, value in profile.items() if value),
        ]
        (tmp_path / "config").write_text("\n".join(lines), encoding="utf-8")
        session = botocore.session.Session(profile="deployer-dev")
        session.get_component("credential_provider").get_provider("assume-role")._prompter = lambda _: code
        sts = session.create_client("sts", endpoint_url=account.endpoint)
        return str(sts.get_caller_identity()["Arn"])

    for name in (*identity.NAMES, "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", account.endpoint)

    assert caller("123456").endswith(f"assumed-role/{dev.names.role(DEPLOYER)}/carol")
    _refused(lambda: caller("12345a"))
    _refused(lambda: caller("", mfa_serial=""))
    _refused(lambda: caller("123456", role_session_name="dave"))


def test_a_source_identity_stays_goes_along_and_cannot_be_changed(
    account: Emulator, dev: Settings, carols_role: str
) -> None:
    iam = connect("iam", account.endpoint, dev)
    # AWS needs no such policy within an account where a trust names the role; the emulator does.
    further = document(
        [statement("Further", ["sts:AssumeRole"], arn("iam", dev.region, dev.account, "role/*"))]
    )
    iam.put_role_policy(RoleName=dev.names.role(DEPLOYER), PolicyName="further", PolicyDocument=text(further))
    by_name: dict[str, Any] = {"StringEquals": {"sts:RoleSessionName": "${aws:SourceIdentity}"}}
    trust = {"Effect": "Allow", "Principal": {"AWS": carols_role}}
    hop = [{**trust, "Action": "sts:AssumeRole", "Condition": by_name}]
    _, second = (
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=text(document(statements)))["Role"]["Arn"]
        for name, statements in (
            ("unset", hop),
            ("set", [*hop, {**trust, "Action": "sts:SetSourceIdentity"}]),
        )
    )
    unset = second.replace("role/set", "role/unset")

    def take(
        role: str, credentials: Mapping[str, str], session: str = "carol", **more: str
    ) -> dict[str, str]:
        sts = connect("sts", account.endpoint, dev, credentials)
        return identity.variables(
            sts.assume_role(RoleArn=role, RoleSessionName=session, **more)["Credentials"]
        )

    carol = with_mfa(account, dev, "carol")
    named, nameless = take(carols_role, carol, SourceIdentity="carol"), take(carols_role, carol)

    assert take(second, named)
    _refused(lambda: take(second, named, "dave"))
    _refused(lambda: take(second, named, SourceIdentity="dave"))
    _refused(lambda: take(second, nameless))
    _refused(lambda: take(second, nameless, SourceIdentity="carol"))
    _refused(lambda: take(unset, named))


def test_a_release_is_published_promoted_and_really_runs(functions: Any, dev: Settings) -> None:
    for what in estate.story(dev):
        published = estate.release(functions, dev, what, create_alias=True)
        assert set(published) == set(what.changed)
    broken, passed = dev.functions("team_service")[0], dev.functions("audit_service")[0]

    answer = estate.invoke(functions, broken, dev.alias)
    assert not answer.ok, "a broken function must raise"
    assert "members is None" in answer.payload["errorMessage"]
    assert estate.invoke(functions, broken, "1").payload["version"] == "v1.0.0"
    assert estate.invoke(functions, passed, dev.alias).payload == {
        "service": "audit_service",
        "function": passed,
        "version": "v1.2.0",
    }
    versions = functions.list_versions_by_function(FunctionName=broken)["Versions"]
    assert [v["Description"] for v in versions if v["Version"] != "$LATEST"] == ["v1.0.0", "v1.2.0"]


def test_functions_that_are_nobodys_share_the_prefix(functions: Any, dev: Settings) -> None:
    made = estate.unlisted_functions(functions, dev)

    assert set(made) == {f"bbws-access-dev-lambda-{tail}" for tail in estate.UNLISTED}
    assert not set(made) & set(dev.catalogue())
    assert estate.invoke(functions, next(iter(made)), dev.alias).ok


def test_the_state_bucket_is_versioned_encrypted_and_closed(account: Emulator, dev: Settings) -> None:
    s3 = connect("s3", account.endpoint, dev)
    for _ in range(2):
        shell.make_bucket(s3, dev)
    bucket = dev.names.state_bucket

    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    assert s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert all(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())


def test_an_account_is_started_and_stopped_twice_and_remembers(tmp_path: Path, dev: Settings) -> None:
    for names in ([], [dev.names.state_bucket]):
        with server.running(tmp_path / "state", auth=False) as emulator:
            s3 = connect("s3", emulator.endpoint, dev)
            assert [b["Name"] for b in s3.list_buckets()["Buckets"]] == names
            shell.make_bucket(s3, dev)
        assert not emulator.alive()
        server.stop(emulator)  # again: nothing happens


@pytest.mark.finding("A8")
def test_dynamodb_of_one_account_is_out_of_reach_until_it_is_back_also_after_a_restart_and_loses_nothing(
    tmp_path: Path, dev: Settings
) -> None:
    item = {"PK": {"S": "carol"}}
    other = dev.model_copy(update={"account": "111122223333"})

    with server.running(tmp_path / "state", auth=False) as emulator:
        ours, theirs = (connect("dynamodb", emulator.endpoint, one, attempts=1) for one in (dev, other))
        for client in (ours, theirs):
            _make_table(client, TABLE)
            client.put_item(TableName=TABLE, Item=item)
        server.take_away_dynamodb(emulator.endpoint, dev.account, away=True)
        with pytest.raises(ClientError) as away:
            ours.put_item(TableName=TABLE, Item={"PK": {"S": "nobody"}})
        assert theirs.scan(TableName=TABLE)["Items"] == [item]
    with server.running(tmp_path / "state", auth=False) as emulator:
        ours = connect("dynamodb", emulator.endpoint, dev, attempts=1)
        with pytest.raises(ClientError):
            ours.scan(TableName=TABLE)
        server.take_away_dynamodb(emulator.endpoint, dev.account, away=False)
        back = ours.scan(TableName=TABLE)["Items"]
    with server.running(tmp_path / "state", auth=False) as emulator:
        stays = connect("dynamodb", emulator.endpoint, dev, attempts=1).scan(TableName=TABLE)["Items"]

    assert away.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert back == stays == [item]


def test_accounts_started_together_have_their_own_ports_and_contents(dev: Settings) -> None:
    with ThreadPoolExecutor(4) as pool:
        emulators = list(pool.map(lambda _: server.start(None, auth=False), range(4)))
    try:
        shell.make_bucket(connect("s3", emulators[0].endpoint, dev), dev)
        counts = [len(connect("s3", e.endpoint, dev).list_buckets()["Buckets"]) for e in emulators]

        assert len({e.port for e in emulators}) == 4
        assert counts == [1, 0, 0, 0]
    finally:
        for emulator in emulators:
            server.stop(emulator)


@pytest.mark.skipif(not Path("/proc/self/net/tcp").exists(), reason="sockets are listed here on Linux only")
def test_it_listens_on_loopback_only(account: Emulator) -> None:
    links = [os.readlink(link) for link in Path(f"/proc/{account.pid}/fd").iterdir()]  # noqa: PTH115
    inodes = {link[len("socket:[") : -1] for link in links if link.startswith("socket:[")}
    listening = [
        fields[1]
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/{account.pid}/net/{table}").read_text().splitlines()[1:]
        if (fields := line.split())[3] == "0A" and fields[9] in inodes
    ]

    assert listening == [f"0100007F:{account.port:04X}"]


def test_an_account_ends_with_its_parent_even_by_sigkill() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from localaws.emulator import server\n"
        "e = server.start(None, auth=False)\n"
        "print(e.pid, e.begun, e.log.parent, flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid, begun, scratch = parent.stdout.readline().split()
        assert alive(int(pid), begun)
        parent.send_signal(signal.SIGKILL)

    assert _until(lambda: not alive(int(pid), begun)), "the emulator has outlived its parent"
    assert _until(lambda: not Path(scratch).exists()), "it has left its folder behind"


def test_up_finds_what_is_up_and_down_ends_it(tmp_path: Path, dev: Settings) -> None:
    first = shell.up(lambda _: None, auth=False, folder=tmp_path)
    try:
        again = shell.up(lambda _: None, auth=False, folder=tmp_path)

        assert (again.pid, again.endpoint) == (first.pid, first.endpoint)
        pages = connect("lambda", first.endpoint, dev).get_paginator("list_functions").paginate()
        assert sum(len(page["Functions"]) for page in pages) == 42 + len(estate.UNLISTED)
    finally:
        assert shell.down(tmp_path)
    assert not first.alive()
    assert not shell.down(tmp_path)


def _make_table(client: Any, name: str) -> None:
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "PK", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )


def _until(true: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Whether it becomes true within `seconds`; looked at often, so that no test waits longer than it must."""
    deadline = time.monotonic() + seconds
    while not (now := true()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return now


def test_a_published_version_has_its_own_code_to_download(functions: Any, dev: Settings) -> None:
    name = dev.names.function("team-service-transfer")
    packages = {}
    for version in ("v1", "v2"):
        packages[version] = estate.code("team_service", name, version)
        made = estate.deploy(functions, dev, version, changed=[name], create_alias=True)
        packages[made[name]] = packages.pop(version)

    def downloaded(qualifier: str) -> bytes:
        place = functions.get_function(FunctionName=name, Qualifier=qualifier)["Code"]["Location"]
        with urllib.request.urlopen(place) as answer:  # noqa: S310 - loopback
            read: bytes = answer.read()
            return read

    assert {version: downloaded(version) for version in packages} == packages
    assert downloaded("live") == downloaded("$LATEST") == packages[max(packages)]


@pytest.mark.parametrize("ends", ["Active", "Failed"])
def test_an_inactive_version_fails_its_invocation_and_wakes_by_it(
    account: Emulator, functions: Any, dev: Settings, ends: str
) -> None:
    name = dev.names.function("team-service-transfer")
    version = estate.deploy(functions, dev, f"idle-{ends}", changed=[name], create_alias=True)[name]
    once = connect("lambda", account.endpoint, dev, attempts=1)

    def state(qualifier: str = version) -> str:
        found = functions.get_function(FunctionName=name, Qualifier=qualifier)["Configuration"]
        return str(found["State"])

    def refused() -> str:
        with pytest.raises(ClientError) as error:
            once.invoke(FunctionName=name, Qualifier=version, Payload=b"{}")
        return str(error.value.response["Error"]["Code"])

    server.make_idle(account.endpoint, dev.account, dev.region, name, version, seconds=1.0, ends=ends)
    assert (state(), state("live"), state("$LATEST")) == ("Inactive", "Inactive", "Active")
    assert refused() == "ResourceNotReadyException"
    assert state() == "Pending"
    assert refused() == "ResourceConflictException"
    until = time.monotonic() + 20
    while state() == "Pending":
        assert time.monotonic() < until
        time.sleep(0.05)

    assert state() == ends


def test_a_table_is_restored_to_a_second_of_its_past(account: Emulator, dev: Settings) -> None:
    client = connect("dynamodb", account.endpoint, dev)
    _make_table(client, "past")
    client.update_continuous_backups(
        TableName="past", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    item = {"PK": {"S": "alice"}, "role": {"S": "admin"}}
    client.put_item(TableName="past", Item=item)
    at = int(time.time()) + 1
    while time.time() <= at:
        time.sleep(0.05)
    client.put_item(TableName="past", Item={**item, "role": {"S": "nobody"}})
    client.put_item(TableName="past", Item={"PK": {"S": "bob"}})

    client.restore_table_to_point_in_time(SourceTableName="past", TargetTableName="then", RestoreDateTime=at)

    assert client.scan(TableName="then")["Items"] == [item]
    window = client.describe_continuous_backups(TableName="past")["ContinuousBackupsDescription"]
    result = window["PointInTimeRecoveryDescription"]
    assert (
        result["EarliestRestorableDateTime"].timestamp()
        < at
        <= result["LatestRestorableDateTime"].timestamp()
    )


def test_an_account_is_copied_under_another_number_and_what_the_other_has_stays(
    account: Emulator, dev: Settings
) -> None:
    other, third = (dev.model_copy(update={"account": number}) for number in ("111122223333", "111122224444"))
    own, others = (connect("ssm", account.endpoint, one) for one in (dev, other))
    own.put_parameter(Name="/copied/where", Value=f"arn:aws:s3:::a-{dev.account}", Type="String")
    others.put_parameter(Name="/copied/theirs", Value="stays", Type="String")

    server.copy_account(account.endpoint, dev.account, other.account, ["ssm"])
    others.put_parameter(Name="/copied/later", Value="theirs alone", Type="String")

    def values(client: Any) -> dict[str, str]:
        found = client.get_parameters_by_path(Path="/copied", Recursive=True)["Parameters"]
        return {item["Name"].rpartition("/")[2]: item["Value"] for item in found}

    assert values(others) == {
        "where": f"arn:aws:s3:::a-{other.account}",
        "theirs": "stays",
        "later": "theirs alone",
    }
    assert values(own) == {"where": f"arn:aws:s3:::a-{dev.account}"}
    assert values(connect("ssm", account.endpoint, third)) == {}


@pytest.mark.finding("W9")
def test_an_identity_provider_that_was_made_by_hand_gets_its_audience_and_tags_and_loses_others(
    account: Emulator, dev: Settings
) -> None:
    iam = connect("iam", account.endpoint, dev)
    arn = iam.create_open_id_connect_provider(Url="https://issuer.example.org", ClientIDList=["other"])[
        "OpenIDConnectProviderArn"
    ]
    provider = {"OpenIDConnectProviderArn": arn}

    iam.add_client_id_to_open_id_connect_provider(**provider, ClientID="sts.amazonaws.com")
    iam.remove_client_id_from_open_id_connect_provider(**provider, ClientID="other")
    iam.tag_open_id_connect_provider(
        **provider, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]
    )
    iam.untag_open_id_connect_provider(**provider, TagKeys=["a"])

    found = iam.get_open_id_connect_provider(**provider)
    assert found["ClientIDList"] == ["sts.amazonaws.com"]
    assert found["Tags"] == [{"Key": "b", "Value": "2"}]
    with pytest.raises(ClientError):
        iam.tag_open_id_connect_provider(OpenIDConnectProviderArn=f"{arn}x", Tags=[])
    iam.delete_open_id_connect_provider(**provider)
