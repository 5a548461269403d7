"""Configurations of images: read, and refused."""

import json
from typing import Any

import pytest

from services.images.oci.image_config import read_config
from shared.errors import BangerError, Code

SUM = "sha256:" + "a" * 64
AMD64 = {"os": "linux", "architecture": "amd64"}


def config(**changes: Any) -> bytes:
    rootfs = {"type": "layers", "diff_ids": [SUM]}
    return json.dumps({**AMD64, "rootfs": rootfs, "config": changes}).encode()


def test_nothing_said_means_nothing() -> None:
    fields = ("Entrypoint", "Cmd", "Env", "ExposedPorts", "Volumes", "Labels", "User", "WorkingDir")
    for content in (config(), config(**dict.fromkeys(fields))):
        found = read_config(content, 1).config
        assert found.entrypoint == found.cmd == found.exposed == found.volumes == []
        assert found.env == found.labels == {}
        assert found.user == found.workdir == found.stop_signal == ""


def test_a_command_that_is_one_text_is_for_a_shell() -> None:
    assert read_config(config(Cmd="a b"), 1).config.cmd == ["/bin/sh", "-c", "a b"]


def test_a_variable_is_split_at_the_first_sign() -> None:
    assert read_config(config(Env=["A=b=c", "E=", "N", "=x"]), 1).config.env == {
        "A": "b=c",
        "E": "",
        "N": "",
    }


@pytest.mark.parametrize(
    "content",
    [
        config(Cmd=["a\0b"]),
        config(Env=["A=\0"]),
        config(Cmd=["x" * 70_000]),
        config(Env=[f"V{number}=" for number in range(1001)]),
        config(Cmd={"a": 1}),
        config(Labels={"a": 1}),
        b"{}",
        json.dumps({"rootfs": {"diff_ids": []}}).encode(),
        json.dumps({"rootfs": {"diff_ids": ["sha256:x"]}}).encode(),
    ],
)
def test_a_configuration_of_no_use_is_refused(content: bytes) -> None:
    with pytest.raises(BangerError) as caught:
        read_config(content, 1)
    assert caught.value.code is Code.INVALID


def test_a_configuration_for_another_platform_is_refused() -> None:
    document = {"os": "linux", "architecture": "riscv64", "rootfs": {"diff_ids": [SUM]}}
    with pytest.raises(BangerError, match="for linux/riscv64"):
        read_config(json.dumps(document).encode(), 1)
