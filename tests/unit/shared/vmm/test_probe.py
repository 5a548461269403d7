"""A guest that gave its sign ran, whatever became of its VMM; answers are for one boot."""

from pathlib import Path

from shared.vmm.probe import BootScopedCache, failure_of

SIGN = "banger-probe: alive"


def shell(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]


def test_the_sign_is_what_counts_not_the_status() -> None:
    assert failure_of(shell(f"echo '{SIGN}'; exit 3"), 20) is None


def test_a_vmm_that_does_not_end_after_the_sign_is_fine() -> None:
    assert failure_of(shell(f"echo '{SIGN}'; exec sleep 20"), 0.3) is None


def test_silence_is_told_with_the_time_that_was_given() -> None:
    assert "no sign of life in 0 s" in (failure_of(shell("exec sleep 20"), 0.1) or "")


def test_a_death_is_told_with_its_last_words() -> None:
    found = failure_of(shell("echo first >&2; echo last words >&2; exit 1"), 20)
    assert found == "a probe guest under KVM died: last words"


def test_a_missing_program_is_named() -> None:
    assert failure_of(["/no/such/vmm"], 1) == "/no/such/vmm is not installed"


def test_an_answer_is_kept_for_what_was_asked_about(tmp_path: Path) -> None:
    kept = BootScopedCache(tmp_path / "answers.json", "kernel one")
    assert kept.read() is None
    kept.write({"failure": None})
    assert BootScopedCache(tmp_path / "answers.json", "kernel one").read() == {"failure": None}
    assert BootScopedCache(tmp_path / "answers.json", "kernel two").read() is None


def test_a_damaged_file_is_no_answer(tmp_path: Path) -> None:
    path = tmp_path / "answers.json"
    for content in ("", "[]", '{"x": 1}', "\0"):
        path.write_text(content)
        assert BootScopedCache(path, "kernel").read() is None


def test_nothing_is_made_to_keep_an_answer_in(tmp_path: Path) -> None:
    BootScopedCache(tmp_path / "run" / "answers.json", "kernel").write({"failure": None})
    assert not (tmp_path / "run").exists()
