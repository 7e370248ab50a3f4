"""Every command line of `docs/` is typed, in the order of its page, by the person whom the page names.

On accounts that judge trust, MFA, roles, keys and object lock. What cannot be typed here is in `CANNOT`, with its reason.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer
import yaml

from localaws import estate, identity, shell
from localaws.emulator import server
from localaws.paths import ROOT
from rollback.config.naming import APPROVER, DEPLOYER, ROLLBACK
from rollback.config.settings import load
from rollback.model.record import now_iso
from tests import asked, planted
from tests.command_lines import parsed
from tests.e2e.accounts_under_test import Kept
from tests.e2e.docs_as_typed import Block, Hint, Line, Reader, Terminal, commands, read
from tests.e2e.estate_under_test import FUNCTIONS, SCRIPT, Platform, checkout, git
from tests.e2e.infrastructure_under_test import OUTPUTS, TAGGED, InfrastructureEstate, declared
from tests.e2e.scratch_under_test import things
from tests.warm import Warm

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Typed by test_local_account.py.
_HERE = "typed by anybody, on this machine"
_STARTED = "typed in docs/getting-started.md"
_INFRASTRUCTURE = "typed in docs/infrastructure.md, in an environment that has a stack, Terraform and tables"
_GO_ON = ("rollback resume ID --env prod", "rollback abort ID --env prod")
_INTERRUPTED = "tests/e2e/test_interrupted.py types both, of a rollback that was interrupted"
# The guides in an order in which one account can go through all of them.
_GUIDES = ("look", "ready", "functions", "releases", "freeze", "prune", "approve", "interrupted")
# A line that is not typed here, and why.
CANNOT: Mapping[str, Mapping[str, str]] = {
    "docs/getting-started.md": {
        "pulumi install": "asks a package index for what is installed here already",
        "pulumi config set github:owner OWNER": "there is no GitHub here that could be asked for environments",
    },
    "docs/install.md": {
        **dict.fromkeys(
            (
                "mkdir shop && cd shop",
                "rollback init --env staging --dry-run",
                "rollback init --env staging --yes",
                "rollback catalogue sync --env staging",
                "rollback catalogue sync --env staging --yes",
            ),
            "is about an account that no settings speak of: tests/e2e/test_init.py types it there",
        ),
        **dict.fromkeys(
            (
                "uv build --wheel",
                "pip install dist/*.whl",
                "rm -rf dist && uv build --wheel",
                "pip install --upgrade dist/*.whl",
            ),
            "tests/e2e/test_installed.py types it, in a checkout and an environment of its own",
        ),
        **dict.fromkeys(
            (
                "uv tool install dist/*.whl",
                "pipx install dist/*.whl",
                "uv tool install git+https://github.com/OWNER/REPOSITORY@main",
                "pipx install git+https://github.com/OWNER/REPOSITORY@main",
                "pip install git+https://github.com/OWNER/REPOSITORY@main",
                'uv tool install "$(echo dist/*.whl)[pulumi,slack]"',
                "pip install 'rollback-cli[components]'",
                "uv tool install --force dist/*.whl",
                "pipx install --force dist/*.whl",
                "uv tool uninstall rollback-cli",
                "pipx uninstall rollback-cli",
                "pip uninstall rollback-cli",
            ),
            "asks a package index, or has nothing to uninstall: tests/e2e/test_installed.py installs the wheel",
        ),
    },
    "docs/automatic.md": {
        "rollback watch --env prod --version v1.2.0 --bake 10m": (
            "the settings here let no alarm take anything: tests/integration/actions/test_watch.py watches where they do"
        ),
        **dict.fromkeys(
            (
                "rollback guard build --env prod",
                "pulumi up --stack prod-foundation",
                "rollback guard test --env prod",
                "rollback guard status --env prod",
                "AWS_PROFILE=drill-dev rollback drill --env dev --scenario automatic",
            ),
            "the settings here declare no guard: tests/e2e/test_automatic.py has one",
        ),
    },
    "docs/infrastructure.md": {
        'rollback stack --env dev --to 4f2a91c --stack S --project-dir services/edge --reason "…"': (
            "is about another team's project"
        ),
        **dict.fromkeys(
            (
                "export AWS_DEFAULT_REGION=eu-west-1 BUCKET=bbws-access-dev-foundation-state",
                'export PULUMI_BACKEND_URL="s3://$BUCKET?region=$AWS_DEFAULT_REGION"',
                'pulumi stack init dev-foundation --secrets-provider "awskms://alias/rollback-dev?region=$AWS_DEFAULT_REGION"',
                "rollback adopt --env dev --foundation --write ../adopt-dev",
                "pulumi import --stack dev-foundation --file ../adopt-dev/pulumi-import.json --generate-code=false --yes",
                "pulumi preview --stack dev-foundation --diff",
                "pulumi up --stack dev-foundation",
                "rollback foundation split --env dev --dry-run",
                "rollback foundation split --env dev",
            ),
            "the environment here was never one stack: tests/e2e/test_foundation.py types it of one that was",
        ),
    },
    "docs/runbook.md": {
        **dict.fromkeys(
            (
                'rollback full --env prod --reason "…"',
                'rollback stack --env prod --to previous --reason "…"',
                'rollback terraform --env prod --to previous --reason "…"',
                "rollback history --env prod --kind stack",
                'rollback table --env prod --table TABLE --to before:ID --reason "…"',
                'rollback table --env prod --table TABLE --to 2026-11-24T09:30:00Z --reason "…"',
            ),
            _INFRASTRUCTURE,
        ),
        **dict.fromkeys(_GO_ON, _INTERRUPTED),
    },
    "docs/how-to/interrupted.md": dict.fromkeys(_GO_ON, _INTERRUPTED),
}
# What a page calls a role that a person has logged in to.
_ROLES = {"deployer": DEPLOYER, "on call": ROLLBACK, "approver": APPROVER}
_EXAMPLE = "111122223333"
_ADMINISTRATOR = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


# -- people --------------------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class World:
    """What a page is about: accounts with their checkouts, and people who have keys of their own and nothing else."""

    platforms: Mapping[str, Platform]
    reader: Reader
    infrastructure: InfrastructureEstate | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    _terminals: dict[tuple[str, str, str], Terminal] = field(default_factory=dict)
    screen: str = ""

    @property
    def platform(self) -> Platform:
        """The account of a page that has one only."""
        (platform,) = self.platforms.values()
        return platform

    def terminal(self, name: str, role: str = "", environment: str = "") -> Terminal:
        """Somebody's terminal, in the checkout of an environment; where a role is named, logged in to it."""
        key = (name, role, environment)
        if key not in self._terminals:
            platform = self.platforms[environment] if environment else self.platform
            home = platform.folder / "homes" / "-".join(filter(None, key)).replace(" ", "-")
            (home / ".aws").mkdir(parents=True)
            (home / ".aws" / "config").write_text(_keys(platform, name), encoding="utf-8")
            variables = {**_shell(platform, name, home), **self.variables}
            self._terminals[key] = Terminal(home=home, cwd=platform.root, variables=variables)
            if role:
                self.types(key, _line(f"rollback login --env {environment} --role {_ROLES[role]} --hours 2"))
                self.pastes_the_profile(key)
                self.types(key, _line(f"export AWS_PROFILE={_ROLES[role]}-{environment}"))
        return self._terminals[key]

    def types(self, who: tuple[str, str, str], line: Line) -> None:
        terminal, typed = self.terminal(*who), self.reader.filled(line.command)
        code = terminal.type(typed)
        self.screen = terminal.screen
        self.reader.sees(terminal.screen)

        assert code == line.code, f"{line}\n{who[0]}$ {typed}\nexit {code}\n{terminal.screen[-4000:]}"

    def pastes_the_profile(self, who: tuple[str, str, str]) -> None:
        """The profile on the screen, as it is there, into the AWS configuration."""
        profile = re.search(r"^\[profile .+\]\n(?:\S.* = .+\n)+", self.screen, re.MULTILINE)
        assert profile, self.screen
        self.puts(who, "~/.aws/config", profile[0])

    def puts(self, who: tuple[str, str, str], path: str, text: str, *, under_config: bool = False) -> None:
        """Lines into a file of somebody's home or of the checkout. The script that a profile names is forked, too."""
        terminal, warm = self.terminal(*who), self.platforms[who[2]].warm if who[2] else self.platform.warm
        text = text.replace(str(SCRIPT), str(warm.scripts / "rollback")) if warm else text
        file = terminal.home / path[2:] if path.startswith("~/") else terminal.cwd / path
        had = file.read_text(encoding="utf-8") if file.exists() else ""
        if under_config:
            stack = yaml.safe_load(had)
            stack["config"] |= yaml.safe_load(text)
            file.write_text(yaml.safe_dump(stack, sort_keys=False), encoding="utf-8")
        else:
            file.write_text(f"{had}\n{text}\n", encoding="utf-8")

    def forgets(self) -> None:
        """Keys and logins go from where they belong; elsewhere they are searched for (`tests.planted`)."""
        for terminal in self._terminals.values():
            for place in (".aws", ".local/state/rollback/logins"):
                shutil.rmtree(terminal.home / place, ignore_errors=True)


def _line(command: str) -> Line:
    return Line(page="as everybody does", number=0, command=command)


def _keys(platform: Platform, name: str) -> str:
    """An AWS configuration with the keys of an IAM user."""
    keys = identity.person(platform.endpoint, platform.settings, name)
    planted.also(keys["AWS_SECRET_ACCESS_KEY"])
    if name == "administrator":
        iam = platform.root_client("iam")
        iam.put_user_policy(UserName=name, PolicyName="everything", PolicyDocument=json.dumps(_ADMINISTRATOR))
    return "[default]\n" + "".join(f"{key.lower()} = {value}\n" for key, value in keys.items())


def _shell(platform: Platform, name: str, home: Path) -> dict[str, str]:
    """The variables of a login shell; and where this account and its tools are."""
    assert platform.warm is not None
    here = shell.environment(platform.endpoint, platform.settings, folder=platform.folder)
    surroundings = (
        "AWS_ENDPOINT_URL", "AWS_EC2_METADATA_DISABLED", "AWS_RESPONSE_CHECKSUM_VALIDATION", "CHECKPOINT_DISABLE",
        "NO_PROXY", "no_proxy", "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION", "PULUMI_SKIP_UPDATE_CHECK",
        "TF_CLI_CONFIG_FILE", "TF_VAR_endpoint",
    )  # fmt: skip
    return {
        **{key: here[key] for key in surroundings if key in here},
        "PATH": os.pathsep.join([str(platform.warm.scripts), str(SCRIPT.parent), here["PATH"]]),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        # In others the engine waits five seconds for the terminal to tell its background's colour.
        "TERM": "screen",
        "TMPDIR": str(platform.temporary),
        "GIT_CONFIG_SYSTEM": os.devnull,
        **{f"GIT_{who}_NAME": name for who in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{who}_EMAIL": f"{name}@example.org" for who in ("AUTHOR", "COMMITTER")},
    }


# -- what happens between the lines --------------------------------------------------------------------------

_STEPS: dict[re.Pattern[str], Callable[..., None]] = {}


def step(pattern: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """What a page's comment asks for, or asserts."""

    def kept(do: Callable[..., None]) -> Callable[..., None]:
        _STEPS[re.compile(pattern)] = do
        return do

    return kept


@step(r"the profile that was printed is pasted by (\w+)")
def pasted(world: World, name: str) -> None:
    world.pastes_the_profile((name, "", ""))


@step(r"(v[\d.]+) is deployed(?: in (\w+))?")
def is_deployed(world: World, version: str, environment: str) -> None:
    platform = world.platforms[environment] if environment else world.platform
    found = {version: str(number) for number, version in enumerate(("v1.0.0", "v1.1.0", "v1.2.0"), 1)}

    assert platform.versions() == dict.fromkeys(FUNCTIONS, found[version])


@step("the screen names (FILE)")
def is_named(world: World, name: str) -> None:
    assert world.reader.values[name] in world.screen


@step("RESTORE is that ID")
def restored(world: World) -> None:
    world.reader.values["RESTORE"] = world.reader.values["ID"]


@step(r"(v[\d.]+) is recorded as deployed")
def is_recorded(world: World, version: str) -> None:
    assert world.platform.deployed() == version


@step("the update is of a clean commit")
def is_clean(world: World) -> None:
    world.types(("administrator", "", ""), _line("pulumi stack history --json"))
    newest, *_ = json.loads(world.screen[world.screen.index("[") :])

    assert newest["environment"]["git.head"] == git(world.platform.root, "rev-parse", "HEAD")
    assert newest["environment"].get("git.dirty") != "true"


@step("no login is kept")
def no_login(world: World) -> None:
    homes = world.platform.folder / "homes"

    assert not list(homes.glob("alice*/.local/state/rollback/logins/*"))


@step("aliases, ledger, trail and roles are left")
def is_left(world: World) -> None:
    platform, names = world.platform, world.platform.settings.names

    assert set(platform.versions()) == set(FUNCTIONS)
    assert platform.items()
    platform.root_client("s3").head_bucket(Bucket=names.audit_bucket(platform.settings.account))
    platform.root_client("iam").get_role(RoleName=names.role(ROLLBACK))


@step("the (stack|API) is as it was")
def is_good(world: World, what: str) -> None:
    assert world.infrastructure is not None
    now = world.infrastructure.state()

    if what == "stack":
        assert now.tag == TAGGED
    else:
        assert now.subject == OUTPUTS


@step("an item is overwritten")
def is_overwritten(world: World) -> None:
    """After the rollback whose id is on the screen."""
    _put_item(world, "bad")


@step("the item is as it was")
def item_is_good(world: World) -> None:
    found = world.platform.root_client("dynamodb").get_item(TableName=_table(world), Key=_KEY)["Item"]

    assert found["value"] == {"S": "good"}


_KEY = {"PK": {"S": "user"}, "SK": {"S": "-"}}


def _put_item(world: World, value: str) -> None:
    item = {**_KEY, "value": {"S": value}}
    world.platform.root_client("dynamodb").put_item(TableName=_table(world), Item=item)


def _table(world: World) -> str:
    return world.platform.settings.names.table("ddb-access-management")


@step("the ledger does not answer")
def ledger_away(world: World) -> None:
    server.take_away_dynamodb(world.platform.endpoint, world.platform.settings.account, away=True)


@step("the table is back, and empty")
def ledger_back(world: World) -> None:
    server.take_away_dynamodb(world.platform.endpoint, world.platform.settings.account, away=False)
    dynamodb = world.platform.root_client("dynamodb")
    dynamodb.delete_table(TableName=world.platform.settings.names.deployments_table)
    dynamodb.create_table(**world.platform.table)


@step("it is interrupted in the middle")
def interrupted(world: World) -> None:
    """The journal ends where the power went: what was moved last is not in it."""
    journal = Path(world.reader.values["FILE"])
    head, *events = journal.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = itertools.takewhile(lambda event: json.loads(event)["kind"] != "moved", events)
    journal.write_text("".join([head, *kept]), encoding="utf-8")


@step("the record of FILE is in the ledger")
def is_imported(world: World) -> None:
    identifier = Path(world.reader.values["FILE"]).stem.rpartition("-")[2]
    shown = world.platform.show(identifier)

    assert (shown["status"], shown["emergency"], shown["chain"]) == ("REVERTED", True, "whole")
    assert shown["initiated_by"]["person"] == "olga"


@step("the parameter has the address itself")
def is_the_address(world: World) -> None:
    name = f"{world.platform.settings.names.parameter_path}/slack"
    found = world.platform.root_client("ssm").get_parameter(Name=name, WithDecryption=True)["Parameter"]

    assert (found["Type"], found["Value"].startswith("https://hooks.")) == ("SecureString", True)


@step("no scratch is left")
def no_scratch(world: World) -> None:
    platform = world.platform

    assert not [name for name in things(platform) if "acceptance" in name]


def _typed(world: World, block: Block, match: re.Match[str]) -> None:
    name, role, environment = match.groups("")
    cannot = CANNOT.get(block.page, {})
    for line in block.commands():
        if line.command not in cannot:
            world.types((name, role, environment), line)


def _put(world: World, block: Block, match: re.Match[str]) -> None:
    name, path, under_config = match.groups("")
    text = "\n".join(map(world.reader.filled, block.lines))
    world.puts((name, "", ""), path, text, under_config=bool(under_config))


# What is done with the block that comes next.
_BLOCKS: dict[re.Pattern[str], Callable[[World, Block, re.Match[str]], None]] = {
    re.compile(r"typed by (?:the )?(\w+)(?:, (?:the )?([\w ]+) in (\w+))?"): _typed,
    re.compile(r"(?:the )?(\w+) puts it into (\S+?)(?:, (under config))?"): _put,
}


def follow(pages: Path | Sequence[Path], world: World) -> None:
    """Does what a page says from its top to its end; of several, one after the other."""
    try:
        for page in [pages] if isinstance(pages, Path) else pages:
            _follow(page, world)
    finally:
        world.forgets()


def _follow(page: Path, world: World) -> None:
    hint = None
    for one in read(page):
        if isinstance(one, Block):
            found = [
                (do, match) for pattern, do in _BLOCKS.items() if hint and (match := pattern.fullmatch(hint))
            ]
            assert found or one.language not in ("sh", "console"), f"{one.page}:{one.number}: who types it?"
            for do, match in found:
                do(world, one, match)
            hint = None
            continue
        assert hint is None, f"{one.page}:{one.number}: there is no block for: {hint}"
        steps = [(do, match) for pattern, do in _STEPS.items() if (match := pattern.fullmatch(one.text))]
        for do, match in steps:
            do(world, *match.groups(""))
        hint = None if steps else one.text
    assert hint is None, f"{page.name}: nothing is known of: {hint}"


# -- the pages -----------------------------------------------------------------------------------------------


@pytest.mark.soak  # test_stack.py, test_infrastructure.py and test_table.py have the same verbs roll back for real; test_every_line_of_a_page_is_one_that_the_command_takes
def test_infrastructure(kept: Callable[[str], Kept], warm: Warm, tmp_path: Path) -> None:
    with declared(kept("dev"), tmp_path, warm, up=False) as infrastructure:
        platform = infrastructure.platform
        here = shell.environment(platform.endpoint, platform.settings, folder=platform.folder)
        names = ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_HOME")
        world = World(
            platforms={"dev": platform},
            reader=Reader(values={}),
            variables={name: here[name] for name in names},
            infrastructure=infrastructure,
        )
        platform.root_client("dynamodb").update_continuous_backups(
            TableName=_table(world), PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )
        _put_item(world, "good")
        infrastructure.goes_bad("stack", "terraform", "functions")
        world.reader.literal = {
            "2026-11-24T09:30:00Z": now_iso(datetime.now(UTC)),
            "v1.4.0": infrastructure.version,
        }
        follow(ROOT / "docs" / "infrastructure.md", world)


def test_how_to(make: Callable[[str], Platform]) -> None:
    platforms = {environment: make(environment) for environment in ("dev", "prod")}
    for platform in platforms.values():
        platform.story()
    world = World(platforms=platforms, reader=Reader(values={}))
    follow([ROOT / "docs" / "how-to" / f"{guide}.md" for guide in _GUIDES], world)


@pytest.mark.soak  # test_local_account.py types the quick start, a real `pulumi up` declares what every account here has; test_every_line_of_a_page_is_one_that_the_command_takes
@pytest.mark.finding("W1")
@pytest.mark.finding("W2")
def test_getting_started(warm: Warm, tmp_path: Path) -> None:
    with bare(tmp_path, warm) as world:
        follow(ROOT / "docs" / "getting-started.md", world)


@pytest.mark.finding("W7")
@pytest.mark.finding("A8")
def test_emergency(prod: Platform) -> None:
    prod.story()
    follow(ROOT / "docs" / "emergency.md", World(platforms={"prod": prod}, reader=Reader(values={})))


def test_automatic(prod: Platform) -> None:
    prod.story()
    follow(ROOT / "docs" / "automatic.md", World(platforms={"prod": prod}, reader=Reader(values={})))


def test_runbook(prod: Platform) -> None:
    prod.story()
    follow(ROOT / "docs" / "runbook.md", World(platforms={"prod": prod}, reader=Reader(values={})))


def test_json(prod: Platform) -> None:
    prod.story()
    world = World(platforms={"prod": prod}, reader=Reader(values={}))

    follow(ROOT / "docs" / "json.md", world)

    assert "UNKNOWN_RELEASE" in world.screen


def test_workflows(dev: Platform) -> None:
    follow(ROOT / "docs" / "workflows.md", World(platforms={"dev": dev}, reader=Reader(values={})))


def test_install(untouched: Platform) -> None:
    follow(ROOT / "docs" / "install.md", World(platforms={"dev": untouched}, reader=Reader(values={})))


@pytest.mark.soak  # test_acceptance.py runs it; test_every_line_of_a_page_is_one_that_the_command_takes
def test_acceptance(dev: Platform) -> None:
    follow(ROOT / "docs" / "acceptance.md", World(platforms={"dev": dev}, reader=Reader(values={})))


@contextmanager
def bare(folder: Path, warm: Warm) -> Iterator[World]:
    """An account with functions and nothing else, and a clone of a repository with the whole program."""
    account, root = "690000000004", folder / "checkout"
    checkout(root, "dev", account, whole=True)
    git(folder, "clone", "-q", "--bare", str(root), str(folder / "origin.git"))
    git(root, "remote", "add", "origin", str(folder / "origin.git"))
    git(root, "fetch", "-q", "origin")
    git(root, "branch", "-q", "--set-upstream-to=origin/main")
    settings = load(root, "dev")
    with server.running(auth=True, calls=asked.folder()) as emulator:
        platform = Platform(
            endpoint=emulator.endpoint, settings=settings, root=root, folder=folder, warm=warm
        )
        functions = platform.root_client("lambda")
        estate.establish(platform.root_client("iam"), settings)
        for version in ("v1.1.0", "v1.2.0"):
            estate.deploy(functions, settings, version)
        literal = {
            _EXAMPLE: account,
            "/home/alice/.venv/bin/rollback": str(SCRIPT),
            # A bucket has no name of its own on an address.
            "s3://$BUCKET?": f"s3://$BUCKET?endpoint={emulator.endpoint}&s3ForcePathStyle=true&",
            f"arn:aws:kms:eu-west-1:{account}:key/1234abcd-12ab-34cd-56ef-1234567890ab": "ARN",
        }
        values = {"SHA": git(root, "rev-parse", "HEAD")}
        try:
            yield World(platforms={"dev": platform}, reader=Reader(values=values, literal=literal))
        finally:
            platform.end()


# -- the list ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_all_code_of_a_page_is_in_blocks_that_name_their_language(page: Path) -> None:
    assert read(page) is not None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_line_of_a_page_is_one_that_the_command_takes(page: Path) -> None:
    """Where a page is typed to its end by `make soak` only, this is what every run knows of it."""
    refused = {str(line): why for line in commands(page) if (why := _not_taken(line.command))}

    assert not refused


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_comment_of_a_page_is_one_that_is_followed(page: Path) -> None:
    hints = [one.text for one in read(page) if isinstance(one, Hint)]
    known = [*_STEPS, *_BLOCKS]

    assert not [text for text in hints if text != _HERE and not any(one.fullmatch(text) for one in known)]


def _not_taken(line: str) -> str:
    """Why the command line refuses a line of ours; a placeholder is any word, and nothing is carried out."""
    words = shlex.split(line, comments=True)
    while words and re.fullmatch(r"\w+=.*", words[0]):
        del words[0]
    words = [*itertools.takewhile(lambda word: word not in ("|", "&&", ">", "&"), words)]
    if not words or words[0] != "rollback":
        return ""
    try:
        parsed(shlex.join(words))
    except typer.Exit:  # a help text
        return ""
    except (typer.TyperException, ValueError) as error:
        return str(error)
    return ""


def test_every_page_with_commands_is_followed() -> None:
    followed = {
        "README.md",  # by test_local_account.py
        "docs/acceptance.md",
        "docs/automatic.md",
        "docs/emergency.md",
        "docs/getting-started.md",
        *(f"docs/how-to/{guide}.md" for guide in _GUIDES),
        "docs/infrastructure.md",
        "docs/install.md",
        "docs/json.md",
        "docs/local-account.md",  # by test_local_account.py
        "docs/recipes.md",  # by test_recipes.py
        "docs/runbook.md",
        "docs/workflows.md",
    }

    assert {str(page.relative_to(ROOT)) for page in PAGES if commands(page)} == followed


def test_the_list_has_only_lines_that_are_there() -> None:
    there = {str(page.relative_to(ROOT)): {line.command for line in commands(page)} for page in PAGES}
    started = there["docs/getting-started.md"] - CANNOT["docs/getting-started.md"].keys()

    for page, lines in CANNOT.items():
        assert lines.keys() <= there[page]
        assert {line for line, why in lines.items() if why == _STARTED} <= started
