"""Every file name of a VM is in one module; all others take it from there."""

import ast
import re
from pathlib import Path

from shared.vm import files

ROOT = Path(__file__).parents[4]
HOME = Path("shared/vm/files.py")
NAMES = {value for name, value in vars(files).items() if name.isupper()}
TELLING = {name for name in NAMES if "." in name}
"""The others are ordinary words ("lock"): file names only where a path is put together."""


def python_files(*tops: str) -> list[Path]:
    found = (path.relative_to(ROOT) for top in tops for path in ROOT.glob(f"{top}/**/*.py"))
    return sorted(path for path in found if path != HOME)


def parse(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(), str(path))


def joined_names(tree: ast.AST) -> set[str]:
    """``directory / "name"``: what is on the right of a slash."""
    divisions = (
        node.right
        for node in ast.walk(tree)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)
    )
    return {str(right.value) for right in divisions if isinstance(right, ast.Constant)}


def words(tree: ast.AST) -> set[str]:
    """Every string but docstrings, cut where a path or a list is; of an f-string its pieces."""
    texts = (
        str(child.value)
        for node in ast.walk(tree)
        for child in ast.iter_child_nodes(node)
        if isinstance(child, ast.Constant) and not isinstance(node, ast.Expr)
    )
    return {word for text in texts for word in re.split("[/,]", text)}


def test_source_writes_no_file_name_of_a_vm() -> None:
    found = {}
    for path in python_files("cli", "services", "shared", "scripts"):
        tree = parse(path)
        found[path] = NAMES & joined_names(tree) | TELLING & words(tree)
    assert {path: names for path, names in found.items() if names} == {}


def test_tests_and_benchmarks_put_paths_together_from_the_same_names() -> None:
    found = {
        path: TELLING & joined_names(parse(path)) for path in python_files("benchmarks", "tests")
    }
    found.pop(Path("tests/unit/shared/host/test_files.py"))  # a file of any name
    assert {path: names for path, names in found.items() if names} == {}


def test_names_on_disk_stay_as_they_are() -> None:
    """VMs that run when a new version is installed are found by these."""
    assert files.HANDLE == "handle.json"
    assert files.HANDLE_COPY == "handle.copy.json"
    assert (files.LOCK, files.OLD_LOCK) == ("supervisor.lock", "lock")
    assert (files.QMP_SOCKET, files.API_SOCKET) == ("qmp.sock", "api.sock")
    assert (files.AGENT_SOCKET, files.SSH_SOCKET) == ("agent.sock", "ssh.sock")
    assert (files.OVERLAY, files.WORK_DISK) == ("overlay.ext4", "work.ext4")


def test_no_two_files_of_a_directory_share_a_name() -> None:
    assert len(NAMES) == sum(name.isupper() for name in vars(files))
