"""Settings: one model, two readers, and what each kind of mistake is answered with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from rollback.config.settings import Settings, find_root, from_config, load, parse
from rollback.util.errors import Code, UsageError
from tests.coded import coded

ROOT = Path(__file__).parents[3]
STACKS = ("dev", "sit", "prod")
PROJECT: dict[str, Any] = yaml.safe_load((ROOT / "Pulumi.yaml").read_text(encoding="utf-8"))
ALICE, BOB = "arn:aws:iam::536580886816:user/alice", "arn:aws:iam::536580886816:user/bob"


def stack_of(environment: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(
        (ROOT / f"Pulumi.{environment}.yaml").read_text(encoding="utf-8")
    )
    return document


def engine_map(environment: str, **more: Any) -> dict[str, str]:
    """What the engine hands to a program: full keys, every structured value as JSON text."""
    config = {f"rollback:{key}": declared["default"] for key, declared in PROJECT["config"].items()}
    config |= stack_of(environment)["config"] | more
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}


def files(project: dict[str, Any] | None = None, **more: Any) -> Settings:
    """The settings of dev from its two files, with keys of the stack's file replaced; None drops one."""
    stack = stack_of("dev")
    config = {key: value for key, value in (stack["config"] | more).items() if value is not None}
    return parse("dev", json.dumps(project or PROJECT), json.dumps(stack | {"config": config}))


def changed_project(**settings: Any) -> dict[str, Any]:
    config = {**PROJECT["config"], **{key: {"default": value} for key, value in settings.items()}}
    return {**PROJECT, "config": config}


def refused(**more: Any) -> UsageError:
    with pytest.raises(UsageError, check=coded(Code.SETTINGS_INVALID)) as raised:
        files(**more)
    assert raised.value.exit_code == 2
    return raised.value


@pytest.mark.parametrize("environment", STACKS)
def test_the_engines_map_and_the_files_give_the_same_settings(environment: str) -> None:
    assert from_config("rollback", environment, engine_map(environment)) == load(ROOT, environment)


def test_each_environment_is_its_own_account_and_region() -> None:
    assert {name: (load(ROOT, name).account, load(ROOT, name).region) for name in STACKS} == {
        "dev": ("536580886816", "eu-west-1"),
        "sit": ("815856636111", "eu-west-1"),
        "prod": ("093646564004", "af-south-1"),
    }


def test_the_catalogue_has_six_services_and_forty_two_functions() -> None:
    settings = load(ROOT, "prod")

    assert len(settings.services) == 6
    assert len(settings.catalogue()) == 42
    assert settings.catalogue()["bbws-access-prod-lambda-team-service-get"] == "team_service"


def test_production_asks_another_identity_for_everything() -> None:
    approval = load(ROOT, "prod").approval

    assert (approval.aliases, approval.infrastructure, approval.table) == ("identity",) * 3


def test_an_unknown_setting_is_answered_with_the_nearest_one() -> None:
    error = refused(**{"rollback:protectdBranch": "main"})

    assert "'rollback:protectdBranch'" in error.what
    assert "'rollback:protectedBranch'" in error.what


def test_an_unknown_key_inside_a_setting_is_answered_with_the_nearest_one() -> None:
    error = refused(**{"rollback:rto": {"code": 5, "configuration": 5, "infra": 15, "full": 30, "table": 60}})

    assert "rollback:rto.infra" in error.what or "rollback:rto.infrastructure" in error.what


def test_a_misspelt_key_among_the_people_is_answered_with_the_nearest_one() -> None:
    error = refused(**{"rollback:people": {"deployers": [], "oncall": [], "approvers": []}})

    assert "'rollback:people.oncall'" in error.what
    assert "onCall" in error.what


def test_an_unknown_setting_of_the_provider_is_answered_with_the_nearest_one() -> None:
    error = refused(**{"aws:regoin": "eu-west-1"})

    assert "'aws:regoin'" in error.what
    assert "aws:region" in error.what


def test_a_setting_that_is_like_nothing_known_gets_no_guess() -> None:
    assert "Did you mean" not in refused(**{"rollback:zzzzzzzz": 1}).what


@pytest.mark.parametrize("namespace", ["github:owner", "pulumi:tags", "other:thing"])
def test_keys_of_other_programs_are_none_of_ours(namespace: str) -> None:
    assert files(**{namespace: "x"}) == load(ROOT, "dev")


@pytest.mark.parametrize("accounts", [None, [], ["536580886816", "815856636111"], "536580886816", 5])
def test_exactly_one_account_must_be_named(accounts: Any) -> None:
    error = refused(**{"aws:allowedAccountIds": accounts})

    assert "aws:allowedAccountIds" in error.what
    assert "Pulumi.dev.yaml" in error.next


def test_an_account_that_yaml_took_for_a_number_is_refused() -> None:
    assert "aws:allowedAccountIds" in refused(**{"aws:allowedAccountIds": [536580886816]}).what


@pytest.mark.parametrize("account", ["53658088681", "5365808868166", "dev", "53658088681\n", "٠٩٣٦٤٦٥٦٤٠٠٤"])
def test_an_account_has_twelve_digits(account: str) -> None:
    assert "aws:allowedAccountIds" in refused(**{"aws:allowedAccountIds": [account]}).what


@pytest.mark.parametrize("region", [None, "", "Ireland", "eu-west", "eu-west-1; rm -rf /"])
def test_a_region_must_be_one(region: Any) -> None:
    assert "region" in refused(**{"aws:region": region}).what


def test_a_stacks_value_replaces_the_projects_as_a_whole() -> None:
    settings = files(**{"rollback:services": {"audit_service": ["audit-service-get"]}})

    assert list(settings.services) == ["audit_service"], "not merged with the project's"
    assert list(settings.catalogue()) == ["bbws-access-dev-lambda-audit-service-get"]


def test_a_function_is_listed_in_the_catalogue_once() -> None:
    error = refused(
        **{"rollback:services": {"role_service": ["role-service-get"], "team_service": ["role-service-get"]}}
    )

    assert "function 'role-service-get' is in both 'role_service' and 'team_service'" in error.what


def test_a_function_is_listed_in_its_service_once() -> None:
    error = refused(**{"rollback:services": {"role_service": ["role-service-get", "role-service-get"]}})

    assert "'role-service-get' is in both 'role_service' and 'role_service'" in error.what


@pytest.mark.parametrize(
    "services",
    [
        {},
        {"team_service": []},
        {"all": ["team-get"]},
        {"team+service": ["team-get"]},
        {"team,service": ["team-get"]},
        {"team_service": {"get": ""}},
        {"team_service": {"get": "a" * 65}},
        {"team_service": {"get": 7}},
        {"team_service": {"get": "team/get"}},
        {"team_service": ["../etc/passwd"]},
        {"team_service": ["$(id)"]},
        {"team_service": ["-get"]},
        {"team_service": ["team-get\n"]},
        {"team_service": "team-get"},
        ["team_service"],
        "{not json",
    ],
)
def test_a_catalogue_that_cannot_name_functions_is_refused(services: Any) -> None:
    assert "rollback:services" in refused(**{"rollback:services": services}).what


def test_a_function_whose_whole_name_is_too_long_for_lambda_is_refused() -> None:
    tail = "a" * 50

    assert "64" in refused(**{"rollback:services": {"team_service": [tail]}}).what


def test_a_service_that_is_listed_twice_is_refused_with_its_line() -> None:
    text = "config:\n  rollback:services:\n    team_service: [team-get]\n    team_service: [team-list]\n"

    with pytest.raises(
        UsageError,
        match=r"Pulumi\.dev\.yaml .*\(line 4\).*'team_service'",
        check=coded(Code.SETTINGS_INVALID),
    ):
        parse("dev", json.dumps(PROJECT), text)


def test_an_approver_is_never_on_call_too() -> None:
    people = {"deployers": [], "onCall": [ALICE, BOB], "approvers": [BOB]}

    error = refused(**{"rollback:people": people})

    assert f"{BOB} is also on call" in error.what
    assert ALICE not in error.what


@pytest.mark.finding("S15")
def test_an_approver_never_deploys_too() -> None:
    people = {"deployers": [ALICE, BOB], "onCall": [], "approvers": [BOB]}

    error = refused(**{"rollback:people": people})

    assert error.code is Code.SETTINGS_INVALID
    assert f"{BOB} also deploys" in error.what
    assert ALICE not in error.what


def test_people_who_are_not_on_call_may_approve() -> None:
    people = {"deployers": [ALICE], "onCall": [ALICE], "approvers": [BOB]}

    assert files(**{"rollback:people": people}).people.approvers == (BOB,)


@pytest.mark.parametrize(
    "arn",
    [
        "alice",
        "arn:aws:iam::536580886816:root",
        "arn:aws:iam::536580886816:role/admin",
        "arn:aws:sts::536580886816:assumed-role/admin/alice",
        "arn:aws:iam::536580886816:user/*",
        "*",
    ],
)
def test_only_users_can_be_trusted_by_name_and_mfa(arn: str) -> None:
    error = refused(**{"rollback:people": {"onCall": [arn]}})

    assert f"'{arn}'" in error.what


@pytest.mark.parametrize("repository", ["bbws/access-platform", "bbws@42/access-platform@77"])
def test_a_repository_is_named_with_ids_or_without(repository: str) -> None:
    settings = files(**{"rollback:repository": repository})

    assert settings.repository == repository
    assert settings.repository_name == "bbws/access-platform"


@pytest.mark.parametrize(
    "repository",
    ["bbws", "bbws/*", "bbws/a/b", "bbws@42/access-platform", "bbws/a:environment:x", "b/a\n"],
)
def test_a_repository_that_a_trust_could_misread_is_refused(repository: str) -> None:
    assert "rollback:repository" in refused(**{"rollback:repository": repository}).what


def test_github_takes_six_reviewers_and_no_seventh() -> None:
    six = files(**{"rollback:reviewers": {"teams": [1, 2], "users": [3, 4, 5, 6]}})

    error = refused(**{"rollback:reviewers": {"teams": [1, 2, 3], "users": [4, 5, 6, 7]}})

    assert six.reviewers.teams == (1, 2)
    assert "at most 6 reviewers" in error.what


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("approval", {"aliases": "maybe", "infrastructure": "confirm", "table": "identity"}),
        ("approval", {"aliases": "none", "infrastructure": "confirm", "table": "none"}),
        ("approval", {"aliases": "none", "infrastructure": "none", "table": "identity"}),
        ("pace", {"writes": 0, "burst": 14, "reads": 90}),
        ("pace", {"writes": "fast", "burst": 14, "reads": 90}),
        ("pace", {"writes": 14, "burst": 14, "reads": 90, "readUnits": 0}),
        ("tables", "ddb-access-management"),
        ("tables", ["ddb-deployments"]),
        ("tables", ["Bad Name"]),
        ("leaseSeconds", 0),
        ("leaseSeconds", "soon"),
        ("alias", "live; id"),
        ("alias", "7"),
        ("prefix", "BBWS"),
        ("prefix", "a" * 36),
        ("smoke", "python"),
        ("protectedBranch", ""),
        ("protectedBranch", "--upload-pack=id"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_the_name_of_its_setting(key: str, value: Any) -> None:
    assert f"rollback:{key}" in refused(**{f"rollback:{key}": value}).what


def test_a_setting_that_is_nowhere_is_named() -> None:
    project = {**PROJECT, "config": {key: one for key, one in PROJECT["config"].items() if key != "alias"}}

    with pytest.raises(UsageError, check=coded(Code.SETTINGS_INVALID)) as raised:
        files(project)

    assert "rollback:alias: it is not set" in raised.value.what
    assert "rollback:alias: live" in raised.value.next


def test_text_that_looks_like_json_stays_text() -> None:
    config = engine_map("dev", **{"rollback:protectedBranch": "2026"})

    assert from_config("rollback", "dev", config).protected_branch == "2026"


def test_a_project_by_another_name_reads_its_own_keys() -> None:
    project = {**PROJECT, "name": "other"}
    stack = {key.replace("rollback:", "other:"): value for key, value in stack_of("dev")["config"].items()}

    settings = parse("dev", json.dumps(project), json.dumps({"config": stack}))

    assert settings == load(ROOT, "dev")


def test_another_team_changes_one_line() -> None:
    settings = files(changed_project(prefix="acme"))

    assert settings.names.deployments_table == "acme-dev-ddb-deployments"
    assert next(iter(settings.catalogue())) == "acme-dev-lambda-permission-service-create"


@pytest.mark.parametrize(
    ("text", "line"),
    [("config:\n  a: 1\n  b: [1,\n", 4), ("config: {a: 1\nb: }}", 2), ("a: b: c", 1), ("\tconfig: 1", 1)],
)
def test_a_bad_line_of_yaml_is_named_with_its_file(text: str, line: int) -> None:
    with pytest.raises(UsageError, check=coded(Code.SETTINGS_INVALID)) as raised:
        parse("dev", json.dumps(PROJECT), text)

    assert f"Pulumi.dev.yaml is not valid YAML (line {line})" in raised.value.what


def test_a_bad_line_of_the_project_is_named_with_its_file() -> None:
    with pytest.raises(UsageError, match=r"^Pulumi\.yaml .*\(line 2\)", check=coded(Code.SETTINGS_INVALID)):
        parse("dev", "name: rollback\nconfig: [", "config: {}")


@pytest.mark.parametrize("text", ["", "[]", "just text", "config: []", "config: text", "7"])
def test_a_file_that_holds_something_else_is_refused(text: str) -> None:
    with pytest.raises(UsageError, check=coded(Code.SETTINGS_INVALID)):
        parse("dev", json.dumps(PROJECT), text)


@pytest.mark.parametrize("config", [[], "text", 7])
def test_a_project_whose_config_is_no_mapping_is_refused(config: Any) -> None:
    with pytest.raises(UsageError, check=coded(Code.SETTINGS_INVALID)):
        parse("dev", json.dumps(PROJECT | {"config": config}), "config: {}")


@pytest.mark.parametrize("text", ["config: {7: x}", "7: x", "config: {[1]: x}", "config: {null: x}"])
def test_keys_that_are_no_text_are_refused(text: str) -> None:
    with pytest.raises(UsageError, check=coded(Code.SETTINGS_INVALID)):
        parse("dev", json.dumps(PROJECT), text)


def test_a_control_character_is_answered_not_raised() -> None:
    with pytest.raises(
        UsageError, match=r"Pulumi\.dev\.yaml is not valid YAML", check=coded(Code.SETTINGS_INVALID)
    ):
        parse("dev", json.dumps(PROJECT), "config: \x07")


def test_an_unknown_key_of_a_stack_file_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(UsageError, check=coded(Code.SETTINGS_INVALID)) as raised:
        parse("dev", json.dumps(PROJECT), "confg: {}")

    assert "'confg'" in raised.value.what
    assert "'config'" in raised.value.what


@pytest.mark.parametrize("name", ["dve", "", "../dev", "dev/../prod", "DEV", "$(id)", "a" * 10_000])
def test_an_unknown_environment_is_answered_with_those_there_are(name: str) -> None:
    with pytest.raises(UsageError, check=coded(Code.UNKNOWN_ENVIRONMENT)) as raised:
        load(ROOT, name)

    assert len(raised.value.what) < 200
    assert raised.value.next == "Environments: dev, prod, sit."


def test_a_misspelt_environment_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(UsageError, match="'prod'", check=coded(Code.UNKNOWN_ENVIRONMENT)):
        load(ROOT, "prd")


def test_a_folder_without_a_project_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"Pulumi\.yaml", check=coded(Code.NO_CHECKOUT)):
        find_root(tmp_path)
    with pytest.raises(UsageError, match=r"^Pulumi\.yaml cannot be read", check=coded(Code.SETTINGS_INVALID)):
        load(tmp_path, "dev")


def test_a_subfolder_finds_its_project(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").touch()
    (tmp_path / "a" / "b").mkdir(parents=True)

    assert find_root(tmp_path / "a" / "b") == tmp_path


def test_a_file_that_is_no_text_is_reported(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(UsageError, match=r"^Pulumi\.yaml cannot be read", check=coded(Code.SETTINGS_INVALID)):
        load(tmp_path, "dev")


def test_a_service_is_found_by_its_whole_name_only() -> None:
    settings = load(ROOT, "dev")

    assert settings.service("role_service") == "role_service"
    with pytest.raises(UsageError, check=coded(Code.UNKNOWN_SERVICE)) as raised:
        settings.service("role")
    assert "'role'" in raised.value.what
    assert "team_service" in raised.value.next


KEY = "arn:aws:kms:eu-west-1:536580886816:key/1234abcd-12ab-34cd-56ef-1234567890ab"


@pytest.mark.finding("S2")
def test_keys_are_named_by_the_arn_of_the_key_and_there_are_none_unless_they_are() -> None:
    assert (files().state_key, files().table_keys) == ("", ())
    named = files(**{"rollback:stateKey": KEY, "rollback:tableKeys": [KEY]})
    assert (named.state_key, named.table_keys) == (KEY, (KEY,))


@pytest.mark.finding("S2")
@pytest.mark.parametrize(
    "key", ["alias/rollback-dev", KEY.replace("key/", "alias/"), "*", f"{KEY}/*", f"{KEY}\n"]
)
def test_what_is_no_key_or_could_become_another_is_refused(key: str) -> None:
    assert "stateKey" in str(refused(**{"rollback:stateKey": key}))
    assert "tableKeys" in str(refused(**{"rollback:tableKeys": [key]}))


@pytest.mark.finding("P7")
def test_in_another_programs_folder_the_platforms_settings_are_found_above_it(tmp_path: Path) -> None:
    program = tmp_path / "services" / "edge"
    program.mkdir(parents=True)
    for name in ("Pulumi.yaml", "Pulumi.dev.yaml"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    (program / "Pulumi.yaml").write_text("name: edge\nruntime: python\nconfig:\n  prefix: edge\n")
    (program / "Pulumi.dev.yaml").write_text("config:\n  edge:alias: live\n")

    assert find_root(program) == tmp_path
    assert load(find_root(program), "dev").prefix == "bbws-access"


def test_settings_that_are_in_the_stacks_file_alone_are_found_too(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "Pulumi.yaml").write_text("name: outer\n")
    (inner / "Pulumi.yaml").write_text("name: rollback\n")
    (inner / "Pulumi.dev.yaml").write_text("config:\n  rollback:services: {}\n")

    assert find_root(inner) == inner


def test_gitlab_is_a_project_on_gitlab_com_unless_it_says_otherwise() -> None:
    settings = files(**{"rollback:gitlab": {"project": "acme/platform/orders"}})

    assert settings.gitlab is not None
    assert (settings.gitlab.project, settings.gitlab.host, settings.gitlab.approvals) == (
        "acme/platform/orders",
        "gitlab.com",
        "",
    )
    assert files().gitlab is None


@pytest.mark.parametrize(
    ("gitlab", "place"),
    [
        ({}, "project"),
        ({"project": "acme"}, "project"),
        ({"project": "acme/*"}, "project"),
        ({"project": "acme/o:ref_type:branch:ref:x"}, "project"),
        ({"project": "acme/o", "approvals": "Acme/O"}, "approvals"),
        ({"project": "acme/o", "host": "https://gitlab.com"}, "host"),
        ({"project": "acme/o", "host": "gitlab.com/"}, "host"),
        ({"project": "acme/o", "host": "*.example.com"}, "host"),
        ({"project": "acme/o", "host": "git.example.com", "projectId": 7}, "projectId"),
    ],
)
def test_a_gitlab_that_a_trust_could_misread_is_refused(gitlab: dict[str, object], place: str) -> None:
    assert f"gitlab.{place}" in refused(**{"rollback:gitlab": gitlab}).what


def test_jobs_of_gitlab_can_approve_where_they_have_a_project_of_their_own() -> None:
    asked = {
        "rollback:repository": "",
        "rollback:people": {},
        "rollback:production": True,
        "rollback:approval": {},
    }

    nobody = refused(**asked, **{"rollback:gitlab": {"project": "acme/o"}})

    assert "approval" in nobody.what
    assert files(**asked, **{"rollback:gitlab": {"project": "acme/o", "approvals": "acme/a"}}).approvals
