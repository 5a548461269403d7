"""Debian's docker-registry on a loopback address, filled by skopeo: the real ones."""

import base64
import contextlib
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import bcrypt

from tests.loopback import address
from tests.waiting import eventually

USER, PASSWORD = "who", "s3cret:with colon"
TOOLS = ("docker-registry", "skopeo", "openssl")


def missing() -> list[str]:
    """Programs that are not installed."""
    return [tool for tool in TOOLS if shutil.which(tool) is None]


@dataclass(frozen=True)
class RealRegistry:
    """One that runs. ``host`` is address and port, ``authority`` the certificate to trust."""

    host: str
    storage: Path
    log: Path
    authority: Path | None
    auth_file: Path

    def push(self, source: str, name: str) -> None:
        """Copy an image as it is: ``source`` is one of skopeo's, ``name`` has a tag."""
        subprocess.run(
            [
                *("skopeo", "copy", "--quiet", "--all", "--preserve-digests"),
                *("--dest-tls-verify=false", f"--authfile={self.auth_file}"),
                *(source, f"docker://{self.host}/{name}"),
            ],
            check=True,
            capture_output=True,
        )

    def requests(self) -> list[str]:
        """What it was asked: "GET /v2/… 200"."""
        lines = self.log.read_text(errors="replace").splitlines()
        asked = [line for line in lines if '"GET ' in line]
        return [line.partition('"')[2].split('"')[0].removesuffix(" HTTP/1.1") for line in asked]

    def blob(self, digest: str) -> Path:
        """Where it keeps the content of a blob."""
        name = digest.removeprefix("sha256:")
        return self.storage / "docker/registry/v2/blobs/sha256" / name[:2] / name / "data"


@contextlib.contextmanager
def registry(directory: Path, *, auth: bool = False, tls: bool = False) -> Iterator[RealRegistry]:
    """Run one that keeps what it has in ``directory``."""
    host = f"{address(10)}:{_free_port(address(10))}"
    config = directory / "registry.json"
    config.write_text(json.dumps(_configuration(directory, host, auth=auth, tls=tls)))
    auth_file = directory / "auth.json"
    auth_file.write_text(json.dumps({"auths": _login(host) if auth else {}}))
    log = directory / "registry.log"
    # In its own environment, REGISTRY_… would be a part of its configuration.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("REGISTRY_")}
    with (
        open(log, "wb") as output,
        subprocess.Popen(
            ["docker-registry", "serve", str(config)],
            stdout=output,
            stderr=output,
            env={**environment, "OTEL_TRACES_EXPORTER": "none"},
        ) as process,
    ):
        try:
            eventually(lambda: _listens(host, process, log), f"the registry at {host}")
            authority = directory / "tls.crt" if tls else None
            yield RealRegistry(host, directory / "storage", log, authority, auth_file)
        finally:
            process.terminate()
            process.wait(timeout=30)


def _configuration(directory: Path, host: str, *, auth: bool, tls: bool) -> dict[str, object]:
    http: dict[str, object] = {"addr": host}
    configuration: dict[str, object] = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": False}},
        "storage": {"filesystem": {"rootdirectory": str(directory / "storage")}},
        "http": http,
    }
    if auth:
        hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
        (directory / "htpasswd").write_text(f"{USER}:{hashed}\n")
        configuration["auth"] = {
            "htpasswd": {"realm": "tests", "path": str(directory / "htpasswd")}
        }
    if tls:
        _make_certificate(directory, host.partition(":")[0])
        files = {"certificate": "tls.crt", "key": "tls.key"}
        http["tls"] = {key: str(directory / name) for key, name in files.items()}
    return configuration


def _make_certificate(directory: Path, ip: str) -> None:
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=tests", "-addext", f"subjectAltName=IP:{ip}"),
            *("-keyout", str(directory / "tls.key"), "-out", str(directory / "tls.crt")),
        ],
        check=True,
        capture_output=True,
    )


def _login(host: str) -> dict[str, dict[str, str]]:
    return {host: {"auth": base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}}


def _free_port(ip: str) -> int:
    with socket.create_server((ip, 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _listens(host: str, process: "subprocess.Popen[bytes]", log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    ip, _, port = host.partition(":")
    with contextlib.suppress(OSError), socket.create_connection((ip, int(port)), timeout=1):
        return True
    return False
