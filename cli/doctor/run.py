"""All checks of ``banger doctor``: a module for each subject, and no check needs another."""

from collections.abc import Callable, Iterator

from cli.doctor.finding import fail
from shared.config import Config, load_config
from shared.errors import BangerError
from shared.paths import Paths
from shared.vmm.info import Finding

DoctorCheck = Callable[[Paths, Config], Iterator[Finding]]


def run_checks(paths: Paths) -> list[Finding]:
    """All findings. A check that fails itself is a FAIL, and the others still run."""
    from cli.doctor import dns, host, network, services, storage, tools, vmm

    config, results = _config(paths)
    checks: tuple[DoctorCheck, ...] = (
        host.architecture,
        vmm.virtual_machines,
        tools.host_tools,
        storage.run_directory,
        storage.store,
        storage.disk_space,
        storage.templates,
        services.registered,
        services.images_and_kernels,
        services.dns_port,
        network.network,
        dns.names,
        host.isolation,
        host.default_sizes,
    )
    for check in checks:
        try:
            results += check(paths, config)
        except Exception as error:  # anything may be broken where doctor is needed
            name = check.__name__.replace("_", " ")
            results.append(fail(name, f"the check failed: {type(error).__name__}: {error}"))
    return results


def _config(paths: Paths) -> tuple[Config, list[Finding]]:
    """The configuration; with a wrong file the defaults, so that the rest is checked."""
    try:
        config = load_config(paths.config_file)
    except BangerError as error:
        return Config(), [fail("configuration", error.message, error.hint)]
    found = (
        str(paths.config_file)
        if paths.config_file.exists()
        else "no configuration file, all defaults"
    )
    return config, [Finding("configuration", "PASS", found)]
