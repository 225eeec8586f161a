"""Two halls and nothing between them but LoRa: real nodes, RNodes on ptys, one board."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.radios.lora.emulated.air import LiveAir
from tests.radios.lora.emulated.rnode_device import RNodeDevice
from tests.system.nodes import NodeProcess, running, until

pytestmark = [pytest.mark.slow]

RADIO = ("lora.enabled=true", "lora.modem=rnode", "lora.region=EU868", "lora.freq_hz=869525000", "lora.bw_hz=250000",
         "lora.sf=7", "lora.cr_den=5", "lora.power_dbm=14", "lan.enabled=false")


def test_a_notice_crosses_by_radio_alone(tmp_path: Path) -> None:
    def story(paths: list[str]) -> None:
        a, b = (NodeProcess(str(tmp_path / name), settings=(*RADIO, f"lora.device={path}"))
                for name, path in zip("ab", paths, strict=True))
        with running(a, b):
            until(lambda: all(n.cli("status")["links"]["lora"]["state"] == "up" for n in (a, b)), 30, 0.3)
            id = a.cli("board", "post", "The bridge at Mill Lane is closed")["id"]
            until(lambda: [row["id"] for row in b.cli("board", "list")] == [id], 60, 0.3)
            c = b.cli("board", "post", "Hot soup at the school until eight")["id"]
            until(lambda: {row["id"] for row in a.cli("board", "list")} == {id, c}, 60, 0.3)
            assert not a.cli("status")["trouble"], a.cli("status")["trouble"]

    async def main() -> None:
        air = LiveAir(7, speed=1)
        devices = [RNodeDevice(air, name, tmp_path, boot_us=100000) for name in ("one", "two")]
        try:
            await asyncio.to_thread(story, [device.plug.path for device in devices])
        finally:
            for device in devices:
                device.close()
            air.close()

    asyncio.run(main())
