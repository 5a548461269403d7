"""What of the lock goes into L1."""

from scripts.smoke_kvm.dependencies import LEFT_OUT, LOCK, needed

TEXT = """\
# made by a tool
click==8.5.1 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
    # via banger (pyproject.toml)
mypy==2.4.1 \\
    --hash=sha256:cc
mypy-extensions==1.2.0 \\
    --hash=sha256:dd
pyzmq==27.3.0 \\
    --hash=sha256:ee
"""


def test_checkers_stay_out_with_their_hashes_and_all_else_goes_in() -> None:
    assert needed(TEXT) == (
        "# made by a tool\nclick==8.5.1 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
        "    # via banger (pyproject.toml)\npyzmq==27.3.0 \\\n    --hash=sha256:ee\n"
    )


def test_what_is_left_out_is_what_the_lock_calls_so() -> None:
    lock = LOCK.read_text()
    assert all(f"\n{name}==" in lock for name in LEFT_OUT)
    assert "\npyzmq==" in needed(lock)
