"""Hostile input: nothing is executed, nothing is rendered raw, the refusal is clear, and nothing is changed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from rollback import Environment
from rollback.ledger.schema import record_item
from rollback.model.drill import drill_item
from rollback.util.errors import UsageError
from tests.e2e.estate_under_test import ALICE, DAN, REASON, SCRIPT, Person, Platform, Run, git
from tests.e2e.hostile import BIDI, CLEAR, LOST, MARK, MARKUP, SHELL, Row, executed, report, wrong
from tests.e2e.hostile_arguments import HARMLESS, NOWHERE, VARIABLES, WORDS
from tests.e2e.hostile_infrastructure import CONFIGURATION, arm, configure_terraform
from tests.e2e.hostile_items import (
    BROKEN,
    DAMAGE,
    PLANTED,
    READ_BY,
    damaged,
    drill,
    found,
    planted,
    raw,
    records,
    shown,
)
from tests.planted import heard
from tests.prepared import terraform
from tests.proxy import Answer, Proxy
from tests.warm import Warm

Ask = Callable[[Row], Run]


@pytest.fixture
def ask(untouched: Platform, warm: Warm) -> Ask:
    """Runs a row in the checkout of the untouched platform."""

    def run(row: Row) -> Run:
        return _answered(warm, untouched, row.line, row.more, untouched.root, as_=row.as_)

    return run


def _answered(
    warm: Warm,
    platform: Platform,
    arguments: list[str],
    more: Mapping[str, str | None],
    cwd: Path,
    *,
    as_: Person = ALICE,
) -> Run:
    variables: dict[str, str | None] = {**platform.variables(as_), **more}
    run = warm.run(arguments, {k: v for k, v in variables.items() if v is not None}, cwd)
    heard(str(arguments), run.out, run.err)
    return run


def test_what_is_typed_is_refused_in_a_sentence_and_changes_nothing(untouched: Platform, ask: Ask) -> None:
    before = untouched.everything()

    runs = {name: ask(row) for name, row in WORDS.items()}

    assert not _wrong(runs, {name: (row.code, row.says) for name, row in WORDS.items()})
    assert untouched.everything() == before
    assert not executed(untouched.folder, untouched.temporary)


def test_what_ends_before_aws_is_asked_needs_no_way_to_it(untouched: Platform, warm: Warm) -> None:
    nowhere: dict[str, str | None] = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"}

    runs = {
        name: _answered(warm, untouched, row.line, nowhere, untouched.root) for name, row in NOWHERE.items()
    }

    assert not _wrong(runs, {name: (row.code, row.says) for name, row in NOWHERE.items()})
    assert not executed(untouched.folder, untouched.temporary)


def test_variables_that_lead_nowhere_are_named(untouched: Platform, warm: Warm) -> None:
    arguments = ["lambda", "--reason", REASON, "--env", "dev"]
    before = untouched.everything()

    runs = {
        name: _answered(warm, untouched, arguments, more, untouched.root)
        for name, (more, _) in VARIABLES.items()
    }

    assert not _wrong(runs, {name: (2, expected) for name, (_, expected) in VARIABLES.items()})
    assert all("Nothing was changed." in run.err for run in runs.values())
    assert untouched.everything() == before
    assert not executed(untouched.folder, untouched.temporary)


def test_variables_of_other_programs_change_nothing_of_an_answer(untouched: Platform, warm: Warm) -> None:
    arguments = ["lambda", "--dry-run", "--json", "--env", "dev"]
    plain = _answered(warm, untouched, arguments, {}, untouched.root)

    runs = {
        name: _answered(warm, untouched, arguments, more, untouched.root) for name, more in HARMLESS.items()
    }

    wrong_ = {
        name: (why, run)
        for name, run in runs.items()
        if (why := wrong(run, 0, "", document=True)) or run.out != plain.out
    }
    assert not wrong_, report(wrong_)
    assert not executed(untouched.folder, untouched.temporary)


def test_settings_that_were_spoilt_open_no_environment(untouched: Platform, tmp_path: Path) -> None:
    opened = {}
    for which, (spoil, expected) in CONFIGURATION.items():
        root = _copy(untouched, tmp_path)
        spoil(root)
        try:
            Environment.open("dev", folder=root)
        except UsageError as error:
            if expected not in str(error) or error.changed != "Nothing was changed.":
                opened[which] = str(error)
        else:
            opened[which] = "it is opened"
        shutil.rmtree(root)

    assert not opened
    assert not executed(tmp_path, untouched.temporary)


# What the API says, the command says; of each way to be refused one is typed in every run.
_TYPED = frozenset({"a misspelt setting", "a setting that clears the screen", "a bomb of anchors", "a pipe"})


@pytest.mark.parametrize(
    "which",
    [one if one in _TYPED else pytest.param(one, marks=pytest.mark.soak) for one in CONFIGURATION],
)
def test_settings_that_were_spoilt_are_reported_at_once(
    untouched: Platform, warm: Warm, tmp_path: Path, which: str
) -> None:
    spoil, expected = CONFIGURATION[which]
    root = _copy(untouched, tmp_path)
    spoil(root)

    run = _answered(warm, untouched, ["status", "--env", "dev"], {}, root)

    assert not wrong(run, 2, expected), str(run)
    assert "Nothing was changed." in run.err
    assert not executed(tmp_path, untouched.temporary)


def test_it_runs_below_a_checkout_and_nowhere_else(untouched: Platform, warm: Warm, tmp_path: Path) -> None:
    below = _copy(untouched, tmp_path) / "some" / f"{SHELL.replace('/', '')}{CLEAR}"
    below.mkdir(parents=True)

    outside = _answered(warm, untouched, ["status", "--env", "dev"], {}, tmp_path)
    inside = _answered(warm, untouched, ["status", "--env", "dev"], {}, below)

    assert not wrong(outside, 2, "No Pulumi.yaml")
    assert not wrong(inside, 0, "deployed v1.2.0")


def test_files_beside_the_settings_that_name_no_environment_are_passed_over(
    untouched: Platform, warm: Warm, tmp_path: Path
) -> None:
    root = _copy(untouched, tmp_path)
    for name in (CLEAR, BIDI, "dev_backup", "", "a" * 200):
        (root / f"Pulumi.{name}.yaml").write_text("config: [\n")

    asked = _answered(warm, untouched, ["show", BROKEN], {}, root)
    unknown = _answered(warm, untouched, ["status", "--env", "qa"], {}, root)

    assert not wrong(asked, 2, "There is no rollback")
    assert not wrong(unknown, 2, "Environments: dev, prod.")


def test_a_repository_that_is_hostile_runs_nothing_and_writes_nothing(
    untouched: Platform, warm: Warm, proxy: Proxy, tmp_path: Path
) -> None:
    root = _copy(untouched, tmp_path)
    commits = arm(root)
    more = {"PATH": f"{terraform().parent}:{untouched.path}", **_no_state(proxy)}
    back = ["terraform", "--reason", "x", "--env", "dev", "--to"]
    release = found(untouched)["release"]
    result = raw({"commit": commits["loud"]})
    forged = raw({"commit": f"--output={MARK}"})
    before = untouched.everything()

    runs = {
        "a commit that has to be asked for": ["status", "--commit", "b" * 10, "--env", "dev"],
        "a commit that is there": ["status", "--commit", commits["loud"][:10], "--env", "dev"],
        "a configuration that is a link": [*back, commits["link"]],
        "a configuration that is none": [*back, commits["loud"]],
        **{
            f"a commit called {name!a}": [*back, name]
            for name in ("--upload-pack=x", "-rf", "HEAD@{0}", "main:terraform", f"main{CLEAR}", SHELL, LOST)
        },
    }
    done = {name: _answered(warm, untouched, parts, more, root) for name, parts in runs.items()}
    with planted(untouched, release | result):
        done["a subject"] = _answered(warm, untouched, ["history", "--env", "dev"], more, root)
    with planted(untouched, release | forged):
        done["a commit that git would write to"] = _answered(
            warm, untouched, ["history", "--env", "dev"], more, root
        )

    assert not _wrong(
        done,
        {
            **dict.fromkeys(done, (2, "There is no commit")),
            "a commit that has to be asked for": (2, "is not a commit of this repository"),
            "a commit that is there": (0, "is not quarantined"),
            "a configuration that is a link": (3, "lead out of it: terraform/environments/dev.tfvars → /etc"),
            "a configuration that is none": (1, "init failed"),
            "a subject": (
                0,
                f"{BIDI} [bold]loud[/] <!channel> $(touch".encode("unicode_escape").decode(),
            ),
            "a commit that git would write to": (0, "commit --output="),
        },
    )
    assert not executed(tmp_path, untouched.temporary)
    assert git(root, "worktree", "list").count("\n") == 0
    assert untouched.everything() == before


# Damage to each of these is named in tests/integration/ledger/test_repository.py, too.
_OF_THE_REPOSITORY = frozenset({"timeline entry", "record", "event", "manifest"})


@pytest.mark.parametrize(
    "which",
    [pytest.param(one, marks=pytest.mark.soak) if one in _OF_THE_REPOSITORY else one for one in READ_BY],
)
def test_items_of_the_ledger_that_were_damaged_are_named(untouched: Platform, warm: Warm, which: str) -> None:
    name, parts = READ_BY[which]
    item, record = found(untouched)[which], next(iter(records().values()))
    line = [*parts, *([record.rollback_id] if parts == ("show",) else []), "--env", "dev"]
    around = [raw(record_item(record))] if which == "event" else []
    before = untouched.everything()

    runs = {}
    for damage, value in DAMAGE.items():
        with planted(untouched, *around, damaged(item, name, value)):
            runs[f"{damage} {name}"] = _answered(warm, untouched, line, {}, untouched.root)
    if which == "lease":
        # Without an owner it is a lease that nobody holds.
        assert runs.pop("a missing owner").code == 0

    # What only tells who holds what is stepped over; what a plan depends on refuses it.
    code = {"lease": 0, "quarantine": 3}.get(which, 1)
    assert not _wrong(
        runs, dict.fromkeys(runs, (code, f"{item['PK']['S']} / {item['SK']['S']} is malformed"))
    )
    assert untouched.everything() == before


def test_damaged_items_are_named_and_the_others_are_still_shown(untouched: Platform, warm: Warm) -> None:
    there = found(untouched)
    record = damaged(there["record"], "status", {"S": "ROLLED"})
    release = damaged(there["release"], "version", {"N": "1"}) | raw({"PK": "DEPLOYMENT#broken"})

    with planted(untouched, record, release):
        run = _answered(warm, untouched, ["history", "--json", "--env", "dev"], {}, untouched.root)

    assert not wrong(run, 1, "malformed", document=True)
    named = " ".join(entry["malformed"] for entry in run.json if "malformed" in entry)
    assert record["PK"]["S"] in named
    assert "DEPLOYMENT#broken" in named
    assert {"v1.2.0", "v1.1.0", "v1.0.0"} == {entry.get("version") for entry in run.json} - {None}


def test_a_manifest_that_lacks_functions_stops_a_rollback_by_name(untouched: Platform, warm: Warm) -> None:
    manifest, before = found(untouched)["manifest"], untouched.everything()

    with planted(untouched, manifest | raw({"functions": "{}"})):
        run = _answered(warm, untouched, ["lambda", "--reason", "x", "--env", "dev"], {}, untouched.root)

    assert not wrong(run, 1, manifest["PK"]["S"]), str(run)
    assert untouched.everything() == before


def test_an_event_may_be_nested_as_deep_as_it_likes(untouched: Platform, warm: Warm) -> None:
    item, record = found(untouched)["event"], next(iter(records().values()))

    with planted(untouched, raw(record_item(record)), item | raw({"data": "[" * 100_000})):
        run = _answered(warm, untouched, ["show", record.rollback_id, "--env", "dev"], {}, untouched.root)

    assert not wrong(run, 1, "is malformed")


def test_whatever_the_ledger_states_is_shown_and_never_acted_upon(untouched: Platform, warm: Warm) -> None:
    written = records()
    items = [item for record in written.values() for item in shown(record)]
    items.append(raw(drill_item(drill(" ".join(PLANTED.values())))))
    wide = {"COLUMNS": "20000"}

    def answer(*arguments: str, more: Mapping[str, str | None] = wide) -> Run:
        return _answered(warm, untouched, [*arguments, "--env", "dev"], more, untouched.root)

    with planted(untouched, *items):
        seen = {
            "history": answer("history"),
            "status": answer("status"),
            "drills": answer("drill", "--report"),
            "narrow": answer("history", more={"COLUMNS": "20"}),
            **{f"show {name}": answer("show", name) for name in list(written)[::2]},
        }
        documents = {
            "history": answer("history", "--json"),
            "status": answer("status", "--json"),
            "show": answer("show", next(iter(written)), "--json"),
        }
        pages = {
            "all": answer("report", "--file", "-"),
            "summary drills": answer("drill", "--report", "--markdown"),
            **{f"page {name}": answer("report", name, "--file", "-") for name in list(written)[1:4]},
            **{f"summary {name}": answer("report", name, "--markdown") for name in list(written)[1:4]},
        }

    every = seen | documents | pages
    assert {name: run.code for name, run in every.items() if run.code} == {}
    assert {name: acts for name, run in every.items() if (acts := _acting(run.out + run.err))} == {}
    for name, run in pages.items():
        # Markdown's own escape makes text of what follows it.
        acting = re.sub(r"\\.", "", run.out) if name.startswith("summary") else run.out
        assert "<script>alert" not in acting, name
        assert "<img" not in acting, name
    assert not any("](javascript:" in run.out for name, run in pages.items() if name.startswith("summary"))
    assert "&lt;script&gt;alert(1)" in pages["all"].out, "HTML is text"
    for text in MARKUP.values():
        assert text in seen["history"].screen, "markup is text"
    assert "rollback abort ALL" not in "".join(
        line for line in seen["history"].screen.splitlines() if line.strip().startswith("next:")
    ), "no line is forged"
    reasons = {entry.get("reason") for entry in documents["history"].json}
    assert set(PLANTED.values()) <= reasons, "a document has what is stored, escaped"
    assert not executed(untouched.folder, untouched.temporary)


def test_no_command_for_a_shell_is_made_of_a_manifest_that_was_changed(
    untouched: Platform, warm: Warm
) -> None:
    """What a shell would run of a RevisionId is for the unit tests of `views.plan.shell_lines`."""
    manifest = found(untouched)["manifest"]
    functions = json.loads(manifest["functions"]["S"])
    for deployed in functions.values():
        deployed["revision_id"] = SHELL
    arguments = ["lambda", "--as-shell", "--env", "dev"]

    with planted(untouched, manifest | raw({"functions": json.dumps(functions)})):
        run = _answered(warm, untouched, arguments, {}, untouched.root)

    assert not wrong(run, 3, "was changed"), str(run)
    assert run.out == ""
    assert not executed(untouched.temporary)


# Streams and limits that the shell sets up: what is typed after `rollback`, how, and what comes of it.
STREAMS: dict[str, tuple[str, int, str]] = {
    "a document that nobody reads": ('"$0" history --json --env dev | true; exit 1', 1, ""),
    "a document to a closed stream": ('"$0" history --json --env dev >&-', 1, "it is closed"),
    "a document to a full disk": ('"$0" history --json --env dev >/dev/full', 1, "No space left on device"),
    "a plan to a full disk": ('"$0" lambda --dry-run --env dev >/dev/full', 1, "No space left on device"),
    "the version to a full disk": ('"$0" --version >/dev/full', 1, "No space left on device"),
    "a help text to a full disk": ('"$0" --help >/dev/full', 1, "No space left on device"),
    "a view to a closed stream": ('"$0" status --env dev 2>&-', 0, ""),
    "a view to a full disk": ('"$0" status --env dev 2>/dev/full', 0, ""),
    "wrong usage that nobody can be told of": ('"$0" --nope 2>/dev/full', 2, ""),
    "wrong usage to a closed stream": ('"$0" status --env nope 2>&-', 2, ""),
    "few files may be open": ('ulimit -n 24; "$0" status --env dev', 0, "deployed v1.2.0"),
    "a locale of ASCII": (
        'export LC_ALL=C PYTHONCOERCECLOCALE=0 PYTHONUTF8=0; "$0" history --env dev',
        0,
        "v1.2.0",
    ),
    "a locale that is none": (
        'export LC_ALL=xx_XX.junk LANG=/etc/passwd; "$0" status --env dev',
        0,
        "v1.2.0",
    ),
    "words of another encoding": (
        'exec "$0" show "$(printf \'\\377\\376\')" --env dev',
        2,
        r"'\udcff\udcfe'",
    ),
}


# A disk of its own for what is temporary, with a page left: without any, another folder would be taken.
_FILLED = """mount -t tmpfs -o size=20k,mode=777 none {0} && export TMPDIR={0} &&
 head -c 16k /dev/zero >$TMPDIR/filler"""


# Of each kind one is in every run; the others are the same stream, or the same limit, met by another verb.
_OTHERS = frozenset(
    {
        "a document that nobody reads",
        "a plan to a full disk",
        "a help text to a full disk",
        "a view to a closed stream",
        "wrong usage to a closed stream",
        "a locale that is none",
    }
)


@pytest.mark.parametrize(
    "which", [pytest.param(one, marks=pytest.mark.soak) if one in _OTHERS else one for one in STREAMS]
)
def test_streams_and_limits_are_no_reason_for_a_traceback(untouched: Platform, which: str) -> None:
    line, code, expected = STREAMS[which]

    run = untouched.command(["bash", "-c", line, str(SCRIPT)], as_=ALICE).finish()

    assert not wrong(run, code, expected, document=True), str(run)
    assert "Exception ignored" not in run.err


def test_a_rollback_that_nobody_can_be_notified_of_is_done_all_the_same(dev: Platform) -> None:
    dev.story()

    run = dev.command(
        ["bash", "-c", '"$0" lambda --reason x --json --env dev >/dev/full 2>&-', str(SCRIPT)], as_=ALICE
    ).finish()

    assert run.code == 1, "what it did could not be told"
    assert set(dev.versions().values()) == {"2"}
    (record,) = [
        item for item in dev.items() if item["PK"].startswith("ROLLBACK#") and item["SK"] == "METADATA"
    ]
    assert record["status"] == "COMPLETE"


def test_a_checkout_that_may_not_be_written_and_a_full_disk_are_reported(
    untouched: Platform, proxy: Proxy, tmp_path: Path
) -> None:
    """In a user namespace of its own, where the system lets us have one."""
    root, full = _copy(untouched, tmp_path), tmp_path / "full"
    full.mkdir()
    configure_terraform(root)
    git(root, "add", ".")
    git(root, "commit", "-qm", "a configuration")
    surroundings = {"no file may grow": ("bash", "ulimit -f 0")}
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode == 0:
        surroundings |= {
            "read-only": (
                "unshare -rm bash",
                f"mount --bind {root} {root} && mount -o remount,ro,bind {root} && cd {root}",
            ),
            "a full disk": ("unshare -rm bash", _FILLED.format(full)),
        }

    runs = {
        name: untouched.command(
            [
                *shell.split(),
                "-c",
                f'{before} && exec "$0" terraform --to HEAD --reason x --env dev',
                str(SCRIPT),
            ],
            as_=DAN,
            cwd=root,
            extra={"PATH": f"{terraform().parent}:{untouched.path}", **_no_state(proxy)},
        ).finish()
        for name, (shell, before) in surroundings.items()
    }

    wanted = {
        "no file may grow": (1, "No usable temporary directory"),
        "read-only": (2, "cannot be checked out"),
        "a full disk": (2, "cannot be checked out"),
    }
    assert not _wrong(runs, wanted)
    assert git(root, "status", "--porcelain") == ""
    assert git(root, "worktree", "list").count("\n") == 0


def _no_state(proxy: Proxy) -> dict[str, str]:
    """The state's bucket is another account's here: nothing is in it, and nobody holds the state's lock."""
    body = b"<Error><Code>NoSuchKey</Code><Message>none</Message></Error>"
    answer = Answer(status=404, headers=[("Content-Type", "application/xml")], body=body)
    for name in ("terraform.tfstate", "terraform.tfstate.tflock"):
        place = f"GET /bbws-access-dev-terraform-state/access-management/{name}"
        proxy._rule(place, None, {}, before=lambda _: answer)
    return {"AWS_ENDPOINT_URL_S3": proxy.endpoint}


def _copy(platform: Platform, folder: Path) -> Path:
    """Another checkout of the same settings, to be spoilt."""
    return Path(shutil.copytree(platform.root, folder / "checkout", symlinks=True))


def _acting(text: str) -> set[str]:
    """The characters that a terminal, or whoever reads, would not see."""
    return {char for char in text if not char.isprintable() and char != "\n"}


def _wrong(runs: Mapping[str, Run], wanted: Mapping[str, tuple[int, str]]) -> str:
    """What went wrong with which runs, to be read; empty where nothing did."""
    return report({name: (why, run) for name, run in runs.items() if (why := wrong(run, *wanted[name]))})
