"""Imports point down the layers and form no cycle; ``import spacex`` stays light."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import spacex

SOURCE = Path(spacex.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
HEAVY = ("anndata", "igraph", "matplotlib", "pandas", "scanpy", "scipy", "sklearn", "torch")

# The layer of each package (first name below spacex). Imports point to the same layer or a lower one.
LAYERS = {
    "_infra": 0,
    "_config": 1,
    "distributed": 1,
    "gene_names": 1,
    "stats": 1,
    "imaging": 2,
    "differential": 3,
    "domains": 3,
    "embedding": 3,
    "imputation": 3,
    "pairs": 3,
    "patterns": 3,
    "svg": 3,
    "_adata": 4,
    "datasets": 5,
    "get": 5,
    "io": 5,
    "pl": 5,
    "pp": 5,
    "reference": 5,
    "tl": 5,
    "cli": 6,
    "report": 6,
}
# Packages of one layer do not import each other, except for these.
ALLOWED_WITHIN_LAYER = {
    ("distributed", "_config"),
    ("embedding", "svg"),  # library sizes from stable genes
    ("get", "pp"),
    ("tl", "pp"),
    ("tl", "get"),
    ("pl", "pp"),
    ("pl", "get"),
    ("datasets", "io"),
    ("datasets", "reference"),
    ("reference", "io"),
    ("reference", "pp"),
    ("tl", "reference"),
}
WITH_TORCH = {"distributed", "embedding", "imputation"}


def module_of(file: Path) -> str:
    parts = file.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(file) for file in FILES}


def package_of(module: str) -> str:
    """Return the first name below ``spacex``, or "" for the package itself."""
    return [*module.split("."), ""][1]


def imports(file: Path) -> list[str]:
    """Return every module that `file` imports, at its top, in functions or for types, by its full name."""
    package = module_of(file).split(".")
    if file.name != "__init__.py":
        package = package[:-1]
    names = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            source = ".".join(filter(None, [base, node.module]))
            # `from spacex import pp` is an import of spacex.pp, `from spacex.pp import f` one of spacex.pp
            for alias in node.names:
                full = f"{source}.{alias.name}"
                names.append(full if source == "spacex" or full in MODULES else source)
    return names


def inside(file: Path) -> list[str]:
    return [name for name in imports(file) if name.split(".")[0] == "spacex"]


def names_of(files: list[Path]) -> list[str]:
    return [str(file.relative_to(SOURCE)) for file in files]


LAYERED = [file for file in FILES if file != SOURCE / "__init__.py"]  # the public API is above all layers


@pytest.mark.parametrize("file", LAYERED, ids=names_of(LAYERED))
def test_imports_point_down(file):
    package = package_of(module_of(file))
    assert package in LAYERS, f"{package} is new: give it a layer in LAYERS"
    if package == "cli":
        return  # test_the_command_line_uses_the_public_api_and_the_slots
    for name in inside(file):
        other = package_of(name)
        if other in ("", "__version__", package):
            continue
        assert other in LAYERS, f"{file.name} imports {name}: import it from the module that defines it"
        assert LAYERS[other] <= LAYERS[package], f"{file.name} imports {name}, which is in a higher layer"
        if LAYERS[package] == LAYERS[other] and LAYERS[package] < 6:
            assert (package, other) in ALLOWED_WITHIN_LAYER, f"{package} must not import {other}"


@pytest.mark.parametrize("file", FILES, ids=names_of(FILES))
def test_heavy_dependencies_stay_in_their_packages(file):
    package, used = package_of(module_of(file)), {name.split(".")[0] for name in imports(file)}
    if package not in WITH_TORCH:
        assert "torch" not in used, f"torch is imported in {sorted(WITH_TORCH)} only"
    if package in LAYERS and LAYERS[package] < LAYERS["_adata"]:
        assert not used & {"anndata", "scanpy"}, "packages below _adata work on arrays"


def import_graph() -> dict[str, set[str]]:
    """Return the modules of spacex that each module imports, also in functions and under TYPE_CHECKING."""

    def defined_in(name: str) -> str:
        while name not in MODULES:
            name = name.rpartition(".")[0]
        return name

    return {
        module_of(file): {defined_in(name) for name in inside(file)} - {"spacex", module_of(file)} for file in LAYERED
    }


def cycle_in(graph: dict[str, set[str]]) -> list[str]:
    """Return the modules of one import cycle, or an empty list."""
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        for imported in sorted(graph.get(module, ())):
            cycle = visit(imported, [*path, module])
            if cycle:
                return cycle
        done.add(module)
        return []

    return next((cycle for module in graph if (cycle := visit(module, []))), [])


def test_the_search_for_cycles_finds_them():
    assert cycle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert cycle_in({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_no_import_cycle():
    assert not cycle_in(import_graph()), "modules that import each other"


@pytest.mark.parametrize("file", FILES, ids=names_of(FILES))
def test_only_the_command_line_prints(file):
    if package_of(module_of(file)) == "cli":
        return
    calls = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
    lines = [call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]
    assert not lines, f"print() in line(s) {lines}: use logging.getLogger('spacex')"


SLOT_NAME = re.compile(r"(X_)?spacex(_\w+)?")
# These take the name of the program, which is also the key of uns.
PROGRAM_NAME_CALLS = {"logging.getLogger", "pooch.os_cache", "command"}
MAPPINGS = ("obs", "obsm", "obsp", "var", "varm", "varp", "uns", "layers")
# Readers and simulations fill a new AnnData with data that is no result; genes_as_obs and impute return a new one.
NEW_ANNDATA = {"io", "datasets", "get", "tl/_imputed_result.py", "tl/_markers.py"}


def slot_names(tree: ast.AST) -> list[tuple[int, str]]:
    """Return the line and the text of string literals that are names of slots."""
    program_names = {
        id(value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in PROGRAM_NAME_CALLS
        for value in [*node.args, *(keyword.value for keyword in node.keywords)]
    }
    return sorted(
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SLOT_NAME.fullmatch(node.value)
        if id(node) not in program_names
    )


def slot_writes(tree: ast.AST) -> list[int]:
    """Return the lines that set or delete an entry of ``adata.obs``, ``adata.varm`` or another mapping."""
    targets: list[ast.expr] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.Delete):
            targets += node.targets
        elif isinstance(node, ast.AugAssign | ast.AnnAssign):
            targets.append(node.target)
    targets += [part for target in targets if isinstance(target, ast.Tuple) for part in target.elts]
    return sorted(
        target.lineno
        for target in targets
        if isinstance(target, ast.Subscript)
        and isinstance(target.value, ast.Attribute)
        and target.value.attr in MAPPINGS
    )


def test_the_search_for_slots_finds_them():
    code = """
def f(adata):
    "The slot spacex_domain."
    logging.getLogger("spacex").info(adata.obs["spacex_domain"])
    adata.varm["a"] = x
    other.uns["b"] += x
    del adata.obsm["c"]
    adata.obs["d"], b = x
    return adata.uns["spacex"]
"""
    assert slot_names(ast.parse(code)) == [(4, "spacex_domain"), (9, "spacex")]
    assert slot_writes(ast.parse(code)) == [5, 6, 7, 8]


OUTSIDE_ADATA = [file for file in LAYERED if package_of(module_of(file)) != "_adata"]


SHARED = ("_infra", "_adata", "_config")  # packages without a public name, for all packages above them


@pytest.mark.parametrize("package", ["report", "cli"])
def test_report_and_command_line_import_public_names(package):
    for file in [file for file in FILES if package_of(module_of(file)) == package]:
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("spacex."):
                continue
            _, other, *modules = node.module.split(".")
            if other in (package, *SHARED):
                continue
            private = [name for name in [*modules, *(alias.name for alias in node.names)] if name.startswith("_")]
            assert not private, f"{file.name} imports {private} of spacex.{other}: make it public or move it"


@pytest.mark.parametrize("file", OUTSIDE_ADATA, ids=names_of(OUTSIDE_ADATA))
def test_only_adata_names_and_writes_slots(file):
    tree = ast.parse(file.read_text())
    assert not slot_names(tree), "take the name from spacex._adata.keys"
    if not {package_of(module_of(file)), file.relative_to(SOURCE).as_posix()} & NEW_ANNDATA:
        assert not slot_writes(tree), "write slots by a function of spacex._adata"


def test_the_command_line_uses_the_public_api_and_the_slots():
    allowed = {"spacex", "spacex.distributed.process_group", "spacex.gene_names", "spacex._config"}
    allowed |= {f"spacex.{name}" for name in spacex.__all__}
    for file in [file for file in FILES if package_of(module_of(file)) == "cli"]:
        for name in inside(file):
            assert name in allowed or package_of(name) in ("_adata", "_infra", "stats", "cli", "report"), (
                f"{file.name} imports {name}"
            )


def modules_loaded_by(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_import_is_light():
    assert not modules_loaded_by("import spacex").intersection((*HEAVY, "numpy"))


def test_dir_and_version_are_light():
    assert not modules_loaded_by("import spacex; dir(spacex); spacex.__version__").intersection(HEAVY)


def test_command_line_import_is_light():
    assert not modules_loaded_by("import spacex.cli").intersection(HEAVY)


def test_public_names_exist():
    assert set(spacex.__all__) <= set(dir(spacex))
    for name in spacex.__all__:
        assert getattr(spacex, name) is not None


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        spacex.no_such_name  # noqa: B018
