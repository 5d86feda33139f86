# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which part of the code may import and touch what, and a walk over the syntax trees that finds breaches."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DOMAINS = frozenset({"_certs", "_kubeconfig", "_directory", "_rbac", "_disks", "_rook", "_people", "_report"})

# One row per room: the rooms it may import from. A folder without a row is a breach.
MAY_IMPORT: dict[str, frozenset[str]] = {
    "_core": frozenset({"_core"}),
    **{domain: frozenset({"_core", domain}) for domain in DOMAINS},
    "_flows": frozenset({"_core", "_flows"}) | DOMAINS,
    "_adapters": frozenset({"_core", "_adapters"}) | DOMAINS,
    "_ansible": frozenset({"_core", "_ansible"}),
    "modules": frozenset({"_core", "_ansible", "_flows", "_adapters"}),
    "filter": frozenset({"_core"}) | DOMAINS,
    "doc_fragments": frozenset(),
}

# Libraries from outside the standard library, by room; a longer name narrows it to a part of the library.
MAY_USE: dict[str, tuple[str, ...]] = {
    "_kubeconfig": ("yaml",),
    "_rook": ("yaml",),
    "_certs": ("cryptography",),
    "_directory": ("ldap3.utils",),
    "_adapters": ("kubernetes", "urllib3", "ldap3", "cryptography", "yaml"),
    "_ansible": ("ansible.module_utils",),
    "filter": ("ansible.errors", "ansible.module_utils"),
}
NEEDS_NO_GUARD = ("ansible.errors", "ansible.module_utils")

# Rooms that compute and touch nothing, and what they may not import or call therefore.
PURE = frozenset({"_core", "_flows", "filter"}) | DOMAINS
UNCLEAN_MODULES = frozenset(
    "asyncio ctypes fcntl getpass glob http io logging multiprocessing os pathlib platform pty pwd grp random secrets "
    "select shutil signal smtplib socket socketserver sqlite3 ssl subprocess sys tempfile threading time urllib.request "
    "concurrent importlib".split()
)
UNCLEAN_CALLS = frozenset({"open", "input", "print", "exec", "eval", "__import__"})
UNCLEAN_ATTRIBUTES = frozenset({"now", "utcnow", "today", "uuid1", "uuid4"})
EXCEPTIONS = {("_core/pool.py", "threading")}

ENDS_THE_PROCESS = frozenset({"fail_json", "exit_json"})
OWN_NAME = "ansible_collections"


@dataclass(frozen=True)
class Import:
    """One import as written: ``room`` for our own code, ``library`` for everything else."""

    line: int
    room: str = ""
    library: str = ""
    guarded: bool = True
    target: str = ""


def room_of(path: Path, plugins: Path) -> str:
    """The room a file lives in: a folder of module_utils, or of plugins."""
    parts = path.relative_to(plugins).parts
    return parts[1] if parts[0] == "module_utils" and len(parts) > 2 else parts[0]


def breaches(plugins: Path) -> list[str]:
    """Every breach below ``plugins``, as one line each."""
    return [found for path in sorted(plugins.rglob("*.py")) for found in file_breaches(path, plugins)]


def file_breaches(path: Path, plugins: Path) -> Iterator[str]:
    room = room_of(path, plugins)
    where = path.relative_to(plugins)
    if room not in MAY_IMPORT:
        yield f"{where}: the folder {room} has no row in the table of rooms"
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for imported in imports(tree, path, plugins):
        for complaint in import_breaches(room, imported, short_name(path, plugins)):
            yield f"{where}:{imported.line}: {complaint}"
    if room == "_flows" and len({i.room for i in imports(tree, path, plugins)} & DOMAINS) > 1:
        yield f"{where}: a flow serves one domain"
    for line, complaint in touches(tree, room):
        yield f"{where}:{line}: {complaint}"


def short_name(path: Path, plugins: Path) -> str:
    return "/".join(path.relative_to(plugins).parts[-2:])


def import_breaches(room: str, imported: Import, name: str) -> Iterator[str]:
    if imported.room:
        if imported.room not in MAY_IMPORT[room]:
            yield f"{room} may not import from {imported.room}"
        return
    library = imported.library
    if library.split(".")[0] == OWN_NAME:
        yield "own code is imported relatively"
    elif library.split(".")[0] in sys.stdlib_module_names:
        if room in PURE and is_unclean(library) and (name, library.split(".")[0]) not in EXCEPTIONS:
            yield f"{room} computes only and may not import {library}"
    elif not any(covers(allowed, library) for allowed in MAY_USE.get(room, ())):
        yield f"{room} may not use {library}"
    elif not imported.guarded and not any(covers(allowed, library) for allowed in NEEDS_NO_GUARD):
        yield f"{library} is imported without a guard"


def covers(allowed: str, library: str) -> bool:
    return library == allowed or library.startswith(allowed + ".")


def is_unclean(library: str) -> bool:
    return library.split(".")[0] in UNCLEAN_MODULES or any(covers(name, library) for name in UNCLEAN_MODULES if "." in name)


def imports(tree: ast.Module, path: Path, plugins: Path) -> Iterator[Import]:
    guarded = {id(inner) for node in ast.walk(tree) if is_guard(node) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(node.lineno, library=alias.name, guarded=id(node) in guarded)
        elif isinstance(node, ast.ImportFrom) and node.level:
            yield from relative_imports(node, path, plugins)
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from ldap3 import utils` is `ldap3.utils`; `from ldap3.utils import x` is named as it stands.
            names = [f"{node.module}.{alias.name}" for alias in node.names] if "." not in node.module else [node.module]
            for name in dict.fromkeys(names):
                yield Import(node.lineno, library=name, guarded=id(node) in guarded)


def relative_imports(node: ast.ImportFrom, path: Path, plugins: Path) -> Iterator[Import]:
    base = path.parent
    for _up in range(node.level - 1):
        base = base.parent
    for tail in [node.module] if node.module else [alias.name for alias in node.names]:
        target = base.joinpath(*str(tail).split("."))
        file = target.with_suffix(".py") if target.with_suffix(".py").is_file() else target / "__init__.py"
        room = room_of(file, plugins) if file.is_relative_to(plugins) else f"outside plugins ({target})"
        yield Import(node.lineno, room=room, target=str(file))
        if node.module:
            for alias in node.names:
                inner = target / f"{alias.name}.py"
                if inner.is_file():
                    yield Import(node.lineno, room=room_of(inner, plugins), target=str(inner))


def is_guard(node: ast.AST) -> bool:
    if isinstance(node, ast.Try):
        return any("ImportError" in ast.unparse(handler.type) for handler in node.handlers if handler.type)
    if isinstance(node, ast.With):
        return any("suppress(ImportError)" in ast.unparse(item.context_expr) for item in node.items)
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.unparse(node.test)
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))


def touches(tree: ast.Module, room: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        if isinstance(called, ast.Attribute) and called.attr in ENDS_THE_PROCESS and room != "_ansible":
            yield node.lineno, f"only _ansible may call {called.attr}"
        if room not in PURE:
            continue
        if isinstance(called, ast.Name) and called.id in UNCLEAN_CALLS:
            yield node.lineno, f"{room} computes only and may not call {called.id}"
        if isinstance(called, ast.Attribute) and called.attr in UNCLEAN_ATTRIBUTES and not node.args:
            yield node.lineno, f"{room} is told the time and new ids; it may not call {called.attr}"


def closure(start: Path, plugins: Path) -> tuple[set[Path], set[str]]:
    """The files a module brings to a node, and the libraries they name."""
    files: set[Path] = set()
    libraries: set[str] = set()
    waiting = [start]
    while waiting:
        path = waiting.pop()
        if path in files or not path.is_file():
            continue
        files.add(path)
        for imported in imports(ast.parse(path.read_text(encoding="utf-8")), path, plugins):
            if imported.room:
                waiting.append(Path(imported.target))
            else:
                libraries.add(imported.library)
    return files, libraries


def foreign_libraries(start: Path, plugins: Path) -> set[str]:
    """Libraries in the closure that a bare node does not have."""
    return {
        library
        for library in closure(start, plugins)[1]
        if library.split(".")[0] not in sys.stdlib_module_names and not covers("ansible.module_utils", library)
    }
