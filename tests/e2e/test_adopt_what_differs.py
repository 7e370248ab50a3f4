"""An account with an identity provider and a parameter that others have made another way: adopted, and then settled."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import pytest

from localaws.emulator import server
from rollback.config.naming import GITHUB_OIDC_HOST, OIDC_AUDIENCE
from tests import prepared
from tests.e2e.accounts_under_test import undeclared
from tests.e2e.estate_under_test import ADMIN, DAN, Person, Platform, Run
from tests.warm import Warm

ACCOUNT = "690000000005"
ARN = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{GITHUB_OIDC_HOST}"
THEIRS = "another-teams-audience"
PATIENCE = 240.0


@pytest.fixture
def platform(warm: Warm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Functions, an untagged provider with another team's audience beside ours, and a parameter that is described."""
    prepared.account()
    with server.running(auth=True) as emulator:
        made = undeclared(emulator.endpoint, "dev", ACCOUNT, tmp_path_factory.mktemp("differs"))
        made.warm = warm
        made.root_client("iam").create_open_id_connect_provider(
            Url=f"https://{GITHUB_OIDC_HOST}",
            ClientIDList=[OIDC_AUDIENCE, THEIRS],
            ThumbprintList=["0" * 40],
        )
        made.root_client("ssm").put_parameter(
            Name=made.settings.names.deployed_version, Value="v0", Type="String", Description="by hand"
        )
        try:
            yield made
        finally:
            made.end()


@pytest.mark.soak  # test_adopt.py adopts what exists and what differs; tests/unit/actions/adoption/test_discovery.py names lost audiences
@pytest.mark.finding("W9")
def test_a_provider_and_a_parameter_made_by_hand_are_adopted_and_the_second_up_changes_nothing(
    platform: Platform,
) -> None:
    name, foundation = platform.settings.names.deployed_version, platform.settings.names.foundation_stack

    provider = _settled(platform, foundation, ADMIN, "--foundation")
    parameter = _settled(platform, "dev", DAN)

    assert provider[ARN]["state"] == "differs"
    assert provider[ARN]["properties"] == [f"clientIdLists (no longer {THEIRS})", "tags"], (
        "what an up takes away from others is named"
    )
    assert parameter[name]["state"] == "differs"
    assert "description" in parameter[name]["properties"]
    now = platform.root_client("iam").get_open_id_connect_provider(OpenIDConnectProviderArn=ARN)
    assert now["ClientIDList"] == [OIDC_AUDIENCE]
    assert now["Tags"]
    (described,) = platform.root_client("ssm").describe_parameters(
        ParameterFilters=[{"Key": "Name", "Values": [name]}]
    )["Parameters"]
    assert not described.get("Description")


def _settled(platform: Platform, stack: str, person: Person, *options: str) -> dict[str, dict[str, object]]:
    """Adopts what exists by the printed lines, updates twice, and gives what was said of each resource, by its id."""
    platform.pulumi("stack", "select", "--create", stack, as_=person)
    found = platform.rollback(
        "adopt", "--json", *options, "--write", f"../{stack}", as_=person, timeout=PATIENCE
    )
    assert found.code == 0, str(found)
    for line in found.json["commands"]:
        if line.startswith("pulumi import"):
            _typed(platform, line, person)
    up = f"pulumi up --stack {stack} --yes --skip-preview --non-interactive"
    _typed(platform, up, person)
    _typed(platform, f"{up} --expect-no-changes", person)
    return {one["id"]: one for one in found.json["resources"]}


def _typed(platform: Platform, line: str, person: Person) -> Run:
    run = platform.command(shlex.split(line), as_=person).finish(PATIENCE)
    assert run.code == 0, f"{line}\n{run}"
    return run
