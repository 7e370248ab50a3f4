"""Approvals: which rollbacks need one, who may give it, and whether there is one for exactly this plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rollback.config.naming import APPROVER
from rollback.config.settings import PROJECT_FILE, Settings, parse, stack_file
from rollback.engines import git
from rollback.model.identity import Actor
from rollback.model.kind import Kind
from rollback.model.messages import changed
from rollback.model.plan import Plan
from rollback.model.record import WAITING, Approval, Record, now_iso
from rollback.model.situation import Policy
from rollback.util.errors import Code, Refused, UsageError
from rollback.util.times import shown_time

_STRICTEST: tuple[Policy, ...] = ("none", "confirm", "identity")
_KINDS: Mapping[str, str] = {
    Kind.ALIASES: "aliases",
    Kind.CUTOVER: "table",
    Kind.PRUNE: "aliases",
    Kind.TABLE: "table",
}
# 12 hexadecimal digits, 48 bits: no other plan matches by accident.
MIN_DIGEST = 12
# The remote's default branch, as a clone remembers it (`git remote set-head`).
DEFAULT_BRANCH = "HEAD"
# The largest difference between two machines' clocks: beyond it AWS refuses requests.
_SKEW = timedelta(minutes=5)


def policy(settings: Settings, kind: str, *, below: bool = False) -> Policy:
    """The approval that `settings` require for a kind of rollback: none, confirm or identity.

    To go `below` a release recorded with --not-below is an exception: where approvers are configured, their approval is
    required, whatever the kind requires; where none are, a person confirms the shown plan.
    A prune cannot be undone, so that its plan is always confirmed, even where aliases need no confirmation.
    """
    required: Policy = getattr(settings.approval, _KINDS.get(kind, "infrastructure"))
    least: Policy = "none"
    if kind == Kind.PRUNE or below:
        least = "confirm"
    if below and settings.names_approvers:
        least = "identity"
    return max(required, least, key=_STRICTEST.index)


def on_branch(root: Path, branch: str, name: str) -> str | None:
    """A file on the protected branch: the remote's branch, or the local one if there is no remote branch.

    A local branch of any name is easily made; `DEFAULT_BRANCH` is the remote's own default.
    """
    if git.has_remote_branches(root):
        return git.read(root, f"refs/remotes/origin/{branch}", f"./{name}")
    return git.read(root, f"refs/heads/{branch}", f"./{name}")


def binding_policy(
    root: Path,
    settings: Settings,
    kind: str,
    read: Callable[[Path, str, str], str | None] = on_branch,
    *,
    below: bool = False,
) -> Policy:
    """The stricter of the two requirements: this checkout's and the protected branch's.

    Where that is another identity's approval, the settings must equal those of the protected branch
    exactly: an edit in a checkout must not be able to approve itself. The branch itself must name the same
    protected branch, and so must the remote's default branch, if the checkout has it. Raises `Refused` where they
    differ or cannot be compared.
    """
    here = policy(settings, kind, below=below)
    files = (PROJECT_FILE, stack_file(root, settings.environment))
    branch = settings.protected_branch
    texts = _texts(root, branch, files, read)
    if texts is None:
        raise Refused(
            f"The settings of {settings.environment} cannot be compared with branch '{branch}': the required approval "
            "is unknown.",
            code=Code.SETTINGS_NOT_REVIEWED,
            next=f"Run the command in a git checkout that has branch '{branch}' (git fetch origin {branch}).",
        )
    there = _parsed(settings.environment, texts, branch)
    default = _texts(root, DEFAULT_BRANCH, files, read)
    pinned = there if default is None else _parsed(settings.environment, default, "origin/HEAD")
    for message, where in ((there, branch), (pinned, "origin/HEAD")):
        if message.protected_branch != branch:
            raise Refused(
                f"The protected branch is '{branch}' here, and '{message.protected_branch}' on branch '{where}'.",
                code=Code.SETTINGS_NOT_REVIEWED,
                next=f"Check out branch '{message.protected_branch}'.",
            )
    strictest = max(here, policy(there, kind, below=below), key=_STRICTEST.index)
    if strictest == "identity":
        differ = [
            name
            for name, text in zip(files, texts, strict=True)
            if (root / name).read_text(encoding="utf-8") != text
        ]
        if differ:
            raise Refused(
                f"{settings.environment} needs approval, and {' and '.join(differ)} here differ from branch "
                f"'{branch}'.",
                code=Code.SETTINGS_NOT_REVIEWED,
                next=f"Merge them into '{branch}' after review, or check out that branch's versions.",
            )
    return strictest


def _texts(
    root: Path, branch: str, files: tuple[str, str], read: Callable[[Path, str, str], str | None]
) -> tuple[str, str] | None:
    """The settings files as a branch has them; None where it lacks one, or is not there."""
    project, stack = (read(root, branch, name) for name in files)
    return None if project is None or stack is None else (project, stack)


def _parsed(environment: str, texts: tuple[str, str], branch: str) -> Settings:
    try:
        return parse(environment, *texts)
    except UsageError as error:
        raise Refused(
            f"The settings on branch '{branch}' cannot be read by this version of the command: {error.what}",
            code=Code.SETTINGS_NOT_REVIEWED,
            next=f"Check out branch '{branch}' (git fetch origin {branch}).",
        ) from None


def approve(record: Record, digest: str, by: Actor, settings: Settings, now: datetime) -> Approval:
    """The approval that `by` gives. Raises `Refused` where they may not approve it, or where `digest` is another plan's."""
    if record.status not in WAITING:
        raise Refused(
            f"{record.rollback_id} is {record.status}: it is not waiting for approval.",
            code=Code.WRONG_STATUS,
            next=f"rollback show {record.rollback_id} --env {record.environment}",
        )
    if record.standby_until and not now_iso(now) < record.standby_until:
        raise Refused(
            f"{record.rollback_id} has expired: it could be taken until {shown_time(record.standby_until)}.",
            code=Code.STANDBY_ENDED,
            next=f"rollback standby prepare --env {record.environment} --for 45m  # by who is on call",
        )
    if not is_digest_of(digest, record.digest):
        raise Refused(
            "The digest is not that of this plan."
            + (f" Type at least its first {MIN_DIGEST} digits." if len(digest) < MIN_DIGEST else ""),
            code=Code.DIGEST_MISMATCH,
            next=f"rollback show {record.rollback_id} --env {record.environment}  # read the plan first",
        )
    if (reason := _unfit(by, record, settings)) is not None:
        raise Refused(
            reason,
            code=Code.APPROVAL_REFUSED,
            next=f"Another person must approve it, under {settings.called(APPROVER)}.",
        )
    return Approval(
        rollback_id=record.rollback_id,
        digest=record.digest,
        by=by,
        at=now_iso(now),
        expires_at=now_iso(now + timedelta(minutes=settings.approval.expires_minutes)),
    )


def may_be_confirmed_unseen(settings: Settings, required: Policy) -> None:
    """Raises `UsageError` where `--yes` cannot confirm a plan that was not shown."""
    if required == "confirm" and not settings.confirmed_unseen:
        raise UsageError(
            f"--yes does not confirm a plan in {settings.environment} (setting `unattended`): "
            "the plan must be confirmed after it is shown.",
            code=Code.OPTION_INVALID,
            next="Run it again without --yes.",
        )


def is_digest_of(typed: str, digest: str) -> bool:
    """Whether `typed` is this digest, or a long enough prefix of it."""
    return len(typed) >= MIN_DIGEST and digest.startswith(typed)


def as_shown(plan: Plan[Any], digest: str, shown: Plan[Any] | None = None) -> None:
    """Raises `Refused` where a given `digest` is not that of `plan`. With `shown`, the plan that had it, the
    message names the differences.
    """
    if digest and not is_digest_of(digest.lower(), plan.digest()):
        what = f"The plan has changed: its digest is now {plan.digest()[:16]}, not {digest[:16]}."
        raise Refused(
            what if shown is None else f"The plan has changed since it was shown: {changed(shown, plan)}.",
            code=Code.DIGEST_MISMATCH,
            next=f"Read the plan above, then run the same command with --digest {plan.digest()[:16]}",
        )


def confirmed(record: Record, digest: str) -> None:
    """Raises `Refused` where `digest` does not confirm the plan of `record`."""
    name = f"{record.rollback_id} --digest {record.digest[:16]} --env {record.environment}"
    if not digest:
        raise Refused(
            f"{record.rollback_id} must be confirmed with its digest.",
            code=Code.CONFIRMATION_MISSING,
            next=f"rollback apply {name}",
        )
    if not is_digest_of(digest.lower(), record.digest):
        raise Refused(
            f"Digest {digest[:64]} is not that of {record.rollback_id}, which is {record.digest[:16]}.",
            code=Code.DIGEST_MISMATCH,
            next=f"rollback show {record.rollback_id} --env {record.environment}",
        )


def valid_approval(
    record: Record, approvals: Iterable[Approval], settings: Settings, now: datetime
) -> Approval:
    """The valid approval of `record`. Raises `Refused` with the reason if there is none."""
    given, why = _first_valid(record, approvals, settings, now)
    if given is not None:
        return given
    raise Refused(
        f"{record.rollback_id} cannot be applied: {why}.",
        code=Code.APPROVAL_MISSING,
        next=f"rollback approve {record.rollback_id} --digest {record.digest[:16]} --env {record.environment}  "
        f"# by another person under {settings.called(APPROVER)}",
    )


def unasked(
    record: Record, approvals: Iterable[Approval], settings: Settings, now: datetime
) -> Approval | None:
    """A valid approval of a `record` that does not need one; None if there is none."""
    return _first_valid(record, approvals, settings, now)[0]


def _first_valid(
    record: Record, approvals: Iterable[Approval], settings: Settings, now: datetime
) -> tuple[Approval | None, str]:
    """The first valid approval, or the reason why there is none."""
    why = "nobody has approved it"
    for approval in sorted(approvals, key=lambda item: item.at):
        if approval.digest != record.digest:
            why = f"{approval.by} approved another plan"
        else:
            reason = _unfit(approval.by, record, settings) or _untimely(approval, settings, now)
            if reason is None:
                return approval, ""
            why = reason
    return None, why


def _untimely(approval: Approval, settings: Settings, now: datetime) -> str | None:
    """Why an approval is not valid at `now`; None if it is.

    The approver writes the item, so the validity is computed from the settings, not taken from the item.
    """
    try:
        given, expires = map(_moment, (approval.at, approval.expires_at))
        until = min(expires, given + timedelta(minutes=settings.approval.expires_minutes))
    except (ValueError, OverflowError):
        return f"the approval of {approval.by} has no valid ISO 8601 times"
    if given > now + _SKEW:
        return f"the approval of {approval.by} is dated {shown_time(approval.at)}, in the future"
    return f"the approval of {approval.by} expired at {shown_time(until)}" if until < now else None


def _moment(text: str) -> datetime:
    """An ISO 8601 time with a time zone, in UTC. Raises `ValueError` otherwise."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(text)
    return moment.astimezone(UTC)


def _unfit(by: Actor, record: Record, settings: Settings) -> str | None:
    """Why this identity cannot approve this record; None where it can."""
    starter = record.initiated_by
    if by.person.casefold() == starter.person.casefold():
        return f"{by.person} started it and cannot approve it"
    if by.role == starter.role:
        return f"it was started under the same role, {by.role}"
    if not settings.acts_as(by.role, APPROVER):
        return f"{by} is not acting under {settings.called(APPROVER)}"
    return None
