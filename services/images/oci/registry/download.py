"""An image out of a registry: its documents, then its layers, several at a time, into the cache."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed, wait
from pathlib import Path

from services.images.oci.blobs import BlobCache, BlobDraft
from services.images.oci.documents import (
    ACCEPTED,
    LONGEST_DOCUMENT,
    Descriptor,
    ManifestDocument,
    check_content,
    fetch_checked,
)
from services.images.oci.image_config import LONGEST_CONFIG, LayerBlob, Pulled, read_config
from services.images.oci.manifest import choose
from services.images.oci.reference import Reference, is_digest
from services.images.oci.registry.session import TRIES, RegistrySession, Tell, tell_nobody
from services.images.oci.registry.transport import (
    CHUNK,
    RequestInterrupted,
    Response,
    chunks,
)
from shared.errors import BangerError, Code

AT_ONCE = 4
"""Layers that are fetched side by side."""
_OK = frozenset({200})
_PARTIAL = frozenset({200, 206, 416})
_MOST_TRIES = 100
"""For one blob, however well each of them goes."""

_END_SECONDS = 3.0
"""How long the other downloads may take to end after one has failed. One that waits for a silent
registry ends with the process."""

OnBytes = Callable[[int, int], None]
"""Takes how many bytes are here, and how many there will be."""


class RegistryDownload:
    """The download of one image."""

    def __init__(
        self,
        reference: Reference,
        cache: BlobCache,
        progress: OnBytes,
        *,
        auth_file: str = "",
        insecure: bool = False,
        tell: Tell = tell_nobody,
    ) -> None:
        self._stop = threading.Event()
        self._session = RegistrySession(
            reference, auth_file=auth_file, insecure=insecure, pause=self._pause, tell=tell
        )
        self._cache = cache
        self._count = _Count(progress)

    def manifest(self) -> tuple[ManifestDocument, str]:
        """The manifest for this platform, and its digest.

        Raises:
            BangerError: as ``RegistrySession.get`` and ``choose``.
        """
        wanted = self._session.reference.wanted
        content, media_type = self._document(wanted)
        return choose(content, media_type, lambda found: self._document(found.digest)[0])

    def fetch(self, manifest: ManifestDocument, digest: str) -> Pulled:
        """Everything the manifest names.

        Raises:
            BangerError: as ``manifest``, and ``no_space``.
        """
        content = fetch_checked(manifest.config, self._config, LONGEST_CONFIG)
        image = read_config(content, len(manifest.layers))
        files = self._fetch_all({layer.digest: layer for layer in manifest.layers})
        layers = [
            LayerBlob(files[layer.digest], layer.digest, diff_id, layer.size)
            for layer, diff_id in zip(manifest.layers, image.diff_ids, strict=True)
        ]
        return Pulled(image.config, layers, digest)

    def close(self) -> None:
        """Give up what is under way."""
        self._stop.set()
        self._session.close()

    def _document(self, wanted: str) -> tuple[bytes, str]:
        """A manifest or an index, and what the registry calls it."""
        content, headers = self._session.get_whole(
            f"manifests/{wanted}", {"Accept": ", ".join(ACCEPTED)}, LONGEST_DOCUMENT
        )
        told = headers.get("Docker-Content-Digest", "")
        for digest in {wanted, told} if is_digest(told) else {wanted}:
            if is_digest(digest):
                check_content(content, digest)
        return content, headers.get("Content-Type", "")

    def _config(self, descriptor: Descriptor) -> bytes:
        return self._session.get_whole(f"blobs/{descriptor.digest}", {}, descriptor.size)[0]

    def _fetch_all(self, layers: Mapping[str, Descriptor]) -> dict[str, Path]:
        """The file of each. The first failure ends all of them."""
        self._count.expect(sum(layer.size for layer in layers.values()))
        pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="layer")
        futures = {pool.submit(self._fetch, layer): digest for digest, layer in layers.items()}
        try:
            return {futures[future]: future.result() for future in as_completed(futures)}
        except BaseException:
            self._stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            wait(futures, timeout=_END_SECONDS)
            raise
        finally:
            pool.shutdown(wait=False)

    def _fetch(self, layer: Descriptor) -> Path:
        if found := self._cache.find(layer.digest, layer.size):
            self._count.add(layer.size)
            return found
        with self._cache.draft(layer.digest, layer.size, lambda: self._pause(0.1)) as draft:
            if found := self._cache.find(layer.digest, layer.size):
                self._count.add(layer.size)
                return found
            self._count.add(draft.offset)
            self._complete(draft, layer)
            return draft.finish()

    def _complete(self, draft: BlobDraft, layer: Descriptor) -> None:
        """Go on where the last connection broke, as long as that leads further."""
        failures = 0
        for _ in range(_MOST_TRIES):
            before = draft.offset
            if before == layer.size:
                return
            try:
                self._continue(draft, layer)
            except RequestInterrupted as problem:
                failures = 0 if draft.offset - before >= CHUNK else failures + 1
                if failures == TRIES:
                    raise self._session.unreachable(problem) from problem
                self._session.wait(failures, problem)
        raise self._session.unreachable(RequestInterrupted(f"{_MOST_TRIES} connections broke"))

    def _continue(self, draft: BlobDraft, layer: Descriptor) -> None:
        start = draft.offset
        ranged = {"Range": f"bytes={start}-"} if start else {}
        response = self._session.get(f"blobs/{layer.digest}", ranged, _PARTIAL if start else _OK)
        if start and not _continues(response, start, layer.size):
            self._count.add(-start)
            draft.restart()
            if response.status != 200:
                response.close()
                raise RequestInterrupted("the registry cannot resume the download")
        for block in chunks(response):
            if self._stop.is_set():
                response.close()
                raise BangerError(Code.CANCELLED, "the pull was given up")
            draft.write(block)
            self._count.add(len(block))
        if draft.offset != layer.size:
            raise RequestInterrupted(f"{layer.digest} ended after {draft.offset} bytes")

    def _pause(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise BangerError(Code.CANCELLED, "the pull was given up")


class _Count:
    """Bytes of all layers together."""

    def __init__(self, progress: OnBytes) -> None:
        self._progress = progress
        self._lock = threading.Lock()
        self._here = self._total = 0

    def expect(self, total: int) -> None:
        self._total = total

    def add(self, number: int) -> None:
        with self._lock:
            self._here += number
            here = self._here
        self._progress(here, self._total)


def _continues(response: Response, start: int, size: int) -> bool:
    """Whether the body is the rest of the blob: RFC 9110 section 14.4."""
    told = response.headers.get("Content-Range", "").replace(" ", "").lower()
    return response.status == 206 and told == f"bytes{start}-{size - 1}/{size}"
