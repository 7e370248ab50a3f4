"""Where a Pulumi project has its stacks' files: what declares, what reads settings and what rehearses look there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from components import environment
from rollback.config.settings import environments, load, parse, stack_file
from rollback.engines.pulumi.engine import Engine
from rollback.engines.pulumi.update_history import StackName
from rollback.setup.adoption.import_preview import rehearsal
from tests.unit.components.pulumi_mocks import run

CONFIG = {
    "aws:region": "eu-west-1",
    "aws:allowedAccountIds": ["111122223333"],
    "shop:prefix": "shop",
    "shop:alias": "live",
    "shop:production": False,
    "shop:services": {"orders": {"get": "orders-get"}},
}


@pytest.fixture(params=["", "config"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A project whose stacks' files are in its folder, or in one below."""
    where = {"stackConfigDir": request.param} if request.param else {}
    (tmp_path / "Pulumi.yaml").write_text(
        yaml.safe_dump({"name": "shop", "runtime": "python", "main": "src", **where})
    )
    (tmp_path / request.param).mkdir(exist_ok=True)
    (tmp_path / request.param / "Pulumi.staging.yaml").write_text(yaml.safe_dump({"config": CONFIG}))
    (tmp_path / "src").mkdir()
    return tmp_path


def test_settings_are_read_where_the_engine_reads_them(project: Path) -> None:
    assert environments(project) == ["staging"]
    assert load(project, "staging").prefix == "shop"


def test_a_program_in_a_folder_of_its_own_finds_its_environment(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The engine runs a program in its `main`.
    monkeypatch.chdir(project / "src")

    made = run(
        lambda: environment.declare("staging"),
        stack="staging",
        project="shop",
        config={key: value if isinstance(value, str) else json.dumps(value) for key, value in CONFIG.items()},
        account="111122223333",
        caller="arn:aws:sts::111122223333:assumed-role/shop-staging-github-actions-role/dan",
        root=project,
    )

    assert len(made.of("aws:lambda/alias:Alias")) == 1


def test_a_rehearsal_has_the_stacks_file(project: Path, tmp_path: Path) -> None:
    engine = Engine(program="/nowhere/pulumi", backend="file:///nowhere", variables={})

    with rehearsal(
        StackName(engine=engine, project="shop", stack="staging", folder=tmp_path),
        project,
        {"version": 3, "deployment": None},
        watch=None,  # type: ignore[arg-type]
    ) as made:
        copied = (made.folder / "Pulumi.staging.yaml").read_text()

    assert copied == (project / stack_file(project, "staging")).read_text()


def test_aliases_that_others_make_are_not_declared() -> None:
    config = {f"shop:{key}": value for key, value in {"declareAliases": False}.items()}
    text = yaml.safe_dump({"config": CONFIG | config})

    settings = parse("staging", "name: shop\n", text)

    made = run(
        lambda: environment.daily(settings),
        stack="staging",
        project="shop",
        account="111122223333",
        caller="arn:aws:sts::111122223333:assumed-role/shop-staging-github-actions-role/dan",
        root=project,
    )
    assert made.of("aws:lambda/alias:Alias") == {}
    assert made.of("aws:ssm/parameter:Parameter")
