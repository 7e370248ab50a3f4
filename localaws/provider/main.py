"""The process: `pulumi-resource-aws [flags] ENGINE-ADDRESS` prints its port and serves until it is ended.

It ends by SIGTERM or SIGINT, quietly, or with its parent, however that one ended.
"""

# grpc and protobuf come without types.
# mypy: disable-error-code="import-untyped"

from __future__ import annotations

import importlib.util
import json
import os
import socket
import sys
from concurrent import futures
from pathlib import Path

import grpc
from pulumi.runtime.proto import provider_pb2_grpc

from localaws.processes import until_notified
from localaws.provider.cloud import PARALLEL
from localaws.provider.servicer import Servicer

NO_LIMIT = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def main() -> None:
    """Serve while the engine lives. Never returns: the process exits without waiting for calls that hang."""
    ended = until_notified(os.getppid())
    if not _reachable(sys.argv[1:]):
        return
    server = grpc.server(futures.ThreadPoolExecutor(PARALLEL, "call"), options=NO_LIMIT)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Servicer(_version()), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    ended()
    os._exit(0)


def _version() -> str:
    """That of the SDK that this provider stands in for."""
    spec = importlib.util.find_spec("pulumi_aws")
    assert spec is not None  # noqa: S101 - a locked requirement
    assert spec.origin is not None  # noqa: S101 - it has an __init__.py
    document = json.loads(Path(spec.origin).with_name("pulumi-plugin.json").read_text(encoding="utf-8"))
    return str(document["version"])


def _reachable(arguments: list[str]) -> bool:
    """Whether the engine still listens: it may have died before the watch over it began."""
    addresses = [argument for argument in arguments if not argument.startswith("-")]
    if not addresses:
        return True
    host, _, port = addresses[-1].rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, ValueError):
        return False
    return True


if __name__ == "__main__":
    main()
