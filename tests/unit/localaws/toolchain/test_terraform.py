"""Which Terraform is used, where its provider comes from, and what the root is told."""

import os
import re
import stat
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from localaws import shell
from localaws.errors import LocalError
from localaws.paths import ROOT
from localaws.toolchain import terraform, terraform_provider
from rollback.config.settings import environments, load


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with an empty cache, and nothing on PATH but what a test puts there."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path


def installed(machine: Path, name: str, version_text: str) -> Path:
    return executable(machine / "bin" / name, f"#!/bin/sh\nprintf '{version_text}'\n")


def executable(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def built() -> Path:
    terraform.TOFU.place.parent.mkdir(parents=True)
    return executable(terraform.TOFU.place, "#!/bin/sh\n")


def test_terraform_comes_before_opentofu(machine: Path) -> None:
    installed(machine, "tofu", "OpenTofu v1.12.6\\n")
    first = installed(machine, "terraform", "Terraform v1.11.4\\non linux_amd64\\n")

    assert terraform.ensure_terraform() == first


@pytest.mark.parametrize(
    ("version_text", "used"),
    [
        ("Terraform v1.10.0\\n", True),
        ("Warning: no configuration\\n\\nTerraform v2.0.0-beta1\\n", True),
        ("Terraform v1.9.8\\n", False),
        ("Terraform v0.13.7\\n", False),
        ("nothing of use\\n", False),
    ],
)
def test_a_terraform_without_lock_files_is_passed_over(machine: Path, version_text: str, used: bool) -> None:
    terraform_there = installed(machine, "terraform", version_text)
    tofu = installed(machine, "tofu", "OpenTofu v1.10.1\\n")

    assert terraform.ensure_terraform() == (terraform_there if used else tofu)


def test_a_version_is_reported_without_a_call_home(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CLI_CONFIG_FILE", "/nowhere")
    calm = machine / "bin" / "terraform"
    quiet = '[ "$CHECKPOINT_DISABLE" = 1 ] && [ -z "$TF_CLI_CONFIG_FILE" ]'
    executable(calm, f"#!/bin/sh\n{quiet} && echo Terraform v1.11.4\n")

    assert terraform.official_terraform() == calm


def test_without_any_and_without_go_the_installer_is_named(machine: Path) -> None:
    with pytest.raises(LocalError, match=r"https://opentofu\.org/docs/intro/install/"):
        terraform.ensure_terraform()


def test_our_own_opentofu_is_on_the_path_only_where_there_is_no_other(machine: Path) -> None:
    ours = built()
    dev = load(ROOT, "dev")
    alone = shell.environment("http://127.0.0.1:1", dev)["PATH"].split(":")
    installed(machine, "terraform", "Terraform v1.11.4\\n")
    beside = shell.environment("http://127.0.0.1:1", dev)["PATH"].split(":")

    assert str(ours.parent) in alone
    assert str(ours.parent) not in beside


def test_a_shell_is_pointed_at_the_mirror_once_it_is_there(machine: Path) -> None:
    dev = load(ROOT, "dev")
    before = shell.environment("http://127.0.0.1:1", dev)
    place = machine / "cache" / "rollback-cli" / "terraform-provider-aws-3.39.0"
    place.mkdir(parents=True)
    (place / "cli.tfrc").write_text("")
    after = shell.environment("http://127.0.0.1:1", dev)

    assert before["TF_VAR_endpoint"] == after["TF_VAR_endpoint"] == "http://127.0.0.1:1"
    assert "TF_CLI_CONFIG_FILE" not in before, "nothing is fetched to tell an environment"
    assert after["TF_CLI_CONFIG_FILE"] == str(place / "cli.tfrc")


@pytest.fixture
def package(machine: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders into which the package was installed; it is made here instead of being fetched."""
    folders: list[Path] = []

    def install(folder: Path) -> None:
        folders.append(folder)
        archive = folder / terraform_provider._ARCHIVE
        archive.parent.mkdir(parents=True)
        with zipfile.ZipFile(archive, "w") as written:
            written.writestr("terraform-provider-aws_v3.39.0_x5", "binary")

    monkeypatch.setattr(terraform_provider, "_install", install)
    monkeypatch.setattr(terraform_provider.platform, "system", lambda: "Linux")
    monkeypatch.setattr(terraform_provider.platform, "machine", lambda: "x86_64")
    return folders


def test_many_that_need_the_provider_at_once_fetch_it_once(machine: Path, package: list[Path]) -> None:
    together = threading.Barrier(6)

    def ensure(_: int) -> Path | None:
        together.wait()
        return terraform_provider.ensure_provider()

    with ThreadPoolExecutor(6) as pool:
        (config,) = set(pool.map(ensure, range(6)))

    assert len(package) == 1
    assert config is not None
    assert str(config.parent) in config.read_text()
    for source in terraform_provider.SOURCES:
        (binary,) = (config.parent / source / "3.39.0" / "linux_amd64").iterdir()
        assert binary.read_text() == "binary"
        assert os.access(binary, os.X_OK)


def test_a_provider_that_could_not_be_fetched_leaves_nothing(
    machine: Path, package: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(folder: Path) -> None:
        folder.mkdir()
        raise LocalError("no network")

    with monkeypatch.context() as broken:
        broken.setattr(terraform_provider, "_install", fails)
        with pytest.raises(LocalError, match="no network"):
            terraform_provider.ensure_provider()

    assert terraform_provider.present_provider() is None
    assert not list((machine / "cache" / "rollback-cli").glob("*.part"))
    assert terraform_provider.ensure_provider() is not None, "a failure must not stick"


def test_another_machine_asks_its_registry(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terraform_provider.platform, "machine", lambda: "arm64")

    assert terraform_provider.ensure_provider() is None


def test_the_aws_provider_comes_from_the_mirror_only_and_any_other_as_usual() -> None:
    assert terraform_provider.configuration(Path("/a mirror")) == (
        "provider_installation {\n"
        "  filesystem_mirror {\n"
        '    path    = "/a mirror"\n'
        '    include = ["registry.terraform.io/hashicorp/aws", "registry.opentofu.org/hashicorp/aws"]\n'
        "  }\n"
        "  direct {\n"
        '    exclude = ["registry.terraform.io/hashicorp/aws", "registry.opentofu.org/hashicorp/aws"]\n'
        "  }\n"
        "}\n"
    )


@pytest.mark.parametrize("environment", environments(ROOT))
def test_the_roots_variables_state_what_the_settings_state(environment: str) -> None:
    settings = load(ROOT, environment)
    result = (ROOT / "terraform" / "environments" / f"{environment}.tfvars").read_text()

    assert dict(re.findall(r'^(\w+) += "([^"]+)"$', result, re.MULTILINE)) == {
        "environment": environment,
        "account": settings.account,
        "region": settings.region,
    }
    assert f'default     = "{settings.prefix}"' in (ROOT / "terraform" / "variables.tf").read_text()
