"""What somebody who means ill leaves about: files of a checkout, and a repository's own settings."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tests.e2e.estate_under_test import git
from tests.e2e.hostile import BIDI, CLEAR, MARK, TITLE

_FILE, _PROJECT = "Pulumi.dev.yaml", "Pulumi.yaml"
Spoil = Callable[[Path], object]


def _written(text: str, name: str = _FILE) -> Spoil:
    return lambda root: (root / name).write_text(text)


def _setting(name: str, value: str) -> Spoil:
    """The stack's file with one more setting, as YAML has it."""

    def spoil(root: Path) -> None:
        path = root / _FILE
        kept = [line for line in path.read_text().splitlines() if f"rollback:{name}:" not in line]
        at = kept.index("config:") + 1
        path.write_text("\n".join([*kept[:at], f'  "rollback:{name}": {value}', *kept[at:]]) + "\n")

    return spoil


def _instead(make: Callable[[Path], object], name: str = _FILE) -> Spoil:
    def spoil(root: Path) -> None:
        (root / name).unlink()
        make(root / name)

    return spoil


def _unreadable(root: Path) -> None:
    (root / _FILE).chmod(0)


_LAUGHS = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10))
_MERGES = "a0: &a0 {x: 1}\n" + "".join(
    f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 10)
)

# How dev's settings are spoilt, and what has to be said of it, with exit 2, at once.
CONFIGURATION: dict[str, tuple[Spoil, str]] = {
    "a misspelt setting": (
        lambda root: (root / _FILE).write_text(
            (root / _FILE).read_text().replace("rollback:approval", "rollback:aproval")
        ),
        "Did you mean 'rollback:approval'?",
    ),
    "a setting that clears the screen": (_setting(r"\e[2J\e]0;pwned\a", "1"), "unknown setting"),
    "a bomb of anchors": (_written(_LAUGHS), "more than 100,000 values"),
    "a bomb of merges": (_written(_MERGES, _PROJECT), "more than 100,000 values"),
    "an anchor within itself": (_written("config: &a {a: *a}\n"), "contains itself"),
    "a tag that runs a command": (
        _written(f"config: !!python/object/apply:os.system ['touch {MARK}']\n"),
        "could not determine a constructor for the tag",
    ),
    "a key twice": (_written("config: {}\nconfig: {}\n"), "duplicate key 'config'"),
    "a depth that nobody climbs out of": (_written("config: " + "[" * 5000), "nested too deeply"),
    "a number of 5,000 digits": (_setting("leaseSeconds", "9" * 5000), "has an invalid value"),
    "a date beyond the calendar": (_written("config: 2024-99-99\n"), "has an invalid value"),
    "a pace that is no number": (
        _setting("pace", "{writes: .nan, burst: 1, reads: 1}"),
        "rollback:pace.writes: ",
    ),
    "a pace without end": (
        _setting("pace", "{writes: 1.0e+999, burst: 1, reads: 1}"),
        "rollback:pace.writes: ",
    ),
    "a budget of more minutes than there are": (
        _setting("rto", f"{{code: {10**30}, configuration: 1, infrastructure: 1, full: 1, table: 1}}"),
        "rollback:rto.code: ",
    ),
    "a command with a NUL": (_setting("smoke", r'["sh", "a\0b"]'), "rollback:smoke.1: "),
    "a service that leaves the folder": (_setting("services", '{"../x": [a]}'), "not a service name"),
    "a function that the shell would run": (
        _setting("services", f'{{a: ["$(touch {MARK})"]}}'),
        "not a function name",
    ),
    "a branch that is an option": (
        _setting("protectedBranch", '"--upload-pack=x"'),
        "rollback:protectedBranch: ",
    ),
    "a prefix that leaves the folder": (_setting("prefix", '"../../x"'), "rollback:prefix: "),
    "a region that is a host": (
        lambda root: (root / _FILE).write_text(
            (root / _FILE).read_text().replace("eu-west-1", "evil.example/#-1")
        ),
        "region",
    ),
    "control characters": (_written("config: \x1b[2J\n"), "special characters are not allowed"),
    "no text": (lambda root: (root / _FILE).write_bytes(b"\xff\xfe\x00"), "it is not UTF-8"),
    "half a megabyte": (_written("#" * 500_000), "larger than 400,000 bytes"),
    "a list": (_written("[]\n"), "must be a mapping"),
    "a pipe": (_instead(os.mkfifo), "it is not a regular file"),
    "a folder": (_instead(Path.mkdir), "Is a directory"),
    "a link to a secret": (
        _instead(lambda path: path.symlink_to("/etc/passwd")),
        "leads out of the checkout",
    ),
    "a link to a device": (_instead(lambda path: path.symlink_to("/dev/zero")), "leads out of the checkout"),
    "a link to nothing": (_instead(lambda path: path.symlink_to("nothing")), "No such file"),
    "a link to itself": (_instead(lambda path: path.symlink_to(path.name)), "Too many levels"),
    "a project that is a pipe": (_instead(os.mkfifo, _PROJECT), "No Pulumi.yaml"),
    **({} if os.geteuid() == 0 else {"a file that may not be read": (_unreadable, "Permission denied")}),
}


def configure_terraform(root: Path) -> Path:
    """A configuration of nothing; its file of values."""
    values = root / "terraform" / "environments" / "dev.tfvars"
    values.parent.mkdir(parents=True)
    values.write_text("")
    (root / "terraform" / "main.tf").write_text('terraform {\n  backend "s3" {}\n}\n')
    return values


def arm(root: Path) -> dict[str, str]:
    """Makes a repository hostile in every way that its own files allow, and commits to it.

    Returns commits: one whose subject would act upon a terminal and whose Terraform configuration
    is none (`loud`), and one whose Terraform configuration is a link out of it (`link`).
    """
    spy = root.parent / "spy"
    spy.write_text(f"#!/bin/sh\ntouch {root.parent}/{MARK}-by-$(basename $0)\ncat\n")
    spy.chmod(0o755)
    values = configure_terraform(root)
    (values.parents[1] / "none.tf").write_text('resource "\n')
    (root / ".gitattributes").write_text("* filter=my=spy\n*.tf filter=other diff=other merge=other\n")
    (root / ".gitmodules").write_text(
        f'[submodule "evil"]\n\tpath = evil\n\turl = ext::{spy}\n\tupdate = !{spy}\n'
    )
    git(root, "update-index", "--add", "--cacheinfo", f"160000,{'a' * 40},evil")
    git(root, "add", ".")
    git(root, "commit", "-qm", f"{CLEAR}{TITLE}{BIDI} [bold]loud[/] <!channel> $(touch {MARK})")
    loud = git(root, "rev-parse", "HEAD")
    values.unlink()
    values.symlink_to("/etc/passwd")
    git(root, "add", "terraform")
    git(root, "commit", "-qm", "a link")
    link = git(root, "rev-parse", "HEAD")
    git(root, "checkout", "-q", loud)
    hooks = root / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("post-checkout", "reference-transaction", "post-index-change", "pre-auto-gc"):
        (hooks / name).symlink_to(spy)
    included = root.parent / "included"
    included.write_text(f'[filter "other"]\n\tprocess = {spy}\n\trequired\n')
    settings = {
        "filter.my=spy.smudge": spy,
        "filter.my=spy.clean": spy,
        "filter.other.smudge": spy,
        "includeIf.gitdir:**/worktrees/**.path": included,
        "core.fsmonitor": spy,
        "core.sshCommand": spy,
        "core.pager": spy,
        "core.editor": spy,
        "core.askPass": spy,
        "core.gitProxy": spy,
        "core.alternateRefsCommand": spy,
        "credential.helper": f"!{spy}",
        "diff.external": spy,
        "diff.other.textconv": spy,
        "merge.other.driver": spy,
        "gpg.program": spy,
        "log.showSignature": "true",
        "protocol.ext.allow": "always",
        "submodule.recurse": "true",
        "submodule.evil.url": f"ext::{spy}",
        "submodule.evil.update": f"!{spy}",
        "submodule.evil.active": "true",
        "core.repositoryFormatVersion": "1",
        "extensions.partialClone": "origin",
        "remote.origin.promisor": "true",
        "remote.origin.url": f"ext::{spy}",
        "remote.origin.uploadpack": spy,
    }
    for name, value in settings.items():
        git(root, "config", name, str(value))
    (root / ".git" / "objects" / "info").mkdir(exist_ok=True)
    (root / ".git" / "objects" / "info" / "alternates").write_text("/nowhere/objects\n")
    return {"loud": loud, "link": link}
