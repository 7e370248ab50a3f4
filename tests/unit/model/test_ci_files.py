"""The files by which another repository's CI calls the command: pinned, and such as what they call takes."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from localaws.paths import ROOT
from localaws.toolchain.tools import ACTIONLINT
from rollback.setup import ci_files
from rollback.setup.ci_files import GITHUB, GITLAB
from rollback.util.errors import Code, UsageError
from tests.coded import coded
from tests.gitlab_runner import component, pipeline
from tests.prepared import prepared

SHA = "0123456789abcdef0123456789abcdef01234567"
ENVIRONMENTS = ("staging", "production")
VALIDATOR = Path(sys.executable).with_name("check-jsonschema")


def made(system: str, source: str = "", **how: Any) -> Mapping[str, str]:
    pinned = ci_files.pin(system, f"acme/rollback-cli@{SHA}", source)
    return ci_files.files(system, pinned, ENVIRONMENTS, **how)


def calls(workflow: str) -> dict[str, Any]:
    (job,) = yaml.safe_load(workflow)["jobs"].values()
    return dict(job)


@pytest.mark.parametrize(
    ("system", "text"),
    [
        (GITHUB, "acme/rollback-cli"),
        (GITHUB, "acme/rollback-cli@main"),
        (GITHUB, f"acme/rollback-cli@{SHA[:12]}"),
        (GITHUB, f"acme/rollback-cli@{SHA.upper()}"),
        (GITHUB, f"acme/a/b@{SHA}"),
        (GITHUB, f"git.example.com/acme/rollback-cli@{SHA}"),
        (GITLAB, f"rollback-cli@{SHA}"),
        (GITLAB, f"acme/$(id)@{SHA}"),
        (GITLAB, f"acme/rollback-cli@{SHA}\n"),
    ],
)
def test_what_is_not_pinned_to_a_commit_is_refused(system: str, text: str) -> None:
    with pytest.raises(UsageError, check=coded(Code.OPTION_INVALID)):
        ci_files.pin(system, text)


@pytest.mark.parametrize(
    "source",
    [
        "$(id)",
        "a b",
        f"git+https://x@{SHA}; id",
        "'x'",
        "--index-url=x",
        "a\nb",
        "`id`",
        "latest",
        "git+https://github.com/acme/rollback-cli@main",
        "git+https://github.com/acme/rollback-cli",
        "dist/rollback_cli-1.2.3-py3-none-any.whl",
    ],
)
def test_a_source_that_a_script_could_read_otherwise_is_refused(source: str) -> None:
    with pytest.raises(UsageError, check=coded(Code.OPTION_INVALID)):
        ci_files.pin(GITHUB, f"acme/rollback-cli@{SHA}", source)


def test_the_command_is_installed_of_the_very_commit_unless_another_source_is_named() -> None:
    assert ci_files.pin(GITHUB, f"acme/rollback-cli@{SHA}").source == (
        f"git+https://github.com/acme/rollback-cli@{SHA}"
    )
    assert ci_files.pin(GITLAB, f"git.example.com/a/b/rollback-cli@{SHA}").source == (
        f"git+https://git.example.com/a/b/rollback-cli@{SHA}"
    )
    assert ci_files.pin(GITHUB, f"acme/rollback-cli@{SHA}", "1.2.3").source == "1.2.3"


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("1.2.3", "rollback-cli[all]==1.2.3"),
        (
            f"git+https://github.com/acme/rollback-cli@{SHA}",
            f"rollback-cli[all] @ git+https://github.com/acme/rollback-cli@{SHA}",
        ),
        (
            "https://acme.example/rollback_cli-1.2.3-py3-none-any.whl",
            "rollback-cli[all] @ https://acme.example/rollback_cli-1.2.3-py3-none-any.whl",
        ),
    ],
)
@pytest.mark.parametrize("system", [GITHUB, GITLAB])
def test_a_source_is_installed_as_what_it_is(tmp_path: Path, system: str, source: str, what: str) -> None:
    assert ci_files.pin(system, f"acme/rollback-cli@{SHA}", source).source == source
    if system == GITHUB:
        action = yaml.safe_load((ROOT / ".github/actions/prepare/action.yml").read_text())["runs"]["steps"]
        (step,) = (one for one in action if one.get("name") == "Install the command")
        script, variable = step["run"], "SOURCE"
    else:
        made = component(
            (ROOT / "templates/rollback.yml").read_text(), {"environment": "dev", "source": source}
        )
        lines = made[".rollback-dev-lambda"]["before_script"]
        script, variable = "\n".join(lines[: lines.index('cd "."')]), "ROLLBACK_SOURCE"
    for name in ("uv", "python", "python3"):
        (tmp_path / name).write_text('#!/bin/sh\necho "$@" >> "$SEEN"\n')
        (tmp_path / name).chmod(0o755)
    seen = tmp_path / "seen"

    subprocess.run(
        ["bash", "-eo", "pipefail"],
        input=script,
        text=True,
        check=True,
        env={
            "PATH": f"{tmp_path}:/usr/bin:/bin",
            "SEEN": str(seen),
            variable: source,
            "GITHUB_ACTION_PATH": str(tmp_path),
            "CI_PROJECT_DIR": str(tmp_path / "orders"),
        },
    )

    (line,) = (one for one in seen.read_text().splitlines() if "pip install" in one)
    assert line.endswith(f" {what}")


@pytest.mark.parametrize("tables", [False, True])
def test_githubs_workflows_call_ours_by_commit_with_inputs_that_those_take(tables: bool) -> None:
    files = made(GITHUB, folder="rollbacks", tables=tables)

    assert set(files) == {
        ".github/workflows/rollback.yml",
        ".github/workflows/record-release.yml",
        *([".github/workflows/rollback-table.yml"] if tables else []),
    }
    for text in files.values():
        job = calls(text)
        path, commit = job["uses"].removeprefix("acme/rollback-cli/").split("@")
        ours = yaml.safe_load((ROOT / path).read_text())
        inputs = ours[True]["workflow_call"]["inputs"]
        assert commit == SHA
        assert set(job["with"]) <= set(inputs)
        assert {name for name, of in inputs.items() if of.get("required")} <= set(job["with"])
        assert job["with"]["folder"] == "rollbacks"
        needed = [set(one["permissions"].items()) for one in ours["jobs"].values()]
        assert set.union(*needed) <= set(job["permissions"].items()), (
            "a called job may do no more than its caller"
        )
        asked = yaml.safe_load(text)[True]["workflow_dispatch"]["inputs"]
        assert asked["environment"]["options"] == sorted(ENVIRONMENTS)


def test_githubs_workflows_are_those_that_its_checkers_find_nothing_in(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    for path, text in made(GITHUB, folder="rollbacks", tables=True).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    zizmor = Path(sys.executable).with_name("zizmor")
    for command in (
        [str(prepared(ACTIONLINT))],
        [str(zizmor), "--quiet", "--offline", "--persona", "auditor", ".github"],
    ):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_action_of_another_is_pinned_to_a_commit() -> None:
    uses = [
        found
        for path in (ROOT / ".github").rglob("*.yml")
        for found in re.findall(r"uses: (\S+)", path.read_text())
        if not found.startswith("./")
    ]

    assert uses
    assert [one for one in uses if not re.search(r"@[0-9a-f]{40}$", one)] == []


def test_what_others_call_uses_no_action_by_its_path_and_installs_as_the_action_does() -> None:
    def script(document: Any) -> str:
        (step,) = (one for one in document if one.get("name") == "Install the command")
        return str(step["run"]).split("\n", 1)[1]

    action = yaml.safe_load((ROOT / ".github/actions/prepare/action.yml").read_text())["runs"]["steps"]
    for name in ("rollback.yml", "release-recorded.yml"):
        jobs = yaml.safe_load((ROOT / ".github/workflows" / name).read_text())["jobs"]
        for job in jobs.values():
            assert not [one for one in job["steps"] if one.get("uses", "").startswith("./")]
            assert script(job["steps"]) == script(action), (
                "written twice, since a called workflow has no other way"
            )


@pytest.mark.parametrize("tables", [False, True])
def test_gitlabs_file_is_one_by_gitlabs_schema_and_includes_components_with_inputs_that_they_take(
    tmp_path: Path, tables: bool
) -> None:
    files = made(GITLAB, folder="rollbacks", tables=tables)
    document = pipeline(files[".gitlab/rollback.yml"])

    _valid(tmp_path, files[".gitlab/rollback.yml"])
    assert list(files) == [".gitlab/rollback.yml"]
    kinds = set()
    for one in document["include"]:
        name = re.fullmatch(rf"\$CI_SERVER_FQDN/acme/rollback-cli/([a-z-]+)@{SHA}", one["component"])
        assert name is not None
        component((ROOT / "templates" / f"{name[1]}.yml").read_text(), one["inputs"])
        kinds |= {one["inputs"].get("kind")}
    assert ("table" in kinds) is tables
    assert set(document["variables"]["ROLLBACK_ENVIRONMENT"]["options"]) == {"", *ENVIRONMENTS}


@pytest.mark.parametrize("name", ["rollback", "rollback-approval", "rollback-release"])
def test_a_component_is_a_pipeline_by_gitlabs_schema(tmp_path: Path, name: str) -> None:
    inputs = {"environment": "production", "source": "1.2.3"}
    if name == "rollback-approval":
        inputs["project"] = "acme/orders"

    made = component((ROOT / "templates" / f"{name}.yml").read_text(), inputs)

    _valid(tmp_path, yaml.safe_dump(made))
    assert "$[[" not in yaml.safe_dump(made)


def test_a_job_for_approvals_has_the_environment_that_is_protected_for_them_and_no_other_has() -> None:
    approval = component(
        (ROOT / "templates/rollback-approval.yml").read_text(),
        {"environment": "production", "source": "1.2.3", "project": "acme/orders"},
    )
    others = [
        component(
            (ROOT / f"templates/{name}.yml").read_text(), {"environment": "production", "source": "1.2.3"}
        )
        for name in ("rollback", "rollback-release")
    ]

    assert {job["environment"]["name"] for job in approval.values()} == {"production-rollback-approval"}
    assert "rollback-approval" not in "".join(yaml.safe_dump(one) for one in others)


def _valid(folder: Path, text: str) -> None:
    """By GitLab's own schema, as `check-jsonschema` brings it along."""
    file = folder / ".gitlab-ci.yml"
    file.write_text(text)
    done = subprocess.run(
        [str(VALIDATOR), "--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
