"""The kernel's command line: the same for every VMM, but for what its machine needs.

It never contains anything that a user typed. Parameters: Documentation/admin-guide/
kernel-parameters.rst; masks: systemd-debug-generator(8).
"""

from shared.vmm.accelerator import Accelerator

_KERNEL_ARGUMENTS = (
    "console=ttyS0",
    "quiet",
    "loglevel=3",  # the emulated serial port is slow
    "cryptomgr.notests",  # the kernel tests its ciphers at every boot, a quarter second emulated
    "panic=-1",  # reset at once: a reset ends the VMM, and the supervisor sees it
    "net.ifnames=0",  # udev must not rename the device that is up already
    "systemd.mask=ssh.socket",  # its port is that of banger's sshd, which runs before systemd
    # Work at each boot and stop that only other machines need: a login on a screen, a random seed
    # (the VMM provides entropy), wtmp's records of boots, the firmware's crash dumps.
    "systemd.mask=getty@tty1.service",
    "systemd.mask=systemd-random-seed.service",
    "systemd.mask=systemd-update-utmp.service",
    "systemd.mask=systemd-update-utmp-runlevel.service",
    "systemd.mask=modprobe@drm.service",
    "systemd.mask=modprobe@efi_pstore.service",
)


def kernel_arguments(accelerator: Accelerator, machine: tuple[str, ...] = ()) -> str:
    """The whole line; ``machine``: what the VMM's machine needs in addition."""
    words = [*_KERNEL_ARGUMENTS, *machine]
    if accelerator.tsc_khz is not None:
        # Without it, the guest's own calibration fails on a busy host, and the guest hangs
        # (shared/vmm/qemu/tsc.py).
        words += ["tsc=reliable", f"tsc_early_khz={accelerator.tsc_khz}"]
    return " ".join(words)
