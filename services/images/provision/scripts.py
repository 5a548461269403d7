"""What a build's own steps run in the guest: POSIX shell, as root."""

INSTALL = r"""
if command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update && apt-get install -y --no-install-recommends -- "$@" || exit
    apt-get clean
    rm -rf /var/lib/apt/lists/*
elif command -v apk >/dev/null; then
    apk add --no-cache -- "$@"
elif command -v dnf >/dev/null; then
    dnf install -y -- "$@" && dnf clean all
elif command -v microdnf >/dev/null; then
    microdnf install -y -- "$@" && microdnf clean all
elif command -v zypper >/dev/null; then
    zypper --non-interactive install -- "$@" && zypper clean --all
elif command -v pacman >/dev/null; then
    pacman -Sy --noconfirm -- "$@" && rm -rf /var/cache/pacman/pkg/*
else
    echo "the image has none of apt-get, apk, dnf, microdnf, zypper and pacman"
    exit 1
fi
"""
"""Installs the packages $1… by the image's own package manager."""

ADD_USER = r"""
id -u "$1" >/dev/null 2>&1 && exit
shell=/bin/sh
[ -x /bin/bash ] && shell=/bin/bash
if command -v useradd >/dev/null; then
    useradd -m -s "$shell" -- "$1"
elif command -v adduser >/dev/null; then
    adduser -D -s "$shell" "$1"
else
    echo "the image has neither useradd nor adduser"
    exit 1
fi
"""
"""Makes the account $1 with a home directory, unless there is one."""

MAKE_DIRECTORY = 'mkdir -p -- "$1"'
"""docker's WORKDIR belongs to root."""

SYNC = "sync"
