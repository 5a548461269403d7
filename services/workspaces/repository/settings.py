"""Who the user is and where the repository comes from: the settings that go into a guest.

The URL of ``origin`` goes in without what it holds of secrets. Many tools put a token into it, as
the password or in the place of the user.
"""

import re
from dataclasses import dataclass

from services.workspaces.repository.configuration import Configuration

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<rest>.*)", re.S)
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9+.-]*::")
"""Before a URL: the remote helper to use (gitremote-helpers(7))."""
_USER_IS_PUBLIC = ("ssh", "git+ssh", "ssh+git", "git", "rsync")
"""Schemes whose user is a login name; with the others it is as often a token."""
_WITH_QUERY = ("http", "https", "ftp", "ftps")
_OF_THE_USER = ("global", "system")
_OF_THE_REPOSITORY = ("local", "worktree")


@dataclass(frozen=True)
class GitIdentity:
    """Name and address for commits; either may be empty."""

    name: str = ""
    email: str = ""


@dataclass(frozen=True)
class CarriedSettings:
    origin: str = ""
    """The URL of the remote ``origin``, without secrets; empty without one."""
    secret_removed: bool = False
    """Whether that URL held what may be a password or a token."""
    own: GitIdentity = GitIdentity()
    """That the repository itself configures, for the guest's copy of it."""
    user: GitIdentity = GitIdentity()
    """That the user has for all repositories (those that a condition like ``includeIf`` selects
    for this one included), for the guest's /root/.gitconfig."""


def carried_settings(configuration: Configuration) -> CarriedSettings:
    """What of a configuration goes in."""
    url = _with_real_base(configuration.get("remote.origin.url") or "", configuration)
    origin = without_secrets(url) if url.isprintable() else ""
    return CarriedSettings(
        origin=origin,
        secret_removed=origin != url,
        own=_identity(configuration, _OF_THE_REPOSITORY),
        user=_identity(configuration, _OF_THE_USER),
    )


def without_secrets(url: str) -> str:
    """A remote's URL (git-clone(1), "GIT URLS") without password, token and query.

    ``ssh://git@host/path``, ``git@host:path`` and local paths have none and stay as they are.
    """
    helper = _HELPER.match(url)
    if helper:
        return helper[0] + without_secrets(url[helper.end() :])
    parts = _URL.fullmatch(url)
    if parts is None:
        return url
    scheme, rest = parts["scheme"], parts["rest"]
    user_info, _, host = parts["authority"].rpartition("@")
    user = user_info.partition(":")[0] if scheme.lower() in _USER_IS_PUBLIC else ""
    path = re.split("[?#]", rest, maxsplit=1)[0] if scheme.lower() in _WITH_QUERY else rest
    return f"{scheme}://{f'{user}@' if user else ''}{host}{path}"


def _with_real_base(url: str, configuration: Configuration) -> str:
    """Apply ``url.<base>.insteadOf``, the longest match first (git-config(1))."""
    best, base = "", ""
    for _, name, value in configuration.settings:
        named = name.startswith("url.") and name.endswith(".insteadof")
        if named and url.startswith(value) and len(value) > len(best):
            best, base = value, name.removeprefix("url.").removesuffix(".insteadof")
    return base + url.removeprefix(best) if best else url


def _identity(configuration: Configuration, scopes: tuple[str, ...]) -> GitIdentity:
    name, email = (configuration.get(f"user.{key}", scopes) or "" for key in ("name", "email"))
    return GitIdentity(_plain(name), _plain(email))


def _plain(text: str) -> str:
    return text if text.isprintable() else ""
