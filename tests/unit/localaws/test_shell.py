"""What points a shell at the local account, and the progress line of its set-up."""

import io
import subprocess
from pathlib import Path

import pytest

from localaws import estate, shell
from localaws.paths import ROOT
from localaws.progress import BuildProgress
from rollback.config.settings import Settings, load
from tools.locks import LockFile, compiled


@pytest.fixture
def dev() -> Settings:
    return load(ROOT, "dev")


def test_what_env_prints_is_safe_to_eval() -> None:
    nasty = "a'b\"c $(touch /tmp/x) `id` ; \\ é\nnext"

    script = (
        shell.exports({"FIRST": nasty, "SECOND": ""}) + 'printf "%s|%s|%s" "$FIRST" "$SECOND" "$AWS_PROFILE"'
    )
    completed = subprocess.run(
        ["/bin/sh", "-c", script], env={"AWS_PROFILE": "mine"}, capture_output=True, text=True, check=True
    )

    assert completed.stdout == f"{nasty}||", "a profile of the caller's must not shine through"


def test_the_variables_name_nothing_in_the_home_folder(
    dev: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("NO_PROXY", "example.org")
    variables = shell.environment("http://127.0.0.1:1", dev, folder=Path("/state"))

    assert variables["AWS_CONFIG_FILE"].startswith("/state/")
    assert variables["AWS_SHARED_CREDENTIALS_FILE"].startswith("/state/")
    assert variables["PULUMI_HOME"].startswith("/state/")
    assert variables["AWS_ACCESS_KEY_ID"] == dev.account
    assert variables["AWS_REGION"] == variables["AWS_DEFAULT_REGION"] == dev.region
    assert variables["NO_PROXY"] == "example.org,127.0.0.1,localhost"
    assert variables["PULUMI_BACKEND_URL"] == (
        "s3://bbws-access-dev-terraform-state?endpoint=http://127.0.0.1:1"
        "&s3ForcePathStyle=true&region=eu-west-1"
    )


def test_what_programs_inherit_holds_nobody_elses_account(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"AWS_PROFILE", "PULUMI_ACCESS_TOKEN", "TF_WORKSPACE", "GITHUB_TOKEN", "PYTHONPATH"}
    for name in names:
        monkeypatch.setenv(name, "mine")

    assert not names & set(shell.inherited())


def test_the_story_changes_thirty_functions_and_then_breaks_the_teams(dev: Settings) -> None:
    first, second, third = estate.story(dev)

    assert (len(first.changed), len(second.changed)) == (42, 30)
    assert third.broken == frozenset(dev.functions("team_service"))
    assert third.broken < set(third.changed)
    assert not first.broken | second.broken


def test_the_same_code_gives_the_same_package() -> None:
    one = estate.code("team_service", "f", "v1.0.0")

    assert one == estate.code("team_service", "f", "v1.0.0")
    assert one != estate.code("team_service", "f", "v1.0.0", broken=True)


def test_a_service_that_is_none_is_named(dev: Settings) -> None:
    with pytest.raises(ValueError, match="neither a service nor a function: teem_service"):
        estate.deploy(None, dev, "v1.0.0", changed=["teem_service"])


def test_elsewhere_than_on_a_terminal_progress_is_written_now_and_then() -> None:
    now = 0.0
    stream = io.StringIO()
    progress = BuildProgress(stream, clock=lambda: now)

    progress("building: 0 s")
    progress("building: 1 s")
    now = 21.0
    progress("building: 21 s")
    progress("starting")

    assert stream.getvalue().splitlines() == ["building: 0 s", "building: 21 s", "starting"]


def test_a_lock_that_lacks_what_its_source_asks_for_is_found_out(tmp_path: Path) -> None:
    # The source asks for a project in a folder, so that no index has to be asked.
    package = tmp_path / "package"
    package.mkdir()
    (package / "pyproject.toml").write_text('[project]\nname = "a"\nversion = "1"\n')
    (tmp_path / "in.txt").write_text(f"a @ {package.as_uri()}\n")
    (tmp_path / "lock.txt").write_text("")
    lock = LockFile(path="lock.txt", source="in.txt", options=("--no-generate-hashes", "--offline"))

    text, output = compiled(lock, root=tmp_path)

    assert output == ""
    assert text is not None
    assert text.startswith("a @ file://")
