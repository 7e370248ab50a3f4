"""What is typed: words, options, values and variables."""

from __future__ import annotations

from tests.e2e.estate_under_test import DAN, FUNCTIONS
from tests.e2e.hostile import BIDI, C1, CLEAR, HIDDEN, LINK, LONG, LONGEST, LOST, SHELL, TITLE, Row

NO_ROLLBACK, NO_RELEASE = "There is no rollback", "is not a valid release name"
ONE_LINE, NO_ENVIRONMENT = "one line of printable characters", "Unknown environment"
NO_TABLE, NO_TIME = "so it cannot be restored.", "is not a valid time"
NO_COMMIT, NO_STACK = "is not a commit of this repository", "is not the name of a stack"
_TABLE = "bbws-access-dev-ddb-access-management"
_SHA = "a" * 40


def _lambda(*arguments: str, code: int = 2, message: str) -> Row:
    return Row(words=("lambda", *arguments, "--reason", "x"), code=code, says=message)


def _reason(reason: str, message: str = ONE_LINE) -> Row:
    return Row(words=("lambda", "--reason", reason), code=2, says=message)


def _to(to: str, message: str = NO_RELEASE) -> Row:
    return _lambda("--to", to, message=message)


def _table(name: str, to: str, message: str) -> Row:
    return Row(words=("table", "--table", name, "--to", to, "--reason", "x"), code=2, says=message)


def _stack(option: str, value: str, message: str) -> Row:
    return Row(words=("stack", option, value, "--reason", "x"), code=2, says=message)


def _drill(*arguments: str, message: str) -> Row:
    return Row(words=("drill", "--read-only", *arguments), code=2, says=message)


def _idle(version: str) -> Row:
    words = ("acceptance", "--yes", f"--idle-version={version}")
    return Row(words=words, code=2, says="is not FUNCTION:VERSION")


def _record(version: str, commit: str, message: str, *more: str) -> Row:
    arguments = ("release", "record", "--version", version, "--commit", commit, *more)
    return Row(words=arguments, code=2, says=message, as_=DAN)


WORDS: dict[str, Row] = {
    # Services and functions.
    "an unknown service": _lambda(
        "--services",
        "teem_service",
        message="There is no service 'teem_service'. Did you mean 'team_service'?",
    ),
    "one unknown service of two": _lambda("--services", "role_service,nope", message="'nope'"),
    "a service that is a prefix": _lambda("--services", "role", message="no service 'role'"),
    "no service at all": _lambda("--services", ",", message="--services names no service"),
    "a service in letters of another alphabet": _lambda(
        "--services",
        "team_serv\u0456ce",
        message=r"no service 'team_serv\u0456ce'. Did you mean 'team_service'?",
    ),
    "a service with a character of no width": _lambda(
        "--services", "team_service\u200b", message=r"'team_service\u200b'"
    ),
    "a service that is written backwards": _lambda("--services", BIDI, message=r"'\u202egnp.exe\u202c'"),
    "a service that leaves the folder": _lambda("--services", "../../etc/passwd", message="no service"),
    "a service that is an option": _lambda("--services", "--help", message="no service '--help'"),
    "a service that the shell would run": _lambda("--services", SHELL, message="no service '$(touch"),
    "a service that is no text": _lambda("--services", LOST, message=r"'\udcff'"),
    "a service of 10,000 characters": _lambda("--services", LONG, message="no service 'xxx"),
    "an unknown function to leave out": _lambda("--except", "nobody", message="'nobody'"),
    "a function to leave out that would clear the screen": _lambda(
        "--except", f"{CLEAR}{FUNCTIONS[0]}", message="'\\x1b[2J"
    ),
    # Reasons.
    "no reason": Row(words=("lambda",), code=2, says="reason"),
    "an empty reason": _reason("", "--reason is required."),
    "a blank reason": _reason(" \u00a0\u3000 ", "--reason is required."),
    "a reason of 10,000 characters": _reason(LONG, "The reason has 10,000 characters"),
    # As long as the system lets a word be (128 KiB): a megabyte is refused by it.
    "a reason of 100,000 characters": _reason(LONGEST, "has 100,000 characters"),
    "a reason of two lines": _reason("first\nsecond"),
    "a reason with a carriage return": _reason("first\rsecond"),
    "a reason that clears the screen": _reason(f"{CLEAR}gone"),
    "a reason that sets the title": _reason(f"{TITLE}gone"),
    "a reason with a link": _reason(LINK),
    "a reason with an escape of one byte": _reason(C1),
    "a reason that is written backwards": _reason(BIDI),
    "a reason with characters of no width": _reason(HIDDEN),
    "a reason with a separator of lines": _reason("first\u2028second"),
    "a reason that is no text": _reason(LOST),
    # Releases.
    "an unknown version": _to("v9.9.9", "No release 'v9.9.9' is recorded"),
    "a target that the shell would run": _to(SHELL),
    "a target that leaves the folder": _to("../../etc/passwd"),
    "an empty target": _to(""),
    "a target with a newline": _to("v1.1.0\n"),
    "a target that is an option": _lambda("--to=--upload-pack=touch pwned", message=NO_RELEASE),
    "a target in letters of another alphabet": _to("v1.1.\u0ed0"),
    "a bare Lambda version": _to(
        "2", "2 is a Lambda version number, not a release. It is in v1.1.0 (6 functions)."
    ),
    "a bare Lambda version that nobody holds": _to("77", "No recorded release contains it."),
    "a release called like a number": _record("12", _SHA, NO_RELEASE),
    "a release called previous": _record("previous", _SHA, NO_RELEASE),
    "a release with a plus": _record("v1+team@v2", _SHA, NO_RELEASE),
    "a release that is written backwards": _record("v1\u202e", _SHA, NO_RELEASE),
    "a release of 65 characters": _record("v" * 65, _SHA, NO_RELEASE),
    "a quarantine of nothing": Row(
        words=("release", "quarantine", "v9", "--reason", "x"),
        code=2,
        says="No release 'v9' is recorded.",
    ),
    "a quarantine that clears the screen": Row(
        words=("release", "quarantine", CLEAR, "--reason", "x"), code=2, says=NO_RELEASE
    ),
    "a quarantine for no reason": Row(
        words=("release", "quarantine", "v1.1.0", "--reason", ""), code=2, says="--reason is required."
    ),
    "a lift of what is not barred": Row(
        words=("release", "lift", "v1.1.0", "--reason", "x"), code=3, says="v1.1.0 is not quarantined."
    ),
    "a lift of what is written backwards": Row(
        words=("release", "lift", f"{BIDI}{LONG}", "--reason", "x"), code=3, says="is not quarantined"
    ),
    # Commits.
    "a commit that is none": _record("v2", "HEAD;id", NO_COMMIT),
    "a commit that git takes for an option": _record("v2", "--upload-pack=x", NO_COMMIT),
    "a commit that git would write to": _record("v2", "--output=pwned", NO_COMMIT),
    "a commit in letters of another alphabet": _record("v2", "\u0430" * 40, r"'\u0430\u0430"),
    "a commit of Terraform's that git would write to": _record(
        "v2", _SHA, NO_COMMIT, "--terraform-commit", "--output=pwned"
    ),
    "a floor that is no release's name": _record("v2", _SHA, NO_RELEASE, "--not-below", f"v1{CLEAR}"),
    "a floor that is a release nobody has recorded": _record(
        "v2", _SHA, "--not-below 'v9'", "--not-below", "v9"
    ),
    "a question about a commit that git would write to": Row(
        words=("status", "--commit", "--output=pwned"), code=2, says=NO_COMMIT
    ),
    "a question about a commit that a pipeline has not set": Row(
        words=("status", "--commit", ""), code=2, says="'' is not a commit of this repository"
    ),
    "a change to a commit that git would write to": Row(
        words=("can", "--commit", "--output=pwned"), code=2, says="There is no commit"
    ),
    "a change to a commit that the shell would run": Row(
        words=("can", "--commit", SHELL), code=2, says="There is no commit"
    ),
    # Ids.
    "an unknown rollback": Row(words=("show", "01ARZ3NDEKTSV4RRFFQ69G5FAV"), code=2, says=NO_ROLLBACK),
    "an id that is no id": Row(words=("resume", "../../x"), code=2, says=NO_ROLLBACK),
    "an id to abort that the shell would run": Row(words=("abort", SHELL), code=2, says=NO_ROLLBACK),
    "an id of 100,000 characters": Row(words=("resume", LONGEST), code=2, says=NO_ROLLBACK),
    "an id of two lines": Row(words=("show", "a\nb"), code=2, says=r"'a\nb'"),
    "an id that is no text": Row(words=("apply", LOST), code=2, says=r"'\udcff'"),
    "an id of the engine's that is none": Row(words=("show", f"up-{CLEAR}"), code=2, says=NO_ROLLBACK),
    "an approval of nothing": Row(words=("approve", "nope", "--digest", "0" * 64), code=2, says=NO_ROLLBACK),
    # An environment that is to be written down.
    "an environment in a folder of 10,000 characters": Row(
        words=("init", "--yes", "--folder", LONG), code=2, says="cannot be used", as_=DAN
    ),
    "an environment in a folder that is a file": Row(
        words=("init", "--yes", "--folder", "Pulumi.yaml"), code=2, says="is not a folder", as_=DAN
    ),
    "a tag that is none": Row(
        words=("init", "--yes", "--tag", f"{CLEAR}x"), code=2, says="is not a tag", as_=DAN
    ),
    # Folders.
    "a folder to write to that is a file": Row(
        words=("adopt", "--write", "/etc/passwd"), code=2, says="it is a file", as_=DAN
    ),
    "a folder to write to of 10,000 characters": Row(
        words=("adopt", "--write", LONG), code=2, says="cannot be written to", as_=DAN
    ),
    "a folder to write to that clears the screen": Row(
        words=("adopt", "--write", f"/etc/passwd/{CLEAR}"), code=2, as_=DAN
    ),
    "a folder to write to that is no text": Row(
        words=("adopt", "--write", f"/etc/passwd/{LOST}"), code=2, as_=DAN
    ),
    # Tables and times.
    "a table that leaves the folder": _table("../../etc", "2026-01-01T00:00:00Z", NO_TABLE),
    "the ledger itself": _table("bbws-access-dev-ddb-deployments", "2026-01-01T00:00:00Z", NO_TABLE),
    "a table that is written backwards": _table(BIDI, "2026-01-01T00:00:00Z", NO_TABLE),
    "a time before a rollback that is none": _table(_TABLE, "before:../..", NO_ROLLBACK),
    "a time of a release that the shell would run": _table(_TABLE, f"release:{SHELL}", NO_RELEASE),
    "a time beyond the calendar": _table(_TABLE, "99999-99-99", NO_TIME),
    "a time that is infinite": _table(_TABLE, "\u221e", NO_TIME),
    "a time that clears the screen": _table(_TABLE, f"now{CLEAR}", NO_TIME),
    "a scenario that the shell would run": _drill("--scenario", SHELL, message="is not a scenario"),
    "a drill of a service that is written backwards": _drill(
        "--scenario", "code", "--services", BIDI, message=r"'\u202egnp.exe\u202c'"
    ),
    "a drill of a table that leaves the folder": _drill(
        "--scenario", "table", "--table", f"../..{CLEAR}", message=NO_TABLE
    ),
    "a restored table without a cutover": _table(_TABLE, "restored:x", "need each other"),
    # Versions to wake.
    "an idle version that clears the screen": _idle(f"{CLEAR}:7"),
    "an idle version that is an option": _idle("--help"),
    "an idle version that the shell would run": _idle(f"{SHELL}:$LATEST"),
    # Stacks.
    "a stack that leaves the folder": _stack("--stack", "../../x", NO_STACK),
    "a stack of another project": _stack("--stack", "organization/other/prod", NO_STACK),
    "a stack that is an option": _stack("--stack", "--help", NO_STACK),
    "a stack of 10,000 characters": _stack("--stack", LONG, NO_STACK),
    "a project above the repository": _stack("--project-dir", "../..", "below the repository's top"),
    "a project from the root": _stack("--project-dir", "/etc", "below the repository's top"),
    "a resource that is none": _stack("--except", f"{CLEAR}urn:pulumi:", "is not a resource of a stack"),
}

# These end before anything is asked of AWS: none of them has a way to it.
NOWHERE: dict[str, Row] = {
    "an unknown verb": Row(words=("unwind",), code=2, says="unwind"),
    "a verb that is a path": Row(words=("../../bin/sh",), code=2, says="No such command"),
    "options like rm's": Row(words=("-rf",), code=2, says="No such option", env=None),
    "nothing but the end of options": Row(words=("--",), code=2, says="Missing command", env=None),
    "an unknown option": Row(words=("lambda", "--frobnicate"), code=2, says="--frobnicate"),
    "an option that clears the screen": Row(words=("lambda", f"--x{CLEAR}{BIDI}"), code=2, says=r"\x1b[2J"),
    "an unknown kind": Row(words=("history", "--kind", "novel"), code=2, says="novel"),
    "a kind that clears the screen": Row(
        words=("history", "--kind", f"{CLEAR}{BIDI}"), code=2, says=r"\x1b[2J\u202egnp"
    ),
    "a limit of nothing": Row(words=("history", "--limit", "0"), code=2, says="limit"),
    "a limit beyond numbers": Row(words=("history", "--limit", "9" * 30), code=2, says="limit"),
    "no environment": Row(words=("status",), code=2, says="--env", env=None),
    **{
        f"the environment {name!a}": Row(words=("status",), code=2, says=NO_ENVIRONMENT, env=name)
        for name in ("qa", "../dev", "dev\n", "", "dev;id", "DEV", "d\u0435v", f"dev{CLEAR}", "--help", LOST)
    },
    "an environment of 10,000 characters": Row(words=("status",), code=2, says=NO_ENVIRONMENT, env=LONG),
}

_JUNK = "junk \x1b[2J$(touch pwned)"
_NO_CREDENTIALS = "No AWS credentials found."
_NO_CALLER = "asking STS who the caller is"
# Variables that decide where AWS is, and who asks.
VARIABLES: dict[str, tuple[dict[str, str | None], str]] = {
    "no credentials": (
        {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "AWS_SESSION_TOKEN": None},
        _NO_CREDENTIALS,
    ),
    "half of the credentials": (
        {"AWS_SECRET_ACCESS_KEY": None, "AWS_SESSION_TOKEN": None},
        _NO_CREDENTIALS,
    ),
    "a profile that is not there": ({"AWS_PROFILE": f"nobody{CLEAR}"}, "nobody"),
    "an endpoint that refuses": ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, _NO_CALLER),
    "an endpoint that is no host": ({"AWS_ENDPOINT_URL": "http://aws.invalid"}, _NO_CALLER),
    "an endpoint that is no URL": ({"AWS_ENDPOINT_URL": "127.0.0.1:4566"}, _NO_CALLER),
    "an endpoint that is no path": ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1/%00"}, _NO_CALLER),
    "an endpoint that the shell would run": ({"AWS_ENDPOINT_URL": _JUNK}, _NO_CALLER),
    "an endpoint of Lambda's that is none": ({"AWS_ENDPOINT_URL_LAMBDA": _JUNK}, "lambda's endpoint"),
    "an endpoint of the ledger's that is none": ({"AWS_ENDPOINT_URL_DYNAMODB": _JUNK}, "dynamodb's endpoint"),
    "a mode that is none": ({"AWS_DEFAULTS_MODE": _JUNK}, _NO_CALLER),
}

# Variables that other programs act upon, and the terminal's: what is asked is answered all the same.
HARMLESS: dict[str, dict[str, str | None]] = {
    "commands to be run": {
        name: f"touch pwned-by-{name}"
        for name in (
            *("PAGER", "EDITOR", "VISUAL", "BROWSER", "SHELL", "MANPAGER", "GIT_PAGER", "GIT_EDITOR"),
            *("GIT_SSH_COMMAND", "GIT_EXTERNAL_DIFF", "GIT_ASKPASS", "SSH_ASKPASS", "GIT_PROXY_COMMAND"),
            *("GIT_TRACE", "GIT_TRACE2", "LESSOPEN", "PROMPT_COMMAND", "BASH_ENV", "ENV", "AWS_PAGER"),
        )
    },
    "another repository": {
        "GIT_DIR": "/nowhere",
        "GIT_WORK_TREE": "/",
        "GIT_OBJECT_DIRECTORY": "/nowhere",
        "GIT_CONFIG_PARAMETERS": _JUNK,
    },
    "junk of the engines'": {
        "PULUMI_OPTION_TARGET": _JUNK,
        "PULUMI_SKIP_CHECKPOINTS": "1",
        "TF_CLI_ARGS": "-destroy -auto-approve",
        "TF_CLI_ARGS_plan": "-destroy",
        "TF_LOG": "TRACE",
        "TF_DATA_DIR": "/nowhere",
    },
    "a terminal one column wide": {"COLUMNS": "1", "LINES": "1"},
    "a terminal of no width": {"COLUMNS": "0", "LINES": "-1", "TERM": _JUNK},
    "a terminal whose width is a word": {"COLUMNS": _JUNK, "LINES": _JUNK, "TERM": ""},
    "no home": {"HOME": None, "USER": None, "LOGNAME": None},
    "a home that is not there": {"HOME": "/nowhere/at/all", "TMPDIR": "/nowhere/either"},
    "another region": {"AWS_REGION": _JUNK, "AWS_DEFAULT_REGION": _JUNK, "AWS_MAX_ATTEMPTS": _JUNK},
}
