"""Disks that fill up and disks that lose power: mounts nobody outside of this thread sees.

Both need root (the capability to mount) and loop devices. Where that is not given, they raise
FaultImpossibleError with the reason.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CLONE_NEWNS, _CLONE_FS = 0x00020000, 0x00000200
_EXT4_IOC_SHUTDOWN = 0x8004587D
_WITHOUT_FLUSHING_THE_LOG = struct.pack("I", 2)
_libc = ctypes.CDLL(None, use_errno=True)


class FaultImpossibleError(Exception):
    """This machine, or this user, cannot have the fault; the text says why."""


@contextmanager
def private_mounts() -> Iterator[None]:
    """Let this thread, and the processes it starts, see mounts of their own.

    They vanish with the last of these processes, also when all are killed. Use it in the main
    thread: servers are started from there.
    """
    before, here = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY), Path.cwd()
    try:
        _call(_libc.unshare, _CLONE_NEWNS | _CLONE_FS)
        try:
            _run("mount", "--make-rprivate", "/")
            yield
        finally:
            _call(_libc.setns, before, _CLONE_NEWNS)
            os.chdir(here)
    finally:
        os.close(before)


@contextmanager
def small_disk(at: Path, megabytes: int) -> Iterator[None]:
    """Mount an empty disk of a fixed size at a directory. Raises FaultImpossibleError."""
    with private_mounts():
        at.mkdir(parents=True, exist_ok=True)
        _run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0711", "tmpfs", str(at))
        yield


def fill(disk: Path) -> Path:
    """Write a file that takes all the space that is left; delete it to free the space."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while file.write(b"\0" * size):
                    pass
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
    return ballast


class PoweredDisk:
    """An ext4 disk in a file. When its power is cut, it keeps what had reached it, no more.

    What lay in the page cache and was not written out is gone, as on a machine that loses power:
    the file system stops at one moment and is mounted again from what the file then has. A disk
    that lies about its write cache is not simulated.
    """

    def __init__(self, image: Path, at: Path) -> None:
        self._image = image
        self.at = at

    def write_out(self) -> None:
        """Let everything reach the disk that was written so far, as time does."""
        _run("sync", "--file-system", str(self.at))

    def cut_power(self) -> None:
        """From here on nothing reaches the disk. End the programs that use it, then `restore`."""
        opened = os.open(self.at, os.O_RDONLY)
        try:
            fcntl.ioctl(opened, _EXT4_IOC_SHUTDOWN, _WITHOUT_FLUSHING_THE_LOG)
        finally:
            os.close(opened)

    def restore(self) -> None:
        """Mount a copy of what reached the disk; its journal is replayed."""
        after = self._image.with_suffix(".after")
        _run("cp", "--sparse=always", str(self._image), str(after))
        _run("umount", str(self.at))
        after.replace(self._image)
        _run("mount", "-o", "loop", str(self._image), str(self.at))


@contextmanager
def powered_disk(directory: Path, megabytes: int = 1024) -> Iterator[PoweredDisk]:
    """Make and mount a disk whose power can be cut. Raises FaultImpossibleError."""
    with private_mounts():
        image, at = directory / "disk.image", directory / "disk"
        at.mkdir(parents=True)
        with image.open("wb") as file:
            file.truncate(megabytes << 20)
        _run("mkfs.ext4", "-q", "-F", str(image))
        _run("mount", "-o", "loop", str(image), str(at))
        at.chmod(0o711)
        try:
            yield PoweredDisk(image, at)
        finally:
            _run("umount", "--lazy", str(at))
            image.unlink()


def _run(program: str, *arguments: str) -> None:
    if shutil.which(program) is None:
        raise FaultImpossibleError(f"the program {program} is missing")
    done = subprocess.run([program, *arguments], capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.strip() or f"exit code {done.returncode}"
        raise FaultImpossibleError(f"{program} {' '.join(arguments)}: {said}")


def _call(function: ctypes._CFuncPtr, *arguments: int) -> None:
    if function(*arguments):
        said = os.strerror(ctypes.get_errno())
        raise FaultImpossibleError(f"no mounts of our own: {said}; this needs root")


def why_not(directory: Path) -> str:
    """Try it: return why disks cannot be broken on this machine, or nothing when they can."""
    try:
        with powered_disk(directory, megabytes=4):
            return ""
    except FaultImpossibleError as error:
        return str(error)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        sys.exit(why_not(Path(scratch)) or 0)
