"""The command line's own answers: wrong usage is exit 2 before anything is asked of anybody."""

from __future__ import annotations

import inspect
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rollback import rooms
from rollback.cli import output
from rollback.cli.app import ELSEWHERE, VERBS, app
from rollback.cli.help_texts import EXAMPLES, FIRST, PANELS
from rollback.cli.options import minutes_if, names_in, seconds_in
from rollback.cli.verbosity import chosen
from rollback.ledger.store import Conflict, LedgerTable, Write
from rollback.model.alias_moves import Move
from rollback.util.errors import Code, UsageError
from rollback.views.plan import shell_lines
from tests import outputs
from tests.coded import coded
from tests.command_lines import parsed
from tests.doubles.functions import client_error
from tests.doubles.records import a_plan
from tests.doubles.world import texts


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout, without credentials and without a way to AWS."""
    for name, text in zip(("Pulumi.yaml", "Pulumi.dev.yaml"), texts(), strict=True):
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    return tmp_path


@pytest.mark.parametrize(
    "arguments",
    [
        ["lambda"],
        ["lambda", "--env"],
        ["lambda", "--env", "dev", "--no-such-option"],
        ["lambda", "--env", "dev", "surplus"],
        ["lamda", "--env", "dev"],
        ["approve", "ID"],
        ["approve", "--digest", "d"],
        ["apply"],
        ["resume"],
        ["abort"],
        ["show"],
        ["history", "--env", "dev", "--limit", "0"],
        ["prune", "--env", "dev"],
        ["prune", "--env", "dev", "--keep", "1"],
        ["history", "--env", "dev", "--limit", "many"],
        ["history", "--env", "dev", "--kind", "moon"],
        ["release", "record", "--env", "dev", "--version", "v1"],
        ["release", "record", "--env", "dev", "--commit", "a"],
        ["release", "quarantine", "v1", "--env", "dev"],
        ["release", "lift", "--env", "dev"],
        ["release", "unknown"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_2(project: Path, arguments: list[str]) -> None:
    assert CliRunner().invoke(app, arguments).exit_code == 2


@pytest.mark.parametrize(
    ("text", "meant"), [("lamda", "lambda"), ("releas list", "release"), ("release recod", "record")]
)
def test_a_mistyped_verb_is_answered_with_the_one_that_was_meant(text: str, meant: str) -> None:
    assert f"Did you mean '{meant}'?" in CliRunner().invoke(app, text.split()).output


@pytest.mark.finding("U13")
@pytest.mark.parametrize(("word", "here"), ELSEWHERE.items())
def test_what_other_tools_call_it_is_answered_with_a_line_that_works(word: str, here: str) -> None:
    run = CliRunner().invoke(app, [word, "--env", "dev"])
    helped = CliRunner().invoke(app, [*here.split(), "--help"])

    assert run.exit_code == 2
    assert f"Did you mean 'rollback {here}'?" in " ".join(run.output.split())
    assert helped.exit_code == 0


def test_to_undo_a_record_is_to_abort_it() -> None:
    run = CliRunner().invoke(app, ["undo", "01M8JBMT2VWBD0A6QSVYQTMQRQ", "--env", "dev"])

    assert "Did you mean 'rollback abort'?" in " ".join(run.output.split())


@pytest.mark.finding("U13")
@pytest.mark.parametrize("verb", [[], ["lambda"], ["release"], ["release", "record"]], ids=" ".join)
def test_help_is_a_word_too(verb: list[str]) -> None:
    run = CliRunner().invoke(app, ["help", *verb])

    assert (run.exit_code, run.output) == (0, CliRunner().invoke(app, [*verb, "--help"]).output)


def test_the_environment_may_be_a_variable(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLBACK_ENV", "nowhere")

    by_variable = CliRunner().invoke(app, ["status"])
    by_option = CliRunner().invoke(app, ["status", "--env", "dev"])

    assert "[UNKNOWN_ENVIRONMENT]" in by_variable.output
    assert "[NO_CREDENTIALS]" in by_option.output


@pytest.mark.parametrize("described", [one for verbs in VERBS.values() for one in verbs.values()], ids=str)
def test_the_table_of_verbs_has_the_help_of_each_verb(described: tuple[str, str]) -> None:
    where, line = described

    assert inspect.getdoc(rooms.function(where)) == line


@pytest.mark.parametrize("env", ["", "prd", "../dev", "dev\n", "d" * 5000, "$(id)"])
def test_an_unknown_environment_is_exit_2_and_named(project: Path, env: str) -> None:
    run = CliRunner().invoke(app, ["lambda", "--env", env, "--reason", "bad"])

    assert run.exit_code == 2
    assert "[UNKNOWN_ENVIRONMENT]" in run.output
    assert "Environments: dev." in run.output


def test_no_credentials_is_exit_2_and_shows_how_to_get_some(project: Path) -> None:
    run = CliRunner().invoke(app, ["status", "--env", "dev"])

    assert run.exit_code == 2
    assert "[NO_CREDENTIALS]" in run.output


def test_outside_a_checkout_is_exit_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    run = CliRunner().invoke(app, ["status", "--env", "dev"])

    assert run.exit_code == 2
    assert "[NO_CHECKOUT]" in run.output


@pytest.mark.parametrize(
    ("given", "names"),
    [("all", ()), ("a", ("a",)), ("a,b", ("a", "b")), (" a , b ", ("a", "b")), ("a,,b", ("a", "b"))],
)
def test_services_are_all_or_a_list_with_commas(given: str, names: tuple[str, ...]) -> None:
    assert names_in(given) == names


@pytest.mark.parametrize("given", ["", " ", ",", " , "])
def test_a_list_of_no_services_is_wrong_usage(given: str) -> None:
    with pytest.raises(UsageError, check=coded(Code.OPTION_INVALID)):
        names_in(given)


def test_the_plan_as_shell_is_quoted_and_conditional() -> None:
    step = Move(
        function="f; rm -rf /",
        service="teams",
        from_version="2",
        to_version="1",
        code_sha256="a",
        revision_id="r $(id) 'x'",
    )
    plan = a_plan(step)

    (line,) = shell_lines(plan, "live")

    assert shlex.split(line) == [
        *["aws", "lambda", "update-alias", "--region", "eu-west-1", "--function-name", "f; rm -rf /"],
        *["--name", "live", "--function-version", "1"],
        *["--routing-config", '{"AdditionalVersionWeights":{}}', "--revision-id", "r $(id) 'x'"],
    ]


class Busy:
    """A table whose item is in somebody's transaction for `times` requests."""

    def __init__(self, times: int, then: Exception | None = None) -> None:
        self.times, self.then = times, then

    def update_item(self, **_: Any) -> Any:
        if self.times:
            self.times -= 1
            raise client_error("UpdateItem", "TransactionConflictException")
        if self.then:
            raise self.then
        return {"Attributes": {"PK": {"S": "x"}}}


def test_an_item_in_somebodys_transaction_is_tried_again_and_judged_by_its_condition() -> None:
    pauses: list[float] = []
    write = Write(name="lease", key=("LOCK#dev", "aliases"), update="SET a = b")
    free: Any = Busy(3)
    taken: Any = Busy(2, client_error("UpdateItem", "ConditionalCheckFailedException"))

    assert LedgerTable(free, "t", sleep=pauses.append).update(write) == {"PK": "x"}
    with pytest.raises(Conflict, match="lease"):
        LedgerTable(taken, "t", sleep=pauses.append).update(write)

    assert pauses == [0.05, 0.1, 0.2, 0.05, 0.1]


@pytest.mark.parametrize(
    "arguments",
    [
        ["status", "--env", "dev", "--json", "--no-such-option"],
        ["lamda", "--json"],
        ["lambda", "--env", "dev", "--json", "--to"],
        ["status", "--env", "dev", "-o", "json", "--no-such-option"],
        ["status", "--env", "dev", "--no-such-option", "--output=json"],
        ["status", "--env", "dev", "-ojson", "surplus"],
        ["status", "--env", "dev", "--json", "--output", "table"],
        ["status", "--env", "dev", "--json", "--output", "yaml"],
    ],
    ids=" ".join,
)
def test_with_json_wrong_usage_is_json_too(arguments: list[str], project: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from rollback.cli.entry import main; main()", *arguments],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )

    outputs.fits("status", json.loads(done.stdout))
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, json.loads(done.stderr.splitlines()[-1])) == (2, error)
    assert all(line.startswith("rollback ") and line.endswith(" --help") for line in error["next"])
    assert (error["code"], error["exit_code"]) == ("OPTION_INVALID", 2)
    assert error["changed"] == "Nothing was changed."


# A module's code is about to be executed: https://docs.python.org/3/library/audit_events.html
_INTERRUPTED = """
import os, signal, sys
module = sys.argv.pop(1)
def hear(event, given):
    if event == "exec" and given[0].co_filename.endswith(module):
        os.kill(os.getpid(), signal.SIGINT)
from rollback.cli.entry import main
sys.addaudithook(hear)
main()
"""


@pytest.mark.finding("U12")
@pytest.mark.parametrize(
    "module",
    [
        "cli/app.py",
        "cli/commands/status.py",
        "rollback/api/events.py",
        "config/naming.py",
        "views/terminal.py",
    ],
)
def test_ctrl_c_while_a_verb_is_still_being_imported_ends_it_without_a_traceback(
    project: Path, module: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _INTERRUPTED, module, "status", "--env", "dev"],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (130, ""), done.stderr
    assert done.stderr == "Stopped. Nothing was changed.\n"


@pytest.mark.finding("U12")
@pytest.mark.parametrize(
    "asked", [["--json"], ["-o", "json"], ["--output", "json"], ["--output=json"], ["-ojson"]]
)
def test_json_is_asked_for_as_kubectl_has_it_and_in_short(asked: list[str], project: Path) -> None:
    run = CliRunner().invoke(app, ["status", "--env", "dev", *asked])

    assert json.loads(run.stdout)["error"]["code"] == "NO_CREDENTIALS"


@pytest.mark.parametrize("asked", [[], ["-o", "table"], ["--output", "table"]], ids=" ".join)
def test_a_table_is_for_people(asked: list[str], project: Path) -> None:
    run = CliRunner().invoke(app, ["status", "--env", "dev", *asked])

    assert (run.stdout, "[NO_CREDENTIALS]" in run.stderr) == ("", True)


@pytest.mark.parametrize("verb", [["report"], ["guard", "build"]], ids=" ".join)
def test_output_takes_a_format_and_no_file(verb: list[str], project: Path) -> None:
    run = CliRunner().invoke(app, [*verb, "--env", "dev", "--output", "page.html"])

    assert run.exit_code == 2
    assert list(project.glob("page.html")) == []


@pytest.mark.parametrize("group", list(VERBS))
def test_a_list_of_verbs_says_of_each_all_that_it_does_and_fits_a_narrow_terminal(group: str) -> None:
    arguments = ["help", "all"] if group == "rollback" else [group, "--help"]

    shown = CliRunner().invoke(app, arguments, terminal_width=80).output

    whole = " ".join(shown.split())
    assert not [line for _, line in VERBS[group].values() if line not in whole]
    assert max(map(len, shown.splitlines())) <= 80


def test_help_fits_a_screen_explains_what_is_needed_at_night_and_names_every_verb() -> None:
    shown = CliRunner().invoke(app, ["--help"], terminal_width=80).output
    words = shown.replace(",", " ").split()

    assert len(shown.splitlines()) <= 23, "a terminal has 24, and one is the prompt's"
    assert max(map(len, shown.splitlines())) <= 80
    assert not [name for name in [*VERBS["rollback"], *list(VERBS)[1:]] if name not in words]
    assert not [
        line for verb in PANELS[FIRST] if (line := VERBS["rollback"][verb][1]) not in " ".join(shown.split())
    ]


def test_every_verb_is_in_one_group_of_the_help() -> None:
    named = [name for names in PANELS.values() for name in names]

    assert sorted(named) == sorted([*VERBS["rollback"], *list(VERBS)[1:]])


WORDS = [
    verb if group == "rollback" else f"{group} {verb}" for group, verbs in VERBS.items() for verb in verbs
]


@pytest.mark.parametrize("words", WORDS)
def test_every_verbs_help_has_examples_that_can_be_typed(words: str) -> None:
    shown = CliRunner().invoke(app, [*words.split(), "--help"], terminal_width=80).output
    _, _, examples = shown.partition("Examples:\n")

    assert EXAMPLES[words]
    for example in EXAMPLES[words]:
        assert f"  {example}\n" in examples
        assert max(map(len, example.splitlines())) <= 78, example
        line = example.replace("\\\n", "")
        assert line.startswith(f"rollback {words}")
        parsed(line)


@pytest.mark.parametrize("words", WORDS)
def test_every_verbs_help_describes_each_option_in_plain_words_and_fits_a_narrow_terminal(words: str) -> None:
    shown = CliRunner().invoke(app, [*words.split(), "--help"], terminal_width=80).output
    usage, _, rest = shown.partition("\n")
    options = rest.partition("Examples:\n")[0].splitlines()

    assert not set("<>{}") & set(shown), "no type of the language that this is written in"
    assert "[[" not in usage
    assert max(map(len, shown.splitlines())) <= 80
    undescribed = [
        line for line in options if re.fullmatch(r"  (-\w, )?--\S+( \S+)?", line) and len(line) < 30
    ]
    assert not undescribed


@pytest.mark.parametrize(
    ("typed", "then"),
    [
        ("lambda --env dev --dry-run", 'rollback lambda --env dev --reason "…"'),
        ("lambda --dry-run -e dev -o json --to v1", 'rollback lambda -e dev --to v1 --reason "…"'),
        ("full --env dev --dry-run --json -r slow", "rollback full --env dev -r slow"),
        ("lambda --reason='it is slow' --dry-run --output=json", "rollback lambda '--reason=it is slow'"),
    ],
)
def test_after_a_dry_run_comes_the_line_that_does_it(typed: str, then: str) -> None:
    line = output.to_carry_out(shlex.split(typed))

    assert line == then
    if "--env" in line or "-e" in line:
        parsed(line)


def test_what_is_for_an_emergency_is_apart_in_help() -> None:
    shown = CliRunner().invoke(app, ["lambda", "--help"], terminal_width=80).output
    usual, _, apart = shown.partition("In an emergency:\n")

    assert "--emergency" not in usual
    assert "--although-the-ledger-answers" in apart.partition("Output:\n")[0]
    assert "--wait" in usual


def test_there_are_examples_of_verbs_only() -> None:
    assert sorted(EXAMPLES) == sorted(WORDS)


@pytest.mark.finding("U13")
@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("status --enviroment dev", "--env"),
        ("status --environment dev", "--env"),
        ("status --evn dev", "--env"),
        ("status --stage dev", "--env"),
        ("status --jsn", "--json"),
        ("lambda --dryrun", "--dry-run"),
        ("lambda --preview", "--dry-run"),
        ("lambda --message x", "--reason"),
        ("lambda --service a", "--services"),
        ("lambda --version v1", "--to"),
        ("lambda --auto-approve", "--yes"),
        ("release record --tag v1", ""),
        ("status --to v1", ""),
        ("--quite status", "--quiet"),
    ],
)
def test_a_mistyped_option_is_answered_with_the_one_that_was_meant(line: str, meant: str) -> None:
    run = CliRunner().invoke(app, line.split())

    assert run.exit_code == 2
    assert f"Did you mean '{meant}'?" in run.output if meant else "Did you mean" not in run.output


@pytest.mark.parametrize(
    "line",
    ["verify --env dev --timeout", "apply last --env dev --wait", "lambda --env dev --reason x --wait"],
)
def test_a_time_that_is_given_as_nothing_is_no_time_without_a_limit(line: str) -> None:
    run = CliRunner().invoke(app, [*line.split(), ""])

    assert (run.exit_code, "it is empty" in run.output) == (2, True)


@pytest.mark.parametrize(
    ("word", "here"),
    [("quarantine", "release quarantine"), ("prepare", "standby prepare"), ("sync", "catalogue sync")],
)
def test_a_verb_of_a_group_is_answered_with_its_group(word: str, here: str) -> None:
    run = CliRunner().invoke(app, [word, "--env", "dev"])

    assert (run.exit_code, f"Did you mean 'rollback {here}'?" in " ".join(run.output.split())) == (2, True)


def test_an_option_of_a_verb_that_is_typed_before_it_is_answered_with_its_place() -> None:
    run = CliRunner().invoke(app, ["--env", "dev", "status"])

    assert (run.exit_code, "after the verb" in run.output) == (2, True)


@pytest.mark.parametrize(
    ("words", "shows"),
    [
        ([], (False, False, False)),
        (["-q"], (True, False, False)),
        (["--quiet"], (True, False, False)),
        (["-v"], (False, True, False)),
        (["--debug"], (False, False, True)),
    ],
)
@pytest.mark.parametrize("before", [True, False])
def test_how_much_is_shown_is_said_before_the_verb_or_after_it(
    project: Path, words: list[str], shows: tuple[bool, ...], *, before: bool
) -> None:
    CliRunner().invoke(
        app, ["--debug", "status", "--env", "dev", "-q", "-v"]
    )  # what another verb was asked for

    CliRunner().invoke(
        app, [*words, "status", "--env", "dev"] if before else ["status", *words, "--env", "dev"]
    )

    assert (chosen.quiet, chosen.verbose, chosen.debug) == shows


def test_what_is_the_value_of_an_option_is_none_of_them(project: Path) -> None:
    CliRunner().invoke(app, ["lambda", "--env", "dev", "--reason", "--debug"])

    assert not chosen.debug


@pytest.mark.parametrize(
    "arguments", [["--limit", "0"], ["--limit", "many"], ["--kind", "moon"]], ids=" ".join
)
def test_a_value_that_is_not_allowed_is_explained_in_plain_words(project: Path, arguments: list[str]) -> None:
    run = CliRunner().invoke(app, ["history", "--env", "dev", *arguments])

    assert run.exit_code == 2
    assert arguments[0] in run.output
    assert not re.search("Value error|Input should", run.output)


@pytest.mark.parametrize(
    ("typed", "seconds"), [("90s", 90), ("10m", 600), ("1h", 3600), ("1h30m", 5400), (" 1m1s ", 61)]
)
def test_a_timeout_is_a_time(typed: str, seconds: int) -> None:
    assert seconds_in(typed) == seconds


@pytest.mark.parametrize("typed", ["0s", "10", "m", "-1m", "1d", "10m!", "9999999s", "m10"])
def test_what_is_no_timeout_is_wrong_usage(project: Path, typed: str) -> None:
    run = CliRunner().invoke(app, ["verify", "--env", "dev", "--timeout", typed])

    assert (run.exit_code, "[OPTION_INVALID]" in run.output) == (2, True)
    assert "--timeout: " in run.output
    assert "next:" not in run.output, "a time is no command"


@pytest.mark.parametrize("option", ["--wait", "--for", "--standby", "--bake"])
def test_the_option_that_has_no_time_is_named(option: str) -> None:
    with pytest.raises(UsageError, match=f"^{option}: "):
        minutes_if("soon", option)
