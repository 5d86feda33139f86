# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""House rules that no tool knows: headers, sizes, the oldest Python, names in results, options of list modules."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted((ROOT / "plugins" / "modules").glob("*.py"))
SMALL = [ROOT / "plugins" / "module_utils", ROOT / "tests" / "lab"]
LONGEST_FUNCTION, LONGEST_FILE, LONGEST_WIRING = 45, 400, 60
DICT_METHODS = {"items", "keys", "values", "get", "copy", "update", "pop"}
# REUSE-IgnoreStart
HEADER = ("Copyright: Kubestead contributors", "SPDX-License-Identifier: GPL-3.0-or-later")
# REUSE-IgnoreEnd
GPL_LINE = "# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)"
WITH_HEADER = {".py", ".yml", ".yaml", ".toml", ".sh", ".cfg", ".j2", ".in", ".rst", ".mod"}


def own_files() -> list[Path]:
    """The files that git knows or would add."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


OWN_FILES = own_files()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def short(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_every_file_begins_with_its_licence() -> None:
    without = []
    for path in OWN_FILES:
        if path.suffix in WITH_HEADER and path.stat().st_size:
            head = path.read_text(encoding="utf-8").splitlines()[:5]
            if not all(any(line.lstrip("#/. -").startswith(part) for line in head) for part in HEADER):
                without.append(short(path))
    assert without == []


def test_modules_carry_the_line_that_validate_modules_wants() -> None:
    for path in MODULES:
        assert GPL_LINE in path.read_text(encoding="utf-8"), short(path)


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def test_functions_and_files_stay_small() -> None:
    large = []
    for path in (path for folder in SMALL for path in sorted(folder.rglob("*.py"))):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > LONGEST_FILE:
            large.append(f"{short(path)}: {lines} lines")
        for function in functions(tree_of(path)):
            length = (function.end_lineno or function.lineno) - function.lineno + 1
            if length > LONGEST_FUNCTION:
                large.append(f"{short(path)}:{function.lineno}: {function.name} has {length} lines")
    assert large == []


def test_plugins_are_written_for_the_oldest_python() -> None:
    for path in sorted((ROOT / "plugins").rglob("*.py")):
        ast.parse(path.read_text(encoding="utf-8"), filename=str(path), feature_version=(3, 9))
        if path.name != "__init__.py":
            assert "from __future__ import annotations" in path.read_text(encoding="utf-8"), short(path)


def wiring_lines(tree: ast.Module) -> int:
    """Lines of a module that are neither documentation nor specification nor imports nor blank."""
    spared = (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.Expr)
    code = [ast.unparse(node) for node in tree.body if not isinstance(node, spared)]
    return sum(1 for text in code for line in text.splitlines() if line.strip())


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
class TestModule:
    """What every module file is: documentation, a specification, a little wiring."""

    def docs(self, path: Path, name: str) -> Any:
        for node in tree_of(path).body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == name:
                return yaml.safe_load(ast.literal_eval(node.value))
        raise AssertionError(f"{short(path)} has no {name}")

    def test_it_only_wires(self, path: Path) -> None:
        assert wiring_lines(tree_of(path)) <= LONGEST_WIRING

    def test_it_is_documented(self, path: Path) -> None:
        documentation = self.docs(path, "DOCUMENTATION")
        assert documentation["module"] == path.stem
        assert self.docs(path, "EXAMPLES")
        fragments = documentation["extends_documentation_fragment"]
        assert "kubestead.platform.attributes" in fragments

    def test_a_list_module_has_a_state_of_its_own(self, path: Path) -> None:
        documentation = self.docs(path, "DOCUMENTATION")
        lists = [name for name, option in (documentation.get("options") or {}).items() if option.get("elements") == "dict"]
        if lists and not path.stem.endswith("_info"):
            fragments = documentation["extends_documentation_fragment"]
            assert "state" in documentation["options"] or "kubestead.platform.bulk.state" in fragments

    def test_an_entrys_state_has_no_default(self, path: Path) -> None:
        for name, option in nested(self.docs(path, "DOCUMENTATION").get("options") or {}, "suboptions"):
            if name.endswith(".state"):
                assert "default" not in option, name

    def test_no_result_is_named_like_a_method_of_a_dictionary(self, path: Path) -> None:
        named = [name for name, _value in nested(self.docs(path, "RETURN") or {}, "contains")]
        assert [name for name in named if name.split(".")[-1] in DICT_METHODS] == []


def nested(options: Mapping[str, Any], inner: str, prefix: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """All options or return values with their dotted names."""
    for name, option in options.items():
        yield f"{prefix}{name}", option
        yield from nested(option.get(inner) or {}, inner, f"{prefix}{name}.")
