"""Each fact holds on an account that keeps it, and is seen not to hold on one that does otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from operator import attrgetter
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws import quota
from localaws.clients import connect as as_root
from localaws.emulator.server import Emulator, make_idle
from rollback.aws.account import Account
from rollback.config.settings import Settings
from rollback.rehearsal.acceptance import function_facts, removal
from rollback.rehearsal.acceptance.fact import Fact, Outcome
from rollback.rehearsal.acceptance.run import FACTS, found
from rollback.rehearsal.acceptance.sandbox import (
    ANOTHER,
    MISSING_VERSION,
    OWN,
    PERSON,
    Sandbox,
)

FACT: Mapping[str, Fact] = {fact.name: fact for fact in FACTS}
# What the emulator does otherwise than AWS, and what it cannot say anything of.
OTHERWISE = {"missing-version"}
NOT_HERE = {"inactive-version", "stated-quotas", "audit-bucket"}
Lie = Callable[..., None]


@dataclass(frozen=True, kw_only=True)
class Liar:
    """An answer that a fact does not expect: `asked` changes a request, `answered` what botocore read of an answer."""

    fact: str
    service: str
    operation: str
    asked: Callable[[dict[str, Any]], None] | None = None
    answered: Callable[[dict[str, Any]], None] | None = None
    # Whose client lies: the caller's, or that of a session of a scratch role.
    taken: bool = False

    def __str__(self) -> str:
        return f"{self.fact}: {self.operation}"

    @contextmanager
    def lying(self, client: Any) -> Iterator[None]:
        events, where = client.meta.events, f"{self.service}.{self.operation}"

        def before(params: dict[str, Any], **_: Any) -> None:
            assert self.asked is not None
            self.asked(params)

        def after(parsed: dict[str, Any], **_: Any) -> None:
            assert self.answered is not None
            self.answered(parsed)

        hooks = [
            (name, hook)
            for name, hook, wanted in (
                (f"before-parameter-build.{where}", before, self.asked),
                (f"after-call.{where}", after, self.answered),
            )
            if wanted is not None
        ]
        for name, hook in hooks:
            events.register(name, hook)
        try:
            yield
        finally:
            for name, hook in hooks:
                events.unregister(name, hook)

    @contextmanager
    def on(self, sandbox: Sandbox) -> Iterator[Sandbox]:
        if not self.taken:
            with self.lying(sandbox.client(self.service)):
                yield sandbox
            return
        honest, lying = sandbox.taken, ExitStack()

        def clients(answer: Any, region: str) -> Callable[[str], Any]:
            of = honest(answer, region)

            def one(service: str) -> Any:
                client = of(service)
                if service == self.service:
                    lying.enter_context(self.lying(client))
                return client

            return one

        sandbox.taken = clients
        try:
            with lying:
                yield sandbox
        finally:
            sandbox.taken = honest


def drops(*names: str) -> Callable[[dict[str, Any]], None]:
    def change(params: dict[str, Any]) -> None:
        for name in names:
            params.pop(name, None)

    return change


def sets(**values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda params: params.update(values)


def instead(name: str, old: str, new: str) -> Callable[[dict[str, Any]], None]:
    """`new` where a parameter is `old`."""

    def change(params: dict[str, Any]) -> None:
        if params.get(name) == old:
            params[name] = new

    return change


def keeps_weights(params: dict[str, Any]) -> None:
    if params.get("RoutingConfig") == {"AdditionalVersionWeights": {}} and "FunctionVersion" not in params:
        del params["RoutingConfig"]


def owns(params: dict[str, Any]) -> None:
    """Every item is written under a key of the role's own."""
    key = params["Item"]["PK"]
    if not key["S"].startswith(OWN):
        key["S"] = f"{OWN}{key['S']}"


def owns_each(params: dict[str, Any]) -> None:
    for member in params["TransactItems"]:
        owns(member["Put"])


def without_conditions(params: dict[str, Any]) -> None:
    for member in params["TransactItems"]:
        member["Put"].pop("ConditionExpression", None)


def without_reasons(parsed: dict[str, Any]) -> None:
    parsed.pop("CancellationReasons", None)


def another_code(new: str) -> Callable[[dict[str, Any]], None]:
    def change(parsed: dict[str, Any]) -> None:
        if "Error" in parsed:
            parsed["Error"]["Code"] = new

    return change


def configured(**values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda parsed: parsed["Configuration"].update(values)


def says(**values: Any) -> Callable[[dict[str, Any]], None]:
    """Of answers that are no errors."""
    return lambda parsed: None if "Error" in parsed else parsed.update(values)


def an_hour_ago(parsed: dict[str, Any]) -> None:
    parsed["ResponseMetadata"]["HTTPHeaders"]["date"] = "Sat, 28 Nov 2020 12:00:00 GMT"


LIARS = (
    Liar(fact="stale-revision", service="lambda", operation="UpdateAlias", asked=drops("RevisionId")),
    Liar(
        fact="stale-revision",
        service="lambda",
        operation="UpdateAlias",
        answered=another_code("ResourceConflictException"),
    ),
    Liar(
        fact="revision-changes", service="lambda", operation="GetAlias", answered=says(RevisionId="another")
    ),
    Liar(fact="weights-cleared", service="lambda", operation="UpdateAlias", asked=keeps_weights),
    Liar(fact="weights-cleared", service="lambda", operation="UpdateAlias", asked=drops("RoutingConfig")),
    Liar(
        fact="missing-version",
        service="lambda",
        operation="UpdateAlias",
        asked=instead("FunctionVersion", MISSING_VERSION, "2"),
    ),
    Liar(
        fact="function-of-alias",
        service="lambda",
        operation="GetFunction",
        answered=configured(Version="1"),
    ),
    Liar(
        fact="function-of-alias",
        service="lambda",
        operation="GetFunction",
        answered=configured(State=None),
    ),
    Liar(fact="invoked-by-alias", service="lambda", operation="Invoke", asked=sets(Qualifier="1")),
    Liar(
        fact="invoked-by-alias",
        service="lambda",
        operation="Invoke",
        answered=says(FunctionError="Unhandled"),
    ),
    Liar(
        fact="published-version",
        service="lambda",
        operation="GetFunction",
        answered=configured(State="Pending"),
    ),
    Liar(
        fact="published-version",
        service="lambda",
        operation="GetFunction",
        answered=configured(CodeSha256="of other code"),
    ),
    Liar(
        fact="session-name",
        service="sts",
        operation="AssumeRole",
        asked=instead("RoleSessionName", ANOTHER, PERSON),
    ),
    Liar(
        fact="source-identity",
        service="sts",
        operation="AssumeRole",
        asked=instead("SourceIdentity", ANOTHER, PERSON),
    ),
    Liar(
        fact="source-identity",
        service="sts",
        operation="AssumeRole",
        asked=instead("RoleSessionName", ANOTHER, PERSON),
        taken=True,
    ),
    Liar(fact="leading-keys", service="dynamodb", operation="PutItem", asked=owns, taken=True),
    Liar(
        fact="leading-keys", service="dynamodb", operation="TransactWriteItems", asked=owns_each, taken=True
    ),
    Liar(fact="conditional-put", service="dynamodb", operation="PutItem", asked=drops("ConditionExpression")),
    Liar(fact="transaction", service="dynamodb", operation="TransactWriteItems", asked=without_conditions),
    Liar(fact="transaction", service="dynamodb", operation="TransactWriteItems", answered=without_reasons),
    Liar(
        fact="locked-version",
        service="s3",
        operation="DeleteObject",
        asked=sets(BypassGovernanceRetention=True),
    ),
    Liar(fact="clocks", service="dynamodb", operation="ListTables", answered=an_hour_ago),
)


@pytest.mark.parametrize(
    "fact", [one for one in FACTS if one.name not in NOT_HERE | OTHERWISE], ids=attrgetter("name")
)
def test_a_fact_holds_where_the_account_keeps_it(shared: Sandbox, fact: Fact) -> None:
    outcome, detail = found(fact, shared)

    assert (outcome, bool(detail)) == (Outcome.HOLDS, True), detail


@pytest.mark.parametrize("liar", LIARS, ids=str)
def test_a_fact_does_not_hold_where_the_account_does_otherwise(
    administrator: Account, shared: Sandbox, new: Callable[..., Sandbox], of: Settings, liar: Liar
) -> None:
    # What was written once cannot be written first again.
    own = liar.service in ("dynamodb", "s3") and not liar.taken
    sandbox = new(administrator) if own else shared
    try:
        _made(sandbox, liar.fact)
        with liar.on(sandbox):
            outcome, detail = found(FACT[liar.fact], sandbox)
    finally:
        left = removal.remove(sandbox.client, of, sandbox.made) if own else []

    assert outcome is Outcome.DIFFERS, detail
    assert left == []


def _made(sandbox: Sandbox, fact: str) -> None:
    """What a fact needs is made by an honest account."""
    if FACT[fact] in function_facts.FACTS:
        sandbox.function.point("1")
    if fact in ("conditional-put", "transaction", "leading-keys"):
        assert sandbox.table


def test_a_version_that_does_not_exist_is_refused_by_an_account_that_knows_its_versions(
    shared: Sandbox,
) -> None:
    name = shared.function.name

    def unknown(params: dict[str, Any]) -> None:
        if params.get("FunctionVersion") == MISSING_VERSION:
            params["FunctionName"] = f"{name}-that-is-not-there"

    honest = Liar(fact="missing-version", service="lambda", operation="UpdateAlias", asked=unknown)

    assert found(FACT["missing-version"], shared)[0] is Outcome.DIFFERS
    with honest.on(shared):
        assert found(FACT["missing-version"], shared)[0] is Outcome.HOLDS


def test_every_fact_is_seen_not_to_hold_by_some_account() -> None:
    elsewhere = {"inactive-version", "audit-bucket", "paced-calls", "stated-quotas"}

    assert {liar.fact for liar in LIARS} | elsewhere == FACT.keys()


def test_calls_at_the_pace_are_throttled_by_a_smaller_quota_alone(
    emulator: Emulator, person: Callable[..., Account], new: Callable[..., Sandbox], of: Settings
) -> None:
    few = {**quota.AWS, quota.CONTROL: quota.Rate(rate=10, burst=5)}
    outcomes = {}
    for name, rates in (("as AWS states them", quota.AWS), ("smaller", few)):
        with quota.running(emulator.endpoint, rates) as proxy:
            sandbox = new(person("administrator", endpoint=proxy.endpoint))
            try:
                assert sandbox.function
                proxy.reset()
                outcomes[name] = found(FACT["paced-calls"], sandbox)
                calls = proxy.window.calls["GetAlias"] - proxy.window.throttled["GetAlias"]
            finally:
                assert removal.remove(sandbox.client, of, sandbox.made) == []
        assert calls == 45

    assert outcomes["as AWS states them"][0] is Outcome.HOLDS
    assert outcomes["smaller"][0] is Outcome.DIFFERS
    assert "TooManyRequestsException" in outcomes["smaller"][1]


def test_an_idle_version_that_a_person_names_is_woken_and_no_other_is_invoked(
    emulator: Emulator, administrator: Account, shared: Sandbox, of: Settings
) -> None:
    function = shared.function
    sandbox = replace(shared, idle=(function.name, "1"))
    fact = FACT["inactive-version"]

    assert found(fact, shared)[0] is Outcome.SKIPPED
    assert found(fact, sandbox) == (
        Outcome.SKIPPED,
        f"version 1 of {function.name} is Active, not Inactive",
    )

    make_idle(emulator.endpoint, of.account, of.region, function.name, "1", seconds=0.2)

    assert found(fact, sandbox)[0] is Outcome.HOLDS

    make_idle(emulator.endpoint, of.account, of.region, function.name, "1", seconds=0.0, ends="Failed")

    assert found(fact, sandbox)[0] is Outcome.DIFFERS


def test_the_audit_bucket_is_read_and_has_to_lock_as_the_settings_say(
    emulator: Emulator, shared: Sandbox, of: Settings
) -> None:
    s3, fact = as_root("s3", emulator.endpoint, of), FACT["audit-bucket"]
    bucket = of.names.audit_bucket(of.account)
    assert found(fact, shared)[0] is Outcome.SKIPPED
    s3.create_bucket(
        Bucket=bucket,
        CreateBucketConfiguration={"LocationConstraint": of.region},
        ObjectLockEnabledForBucket=True,
    )

    def locks(mode: str, days: int) -> Outcome:
        rule = {"DefaultRetention": {"Mode": mode, "Days": days}}
        s3.put_object_lock_configuration(
            Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
        )
        return found(fact, shared)[0]

    try:
        assert found(fact, shared)[0] is Outcome.DIFFERS
        assert locks("COMPLIANCE", of.audit_retention_days) is Outcome.HOLDS
        assert locks("COMPLIANCE", of.audit_retention_days - 1) is Outcome.DIFFERS
        assert locks("GOVERNANCE", of.audit_retention_days) is Outcome.DIFFERS
        assert "Versions" not in s3.list_object_versions(Bucket=bucket)
    finally:
        s3.delete_bucket(Bucket=bucket)


def test_the_lock_of_the_scratch_object_ends_by_itself(shared: Sandbox) -> None:
    assert found(FACT["locked-version"], shared)[0] is Outcome.HOLDS
    s3 = shared.client("s3")
    versions = s3.list_object_versions(Bucket=shared.bucket)["Versions"]
    first = min(versions, key=lambda one: one["LastModified"])

    found_ = s3.head_object(Bucket=shared.bucket, Key="locked", VersionId=first["VersionId"])

    assert found_["ObjectLockMode"] == "GOVERNANCE"
    assert found_["ObjectLockRetainUntilDate"] < shared.now() + timedelta(minutes=5)


def test_an_answer_that_has_nothing_to_do_with_a_fact_says_nothing_of_it(shared: Sandbox) -> None:
    def fails(error: str) -> Callable[[Sandbox], str]:
        def tried(_: Sandbox) -> str:
            raise ClientError({"Error": {"Code": error, "Message": "no"}}, "UpdateAlias")

        return tried

    fact = FACT["stale-revision"]

    assert found(replace(fact, tried=fails("ServiceException")), shared)[0] is Outcome.FAILED
    assert found(replace(fact, tried=fails("AccessDeniedException")), shared)[0] is Outcome.DENIED
