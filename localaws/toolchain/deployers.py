"""The deployers of other teams (AWS SAM's, AWS's own and CDK's), locked, once a user, each in an environment of its own.

About 10 s each, and 600 MB together. CDK's program runs on the `node` that Playwright brings, as the IAM simulator does.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from localaws.errors import LocalError
from localaws.paths import cache, locked
from localaws.toolchain import npm
from localaws.toolchain.iam_simulator import node

_LAST_LINES = 15


@dataclass(frozen=True, kw_only=True, slots=True)
class Deployer:
    """Python packages by the lock file `name`.txt and, where there is a folder of that name, npm's."""

    name: str

    @property
    def folder(self) -> Path:
        """Its environment, in a folder named after its lock files and this interpreter."""
        digest = hashlib.sha256(sys.version.encode())
        for lock in self._locks():
            digest.update(lock.read_bytes())
        return cache() / f"{self.name}-{digest.hexdigest()[:16]}"

    def find(self) -> Path | None:
        """The folder that its program is in, if it is there as a whole."""
        if not (self.folder / ".done").exists():
            return None
        return self.folder / ("node_modules/.bin" if self._of_npm() else "bin")

    def ensure(self, progress: Callable[[str], None] = lambda _: None) -> Path:
        """The same, filled under a lock if need be. Raises `LocalError` with the installer's last lines if that fails."""
        with locked(
            cache() / f"{self.name}.lock",
            waiting=lambda: progress(f"another process installs {self.name}, waiting"),
        ):
            if self.find() is None:
                progress(f"installing {self.name}")
                # A script names its interpreter by its path, so it is filled where it stays; what is half is made anew.
                shutil.rmtree(self.folder, ignore_errors=True)
                self.folder.mkdir(parents=True)
                self._fill()
                (self.folder / ".done").touch()
        found = self.find()
        assert found is not None  # noqa: S101 - it has just been made
        return found

    def _fill(self) -> None:
        uv = str(Path(sys.executable).with_name("uv"))
        lock = ["--require-hashes", "-r", str(npm.LOCKS / f"{self.name}.txt")]
        python = ["--python", str(self.folder / "bin" / "python")]
        for command in (
            [uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(self.folder)],
            [uv, "pip", "install", "--quiet", "--no-cache", *python, *lock],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                last = (done.stdout + done.stderr).strip().splitlines()[-_LAST_LINES:]
                raise self._failed("\n".join(last))
        if self._of_npm():
            try:
                npm.install(npm.LOCKS / self.name, self.folder)
            except LocalError as error:
                raise self._failed(str(error)) from None

    def _failed(self, why: str) -> LocalError:
        return LocalError(
            f"{self.name} could not be installed.\n{why}\n"
            "Check the network or the package index, and run the same command again."
        )

    def _of_npm(self) -> bool:
        return (npm.LOCKS / self.name).is_dir()

    def _locks(self) -> list[Path]:
        folder = npm.LOCKS / self.name
        return [
            npm.LOCKS / f"{self.name}.txt",
            *(folder / name for name in npm.LOCKED if folder.is_dir()),
        ]


SAM, AWS, CDK = Deployer(name="sam"), Deployer(name="aws"), Deployer(name="cdk")


def cdk_path(bin_folder: Path) -> list[Path]:
    """The folders that `cdk`, in `bin_folder`, the `python` of its programs and `node` are in."""
    return [bin_folder, CDK.folder / "bin", node().parent]
