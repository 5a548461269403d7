"""What is printed of an image, and what is left out because there is nothing."""

from cli.commands.image.details import details_of
from shared.contract.messages.image import Image, ImageConfig, ImageLayer, ImageOrigin

PLAIN = Image(
    id="1" * 16, name="deb", arch="x86_64", created="", source="here", size=1024, path="/i/1"
)


def shown(image: Image) -> dict[str, str]:
    return {title: of(image) for title, of in details_of(image).items()}


def test_an_image_without_a_config_is_what_it_was_before() -> None:
    assert list(shown(PLAIN)) == [
        *("ID", "NAME", "ARCH", "FORMAT", "SIZE", "CREATED", "DIGEST", "SOURCE", "PATH")
    ]
    assert (shown(PLAIN)["SIZE"], shown(PLAIN)["DIGEST"]) == ("1K", "-")


def test_layers_seed_and_origin_are_shown_where_there_are_some() -> None:
    layer = ImageLayer(id="2" * 16, name="base", digest="", size=1, real_bytes=4096)
    image = Image(
        **{field: getattr(PLAIN, field) for field in ("id", "name", "arch", "created", "source")},
        size=1,
        path="/i/1",
        external="/disks/mine.squashfs",
        seed_bytes=2048,
        layers=[layer, ImageLayer(id="3" * 16, name="", digest="", size=1, real_bytes=1 << 20)],
        origin=ImageOrigin(kind="oci", reference="alpine", digest="sha256:" + "a" * 64),
    )
    found = shown(image)
    assert found["LAYERS"] == f"base (4K), {'3' * 16} (1M)"
    assert found["PATH"] == "/disks/mine.squashfs"
    assert found["PULLED"] == "sha256:" + "a" * 64
    assert found["WORK SEED"] == "2K"


def test_words_are_shown_as_a_shell_takes_them() -> None:
    config = ImageConfig(entrypoint=["/bin/sh", "-c"], cmd=["echo hi"], env={"A": "b c"})
    image = Image(
        id="1" * 16, name="x", arch="", created="", source="", size=1, path="", config=config
    )
    found = shown(image)
    assert (found["ENTRYPOINT"], found["CMD"]) == ("/bin/sh -c", "'echo hi'")
    assert found["ENV"] == "A='b c'"
    assert "USER" not in found
