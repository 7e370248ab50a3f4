"""Three platforms: this repository's own and two of `examples/platforms`, each loaded, and declared as the engine sees it."""

from __future__ import annotations

import json
import runpy
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

import components
import components.environment
from rollback.config.settings import Settings, environments, load
from tests.unit.components.pulumi_mocks import Run, run

ROOT = Path(__file__).parents[3]
PLATFORMS = ROOT / "examples" / "platforms"
SHOP, ONE_PERSON = PLATFORMS / "sam-shop", PLATFORMS / "one-person"
EVERY = [(root, name) for root in (ROOT, SHOP, ONE_PERSON) for name in environments(root)]
every_environment = pytest.mark.parametrize(
    ("root", "environment"), EVERY, ids=[f"{root.name}-{name}" for root, name in EVERY]
)
ROLE, PARAMETER = "aws:iam/role:Role", "aws:ssm/parameter:Parameter"
GITHUB = ("aws:iam/openIdConnectProvider:OpenIdConnectProvider", "github:")


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the wheel has it, components are `rollback.components`; this checkout has them at its top."""
    if "rollback.components" not in sys.modules:
        known: dict[str, ModuleType] = {
            "rollback.components": components,
            "rollback.components.environment": components.environment,
        }
        for name, module in known.items():
            monkeypatch.setitem(sys.modules, name, module)


def configuration(root: Path, environment: str) -> dict[str, str]:
    """The map that the engine hands to the program: the project's values under the stack's, as JSON text."""
    project: dict[str, Any] = yaml.safe_load((root / "Pulumi.yaml").read_text(encoding="utf-8"))
    values: dict[str, Any] = {}
    for key, one in project["config"].items():
        values[f"{project['name']}:{key}"] = one.get("default") if isinstance(one, dict) else one
    values |= yaml.safe_load((root / f"Pulumi.{environment}.yaml").read_text(encoding="utf-8"))["config"]
    return {key: one if isinstance(one, str) else json.dumps(one) for key, one in values.items()}


@cache
def declared(root: Path, environment: str) -> tuple[Run, Run]:
    """The two stacks of an environment: what the deployer declares, and what an administrator does."""
    settings = load(root, environment)
    project = yaml.safe_load((root / "Pulumi.yaml").read_text(encoding="utf-8"))["name"]
    caller = f"arn:aws:sts::{settings.account}:assumed-role/{settings.names.role('deployer')}/somebody"

    def program() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(root)
            runpy.run_path(str(root / "__main__.py"))

    daily, foundation = (
        run(
            program,
            stack=stack,
            project=project,
            config=configuration(root, environment),
            account=settings.account,
            caller=caller,
            root=root,
        )
        for stack in (environment, settings.names.foundation_stack)
    )
    return daily, foundation


def types(made: Run) -> set[str]:
    return {one.type for one in made.resources if one.type.startswith(("aws:", "github:"))}


def everything(made: Run) -> str:
    return json.dumps([one.inputs for one in made.resources], default=str)


@every_environment
def test_every_function_has_its_alias_by_its_own_name_where_the_deployer_of_functions_makes_none(
    root: Path, environment: str
) -> None:
    settings = load(root, environment)
    daily, _ = declared(root, environment)

    aliases = daily.of("aws:lambda/alias:Alias").values()
    declared_here = sorted(settings.catalogue()) if settings.declare_aliases else []
    assert sorted(one.inputs["functionName"] for one in aliases) == declared_here
    assert {one.inputs["name"] for one in aliases} == ({settings.alias} if declared_here else set())


@every_environment
def test_both_stacks_read_one_file(root: Path, environment: str) -> None:
    file = root / f"Pulumi.{environment}-foundation.yaml"

    assert file.readlink() == Path(f"Pulumi.{environment}.yaml")


def test_this_repositorys_own_platform_is_one_of_the_three_and_no_copy() -> None:
    place = PLATFORMS / "access-platform"

    assert {path.name for path in place.iterdir()} == {
        "__main__.py",
        *(one.name for one in ROOT.glob("Pulumi*.yaml")),
    }
    assert all(path.readlink() == Path("../../..") / path.name for path in place.iterdir())


def roles(settings: Settings) -> set[str]:
    """Those that somebody needs who has what the settings name."""
    return {
        "deployer",
        "rollback",
        "break-glass",
        *(["restore"] if settings.tables else []),
        *(["approver"] if settings.approvals else []),
        *([] if settings.production else ["drill"]),
    }


@every_environment
def test_there_is_a_role_for_what_an_environment_has_and_none_for_what_it_does_not(
    root: Path, environment: str
) -> None:
    settings = load(root, environment)
    _, foundation = declared(root, environment)

    assert set(foundation.of(ROLE)) == roles(settings)
    for name in {"restore", "approver", "drill"} - roles(settings):
        assert f'"AWS": "{settings.names.role(name)}"' not in everything(foundation)


@every_environment
def test_what_an_environment_does_not_have_is_not_in_any_policy(root: Path, environment: str) -> None:
    settings = load(root, environment)
    daily, foundation = declared(root, environment)
    policies = everything(foundation)

    assert bool(settings.tables) is ("RestoreTableToPointInTime" in policies.replace("dynamodb:Restore*", ""))
    assert bool(settings.terraform) is (".tflock" in policies)
    assert bool(settings.terraform) is ("apigateway:POST" in policies)
    assert bool(settings.repository) is any(one.startswith(GITHUB) for one in types(foundation))
    assert bool(settings.repository) is ("token.actions.githubusercontent.com" in policies)
    assert len(daily.of(PARAMETER)) == 3 + len(settings.tables)


@every_environment
def test_a_role_that_nobody_is_named_for_is_nobodys(root: Path, environment: str) -> None:
    settings = load(root, environment)
    _, foundation = declared(root, environment)

    for role in foundation.of(ROLE).values():
        statements = role.policy("assumeRolePolicy")["Statement"]
        assert statements
        if not settings.repository:
            trusted = [one for one in statements if one["Effect"] == "Allow"]
            assert all("AWS" in one["Principal"] for one in trusted)


@every_environment
def test_every_statement_speaks_of_something(root: Path, environment: str) -> None:
    _, foundation = declared(root, environment)

    for one in foundation.resources:
        for policy in (json.loads(one.inputs["policy"]) for _ in [0] if "policy" in one.inputs):
            for statement in policy["Statement"]:
                assert statement.get("Resource", statement.get("NotResource")) not in ([], "")


def test_the_shops_functions_are_looked_at_by_what_their_names_begin_with() -> None:
    _, foundation = declared(SHOP, "production")
    (inline,) = [
        one.policy()
        for one in foundation.of("aws:iam/rolePolicy:RolePolicy").values()
        if one.inputs["role"] == "shop-production-rollback-role"
    ]
    (reads,) = [one for one in inline["Statement"] if one["Sid"] == "ReadFunctions"]

    assert reads["Resource"] == [
        f"arn:aws:lambda:eu-central-1:444455556666:function:{service}-production-*"
        for service in ("orders", "payments", "catalogue")
    ]


def test_no_module_of_the_product_knows_this_platform() -> None:
    names = ("bbws", "536580886816", "815856636111", "093646564004", "access-management")
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for package in ("rollback", "components")
        for path in (ROOT / package).rglob("*")
        if path.suffix in (".py", ".css", ".js", ".html", ".json", ".toml")
        for name in names
        if name in path.read_text(encoding="utf-8").lower()
    ]

    assert found == []
