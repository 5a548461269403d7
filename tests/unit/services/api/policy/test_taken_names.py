import msgspec
import pytest

from services.api.policy.taken_names import refuse_taken
from shared.contract.messages.image import ImageOrigin
from shared.errors import BangerError, Code
from tests.fakes.images import IMAGE

BUILT = msgspec.structs.replace(IMAGE, name="web", origin=ImageOrigin(kind="built"))


def test_a_name_that_nobody_has_is_free() -> None:
    refuse_taken("web", None, "commit")
    refuse_taken("debian", IMAGE, "commit")  # it only begins so


def test_a_build_takes_its_name_over_from_an_earlier_one() -> None:
    refuse_taken("web", BUILT, "built")


@pytest.mark.parametrize(("name", "found", "kind"), [
    ("web", BUILT, "commit"),
    ("debian-bookworm", IMAGE, "built"),
    ("also", msgspec.structs.replace(IMAGE, names=["also"]), "built"),
])  # fmt: skip
def test_any_other_image_keeps_its_name(name: str, found: object, kind: str) -> None:
    with pytest.raises(BangerError, match="there is an image") as caught:
        refuse_taken(name, found, kind)  # type: ignore[arg-type]
    assert caught.value.code is Code.CONFLICT
    assert f"banger image delete {name}" in caught.value.hint


def test_a_name_is_taken_by_force() -> None:
    refuse_taken("debian-bookworm", IMAGE, "built", force=True)
