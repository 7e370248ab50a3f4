"""Bad input and bad surroundings: the exit code, a sentence that names what is wrong, and nothing changed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from estate_under_test import ALICE, DAN, FUNCTIONS, REASON, SCRIPT, Person, Platform, Run, together

from local import clients, identity
from naming import ROLLBACK
from tests.proxy import Proxy

Words = tuple[str, ...]
SHELL = "$(touch pwned); `touch pwned`"

USAGE: dict[str, tuple[Words, int, str]] = {
    "an unknown service": (
        ("lambda", "--services", "teem_service", "--reason", "x"),
        2,
        "There is no service 'teem_service'. Did you mean 'team_service'?",
    ),
    "one unknown service of two": (
        ("lambda", "--services", "role_service,nope", "--reason", "x"),
        2,
        "'nope'",
    ),
    "a service that is a prefix": (("lambda", "--services", "role", "--reason", "x"), 2, "no service 'role'"),
    "no service at all": (("lambda", "--services", ",", "--reason", "x"), 2, "--services names none"),
    "an unknown version": (
        ("lambda", "--to", "v9.9.9", "--reason", "x"),
        2,
        "No release 'v9.9.9' is recorded.",
    ),
    "an unknown option": (("lambda", "--frobnicate", "--reason", "x"), 2, "--frobnicate"),
    "an unknown function to leave out": (
        ("lambda", "--except", "nobody", "--reason", "x"),
        2,
        "no function 'nobody'",
    ),
    "no reason": (("lambda",), 2, "reason"),
    "an empty reason": (("lambda", "--reason", ""), 2, "A reason is needed."),
    "a blank reason": (("lambda", "--reason", "   "), 2, "A reason is needed."),
    "a reason of 10,000 characters": (
        ("lambda", "--reason", "x" * 10_000),
        2,
        "The reason has 10,000 characters; 500 are allowed.",
    ),
    "a reason of two lines": (("lambda", "--reason", "first\nsecond"), 2, "one line"),
    "a reason with a carriage return": (("lambda", "--reason", "first\rsecond"), 2, "one line"),
    "a reason with an escape sequence": (("lambda", "--reason", "\x1b[2Jgone"), 2, "one line"),
    "a target that the shell would run": (
        ("lambda", "--to", SHELL, "--reason", "x"),
        2,
        "cannot name a release",
    ),
    "a target that leaves the folder": (
        ("lambda", "--to", "../../etc/passwd", "--reason", "x"),
        2,
        "cannot name a release",
    ),
    "an empty target": (("lambda", "--to", "", "--reason", "x"), 2, "cannot name a release"),
    "a target with a newline": (("lambda", "--to", "v1.1.0\n", "--reason", "x"), 2, "cannot name a release"),
    "a bare Lambda version": (
        ("lambda", "--to", "2", "--reason", "x"),
        2,
        "2 is a Lambda version number, not a release. It is held by v1.1.0 (6 functions).",
    ),
    "a bare Lambda version that nobody holds": (
        ("lambda", "--to", "77", "--reason", "x"),
        2,
        "No recorded release holds it.",
    ),
    "an unknown rollback": (("show", "01ARZ3NDEKTSV4RRFFQ69G5FAV"), 2, "There is no rollback"),
    "an id that is no id": (("resume", "../../x"), 2, "There is no rollback"),
    "an id to abort that is no id": (("abort", SHELL), 2, "There is no rollback"),
    "an approval of nothing": (("approve", "nope", "--digest", "0" * 64), 2, "There is no rollback"),
    "an unknown kind": (("history", "--kind", "novel"), 2, "novel"),
    "a limit that is none": (("history", "--limit", "0"), 2, "limit"),
    "an unknown verb": (("unwind",), 2, "unwind"),
    "a quarantine of nothing": (
        ("release", "quarantine", "v9", "--reason", "x"),
        2,
        "No release 'v9' is recorded.",
    ),
    "a quarantine for no reason": (
        ("release", "quarantine", "v1.1.0", "--reason", ""),
        2,
        "A reason is needed.",
    ),
    "a lift of what is not barred": (
        ("release", "lift", "v1.1.0", "--reason", "x"),
        3,
        "v1.1.0 is not quarantined.",
    ),
    "a release called like a number": (
        ("release", "record", "--version", "12", "--commit", "a" * 40),
        2,
        "cannot name a release",
    ),
    "a release called previous": (
        ("release", "record", "--version", "previous", "--commit", "a" * 40),
        2,
        "cannot name a release",
    ),
    "a release with a plus": (
        ("release", "record", "--version", "v1+team@v2", "--commit", "a" * 40),
        2,
        "cannot name a release",
    ),
    "a commit that is none": (
        ("release", "record", "--version", "v2", "--commit", "HEAD;id"),
        2,
        "is no commit here",
    ),
    "a commit that git takes for an option": (
        ("release", "record", "--version", "v2", "--commit", "--upload-pack=x"),
        2,
        "is no commit here",
    ),
}


def test_wrong_usage_is_said_in_a_sentence_and_changes_nothing(dev: Platform) -> None:
    dev.story()
    before = dev.everything()

    said = {name: dev.rollback(*words, as_=ALICE) for name, (words, _, _) in USAGE.items()}

    wrong = {
        name: run
        for name, run in said.items()
        if run.code != USAGE[name][1] or USAGE[name][2] not in run.err or "Traceback" in run.err or run.out
    }
    assert not wrong, "\n".join(f"--- {name}\n{run}" for name, run in wrong.items())
    assert dev.everything() == before
    assert not list(Path(dev.root).rglob("pwned"))


@pytest.mark.parametrize("environment", ["qa", "../dev", "dev\n", "", "dev;id", "DEV"])
def test_an_unknown_environment_is_named(dev: Platform, environment: str) -> None:
    run = dev.start("status", "--env", environment, as_=ALICE, env=False).finish()

    assert run.code == 2, str(run)
    _plain(run)
    assert "There is no environment" in run.err or "Name the environment" in run.err


def test_a_file_that_is_not_well_configured_is_named(dev: Platform) -> None:
    path = dev.root / "Pulumi.dev.yaml"
    path.write_text(path.read_text().replace("rollback:approval", "rollback:aproval"))

    run = dev.rollback("status", as_=ALICE)

    assert run.code == 2, str(run)
    assert "Did you mean 'rollback:approval'?" in run.err
    _plain(run)


def test_outside_a_checkout_it_says_where_to_run_it(dev: Platform, tmp_path: Path) -> None:
    run = dev.rollback("status", as_=ALICE, cwd=tmp_path)

    assert run.code == 2, str(run)
    assert "There is no Pulumi.yaml" in run.err
    _plain(run)


def test_it_runs_from_a_folder_below_the_checkout(dev: Platform) -> None:
    below = dev.root / "some" / "where"
    below.mkdir(parents=True)

    run = dev.rollback("status", as_=ALICE, cwd=below)

    assert run.code == 0, str(run)


def test_credentials_of_another_account_are_refused(make: Callable[[str], Platform]) -> None:
    mine, theirs = make("dev"), make("dev")
    mine.story()
    before = mine.everything()
    foreign = identity.assume(theirs.endpoint, theirs.settings, ROLLBACK, "alice")

    run = mine.rollback("lambda", "--reason", REASON, as_=ALICE, extra=foreign)

    assert run.code == 3, str(run)
    assert f"These credentials belong to account {theirs.settings.account}" in run.err
    assert mine.settings.account in run.err
    assert mine.everything() == before


CREDENTIALS: dict[str, tuple[dict[str, str | None], str]] = {
    "none": (
        {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "AWS_SESSION_TOKEN": None},
        "There are no AWS credentials.",
    ),
    "half": ({"AWS_SECRET_ACCESS_KEY": None, "AWS_SESSION_TOKEN": None}, "There are no AWS credentials."),
    "a profile that is not there": ({"AWS_PROFILE": "nobody"}, "nobody"),
}


@pytest.mark.parametrize("which", CREDENTIALS)
def test_without_credentials_it_says_so(dev: Platform, which: str) -> None:
    extra, sentence = CREDENTIALS[which]

    run = dev.rollback("lambda", "--reason", REASON, as_=ALICE, extra=extra)

    assert run.code == 2, str(run)
    assert sentence in run.err
    assert "Nothing was changed." in run.err
    _plain(run)


ENDPOINTS = {
    "refused": "http://127.0.0.1:9",
    "no such host": "http://aws.invalid",
    "no URL": "127.0.0.1:4566",
    "not AWS": "http://127.0.0.1:1/%00",
}


@pytest.mark.parametrize("which", ENDPOINTS)
def test_without_a_way_to_aws_it_says_so_soon(dev: Platform, which: str) -> None:
    run = dev.start(
        "lambda", "--reason", REASON, as_=ALICE, extra={"AWS_ENDPOINT_URL": ENDPOINTS[which]}
    ).finish(45)

    assert run.code == 2, str(run)
    assert "asking STS who the caller is" in run.err
    _plain(run)


def test_something_that_is_not_aws_is_named(dev: Platform, proxy: Proxy) -> None:
    proxy.refuse("GetCallerIdentity", status=404, code="html", times=99)

    run = dev.rollback("status", as_=ALICE, endpoint=proxy.endpoint)

    assert run.code == 2, str(run)
    _plain(run)


def test_a_missing_table_is_named(dev: Platform) -> None:
    table = dev.settings.names.deployments_table
    dev.root_client("dynamodb").delete_table(TableName=table)
    root = {**clients.root(dev.settings), "AWS_SESSION_TOKEN": None}

    runs = [
        dev.rollback("lambda", "--reason", REASON, as_=ALICE, extra=root),
        dev.rollback("status", as_=ALICE, extra=root),
        dev.rollback("history", as_=ALICE, extra=root),
        dev.rollback("lambda", "--reason", REASON, as_=ALICE),
    ]

    assert [run.code for run in runs] == [1] * 4, "\n".join(map(str, runs))
    for run in runs:
        assert table in run.err
        _plain(run)
    assert all("Has `pulumi up` declared this environment?" in run.err for run in runs[:3])
    assert dev.versions() == dict.fromkeys(FUNCTIONS, "1")


def test_a_function_that_was_deleted_after_the_release_is_named_and_can_be_left_out(dev: Platform) -> None:
    dev.story()
    gone = dev.name("team-service-get")
    dev.root_client("lambda").delete_function(FunctionName=gone)
    before = dev.everything()

    refused = dev.rollback("lambda", "--reason", REASON, as_=ALICE)

    assert refused.code == 3, str(refused)
    assert f"{gone}: the function does not exist" in refused.err
    assert f"--except {gone}" in refused.err
    assert dev.everything() == before
    run = dev.rollback("lambda", "--except", gone, "--reason", REASON, "--json", as_=ALICE)
    assert run.code == 0, str(run)
    assert run.json["counts"]["moved"] == 5


def test_a_function_without_its_alias_is_named(dev: Platform) -> None:
    dev.story()
    name = dev.name("team-service-get")
    dev.root_client("lambda").delete_alias(FunctionName=name, Name="live")
    before = dev.everything()

    run = dev.rollback("lambda", "--reason", REASON, as_=ALICE)

    assert run.code == 3, str(run)
    assert f"{name}: it has no alias 'live'" in run.err
    assert dev.everything() == before


def test_a_target_version_that_was_deleted_after_the_release_is_named(dev: Platform) -> None:
    dev.story()
    name = dev.name("audit-service-record")
    dev.root_client("lambda").delete_function(FunctionName=name, Qualifier="2")
    before = dev.everything()

    run = dev.rollback("lambda", "--reason", REASON, as_=ALICE)

    assert run.code == 3, str(run)
    assert f"{name}: version 2 no longer exists" in run.err
    assert dev.everything() == before


def test_an_alias_that_somebody_moved_is_named_and_can_be_started_from(dev: Platform) -> None:
    dev.story()
    dev.move("team-service-get", "1")
    before = dev.everything()

    refused = dev.rollback("lambda", "--reason", REASON, as_=ALICE)

    assert refused.code == 3, str(refused)
    assert "somebody moved it to version 1 since version 3 was recorded" in refused.err
    assert "--adopt-current" in refused.err
    assert dev.everything() == before
    run = dev.rollback("lambda", "--adopt-current", "--reason", REASON, "--json", as_=ALICE)
    assert run.code == 0, str(run)
    assert run.json["adopted_current"] is True
    assert dev.versions() == dict.fromkeys(FUNCTIONS, "2")


def test_a_canarys_leftover_weight_on_the_bad_version_is_cleared(dev: Platform) -> None:
    dev.story()
    for tail in FUNCTIONS:
        dev.move(tail, "2", {"3": 0.1})
    recorded = dev.rollback("release", "adopt", "--version", "v1.2.0", as_=DAN)
    assert recorded.code == 3, "it is recorded already"

    run = dev.rollback("lambda", "--to", "v1.1.0", "--adopt-current", "--reason", REASON, "--json", as_=ALICE)

    assert run.code == 0, str(run)
    assert dev.live() == dict.fromkeys(FUNCTIONS, ("2", {}))
    assert run.json["counts"]["confirmed"] == 6


def test_a_weight_is_cleared_where_the_primary_stands_and_others_move(dev: Platform) -> None:
    dev.story()
    dev.move("audit-service-record", "2", {"3": 0.1})

    run = dev.rollback("lambda", "--adopt-current", "--reason", REASON, "--json", as_=ALICE)

    assert run.code == 0, str(run)
    assert dev.live() == dict.fromkeys(FUNCTIONS, ("2", {}))
    assert (run.json["counts"]["moved"], run.json["counts"]["confirmed"]) == (5, 1)
    assert "Weights are cleared on" in run.err


MALFORMED: dict[str, dict[str, dict[str, str]]] = {
    "a rollback": {"PK": {"S": "ROLLBACK#broken"}, "SK": {"S": "METADATA"}, "status": {"S": "ROLLED"}},
    "a release": {"PK": {"S": "DEPLOYMENT#broken"}, "SK": {"S": "METADATA"}, "version": {"N": "1"}},
}


@pytest.mark.parametrize("which", MALFORMED)
def test_a_malformed_record_is_named_and_the_others_are_still_shown(dev: Platform, which: str) -> None:
    dev.story()
    item = MALFORMED[which]
    index = {"GSI1PK": {"S": "ENV#dev"}, "GSI1SK": {"S": "2030-01-01T00:00:00.000Z#x"}}
    dev.root_client("dynamodb").put_item(
        TableName=dev.settings.names.deployments_table, Item={**item, **index}
    )

    run = dev.rollback("history", "--json", as_=ALICE)

    assert run.code == 1, str(run)
    assert item["PK"]["S"] in run.err
    assert "malformed" in run.err
    assert "Traceback" not in run.err
    assert [entry.get("version") for entry in run.json[1:]] == ["v1.2.0", "v1.1.0", "v1.0.0"]


def test_a_malformed_timeline_stops_a_rollback_by_name(dev: Platform) -> None:
    dev.story()
    entry = {"PK": {"S": "RELEASE#dev"}, "SK": {"S": "SEQ#0000000009"}, "kind": {"S": "deployment"}}
    dev.root_client("dynamodb").put_item(TableName=dev.settings.names.deployments_table, Item=entry)
    before = dev.everything()

    run = dev.rollback("lambda", "--reason", REASON, as_=ALICE)

    assert run.code == 1, str(run)
    assert "RELEASE#dev / SEQ#0000000009 is malformed" in run.err
    assert "Traceback" not in run.err
    assert dev.everything() == before


def test_a_damaged_manifest_stops_a_rollback_by_name(dev: Platform) -> None:
    dev.story()
    chunk = next(
        item
        for item in dev.items()
        if item["SK"] == "FUNCTIONS#0001" and '"version":"2"' in item["functions"].replace(" ", "")
    )
    dev.root_client("dynamodb").update_item(
        TableName=dev.settings.names.deployments_table,
        Key={"PK": {"S": chunk["PK"]}, "SK": {"S": chunk["SK"]}},
        UpdateExpression="SET #functions = :x",
        ExpressionAttributeNames={"#functions": "functions"},
        ExpressionAttributeValues={":x": {"S": "{}"}},
    )
    before = dev.everything()

    run = dev.rollback("lambda", "--reason", REASON, as_=ALICE)

    assert run.code == 1, str(run)
    assert chunk["PK"] in run.err
    assert dev.everything() == before


def test_a_journal_that_was_tampered_with_is_shown_as_such(dev: Platform) -> None:
    dev.story()
    run = dev.rollback("lambda", "--reason", REASON, "--json", as_=ALICE)
    dev.root_client("dynamodb").update_item(
        TableName=dev.settings.names.deployments_table,
        Key={"PK": {"S": f"ROLLBACK#{run.id}"}, "SK": {"S": "EVENT#000001"}},
        UpdateExpression="SET #at = :x",
        ExpressionAttributeNames={"#at": "at"},
        ExpressionAttributeValues={":x": {"S": "2020-01-01T00:00:00.000Z"}},
    )

    shown = dev.rollback("show", run.id, "--json", as_=ALICE)

    assert shown.json["chain"] == "event 1 was changed"


@pytest.mark.parametrize("minutes", [4, -4])
def test_a_clock_four_minutes_off_works(dev: Platform, proxy: Proxy, minutes: int) -> None:
    dev.story()
    proxy.skew = timedelta(minutes=minutes)

    run = dev.rollback("lambda", "--reason", REASON, "--json", as_=ALICE, endpoint=proxy.endpoint)

    assert run.code == 0, str(run)
    assert dev.versions() == dict.fromkeys(FUNCTIONS, "2")


@pytest.mark.parametrize(("minutes", "word"), [(10, "behind"), (-10, "ahead of")])
def test_a_clock_ten_minutes_off_is_named(dev: Platform, proxy: Proxy, minutes: int, word: str) -> None:
    dev.story()
    before = dev.everything()
    proxy.skew = timedelta(minutes=minutes)

    run = dev.rollback("lambda", "--reason", REASON, as_=ALICE, endpoint=proxy.endpoint)

    assert run.code == 2, str(run)
    assert f"This machine's clock is 10 minutes {word} AWS's." in run.err
    assert dev.everything() == before


def test_a_role_that_may_not_says_what_was_denied(dev: Platform) -> None:
    dev.story()
    before = dev.everything()

    run = dev.rollback("lambda", "--reason", REASON, as_=Person(role="approver", name="bob"))

    assert run.code == 1, str(run)
    assert "Not allowed" in run.err
    assert "Traceback" not in run.err
    assert dev.everything() == before


def test_fifty_started_together_run_one_and_the_others_say_who_holds_the_lease(
    dev: Platform, proxy: Proxy
) -> None:
    dev.story()
    dev.configure(leaseSeconds=60)
    held = proxy.hold("UpdateAlias")
    first = dev.start("lambda", "--reason", "first", "--json", as_=ALICE, endpoint=proxy.endpoint)
    held.wait()
    owner = next(item for item in dev.items() if item["PK"] == "LOCK#dev")["owner"]

    others = [dev.start("lambda", "--reason", f"other {number}", as_=ALICE) for number in range(49)]
    runs = [running.finish(240) for running in others]
    held.release()
    winner = first.finish()

    assert [run.code for run in runs] == [3] * 49, "\n".join(str(run) for run in runs if run.code != 3)
    for run in runs:
        assert f"{owner} holds the lease on dev/aliases: alice on " in run.err
        assert f"rollback resume {owner} --env dev" in run.err
        assert "Nothing was changed." in run.err
    assert winner.code == 0, str(winner)
    assert winner.id == owner
    assert dev.versions() == dict.fromkeys(FUNCTIONS, "2")
    assert len([item for item in dev.items() if item["PK"] == "RELEASE#dev" and "SEQ#" in item["SK"]]) == 4


def test_six_that_race_for_the_lease_run_one_after_another_or_not_at_all(dev: Platform) -> None:
    dev.story()
    dev.configure(leaseSeconds=60)
    runs: list[Run] = []

    together(
        *[lambda: runs.append(dev.rollback("lambda", "--to", "v1.1.0", "--reason", "x", "--json", as_=ALICE))]
        * 6
    )

    assert {run.code for run in runs} <= {0, 3}, "\n".join(map(str, runs))
    done = [run for run in runs if run.code == 0 and run.json["status"] == "COMPLETE"]
    assert len(done) == 1
    assert dev.versions() == dict.fromkeys(FUNCTIONS, "2")


def test_standard_output_that_nobody_reads_is_no_traceback(dev: Platform) -> None:
    dev.story()
    run = dev.command(["sh", "-c", f'"{SCRIPT}" history --json --env dev | true'], as_=ALICE).finish()

    assert "Traceback" not in run.err, str(run)


def _plain(run: Run) -> None:
    """A sentence for a person: no traceback, nothing on standard output."""
    assert "Traceback" not in run.err, str(run)
    assert not run.out, str(run)
