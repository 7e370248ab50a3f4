"""Where the states of an environment's two stacks are."""

from __future__ import annotations

import pytest

from localaws.paths import ROOT
from rollback.config.settings import load
from rollback.engines.pulumi.backend import backend_url

OPTIONS = "?region=eu-west-1&endpoint=http://127.0.0.1:1"
STATE, FOUNDATION = "s3://bbws-access-dev-terraform-state", "s3://bbws-access-dev-foundation-state"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PULUMI_BACKEND_URL", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)


def both() -> tuple[str, str]:
    settings = load(ROOT, "dev")
    return backend_url(settings), backend_url(settings, foundation=True)


@pytest.mark.finding("S5")
def test_each_stack_has_a_bucket_of_its_own() -> None:
    assert both() == (f"{STATE}?region=eu-west-1", f"{FOUNDATION}?region=eu-west-1")


@pytest.mark.finding("S5")
@pytest.mark.parametrize("given", [STATE, FOUNDATION])
def test_a_shell_that_points_at_one_of_them_stands_for_both(
    given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"{given}{OPTIONS}")

    assert both() == (f"{STATE}{OPTIONS}", f"{FOUNDATION}{OPTIONS}")


@pytest.mark.parametrize("given", ["file:///tmp/state", "https://api.pulumi.com", "s3://another/bucket"])
def test_another_backend_has_both(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", given)

    assert both() == (given, given)
