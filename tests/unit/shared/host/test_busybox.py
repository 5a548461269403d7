"""Only a busybox that needs no loader can be a guest's first shell."""

from pathlib import Path

import pytest

from shared.errors import BangerError, Code
from shared.host.busybox import find_busybox


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only directory on PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def install(tools: Path, content: bytes) -> Path:
    path = tools / "busybox"
    path.write_bytes(content)
    path.chmod(0o755)
    return path


def test_static_busybox_is_found(tools: Path) -> None:
    path = install(tools, b"\x7fELF static")
    assert find_busybox() == path


@pytest.mark.parametrize("loader", [b"/lib64/ld-linux-x86-64.so.2", b"/lib/ld-musl-x86_64.so.1"])
def test_dynamic_busybox_is_refused_by_its_path(tools: Path, loader: bytes) -> None:
    path = install(tools, b"\x7fELF" + bytes(600) + loader)
    with pytest.raises(BangerError) as caught:
        find_busybox()
    assert caught.value.code is Code.MISSING_TOOL
    assert str(path) in caught.value.message


def test_missing_busybox_says_how_to_install_it(tools: Path) -> None:
    with pytest.raises(BangerError) as caught:
        find_busybox()
    assert caught.value.code is Code.MISSING_TOOL
    assert "busybox-static" in caught.value.hint
