"""The house has floors, and imports point down only; ``import spacex`` stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import spacex

SOURCE = Path(spacex.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
HEAVY = ("anndata", "igraph", "matplotlib", "pandas", "scanpy", "scipy", "sklearn", "torch")

# The room (first name below spacex) of a module decides its floor. A new room is entered here on purpose.
FLOORS = {
    "_check": 0,
    "_config": 0,
    "_memory": 0,
    "_stored": 0,
    "_whole": 0,
    "gene_names": 0,
    "_tissue": 1,
    "canvas": 1,
    "conditions": 1,
    "crew": 1,
    "coverage": 1,
    "designated": 1,
    "grid": 1,
    "linear_start": 1,
    "overlap": 1,
    "pairs": 1,
    "partition": 1,
    "pixels": 1,
    "raster": 1,
    "similarity": 1,
    "spectral": 1,
    "variability": 1,
    "_slots": 2,
    "model": 2,
    "datasets": 3,
    "genes": 3,
    "io": 3,
    "pl": 3,
    "pp": 3,
    "tl": 3,
    "cli": 4,
    "report": 4,
}
# On the third floor a room minds its own business, but for these.
NEIGHBOURS = {("tl", "pp"), ("pl", "pp"), ("datasets", "io")}


def module_of(file: Path) -> str:
    parts = file.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    """Return the first name below ``spacex``, or "" for the package itself."""
    return [*module.split("."), ""][1]


def imports(file: Path) -> list[str]:
    """Return every module that `file` imports, at its top, in functions or for types, by its full name."""
    package = module_of(file).split(".")
    if file.name != "__init__.py":
        package = package[:-1]
    found = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            source = ".".join(filter(None, [base, node.module]))
            # `from spacex import pp` is an import of spacex.pp, `from spacex.pp import f` one of spacex.pp
            found += [f"{source}.{alias.name}" if source == "spacex" else source for alias in node.names]
    return found


def inside(file: Path) -> list[str]:
    return [name for name in imports(file) if name.split(".")[0] == "spacex"]


def names_of(files: list[Path]) -> list[str]:
    return [str(file.relative_to(SOURCE)) for file in files]


HOUSE = [file for file in FILES if file != SOURCE / "__init__.py"]  # the front door opens on every floor


@pytest.mark.parametrize("file", HOUSE, ids=names_of(HOUSE))
def test_imports_point_down(file):
    room = room_of(module_of(file))
    assert room in FLOORS, f"{room} is new: give it a floor in FLOORS"
    if room == "cli":
        return  # test_the_command_line_uses_the_public_interface
    for name in inside(file):
        other = room_of(name)
        if other in ("", "__version__", room):
            continue
        assert other in FLOORS, f"{file.name} imports {name}: import it from the module that defines it"
        assert FLOORS[other] <= FLOORS[room], f"{file.name} imports {name}, which lives above it"
        if FLOORS[room] == FLOORS[other] == 3:
            assert (room, other) in NEIGHBOURS, f"{room} must not import {other}"
        if FLOORS[room] < 3:
            assert other != "_slots", f"{file.name} works on arrays: it must not know the slots of AnnData"


@pytest.mark.parametrize("file", FILES, ids=names_of(FILES))
def test_materials_stay_in_their_rooms(file):
    room, used = room_of(module_of(file)), {name.split(".")[0] for name in imports(file)}
    if room != "model":
        assert "torch" not in used, "torch lives in model/ and nowhere else"
    if FLOORS.get(room, 0) <= 2 and room != "_slots" and file in HOUSE:
        assert not used & {"anndata", "scanpy"}, "the science works on arrays"


@pytest.mark.parametrize("file", FILES, ids=names_of(FILES))
def test_only_the_command_line_prints(file):
    if room_of(module_of(file)) == "cli":
        return
    calls = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
    lines = [call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]
    assert not lines, f"print() in line(s) {lines}: use logging.getLogger('spacex')"


def slot_writes(tree: ast.AST) -> list[int]:
    """Return the lines that assign to ``adata.varm[...]``, ``adata.varp[...]`` or ``adata.uns[...]``."""
    targets: list[ast.expr] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            targets += node.targets
        elif isinstance(node, ast.AugAssign | ast.AnnAssign):
            targets.append(node.target)
    slots = [target.value for target in targets if isinstance(target, ast.Subscript)]
    return [
        slot.lineno
        for slot in slots
        if isinstance(slot, ast.Attribute)
        and slot.attr in ("varm", "varp", "uns")
        and isinstance(slot.value, ast.Name)
        and slot.value.id == "adata"
    ]


def test_the_search_for_slot_writes_finds_them():
    assert slot_writes(ast.parse("x = 1\nadata.varm['a'] = x\nadata.uns['b'] += x\ny = adata.uns['b']")) == [
        2,
        3,
    ]


@pytest.mark.parametrize("file", sorted(SOURCE.glob("tl/*.py")), ids=lambda file: file.name)
def test_tools_write_through_the_slots(file):
    lines = slot_writes(ast.parse(file.read_text()))
    assert not lines, f"line(s) {lines} write an AnnData slot: spacex._slots does that"


def test_the_command_line_uses_the_public_interface():
    ground = {f"spacex.{room}" for room, floor in FLOORS.items() if floor == 0}
    allowed = {"spacex", "spacex.crew", *ground} | {f"spacex.{name}" for name in spacex.__all__}
    for file in [file for file in FILES if room_of(module_of(file)) == "cli"]:
        for name in inside(file):
            assert name in allowed or room_of(name) in ("cli", "report"), f"{file.name} imports {name}"


def modules_loaded_by(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_import_is_light():
    assert not modules_loaded_by("import spacex").intersection((*HEAVY, "numpy"))


def test_looking_around_is_light():
    assert not modules_loaded_by("import spacex; dir(spacex); spacex.__version__").intersection(HEAVY)


def test_the_command_line_starts_light():
    assert not modules_loaded_by("import spacex.cli").intersection(HEAVY)


def test_everything_named_is_there():
    assert set(spacex.__all__) <= set(dir(spacex))
    for name in spacex.__all__:
        assert getattr(spacex, name) is not None


def test_a_wrong_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_room"):
        spacex.no_such_room  # noqa: B018
