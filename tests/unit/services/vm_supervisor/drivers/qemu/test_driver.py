"""A QEMU that was to load a machine when its supervisor died. The rest: tests/contract."""

import asyncio
import json
import subprocess
from pathlib import Path

import pytest

from services.vm_supervisor.drivers.contract import VmPlace
from services.vm_supervisor.drivers.qemu.driver import QemuDriver
from shared.errors import BangerError, Code
from shared.host.process import ProcessId, start_time
from shared.vm import files
from tests.unit.services.vm_supervisor.serving import serving

GREETING: dict[str, object] = {"QMP": {"version": {}, "capabilities": []}}


@pytest.mark.parametrize("status", ["inmigrate", "paused"])
def test_one_that_never_loaded_is_ended_when_it_is_adopted(tmp_path: Path, status: str) -> None:
    async def waits(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(json.dumps(GREETING).encode() + b"\n")
        while line := await reader.read(65536):  # one request at a time, without a line break
            request = json.loads(line)
            answers = {"query-status": {"status": status}}
            tag = {"id": request["id"]} if "id" in request else {}
            answer = {"return": answers.get(request["execute"], {})} | tag
            writer.write(json.dumps(answer).encode() + b"\n")

    async def scenario(pid: int) -> Code | None:
        process = ProcessId(pid, start_time(pid) or 0)
        place = VmPlace("0123456789ab", tmp_path, tmp_path)
        async with serving(place.run / files.QMP_SOCKET, waits), asyncio.timeout(10):
            machine = QemuDriver().adopt(place, process, 0)
            try:
                await machine.attach()
            except BangerError as error:
                return error.code
            finally:
                await machine.close()
        return None

    with subprocess.Popen(["sleep", "60"]) as other:
        code = asyncio.run(scenario(other.pid))
        other.kill()
    assert code is (Code.NOT_RUNNING if status == "inmigrate" else None)
