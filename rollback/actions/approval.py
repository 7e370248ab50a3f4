"""Approvals: which rollbacks need one, who may give it, and whether there is one for exactly this plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rollback.config.naming import APPROVER
from rollback.config.settings import PROJECT_FILE, Settings, parse, stack_file
from rollback.core.errors import Code, Refused, UsageError
from rollback.integrations import git
from rollback.model.identity import Actor
from rollback.model.kind import Kind
from rollback.model.messages import changed
from rollback.model.plan import Plan
from rollback.model.record import WAITING, Approval, Record, now_iso
from rollback.model.situation import Policy

_STRICTEST: tuple[Policy, ...] = ("none", "confirm", "identity")
_KINDS: Mapping[str, str] = {
    Kind.ALIASES: "aliases",
    Kind.CUTOVER: "table",
    Kind.PRUNE: "aliases",
    Kind.TABLE: "table",
}
# Enough hexadecimal digits that nobody meets another plan by chance: 48 bits.
MIN_DIGEST = 12
# The remote's default branch, as a clone remembers it (`git remote set-head`).
DEFAULT_BRANCH = "HEAD"
# How far two machines' clocks may be apart: with more, AWS refuses the requests of one of them.
_SKEW = timedelta(minutes=5)


def policy(settings: Settings, kind: str, *, below: bool = False) -> Policy:
    """What `settings` ask for a kind of rollback: none, confirm or identity.

    To go `below` what must not be rolled back past is an exception: where anybody is configured who approves, that is
    asked for, whatever the kind asks for; where nobody is, a person confirms the shown plan.
    What a prune deletes does not come back: somebody has seen it first, also where aliases move at once.
    """
    required: Policy = getattr(settings.approval, _KINDS.get(kind, "infrastructure"))
    least: Policy = "none"
    if kind == Kind.PRUNE or below:
        least = "confirm"
    if below and settings.names_approvers:
        least = "identity"
    return max(required, least, key=_STRICTEST.index)


def on_branch(root: Path, branch: str, name: str) -> str | None:
    """A file as the protected branch has it: the remote's, and a local one only where there is no remote's at all.

    Anybody can make a local branch of any name; `DEFAULT_BRANCH` is the remote's own default.
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
    """What is asked for, by this checkout and by the protected branch, whichever asks for more.

    Where that is another identity's approval, the settings must be those of the protected branch to the
    letter: an edit in a checkout must not be able to approve itself. Which branch that is, the branch itself has to
    say as well, and so has the remote's default branch, where the checkout knows it. Raises `Refused` where they
    differ or cannot be compared.
    """
    here = policy(settings, kind, below=below)
    files = (PROJECT_FILE, stack_file(root, settings.environment))
    branch = settings.protected_branch
    texts = _texts(root, branch, files, read)
    if texts is None:
        raise Refused(
            f"The settings of {settings.environment} cannot be compared with branch '{branch}': who has to approve "
            "is not known.",
            code=Code.SETTINGS_NOT_REVIEWED,
            next=f"Run it in a git checkout that has branch '{branch}' (git fetch origin {branch}).",
        )
    there = _parsed(settings.environment, texts, branch)
    default = _texts(root, DEFAULT_BRANCH, files, read)
    pinned = there if default is None else _parsed(settings.environment, default, "origin/HEAD")
    for message, where in ((there, branch), (pinned, "origin/HEAD")):
        if message.protected_branch != branch:
            raise Refused(
                f"The protected branch is '{branch}' here, and '{message.protected_branch}' on branch '{where}'.",
                code=Code.SETTINGS_NOT_REVIEWED,
                next=f"Check out what is on '{message.protected_branch}'.",
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
                next=f"Commit them to '{branch}' by review, or check out what is there.",
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
            f"The settings on branch '{branch}' are not for this checkout's command: {error.what}",
            code=Code.SETTINGS_NOT_REVIEWED,
            next=f"Check out what is on '{branch}' (git fetch origin {branch}).",
        ) from None


def approve(record: Record, digest: str, by: Actor, settings: Settings, now: datetime) -> Approval:
    """The approval that `by` gives. Raises `Refused` where they may not, or mean another plan."""
    if record.status not in WAITING:
        raise Refused(
            f"{record.rollback_id} is {record.status}, and is not waiting for approval.",
            code=Code.WRONG_STATUS,
        )
    if record.standby_until and not now_iso(now) < record.standby_until:
        raise Refused(
            f"{record.rollback_id} could be taken until {record.standby_until}.",
            code=Code.STANDBY_ENDED,
            next=f"rollback standby prepare --env {record.environment} --for 45m  # by who is on call",
        )
    if not is_digest_of(digest, record.digest):
        raise Refused(
            "That is not the digest of this plan.",
            code=Code.DIGEST_MISMATCH,
            next=f"rollback show {record.rollback_id} --env {record.environment}  # read the plan first",
        )
    if (reason := _unfit(by, record, settings)) is not None:
        raise Refused(
            reason,
            code=Code.APPROVAL_REFUSED,
            next=f"Another person, under {settings.called(APPROVER)}, has to approve it.",
        )
    return Approval(
        rollback_id=record.rollback_id,
        digest=record.digest,
        by=by,
        at=now_iso(now),
        expires_at=now_iso(now + timedelta(minutes=settings.approval.expires_minutes)),
    )


def may_be_confirmed_unseen(settings: Settings, required: Policy) -> None:
    """Raises `UsageError` where `--yes` does not replace a look at the plan."""
    if required == "confirm" and not settings.confirmed_unseen:
        raise UsageError(
            f"--yes does not confirm a plan in {settings.environment} (the setting `unattended`): the shown plan is "
            "confirmed.",
            code=Code.OPTION_INVALID,
            next="Leave --yes out.",
        )


def is_digest_of(typed: str, digest: str) -> bool:
    """Whether somebody has typed this digest, or enough of its beginning."""
    return len(typed) >= MIN_DIGEST and digest.startswith(typed)


def as_shown(plan: Plan[Any], digest: str, shown: Plan[Any] | None = None) -> None:
    """Raises `Refused` where `digest`, if one is given, is of another plan than this one: of the one that was `shown`,
    where that is known.
    """
    if digest and not is_digest_of(digest.lower(), plan.digest()):
        what = f"The digest of what would be done is {plan.digest()[:16]} now, and not {digest[:16]}."
        raise Refused(
            what if shown is None else f"What would be done is not what was shown: {changed(shown, plan)}.",
            code=Code.DIGEST_MISMATCH,
            next=f"Read the plan above; then the same command with --digest {plan.digest()[:16]}",
        )


def confirmed(record: Record, digest: str) -> None:
    """Raises `Refused` where `digest` does not confirm the plan of `record`."""
    name = f"{record.rollback_id} --digest {record.digest[:16]} --env {record.environment}"
    if not digest:
        raise Refused(
            f"{record.rollback_id} has to be confirmed.",
            code=Code.CONFIRMATION_MISSING,
            next=f"rollback apply {name}",
        )
    if not is_digest_of(digest.lower(), record.digest):
        raise Refused(
            f"Digest {digest[:64]} is not that of {record.rollback_id}: its plan has {record.digest[:16]}.",
            code=Code.DIGEST_MISMATCH,
            next=f"rollback show {record.rollback_id} --env {record.environment}",
        )


def valid_approval(
    record: Record, approvals: Iterable[Approval], settings: Settings, now: datetime
) -> Approval:
    """The approval that lets `record` go ahead. Raises `Refused` saying why there is none."""
    given, why = _first_valid(record, approvals, settings, now)
    if given is not None:
        return given
    raise Refused(
        f"{record.rollback_id} may not go ahead: {why}.",
        code=Code.APPROVAL_MISSING,
        next=f"rollback approve {record.rollback_id} --digest {record.digest[:16]} --env {record.environment}  "
        f"# by another person under {settings.called(APPROVER)}",
    )


def unasked(
    record: Record, approvals: Iterable[Approval], settings: Settings, now: datetime
) -> Approval | None:
    """The approval that somebody has given although `record` may go ahead without one; None where nobody has."""
    return _first_valid(record, approvals, settings, now)[0]


def _first_valid(
    record: Record, approvals: Iterable[Approval], settings: Settings, now: datetime
) -> tuple[Approval | None, str]:
    """The first approval that holds; where there is none, why not."""
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
    """Why an approval does not hold at `now`; None where it does.

    Its item is the approver's to write, so the settings' minutes count from when it was given, whatever it says.
    """
    try:
        given, expires = map(_moment, (approval.at, approval.expires_at))
        until = min(expires, given + timedelta(minutes=settings.approval.expires_minutes))
    except (ValueError, OverflowError):
        return f"the approval of {approval.by} does not say in ISO 8601 when it was given and when it expires"
    if given > now + _SKEW:
        return f"the approval of {approval.by} is dated {approval.at}, which is yet to come"
    return f"the approval of {approval.by} expired at {now_iso(until)}" if until < now else None


def _moment(text: str) -> datetime:
    """A moment from ISO 8601 with a time zone, in UTC. Raises `ValueError` where it is none."""
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
        return f"{by} does not act under {settings.called(APPROVER)}"
    return None
