"""A rollback stays: `pulumi up` after every release and every rollback leaves what the rollback wrote."""

from __future__ import annotations

from tests.e2e.estate_under_test import ADMIN, ALICE, DAN, FUNCTIONS, REASON, Platform, Run, git

REAL_SMOKE = ["python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/smoke"]


def test_pulumi_up_after_every_release_and_rollback_leaves_what_they_wrote_and_taking_it_out_the_aliases(
    declared: Platform,
) -> None:
    dev = declared
    dev.configure(smoke=REAL_SMOKE)
    commit = git(dev.root, "rev-parse", "HEAD~1")

    recorded = dev.record("v1.0.0")
    assert recorded.code == 0, str(recorded)
    assert recorded.json["stack_commit"] == commit, "that of the newest clean update"
    _up_changes_nothing(dev)
    dev.release("v1.1.0")
    dev.release("v1.2.0", broken=["team_service"])
    _up_changes_nothing(dev)
    assert dev.versions() == dict.fromkeys(FUNCTIONS, "3")
    assert dev.deployed() == "v1.2.0"

    bad = dev.rollback("verify", as_=ALICE)
    assert bad.code == 5, str(bad)
    assert "team-service-get: team_service v1.2.0: members is None" in bad.err

    run = dev.rollback("lambda", "--reason", REASON, "--json", as_=ALICE)
    assert run.code == 0, str(run)
    assert run.json["status"] == "COMPLETE"
    _up_changes_nothing(dev)
    assert dev.live() == dict.fromkeys(FUNCTIONS, ("2", {}))
    assert dev.deployed() == "v1.1.0"

    further = dev.rollback("lambda", "--services", "team_service", "--reason", REASON, "--json", as_=ALICE)
    assert further.code == 0, str(further)
    _change_something_near(dev)
    changed = _up(dev)
    assert changed.code == 0, str(changed)
    assert dev.alias("team-service-get")["Description"] == "changed", "or this would prove nothing"
    assert dev.versions() == {tail: "1" if tail.startswith("team-") else "2" for tail in FUNCTIONS}
    assert dev.deployed() == "v1.1.0+team_service@v1.0.0"
    _up_changes_nothing(dev)

    before, records = dev.live(), dev.items()
    _take_out(dev)
    assert dev.live() == before
    assert dev.items() == records
    assert not dev.root_client("ssm").describe_parameters()["Parameters"]


def _take_out(dev: Platform) -> None:
    """As docs/getting-started.md says, by an administrator."""
    foundation = dev.settings.names.foundation_stack
    for arguments in (
        ["destroy", "--exclude-protected", "--yes", "--skip-preview", "--stack", foundation],
        ["stack", "rm", foundation, "--force", "--preserve-config", "--yes"],
    ):
        dev.pulumi(*arguments, as_=ADMIN)
    ssm, path = dev.root_client("ssm"), dev.settings.names.parameter_path
    for parameter in ssm.get_parameters_by_path(Path=path, Recursive=True)["Parameters"]:
        ssm.delete_parameter(Name=parameter["Name"])


def _up_changes_nothing(dev: Platform) -> None:
    run = _up(dev, "--expect-no-changes")
    assert run.code == 0, str(run)


def _up(dev: Platform, *options: str) -> Run:
    """By the deployer, as a workflow does it."""
    arguments = ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive", "--stack", "dev", *options]
    return dev.command(arguments, as_=DAN).finish(120)


def _change_something_near(dev: Platform) -> None:
    """Another property of every alias, and a tag on every parameter, as a later commit may bring them."""
    edits = {
        "live_aliases.py": [
            (
                "function_version=newest[function],",
                'function_version=newest[function], description="changed",',
            ),
            (
                "ignore_changes=THE_ROLLBACKS",
                'ignore_changes=[p for p in THE_ROLLBACKS if p != "description"]',
            ),
        ],
        "release_parameters.py": [
            (
                '**tags(names, "release-parameters")',
                '**tags(names, "release-parameters"), "near": "x"',
            )
        ],
    }
    for name, changes in edits.items():
        path = dev.root / "components" / name
        for before, after in changes:
            assert path.read_text().count(before) == 1
            path.write_text(path.read_text().replace(before, after))
    git(dev.root, "commit", "-qam", "something near")
