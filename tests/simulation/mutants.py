"""Our own code, broken on purpose, one guard at a time: what the simulation has to notice.

A mutant names a function and, in it, a guard: an argument of a call, the condition by which something is done,
what is asked beside another thing. A guard is found by what is called, raised or read there, so that neither local
names nor messages matter; one that is not found, or found more than once, is an error. What comes of it is compiled
and put into the running function, so that whoever holds that is broken with it.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

# A place in a function: where it is in its parent, and what is there.
Guard = Callable[[ast.AST], Iterator["Place"]]
Change = Callable[["Place"], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """`node`, which is `holder.field`, or in that list the one at `index`. `function` is around it all."""

    holder: ast.AST
    field: str
    index: int | None
    node: Any
    function: ast.AST

    def put(self, *nodes: Any) -> None:
        """Other nodes instead; where there is no list, exactly one."""
        if self.index is None:
            (node,) = nodes
            setattr(self.holder, self.field, node)
        else:
            getattr(self.holder, self.field)[self.index : self.index + 1] = nodes


@dataclass(frozen=True, slots=True)
class Mutant:
    """`function` is `module:dotted name`; `changes` are pairs of a guard and what becomes of it.

    `where` is the cell, fault and phase, with which the schedules begin that look for it. Those of `seed` notice it
    early: any other does, too, after up to some hundred schedules. `make soak` takes another one each time.
    """

    name: str
    where: tuple[str, str]
    function: str
    changes: tuple[tuple[Guard, Change], ...]
    seed: int = 1

    @contextmanager
    def at_large(self) -> Iterator[None]:
        """The mutant instead of the code. Raises `LookupError` where it has no such function or guard."""
        where, _, name = self.function.partition(":")
        module = import_module(where)
        path = Path(str(module.__file__))
        text = path.read_text(encoding="utf-8")
        try:
            broken = compile(mutated(text, name, self.changes), str(path), "exec", dont_inherit=True)
            function = _function(module, name)
        except (LookupError, AttributeError) as error:
            raise LookupError(f"{self.name}: in {self.function}: {error}") from error
        sound, function.__code__ = function.__code__, dict(_codes(broken))[name]
        try:
            yield
        finally:
            function.__code__ = sound


def mutated(text: str, name: str, changes: tuple[tuple[Guard, Change], ...]) -> ast.Module:
    """A module with one function changed. Raises `LookupError` where that, or a guard, is not there once."""
    module = ast.parse(text)
    function: Any = module
    for part in name.split("."):
        (function,) = _once([node for node in function.body if getattr(node, "name", None) == part], part)
    for guard, change in changes:
        (place,) = _once(list(guard(function)), getattr(guard, "told", "a guard"))
        change(replace(place, function=function))
    return ast.fix_missing_locations(module)


def _once(found: list[Any], what: str) -> list[Any]:
    if len(found) != 1:
        raise LookupError(f"{what} is there {len(found)} times")
    return found


def _codes(code: CodeType, prefix: str = "") -> Iterator[tuple[str, CodeType]]:
    """The functions of a module and of its classes, by their names."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            name = f"{prefix}{constant.co_name}"
            if constant.co_flags & inspect.CO_OPTIMIZED:
                yield name, constant
            else:
                yield from _codes(constant, f"{name}.")


def _function(module: ModuleType, name: str) -> FunctionType:
    found: Any = module
    for part in name.split("."):
        found = inspect.getattr_static(found, part)
    found = getattr(found, "fget", None) or getattr(found, "__func__", found)
    return inspect.unwrap(found)  # type: ignore[return-value] # a function, as its code was one's


# -- guards --------------------------------------------------------------------------------------------------


def _guard(label: str, found: Callable[[Place], bool], only: int | None = None, of: int = 1) -> Guard:
    """The place where `found` is true: once, or where it is so `of` times, that with the number `only`."""

    def guard(function: ast.AST) -> Iterator[Place]:
        places = [place for place in _places(function) if found(place)]
        if only is not None:
            _once([None] * (len(places) - of + 1), f"{label}, of {of},")
            places = [places[only]]
        yield from places

    guard.told = label  # type: ignore[attr-defined] # what an error says of it
    return guard


def argument(call: str, name: str) -> Guard:
    """The keyword argument `name` of the call of `call`."""
    return _guard(
        f"{name} of {call}",
        lambda at: isinstance(at.node, ast.keyword) and at.node.arg == name and _called(at.holder) == call,
    )


def call(name: str) -> Guard:
    """The call of `name`."""
    return _guard(f"the call of {name}", lambda at: _called(at.node) == name)


def condition(expected: str, *, only: int | None = None, of: int = 1) -> Guard:
    """The condition which, or what is done by which, speaks of `expected`, and no condition inside of that does."""

    def found(at: Place) -> bool:
        return at.field == "test" and isinstance(at.holder, _CONDITIONS) and expected in _words(at.holder)

    return _guard(f"the condition of {expected}", found, only, of)


def operand(expected: str) -> Guard:
    """What speaks of `expected` among the operands of an `and` or `or`."""
    return _guard(
        f"the operand {expected}",
        lambda at: (
            at.field == "values"
            and isinstance(at.holder, ast.BoolOp)
            and not isinstance(at.node, ast.BoolOp)
            and expected in _words(at.node)
        ),
    )


def attribute(name: str) -> Guard:
    """The attribute `name` of whatever, where it is read."""
    return _guard(
        f"the attribute {name}",
        lambda at: (
            isinstance(at.node, ast.Attribute) and at.node.attr == name and isinstance(at.node.ctx, ast.Load)
        ),
    )


def assigned(name: str) -> Guard:
    """The assignment to the attribute `name`, alone or among others."""
    return _guard(
        f"the assignment to {name}",
        lambda at: (
            isinstance(at.node, ast.Attribute) and at.node.attr == name and isinstance(at.node.ctx, ast.Store)
        ),
    )


def text(part: str) -> Guard:
    """The string that has `part` in it: what a service reads, and no message."""
    return _guard(
        f"the text {part}", lambda at: isinstance(at.node, ast.Constant) and part in str(at.node.value)
    )


def entry(key: str) -> Guard:
    """The key of a dictionary that is written down there."""
    return _guard(
        f"the entry {key}",
        lambda at: (
            isinstance(at.holder, ast.Dict) and at.field == "keys" and getattr(at.node, "value", None) == key
        ),
    )


def statement(calls: str) -> Guard:
    """The statement, one in itself, that calls `calls`."""
    return _guard(
        f"the statement that calls {calls}",
        lambda at: isinstance(at.node, ast.Expr | ast.Assign) and calls in _words(at.node),
    )


def returned() -> Guard:
    """What is returned."""
    return _guard("what is returned", lambda at: isinstance(at.holder, ast.Return))


_CONDITIONS = (ast.If, ast.While, ast.IfExp)


def _places(function: ast.AST) -> Iterator[Place]:
    for holder in ast.walk(function):
        for field, value in ast.iter_fields(holder):
            several = value if isinstance(value, list) else [value]
            for index, node in enumerate(several):
                if isinstance(node, ast.AST):
                    at = index if isinstance(value, list) else None
                    yield Place(holder=holder, field=field, index=at, node=node, function=function)


def _called(node: ast.AST) -> str:
    """The last name of what is called."""
    if not isinstance(node, ast.Call):
        return ""
    return getattr(node.func, "attr", "") or getattr(node.func, "id", "")


def _words(node: ast.AST) -> set[str]:
    """What is called, raised and read of objects in a node, and `return`; not what is done by a condition within."""
    parts, todo = set[str](), [node]
    while todo:
        one = todo.pop()
        parts |= {_called(one), getattr(one, "attr", "")}
        parts |= {"return"} if isinstance(one, ast.Return) else set()
        parts |= {getattr(one.exc, "id", "")} if isinstance(one, ast.Raise) else set()
        within = [child for child in ast.iter_child_nodes(one) if not isinstance(child, _CONDITIONS)]
        todo += within
    return parts


# -- what becomes of them ------------------------------------------------------------------------------------


def gone(at: Place) -> None:
    """It is left out, with what it is given or stands for."""
    if isinstance(at.holder, ast.Dict):
        assert at.index is not None
        del at.holder.keys[at.index], at.holder.values[at.index]
    elif isinstance(at.holder, ast.BoolOp):
        at.put(ast.Constant(isinstance(at.holder.op, ast.And)))
    elif isinstance(at.node, ast.Attribute) and isinstance(at.holder, ast.Tuple):
        (assignment,) = [
            node
            for node in ast.walk(at.function)
            if isinstance(node, ast.Assign)
            and at.holder in node.targets
            and isinstance(node.value, ast.Tuple)
        ]
        assert at.index is not None
        del at.holder.elts[at.index], assignment.value.elts[at.index]  # type: ignore[attr-defined] # a tuple, see above
    else:
        at.put()


def becomes(expression: str) -> Change:
    """Another expression: in it `_` is what was there, `_argument` the call's first, `_own` the function's first."""

    def change(at: Place) -> None:
        was = at.node.value if isinstance(at.node, ast.keyword) else at.node

        class Fill(ast.NodeTransformer):
            def visit_Name(self, node: ast.Name) -> Any:
                if node.id == "_argument":
                    return was.args[0]
                if node.id == "_own":
                    return ast.Name(at.function.args.args[0].arg, ast.Load())  # type: ignore[attr-defined] # a function
                return was if node.id == "_" else node

        new = Fill().visit(ast.parse(expression, mode="eval").body)
        if isinstance(at.node, ast.keyword):
            at.node.value = new
        else:
            at.put(new)

    return change


def first_only(at: Place) -> None:
    """Of two tuples that are compared only what comes first."""
    (other,) = at.node.comparators
    at.node.left, at.node.comparators = at.node.left.elts[0], [other.elts[0]]


def after(calls: str) -> Change:
    """It is done after the statement that calls `calls` and not before."""

    def change(at: Place) -> None:
        body = getattr(at.holder, at.field)
        body.remove(at.node)
        (place,) = _once([one for one in body if calls in _words(one)][:1], calls)
        body.insert(body.index(place) + 1, at.node)

    return change


never, always = becomes("False"), becomes("True")

# -- the table -----------------------------------------------------------------------------------------------

_ALIASES = "rollback.targets.aliases.target:Aliases"
_RECORDS = "rollback.lifecycle.record_lease:RecordLeases"
_LEASE, _LEDGER = "rollback.ledger.lease", "rollback.ledger.repository:Ledger"

MUTANTS = (
    Mutant(
        "no RevisionId sent",
        ("foreign write", "execute"),
        f"{_ALIASES}._update",
        ((argument("update_alias", "RevisionId"), gone),),
    ),
    Mutant(
        "weights skipped",
        ("crash", "execute"),
        f"{_ALIASES}._update",
        ((argument("update_alias", "RoutingConfig"), gone),),
        seed=8,
    ),
    Mutant(
        "weights not put back",
        ("crash", "undo"),
        f"{_ALIASES}._update",
        ((argument("update_alias", "RoutingConfig"), becomes('{"AdditionalVersionWeights": {}}')),),
        seed=5,
    ),
    Mutant(
        "foreign write taken for ours",
        ("foreign write", "execute"),
        f"{_ALIASES}._write_upon",
        ((condition("return"), first_only),),
        seed=8,
    ),
    Mutant(
        "foreign release overwritten",
        ("foreign write", "execute"),
        f"{_ALIASES}._write_upon",
        ((condition("_Drifted", only=0, of=2), never),),
    ),
    Mutant(
        "a stranger's canary overwritten",
        ("foreign write", "execute"),
        "rollback.model.alias_moves:drift",
        ((condition("return", only=0, of=2), becomes("version in [place[0] for place in places]")),),
        seed=28,
    ),
    Mutant(
        "moved to a version that sleeps",
        ("idle version", "plan"),
        f"{_ALIASES}.execute",
        ((call("_asleep_there"), becomes("[]")),),
    ),
    Mutant(
        "lost answer treated as failure",
        ("lost answer", "execute"),
        f"{_ALIASES}._write_upon",
        ((condition("return"), never),),
    ),
    Mutant(
        "journal after overwrite",
        ("foreign write", "execute"),
        f"{_ALIASES}._write_upon",
        ((statement("append"), after("_update")),),
        seed=3,
    ),
    Mutant(
        "REVERTED without undo of a doubtful write",
        ("lost answer", "execute"),
        f"{_ALIASES}.undo",
        ((operand("doubtful"), gone),),
        seed=5,
    ),
    Mutant(
        "taken over without touching what may be moved",
        ("crash", "execute"),
        f"{_ALIASES}.undo",
        ((operand("taken_over"), gone),),
    ),
    Mutant(
        "no fence in the description",
        ("crash", "undo"),
        "rollback.lifecycle.ledger_store:LedgerStore.tag",
        ((attribute("fence"), becomes("1")),),
    ),
    Mutant(
        "no lease condition on a write",
        ("second operator", "execute"),
        f"{_LEDGER}.journal",
        ((call("proofs"), becomes("[]")),),
        seed=22,
    ),
    Mutant(
        "a decision read from GSI1",
        ("stale index", "record"),
        "rollback.releases.record_release:record",
        (
            (
                call("release_of"),
                becomes(
                    "_ if _argument in [getattr(one, 'version', '') for one in _own.ledger.history(50)] else None"
                ),
            ),
        ),
    ),
    Mutant(
        "order by clock",
        ("clock skew", "record"),
        "rollback.ledger.stored_timeline:StoredTimeline.items",
        (
            (
                call("query"),
                becomes("iter(sorted(_, key=lambda item: str(item.get('at', '')), reverse=True))"),
            ),
        ),
    ),
    Mutant(
        "lease released before the record is closed",
        ("server error", "execute"),
        f"{_LEASE}:HeldLeases.release",
        ((assigned("in_flight"), gone),),
        seed=4,
    ),
    Mutant(
        "renewed after a pause although another has taken it",
        ("lease expiry", "execute"),
        f"{_LEASE}:Lease.renew",
        (
            (text("nonce = :nonce"), becomes('"attribute_exists(nonce)"')),
            (entry(":nonce"), gone),
            (entry(":fence"), gone),
        ),
    ),
    Mutant(
        "takeover without watching",
        ("second operator", "execute"),
        f"{_LEASE}:Leases._watch",
        ((condition("sleep"), never),),
    ),
    Mutant(
        "takeover of what gave a sign of life",
        ("second operator", "lease"),
        f"{_LEASE}:Leases._seize",
        ((text(":old AND"), becomes('"#owner = :old"')), (entry(":beat"), gone), (entry(":fence"), gone)),
        seed=8,
    ),
    Mutant(
        "stale plan accepted at apply",
        ("second operator", "apply"),
        "rollback.lifecycle.lifecycle:Lifecycle._gone_ahead",
        ((condition("outdated"), never),),
        seed=15,
    ),
    Mutant(
        "approval digest not compared",
        ("throttle", "approve"),
        "rollback.lifecycle.approval:approve",
        ((condition("is_digest_of"), never),),
        seed=5,
    ),
    Mutant(
        "COMPLETE although verification failed",
        ("foreign write", "verify"),
        "rollback.lifecycle.lifecycle:verify",
        ((condition("COMPLETE"), always),),
    ),
    Mutant(
        "verification blind to weights",
        ("foreign write", "verify"),
        "rollback.aws.functions:alias_differs",
        ((condition("weights"), always),),
        seed=22,
    ),
    Mutant(
        "a forged record acted upon",
        ("forged record", "execute"),
        f"{_RECORDS}.trusted",
        ((condition("tampered"), never),),
    ),
    Mutant(
        "order of events not looked at",
        ("forged record", "close"),
        "rollback.ledger.integrity:_record",
        ((condition("broken_rule"), never),),
        seed=17,
    ),
    Mutant(
        "an approval that only the journal tells of",
        ("forged record", "approve"),
        f"{_RECORDS}.approved_where_asked",
        ((condition("Refused"), becomes("not given")),),
        seed=4,
    ),
    Mutant(
        "a freeze not respected",
        ("freeze", "plan"),
        f"{_LEDGER}._unfrozen",
        ((condition("refusal"), never),),
    ),
    Mutant(
        "gone below a release that must not be rolled back past",
        ("second operator", "plan"),
        "rollback.targets.aliases.planner:make",
        ((condition("refused"), never),),
        seed=12,
    ),
    Mutant(
        "an empty answer taken for one",
        ("malformed answer", "lease"),
        "rollback.aws.answers:malformed",
        ((condition("get"), never),),
        seed=4,
    ),
)
