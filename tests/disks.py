"""Small disks for tests, of real file systems: one that fills, and one that takes writes and fails when it is to flush.

Mounting needs root; where that is missing `may_mount` says so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def _run(*command: str, check: bool = True) -> str:
    # what makes and mounts file systems lies where an ordinary PATH does not always look
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    found = shutil.which(command[0], path=path) or command[0]
    done = subprocess.run((found, *command[1:]), check=check, capture_output=True, text=True, env={"PATH": path})
    return done.stdout.strip()


def may_mount() -> bool:
    """Whether this process may mount a file system."""
    done = subprocess.run(("unshare", "--mount", "true"), capture_output=True, check=False)
    return os.geteuid() == 0 and done.returncode == 0


class Disk:
    """A file system of a few bytes in memory, mounted at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def enlarge(self, size: int) -> None:
        """Make it larger, what is on it stays."""
        _run("mount", "-o", f"remount,size={size}", str(self.path))

    def left(self) -> int:
        told = os.statvfs(self.path)
        return told.f_bavail * told.f_frsize

    def fill(self, leave: int) -> Path:
        """Put a file on it that leaves so many bytes; without that file there is room again."""
        ballast = self.path / "ballast"
        with ballast.open("wb") as file:
            while (rest := self.left() - leave) > 0:  # others write too
                file.write(bytes(min(rest, 1 << 20)))
                file.flush()
        return ballast


@contextmanager
def disk(path: Path, size: int) -> Iterator[Disk]:
    """A disk that says ENOSPC when it is full."""
    path.mkdir(parents=True)
    _run("mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", str(path))
    try:
        yield Disk(path)
    finally:
        _run("umount", "--lazy", str(path))


class Promising:
    """An ext4 that believes in more room than the disk under it has: writes are taken into memory, flushes fail."""

    def __init__(self, path: Path, under: Disk) -> None:
        self.path = path
        self._under = under
        self._mount()

    def _mount(self) -> None:
        self._device = _run("losetup", "--find", "--show", str(self._under.path / "image"))
        # A write that is done in part counts as done there; one of a page is done or not.
        (Path("/sys/block") / Path(self._device).name / "queue" / "max_sectors_kb").write_text("4")
        _run("mount", self._device, str(self.path))

    def power_cut_and_repair(self, size: int) -> None:
        """What only memory held is lost; then the disk under it gets the room that was promised."""
        self.unmount()
        self._under.enlarge(size)
        self._mount()

    def unmount(self) -> None:
        for command in (("umount", "--lazy", str(self.path)), ("losetup", "--detach", self._device)):
            _run(*command, check=False)


@contextmanager
def promising(path: Path, room: int, promised: int) -> Iterator[Promising]:
    """A disk whose flush fails for real once more than `room` bytes are used of those `promised`."""
    with disk(path.with_name(path.name + "-under"), room) as under:
        image = under.path / "image"
        with image.open("wb") as file:
            file.truncate(promised)
        # No journal of its own: the file system stays mounted for writing after the first failure, like a raw disk.
        _run("mkfs.ext4", "-q", "-b", "4096", "-O", "^has_journal", "-E", "lazy_itable_init=1,nodiscard", str(image))
        path.mkdir(parents=True)
        one = Promising(path, under)
        try:
            yield one
        finally:
            one.unmount()
