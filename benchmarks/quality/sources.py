"""Digests of source files, so that a stored result is reused only if its code is unchanged."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
from functools import cache
from pathlib import Path
from typing import Any


@cache
def root_of(package: str) -> Path:
    """Folder of a top-level package."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ImportError(f"package {package} does not exist")
    return Path(spec.origin).parent


def file_of(module: str) -> Path | None:
    """File of ``spacex.x.y`` or ``benchmarks.x.y``; None for other modules.

    The ``__init__`` files of the two packages are ignored, since they import nothing.
    """
    package, *rest = module.split(".")
    if package not in ("spacex", "benchmarks") or not rest:
        return None
    path = root_of(package).joinpath(*rest)
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def imported(path: Path, module: str) -> set[str]:
    """All modules that the file of a module imports."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    modules: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            base = ".".join([*parts[: len(parts) - node.level + 1], *([node.module] if node.module else [])])
            base = base if node.level else node.module or ""
            within = {f"{base}.{alias.name}" for alias in node.names}
            modules |= {name for name in within if file_of(name)} or {base}
    return modules


def closure(*modules: str) -> dict[str, Path]:
    """Files of the modules and of all modules of these packages that they import, directly or indirectly."""
    files: dict[str, Path] = {}
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        path = file_of(module)
        if module not in files and path is not None:
            files[module] = path
            waiting.extend(imported(path, module))
    return files


@cache
def code_digest(*modules: str) -> str:
    """Digest of the closure of some modules."""
    files = closure(*modules)
    if not files:
        raise ImportError(f"no source of {', '.join(modules)}")
    return digest([(name, hashlib.sha256(files[name].read_bytes()).hexdigest()) for name in sorted(files)])


def digest(value: Any) -> str:
    """Sixteen hexadecimal digits of a value that JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
