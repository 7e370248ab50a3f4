"""The scenario `infrastructure`: a commit that adds a wrong tag, deployed with `pulumi up`, and `rollback
stack`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from rollback.aws.account import explained
from rollback.config.naming import DEPLOYER
from rollback.config.settings import PROJECT_FILE
from rollback.engines import git
from rollback.engines.git import Commit
from rollback.engines.pulumi import checkpoint, update_history
from rollback.engines.pulumi.backend import BackendLocks, backend_url
from rollback.engines.pulumi.engine import CommandWatch, Engine
from rollback.engines.pulumi.update_history import StackName
from rollback.engines.pulumi.workspace import Where, workspace
from rollback.model.drill import Drill
from rollback.rehearsal.scenario import DrillContext, StateBefore
from rollback.util.errors import Code, Refused, RollbackError
from rollback.util.process_identity import began, here

PROGRAM = "__main__.py"
_TAG = "drill"
_IMPORT = "import pulumi\n"
# A drill must not add or remove resources: it adds a wrong tag.
_BAD = '''

def _drill(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
    """Bad on purpose: a drill."""
    if args.type_ != "aws:ssm/parameter:Parameter":
        return None
    tagged = {{**(args.props.get("tags") or {{}}), "{tag}": "{value}"}}
    return pulumi.ResourceTransformationResult(props={{**args.props, "tags": tagged}}, opts=args.opts)


pulumi.runtime.register_stack_transformation(_drill)

'''


@dataclass(frozen=True, kw_only=True)
class InfrastructureScenario:
    """The scenario `infrastructure`."""

    stage: DrillContext

    # -- the scenario ------------------------------------------------------------------------------------

    def look(self) -> StateBefore:
        """`{"commit": <40 digits>}`. Raises `Refused` where what is deployed is not exactly a commit of the
        protected branch.
        """
        now = self._deployed()
        if now is None or not now.clean:
            raise Refused(
                "What is deployed is not exactly a commit, so it could not be restored.",
                code=Code.DRILL_REFUSED,
                next="Deploy from a clean checkout of the protected branch.",
            )
        scratch = self.stage.scratch
        git.find(scratch.top, now.commit, scratch.branch)
        bad(scratch.file(now.commit, PROGRAM), "")
        return {"commit": now.commit}

    def go_bad(self, drill: Drill, before: StateBefore) -> None:
        self.deploy(drill, before)

    def roll_back(self, drill: Drill, before: StateBefore) -> None:  # noqa: ARG002 - previous is the commit before
        arguments = ("stack", "--to", "previous", "--reason", drill.reason)
        self.stage.driver.roll_back(DEPLOYER, "stack", *arguments)

    def gone(self, drill: Drill, before: StateBefore) -> None:
        if (tag := self._tag()) is not None:
            raise RollbackError(f"The tag of drill {tag} still exists.", code=Code.DRILL_NOT_RESTORED)
        now = self._deployed()
        if now is None or not now.clean or now.commit != before["commit"]:
            raise RollbackError(
                f"The stack is not at {before['commit'][:12]}, as before {drill.drill_id}.",
                code=Code.DRILL_NOT_RESTORED,
            )

    def restore(self, drill: Drill, before: StateBefore) -> None:
        self._unlock(drill)
        now = self._deployed()
        if self._tag() is not None or now is None or now.commit != before["commit"]:
            arguments = ("stack", "--to", before["commit"], "--reason", drill.reason)
            self.stage.driver.settle(DEPLOYER, "stack", *arguments)

    def plan(self) -> None:
        self.stage.driver.must(DEPLOYER, "stack", "--dry-run")

    # -- shared with full -------------------------------------------------------------------------------

    def deploy(self, drill: Drill, before: StateBefore) -> str:
        """Deploys the bad commit, on top of the good one, like a deployment; returns its 40 digits. Raises
        `RollbackError` where it cannot be deployed, or has no effect.
        """
        scratch, good = self.stage.scratch, before["commit"]
        program = bad(scratch.file(good, PROGRAM), drill.drill_id)
        sha = scratch.commit(f"{drill.reason}, bad on purpose", good, {PROGRAM: program})
        where = Where(
            top=scratch.top,
            folder=scratch.folder,
            project=self._project,
            stack=self.stage.session.environment,
        )
        watch = CommandWatch(seconds=drill.rto_seconds)
        with self._stack() as stack:
            state = checkpoint.deployment(stack.exported())
            with workspace(stack.engine, where, Commit(sha=sha, subject=""), state) as made:
                for ended in (made.preview(watch), made.up(watch)):
                    if not ended.ok:
                        raise RollbackError(
                            f"The bad commit could not be deployed: {ended.why}", code=Code.DRILL_FAILED
                        )
        if self._tag() != drill.drill_id:
            raise RollbackError("The bad commit is deployed, but its tag is missing.", code=Code.DRILL_FAILED)
        return sha

    def _unlock(self, drill: Drill) -> None:
        """Removes the lock of this drill's deployment, if that was killed on this machine."""
        account, settings = self.stage.roles.account(DEPLOYER), self.stage.session.settings
        locks = BackendLocks(
            url=backend_url(settings),
            project=self._project,
            stack=settings.environment,
            s3=lambda: account.client("s3"),
        )
        for lock in locks.held():
            dead = lock.host == here() and not began(lock.pid)
            if dead and datetime.fromisoformat(lock.at) >= datetime.fromisoformat(drill.began_at):
                locks.remove(lock)

    # -- what is deployed ---------------------------------------------------------------------------------------

    def _deployed(self) -> update_history.Update | None:
        with self._stack() as stack:
            return update_history.deployed(stack.updates())

    def _tag(self) -> str | None:
        """The id of the drill that tagged the parameters."""
        names = self.stage.session.settings.names
        with explained(f"reading the tags of {names.deployed_version}"):
            response = self.stage.roles.account(DEPLOYER).ssm.list_tags_for_resource(
                ResourceType="Parameter", ResourceId=names.deployed_version
            )
        return next((tag["Value"] for tag in response["TagList"] if tag["Key"] == _TAG), None)

    @property
    def _project(self) -> str:
        return update_history.project_name(
            (self.stage.scratch.root / PROJECT_FILE).read_text(encoding="utf-8")
        )

    @contextmanager
    def _stack(self) -> Iterator[StackName]:
        """The environment's stack, read under the deployer role."""
        session = self.stage.session
        found = Engine.found(backend_url(session.settings))
        variables = self.stage.roles.variables(DEPLOYER)
        ours = {name: value for name, value in variables.items() if name.startswith("AWS_")}
        kept = {name: value for name, value in found.variables.items() if not name.startswith("AWS_")}
        engine = replace(found, variables=kept | ours)
        with update_history.stack_name(engine, self._project, session.environment) as stack:
            yield stack


def bad(program: str, value: str) -> str:
    """The program with code that tags every parameter. Raises `Refused` where it is not valid Python."""
    try:
        body = ast.parse(program).body
    except SyntaxError as error:
        raise Refused(
            f"{PROGRAM} cannot be parsed ({error.msg}), so this drill cannot change it.",
            code=Code.DRILL_REFUSED,
        ) from None
    # Its docstring and __future__ imports must come first; the added code before any resource.
    first = [
        at
        for at, one in enumerate(body)
        if (isinstance(one, ast.ImportFrom) and one.module == "__future__")
        or (at == 0 and isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))
    ]
    end = body[first[-1]].end_lineno or 0 if first else 0
    lines = program.splitlines(keepends=True)
    return "".join([*lines[:end], "\n", _IMPORT, _BAD.format(tag=_TAG, value=value), *lines[end:]])
