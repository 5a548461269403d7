"""Log lines: shown to a person, and one request collected from several files."""

import json
from pathlib import Path

from cli.terminal.log_lines import of_request, show


def line(time: str, message: str, **fields: str) -> bytes:
    entry = {"time": f"2026-11-22T{time}Z", "level": "info", "service": "api", "pid": 1}
    return json.dumps(entry | {"message": message} | fields).encode()


def test_a_line_is_shown_with_its_clock_and_its_fields() -> None:
    shown = show(line("09:30:00.123", "served", request="a" * 32, verb="vm.list"))
    assert shown == "09:30:00.123 info api [aaaaaaaa] served verb=vm.list"


def test_a_traceback_follows_its_line() -> None:
    shown = show(line("09:30:00.123", "failed", traceback="Traceback:\n  there\n"))
    assert shown.splitlines()[1:] == ["Traceback:", "  there"]


def test_what_is_no_json_is_shown_as_it_is() -> None:
    assert show(b"Segmentation fault") == "Segmentation fault"
    assert show(b"[1, 2]") == "[1, 2]"


def test_one_request_is_collected_from_all_files_in_the_order_of_time(tmp_path: Path) -> None:
    first = line("09:00:01.000", "first", request="abc1")
    second = line("09:00:02.000", "second", request="abc1")
    other = line("09:00:01.500", "other", request="fff")
    mention = line("09:00:01.600", "speaks of abc1")
    (tmp_path / "api.log").write_bytes(b"\n".join([second, other, b"not json abc1", mention, b""]))
    (tmp_path / "store.log").write_bytes(first)
    assert of_request(sorted(tmp_path.iterdir()), "abc") == [first, second]


def test_a_request_that_is_no_text_has_no_lines(tmp_path: Path) -> None:
    (tmp_path / "api.log").write_bytes(line("09:00:01.000", "first", request="abc1") + b"\n\xff\n")
    assert of_request([tmp_path / "api.log"], "\udcff") == []
