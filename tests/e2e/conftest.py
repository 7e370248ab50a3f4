"""An account for each test: declared once by a real `pulumi up`, then copied."""

from __future__ import annotations

import fcntl
import functools
import itertools
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

from localaws.emulator import server
from localaws.emulator.server import Emulator
from tests import asked, prepared
from tests.e2e.accounts_under_test import Kept, Models, keep
from tests.e2e.estate_under_test import Platform
from tests.proxy import Proxy
from tests.warm import Warm

_ACCOUNTS = itertools.count(700_000_000_000)


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    prepared.account()
    with server.running(auth=True, calls=asked.folder()) as running:
        yield running


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory, warm: Warm) -> Callable[[str], Kept]:
    """Environment → what a real `pulumi up` declares of it, done for all workers when it is first asked for."""
    base = tmp_path_factory.getbasetemp()
    # The workers' folders are in one of the run's own.
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    @functools.cache
    def declared(environment: str) -> Kept:
        with (base / f"kept-{environment}.pickle").open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            if content := file.read():
                return cast("Kept", pickle.loads(content))  # noqa: S301 - a worker of this very run wrote it
            made = keep(environment, base / f"kept-{environment}")
            file.write(pickle.dumps(made))
        return made

    return declared


@pytest.fixture(scope="session")
def models(
    emulator: Emulator,
    kept: Callable[[str], Kept],
    warm: Warm,
    tmp_path_factory: pytest.TempPathFactory,
) -> Models:
    """The accounts that those of tests are copied from."""
    return Models(emulator.endpoint, kept, tmp_path_factory.mktemp("models"), warm)


@pytest.fixture
def make(models: Models, tmp_path: Path) -> Iterator[Callable[[str], Platform]]:
    """Makes an environment in an account of its own."""
    made: list[Platform] = []

    def one(environment: str) -> Platform:
        account = str(next(_ACCOUNTS))
        made.append(models.another(environment, account, tmp_path / account))
        return made[-1]

    yield one
    for platform in made:
        platform.end()


@pytest.fixture(scope="module")
def untouched(models: Models, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """dev with its three releases, for all tests of a file: they leave it as they find it."""
    platform = models.another("dev", str(next(_ACCOUNTS)), tmp_path_factory.mktemp("untouched"))
    platform.story()
    yield platform
    platform.end()


@pytest.fixture
def dev(make: Callable[[str], Platform]) -> Platform:
    """dev, where a rollback of aliases runs at once; functions at v1.0.0, nothing recorded."""
    return make("dev")


@pytest.fixture
def prod(make: Callable[[str], Platform]) -> Platform:
    """prod, where another identity has to approve; functions at v1.0.0, nothing recorded."""
    return make("prod")


@pytest.fixture
def declared(kept: Callable[[str], Kept], warm: Warm, tmp_path: Path) -> Iterator[Platform]:
    """dev as the engine itself has declared it, from a checkout of the whole program."""
    with kept("dev").awake(tmp_path, warm) as platform:
        yield platform


@pytest.fixture
def proxy(emulator: Emulator) -> Iterator[Proxy]:
    with Proxy(emulator.endpoint) as running:
        yield running
