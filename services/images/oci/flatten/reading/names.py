"""Names of an archive as paths in the image."""

from services.images.oci.flatten.limits import NAME_BYTES, PATH_BYTES, refused, show


def member_path(name: bytes) -> tuple[bytes, ...]:
    """The components of a member's name; none for the root directory.

    Raises:
        BangerError: ``invalid`` for a name that is absolute, empty, too long or leads upwards. The
            root directory may be called "/", which some builders write.
    """
    if name.startswith(b"/") and name.strip(b"/"):
        raise refused(f"the name {show(name)} is absolute")
    if not name:
        raise refused("a member has no name")
    return _components(name)


def link_path(target: bytes) -> tuple[bytes, ...]:
    """The components of a hard link's target, which is in the image also when it begins with "/".

    Raises:
        BangerError: ``invalid``
    """
    path = _components(target)
    if not path:
        raise refused(f"a hard link leads to {show(target) or 'nothing'}")
    return path


def _components(name: bytes) -> tuple[bytes, ...]:
    if len(name) > PATH_BYTES:
        raise refused(f"a name has more than {PATH_BYTES} bytes: {show(name)}")
    path = tuple(part for part in name.split(b"/") if part not in (b"", b"."))
    for part in path:
        if part == b"..":
            raise refused(f"the name {show(name)} leads out of its directory")
        if len(part) > NAME_BYTES:
            raise refused(f"a file name has more than {NAME_BYTES} bytes: {show(part)}")
    return path
