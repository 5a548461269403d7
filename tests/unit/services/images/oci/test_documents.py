"""Documents against the descriptors that name them."""

import pytest

from services.images.oci.documents import (
    LONGEST_DOCUMENT,
    OCI_MANIFEST,
    Descriptor,
    digest_of,
    fetch_checked,
)
from shared.errors import BangerError, Code


def test_a_document_that_is_what_its_descriptor_says_is_taken() -> None:
    told = Descriptor(OCI_MANIFEST, digest_of(b"{}"), 2)
    assert fetch_checked(told, lambda _: b"{}") == b"{}"


@pytest.mark.parametrize("lie", ["content", "size", "large", "digest"])
def test_a_descriptor_that_lies_is_found_out(lie: str) -> None:
    content = b"{}"
    size = 3 if lie == "size" else LONGEST_DOCUMENT + 1 if lie == "large" else 2
    digest = "sha256:../x" if lie == "digest" else digest_of(content)
    told = Descriptor(OCI_MANIFEST, digest, size)
    with pytest.raises(BangerError) as caught:
        fetch_checked(told, lambda _: b"[]" if lie == "content" else content)
    assert caught.value.code is Code.INVALID
