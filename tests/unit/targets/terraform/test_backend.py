"""Where a commit says that its state is: its own say, what it leaves open, and what cannot be known."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollback.model.deployed import UNKNOWN
from rollback.targets.terraform.backend import Backend, declared, deployed, shared
from rollback.util.errors import Code, Refused, RollbackError
from tests.coded import coded
from tests.doubles.world import settings
from tests.e2e.estate_under_test import git

OURS = f"{settings().names.stem}-terraform-state"
PARTIAL = 'terraform {\n  backend "s3" {\n    key = "orders/dev.tfstate"\n  }\n}\n'
WHOLE = PARTIAL.replace('"s3" {', '"s3" {\n    bucket = "acme"\n    region = "eu-central-1"')

pytestmark = pytest.mark.finding("P2")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("TF_WORKSPACE", raising=False)
    git(tmp_path, "init", "-q", "-b", "main")
    return tmp_path


def commit(checkout: Path, **files: str) -> str:
    folder = checkout / "terraform"
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.tf").write_text(text)
    git(checkout, "add", ".")
    git(checkout, "commit", "-qm", "one", "--allow-empty")
    return git(checkout, "rev-parse", "HEAD")


def of(checkout: Path, **files: str) -> Backend:
    return declared(checkout, commit(checkout, **files), settings())


def test_what_a_commit_declares_is_used_and_only_what_it_leaves_open_is_ours(checkout: Path) -> None:
    whole, part = of(checkout, main=WHOLE), of(checkout, main=PARTIAL)

    assert str(whole) == "s3://acme/orders/dev.tfstate in eu-central-1"
    assert whole.options == {}
    assert str(part) == f"s3://{OURS}/orders/dev.tfstate in {settings().region}"
    assert part.options == {"bucket": OURS, "region": settings().region}


def test_an_override_file_has_the_last_word(checkout: Path) -> None:
    found = of(checkout, zz=PARTIAL, a_override=PARTIAL.replace("dev", "other"))

    assert found.key == "orders/other.tfstate"


def test_a_backend_of_a_module_below_is_not_the_configurations(checkout: Path) -> None:
    (checkout / "terraform" / "modules").mkdir(parents=True)
    (checkout / "terraform" / "modules" / "main.tf").write_text(WHOLE)

    assert of(checkout, main=PARTIAL).bucket == OURS


@pytest.mark.parametrize(
    "text",
    [
        "",
        PARTIAL.replace("s3", "gcs"),
        'terraform {\n  cloud {\n    organization = "acme"\n  }\n}\n',
        PARTIAL.replace('"orders/dev.tfstate"', "var.key"),
        PARTIAL.replace("}", ""),
    ],
    ids=["none", "of another kind", "of a service", "computed", "unreadable"],
)
def test_what_cannot_be_known_or_used_is_refused(checkout: Path, text: str) -> None:
    with pytest.raises(RollbackError, check=coded(Code.COMMIT_UNUSABLE)):
        of(checkout, main=text)


def test_another_workspace_has_another_state(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sha = commit(checkout, main=PARTIAL)
    monkeypatch.setenv("TF_WORKSPACE", "orders-dev")

    with pytest.raises(Refused, match="orders-dev", check=coded(Code.COMMIT_UNUSABLE)):
        declared(checkout, sha, settings())

    monkeypatch.delenv("TF_WORKSPACE")
    (checkout / "terraform" / ".terraform").mkdir()
    (checkout / "terraform" / ".terraform" / "environment").write_text("orders-dev")
    with pytest.raises(Refused, match="orders-dev", check=coded(Code.COMMIT_UNUSABLE)):
        declared(checkout, sha, settings())


@pytest.mark.parametrize("other", ["acme", "orders/dev", "eu-central-1"])
def test_another_bucket_key_or_region_than_the_deployed_one_is_refused(checkout: Path, other: str) -> None:
    good = commit(checkout, main=WHOLE)
    moved = commit(checkout, main=WHOLE.replace(other, f"{other}-2"))

    with pytest.raises(Refused, check=coded(Code.COMMIT_UNUSABLE)):
        shared(checkout, moved, good, settings())
    with pytest.raises(Refused, check=coded(Code.COMMIT_UNUSABLE)):
        shared(checkout, good, moved, settings())

    assert shared(checkout, good, good, settings()) == declared(checkout, good, settings())


def test_where_no_deployment_is_recorded_the_checkout_says_where_the_state_is(checkout: Path) -> None:
    commit(checkout, main=PARTIAL)
    commit(checkout, main=WHOLE)

    assert deployed(checkout, UNKNOWN, settings()).bucket == "acme"
    assert deployed(checkout, "0" * 40, settings()).bucket == "acme"


def test_what_init_came_to_is_compared_with_it(checkout: Path) -> None:
    found = of(checkout, main=WHOLE)
    config = {"bucket": "acme", "key": "orders/dev.tfstate", "region": "eu-central-1", "encrypt": True}

    assert found.is_that_of({"type": "s3", "config": config})
    assert not found.is_that_of({"type": "local", "config": config})
    assert not found.is_that_of({"type": "s3", "config": {**config, "key": "another"}})
    assert not found.is_that_of({})
