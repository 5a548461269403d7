"""What the services say about workspaces, for scripted peers."""

from pathlib import Path
from typing import Any

Body = dict[str, Any]


def workspace(**fields: Any) -> Body:
    return {
        "host_path": "/src/app",
        "guest_path": "/root/repo",
        "commit": "a" * 40,
        "branch": "main",
        "prepared_at": "2026-11-29T09:30:00Z",
        "head": "a" * 40,
    } | fields


def plan(**fields: Any) -> Body:
    return {
        "host_path": "/src/app",
        "guest_path": "/root/repo",
        "mode": "shallow",
        "commit": "a" * 40,
        "branch": "main",
        "commits": 10,
        "files": 12,
        "changed": 3,
        "bytes": 2048,
        "submodules": [],
        "untracked": 4,
        "tools": [{"name": "go", "version": "1.22", "source": "go.mod"}],
        "notices": ["the tools are not installed: that needs --nat"],
    } | fields


def prepared(**fields: Any) -> Body:
    return {
        "workspace": workspace(),
        "files": 12,
        "removed": 0,
        "bytes": 2048,
        "notices": [],
        "tools_log": "",
    } | fields


def changes(*kinds_and_paths: tuple[str, str]) -> list[Body]:
    return [{"kind": kind, "path": path, "old_path": ""} for kind, path in kinds_and_paths]


def exported(**fields: Any) -> Body:
    return {
        "workspace": workspace(),
        "changes": changes(("added", "made")),
        "more": 0,
        "commits": 0,
        "bytes": 10,
        "base": "a" * 40,
        "notices": [],
    } | fields


def applied(**fields: Any) -> Body:
    return {
        "workspace": workspace(),
        "host_path": "/src/app",
        "changes": changes(("added", "made"), ("deleted", "gone")),
        "more": 0,
        "commits": 0,
    } | fields


def writing(content: bytes, answer: Body) -> Any:
    """An answer that first writes ``content`` to the output that the request names."""

    def write(body: Body) -> Body:
        Path(body["output"]).write_bytes(content)
        return answer

    return write
