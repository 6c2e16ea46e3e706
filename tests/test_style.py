"""The house rules that a linter does not know: names, first lines, sizes, what may not stand in the project."""

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("schemas", "risk", "insurance", "liquidation", "ledger", "services", "bench")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
TRACKED = [
    ROOT / name
    for name in subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
]
VAGUE = ("util", "common", "helper", "manager", "misc")
LONGEST = 650
"""lines: past it a module is more than one room"""


def _names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


@pytest.mark.parametrize("path", MODULES, ids=_names(MODULES))
def test_a_module_opens_with_what_lives_in_it(path: Path) -> None:
    told = ast.get_docstring(ast.parse(path.read_text()))
    assert told and len(told.splitlines()[0]) > 20


@pytest.mark.parametrize("path", MODULES, ids=_names(MODULES))
def test_a_module_is_one_room_with_a_name_that_says_something(path: Path) -> None:
    assert not [word for word in VAGUE if word in path.stem]
    assert len(path.read_text().splitlines()) <= LONGEST


@pytest.mark.parametrize("path", MODULES, ids=_names(MODULES))
def test_classes_do_not_inherit_for_reuse(path: Path) -> None:
    """What a class may build on: an exception, an enum, a tuple's or protocol's form, or the edge's models."""
    allowed = {
        "NamedTuple",
        "Protocol",
        "Enum",
        "IntEnum",
        "StrEnum",
        "BaseModel",
        "_Closed",
        "Journal",
        "JournalReader",
        # what a library's own way of being extended asks for
        "BaseHTTPRequestHandler",
        "Collector",
        "TyperGroup",
        "logging.Formatter",
        "driver.AIOKafkaConsumerThread",
        "driver.Consumer",
        "driver.Transport",
    }
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef):
            for base in node.bases:
                name = ast.unparse(base)
                fault = name.endswith(("Error", "Exception")) or name in ("RuntimeError", "ValueError", "UnitError")
                assert fault or name in allowed, f"{node.name}({name})"


def test_nothing_of_one_machine_or_of_a_package_index_stands_in_the_project() -> None:
    found = []
    for path in TRACKED:
        if path.suffix in (".png",) or path == Path(__file__) or not path.is_file():
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if "://" in line and any(word in line for word in ("pypi", "pythonhosted", "npmjs", "crates", "maven")):
                found.append(f"{path.name}:{number}: an index's address")
            if any(f"/{folder}/" in line for folder in ("root", "home")):
                found.append(f"{path.name}:{number}: one machine's path")
    assert not found


def test_the_constraints_pin_every_package_and_name_no_address() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert len(lines) > 50
    assert not [line for line in lines if "==" not in line or "/" in line or " @ " in line]
