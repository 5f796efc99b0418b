"""How much memory can still be taken, and the refusal of what would take more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from spacex._infra.errors import InputError

GROUPS, HIERARCHIES = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
NAMES = {
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    2: ("memory.max", "memory.current", "inactive_file"),
}
"""By version of control groups: the limit, what is taken, and the part of that which holds files read before."""


def available_memory() -> int:
    """Bytes that this process can still take: of the machine, or of the groups (job, container) that limit it."""
    import psutil

    return min([int(psutil.virtual_memory().available), *_cgroup_headrooms()])


def check_memory(needed: int, *, what: str, hint: str) -> None:
    """Raise `InputError` where something would take more bytes than there are."""
    free = available_memory()
    if needed > free:
        sizes = f"{needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are free"
        raise InputError(f"{what} needs about {sizes}: {hint}")


def _cgroup_headrooms() -> Iterator[int]:
    """What each control group of this process that has a limit leaves, those above it included; none but on Linux."""
    try:
        lines = GROUPS.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root = HIERARCHIES / "memory" if controllers else HIERARCHIES
        group = root / path.strip("/")
        # Inside a container the path may be that of the host, whose groups are not to be seen: then the root has all.
        for folder in (group, *group.parents):
            if folder.is_relative_to(root) and (room := _cgroup_headroom(folder, 1 if controllers else 2)) is not None:
                yield room


def _cgroup_headroom(folder: Path, version: int) -> int | None:
    """What one group leaves. Files that were read stay in memory until it is wanted, and count as free."""
    limit, taken, files = NAMES[version]
    try:
        most, used = (folder / limit).read_text().strip(), int((folder / taken).read_text())
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return None if most == "max" else max(int(most) - used + int(stat.get(files, 0)), 0)
    except (OSError, ValueError):
        return None
