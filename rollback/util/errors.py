"""What can go wrong, as one tree. Each error says what happened, what was changed and what to type next.

    RollbackError                exit 1   failed; the record has the progress
    ├── UsageError               exit 2   wrong usage or configuration; nothing was changed
    ├── Refused                  exit 3   a guard, a lease, a digest, a wrong account; nothing was changed
    │   └── Cancelled            exit 3   Ctrl-C or Ctrl-D at a prompt; nothing was changed
    ├── Reverted                 exit 4   failed, and everything was reverted
    ├── VerificationFailed       exit 5   done, but verification failed
    ├── AwaitingApproval         exit 10  planned and recorded; waits for an approval or confirmation
    └── StoppedAtOnce            exit 130 stopped at once by a second Ctrl-C; the record has the progress

`exit_code` is part of the command line's contract (docs/reference/exit-codes.md), and so is `code`: the text of a
message may change between versions, its code does not.
"""

from __future__ import annotations

from enum import StrEnum, auto
from typing import Any


class Code(StrEnum):
    """The kind of error, as a name to look up or to test for. Codes are never renamed, and never change their
    meaning.
    """

    @staticmethod
    def _generate_next_value_(name: str, start: int, count: int, last_values: list[str]) -> str:  # noqa: ARG004 - enum's
        return name

    # -- what was typed, and where
    OPTION_INVALID = auto()  # an option or --reason has an invalid value, or cannot be combined with another
    NO_CHECKOUT = auto()  # the command was not started inside a checkout of the repository
    SETTINGS_INVALID = auto()  # Pulumi.yaml or Pulumi.ENV.yaml cannot be read, or has an invalid setting
    NOT_CONFIGURED = auto()  # the settings do not have what the verb needs: tables, Terraform, approvals
    FOLDER_IN_USE = auto()  # the folder to write to belongs to another program, or its files cannot be read
    UNKNOWN_ENVIRONMENT = auto()  # no such environment is configured, or none for this account
    NOTHING_FOUND = auto()  # the account and region have none of the requested functions
    UNKNOWN_SERVICE = auto()  # the settings have no such service or function
    UNKNOWN_RELEASE = auto()  # no such release is recorded
    UNKNOWN_COMMIT = auto()  # this checkout has no such commit, or lacks the protected branch
    UNKNOWN_ROLLBACK = auto()  # the environment has no record with this ID
    AMBIGUOUS_ID = auto()  # the given prefix matches several records' IDs
    UNKNOWN_STACK = auto()  # the Pulumi backend has no such stack
    UNKNOWN_TABLE = auto()  # the table does not exist, or is not configured to be restored
    COMMIT_UNUSABLE = auto()  # the commit cannot be checked out, or lacks what a rollback to it needs
    EXTRA_MISSING = auto()  # Python packages that come with an extra of this distribution are not installed
    TOOL_MISSING = auto()  # git, pulumi, terraform or tofu is not on the PATH, or not in a supported version
    DEPENDENCIES_UNAVAILABLE = auto()  # a commit's Python packages or Terraform providers cannot be installed

    # -- the caller, and AWS
    NO_CREDENTIALS = auto()  # there are no AWS credentials
    CREDENTIALS_END = auto()  # the rollback may take longer than the credentials are valid
    CREDENTIALS_INVALID = auto()  # the AWS credentials have expired or are not valid
    CLOCK_WRONG = auto()  # this machine's clock is wrong by minutes
    WRONG_ACCOUNT = auto()  # the credentials, or a journal, belong to another account than the environment
    WRONG_ROLE = auto()  # the caller's role may not do this, whatever its policy says
    ACCESS_DENIED = auto()  # AWS or the state's store denied a request
    THROTTLED = auto()  # a quota, or a table's capacity, is used up
    AWS_UNREACHABLE = auto()  # no response from AWS, or from AWS_ENDPOINT_URL
    AWS_ERROR = auto()  # AWS returned an error without a code of its own here
    ALIAS_MISSING = auto()  # functions lack the alias, or it does not point to a published version
    NOT_DECLARED = auto()  # a resource that `pulumi up` declares does not exist: an alias, a bucket, a table

    # -- the guards
    LEASE_HELD = auto()  # another process is working on the same services, or on the same journal
    LEASE_LOST = auto()  # this command's lease was taken, or could not be renewed
    ALARM_MISSED = auto()  # an alarm's message that the guard could not process, and nothing recorded since
    NO_STANDBY = auto()  # there is no standby to take
    STANDBY_ENDED = auto()  # the standby is no longer valid
    WRONG_STATUS = auto()  # the record's status does not allow this verb
    PLAN_REFUSED = auto()  # a guard refuses the plan; each reason is listed
    PLAN_OUTDATED = auto()  # something has changed since the plan was made, or its file is unusable here
    DIGEST_MISMATCH = auto()  # the given digest is not the plan's
    CONFIRMATION_MISSING = auto()  # a person must confirm, and nobody did
    APPROVAL_MISSING = auto()  # another person must approve the plan first, or the approval has expired
    APPROVAL_REFUSED = auto()  # this person may not approve this plan, or has already approved it
    SETTINGS_NOT_REVIEWED = auto()  # the settings differ from those of the protected branch
    NOT_ON_PROTECTED_BRANCH = auto()  # the commit is not part of the protected branch
    FROZEN = auto()  # the environment is frozen
    QUARANTINED = auto()  # the release or commit must not be deployed until its quarantine is lifted
    BELOW_FLOOR = auto()  # the target is older than a release recorded with --not-below
    NOTHING_TO_LIFT = auto()  # there is no such freeze or quarantine
    NO_PREVIOUS = auto()  # there is no earlier release or commit to roll back to
    NOT_REVERSIBLE = auto()  # `rollback can` found something that would prevent a rollback
    RELEASE_EXISTS = auto()  # a release with this name is already recorded
    RELEASE_INCOMPLETE = auto()  # the release lacks requested services or functions
    VERSION_DELETED = auto()  # the function version to roll back to no longer exists
    CHANGED_BY_OTHERS = auto()  # somebody else has changed it, or is changing it now
    WOULD_DESTROY = auto()  # existing or protected resources would be replaced or destroyed

    # -- the tools, and their states
    STATE_LOCKED = auto()  # another process holds the lock of the Pulumi stack or the Terraform state
    STATE_INVALID = auto()  # the stored Terraform state is not valid
    ENGINE_FAILED = auto()  # a pulumi command failed; its last lines are in the message
    TERRAFORM_FAILED = auto()  # a terraform or tofu command failed; its last lines are in the message
    GIT_FAILED = auto()  # a git command failed, or did not finish
    LOSS_REPORT_DAMAGED = auto()  # the report of what a cutover would lose is missing, or was changed

    # -- the ledger and its archive
    LEDGER_MISSING = auto()  # the ledger's table does not exist
    LEDGER_UNREACHABLE = auto()  # the ledger's table is not reachable
    LEDGER_BUSY = auto()  # others write to the same record, or to the timeline, at the same time
    LEDGER_DAMAGED = auto()  # an item of the ledger is malformed, missing or was changed
    LEDGER_LOST_ENTRIES = auto()  # the table was restored or created again, and lacks its newest entries
    CLIENT_OUTDATED = auto()  # something was written by a newer version of this command or of a tool
    AUDIT_BROKEN = auto()  # the ledger's hash chain is broken, or the archive differs from it
    ARCHIVE_UNAVAILABLE = auto()  # there is no archive of the ledger, or it could not be read
    ARCHIVE_DAMAGED = auto()  # the archive's content is malformed or incomplete

    # -- an emergency's journal
    NO_EMERGENCY = auto()  # the ledger is available: use the normal commands
    JOURNAL_INVALID = auto()  # the file is not a journal, cannot be read, or was only partly imported
    JOURNAL_TAMPERED = auto()  # the journal was changed since it was written, or is damaged
    JOURNAL_UNWRITABLE = auto()  # the journal cannot be written

    # -- acceptance
    FACT_DIFFERS = auto()  # AWS behaves differently from what this tool expects
    SANDBOX_LEFT = auto()  # a temporary resource could not be removed

    # -- drills and CI
    DRILL_REFUSED = auto()  # a drill is not allowed there, or not with what is deployed
    DRILL_FAILED = auto()  # a drill did not pass
    DRILL_NOT_RESTORED = auto()  # what was deployed before a drill is not restored
    NOT_IN_CI = auto()  # the verb is for a job of GitHub Actions or GitLab CI
    REVIEW_MISSING = auto()  # nobody has reviewed the run on GitHub or GitLab, or the reviewer cannot be read
    SLACK_FAILED = auto()  # a Slack message could not be sent

    # -- results
    FAILED = auto()  # it failed; the record has the progress
    REFUSED = auto()  # a guard without a code of its own refused it
    ROLLED_BACK = auto()  # the watched release was rolled back
    REVERTED = auto()  # it failed, and what was changed was reverted
    REVERT_FAILED = auto()  # it failed, and so did reverting it
    VERIFICATION_FAILED = auto()  # the rollback is done, but what is deployed is unhealthy
    AWAITING_APPROVAL = auto()  # planned and recorded; another person must approve
    AWAITING_CONFIRMATION = auto()  # planned and recorded; a person must confirm
    INTERRUPTED = auto()  # stopped gracefully by Ctrl-C
    TIMED_OUT = auto()  # --timeout passed before anything was changed
    ENDED = auto()  # stopped at once by a second Ctrl-C
    MACHINE_REFUSED = auto()  # a full disk, a folder that cannot be written to, too many open files
    UNEXPECTED = auto()  # an unexpected error: a bug in this command
    OUTPUT_UNWRITABLE = auto()  # standard output, or a given file or folder, cannot be written


class RollbackError(Exception):
    """The base: `what` happened, its `code`, what was `changed`, and what to type `next`.

    Each of the three texts is one sentence or empty; `str()` returns the first. `result` is the result of a rollback that had
    started (`rollback.api.results.Result`); otherwise None.
    """

    exit_code = 1
    code_default = Code.FAILED
    changed_default = ""

    def __init__(
        self,
        what: str,
        *,
        code: Code | None = None,
        changed: str | None = None,
        next: str = "",  # noqa: A002 - the word of the contract
    ) -> None:
        super().__init__(what)
        self.what = what
        self.code = self.code_default if code is None else code
        self.changed = self.changed_default if changed is None else changed
        self.next = next
        self.result: Any = None

    @property
    def notice(self) -> str:
        """`what`, and `next` if it has one line: a notice is one line of a screen, and of a log."""
        return self.what if "\n" in self.next else f"{self.what} {self.next}".strip()


class UsageError(RollbackError):
    """Wrong usage or configuration, found before anything was changed."""

    exit_code = 2
    code_default = Code.OPTION_INVALID
    changed_default = "Nothing was changed."


class Refused(RollbackError):
    """A guard refused it: lease held, digest or approval mismatch, quarantined, wrong account."""

    exit_code = 3
    code_default = Code.REFUSED
    changed_default = "Nothing was changed."


class Cancelled(Refused):
    """A person answered a prompt with no, Ctrl-C or Ctrl-D."""

    code_default = Code.CONFIRMATION_MISSING


class Reverted(RollbackError):
    """It failed, and what had been changed was reverted."""

    exit_code = 4
    code_default = Code.REVERTED


class VerificationFailed(RollbackError):
    """Everything is at the target version, but the verification did not pass."""

    exit_code = 5
    code_default = Code.VERIFICATION_FAILED


class AwaitingApproval(RollbackError):
    """Planned and recorded; another identity must approve, or a person must confirm."""

    exit_code = 10
    code_default = Code.AWAITING_APPROVAL
    changed_default = "Nothing was changed yet."


class StoppedAtOnce(RollbackError):
    """A second Ctrl-C: running calls were not waited for. The exit code is that of shells for SIGINT."""

    exit_code = 130
    code_default = Code.ENDED
