"""Available memory, and a check before large allocations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from spacex._infra.errors import InputError

CGROUP_FILE, CGROUP_ROOT = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
CGROUP_FIELDS = {
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    2: ("memory.max", "memory.current", "inactive_file"),
}
"""Limit, usage and reclaimable page cache, by version of control groups."""


def available_memory() -> int:
    """Bytes that this process can still allocate, limited by the machine and by its control groups (job, container)."""
    import psutil

    return min([int(psutil.virtual_memory().available), *_cgroup_headrooms()])


def check_memory(n_bytes: int, *, what: str, hint: str) -> None:
    """Raise `InputError` if `what` needs more bytes than are available."""
    available = available_memory()
    if n_bytes > available:
        sizes = f"{n_bytes / 1e9:.1f} GB of memory, and {available / 1e9:.1f} GB are available"
        raise InputError(f"{what} needs about {sizes}: {hint}")


def _cgroup_headrooms() -> Iterator[int]:
    """Headroom of each control group of this process that has a limit, and of its parents; empty except on Linux."""
    try:
        lines = CGROUP_FILE.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root = CGROUP_ROOT / "memory" if controllers else CGROUP_ROOT
        group = root / path.strip("/")
        # In a container the path can be that of the host, which is not visible; the root then has the limit.
        for folder in (group, *group.parents):
            if (
                folder.is_relative_to(root)
                and (headroom := _cgroup_headroom(folder, 1 if controllers else 2)) is not None
            ):
                yield headroom


def _cgroup_headroom(folder: Path, version: int) -> int | None:
    """Bytes left in one control group; None without a limit. Cached files count as free."""
    limit_file, usage_file, cache_field = CGROUP_FIELDS[version]
    try:
        limit, usage = (folder / limit_file).read_text().strip(), int((folder / usage_file).read_text())
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return None if limit == "max" else max(int(limit) - usage + int(stat.get(cache_field, 0)), 0)
    except (OSError, ValueError):
        return None
