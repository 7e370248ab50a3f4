"""What `rollback init` says comes next: in an order that works, and nothing that is there already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rollback.setup.catalogue import initial
from rollback.setup.proposal import Proposal


@pytest.fixture(autouse=True)
def real_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)


def proposal(**more: object) -> Proposal:
    return Proposal(
        environment="staging",
        account="111122223333",
        region="eu-central-1",
        prefix="shop",
        alias="live",
        production=False,
        services={"orders": {"get": "orders-get"}},
        **more,  # type: ignore[arg-type]
    )


def steps(folder: Path, start: Path, proposed: Proposal, *buckets: str, **done: Any) -> list[str]:
    there = initial.Done(buckets=frozenset(buckets), **done)
    return [line.partition("  #")[0] for line in initial.steps(folder, start, proposed, there)]


def test_buckets_and_a_repository_that_are_there_are_not_made_again(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    one = proposal()

    bare = steps(tmp_path / "rollbacks", tmp_path, one)
    ready = steps(tmp_path / "rollbacks", tmp_path, one, one.state_bucket, one.foundation_bucket)

    assert bare[0] == ready[0] == "cd rollbacks"
    assert [line for line in bare if "s3" in line and line not in ready] == [
        line
        for bucket in (one.state_bucket, one.foundation_bucket)
        for line in (
            f"aws s3 mb s3://{bucket} --region eu-central-1",
            f"aws s3api put-bucket-versioning --bucket {bucket} --versioning-configuration Status=Enabled",
        )
    ]
    assert not any(line.startswith("git init") for line in bare)


def test_an_administrator_declares_the_foundation_before_the_deployer_takes_the_role(tmp_path: Path) -> None:
    lines = steps(tmp_path, tmp_path, proposal())
    order = [
        "git init --initial-branch main",
        "export PULUMI_BACKEND_URL='s3://shop-staging-foundation-111122223333?region=eu-central-1'",
        "pulumi stack init staging-foundation",
        "git commit --message 'Add staging: its releases can be rolled back'",
        "pulumi up --stack staging-foundation",
        "rollback login --env staging --role deployer",
        "export AWS_PROFILE=deployer-staging",
        "export PULUMI_BACKEND_URL='s3://shop-staging-pulumi-111122223333?region=eu-central-1'",
        "pulumi stack init staging",
        "pulumi up --stack staging",
        "rollback release record --env staging --version v1 --commit $(git rev-parse HEAD)",
    ]

    assert [line for line in lines if line in order] == order


STATUS = "rollback status --env staging"
ALL = {
    "stacks": frozenset({"staging", "staging-foundation"}),
    "committed": True,
    "foundation": True,
    "declared": True,
    "recorded": True,
}
RECORD = "rollback release record --env staging --version v1 --commit $(git rev-parse HEAD)"
UP_FOUNDATION, UP = "pulumi up --stack staging-foundation", "pulumi up --stack staging"


@pytest.mark.parametrize(
    ("undone", "comes", "not_again"),
    [
        ({}, [STATUS], [UP_FOUNDATION, UP, RECORD, "pulumi stack init", "git "]),
        ({"recorded": False}, [RECORD], [UP_FOUNDATION, UP, STATUS, "pulumi stack init", "git "]),
        ({"recorded": False, "declared": False}, [UP, RECORD], [UP_FOUNDATION, "pulumi stack init", "git "]),
        ({"committed": False}, ["git commit", UP_FOUNDATION, UP], ["pulumi stack init", RECORD, STATUS]),
        (
            {"stacks": frozenset({"staging-foundation"}), "declared": False},
            ["pulumi stack init staging", UP],
            [UP_FOUNDATION, "pulumi stack init staging-foundation"],
        ),
    ],
)
def test_what_is_done_already_is_not_asked_for_again(
    tmp_path: Path, undone: dict[str, Any], comes: list[str], not_again: list[str]
) -> None:
    (tmp_path / ".git").mkdir()
    one = proposal()

    lines = steps(tmp_path, tmp_path, one, one.state_bucket, one.foundation_bucket, **{**ALL, **undone})

    for wanted in comes:
        assert [line for line in lines if line.startswith(wanted)], lines
    for done in not_again:
        assert not [line for line in lines if line == done or line.startswith(f"{done} ")], lines


def test_people_of_identity_center_take_no_role(tmp_path: Path) -> None:
    lines = steps(tmp_path, tmp_path, proposal(permission_sets={"deployers": "ShopStagingDeploy"}))

    assert "export AWS_PROFILE=ShopStagingDeploy" in lines
    assert not any(line.startswith("rollback login") for line in lines)
