"""Filters that the kernel runs."""

import socket

import pytest

from services.vm_supervisor.network.socket_filter import (
    EQUAL,
    GIVE,
    LOAD_BYTE,
    WHOLE,
    Step,
    attach,
)

STARTS_WITH_A: tuple[Step, ...] = (
    (LOAD_BYTE, 0, 0, 0),
    (EQUAL, 0, 1, ord("a")),
    (GIVE, 0, 0, WHOLE),
    (GIVE, 0, 0, 0),
)


def test_kernel_drops_what_the_program_does_not_give_and_the_sender_does_not_notice() -> None:
    sender, receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with sender, receiver:
        attach(receiver, STARTS_WITH_A)
        receiver.setblocking(False)
        for frame in (b"b", b"", b"apple"):
            sender.send(frame)
        assert receiver.recv(100) == b"apple"
        with pytest.raises(BlockingIOError):
            receiver.recv(100)


def test_filter_cannot_be_replaced() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        attach(one, STARTS_WITH_A)
        with pytest.raises(PermissionError):
            attach(one, STARTS_WITH_A)
