"""Approval: another person, another role, this plan, in time, by settings that nobody edited here."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rollback.config.settings import Settings, load
from rollback.lifecycle import approval
from rollback.model.identity import Actor
from rollback.model.kind import Kind
from rollback.model.record import WAITING, Record, Status
from rollback.util.errors import Code, Refused
from tests.coded import coded
from tests.doubles.records import a_record
from tests.doubles.world import ALICE, BOB, settings, texts

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
DIGEST = "ab" * 32
HERE = settings(approval="identity")


def waiting(**changed: Any) -> Record:
    usual = {
        "initiated_at": "2026-11-24T11:00:00.000Z",
        "status": Status.AWAITING_APPROVAL,
        "digest": DIGEST,
    }
    return a_record(**usual | changed)


def given(by: Actor = BOB, digest: str = DIGEST, record: Record | None = None) -> Any:
    return approval.approve(record or waiting(), digest, by, HERE, NOW)


def test_another_person_under_the_approver_role_approves_this_plan_for_a_while() -> None:
    text = given(digest=DIGEST[:12])

    assert (text.digest, text.by) == (DIGEST, BOB)
    assert text.expires_at == "2026-11-24T13:00:00.000Z"
    assert approval.valid_approval(waiting(), [text], HERE, NOW) == text


@pytest.mark.parametrize(
    ("by", "why"),
    [
        (Actor(role=BOB.role, person="alice"), "alice started it"),
        (Actor(role=BOB.role, person="ALICE"), "ALICE started it"),
        (Actor(role=ALICE.role, person="bob"), "the same role"),
        (
            Actor(role="acme-dev-github-actions-role", person="bob"),
            "is not acting under acme-dev-approver-role",
        ),
        (Actor(role="acme-prod-approver-role", person="bob"), "is not acting under"),
        (Actor(role="user", person="bob"), "is not acting under"),
    ],
)
def test_nobody_else_may(by: Actor, why: str) -> None:
    with pytest.raises(Refused, match=why, check=coded(Code.APPROVAL_REFUSED)):
        given(by)

    with pytest.raises(Refused, match=why, check=coded(Code.APPROVAL_MISSING)):
        approval.valid_approval(waiting(), [replace(given(), by=by)], HERE, NOW)


@pytest.mark.parametrize("digest", ["", "ab", DIGEST[:11], "cd" * 32, DIGEST + "0", DIGEST[:20].upper()])
def test_another_digest_or_too_little_of_it_is_another_plan(digest: str) -> None:
    with pytest.raises(Refused, check=coded(Code.DIGEST_MISMATCH)):
        given(digest=digest)


@pytest.mark.finding("D1")
@pytest.mark.parametrize(("aliases", "asked"), [("none", "confirm"), ("identity", "identity")])
def test_what_a_prune_deletes_for_good_somebody_has_seen_first(aliases: str, asked: str) -> None:
    assert approval.policy(settings(approval=aliases), Kind.PRUNE) == asked


@pytest.mark.parametrize("status", [status for status in Status if status not in WAITING])
def test_what_waits_for_nothing_is_not_approved(status: Status) -> None:
    with pytest.raises(Refused, match=status, check=coded(Code.WRONG_STATUS)):
        given(record=waiting(status=status))


def test_an_expired_approval_and_one_of_another_plan_are_not_valid() -> None:
    text = given()

    with pytest.raises(Refused, match="expired at 2026-11-24T13", check=coded(Code.APPROVAL_MISSING)):
        approval.valid_approval(waiting(), [text], HERE, NOW + timedelta(minutes=61))
    with pytest.raises(Refused, match="approved another plan", check=coded(Code.APPROVAL_MISSING)):
        approval.valid_approval(waiting(), [replace(text, digest="0" * 64)], HERE, NOW)
    with pytest.raises(Refused, match="nobody has approved it", check=coded(Code.APPROVAL_MISSING)):
        approval.valid_approval(waiting(), [], HERE, NOW)


def test_one_valid_approval_is_enough() -> None:
    old = replace(given(), expires_at="2026-11-24T11:00:00.000Z", at="2026-11-24T10:00:00.000Z")

    assert approval.valid_approval(waiting(), [given(), old], HERE, NOW) == given()


@pytest.mark.finding("G8")
@pytest.mark.parametrize(
    "changed",
    [
        {"expires_at": "soon"},
        {"expires_at": "2026-11-29"},
        {"expires_at": "2026-11-29T12:00:00"},
        {"at": "just now"},
        {"at": "9999-12-31T23:59:59Z", "expires_at": "9999-12-31T23:59:59Z"},
    ],
)
def test_an_approval_with_times_that_are_none_does_not_hold_and_hides_no_other(
    changed: dict[str, str],
) -> None:
    malformed = replace(given(), **changed)

    with pytest.raises(Refused, check=coded(Code.APPROVAL_MISSING)):
        approval.valid_approval(waiting(), [malformed], HERE, NOW)
    assert approval.valid_approval(waiting(), [malformed, given()], HERE, NOW) == given()


@pytest.mark.finding("G8")
def test_an_approval_holds_no_longer_than_the_settings_state_whatever_it_states_itself() -> None:
    text = replace(given(), expires_at="2031-01-01T00:00:00.000Z")

    assert approval.valid_approval(waiting(), [text], HERE, NOW + timedelta(minutes=59)) == text
    with pytest.raises(Refused, match="expired at 2026-11-24T13:00", check=coded(Code.APPROVAL_MISSING)):
        approval.valid_approval(waiting(), [text], HERE, NOW + timedelta(minutes=61))


@pytest.mark.finding("G8")
def test_an_approval_that_is_yet_to_be_given_does_not_hold_but_clocks_may_differ_by_minutes() -> None:
    later = replace(given(), at="2027-11-24T12:00:00.000Z", expires_at="2031-01-01T00:00:00.000Z")
    ahead = replace(given(), at="2026-11-24T12:04:00.000Z")

    with pytest.raises(Refused, match="in the future", check=coded(Code.APPROVAL_MISSING)):
        approval.valid_approval(waiting(), [later], HERE, NOW)
    assert approval.valid_approval(waiting(), [ahead], HERE, NOW) == ahead


# -- settings against the protected branch -------------------------------------------------------------


def git(root: Path, *arguments: str) -> None:
    subprocess.run(
        ["git", "-C", str(root), "-c", "user.name=t", "-c", "user.email=t@example.com", *arguments],
        check=True,
        capture_output=True,
    )


def write(folder: Path, **changed: Any) -> Settings:
    folder.mkdir(exist_ok=True)
    project, stack = texts(**changed)
    (folder / "Pulumi.yaml").write_text(project, encoding="utf-8")
    (folder / "Pulumi.dev.yaml").write_text(stack, encoding="utf-8")
    return load(folder, "dev")


@pytest.fixture(params=["", "project"], ids=["at the top", "in a subfolder"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A project whose settings, on branch main, ask for another identity's approval."""
    git(tmp_path, "init", "-q", "-b", "main")
    project: Path = tmp_path / request.param
    write(project, approval="identity")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "settings")
    return project


def policy(folder: Path) -> str:
    return approval.binding_policy(folder, load(folder, "dev"), "aliases")


def test_settings_as_the_protected_branch_has_them_count(folder: Path) -> None:
    assert policy(folder) == "identity"


def test_an_edit_in_the_checkout_cannot_approve_itself(folder: Path) -> None:
    write(folder, approval="none")

    with pytest.raises(
        Refused, match=r"Pulumi\.dev\.yaml .* 'main'", check=coded(Code.SETTINGS_NOT_REVIEWED)
    ):
        policy(folder)


def test_a_commit_on_another_branch_cannot_either(folder: Path) -> None:
    git(folder, "checkout", "-q", "-b", "quick-fix")
    write(folder, approval="none")
    git(folder, "commit", "-qam", "no approval")

    with pytest.raises(Refused, match="differ from branch 'main'", check=coded(Code.SETTINGS_NOT_REVIEWED)):
        policy(folder)


def test_any_other_difference_is_refused_too(folder: Path) -> None:
    write(folder, approval="identity", smoke=["true"])

    with pytest.raises(Refused, match=r"Pulumi\.yaml here differ", check=coded(Code.SETTINGS_NOT_REVIEWED)):
        policy(folder)


def test_the_remotes_branch_counts_more_than_a_local_one(folder: Path) -> None:
    git(folder, "update-ref", "refs/remotes/origin/main", "main")
    write(folder, approval="none")
    git(folder, "commit", "-qam", "no approval")

    with pytest.raises(Refused, match="differ from branch 'main'", check=coded(Code.SETTINGS_NOT_REVIEWED)):
        policy(folder)


def test_without_the_protected_branch_approval_cannot_be_given(folder: Path) -> None:
    git(folder, "branch", "-qm", "elsewhere")

    with pytest.raises(Refused, match="'main'", check=coded(Code.SETTINGS_NOT_REVIEWED)) as raised:
        policy(folder)

    assert "git fetch origin main" in raised.value.next


@pytest.mark.finding("S18")
def test_where_the_protected_branch_cannot_be_read_an_edit_that_asks_for_nobody_is_refused(
    folder: Path, tmp_path: Path
) -> None:
    git(folder, "branch", "-qm", "elsewhere")
    write(folder, approval="none")
    copied = write(tmp_path / "no-checkout", approval="none")

    for root in (folder, tmp_path / "no-checkout"):
        with pytest.raises(Refused, match="'main'", check=coded(Code.SETTINGS_NOT_REVIEWED)):
            approval.binding_policy(root, copied, "aliases")


@pytest.mark.finding("S18")
def test_a_branch_of_ones_own_is_not_the_protected_one_where_there_is_a_remote(folder: Path) -> None:
    git(folder, "update-ref", "refs/remotes/origin/main", "main")
    git(folder, "checkout", "-q", "-b", "mine")
    write(folder, approval="none", protectedBranch="mine")
    git(folder, "commit", "-qam", "no approval")

    with pytest.raises(Refused, match="branch 'mine'", check=coded(Code.SETTINGS_NOT_REVIEWED)):
        policy(folder)


@pytest.mark.finding("S18")
def test_a_pushed_branch_of_ones_own_is_not_either_since_the_default_branch_names_the_protected_one(
    folder: Path,
) -> None:
    git(folder, "update-ref", "refs/remotes/origin/main", "main")
    git(folder, "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")
    assert policy(folder) == "identity"
    git(folder, "checkout", "-q", "-b", "mine")
    write(folder, approval="none", protectedBranch="mine")
    git(folder, "commit", "-qam", "no approval")
    git(folder, "update-ref", "refs/remotes/origin/mine", "mine")

    with pytest.raises(Refused, match="'mine' here, and 'main' on", check=coded(Code.SETTINGS_NOT_REVIEWED)):
        policy(folder)


@pytest.mark.finding("S18")
def test_a_branch_that_calls_another_one_protected_is_not_the_protected_one(folder: Path) -> None:
    git(folder, "checkout", "-q", "-b", "mine")
    write(folder, approval="none")
    git(folder, "commit", "-qam", "no approval")
    write(folder, approval="none", protectedBranch="mine")

    with pytest.raises(Refused, match="'mine' here, and 'main' on", check=coded(Code.SETTINGS_NOT_REVIEWED)):
        policy(folder)


def test_a_checkout_that_asks_for_more_than_the_branch_must_equal_it_too(folder: Path) -> None:
    write(folder, approval="none")
    git(folder, "commit", "-qam", "none")
    write(folder, approval="identity")

    with pytest.raises(Refused, match="differ", check=coded(Code.SETTINGS_NOT_REVIEWED)):
        policy(folder)


def test_settings_on_the_branch_that_this_command_cannot_read_are_reported_as(folder: Path) -> None:
    good = (folder / "Pulumi.yaml").read_text(encoding="utf-8")
    newer = json.loads(good)
    newer["config"]["unheardOf"] = {"default": 1}
    (folder / "Pulumi.yaml").write_text(json.dumps(newer), encoding="utf-8")
    git(folder, "commit", "-qam", "newer")
    (folder / "Pulumi.yaml").write_text(good, encoding="utf-8")

    with pytest.raises(
        Refused,
        match="on branch 'main' cannot be read by this version of the command",
        check=coded(Code.SETTINGS_NOT_REVIEWED),
    ):
        policy(folder)
