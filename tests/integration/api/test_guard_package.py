"""The guard's package: the same bytes again, all that the function imports, and no more of botocore than it asks."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import rollback
from rollback.guard import api as guard
from rollback.guard import function as guard_function
from rollback.guard.package import SERVICES
from rollback.model.guarding import other_runtime, runtimes
from rollback.util.errors import Code, Refused, UsageError
from tests import prepared
from tests.coded import coded
from tests.doubles.world import texts

RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"


def checkout(folder: Path, **changed: object) -> Path:
    """A checkout with settings of branch main, and a guard unless `guard` is None."""
    changed = {"guard": {"errors": 5}, **changed}
    if changed["guard"] is None:
        del changed["guard"]
    folder.mkdir(exist_ok=True)
    for name, content in zip(("Pulumi.yaml", "Pulumi.dev.yaml"), texts(**changed), strict=True):
        (folder / name).write_text(content, encoding="utf-8")
    author = ("-c", "user.name=t", "-c", "user.email=t@example.com")
    for parts in (["init", "-q", "-b", "main"], ["add", "."], [*author, "commit", "-q", "-m", "settings"]):
        subprocess.run(["git", "-C", str(folder), *parts], check=True)
    return folder


@pytest.fixture(scope="module", autouse=True)
def _wheels() -> Iterator[None]:
    with prepared.guard_package():
        yield


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made, runtime = guard.build("dev", folder=checkout(tmp_path_factory.mktemp("one")))
    assert runtime == RUNTIME
    return made


def test_the_same_input_gives_the_same_bytes_in_another_folder(package: Path, tmp_path: Path) -> None:
    again, _ = guard.build("dev", folder=checkout(tmp_path / "two"))

    assert again.read_bytes() == package.read_bytes()


@pytest.mark.finding("A1")
def test_all_that_the_function_imports_is_in_it_and_nothing_of_the_command_line(
    package: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(package) as archive:
        archive.extractall(tmp_path)
        names = archive.namelist()
    program = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
import rollback.guard.function as f, boto3, slack_sdk, json
for name in ("lambda", "dynamodb", "cloudwatch", "scheduler", "sns", "ssm", "s3", "sts"):
    boto3.client(name, region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b")
print(json.dumps([f.__file__, str(f.packed(__import__("pathlib").Path({str(tmp_path)!r}), "main", "Pulumi.yaml"))[:1]]))
"""
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=False
    )

    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == [str(tmp_path / "rollback/guard/function.py"), "{"]
    assert not [name for name in names if name.startswith(("rollback/cli/", "rollback/views/", "typer"))]
    assert package.stat().st_size < 20e6


@pytest.mark.finding("A1")
def test_it_is_built_for_the_runtime_of_the_settings_and_says_in_another_what_is_wrong(
    tmp_path: Path,
) -> None:
    other = "python3.12" if RUNTIME != "python3.12" else "python3.13"
    made, runtime = guard.build(
        "dev", folder=checkout(tmp_path / "set", guard={"errors": 5, "runtime": other})
    )
    with zipfile.ZipFile(made) as archive:
        archive.extractall(tmp_path / "code")
        names = archive.namelist()
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c",
         f"import sys; sys.path.insert(0, {str(tmp_path / 'code')!r}); import rollback.guard.function"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    tag = other.removeprefix("python").replace(".", "")
    assert runtime == other
    assert [name for name in names if name.startswith("pydantic_core/") and f"cpython-{tag}-" in name]
    assert ran.returncode
    assert runtimes(ran.stderr) == (other, RUNTIME)


def test_a_checkout_is_for_every_python(tmp_path: Path) -> None:
    assert runtimes(other_runtime(RUNTIME, RUNTIME)) == ("", "")
    guard_function.for_this_python(tmp_path)


def test_every_service_that_the_product_asks_is_in_it() -> None:
    home = Path(rollback.__file__).parent
    asked = {
        service
        for path in home.rglob("*.py")
        for service in re.findall(r"""client\(\s*["']([a-z0-9-]+)["']""", path.read_text(encoding="utf-8"))
    }

    assert asked <= SERVICES


def test_where_another_person_approves_it_is_made_of_the_protected_branchs_settings_only(
    tmp_path: Path,
) -> None:
    folder = checkout(tmp_path / "strict", approval="identity")
    file = folder / "Pulumi.dev.yaml"
    file.write_text(file.read_text(encoding="utf-8") + "\n", encoding="utf-8")

    with pytest.raises(Refused, check=coded(Code.SETTINGS_NOT_REVIEWED)):
        guard.build("dev", folder=folder)


def test_where_no_guard_is_configured_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, check=coded(Code.NOT_CONFIGURED)):
        guard.build("dev", folder=checkout(tmp_path / "none", guard=None))
