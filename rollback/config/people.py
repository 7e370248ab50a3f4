"""The settings about people: approvals, IAM users, permission sets, reviewers on GitHub, projects on GitLab."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic.alias_generators import to_camel

from rollback.config.naming import APPROVER, BREAK_GLASS, DEPLOYER, GITLAB_COM, ROLLBACK
from rollback.config.patterns import GITLAB_PROJECT, HOST_NAME, USER, Minutes, Section, like, raise_found

# "Deployments and environments" (see `Reviewers`).
_MAX_REVIEWERS = 6
_USERS = ["arn:aws:iam::123456789012:user/alice"]


class ApprovalPolicies(Section):
    """Which approval each kind needs: `none` runs at once, `confirm` asks the same person to confirm the
    shown plan, `identity` needs another person under the approver role.
    """

    aliases: Literal["none", "identity"] = Field(
        description="Aliases: `none` or `identity`", examples=["identity"]
    )
    infrastructure: Literal["confirm", "identity"] = Field(
        description="A stack, Terraform, a whole release: `confirm` or `identity`", examples=["confirm"]
    )
    table: Literal["confirm", "identity"] = Field(
        description="Restoring a table, and cutting over to it: `confirm` or `identity`",
        examples=["identity"],
    )
    expires_minutes: Minutes = Field(240, description="How many minutes an approval is valid", examples=[240])


class People(Section):
    """ARNs of IAM users that may assume a role, with MFA.

    Approvers may not deploy, be on call or use the break-glass role: they review independently,
    before a rollback and after an emergency.
    """

    deployers: tuple[str, ...] = Field((), description="Who may assume the deployer role", examples=[_USERS])
    on_call: tuple[str, ...] = Field(
        (), description="Who may assume the rollback, restore and drill roles", examples=[_USERS]
    )
    break_glass: tuple[str, ...] = Field(
        (), description="Who may assume the break-glass role, in an emergency", examples=[_USERS]
    )
    approvers: tuple[str, ...] = Field(
        (),
        description="Who may assume the approver role. They may be in no other list",
        examples=[_USERS],
    )

    @field_validator("deployers", "on_call", "break_glass", "approvers")
    @classmethod
    def _users(cls, people: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        place = ("people", to_camel(str(info.field_name)))
        raise_found(
            [
                ((*place, number), f"'{person}' is not the ARN of an IAM user")
                for number, person in enumerate(people)
                if not USER.fullmatch(person)
            ]
        )
        return people

    @field_validator("approvers")
    @classmethod
    def _disjoint(cls, approvers: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for field, does in (
            ("on_call", "is also on call, and could approve their own rollback"),
            ("deployers", "also deploys, and could approve their own rollback"),
            ("break_glass", "may also use the break-glass role, and could review their own emergency"),
        ):
            both = sorted(set(approvers) & set(info.data.get(field, ())))
            if both:
                raise ValueError(f"{', '.join(both)} {does}")
        return approvers


# "PermissionSet", https://docs.aws.amazon.com/singlesignon/latest/APIReference/API_PermissionSet.html.
_PermissionSet = Annotated[str, Field(pattern=r"^([A-Za-z0-9+=,.@_-]{1,32}|)$")]


class PermissionSets(Section):
    """Names of permission sets of IAM Identity Center, which replace the roles for people.

    A person is identified by their session's name, which Identity Center sets to their user name. Each set must be different:
    otherwise one set could both start and approve a rollback.
    """

    deployers: _PermissionSet = Field(
        "", description="The set of those who deploy", examples=["OrdersDeploy"]
    )
    on_call: _PermissionSet = Field(
        "", description="The set of those who roll back, and restore tables", examples=["OrdersOnCall"]
    )
    break_glass: _PermissionSet = Field(
        "", description="The set of those who act in an emergency", examples=["OrdersBreakGlass"]
    )
    approvers: _PermissionSet = Field(
        "", description="The set of those who approve", examples=["OrdersApprove"]
    )

    @field_validator("on_call", "break_glass", "approvers")
    @classmethod
    def _own(cls, name: str, info: ValidationInfo) -> str:
        if name and (other := next((to_camel(field) for field, one in info.data.items() if one == name), "")):
            raise ValueError(f"'{name}' is also the set of {other}: each needs a different set")
        return name

    @property
    def of_roles(self) -> dict[str, str]:
        """Role (`naming.BY_PERMISSION_SET`) → its permission set, if it has one."""
        every = {
            DEPLOYER: self.deployers,
            ROLLBACK: self.on_call,
            APPROVER: self.approvers,
            BREAK_GLASS: self.break_glass,
        }
        return {role: name for role, name in every.items() if name}


class Reviewers(Section):
    """Numeric GitHub ids of those who may approve in the approval environment.

    GitHub allows at most six ("Deployments and environments",
    https://docs.github.com/en/actions/reference/workflows-and-actions/deployments-and-environments). None
    given: the environments are not declared.
    """

    teams: tuple[int, ...] = Field((), description="Teams", examples=[[7]])
    users: tuple[int, ...] = Field(
        (), description="Users (`gh api users/NAME --jq .id`)", examples=[[583231]]
    )

    @field_validator("users")
    @classmethod
    def _few(cls, users: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        if len(users) + len(info.data.get("teams", ())) > _MAX_REVIEWERS:
            raise ValueError(f"GitHub allows at most {_MAX_REVIEWERS} reviewers, teams and users together")
        return users


class GitLab(Section):
    """The GitLab projects whose jobs may assume the roles.

    The subject of a job's token only has its project and its branch: AWS cannot tell a reviewed job from
    another, nor environments from each other. So the approver role is for the jobs of a separate project.
    https://docs.gitlab.com/ci/secrets/id_token_authentication/#token-payload
    """

    project: Annotated[str, like(GITLAB_PROJECT, "path of a GitLab project")] = Field(
        description="The project whose jobs on the protected branch may assume all roles except the approver's",
        examples=["acme/orders"],
    )
    approvals: Annotated[str, like(GITLAB_PROJECT, "path of a GitLab project", empty=True)] = Field(
        "",
        description="Another project, whose jobs on the protected branch may assume the approver role. Nobody who deploys or "
        "is on call may push to it. Empty: only people approve",
        examples=["acme/approvals"],
    )
    host: Annotated[str, like(HOST_NAME, "host name")] = Field(
        GITLAB_COM, description="The host of GitLab, as in its tokens", examples=["gitlab.example.com"]
    )
    project_id: Annotated[int, Field(ge=0)] = Field(
        0,
        description="The number of `project`, which another project of the same path does not have. 0: AWS does not check it",
        examples=[4711],
    )
    approvals_id: Annotated[int, Field(ge=0)] = Field(
        0, description="The number of `approvals`", examples=[4712]
    )

    @field_validator("approvals")
    @classmethod
    def _another(cls, approvals: str, info: ValidationInfo) -> str:
        if approvals and approvals.casefold() == str(info.data.get("project", "")).casefold():
            raise ValueError(
                "it is `project` itself: AWS cannot distinguish its jobs, so that any of them could approve"
            )
        return approvals

    @field_validator("project_id", "approvals_id")
    @classmethod
    def _asked(cls, number: int, info: ValidationInfo) -> int:
        if number and info.data.get("host", GITLAB_COM) != GITLAB_COM:
            raise ValueError(f"AWS can only check it for {GITLAB_COM}")
        return number
