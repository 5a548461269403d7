"""The name of every file of a VM. docs/internals.md says what is in each, and who writes it.

A VM has two directories, ``Paths.vm_state(id)`` and ``Paths.vm_run(id)``; these are names in them.
A name is a promise: a supervisor takes over VMs that were started before it was installed.
"""

# In the state directory: kept until the VM is deleted.

OVERLAY = "overlay.ext4"
"""The system overlay."""
WORK_DISK = "work.ext4"
"""What the guest has as /root."""
CONSOLE_LOG = "console.log"
"""What the guest prints on its serial console, of all boots."""
VMM_LOG = "vmm.log"
"""What the VMM itself prints, of the last launch."""
SUPERVISOR_LOG = "supervisor.log"
SSH_LOG = "ssh.log"
METRICS = "metrics.json"
"""Counters of a VMM that writes some."""
LOCK = "supervisor.lock"
"""Held by the supervisor. Beside the disks: they outlive the run directory."""
GUEST_WRITTEN = (CONSOLE_LOG, VMM_LOG, SSH_LOG, METRICS)
"""What a guest, or a VMM that it has taken over, can make grow."""
HOST_KEY = "ssh/host_key"
"""The guest's ssh host key, which has its directory to itself."""
KNOWN_HOSTS = "known_hosts"
SNAPSHOTS = "snapshots"
"""A directory with one saved machine for each snapshot, by its name."""
SUSPENDED = "suspended"
"""The saved machine of a VM that is suspended; its disks are those of the VM."""
RESTORING = "restoring"
"""The saved machine that the VM is about to become; whoever finds it goes on with that."""
FORKS = "forks"
"""A directory with what copies of this VM are being made from."""

# In the directory of a saved machine, beside copies of OVERLAY and WORK_DISK (vm/saved.py).

SAVED = "saved.json"
MEMORY = "memory"
"""The guest's memory, byte for byte; or a stream of the VMM's own, with the device state."""
DEVICE_STATE = "device_state"
"""What the VMM knows of processors and devices; not there where MEMORY is a stream."""

# In the run directory: gone with the host's next boot.

OLD_LOCK = "lock"
"""What a supervisor of version 0.1.0 holds in place of ``LOCK``."""
HANDLE = "handle.json"
HANDLE_COPY = "handle.copy.json"
INITRD = "initrd"
"""There until the guest answers: it holds the guest's host key."""
SSH_SOCKET = "ssh.sock"
"""Of the ssh connection that sessions share."""
SSH_LOCK = "ssh.lock"
"""Held by a command that opens this connection again."""
AGENT_SOCKET = "agent.sock"
CONSOLE_SOCKET = "console.sock"
"""Of a VMM that serves the serial console on a socket."""
CONSOLE_INPUT = "console.in"
"""A FIFO: what is typed, for a VMM whose serial console is its stdin and stdout."""
CONSOLE_LOCK = "console.lock"
"""Held by whoever is attached to the serial console."""
QMP_SOCKET = "qmp.sock"
"""Control of a VMM that speaks QMP."""
API_SOCKET = "api.sock"
"""Control of a VMM that serves an HTTP API."""
UDP_SOCKET = "udp.sock"
UDP_VMM_SOCKET = "udp-vmm.sock"
"""The two ends of the wire for UDP ports, ours and the VMM's."""
JAIL = "jail"
"""The directory of the sockets of a jailed VMM, which sees it as /vm."""
