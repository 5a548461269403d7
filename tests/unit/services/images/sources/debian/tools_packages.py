"""Packages of tools as small as they can be: one program of this host under all their names."""

from pathlib import Path

PROGRAM = Path("/bin/true").resolve().read_bytes()
_LIBRARIES = Path("/lib/x86_64-linux-gnu")
LIBRARIES = "usr/lib/x86_64-linux-gnu"
TOOLS: dict[str, bytes] = {
    **{f"usr/sbin/{name}": PROGRAM for name in ("sshd", "qemu-ga")},
    **{f"usr/bin/{name}": PROGRAM for name in ("rsync", "zstd")},
    # As in Debian 12: not everything is below /usr.
    "sbin/resize2fs": PROGRAM,
    "bin/tar": PROGRAM,
    "usr/lib/openssh/sftp-server": PROGRAM,
    **{
        f"lib/x86_64-linux-gnu/security/pam_{name}.so": PROGRAM
        for name in ("deny", "env", "limits", "permit")
    },
    **{
        f"{LIBRARIES}/{name}": (_LIBRARIES / name).read_bytes()
        for name in ("libc.so.6", "ld-linux-x86-64.so.2")
    },
}
