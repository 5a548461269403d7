"""The rules of the house, held against the syntax trees of the source."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path.relative_to(ROOT)
    for top in ("banger", "cli", "services", "shared")
    for path in ROOT.glob(f"{top}/**/*.py")
)
HOMES = {
    "zmq": "shared/bus",
    "_socket": "shared/bus",
    "sqlalchemy": "services/store",
    "alembic": "services/store",
    "pyroute2": "services/nat",
    "dnslib": "tests",
    "h11": "services/vm_supervisor/drivers",
    "urllib3": "services/images/oci/registry",
    "isal": "services/images/oci",
}
ALSO = {
    "shared/ssh/shared_connection.py": "_socket",  # the socket of ssh's master, not one of the bus
}
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}
LONGEST_FUNCTION = 45

MIRRORED = (
    "shared",
    "services/broker",
    "services/launcher",
    "services/store",
    "services/api",
    "services/images",
    "services/nat",
    "services/dns",
    "services/vm_supervisor",
    "services/workspaces",
    "cli",
)
WITHOUT_MIRROR = {
    "shared/version.py": "one constant",
    "cli/guest/running_command.py": "waits for what test_session.py does",
    "cli/terminal/interrupted.py": "raised and caught in terminal/test_signals.py",
    **{
        f"shared/contract/verbs/{name}.py": "held against the services in test_protocol.py"
        for name in ("api", "daemon", "dns", "images", "nat", "store", "supervisor", "workspaces")
    },
    "shared/contract/catalogue.py": "looked through in test_verb.py",
    "shared/contract/messages/build.py": "declarations only",
    "shared/contract/messages/guest_run.py": "declarations only",
    "shared/contract/messages/image.py": "declarations only",
    "shared/contract/messages/image_work.py": "declarations only",
    "shared/contract/messages/machine.py": "declarations only",
    "shared/contract/messages/network.py": "declarations only",
    "shared/contract/messages/operation.py": "declarations only",
    "shared/contract/messages/page.py": "declarations only",
    "shared/contract/messages/rows.py": "declarations only",
    "shared/contract/messages/template.py": "declarations only",
    "shared/contract/messages/snapshot.py": "declarations only",
    "shared/contract/messages/vm.py": "declarations only",
    "shared/contract/messages/vm_request.py": "declarations only",
    "shared/contract/messages/workspace.py": "declarations only",
    "shared/bus/ask.py": "a declaration only",
    "shared/bus/socket.py": "real sockets: tests/integration/test_bus.py",
    "shared/bus/link.py": "real sockets: tests/integration/test_bus.py",
    "shared/bus/client.py": "real sockets: tests/integration/test_bus.py",
    "shared/bus/runner.py": "real processes: tests/integration/test_crashes.py",
    "shared/bus/actor.py": "real sockets: tests/integration/test_bus.py",
    "services/nat/reconciler.py": "real store and kernel: tests/integration/test_nat_passes.py",
    "services/nat/kernel/network.py": "real kernel: tests/integration/test_nat_policies.py",
    "services/nat/kernel/links.py": "real kernel: tests/integration/test_nat.py",
    "services/dns/server.py": "real sockets: tests/integration/test_dns.py",
    "services/dns/forward/exchange.py": "sockets: tests/integration/test_dns_forwarder.py",
    "services/dns/forward/forwarder.py": "sockets: tests/integration/test_dns_forwarder.py",
    "services/vm_supervisor/drivers/contract.py": (
        "the same tests hold every driver: tests/contract/test_driver.py"
    ),
    "services/vm_supervisor/running_vm.py": "a declaration and the name of a field",
    "services/vm_supervisor/lifecycle/process.py": "a protocol only",
    "services/vm_supervisor/nat_client.py": "real nat: tests/contract/test_jailed_vm.py",
    "cli/commands/vm/group.py": "a table of commands: each is called in test_app.py",
    "cli/commands/vm/snapshot/group.py": "a table of commands: each is called in test_app.py",
    "cli/commands/vm/workspace/group.py": "a table of commands: each is called in test_app.py",
    "cli/commands/vm/options/arguments.py": "declarations only",
    "cli/doctor/finding.py": "three constructors",
    "cli/guest/transfer/arriving.py": "whole copies, honest and hostile: test_copying.py",
    "cli/guest/transfer/ending.py": "whole copies: test_copying.py",
    "cli/guest/transfer/receiving.py": "whole copies: test_copying.py",
    "cli/guest/transfer/local_target.py": "compared with cp in test_plan.py",
    "services/images/jobs/pull.py": "real registries: tests/integration/test_image_pulls.py",
    "services/workspaces/jobs/first_prepare.py": "whole prepares: jobs/test_prepare.py",
    "services/workspaces/jobs/prepare_request.py": "whole prepares: jobs/test_prepare.py",
    "services/workspaces/applying/advance.py": "whole applies: workspaces/jobs/test_apply.py",
    "services/workspaces/applying/new_worktree.py": "whole applies: workspaces/jobs/test_apply.py",
    "services/workspaces/applying/staged_files.py": "held to what it places in test_placing.py",
    "services/workspaces/incoming/archive.py": "whole exports: workspaces/jobs/test_export.py",
    "services/workspaces/incoming/fetch.py": "hostile answers: workspaces/jobs/test_status.py",
    "services/workspaces/incoming/gitlinks.py": "submodules in workspaces/jobs/test_export.py",
    "services/workspaces/incoming/merge.py": "held against git merge: jobs/test_apply_as_merge.py",
    "services/workspaces/incoming/patch.py": "whole exports: workspaces/jobs/test_export.py",
    "services/workspaces/incoming/replay.py": "commits in workspaces/jobs/test_apply.py",
    "services/workspaces/incoming/series.py": "commits in workspaces/jobs/test_export.py",
    "services/images/oci/flatten/reading/member.py": "a declaration only",
    "services/store/tables/models.py": "compared with the migrations in test_database.py",
    "services/store/migrations/env.py": "run by test_database.py",
    "services/store/migrations/versions/rev_0001_first.py": "run by test_database.py",
    "services/store/migrations/versions/rev_0002_touched.py": "run by test_database.py",
    "services/store/migrations/versions/rev_0003_vmm.py": "run by test_database.py",
    "services/store/migrations/versions/rev_0004_egress.py": "run by test_database.py",
    "services/store/migrations/versions/rev_0005_spec.py": "run by test_database.py",
    "services/store/migrations/versions/rev_0006_wakes.py": "run by test_database.py",
}
"""Modules whose tests are elsewhere, and where. ``service.py`` shells are tested in integration."""


def tree(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(), str(path))


def imports(path: Path) -> Iterator[str]:
    """Dotted names of everything imported anywhere in a file, inside functions too."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def belongs_to(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_module_imports_only_what_its_floor_may(path: Path) -> None:
    own_service = ".".join(path.parts[:2])
    for name in imports(path):
        if belongs_to(name, "services"):
            assert belongs_to(name, own_service), f"{path} imports {name}"
        of_the_command = path.parts[0] in ("cli", "banger")
        assert not belongs_to(name, "cli") or of_the_command, f"{path} imports {name}"
        assert not belongs_to(name, "tests"), f"{path} imports {name}"


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_heavy_library_stays_in_the_one_place_that_needs_it(path: Path) -> None:
    for name in imports(path):
        home = HOMES.get(name.split(".")[0])
        if ALSO.get(str(path)) != name:
            assert home is None or path.is_relative_to(home), f"{path}: {name} is {home}'s alone"


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_names_say_what_a_thing_is(path: Path) -> None:
    assert not FORBIDDEN_NAMES & {part.removesuffix(".py") for part in path.parts}
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ClassDef):
            assert not node.name.lower().endswith(tuple(FORBIDDEN_NAMES)), f"{path}: {node.name}"


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_function_fits_on_a_screen(path: Path) -> None:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            assert lines <= LONGEST_FUNCTION, f"{path}: {node.name} has {lines} lines"


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_module_says_what_it_is_for(path: Path) -> None:
    assert path.name == "__init__.py" or ast.get_docstring(tree(path)), f"{path}: no docstring"


def test_every_module_has_the_test_that_mirrors_it() -> None:
    missing = [
        path
        for path in SOURCES
        if any(path.is_relative_to(top) for top in MIRRORED)
        and path.name not in ("__init__.py", "__main__.py", "service.py")
        and str(path) not in WITHOUT_MIRROR
        and not (ROOT / "tests" / "unit" / path.parent / f"test_{path.name}").exists()
    ]
    assert missing == []


def test_list_of_exceptions_names_only_modules_that_are_there_and_have_no_mirror() -> None:
    for name in WITHOUT_MIRROR:
        path = Path(name)
        assert path in SOURCES
        assert not (ROOT / "tests" / "unit" / path.parent / f"test_{path.name}").exists()


def test_there_is_source_to_look_at() -> None:
    assert {path.parts[0] for path in SOURCES} == {"banger", "cli", "services", "shared"}
    assert len(SOURCES) > 80
