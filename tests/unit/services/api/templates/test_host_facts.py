"""What VMMs say of this host is asked once for each program."""

from pathlib import Path

import pytest

from services.api.templates import host_facts
from services.api.templates.host_facts import HostQuestions, files_in
from shared.config import Config
from shared.errors import BangerError


def test_a_vmm_is_asked_again_when_its_program_is_another(tmp_path: Path) -> None:
    program, asked = tmp_path / "qemu", tmp_path / "asked"
    program.write_text(f"#!/bin/sh\necho >>{asked}\necho 'QEMU emulator version 7.2.9'\n")
    program.chmod(0o755)
    questions = HostQuestions(Config(qemu_bin=str(program), accel="tcg"), tmp_path / "no run")
    told = questions.of("qemu", tmp_path)
    assert (told.version, told.accel) == ("7.2", "tcg")
    assert questions.of("qemu", tmp_path) is told
    assert len(asked.read_text().splitlines()) == 1
    program.write_text(program.read_text().replace("7.2.9", "10.0.1"))
    assert questions.of("qemu", tmp_path).version == "10.0"


def test_a_vmm_that_is_missing_says_so(tmp_path: Path) -> None:
    with pytest.raises(BangerError, match="is not installed"):
        HostQuestions(Config(qemu_bin=str(tmp_path / "none")), tmp_path).of("qemu", tmp_path)


def test_the_files_of_a_guest_are_read_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    digests = iter(["one", "two"])
    monkeypatch.setattr(host_facts, "digest_of_guest_files", lambda: next(digests))
    questions = HostQuestions(Config(), tmp_path)
    assert [questions.guest(), questions.guest()] == ["one", "one"]


def test_files_are_known_by_what_their_directory_says(tmp_path: Path) -> None:
    (tmp_path / "vmlinux").write_text("abc")
    (tmp_path / "modules").touch()
    before = files_in(tmp_path)
    assert [(fact.name, fact.bytes) for fact in before] == [("modules", 0), ("vmlinux", 3)]
    (tmp_path / "tools").touch()
    assert files_in(tmp_path) != before
