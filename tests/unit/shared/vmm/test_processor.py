"""What tells one host's processor from another's."""

from shared.vmm.processor import host_processor

CPUINFO = """processor\t: 0
cpu family\t: 6
model\t\t: 85
model name\t: Xeon
stepping\t: 7
flags\t\t: fpu {flag}

processor\t: 1
model name\t: not looked at
"""


def test_a_processor_is_known_by_name_numbers_and_flags() -> None:
    one = host_processor(CPUINFO.format(flag="sse"))
    assert one.startswith("Xeon (6/85/7, flags ")
    assert one == host_processor(CPUINFO.format(flag="sse"))
    assert one != host_processor(CPUINFO.format(flag="avx"))


def test_this_host_has_one() -> None:
    assert host_processor()
