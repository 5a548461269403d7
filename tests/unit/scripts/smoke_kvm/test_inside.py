"""The commands that are typed in L1."""

from scripts.smoke_kvm.inside import RESULTS, suite


def test_root_plays_in_the_checkout_with_the_options_given() -> None:
    argv = suite("root", ["--jobs", "2"], 4.0)
    assert argv[:3] == ["env", "-C", "/opt/banger"]
    assert "runuser" not in argv
    assert "BANGER_START_SECONDS=120" in argv
    assert argv[-4:] == ["--results", f"{RESULTS}/root", "--jobs", "2"]


def test_an_ordinary_user_plays_as_himself_at_home_with_kvm() -> None:
    argv = suite("ann", [], 1.0)
    assert argv[3:8] == ["runuser", "-u", "ann", "--", "env"]
    assert "HOME=/home/ann" in argv
    assert any(word.startswith("BANGER_SMOKE_CONFIG=") for word in argv)
    assert argv[-2:] == ["--results", f"{RESULTS}/ann"]
