"""Infrastructure goes back in dev: confirmed, refused, raced, cut short, and told of afterwards.

One environment, declared once by the engine; each test has it go bad in its own way. A stack's way back
alone is in `test_stack.py`.
"""

from __future__ import annotations

import contextlib
import json
import os
import pty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml

from localaws.paths import ROOT
from tests.e2e.accounts_under_test import Kept
from tests.e2e.estate_under_test import ALICE, DAN, DORA, FUNCTIONS, REASON, SCRIPT, Run, git
from tests.e2e.infrastructure_under_test import GOOD, PATIENCE, InfrastructureEstate, declared
from tests.proxy import Proxy
from tests.warm import Warm

PROGRAM, CONFIGURATION = "__main__.py", "terraform/main.tf"
PATCH = "apigateway:PATCH"


@pytest.fixture(scope="module")
def dev(
    kept: Callable[[str], Kept], warm: Warm, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[InfrastructureEstate]:
    with declared(kept("dev"), tmp_path_factory.mktemp("dev"), warm) as infrastructure:
        yield infrastructure


def test_a_plan_is_confirmed_by_its_digest_and_quarantines_what_was_left_until_that_is_lifted(
    dev: InfrastructureEstate,
) -> None:
    bad = dev.goes_bad("terraform")

    cancelled, screen = ctrl_c_at_the_question(dev)
    waiting = dev.waiting("terraform", "--to", "previous")
    digest = waiting.json["digest"]
    refused = [dev.goes_on("apply", waiting), dev.goes_on("apply", waiting, "--digest", "0" * 64)]
    before = dev.state()
    with uncommitted(dev):
        applied = dev.goes_on("apply", waiting, "--digest", digest[:16])

    assert cancelled == 3, screen
    given_up_id = screen.partition(" is ABORTED, and nothing was changed.")[0].split()[-1]
    assert dev.platform.show(given_up_id)["status"] == "ABORTED"
    assert f"rollback apply {waiting.id} --digest {digest[:16]} --env dev" in waiting.err
    assert [run.code for run in refused] == [3, 3], "\n".join(map(str, refused))
    assert "must be confirmed" in refused[0].err
    assert f"which is {digest[:16]}" in refused[1].err
    assert before == dev.before
    assert applied.code == 0, str(applied)
    assert (applied.json["status"], applied.json["approved_by"]) == ("COMPLETE", None)
    assert dev.is_good("terraform")
    assert [may_be_deployed(dev, commit) for commit in (bad, dev.good)] == [3, 0]
    lifted = dev.platform.rollback("release", "lift", bad[:12], "--reason", "mended", as_=DAN)
    assert lifted.code == 0, str(lifted)
    assert may_be_deployed(dev, bad) == 0


def ctrl_c_at_the_question(dev: InfrastructureEstate) -> tuple[int, str]:
    """The exit code and the screen of a rollback whose question is answered by Ctrl-C on a terminal."""
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(dev.platform.root)
        typed = [str(SCRIPT), "terraform", "--env", "dev", "--reason", REASON, "--to", "previous"]
        os.execve(SCRIPT, typed, dev.platform.variables(DAN) | {"TERM": "dumb", "COLUMNS": "120"})  # noqa: S606
    shown, pressed = b"", False
    with contextlib.suppress(OSError):  # Linux's word for the end of a pseudo-terminal
        while part := os.read(terminal, 65536):
            shown += part
            if b"[y/N]" in shown and not pressed:
                pressed = bool(os.write(terminal, b"\x03"))
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()


@pytest.mark.soak  # tests/integration/targets/terraform/test_target.py applies a kept plan only if everything is the same
def test_a_saved_plan_is_refused_once_somebody_has_applied_another(dev: InfrastructureEstate) -> None:
    dev.goes_bad("terraform")
    waiting = dev.waiting("terraform", "--to", dev.good)
    dev.goes_bad("terraform")

    run = dev.goes_on("apply", waiting, "--digest", waiting.json["digest"])

    assert run.code == 3, str(run)
    assert f"The plan of digest {waiting.json['digest'][:16]} is out of date" in run.err
    assert "the Terraform state was changed since it was made" in run.err
    assert f"rollback abort {waiting.id}" in run.err
    assert dev.state() == dev.before
    given_up(dev, waiting)


def test_yes_confirms_nothing_in_sit(dev: InfrastructureEstate) -> None:
    sit = dev.platform.clone()
    of_dev = yaml.safe_load((sit / "Pulumi.dev.yaml").read_text())
    of_dev["config"]["rollback:unattended"] = "false"
    (sit / "Pulumi.sit.yaml").write_text(yaml.safe_dump(of_dev))

    run = dev.rollback("stack", "--env", "sit", "--to", dev.good, "--yes", env=False, cwd=sit)

    assert run.code == 2, str(run)
    assert "--yes does not confirm a plan in sit" in run.err


@pytest.mark.soak  # the first tests here and in test_stack.py roll back in a checkout with such changes
def test_what_is_not_committed_neither_goes_along_nor_gets_lost(dev: InfrastructureEstate) -> None:
    dev.goes_bad("stack", "terraform")

    with uncommitted(dev):
        runs = [dev.rollback(verb, "--to", dev.good, "--yes") for verb in ("stack", "terraform")]

    assert [run.code for run in runs] == [0, 0], "\n".join(map(str, runs))
    assert dev.is_good("stack")
    assert dev.is_good("terraform")


@pytest.mark.soak  # tests/integration/actions/test_lifecycle_of_infrastructure.py has leases held, and test_update.py somebody who deploys meanwhile
def test_of_two_that_roll_the_stack_back_at_once_one_runs(dev: InfrastructureEstate) -> None:
    dev.goes_bad("stack")
    with Proxy(dev.platform.endpoint) as proxy:
        held = proxy.hold("AddTagsToResource")
        first = dev.start("stack", "--to", dev.good, "--yes", endpoint=proxy.endpoint)
        held.wait()

        others = [
            dev.rollback("stack", "--to", dev.good, "--yes"),
            dev.rollback("full", "--to", GOOD, "--yes"),
        ]
        holders = {
            item["SK"] for item in dev.platform.items() if item["PK"] == "LOCK#dev" and item.get("owner")
        }
        held.release()
        done = first.finish(timeout=PATIENCE)

    assert [run.code for run in others] == [3, 3], "\n".join(map(str, others))
    assert all(done.id in run.err for run in others)
    assert holders == {"stack"}, "what full had taken before it was refused is free"
    assert done.code == 0, str(done)
    assert dev.is_good("stack")


@pytest.mark.soak  # tests/integration/targets/stack/test_update.py reads such a history
def test_the_history_shows_what_the_engine_did_and_which_of_it_is_deployed(dev: InfrastructureEstate) -> None:
    bad = dev.goes_bad("stack")
    root = dev.platform.root
    program = (root / PROGRAM).read_text()
    longer_ago(dev, 10)
    dev.edit("components/release_parameters.py", '"release-parameters")', '"by-hand")')
    dev.up()
    git(root, "checkout", "--", "components")
    (root / PROGRAM).write_text('raise RuntimeError("not today")\n')
    dev.commit("it does not run")
    dev.pulumi("up", "--skip-preview", ok=False)
    (root / PROGRAM).write_text(program)
    dev.commit("it runs again")
    elsewhere = dev.platform.clone()
    (elsewhere / ".venv").symlink_to(ROOT / ".venv")
    git(elsewhere, "commit", "--allow-empty", "-qm", "never deployed")
    dev.pulumi("refresh", "--skip-preview", cwd=elsewhere)

    run = dev.platform.rollback("history", "--kind", "stack", "--limit", "200", "--json", as_=DAN)
    entries = [entry for entry in run.json if "rollback_id" not in entry]
    refresh, failed, dirty, clean, *_ = entries
    failed_at = failed["at"][:19].translate(str.maketrans("", "", "-:"))
    shown = dev.platform.rollback("show", f"up-{failed_at}", "--json", as_=DAN)

    assert run.code == 0, str(run)
    assert len(entries) > 10
    assert [entry["stands"] for entry in entries] == [False, False, True] + [False] * (len(entries) - 3)
    assert (refresh["kind"], refresh["commit"]) == ("refresh", git(elsewhere, "rev-parse", "HEAD"))
    assert (failed["kind"], failed["result"], failed["subject"]) == ("update", "failed", "it does not run")
    assert (dirty["result"], dirty["dirty"]) == ("succeeded", True)
    assert dirty["changes"]["update"] > 0
    assert (clean["commit"], clean["dirty"]) == (bad, False)
    assert shown.json == {**failed, "next": []}


@pytest.mark.soak  # tests/integration/actions/test_lifecycle_of_infrastructure.py has the last part fail; each target resumes for real
def test_full_that_fails_in_its_last_part_leaves_the_relief_and_is_finished_by_resume(
    dev: InfrastructureEstate,
) -> None:
    dev.goes_bad("stack", "terraform", "functions")
    with uncommitted(dev):
        failed = fails_in_its_last_part(dev)
        before, record = dev.state(), dev.platform.show(failed.id)
        resumed = dev.goes_on("resume", failed)

    assert "These stay at the plan's target: " in failed.err
    assert "team_service" in failed.err
    assert "rollback resume" in failed.err
    assert record["status"] == "FAILED"
    assert before.versions == dict.fromkeys(FUNCTIONS, "1")
    assert (before.tag, before.commits["deployed-version"]) == ("release-parameters", GOOD)
    assert dev.before is not None
    assert before.subject == dev.before.subject
    assert resumed.code == 0, str(resumed)
    assert resumed.json["status"] == "COMPLETE"
    assert dev.is_good("stack")
    assert dev.is_good("terraform")
    assert may_be_deployed(dev, dev.bad) == 3


@pytest.mark.soak  # tests/integration/actions/test_lifecycle_of_infrastructure.py aborts full; each target undoes for real
def test_full_that_fails_in_its_last_part_is_undone_by_abort(dev: InfrastructureEstate) -> None:
    dev.goes_bad("stack", "terraform", "functions")
    failed = fails_in_its_last_part(dev)

    aborted = dev.goes_on("abort", failed, "--reason", "not now")

    assert aborted.code == 0, str(aborted)
    assert aborted.json["status"] == "REVERTED"
    assert dev.state() == dev.before
    assert may_be_deployed(dev, dev.bad) == 0


def fails_in_its_last_part(dev: InfrastructureEstate) -> Run:
    """A full rollback whose role may not change the API."""
    with dev.denied(PATCH):
        failed = dev.rollback("full", "--to", GOOD, "--yes")
    assert failed.code == 1, str(failed)
    assert failed.json["status"] == "FAILED"
    assert failed.json["counts"]["failed"] > 0
    return failed


@contextmanager
def uncommitted(dev: InfrastructureEstate) -> Iterator[None]:
    """Changes in the checkout that nobody could run: they neither go along nor get lost."""
    root = dev.platform.root
    for path in (PROGRAM, CONFIGURATION):
        (root / path).write_text((root / path).read_text() + "\nnobody can run this\n")
    (root / "notes.txt").write_text("of mine\n")
    before = dev.checkout()
    yield
    assert dev.checkout() == before
    (root / "notes.txt").unlink()
    git(root, "checkout", "--", PROGRAM, CONFIGURATION)


def may_be_deployed(dev: InfrastructureEstate, commit: str) -> int:
    return dev.platform.rollback("status", "--commit", commit, as_=DAN).code


def given_up(dev: InfrastructureEstate, waiting: Run) -> None:
    run = dev.goes_on("abort", waiting)
    assert run.code == 0, str(run)


def longer_ago(dev: InfrastructureEstate, times: int) -> None:
    """The engine's first update of the stack happened that many times more, a day apart and before it."""
    s3, bucket = dev.platform.root_client("s3"), dev.platform.settings.names.state_bucket
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=".pulumi/history/")["Contents"]
    first = min(item["Key"] for item in listed if item["Key"].endswith(".history.json"))
    update: Any = json.loads(s3.get_object(Bucket=bucket, Key=first)["Body"].read())
    stem, _, moment = first.removesuffix(".history.json").rpartition("-")
    for days in range(1, times + 1):
        seconds = days * 86_400
        earlier = {name: update[name] - seconds for name in ("startTime", "endTime")}
        key = f"{stem}-{int(moment) - seconds * 10**9}.history.json"
        s3.put_object(Bucket=bucket, Key=key, Body=json.dumps({**update, **earlier}).encode())


@pytest.mark.soak  # tests/integration/targets/stack/test_planner.py reports such a commit, tests/integration/actions/reversibility/test_collect.py Terraform's
def test_a_commit_that_would_cost_data_is_none_that_could_be_taken_back(dev: InfrastructureEstate) -> None:
    dev.edit(CONFIGURATION, '"PK"', '"ID"')
    dev.edit("components/live_aliases.py", "protect=True", "protect=False")
    spoilt = dev.commit("another key, and aliases that nobody protects")
    git(dev.platform.root, "revert", "--no-edit", "HEAD")
    before = dev.checkout()
    protects = (
        "would destroy what its configuration protects: Resource "
        "aws_dynamodb_table.access_management (prevent_destroy)."
    )

    passed, bad = could_be_taken_back(dev, "HEAD"), could_be_taken_back(dev, spoilt)
    unseen = dev.platform.rollback("can", as_=ALICE, extra={"GITHUB_TOKEN": None})

    assert passed == {("stack", "yes"): [], ("terraform", "yes"): []}
    assert bad == {
        ("stack", "no"): [
            "it would lose its protection, so that the next change could delete it" for _ in FUNCTIONS
        ],
        ("terraform", "no"): [f"The plan at {spoilt[:12]} {protects}"],
    }
    assert unseen.code == 3, str(unseen)
    assert unseen.screen.count("✗ stack ") == unseen.screen.count("✗ terraform ") == 1
    assert "bbws-access-dev-github-actions-role" in unseen.screen
    assert dev.checkout() == before


def could_be_taken_back(dev: InfrastructureEstate, commit: str) -> dict[tuple[str, str], list[str]]:
    """What `rollback can` says of the stack and of Terraform: check and answer → why, where it is a no."""
    arguments = ("can", "--commit", commit, "--json")
    run = dev.platform.rollback(*arguments, as_=DAN, extra={"GITHUB_TOKEN": None}, timeout=PATIENCE)
    found: dict[tuple[str, str], list[str]] = {}
    for one in run.json["findings"]:
        if one["check"] in ("stack", "terraform"):
            found.setdefault((one["check"], one["answer"]), []).extend([one["why"]] * one["against"])
    assert run.code == (0 if run.json["reversible"] else 3), str(run)
    return found


def test_a_drill_of_everything_leaves_functions_and_stack_as_they_were(dev: InfrastructureEstate) -> None:
    dev.good = dev.commit("all is well")
    dev.up()
    dev.released("v2.0.0", dev.state().commits["terraform-commit"])
    before, checkout = dev.state(), dev.checkout()

    arguments = ("drill", "--scenario", "full", "--services", "role_service_admin", "--json")
    run = dev.platform.rollback(*arguments, as_=DORA, timeout=2 * PATIENCE)

    assert run.code == 0, str(run)
    (drill,) = run.json
    (rollback,) = drill["rollbacks"]
    shown = dev.platform.show(rollback, as_=DAN)
    assert (shown["kind"], shown["status"], shown["counts"]["failed"]) == ("full", "COMPLETE", 0)
    assert shown["infrastructure"]["update"] > 0
    assert dev.state() == before
    assert dev.checkout() == checkout
    assert dev.good == before.commits["pulumi-commit"]
