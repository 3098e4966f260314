"""Data moves one way, and importing presat is cheap: read off the source, function-level imports included."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import presat

SOURCE = Path(presat.__file__).parent

# Each room may import the rooms before it.
ORDER = (
    "types", "errors", "text", "answers", "console", "files", "jsons", "outputs", "processes", "config", "metrics",
    "tasks", "verify", "models", "rollouts", "rewards", "tracking", "evaluation", "diagnosis", "analysis", "forecast",
    "training", "study", "report", "demo", "verbs", "cli", "starter", "__main__",
)  # fmt: skip
ONLY = {
    "types": set(),
    "errors": set(),
    "text": set(),
    "answers": set(),
    "console": {"text"},
    "files": {"errors", "text"},
    "jsons": {"errors", "text", "files"},
    "outputs": {"errors", "text", "files", "jsons"},
    "processes": set(),
    "config": {"errors", "text", "files", "jsons"},
    "metrics": {"types", "errors"},
}
NEVER = {room: {"training"} for room in ("study", "report")}
EXCEPTIONS = {
    ("config.reference", "verbs"): "renders the command line's help into docs/reference.md; nothing imports it",
}
HEAVY = ("torch", "transformers", "trl", "datasets")
LIGHT = (
    "types", "errors", "text", "answers", "files", "jsons", "outputs", "config", "metrics", "tasks", "verify",
    "tracking", "evaluation", "diagnosis", "analysis", "forecast", "report", "study", "verbs", "cli",
)  # fmt: skip


def imports(file):
    """Yield every module a file imports, wherever the import stands; those for type checkers alone do not count."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            module = node.module or ""
            inside = (SOURCE.parent / module.replace(".", "/")).is_dir()  # then each name may be a module of its own
            yield from (f"{module}.{alias.name}" for alias in node.names) if inside else [module]


def found():
    """All (module, imported module) pairs of the package."""
    for file in sorted(SOURCE.rglob("*.py")):
        module = ".".join(file.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
        for imported in imports(file):
            yield module, imported


def crossings():
    """All (module, its room, the room it imports) between two rooms of ours."""
    for module, imported in found():
        room, parts = module.split(".")[0], imported.split(".")
        if parts[0] == "presat" and len(parts) > 1 and room not in (parts[1], "__init__") and parts[1] in ORDER:
            yield module, room, parts[1]


def test_every_room_is_there_and_in_the_order():
    rooms = {path.stem for path in SOURCE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert rooms - {"__init__"} == set(ORDER)


def test_imports_go_one_way():
    wrong = [
        f"{module} imports {other}"
        for module, room, other in crossings()
        if (module, other) not in EXCEPTIONS
        and (
            ORDER.index(other) > ORDER.index(room)
            or (room in ONLY and other not in ONLY[room])
            or other in NEVER.get(room, ())
        )
    ]
    assert not wrong


def test_nothing_private_of_another_package_is_imported():
    private = {imported for _, imported in found() if any(part.startswith("_") for part in imported.split("."))}
    assert {name for name in private if name.split(".")[0] not in ("presat", "__future__")} == set()


def test_every_exception_is_still_needed():
    assert set(EXCEPTIONS) <= {(module, other) for module, _, other in crossings()}


def test_modules_that_are_exceptions_are_imported_by_nobody_before_the_command_line():
    excepted = {f"presat.{module}" for module, _ in EXCEPTIONS}
    users = {module for module, imported in found() if imported in excepted and module.split(".")[0] != "cli"}
    assert not users


@pytest.mark.parametrize("library", ["trl", "accelerate"])
def test_only_training_imports_trl_and_accelerate(library):
    users = {module.split(".")[0] for module, imported in found() if imported.split(".")[0] == library}
    assert users == {"training"}


def test_no_modules_import_each_other_in_a_circle():
    modules = {".".join(file.relative_to(SOURCE).with_suffix("").parts) for file in SOURCE.rglob("*.py")}
    modules = {f"presat.{module}".removesuffix(".__init__") for module in modules}
    after = {module: set() for module in modules}
    for module, imported in found():
        known = imported if imported in modules else imported.rpartition(".")[0]  # of `from room import module`
        if known in modules and known != f"presat.{module}":
            after[f"presat.{module}"].add(known)
    while free := {module for module, imported in after.items() if not imported}:
        after = {module: imported - free for module, imported in after.items() if module not in free}
    assert not after  # what is left imports itself by way of others


def test_metrics_stands_on_numpy_alone():
    outside = {
        imported.split(".")[0]
        for module, imported in found()
        if module.split(".")[0] == "metrics" and imported.split(".")[0] not in sys.stdlib_module_names
    }
    assert outside == {"numpy", "presat"}


PROBE = """
import importlib, sys
for name in sys.argv[2:]:
    importlib.import_module(name)
    heavy = [module for module in sys.argv[1].split(",") if module in sys.modules]
    assert not heavy, f"import {name} imports {heavy}"
"""


def test_importing_presat_imports_no_torch():
    modules = ["presat", *(f"presat.{room}" for room in LIGHT)]
    done = subprocess.run([sys.executable, "-c", PROBE, ",".join(HEAVY), *modules], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"]])
def test_help_imports_no_torch(arguments):
    probe = (
        "import sys\nfrom presat.cli import run\n"
        "try:\n    code = run(sys.argv[1:])\nexcept SystemExit as end:\n    code = end.code\n"
        f"assert not [m for m in {HEAVY!r} if m in sys.modules], 'heavy'\nsys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", probe, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "train" in done.stdout


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_what_needs_no_settings_imports_nothing_but_the_standard_library(argument):
    probe = (
        "import sys\nbefore = {*sys.modules}\nfrom presat.cli import run\nassert run(sys.argv[1:]) == 0\n"
        "rooms = {name.split('.')[0] for name in {*sys.modules} - before} - {*sys.stdlib_module_names, 'presat'}\n"
        "assert not rooms, rooms\nassert 'presat.config' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", probe, argument], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_dir_shows_the_public_names_and_imports_nothing_for_it():
    probe = (
        "import sys, presat\nassert set(presat.__all__) | {'__version__'} <= set(dir(presat)), dir(presat)\n"
        "assert not {'torch', 'polars', 'pydantic'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_public_names_are_where_the_design_says():
    for name in presat.__all__:
        assert getattr(presat, name) is not None
    for name in (
        "saturation_step", "saturation_gains", "large_small_gap", "pass_at_k", "diversity_index", "cohen_kappa",
    ):  # fmt: skip
        assert callable(getattr(presat.metrics, name))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = presat.nothing
