"""What is taken from a repository's configuration: an allow list of settings that run no program.

``git config --list`` reads the user's and the repository's configuration together, includes and
all, and runs nothing. The settings of the allow list are written into the configuration of the
private git directory. Hooks, fsmonitor, filters, diff and merge drivers, ssh commands and remotes
are not on it, so a git that runs there does not know them.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from services.workspaces.repository.discovery import Repository
from services.workspaces.repository.git_process import GitProcess, clean_environment

COPIED = (
    "core.filemode",
    "core.symlinks",
    "core.autocrlf",
    "core.eol",
    "core.ignorecase",
    "core.precomposeunicode",
    "core.trustctime",
    "core.checkstat",
    "core.checkroundtripencoding",
    "core.sparsecheckout",
    "core.sparsecheckoutcone",
    "sparse.expectfilesoutsideofpatterns",
)
"""How the work tree and the index are to be read; none of these can name a program or a file."""

PATHS = {"core.excludesfile": "ignore", "core.attributesfile": "attributes"}
"""Files of patterns, and the name in ~/.config/git of the one that git reads by itself."""

OURS = {
    "core.repositoryformatversion": "1",
    "core.bare": "false",
    "core.hookspath": "/dev/null",
    "core.fsmonitor": "false",
    "core.untrackedcache": "false",
    "core.safecrlf": "false",
    "core.logallrefupdates": "false",
    "core.packedgitwindowsize": "4m",
    "core.packedgitlimit": "48m",
    "core.deltabasecachelimit": "16m",
    "core.bigfilethreshold": "16m",
    "pack.threads": "1",
    "pack.compression": "1",
    "pack.windowmemory": "16m",
    "pack.deltacachesize": "8m",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "protocol.allow": "never",
    "submodule.recurse": "false",
    # Writing a sparse index writes trees, and git renews the time of those that exist already.
    "index.sparse": "false",
    "commit.gpgsign": "false",
}
"""Bounded memory, and no helper of git's own that does more than it was asked."""

Scope = str
"""As ``git config --show-scope`` has it: system, global, local, worktree."""


@dataclass(frozen=True)
class Configuration:
    """Settings in git's order of precedence, the last one wins. Names are in lower case."""

    settings: tuple[tuple[Scope, str, str], ...] = field(default_factory=tuple)

    def get(self, name: str, scopes: tuple[Scope, ...] = ()) -> str | None:
        """The value that git would use, from any scope or from these only."""
        for scope, key, value in reversed(self.settings):
            if key == name and (not scopes or scope in scopes):
                return value
        return None

    def flag(self, name: str, default: bool) -> bool:
        value = self.get(name)
        return default if value is None else value.lower() in ("true", "yes", "on", "1")

    def names(self) -> list[str]:
        return [name for _, name, _ in self.settings]


def read_configuration(repository: Repository) -> Configuration:
    """The configuration that a git of the user would have in this repository."""
    git = GitProcess(repository.top, clean_environment())
    listing = git.run("config", "--list", "-z", "--show-scope", limit_seconds=30)
    return Configuration(tuple(_settings(listing)))


def private_settings(configuration: Configuration, repository: Repository) -> dict[str, str]:
    """The settings of the private git directory."""
    copied = {name: value for name in COPIED if (value := configuration.get(name)) is not None}
    files = {
        name: str(path)
        for name, default in PATHS.items()
        if (path := _pattern_file(configuration.get(name), default, repository.top))
    }
    formats = (
        {}
        if repository.object_format == "sha1"
        else {"extensions.objectformat": repository.object_format}
    )
    return {**copied, **files, **formats, **OURS}


def config_text(settings: Mapping[str, str]) -> str:
    """A configuration file (git-config(1), "Syntax")."""
    lines = []
    for name, value in settings.items():
        section, key = name.split(".", 1)
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        lines.append(f'[{section}]\n\t{key} = "{escaped}"\n')
    return "".join(lines)


def _settings(listing: bytes) -> list[tuple[Scope, str, str]]:
    """``scope NUL name LF value NUL``; a name without a value means true."""
    words = os.fsdecode(listing).split("\0")
    found = []
    for scope, setting in zip(words[0::2], words[1::2], strict=False):
        name, equals, value = setting.partition("\n")
        found.append((scope, name, value if equals else "true"))
    return found


def _pattern_file(value: str | None, default: str, top: Path) -> Path | None:
    """The regular file that a setting, or git's default, names; None when there is none."""
    if value is None:
        home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
        path = _expanded(home) / "git" / default
    else:
        path = top / _expanded(value)
    return path if path.is_file() and os.access(path, os.R_OK) else None


def _expanded(path: str) -> Path:
    """With the home directory for ``~``; as it is where there is no such user."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)
