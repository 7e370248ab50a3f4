"""What a rollback of a stack would do, planned by the real engine; nothing is done.

One stack, deployed once: each test commits what it is about and plans to go there.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rollback.engines.git import Commit
from rollback.engines.pulumi import checkpoint
from rollback.model.plan import to_chunks
from rollback.model.release import STACK, Entry, Quarantine
from rollback.model.request import StackRequest
from rollback.readiness.collect import of_stack
from rollback.readiness.rules import CheckAnswer
from rollback.targets.stack.planner import find
from rollback.util.canonical import canonical
from rollback.util.errors import (
    Code,
    Refused,
    RollbackError,
    UsageError,
)
from rollback.util.process_identity import began
from tests.coded import coded
from tests.doubles.world import ALICE
from tests.integration.stack_under_test import HEAD, ROOT, Estate, alone, ops
from tests.sharing import Shared

OLD = """
parameter("a", "one", protect=True)
table("data", protect=True)
table("spare", retain_on_delete=True)
parameter("secret", pulumi.Config().require_secret("password"))
"""
NEW = OLD.replace('"one"', '"two"') + 'parameter("b", "new")\npulumi.export("rev", 2)\n'
SECRET = "correct-horse-battery"


@contextmanager
def made(folder: Path) -> Iterator[tuple[Estate, str, str]]:
    with alone(folder) as estate:
        estate.secret("password", SECRET)
        old, new = estate.deploy(OLD, "the first"), estate.deploy(NEW, "the second")
        yield estate, old, new


@pytest.fixture(scope="module")
def estates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared[tuple[Estate, str, str]]]:
    with Shared(lambda: made(tmp_path_factory.mktemp("plan"))) as shared:
        yield shared


@pytest.fixture
def deployed(
    estates: Shared[tuple[Estate, str, str]], request: pytest.FixtureRequest
) -> Iterator[tuple[Estate, str, str]]:
    """The stack, the commit before and the commit that stands.

    Nothing is left of a plan: no worktree, no temporary file, no change in the checkout.
    """
    with estates.lent(request) as (estate, old, new):
        yield estate, old, new
        estate.close()
        estate.git("checkout", "-q", "--force", "main")
        estate.git("reset", "-q", "--hard", new)
        estate.git("clean", "-qfd")
        assert estate.git("worktree", "list").count("\n") == 0


def test_previous_is_planned_resource_by_resource_and_two_previews_have_one_digest(
    deployed: tuple[Estate, str, str],
) -> None:
    estate, old, new = deployed

    plan, again = estate.plan(), estate.plan(old[:10])

    assert ops(plan) == {"a": "update", "b": "delete", "rollback-dev": "update"}
    assert plan.infrastructure == {"create": 0, "update": 2, "replace": 0, "delete": 1, "same": 3}
    assert (plan.leaves, plan.targets, plan.quarantines) == ({STACK: new}, {STACK: old}, {STACK: new})
    assert (plan.from_version, plan.to_version) == (new[:12], old[:12])
    assert again.digest() == plan.digest()
    assert estate.git("status", "--short") == ""


def test_a_secret_is_in_the_clear_nowhere(
    deployed: tuple[Estate, str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    estate, old, _ = deployed
    target = estate.target()

    plan = target.plan(StackRequest(commit=old))
    with pytest.raises(RollbackError) as error:
        estate.plan(estate.commit("raise Exception(pulumi.Config().require('password'))"))

    output = capfd.readouterr()
    texts = [*to_chunks(plan), output.out, output.err, error.value.what]
    assert not [text for text in texts if SECRET in text]
    update_plan = Path(target._ready.preview.workspace.plan_file) if target._ready else None
    assert update_plan
    assert SECRET not in update_plan.read_text()
    estate.close()
    assert not update_plan.exists()


@pytest.mark.finding("checkpoint.keyed")
def test_nothing_that_is_hashed_into_a_plan_holds_a_secret(
    deployed: tuple[Estate, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key of these hashes is in the committed stack file: guesses could be tried on what they are of."""
    estate, _, _ = deployed
    hashed: list[str] = []
    keyed = checkpoint.keyed

    def seen(state: checkpoint.Deployment, value: object) -> str:
        hashed.append(canonical(value))
        return keyed(state, value)

    changed = OLD.replace('("password")', '("password").apply(lambda word: word * 2)')
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "keyed", seen)
        plan = estate.plan(estate.commit(changed))

    assert ops(plan)["secret"] == "update"
    assert len(hashed) > len(plan.steps)
    assert [text for text in hashed if "[secret]" in text]
    assert not [text for text in hashed if SECRET in text]


def test_a_state_that_has_moved_or_a_resource_that_has_drifted_makes_another_digest(
    deployed: tuple[Estate, str, str],
) -> None:
    estate, old, _ = deployed
    before = estate.plan(old)

    estate.aws("ssm").put_parameter(Name="/demo/b", Value="by hand", Type="String", Overwrite=True)
    drifted = estate.plan(old)
    estate.up()
    moved = estate.plan(old)

    assert "Drift detected: b (insecureValue)." in drifted.notices
    assert len({before.digest(), drifted.digest(), moved.digest()}) == 3
    assert before.facts["checkpoint"] == drifted.facts["checkpoint"] != moved.facts["checkpoint"]


def test_a_quarantined_commit_is_refused_and_passed_over(deployed: tuple[Estate, str, str]) -> None:
    estate, old, _ = deployed
    quarantine = Quarantine(service=STACK, version=old, reason="bad", by=ALICE, at="")
    estate.ledger.barred.append(quarantine)

    try:
        with pytest.raises(Refused, check=coded(Code.QUARANTINED)):
            estate.plan(old)
        with pytest.raises(Refused, check=coded(Code.NO_PREVIOUS)):
            estate.plan()
    finally:
        estate.ledger.barred.remove(quarantine)


def test_a_commit_of_before_what_must_not_be_rolled_back_past_is_refused_until_that_is_allowed(
    deployed: tuple[Estate, str, str],
) -> None:
    estate, old, new = deployed
    usual = {"kind": "deployment", "at": "", "by": ALICE, "services": (STACK,), "covers": ""}
    estate.ledger.entries[:] = [
        Entry(seq=2, id="2", version="v2", stands={STACK: new}, not_below="v2", **usual),  # type: ignore[arg-type] # by name
        Entry(seq=1, id="1", version="v1", stands={STACK: old}, **usual),  # type: ignore[arg-type] # by name
    ]

    try:
        for to in (old, "previous"):
            with pytest.raises(Refused, check=coded(Code.BELOW_FLOOR)):
                estate.plan(to)
        plan = estate.target().plan(StackRequest(commit=old, allow_below=True))
    finally:
        estate.ledger.entries.clear()

    assert plan.facts[f"below {STACK}"] == "v2 was recorded with --not-below v2"
    assert any("--not-below v2" in notice for notice in plan.notices)
    assert plan.digest() != estate.plan(old).digest()


def test_what_holds_data_or_protection_is_refused_until_it_is_named(
    deployed: tuple[Estate, str, str],
) -> None:
    estate, _, _ = deployed
    target = estate.target()
    without = OLD.replace('table("data", protect=True)', "").replace(
        'table("spare", retain_on_delete=True)', ""
    )
    sha = estate.commit(without.replace(", protect=True", ""))

    plan = target.plan(StackRequest(commit=sha))
    refusals = {one.subject.rpartition("::")[2]: one for one in target.refusals(plan)}

    assert (
        refusals["data"].reason == "it is protected and would be deleted; rollback never removes a protection"
    )
    assert "retain_on_delete" in refusals["spare"].reason
    assert refusals["a"].reason == "it would lose its protection"
    allowed = tuple(one.subject for one in refusals.values() if one.subject != refusals["data"].subject)
    kept = StackRequest(commit=sha, allow_destroy=allowed, without=(refusals["data"].subject,))
    plan = target.plan(kept)
    assert ops(plan) == {"a": "update", "b": "delete", "spare": "delete", "rollback-dev": "update"}
    assert not target.refusals(plan)


@pytest.mark.finding("S11")
def test_items_that_would_expire_are_refused_until_their_table_is_named(
    deployed: tuple[Estate, str, str],
) -> None:
    estate, _, _ = deployed
    target = estate.target()
    _, _, table = HEAD.rpartition("def table")
    expiring = table.replace("billing_mode=", 'ttl={"attribute_name": "at", "enabled": True}, billing_mode=')
    sha = estate.commit(f"def table{expiring}{OLD}")

    plan = target.plan(StackRequest(commit=sha))
    refusals = {one.subject.rpartition("::")[2]: one for one in target.refusals(plan)}

    assert set(refusals) == {"data", "spare"}
    assert "its items would expire by at" in refusals["spare"].reason
    named = tuple(one.subject for one in refusals.values())
    assert not target.refusals(target.plan(StackRequest(commit=sha, allow_destroy=named)))


def test_a_program_that_raises_is_reported_by_its_last_lines(deployed: tuple[Estate, str, str]) -> None:
    estate, _, _ = deployed
    sha = estate.commit("raise RuntimeError('no such team')", "broken")

    with pytest.raises(
        RollbackError, match="RuntimeError: no such team", check=coded(Code.ENGINE_FAILED)
    ) as error:
        estate.plan(sha)

    assert error.value.changed == "Nothing was changed."


def test_a_program_that_hangs_is_stopped_when_its_time_is_up(deployed: tuple[Estate, str, str]) -> None:
    estate, _, _ = deployed
    pid = estate.folder / "pid"
    program = (
        f"import os, pathlib, time\npathlib.Path({str(pid)!r}).write_text(str(os.getpid()))\ntime.sleep(300)"
    )
    sha = estate.commit(program, "hangs")

    with pytest.raises(
        RollbackError, match="did not finish within the time limit", check=coded(Code.ENGINE_FAILED)
    ):
        estate.target(patience=8).plan(StackRequest(commit=sha))

    assert not began(int(pid.read_text()))


def test_a_commit_without_the_project_or_its_stack_is_reported(deployed: tuple[Estate, str, str]) -> None:
    estate, _, _ = deployed
    estate.config(top={"environment": ["platform/dev"]})
    of_esc = estate.commit(OLD, "values from Pulumi ESC")
    estate.git("rm", "-q", "Pulumi.dev.yaml")
    without_stack = estate.commit(OLD, "no stack")
    estate.git("mv", "Pulumi.yaml", "elsewhere.yaml")
    without_project = estate.commit(OLD, "no project")
    estate.write("Pulumi.yaml", json.dumps({"name": "other", "runtime": "python"}))
    other = estate.commit(OLD, "another project")
    estate.git("checkout", "-q", deployed[2], "--", "Pulumi.yaml", "Pulumi.dev.yaml")

    for sha, parts in (
        (of_esc, r"Pulumi ESC \(platform/dev\)"),
        (without_stack, "Pulumi.dev.yaml is missing"),
        (without_project, "has no Pulumi project"),
        (other, "the project is called 'other', not 'rollback'"),
    ):
        with pytest.raises(UsageError, match=parts, check=coded(Code.COMMIT_UNUSABLE)):
            estate.plan(sha)


def test_a_commit_of_another_branch_is_refused(deployed: tuple[Estate, str, str]) -> None:
    estate, _, _ = deployed
    estate.git("checkout", "-q", "-b", "feature")
    sha = estate.commit(OLD, "not reviewed")
    estate.git("checkout", "-q", "main")

    with pytest.raises(Refused, check=coded(Code.NOT_ON_PROTECTED_BRANCH)):
        estate.plan(sha)


def test_the_stack_is_read_with_todays_salt_whatever_the_commit_had(
    deployed: tuple[Estate, str, str],
) -> None:
    estate, _, new = deployed
    estate.config(password="plain", top={"encryptionsalt": "v1:AAAAAAAAAAA=:v1:none:none"})
    other = estate.commit(OLD, "another salt, no secret")
    estate.git("checkout", "-q", new, "--", "Pulumi.dev.yaml")
    estate.config(top={"encryptionsalt": "v1:AAAAAAAAAAA=:v1:none:none"})
    unreadable = estate.commit(OLD, "another salt")
    estate.git("checkout", "-q", new, "--", "Pulumi.dev.yaml")

    assert ops(estate.plan(other))["secret"] == "update"
    with pytest.raises(
        UsageError, match=r"rollback:password in Pulumi\.dev\.yaml ", check=coded(Code.COMMIT_UNUSABLE)
    ):
        estate.plan(unreadable)


def test_a_commit_gets_its_own_dependencies_or_an_error_with_the_last_lines_of_pip(
    deployed: tuple[Estate, str, str],
) -> None:
    estate, _, _ = deployed
    project = json.loads((estate.program / "Pulumi.yaml").read_text())
    project["runtime"]["options"]["virtualenv"] = "venv"
    estate.write("Pulumi.yaml", json.dumps(project))
    (estate.program / "venv").symlink_to(ROOT / ".venv")
    estate.write(".gitignore", "venv\n__pycache__/\n")
    same = estate.commit(OLD, "as today")
    estate.write("requirements.txt", "./no-such-package\n")
    unsatisfiable = estate.commit(OLD, "cannot be installed")
    estate.git("rm", "-q", "requirements.txt")
    estate.commit(OLD)

    with pytest.raises(UsageError, match="no-such-package", check=coded(Code.DEPENDENCIES_UNAVAILABLE)):
        estate.plan(unsatisfiable)
    plan, workspace = estate.plan(same), estate.workspace
    assert ops(plan)["a"] == "update"
    assert workspace is not None
    clean = subprocess.run(
        ["git", "-C", workspace.folder, "status", "--short"], capture_output=True, text=True, check=True
    )
    assert clean.stdout == ""


def test_another_stack_and_another_folder_are_found_or_reported_as_missing(
    deployed: tuple[Estate, str, str],
) -> None:
    estate, _, _ = deployed
    context = estate.target()._context

    assert find(context, StackRequest(stack="blue")).subject == "@stack/rollback/blue"
    with pytest.raises(UsageError, match="'blue'", check=coded(Code.UNKNOWN_STACK)):
        estate.plan("HEAD", stack="blue")
    with pytest.raises(UsageError, match=r"Pulumi\.yaml in infra", check=coded(Code.OPTION_INVALID)):
        estate.plan("HEAD", project="infra")
    with pytest.raises(UsageError, match="not a resource of a stack", check=coded(Code.OPTION_INVALID)):
        estate.plan("HEAD", without=("data",))
    with pytest.raises(UsageError, match="below the repository's top", check=coded(Code.OPTION_INVALID)):
        estate.plan("HEAD", project="../infra")


def test_a_commit_that_would_cost_data_is_reported_by_what_of_it_does(
    deployed: tuple[Estate, str, str],
) -> None:
    estate, _, _ = deployed
    spoilt = NEW.replace('table("data", protect=True)', 'table("data")').replace(
        'table("spare", retain_on_delete=True)', 'table("fresh")'
    )
    bad = estate.commit(spoilt)

    found = of_stack(estate.target()._context, Commit(sha=bad, subject=""), STACK)

    result = {(one.subject.rpartition("::")[2], one.answer): one.why.partition(",")[0] for one in found}
    assert result == {
        ("data", CheckAnswer.NO): "it would lose its protection",
        ("spare", CheckAnswer.NO): "it would only be removed from the state: a rollback would create another",
        (
            "fresh",
            CheckAnswer.NOTE,
        ): "it would be created: a rollback deletes it with all the data it has by then",
    }


def test_a_commit_that_would_delete_what_is_protected_is_none_to_deploy(
    deployed: tuple[Estate, str, str],
) -> None:
    estate, _, _ = deployed
    gone = estate.commit(NEW.replace('table("data", protect=True)', ""))

    (found,) = of_stack(estate.target()._context, Commit(sha=gone, subject=""), STACK)

    assert (found.subject.rpartition("::")[2], found.why) == ("data", "it is protected and would be deleted")
