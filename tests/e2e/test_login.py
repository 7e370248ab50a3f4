"""A person takes a role once with MFA; the command, the AWS CLI and the engine then have it from an AWS profile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from localaws import identity, shell
from rollback.config.naming import RESTORE, ROLLBACK, arn
from tests import outputs, planted
from tests.e2e.docs_as_typed import Terminal
from tests.e2e.estate_under_test import ALICE, SCRIPT, Platform

pytestmark = [pytest.mark.finding("S1"), pytest.mark.finding("S16")]
_BIN = Path(sys.executable).parent
PATIENCE = 120


class Alice:
    """Someone whom the settings name, with keys and a config file of their own and nothing else."""

    def __init__(self, platform: Platform, folder: Path, name: str = "alice") -> None:
        self.platform, self.config = platform, folder / f"config-{name}"
        keys = identity.person(platform.endpoint, platform.settings, name)
        planted.also(keys["AWS_SECRET_ACCESS_KEY"])
        lines = ["[default]", *(f"{key.lower()} = {value}" for key, value in keys.items())]
        self.config.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def variables(self, profile: str = "") -> dict[str, str]:
        others = self.platform.variables(ALICE)
        kept = {name: value for name, value in others.items() if name not in identity.NAMES}
        place = self.platform
        tools = shell.environment(place.endpoint, place.settings, folder=place.folder)["PATH"]
        kept |= {"AWS_CONFIG_FILE": str(self.config), "PATH": f"{_BIN}{os.pathsep}{tools}"}
        return kept | ({"AWS_PROFILE": profile} if profile else {})

    def run(
        self, *command: str, profile: str = "", cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            cwd=cwd or self.platform.root,
            env=self.variables(profile),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        if "credentials" not in command:
            planted.heard(str(command), done.stdout, done.stderr)
        return done

    def terminal(self, home: Path, profile: str = "") -> Terminal:
        return Terminal(home=home, cwd=self.platform.root, variables=self.variables(profile))

    def rollback(self, *arguments: str, profile: str = "") -> subprocess.CompletedProcess[str]:
        done = self.run(str(SCRIPT), *arguments, profile=profile)
        outputs.check(arguments, done.stdout)
        return done

    def login(self, *arguments: str) -> list[str]:
        """Logs in; the profile that was printed is pasted."""
        done = self.rollback("login", "--env", "dev", "--mfa", "123456", "--json", *arguments)
        assert done.returncode == 0, done.stderr
        profile: list[str] = json.loads(done.stdout)["profile"]
        with self.config.open("a", encoding="utf-8") as file:
            file.write("\n".join(["", *profile, ""]))
        kept = self.kept()[-1].read_text(encoding="utf-8")
        planted.also(json.loads(kept)["SecretAccessKey"])
        return profile

    def kept(self) -> list[Path]:
        found = self.platform.folder.glob(".local/state/rollback/logins/*")
        return sorted(found, key=lambda path: path.stat().st_mtime)

    def end(self) -> None:
        """Leaves no secret behind where one belongs; elsewhere it is searched for (`tests.planted`)."""
        assert self.rollback("logout", "--env", "dev").returncode == 0
        self.config.unlink()


@pytest.fixture
def alice(untouched: Platform, tmp_path: Path) -> Iterator[Alice]:
    made = Alice(untouched, tmp_path)
    yield made
    made.end()


def test_the_command_and_the_cli_have_the_role_by_the_profile_that_login_prints(
    alice: Alice, tmp_path: Path
) -> None:
    settings = alice.platform.settings
    alice.login()
    status = alice.rollback("status", "--env", "dev", "--json", profile="rollback-dev")
    cli = alice.run("aws", "sts", "get-caller-identity", profile="rollback-dev", cwd=tmp_path)

    assert status.returncode == 0, status.stderr
    assert json.loads(cli.stdout)["Arn"].endswith(f":assumed-role/{settings.names.role(ROLLBACK)}/alice")
    assert [path.stat().st_mode & 0o777 for path in alice.kept()] == [0o600]


def test_the_engine_has_the_role_by_the_profile_that_login_prints(declared: Platform, tmp_path: Path) -> None:
    dan = Alice(declared, tmp_path, "dan")
    dan.login("--role", "deployer")

    engine = dan.run("pulumi", "stack", "ls", "--all", "--json", profile="deployer-dev")

    assert engine.returncode == 0, engine.stderr
    assert [stack["name"].rpartition("/")[2] for stack in json.loads(engine.stdout)] == ["dev"]
    dan.end()


def test_hops_need_login_because_a_profile_sets_no_source_identity(alice: Alice, tmp_path: Path) -> None:
    settings = alice.platform.settings
    alice.login("--role", "drill")
    role = arn("iam", settings.region, settings.account, f"role/{settings.names.role(ROLLBACK)}")
    restore = arn("iam", settings.region, settings.account, f"role/{settings.names.role(RESTORE)}")
    hops = [("rollback-by-drill", role, "drill-dev"), ("restore-by-rollback", restore, "rollback-by-drill")]
    with alice.config.open("a", encoding="utf-8") as file:
        for name, arn_, source in hops:
            file.write(f"[profile {name}]\nrole_arn = {arn_}\nsource_profile = {source}\n")
            file.write("role_session_name = alice\n")
        # Taken with the user's own keys and MFA, as a profile does it: without a source identity.
        file.write(f"[profile nameless]\nrole_arn = {role}\nsource_profile = default\n")
        file.write(f"mfa_serial = {identity.device(settings, 'alice')}\nrole_session_name = alice\n")
        file.write(f"[profile restore-by-nameless]\nrole_arn = {restore}\nsource_profile = nameless\n")
        file.write("role_session_name = alice\n")

    def who(profile: str) -> str:
        terminal = alice.terminal(tmp_path, profile)
        terminal.type("aws sts get-caller-identity")
        return terminal.screen

    assert f"{settings.names.role(ROLLBACK)}/alice" in who("rollback-by-drill")
    assert f"{settings.names.role(ROLLBACK)}/alice" in who("nameless")
    # First, because the AWS CLI keeps what a profile has taken by the role and the session's name alone.
    assert "AccessDenied" in who("restore-by-nameless")
    assert f"{settings.names.role(RESTORE)}/alice" in who("restore-by-rollback")


def test_without_a_login_or_after_logout_the_profile_shows_what_to_type(alice: Alice) -> None:
    alice.login()
    gone = alice.rollback("logout", "--env", "dev", "--json")
    after = alice.rollback("status", "--env", "dev", profile="rollback-dev")

    assert len(json.loads(gone.stdout)["forgotten"]) == 1
    assert alice.kept() == []
    assert after.returncode == 2
    assert "next: rollback login --env dev --role rollback" in after.stderr


def test_without_a_terminal_the_code_is_asked_for_by_option_and_nothing_is_kept(alice: Alice) -> None:
    done = alice.rollback("login", "--env", "dev")
    wrong = alice.rollback("login", "--env", "dev", "--mfa", "12345")
    strange = alice.rollback("login", "--env", "dev", "--role", "break-glass", "--mfa", "123456")

    assert (done.returncode, wrong.returncode, strange.returncode) == (2, 2, 3)
    assert "rollback login --env dev --role rollback --mfa CODE" in done.stderr
    assert alice.kept() == []


def test_on_a_terminal_the_code_is_asked_for_and_the_profile_can_be_pasted(
    alice: Alice, tmp_path: Path
) -> None:
    terminal = alice.terminal(tmp_path)
    code = terminal.type(f"{SCRIPT} login --env dev")
    profile = terminal.screen[terminal.screen.index("[profile ") :].partition("\n\n")[0]
    with alice.config.open("a", encoding="utf-8") as file:
        file.write(f"\n{profile}\n")

    assert code == 0, terminal.screen
    assert "MFA code of" in terminal.screen
    assert alice.rollback("status", "--env", "dev", profile="rollback-dev").returncode == 0
    assert len(alice.kept()) == 1
