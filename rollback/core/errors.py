"""What can go wrong, as one tree. Each error says what happened, what was changed and what to type next.

    RollbackError                exit 1   failed; the record says how far
    ├── UsageError               exit 2   wrong usage or configuration; nothing was changed
    ├── Refused                  exit 3   a guard, a lease, a digest, a wrong account; nothing was changed
    │   └── Cancelled            exit 3   Ctrl-C or Ctrl-D at a question; nothing was changed
    ├── Reverted                 exit 4   failed, and everything was reverted
    ├── VerificationFailed       exit 5   done, but verification failed
    ├── AwaitingApproval         exit 10  planned and recorded; waits for an approval or confirmation
    └── StoppedAtOnce            exit 130 ended at once by a second Ctrl-C; the record says how far

`exit_code` is part of the command line's contract (docs/reference/exit-codes.md), and so is `code`: the words of a
message may change from one version to the next, its code does not.
"""

from __future__ import annotations

from enum import StrEnum, auto
from typing import Any


class Code(StrEnum):
    """What went wrong, as a name to look up or to test for. One is never renamed, and never means something
    else.
    """

    @staticmethod
    def _generate_next_value_(name: str, start: int, count: int, last_values: list[str]) -> str:  # noqa: ARG004 - enum's
        return name

    # -- what was typed, and where
    OPTION_INVALID = auto()  # an option or --reason is not allowed so, or not together with another
    NO_CHECKOUT = auto()  # the command was not started inside a checkout of the platform's repository
    SETTINGS_INVALID = auto()  # Pulumi.yaml or Pulumi.ENV.yaml cannot be read, or has a setting that is wrong
    NOT_CONFIGURED = auto()  # the settings have none of what the verb is for: tables, Terraform, approvals
    FOLDER_IN_USE = auto()  # the folder to write to is another program's, or what is there cannot be read
    UNKNOWN_ENVIRONMENT = auto()  # no such environment is configured, or none for this account
    NOTHING_FOUND = auto()  # the account and region have no function that was asked for
    UNKNOWN_SERVICE = auto()  # the settings have no such service or function
    UNKNOWN_RELEASE = auto()  # no such release is recorded
    UNKNOWN_COMMIT = auto()  # this checkout has no such commit, or lacks the protected branch
    UNKNOWN_ROLLBACK = auto()  # the environment has no record with this ID
    AMBIGUOUS_ID = auto()  # what was typed is the beginning of several records' IDs
    UNKNOWN_STACK = auto()  # the Pulumi backend has no such stack
    UNKNOWN_TABLE = auto()  # there is no such table (any more), or it is not one to be restored
    COMMIT_UNUSABLE = auto()  # the commit cannot be checked out, or lacks what a rollback to it needs
    EXTRA_MISSING = auto()  # Python packages that come with an extra of this distribution are not installed
    TOOL_MISSING = auto()  # git, pulumi, terraform or tofu is not on PATH, or not in a version that will do
    DEPENDENCIES_UNAVAILABLE = auto()  # a commit's Python packages or Terraform providers cannot be had

    # -- who asks, and what AWS answers
    NO_CREDENTIALS = auto()  # there are no AWS credentials
    CREDENTIALS_END = auto()  # what is to be done may take longer than the credentials last
    CREDENTIALS_INVALID = auto()  # the AWS credentials have expired, or AWS does not know them
    CLOCK_WRONG = auto()  # this machine's clock is minutes off
    WRONG_ACCOUNT = auto()  # the credentials, or a journal, belong to another account than the environment
    WRONG_ROLE = auto()  # the caller's role may not do this, whatever its policy says
    ACCESS_DENIED = auto()  # AWS or the state's store does not allow the caller a request
    THROTTLED = auto()  # AWS answers less than it is asked for: a quota, or a table's capacity, is used up
    AWS_UNREACHABLE = auto()  # no answer from AWS, or from AWS_ENDPOINT_URL
    AWS_ERROR = auto()  # AWS answered with an error that has no code of its own here
    ALIAS_MISSING = auto()  # functions lack the alias, or it points at nothing published
    NOT_DECLARED = auto()  # a resource that `pulumi up` declares is not there: an alias, a bucket, a table

    # -- the guards
    LEASE_HELD = auto()  # another process is at the same services, or at the same journal
    LEASE_LOST = auto()  # this command's lease was taken, or could not be renewed in time
    NO_STANDBY = auto()  # nothing is on standby that could be taken
    STANDBY_ENDED = auto()  # the standby has ended by itself
    WRONG_STATUS = auto()  # the record is not in a status that this verb can go on from
    PLAN_REFUSED = auto()  # a guard refuses the plan; each reason is listed
    PLAN_OUTDATED = auto()  # what the plan was made from has changed, or its saved plan is unusable here
    DIGEST_MISMATCH = auto()  # the digest that was given is not the plan's
    CONFIRMATION_MISSING = auto()  # a person has to confirm, and nobody did
    APPROVAL_MISSING = auto()  # another person has to approve the plan first, or the approval has expired
    APPROVAL_REFUSED = auto()  # this person may not approve this plan, or has done so already
    SETTINGS_NOT_REVIEWED = auto()  # the settings here are not those of the protected branch
    NOT_ON_PROTECTED_BRANCH = auto()  # the commit is not part of the protected branch
    FROZEN = auto()  # the environment is frozen
    QUARANTINED = auto()  # the release or commit must not be deployed again until it is lifted
    BELOW_FLOOR = auto()  # a release was recorded that must not be rolled back that far
    NOTHING_TO_LIFT = auto()  # there is no such freeze or quarantine
    NO_PREVIOUS = auto()  # there is no earlier release or commit that a rollback could go to
    NOT_REVERSIBLE = auto()  # `rollback can` found something that would keep a rollback from going through
    RELEASE_EXISTS = auto()  # a release of this name is recorded already
    RELEASE_INCOMPLETE = auto()  # the release lacks services or functions that were asked for
    VERSION_DELETED = auto()  # the function version to roll back to no longer exists
    CHANGED_BY_OTHERS = auto()  # somebody else has deployed or written there, or does so now
    WOULD_DESTROY = auto()  # existing or protected resources would be replaced or destroyed

    # -- the tools, and what they keep
    STATE_LOCKED = auto()  # somebody, or an earlier run, is still at the Pulumi stack or the Terraform state
    STATE_INVALID = auto()  # what is kept as Terraform's state is none
    ENGINE_FAILED = auto()  # a pulumi command failed; its last words are in the message
    TERRAFORM_FAILED = auto()  # a terraform or tofu command failed; its last words are in the message
    GIT_FAILED = auto()  # a git command failed, or did not answer
    LOSS_REPORT_DAMAGED = auto()  # the report of what a cutover would lose is gone, or was changed

    # -- the ledger and its archive
    LEDGER_MISSING = auto()  # the ledger's table does not exist
    LEDGER_UNREACHABLE = auto()  # the ledger's table does not answer
    LEDGER_BUSY = auto()  # others write to the same record, or to the timeline, at the same time
    LEDGER_DAMAGED = auto()  # an item of the ledger is malformed, missing or was changed
    LEDGER_LOST_ENTRIES = auto()  # the table was restored or made again, and lacks its newest entries
    CLIENT_OUTDATED = auto()  # something was written by a newer version of this command or of a tool
    AUDIT_BROKEN = auto()  # the audit trail does not hold together, or the archive differs from it
    ARCHIVE_UNAVAILABLE = auto()  # there is no archive of the ledger, or it could not be read
    ARCHIVE_DAMAGED = auto()  # what the archive holds is malformed or incomplete

    # -- an emergency's journal
    NO_EMERGENCY = auto()  # the ledger answers: the usual commands do it
    JOURNAL_INVALID = auto()  # the file is no journal, cannot be read, or was imported in part only
    JOURNAL_TAMPERED = auto()  # the journal was changed since it was written, or is damaged
    JOURNAL_UNWRITABLE = auto()  # the journal cannot be written

    # -- acceptance
    FACT_DIFFERS = auto()  # the account behaves otherwise than this tool needs it to
    SANDBOX_LEFT = auto()  # something that was made to try facts could not be removed

    # -- drills and CI
    DRILL_REFUSED = auto()  # a drill is not allowed there, or not with what is deployed
    DRILL_FAILED = auto()  # a drill did not pass
    DRILL_NOT_RESTORED = auto()  # what was deployed before a drill is not restored
    NOT_IN_CI = auto()  # the verb is for a job of GitHub Actions or GitLab CI
    REVIEW_MISSING = auto()  # nobody has reviewed the run on GitHub or GitLab, or it is not known by whom
    SLACK_FAILED = auto()  # Slack did not take a message

    # -- how it ended
    FAILED = auto()  # it failed; the record says how far it came
    REFUSED = auto()  # a guard refused, and none of the codes above says which
    ROLLED_BACK = auto()  # the release that was watched was rolled back
    REVERTED = auto()  # it failed, and what was changed was reverted
    REVERT_FAILED = auto()  # it failed, and so did reverting it
    VERIFICATION_FAILED = auto()  # it was done, but what is deployed is unhealthy
    AWAITING_APPROVAL = auto()  # planned and recorded; another person has to approve
    AWAITING_CONFIRMATION = auto()  # planned and recorded; a person has to confirm
    INTERRUPTED = auto()  # it stopped gracefully where somebody asked it to
    TIMED_OUT = auto()  # the time of --timeout passed before anything was changed
    ENDED = auto()  # it ended at once, where somebody asked a second time
    MACHINE_REFUSED = auto()  # a full disk, a folder that may not be written, too many open files
    UNEXPECTED = auto()  # this command met what it does not expect: a defect of its own
    OUTPUT_UNWRITABLE = auto()  # standard output, or a file or folder that was named, cannot be written


class RollbackError(Exception):
    """The base: `what` happened, its `code`, what was `changed`, and what to type `next`.

    Each of the three texts is one sentence or empty; `str()` gives the first. `result` is how a rollback that had begun
    stands (`rollback.api.results.Result`); None where none had.
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


class UsageError(RollbackError):
    """Wrong usage or configuration, found before anything was changed."""

    exit_code = 2
    code_default = Code.OPTION_INVALID
    changed_default = "Nothing was changed."


class Refused(RollbackError):
    """A guard refused it: lock held, digest or approval mismatch, quarantined, wrong account."""

    exit_code = 3
    code_default = Code.REFUSED
    changed_default = "Nothing was changed."


class Cancelled(Refused):
    """A person ended a question with Ctrl-C or Ctrl-D in place of an answer."""

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
    """Planned and recorded; another identity has to approve, or a person to confirm."""

    exit_code = 10
    code_default = Code.AWAITING_APPROVAL
    changed_default = "Nothing was changed yet."


class StoppedAtOnce(RollbackError):
    """A person asked twice to stop: nothing was waited for. The exit code is a shell's for SIGINT."""

    exit_code = 130
    code_default = Code.ENDED
