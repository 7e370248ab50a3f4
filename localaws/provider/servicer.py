"""The engine's calls, translated: wire values in, lifecycle, wire values out; errors as gRPC states.

Every method may run beside others, each in a thread of its own.
"""

# ruff: noqa: ARG002, N802 (names and arguments are those of the protocol)
# grpc and protobuf come without types.
# mypy: disable-error-code="import-untyped"

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable
from typing import Any, NoReturn, TypeVar, cast

import grpc
from botocore.exceptions import BotoCoreError, ClientError
from google.protobuf import any_pb2, empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2

from localaws.provider import config, invokes, lifecycle, package, schema
from localaws.provider.cloud import Cloud
from localaws.provider.lifecycle import Unfinished
from localaws.provider.resource import Resource
from localaws.provider.schema import CheckFailure
from localaws.provider.types import TYPES
from localaws.provider.values import Properties, Values, decode, encode, has_unknown

Call = TypeVar("Call", bound=Callable[..., Any])
Pb = provider_pb2


def _explained(verb: str) -> Callable[[Call], Call]:
    """Errors of the method as sentences: what was being done to what, and what AWS said."""

    def wrap(method: Call) -> Call:
        @functools.wraps(method)
        def wrapper(self: Servicer, request: Any, context: grpc.ServicerContext) -> Any:
            try:
                return method(self, request, context)
            except Unfinished as error:
                _abort_unfinished(request, context, error, verb)
            except (ClientError, BotoCoreError, LookupError, ValueError, TimeoutError) as error:
                # An answer of AWS leaves no doubt about what there is; no answer does.
                answered = isinstance(error, (ClientError, LookupError, ValueError))
                code = grpc.StatusCode.FAILED_PRECONDITION if answered else grpc.StatusCode.UNKNOWN
                context.abort(code, _sentence(request, verb, error))

        return cast("Call", wrapper)

    return wrap


def _sentence(request: Any, verb: str, error: Exception) -> str:
    """Without any secret of the request: boto3 quotes values that it finds wrong."""
    what = (
        getattr(request, "tok", "")
        or f"{request.type} {request.id if hasattr(request, 'id') else request.name}"
    )
    text = str(error.args[0]) if isinstance(error, LookupError) and error.args else str(error)
    for field in ("properties", "inputs", "news", "olds", "old_inputs", "args"):
        if hasattr(request, field):
            for secret in decode(getattr(request, field)).secrets():
                text = text.replace(secret, "[secret]")
    return f"{verb} {what}: {text}"


def _abort_unfinished(request: Any, context: grpc.ServicerContext, error: Unfinished, verb: str) -> NoReturn:
    """The object exists and has to be in the checkpoint: the engine's own way to say so."""
    asked = decode(request.properties)
    text = _sentence(request, verb, error)
    secret = asked.secret | _secret_fields(TYPES[request.type])
    failed = Pb.ErrorResourceInitFailed(
        id=error.found.id,
        properties=encode(error.found.state, secret),
        inputs=encode(asked.values, secret),
        reasons=[text],
    )
    detail = any_pb2.Any()
    detail.Pack(failed)
    code = grpc.StatusCode.UNKNOWN
    status = status_pb2.Status(code=code.value[0], message=text, details=[detail])
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(code, text)
    raise AssertionError


def _secret_fields(resource: Resource) -> frozenset[str]:
    return frozenset(key for key, spec in resource.fields.items() if spec.secret)


class Servicer(provider_pb2_grpc.ResourceProviderServicer):
    """The resource provider `aws` of one engine process; the methods are those of `provider.proto`."""

    def __init__(self, version: str) -> None:
        self._version = version
        self._cloud: Cloud | None = None

    @property
    def cloud(self) -> Cloud:
        if self._cloud is None:
            raise ValueError("the provider is not configured")
        return self._cloud

    def Handshake(self, request: Any, context: Any) -> Any:
        """What this provider understands."""
        return Pb.ProviderHandshakeResponse(accept_secrets=True)

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        """The version of the SDK that this provider stands in for."""
        return plugin_pb2.PluginInfo(version=self._version)

    def GetSchema(self, request: Any, context: Any) -> Any:
        """The types that it knows: programs in YAML are checked by them."""
        return Pb.GetSchemaResponse(schema=json.dumps(package.document(self._version)))

    def Cancel(self, request: Any, context: Any) -> Any:
        """The engine is ending: what is under way may finish, and the engine asks for nothing else."""
        return empty_pb2.Empty()

    def CheckConfig(self, request: Any, context: Any) -> Any:
        """Refuses configuration that it does not know."""
        news = decode(request.news)
        failures = [] if has_unknown(news.values) else config.failures(news.values)
        return _checked(news.values, news.secret, failures)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        """A changed configuration never replaces what was made with the old one."""
        old, new = decode(request.old_inputs or request.olds).values, decode(request.news).values
        changed = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
        some = Pb.DiffResponse.DIFF_SOME if changed else Pb.DiffResponse.DIFF_NONE
        return Pb.DiffResponse(changes=some, diffs=changed)

    def Configure(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Connects; refuses an account that the configuration does not allow."""
        try:
            self._cloud = config.connect(decode(request.args).values)
        except (config.WrongAccount, config.NotLocal, ClientError, BotoCoreError) as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        return Pb.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    @_explained("invoking")
    def Invoke(self, request: Any, context: Any) -> Any:
        """Calls a function."""
        arguments = decode(request.args)
        failures = invokes.failures(request.tok, arguments.values)
        answer: Values = {} if failures else invokes.invoke(self.cloud, request.tok, arguments.values)
        return Pb.InvokeResponse(**{"return": encode(answer, arguments.secret)}, failures=_failures(failures))

    @_explained("checking")
    def Check(self, request: Any, context: Any) -> Any:
        """Refuses types and inputs that it does not know, and fills in defaults."""
        news, old = decode(request.news), decode(request.olds)
        if request.type not in TYPES:
            reason = f"the local provider has no type {request.type}{schema.nearest(request.type, TYPES)}"
            return _checked(news.values, news.secret, [CheckFailure(key="", reason=reason)])
        resource = TYPES[request.type]
        inputs, failures = lifecycle.check(
            resource, news.values, old=old.values, name=request.name, seed=request.randomSeed
        )
        return _checked(inputs, news.secret | _secret_fields(resource), failures)

    @_explained("comparing")
    def Diff(self, request: Any, context: Any) -> Any:
        """What an update would do."""
        resource = TYPES[request.type]
        difference = lifecycle.diff(
            resource,
            decode(request.olds).values,
            decode(request.news).values,
            ignore=request.ignoreChanges,
            default_tags=self.cloud.default_tags,
        )
        kinds = Pb.PropertyDiff
        return Pb.DiffResponse(
            changes=Pb.DiffResponse.DIFF_SOME if difference.changes else Pb.DiffResponse.DIFF_NONE,
            replaces=difference.replaces,
            deleteBeforeReplace=difference.delete_first,
            diffs=sorted({change.key for change in difference.changes}),
            hasDetailedDiff=True,
            detailedDiff={
                change.path: kinds(
                    kind=kinds.Kind.Value(change.kind + ("_REPLACE" if change.replaces else ""))
                )
                for change in difference.changes
            },
        )

    @_explained("creating")
    def Create(self, request: Any, context: Any) -> Any:
        """Makes the object; in a preview, says what would be known."""
        resource, asked = TYPES[request.type], decode(request.properties)
        if request.preview:
            values = lifecycle.preview(
                resource, asked.values, state=None, default_tags=self.cloud.default_tags
            )
            return Pb.CreateResponse(properties=_state(resource, values, asked))
        found = lifecycle.create(resource, self.cloud, asked.values)
        return Pb.CreateResponse(id=found.id, properties=_state(resource, found.state, asked))

    @_explained("reading")
    def Read(self, request: Any, context: Any) -> Any:
        """The object as it is now, with the inputs that would have made it; no ID if it is gone."""
        resource = TYPES[request.type]
        before, given = decode(request.properties), decode(request.inputs)
        found = lifecycle.read(resource, self.cloud, request.id, state=before.values, inputs=given.values)
        if found is None:
            return Pb.ReadResponse()
        inputs = (
            schema.fresh_inputs(resource.fields, old=given.values, before=before.values, now=found.state)
            if given.values
            else schema.imported_inputs(resource.fields, found.state)
        )
        return Pb.ReadResponse(
            id=found.id,
            properties=_state(resource, found.state, before),
            inputs=_state(resource, inputs, given),
        )

    @_explained("updating")
    def Update(self, request: Any, context: Any) -> Any:
        """Changes the object in place; in a preview, says what would be known."""
        resource, asked, before = TYPES[request.type], decode(request.news), decode(request.olds)
        if request.preview:
            values = lifecycle.preview(
                resource, asked.values, state=before.values, default_tags=self.cloud.default_tags
            )
        else:
            values = lifecycle.update(
                resource,
                self.cloud,
                request.id,
                state=before.values,
                inputs=asked.values,
                ignore=request.ignoreChanges,
            ).state
        return Pb.UpdateResponse(properties=_state(resource, values, asked))

    @_explained("deleting")
    def Delete(self, request: Any, context: Any) -> Any:
        """Removes the object; one that is already gone is no error."""
        state = decode(request.properties).values
        lifecycle.delete(TYPES[request.type], self.cloud, request.id, state)
        return empty_pb2.Empty()


def _state(resource: Resource, values: Values, like: Properties) -> Any:
    return encode(values, like.secret | _secret_fields(resource))


def _checked(values: Values, secret: Iterable[str], failures: Iterable[CheckFailure]) -> Any:
    return Pb.CheckResponse(inputs=encode(values, secret), failures=_failures(failures))


def _failures(failures: Iterable[CheckFailure]) -> list[Any]:
    return [Pb.CheckFailure(property=failure.key, reason=failure.reason) for failure in failures]
