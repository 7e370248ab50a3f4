"""Other people's programs go back to their commit before: folders, stacks and toolchains of all kinds.

Deployed and rolled back by the real engine; the stacks of this module share an emulator.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from localaws.emulator import server
from localaws.toolchain.tools import YAML_HOST
from rollback.engines.git import Commit
from rollback.model.request import StackRequest
from rollback.readiness.collect import of_stack
from rollback.readiness.rules import CheckAnswer
from rollback.targets.base import Outcome
from rollback.util.errors import Code, UsageError
from tests.coded import coded
from tests.doubles.journal import Memory
from tests.integration.stack_under_test import HEAD, ROOT, Estate, engine_path, ops
from tests.prepared import prepared

FOLDER = "infra/network"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with server.running(auth=False) as emulator:
        yield emulator.endpoint


@pytest.fixture
def empty(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Estate]:
    """A project in a sub-folder of its repository, with an empty stack `dev`; nothing is left of what it does."""
    path = engine_path()
    estate = Estate.create(tmp_path, path=path, endpoint=endpoint, project=FOLDER)
    for name, value in estate.environment.items():
        monkeypatch.setenv(name, value)
    yield estate
    estate.close()
    assert estate.git("status", "--short") == ""
    assert estate.git("worktree", "list").count("\n") == 0


def rolled_back(estate: Estate, working: Callable[[str], object] = lambda _: None) -> dict[str, str]:
    """The stack goes back to its commit before and is as that declares it; what was done, by resource."""
    target, journal = estate.target(working=working), Memory()
    plan = target.plan(StackRequest(project=FOLDER))
    assert not target.refusals(plan)
    assert target.execute(plan, journal) == Outcome()
    assert all(check.ok for check in target.verify(plan))
    return ops(plan)


def committed(estate: Estate, message: str) -> str:
    estate.git("add", "-A")
    estate.git("commit", "-qm", message)
    return estate.git("rev-parse", "HEAD")


def project(estate: Estate, **settings: Any) -> None:
    """Sets keys of the project's `Pulumi.yaml`."""
    document = yaml.safe_load((estate.program / "Pulumi.yaml").read_text())
    estate.write("Pulumi.yaml", json.dumps(document | settings))


# -- where things are, and what a program does ---------------------------------------------------------

# A component package in Python, in a folder of the repository.
WIDGETS = """
from typing import Optional, TypedDict

import pulumi
import pulumi_aws as aws
from pulumi.provider.experimental import component_provider_host

class GroupArgs(TypedDict):
    value: pulumi.Input[str]

class Group(pulumi.ComponentResource):
    def __init__(self, name: str, args: GroupArgs, opts: Optional[pulumi.ResourceOptions] = None):
        super().__init__("widgets:index:Group", name, {}, opts)
        aws.ssm.Parameter(name + "-member", name="/demo/" + name + "-member", type="String",
            insecure_value=args["value"], opts=pulumi.ResourceOptions(parent=self))
        self.register_outputs({})

component_provider_host(name="widgets", components=[Group])
"""
PROGRAM = """
class Group(pulumi.ComponentResource):
    def __init__(self, name, value):
        super().__init__("widgets:index:Group", name, {"value": value}, remote=True)

if pulumi.get_stack() == "blue":
    parameter("shared", VALUE)
    pulumi.export("name", VALUE)
else:
    other = pulumi.StackReference("organization/rollback/blue")
    parameter("referred", other.get_output("name").apply(lambda name: name + "-" + VALUE))
    aws.ssm.Parameter("replaced", name="/demo/replaced-" + VALUE, type="String", insecure_value="same",
        opts=pulumi.ResourceOptions(delete_before_replace=True))
    aws.ssm.Parameter(NAME, name="/demo/aliased", type="String", insecure_value=VALUE,
        opts=pulumi.ResourceOptions(aliases=[pulumi.Alias(name=alias) for alias in ALIASES]))
    Group("group", VALUE)
"""


def in_folders(estate: Estate) -> None:
    """The project has its program, its stacks' settings and a component package in folders, and a stack `blue`."""
    for name in ("src", "config", "widgets"):
        (estate.program / name).mkdir()
    project(estate, main="src", stackConfigDir="config", packages={"widgets": "./widgets"})
    options = {"toolchain": "pip", "virtualenv": "venv"}
    estate.write("widgets/PulumiPlugin.yaml", json.dumps({"runtime": {"name": "python", "options": options}}))
    estate.write("widgets/__main__.py", WIDGETS)
    estate.write("widgets/.gitignore", "venv\n")
    (estate.program / "widgets" / "venv").symlink_to(ROOT / ".venv")
    stack = (estate.program / "Pulumi.dev.yaml").rename(estate.program / "config" / "Pulumi.dev.yaml")
    estate.write("config/Pulumi.blue.yaml", stack.read_text())
    estate.pulumi("stack", "init", "blue")


def test_folders_a_component_package_stack_references_aliases_and_replacements_by_deletion(
    empty: Estate,
) -> None:
    estate = empty
    in_folders(estate)

    def commit(value: str, name: str, *aliases: str) -> None:
        settings = f"VALUE, NAME, ALIASES = {value!r}, {name!r}, {aliases!r}\n"
        estate.write("src/__main__.py", HEAD + settings + PROGRAM)
        committed(estate, value)

    commit("one", "older")
    estate.pulumi("up", "--yes", "--skip-preview", "--stack", "blue")
    estate.up()
    first = estate.values()
    commit("two", "newer", "older")
    estate.up()

    done = rolled_back(estate)

    assert done == {
        "referred": "update",
        "replaced": "replace",
        "older": "update",
        "group-member": "update",
    }
    assert estate.values() == first


# A provider in Python, in a folder of the repository, as a program that the engine starts.
_PROVIDER = """#!{python}
import sys
from pulumi.provider.experimental import provider as p
from pulumi.provider.experimental.server import main

class Greetings(p.Provider):
    async def check_config(self, request): return p.CheckResponse(inputs=request.new_inputs)
    async def diff_config(self, request): return p.DiffResponse(changes=False)
    async def configure(self, request):
        return p.ConfigureResponse(
            accept_secrets=False, supports_preview=True, accept_resources=False, accept_outputs=False)
    async def check(self, request): return p.CheckResponse(inputs=request.new_inputs)
    async def diff(self, request): return p.DiffResponse(changes=False)
    async def create(self, request):
        return p.CreateResponse(resource_id="" if request.preview else "hello", properties=request.properties)
    async def read(self, request):
        return p.ReadResponse(resource_id=request.resource_id, properties=request.properties, inputs=request.inputs)
    async def delete(self, request): pass
    async def cancel(self): pass
    async def get_schema(self, request): return p.GetSchemaResponse(schema='{{"name": "greetings"}}')

main(sys.argv[1:], "1.0.0", Greetings())
"""


def test_a_provider_that_the_commit_does_not_have_is_named_before_anything_starts(empty: Estate) -> None:
    estate = empty
    before = estate.deploy("parameter('kept', 'one')")
    (estate.program / "greetings").mkdir()
    place = estate.program / "greetings" / "pulumi-resource-greetings"
    place.write_text(_PROVIDER.format(python=sys.executable))
    place.chmod(0o755)
    project(estate, plugins={"providers": [{"name": "greetings", "path": "greetings"}]})
    program = 'pulumi.CustomResource("greetings:index:Greeting", "hello", {"text": "hello"})'
    after = estate.commit(program, "with a provider of its own")

    could = of_stack(estate.target()._context, Commit(sha=after, subject=""), before)
    estate.up()

    assert ("greetings", CheckAnswer.NO) in [(one.subject, one.answer) for one in could]
    with pytest.raises(
        UsageError, match=r"greetings \(greetings\)", check=coded(Code.COMMIT_UNUSABLE)
    ) as error:
        estate.plan(project=FOLDER)
    assert error.value.changed == "Nothing was changed."
    (refused,) = of_stack(estate.target()._context, Commit(sha=before, subject=""), after)
    assert (refused.subject, refused.answer) == ("greetings", CheckAnswer.NO)


# -- by which its dependencies are installed -----------------------------------------------------------

# A package in the repository: what it says is another thing in each commit. The SDK is that of these tests.
_BACKEND = """
import tomllib
import zipfile
from pathlib import Path

def build_wheel(folder, config_settings=None, metadata_directory=None):
    version = tomllib.loads(Path("pyproject.toml").read_text())["project"]["version"]
    info = f"greeting-{version}.dist-info/"
    files = {name: Path(name).read_text() for name in ("greeting.py", "tests.pth")}
    files[info + "METADATA"] = f"Metadata-Version: 2.1\\nName: greeting\\nVersion: {version}\\n"
    files[info + "WHEEL"] = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    files[info + "RECORD"] = "".join(f"{path},,\\n" for path in [*files, info + "RECORD"])
    name = f"greeting-{version}-py3-none-any.whl"
    with zipfile.ZipFile(Path(folder) / name, "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return name
"""
_PACKAGE = """
[project]
name = "greeting"
version = "VERSION"
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
_UV_PROJECT = """
[project]
name = "program"
version = "0"
requires-python = ">=3.11"
dependencies = ["greeting"]
[tool.uv]
package = false
[tool.uv.sources]
greeting = {path = "./greeting"}
"""


def installs(estate: Estate, toolchain: str) -> None:
    """The program has its package installed by a toolchain."""
    options = {"toolchain": toolchain, "virtualenv": ".venv"}
    project(estate, runtime={"name": "python", "options": options})
    (estate.program / "greeting").mkdir()
    estate.write(".gitignore", ".venv\n")
    estate.write("greeting/backend.py", _BACKEND)
    estate.write("greeting/tests.pth", f"{Path(pulumi.__file__).parents[1]}\n")
    if toolchain == "uv":
        estate.write("pyproject.toml", _UV_PROJECT)
    else:
        estate.write("requirements.txt", "./greeting\n")


def installed(estate: Estate, toolchain: str) -> None:
    """What the checkout's program needs is there, as its team has installed it."""
    if toolchain == "uv":
        estate.pulumi("install")
        return
    # As pip does, in no time: `pulumi install` with pip is tried in `test_language_host.py`.
    for command in (("venv", "--allow-existing", ".venv"), ("pip", "install", "--reinstall", "./greeting")):
        subprocess.run(
            ["uv", *command, "--quiet"],
            cwd=estate.program,
            env={**os.environ, "VIRTUAL_ENV": str(estate.program / ".venv")},
            check=True,
        )


# With pip: tests/unit/integrations/pulumi/test_virtualenv.py installs a package by its path, for real.
@pytest.mark.parametrize("toolchain", ["uv", pytest.param("pip", marks=pytest.mark.soak)])
def test_a_commit_runs_with_the_packages_that_it_has_by(
    empty: Estate, toolchain: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    estate, begun = empty, list[str]()
    with_uv = os.pathsep.join((estate.environment["PATH"], str(ROOT / ".venv" / "bin")))
    for name, value in {"PATH": with_uv, "UV_OFFLINE": "1", "PIP_NO_INDEX": "1"}.items():
        estate.environment[name] = value
        monkeypatch.setenv(name, value)
    installs(estate, toolchain)
    for version, value in (("1", "one"), ("2", "two")):
        estate.write("greeting/pyproject.toml", _PACKAGE.replace("VERSION", version))
        estate.write("greeting/greeting.py", f"VALUE = {value!r}\n")
        installed(estate, toolchain)
        estate.deploy("import greeting\nparameter('said', greeting.VALUE)")
    assert estate.values()["said"] == "two"

    done = rolled_back(estate, working=begun.append)

    assert done == {"said": "update"}
    assert estate.values()["said"] == "one"
    assert begun == [f"Installing the dependencies of commit {estate.git('rev-parse', 'HEAD~')[:12]}"]


@pytest.fixture(scope="module")
def yaml_host() -> Path:
    """It is looked for with the environment that is everybody's."""
    return prepared(YAML_HOST)


def test_a_program_in_yaml(yaml_host: Path, empty: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    estate = empty
    path = os.pathsep.join((str(yaml_host.parent), estate.environment["PATH"]))
    estate.environment["PATH"] = path
    monkeypatch.setenv("PATH", path)
    kept = {"type": "aws:ssm:Parameter", "properties": {"name": "/demo/kept", "type": "String"}}
    for value in ("one", "two"):
        kept = {**kept, "properties": {**kept["properties"], "insecureValue": value}}
        added = {"added": {**kept, "properties": {**kept["properties"], "name": "/demo/added"}}}
        project(estate, runtime="yaml", resources={"kept": kept} | (added if value == "two" else {}))
        committed(estate, value)
        estate.up()
    assert estate.values() == {"kept": "two", "added": "two"}

    done = rolled_back(estate)

    assert done == {"kept": "update", "added": "delete"}
    assert estate.values() == {"kept": "one"}
