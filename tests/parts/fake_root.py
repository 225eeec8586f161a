"""A root with the files of /sys that the sensors read, made and changed by a test."""

from __future__ import annotations

import os
from pathlib import Path


class FakeRoot:
    def __init__(self, folder: Path) -> None:
        self.path = folder

    def __str__(self) -> str:
        return str(self.path)

    def put(self, name: str, content: object) -> None:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")

    def text(self, name: str) -> str:
        return (self.path / name).read_text().strip()

    def zone(self, kind: str, heat_mc: object, number: int = 0) -> None:
        self.put(f"sys/class/thermal/thermal_zone{number}/type", kind)
        self.put(f"sys/class/thermal/thermal_zone{number}/temp", heat_mc)

    def hwmon(self, name: str, alarm: object) -> None:
        self.put("sys/class/hwmon/hwmon0/name", "cpu")
        self.put("sys/class/hwmon/hwmon1/name", name)
        self.put("sys/class/hwmon/hwmon1/in0_lcrit_alarm", alarm)

    def supply(self, name: str, kind: str, **files: object) -> None:
        for file, content in {"type": kind, **files}.items():
            self.put(f"sys/class/power_supply/{name}/{file}", content)

    def screen(self, brightness: int) -> None:
        for file, content in (("brightness", brightness), ("max_brightness", 255), ("bl_power", 0)):
            self.put(f"sys/class/backlight/10-0045/{file}", content)

    def led(self, name: str = "ACT") -> None:
        """Its files; the kernel makes delay_on and delay_off when the trigger is timer."""
        for file, content in (("trigger", "none timer [mmc0] heartbeat"), ("brightness", 0), ("max_brightness", 255),
                              ("delay_on", 0), ("delay_off", 0)):
            self.put(f"sys/class/leds/{name}/{file}", content)

    def card(self, of: Path, life: str | None = "0x02 0x03", sectors: int = 2048) -> None:
        """The block device that holds the path `of`: a partition of mmcblk0."""
        number = os.stat(of).st_dev
        whole = self.path / "sys/devices/mmc/block/mmcblk0"
        part = whole / "mmcblk0p2"
        part.mkdir(parents=True)
        self.put("sys/devices/mmc/block/mmcblk0/stat", f"100 0 800 10 50 0 {sectors} 20 0 30 30")
        self.put("sys/devices/mmc/block/mmcblk0/device/type", "MMC")
        if life is not None:
            self.put("sys/devices/mmc/block/mmcblk0/device/life_time", life)
        links = self.path / "sys/dev/block"
        links.mkdir(parents=True)
        (links / f"{os.major(number)}:{os.minor(number)}").symlink_to(part)
