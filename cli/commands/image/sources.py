"""What the services cannot know of a source: the directory and the environment of this command."""

import os

LOCAL = ("oci:", "docker-archive:")


def source_path(source: str) -> str:
    """``source`` with an absolute path, if it has one."""
    for scheme in LOCAL:
        if source.startswith(scheme):
            path = source.removeprefix(scheme)
            while path.startswith("./"):
                path = path[2:].lstrip("/")
            return scheme + os.path.join(os.getcwd(), path)  # noqa: PTH109, PTH118 - REF may follow
    return source


def auth_file() -> str:
    """The file of passwords that $REGISTRY_AUTH_FILE names, for docker's and podman's users."""
    named = os.environ.get("REGISTRY_AUTH_FILE", "")
    return os.path.abspath(named) if named else ""  # noqa: PTH100
