"""One request over HTTP, as it is: no redirect is followed and nothing is tried again.

HTTPS with the host's certificate authorities and those of containers-certs.d(5); plain HTTP only
where the caller allows it. A proxy comes from the environment. Bodies are streams, never
decompressed on the way: what counts is the sum of the bytes as they are stored.
"""

import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import (
    HTTPError,
    InsecureRequestWarning,
    NameResolutionError,
    NewConnectionError,
    SSLError,
)
from urllib3.exceptions import TimeoutError as UrllibTimeout

from shared.errors import BangerError, Code
from shared.version import __version__

CHUNK = 1 << 20
"""Bytes that are read at a time."""
_CONNECT_SECONDS, _SILENCE_SECONDS = 15.0, 60.0
_CONNECTIONS = 8
_CERTIFICATES = (
    "~/.config/containers/certs.d",
    "/etc/containers/certs.d",
    "/etc/docker/certs.d",
)
_LONGEST_URL = 16384
_SHORT_BODY = 1 << 16
"""Bytes that are read to keep a connection; rather than more, a new one is made."""

Response = urllib3.BaseHTTPResponse


class RequestInterrupted(Exception):
    """The connection failed, or the other side is busy: the same request may go well later.

    ``pause``: seconds that the other side asks for."""

    def __init__(self, problem: str, pause: float = 0.0) -> None:
        super().__init__(problem)
        self.problem = problem
        self.pause = pause


class NoTls(Exception):
    """The other side speaks no TLS."""


class Transport:
    """Connections to one registry and to where it redirects. Threads may share it."""

    def __init__(self, registry: str, *, insecure: bool = False) -> None:
        self._registry = registry
        self._insecure = insecure
        self._pools: dict[tuple[str, str], urllib3.PoolManager] = {}
        self._lock = threading.Lock()

    def get(self, url: str, headers: Mapping[str, str]) -> Response:
        """GET. The body has to be read or closed.

        Raises:
            RequestInterrupted, NoTls: as they say.
            BangerError: ``denied`` for a certificate that nobody vouches for, ``invalid`` for a URL
                that is not valid.
        """
        return self._request("GET", url, headers)

    def post_form(self, url: str, fields: Mapping[str, str]) -> Response:
        """POST a form. Raises as ``get``."""
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._request("POST", url, kind, urlencode(fields))

    def close(self) -> None:
        for pool in self._pools.values():
            pool.clear()

    def _request(
        self, method: str, url: str, headers: Mapping[str, str], body: str | None = None
    ) -> Response:
        parts = split_url(url, self._registry)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise _no_url(self._registry)
        common = {"User-Agent": f"banger/{__version__}", "Accept-Encoding": "identity"}
        try:
            return self._pool(parts.scheme, parts.netloc, parts.hostname).request(
                method,
                url,
                headers={**common, **headers},
                body=body,
                preload_content=False,
                decode_content=False,
                redirect=False,
                retries=False,
            )
        except SSLError as error:
            raise self._tls_problem(error, parts.netloc) from error
        except (HTTPError, OSError) as error:
            raise RequestInterrupted(
                f"{parts.netloc} cannot be reached: {_reason(error)}"
            ) from error

    def _tls_problem(self, error: SSLError, host: str) -> Exception:
        cause = error.args[0] if error.args else None
        if not isinstance(cause, ssl.SSLCertVerificationError):
            return NoTls(f"{host} speaks no TLS: {_reason(error)}")
        return BangerError(
            Code.DENIED,
            f"the certificate of {host} cannot be trusted: {cause.verify_message}",
            hint=f"put its authority into /etc/containers/certs.d/{host}/ca.crt, or use --insecure",
        )

    def _pool(self, scheme: str, netloc: str, hostname: str) -> urllib3.PoolManager:
        with self._lock:
            if (scheme, netloc) not in self._pools:
                self._pools[scheme, netloc] = self._new_pool(scheme, netloc, hostname)
            return self._pools[scheme, netloc]

    def _new_pool(self, scheme: str, netloc: str, hostname: str) -> urllib3.PoolManager:
        arguments: dict[str, Any] = {
            "maxsize": _CONNECTIONS,
            "timeout": urllib3.Timeout(connect=_CONNECT_SECONDS, read=_SILENCE_SECONDS),
        }
        if scheme == "https":
            arguments["ssl_context"] = self._tls(netloc)
        proxy = getproxies().get(scheme)
        if proxy and not is_loopback(hostname) and not proxy_bypass(netloc):
            return urllib3.ProxyManager(proxy if "://" in proxy else f"http://{proxy}", **arguments)
        return urllib3.PoolManager(**arguments)

    def _tls(self, netloc: str) -> ssl.SSLContext:
        context = ssl.create_default_context()
        for directory in (Path(top).expanduser() / netloc for top in _CERTIFICATES):
            for authority in sorted(directory.glob("*.crt")):
                context.load_verify_locations(authority)
            for certificate in sorted(directory.glob("*.cert")):
                context.load_cert_chain(certificate, certificate.with_suffix(".key"))
        if self._insecure and netloc == self._registry:
            urllib3.disable_warnings(InsecureRequestWarning)  # the user has asked for it
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def split_url(url: str, registry: str) -> SplitResult:
    """The parts of a URL that ``registry`` has sent. Raises ``invalid`` if it is not valid."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises ValueError for one that is not a port
    except ValueError:
        raise _no_url(registry) from None
    if len(url) > _LONGEST_URL:
        raise _no_url(registry)
    return parts


def discard(response: Response) -> None:
    """Finish with a response whose body is of no use, however long it is."""
    if response.length_remaining is not None and response.length_remaining <= _SHORT_BODY:
        response.drain_conn()
    else:
        response.close()


def chunks(response: Response) -> Iterator[bytes]:
    """The body, about ``CHUNK`` bytes at a time.

    Raises:
        RequestInterrupted: when it ends too early.
    """
    try:
        while block := response.read(CHUNK, decode_content=False):
            yield block
    except (HTTPError, OSError) as error:
        raise RequestInterrupted(f"the connection broke: {_reason(error)}") from error
    finally:
        response.close() if response.length_remaining else response.release_conn()


def read_all(response: Response, limit: int) -> bytes:
    """The whole body. Raises ``too_large`` for one of more than ``limit`` bytes."""
    content = bytearray()
    for block in chunks(response):
        content += block
        if len(content) > limit:
            response.close()
            raise BangerError(
                Code.TOO_LARGE, f"the registry sent more than {limit >> 10} KiB for a document"
            )
    return bytes(content)


def is_loopback(host: str) -> bool:
    """Whether a host, without a port, is this machine by its name or address."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def leads_here(host: str) -> bool:
    """Whether a connection to a host may reach this machine: in any spelling that the resolver
    knows of a loopback address (inet_aton(3), RFC 4291 section 2.5.5.2) or of ``localhost`` (RFC
    6761 section 6.3), and the unspecified address, which Linux takes for a loopback one."""
    name = host.lower().strip("[]").rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(_plain_address(name))
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.is_loopback or address.is_unspecified


def _plain_address(name: str) -> str:
    """An IPv4 address of fewer parts, octal or hexadecimal ones, as four decimal ones."""
    try:
        return socket.inet_ntoa(socket.inet_aton(name))
    except OSError:
        return name.partition("%")[0]


def _no_url(registry: str) -> BangerError:
    return BangerError(
        Code.INVALID,
        f"{registry} sent a URL that is not valid",
        hint="report it to the operator of the registry, or of the proxy in front of it",
    )


def _reason(error: Exception) -> str:
    if isinstance(error, NameResolutionError):
        return "its name cannot be resolved"
    if isinstance(error, UrllibTimeout) and not isinstance(error, NewConnectionError):
        return "it does not answer in time"
    text = str(error).rpartition(": ")[2].strip(" ()'")
    return text[:200] or type(error).__name__
