"""The engine is installed when a person asks for it, by Pulumi's installer, which sees no credentials."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from rollback.engines.pulumi import installation
from rollback.engines.pulumi.engine import Engine
from rollback.util.errors import Code, RollbackError, UsageError
from tests.coded import coded

HOST = "get.pulumi.com"
# What stands for Pulumi's own script: it installs what prints the environment that it had itself.
SCRIPT = f"""#!/bin/sh
while [ "$1" != --install-root ]; do shift; done
mkdir -p "$2/bin"
env > "$2/seen"
printf '#!/bin/sh\\necho v{version("pulumi")}\\n' > "$2/bin/pulumi"
chmod +x "$2/bin/pulumi"
"""


class Site:
    """`get.pulumi.com` on the loopback, behind a proxy, for whom trusts its certificate. It answers with `script`."""

    def __init__(self, folder: Path) -> None:
        self.script = SCRIPT
        self.asked: list[str] = []
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        self.trusted = folder / "trusted.pem"
        self.trusted.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        private = folder / "key.pem"
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(self.trusted, private)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.proxy = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            with client, suppress(OSError):
                self.asked.append(client.recv(4096).decode().split()[1])
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                with self._tls.wrap_socket(client, server_side=True) as tls:
                    tls.recv(4096)
                    body = self.script.encode()
                    tls.sendall(
                        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body)
                    )
                    tls.sendall(body)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A machine without an engine, whose network is the site alone."""
    made = Site(tmp_path)
    binaries = tmp_path / "bin"
    binaries.mkdir()
    for name in ("sh", "env", "mkdir", "chmod", "echo"):
        (binaries / name).symlink_to(
            next(Path(place, name) for place in ("/bin", "/usr/bin") if Path(place, name).exists())
        )
    monkeypatch.setenv("PATH", str(binaries))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("https_proxy", made.proxy)
    monkeypatch.setenv("HTTPS_PROXY", made.proxy)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.trusted))
    yield made
    made.close()


def test_without_an_engine_the_command_says_how_to_install_it_and_downloads_nothing(site: Site) -> None:
    with pytest.raises(UsageError, check=coded(Code.TOOL_MISSING)) as caught:
        Engine.found("file:///state")

    assert caught.value.exit_code == 2
    assert "rollback tools install" in caught.value.next
    assert site.asked == []


def test_the_official_installer_runs_without_credentials_and_its_engine_is_found_after_that(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "stolen")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "stolen")

    program = installation.install()

    assert site.asked == [f"{HOST}:443"]
    assert "stolen" not in (program.parent.parent / "seen").read_text()
    engine = Engine.found("file:///state")
    assert (engine.program, engine.version()) == (str(program), version("pulumi"))
    assert engine.variables["PATH"].split(os.pathsep)[0] == str(program.parent)
    assert installation.install() == program
    assert len(site.asked) == 1


def test_an_engine_on_path_comes_first(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installation.install()
    own = tmp_path / "own" / "pulumi"
    own.parent.mkdir()
    own.write_text("#!/bin/sh\necho v3.1.2\n")
    own.chmod(0o755)
    monkeypatch.setenv("PATH", f"{own.parent}{os.pathsep}{os.environ['PATH']}")

    assert Engine.found("file:///state").program == str(own)
    assert len(site.asked) == 1


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("#!/bin/sh\necho no room left >&2; exit 1\n", "no room left"),
        ("#!/bin/sh\nexit 0\n", "pulumi"),
        ("#!/bin/sh\nexec sleep 60\n", "it took more than"),
    ],
)
def test_an_installation_that_fails_says_why_and_leaves_nothing(
    site: Site, tmp_path: Path, script: str, why: str
) -> None:
    site.script = script
    if "sleep" in script:
        (tmp_path / "bin" / "sleep").symlink_to("/bin/sleep")

    with pytest.raises(RollbackError, check=coded(Code.TOOL_MISSING)) as caught:
        installation.install(seconds=4 if "sleep" in script else 60)

    assert why in caught.value.what
    assert not installation.installed().parent.parent.exists()


def test_without_a_network_it_says_so(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", os.devnull)

    with pytest.raises(RollbackError, check=coded(Code.TOOL_MISSING)) as caught:
        installation.install()

    assert "URLError" in caught.value.what
