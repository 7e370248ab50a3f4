"""`docs/recipes.md`, typed: another team's pipeline with its deployer's own tool, and a rollback in between."""

from __future__ import annotations

import json
import shutil
import textwrap
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from localaws import shell
from localaws.emulator import server
from localaws.emulator.server import Emulator
from localaws.toolchain.deployers import cdk_path
from localaws.toolchain.tools import AWS, CDK, SAM
from tests.e2e.docs_as_typed import commands
from tests.e2e.estate_under_test import REASON
from tests.e2e.recipes_under_test import ALICE, DAN, PAGE, Recipe, begin, typed
from tests.prepared import prepared
from tests.prepared import terraform as opentofu_or_terraform
from tests.warm import Run, Warm

# Each deploys four times or more, with a tool that takes seconds to start.
pytestmark = pytest.mark.slow
GUARD, DEPLOY, RECORD = slice(0, 1), slice(1, 2), slice(2, 3)
KEEPS = "removal_policy=RemovalPolicy.RETAIN"


@pytest.fixture(scope="module")
def account() -> Iterator[Emulator]:
    with server.running(auth=True) as running:
        yield running


@pytest.fixture
def without_policies() -> Iterator[Emulator]:
    """CDK's own bucket takes what comes by TLS only, which nothing does here: no policy is looked at."""
    with server.running(auth=False) as running:
        yield running


def code(number: int) -> str:
    return f"def handler(event, context):\n    return {number}\n"


def rolled_back(recipe: Recipe) -> Run:
    return recipe.platform.rollback("lambda", "--reason", REASON, "--json", as_=ALICE)


def two_releases_and_a_rollback(recipe: Recipe) -> None:
    """The first deployment tells what functions are called; from then on the pipeline runs as it is."""
    good(recipe.run("v1", lines=DEPLOY))
    recipe.configure()
    good(recipe.run("v1", lines=RECORD))
    recipe.commit("v2", {"src/app.py": code(2)})
    good(recipe.run("v2"))
    first = {name: str(int(version) - 1) for name, version in recipe.live().items()}

    good(rolled_back(recipe))

    assert recipe.live() == first


def good(run: Run) -> None:
    assert run.code == 0, str(run)


def stopped(recipe: Recipe) -> None:
    """The commit that was rolled back is not deployed again: the pipeline ends before it deploys."""
    before = recipe.live()

    run = recipe.run("v3", commit="v2")

    assert run.code == 3, str(run)
    assert "quarantined" in run.err
    assert recipe.live() == before


def without_a_change(recipe: Recipe) -> None:
    """Without that line, the deployer leaves the alias; that is not recorded as what the stack has deployed."""
    before = recipe.live()
    good(recipe.run("v3", commit="v2", lines=DEPLOY))

    assert recipe.live() == before
    run = recipe.run("v3", commit="v1", lines=RECORD)
    assert run.code == 3, str(run)
    assert "[CHANGED_BY_OTHERS]" in run.err


def mended(recipe: Recipe, files: dict[str, str]) -> None:
    """A commit with a change goes through, and what it deploys is what is recorded."""
    before = recipe.live()
    recipe.commit("v3", files)

    good(recipe.run("v3"))

    assert all(recipe.live()[name] != version for name, version in before.items())
    status = recipe.platform.rollback("status", "--json", as_=ALICE)
    good(status)
    assert {one["deployed"] for one in status.json["services"]} == {"v3"}
    good(recipe.platform.rollback("verify", as_=ALICE))


def test_every_recipe_is_typed_here() -> None:
    assert {line.page for line in commands(PAGE)} == {"docs/recipes.md"}
    recipes = ("AWS SAM", "AWS CDK", "Terraform", "CloudFormation")
    assert sorted(line.command for line in commands(PAGE)) == sorted(
        line for section in recipes for line in typed(section)
    )


@pytest.mark.soak  # test_plain_cloudformation has the same steps by the service that SAM deploys with
def test_aws_sam(account: Emulator, tmp_path: Path, warm: Warm) -> None:
    recipe = begin(account, tmp_path, "810000000001", "AWS SAM", warm=warm, stack="orders")
    recipe.path, recipe.extra = [prepared(SAM)], {"SAM_CLI_TELEMETRY": "0"}
    template = """
        Transform: AWS::Serverless-2016-10-31
        Resources:
          GetOrder:
            Type: AWS::Serverless::Function
            Properties: {CodeUri: src, Handler: app.handler, Runtime: python3.12, AutoPublishAlias: prod}
    """
    recipe.commit("v1", {"template.yaml": textwrap.dedent(template), "src/app.py": code(1)})

    two_releases_and_a_rollback(recipe)

    stopped(recipe)
    without_a_change(recipe)
    mended(recipe, {"src/app.py": code(3)})
    assert versions_said(recipe) == "yes"


def versions_said(recipe: Recipe) -> str:
    """What `can` answers of the stacks' templates."""
    run = recipe.platform.rollback("can", "--json", as_=DAN)
    (found,) = [one for one in run.json["findings"] if one["check"] == "versions"]
    return str(found["answer"])


def test_plain_cloudformation(account: Emulator, tmp_path: Path, warm: Warm) -> None:
    recipe = begin(account, tmp_path, "810000000002", "CloudFormation", warm=warm, stack="orders")
    recipe.path = [prepared(AWS)]
    recipe.commit("v1", {"template.yaml": template(1), "src/app.py": code(1)})
    good(recipe.run("v1", lines=DEPLOY))
    recipe.configure()
    good(recipe.run("v1", lines=RECORD))
    recipe.commit("v2", {"template.yaml": template(2)})
    good(recipe.run("v2"))

    good(rolled_back(recipe))

    assert set(recipe.live().values()) == {"1"}
    stopped(recipe)
    without_a_change(recipe)
    mended(recipe, {"template.yaml": template(3)})
    recipe.commit("v4", {"template.yaml": template(4, keeps="")})
    said = recipe.run("v4")
    good(said)
    assert "DeletionPolicy: Retain" in said.err
    assert versions_said(recipe) == "no"


def template(
    number: int, keeps: str = "  DeletionPolicy: Retain\n    UpdateReplacePolicy: Retain\n  "
) -> str:
    return f"""\
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties: {{AssumeRolePolicyDocument: {{Version: "2012-10-17", Statement: []}}}}
  Get:
    Type: AWS::Lambda::Function
    Properties:
      FunctionName: orders-get
      Handler: index.handler
      Runtime: python3.12
      Role: !GetAtt Role.Arn
      Code: {{ZipFile: "def handler(event, context): return {number}"}}
  VersionOf{number}:
    Type: AWS::Lambda::Version
  {keeps}  Properties: {{FunctionName: !Ref Get}}
  Prod:
    Type: AWS::Lambda::Alias
    Properties: {{Name: prod, FunctionName: !Ref Get, FunctionVersion: !GetAtt VersionOf{number}.Version}}
"""


@pytest.mark.soak  # test_plain_cloudformation has the same steps; tests/integration/targets/terraform/test_target.py has Terraform itself
def test_terraform(account: Emulator, tmp_path: Path, warm: Warm) -> None:
    opentofu_or_terraform()
    recipe = begin(account, tmp_path, "810000000003", "Terraform", warm=warm)
    recipe.path = [terraform(recipe, tmp_path)]
    recipe.commit(
        "v1", {"main.tf": configuration(account, 1), ".gitignore": ".terraform*\n*.tfstate*\n*.zip\n"}
    )
    for number in (1, 2, 3):
        with zipfile.ZipFile(recipe.root / f"app-{number}.zip", "w") as file:
            file.writestr("app.py", code(number))
    good(recipe.tool("terraform init -input=false"))

    good(recipe.run("v1", lines=DEPLOY))
    recipe.configure()
    good(recipe.run("v1", lines=RECORD))
    recipe.commit("v2", {"main.tf": configuration(account, 2)})
    good(recipe.run("v2"))
    good(rolled_back(recipe))
    assert set(recipe.live().values()) == {"1"}
    stopped(recipe)

    # Without that line, it puts right what it takes for drift.
    good(recipe.run("v3", commit="v2", lines=DEPLOY))
    assert set(recipe.live().values()) == {"2"}
    assert recipe.platform.rollback("verify", as_=ALICE).code != 0
    assert recipe.run("v2", lines=RECORD).code == 3, "what is quarantined is not recorded again"

    mended(recipe, {"main.tf": configuration(account, 3)})


def terraform(recipe: Recipe, folder: Path) -> Path:
    """A folder with `terraform`, which is OpenTofu where that is what there is."""
    path = shell.environment(recipe.platform.endpoint, recipe.platform.settings)["PATH"]
    found = shutil.which("terraform", path=path) or shutil.which("tofu", path=path)
    assert found is not None
    place = folder / "tools"
    place.mkdir()
    (place / "terraform").symlink_to(found)
    return place


def configuration(account: Emulator, number: int) -> str:
    """What the page has; of a provider that knows no newer runtime, and finds AWS by its endpoints only."""
    services = "\n".join(f'    {name} = "{account.endpoint}"' for name in ("ec2", "iam", "lambda", "sts"))
    return f"""\
provider "aws" {{
  region                      = "eu-central-1"
  skip_metadata_api_check     = true
  skip_credentials_validation = true
  endpoints {{
{services}
  }}
}}

resource "aws_iam_role" "get" {{
  name = "orders-get"
  assume_role_policy = jsonencode({{ Version = "2012-10-17", Statement = [] }})
}}

resource "aws_lambda_function" "get" {{
  function_name    = "orders-get"
  filename         = "app-{number}.zip"
  source_code_hash = filebase64sha256("app-{number}.zip")
  handler          = "app.handler"
  runtime          = "python3.8"
  role             = aws_iam_role.get.arn
  publish          = true
}}

resource "aws_lambda_alias" "prod" {{
  name             = "prod"
  function_name    = aws_lambda_function.get.function_name
  function_version = aws_lambda_function.get.version
}}
"""


# SAM has the same steps, and what CDK deletes is seen by tests of its own: this one takes a minute of CPU.
@pytest.mark.soak
def test_aws_cdk_deletes_the_version_before_until_the_line_is_there(
    without_policies: Emulator, tmp_path: Path, warm: Warm
) -> None:
    recipe = begin(without_policies, tmp_path, "810000000004", "AWS CDK", warm=warm, stack="billing")
    recipe.path = cdk_path(prepared(CDK))
    recipe.extra = {
        "AWS_ENDPOINT_URL_S3": without_policies.endpoint,
        "CDK_DISABLE_VERSION_CHECK": "1",
        "CDK_DEFAULT_ACCOUNT": recipe.platform.settings.account,
        "CDK_DEFAULT_REGION": "eu-central-1",
        "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1",
    }
    cdk_json = json.dumps({"app": "python app.py", "versionReporting": False, "notices": False})
    files = {"cdk.json": cdk_json, ".gitignore": "cdk.out\n", "src/app.py": code(1), "app.py": program("")}
    recipe.commit("v1", files)
    good(
        recipe.tool(f"cd '{tmp_path}' && cdk bootstrap aws://{recipe.platform.settings.account}/eu-central-1")
    )
    good(recipe.run("v1", lines=DEPLOY))
    recipe.configure()

    recorded = recipe.run("v1", lines=RECORD)
    good(recorded)
    assert KEEPS in recorded.err, "before the bad day"
    assert versions_said(recipe) == "no"

    # It is too late for what the line is deployed over, and not for what comes after it.
    recipe.commit(
        "v2",
        {
            "src/app.py": code(2),
            "app.py": program(f", current_version_options=lambda_.VersionOptions({KEEPS})"),
        },
    )
    recorded = recipe.run("v2")
    good(recorded)
    assert "were deleted" in recorded.err
    assert versions_said(recipe) == "yes"
    kept = recipe.live()
    recipe.commit("v3", {"src/app.py": code(3)})
    good(recipe.run("v3"))
    good(rolled_back(recipe))
    assert recipe.live() == kept
    before = recipe.live()
    assert recipe.run("v4", commit="v3").code == 3
    good(recipe.run("v4", commit="v3", lines=DEPLOY))
    assert recipe.live() == before


def program(more: str) -> str:
    return f"""\
from aws_cdk import App, RemovalPolicy, Stack, aws_lambda as lambda_

app = App()
stack = Stack(app, "billing")
fn = lambda_.Function(
    stack,
    "Charge",
    code=lambda_.Code.from_asset("src"),
    handler="app.handler",
    runtime=lambda_.Runtime.PYTHON_3_12{more},
)
lambda_.Alias(stack, "Prod", alias_name="prod", version=fn.current_version)
app.synth()
"""
