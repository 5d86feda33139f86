# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates of the lab's servers, made with the openssl command: this runs before any Python library is installed."""

from __future__ import annotations

from pathlib import Path

from kubestead_lab.commands import output, write

_DAYS = "3650"
_CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


def _run(*argv: str) -> None:
    output(["openssl", *argv], what=f"make a certificate ({argv[0]})")


def make_ca(folder: Path, name: str) -> None:
    """ca.crt and ca.key in the folder, unless they are there."""
    if (folder / "ca.crt").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "ca.key", "", 0o600)
    fresh = folder / "ca.crt.new"
    _run(
        "req",
        "-x509",
        *_CURVE,
        "-keyout",
        str(folder / "ca.key"),
        "-days",
        _DAYS,
        "-subj",
        f"/CN={name}",
        "-out",
        str(fresh),
        "-addext",
        "keyUsage=critical,keyCertSign,cRLSign",
    )
    fresh.rename(folder / "ca.crt")


def make_pair(folder: Path, name: str, subject: str, alternative_names: str = "") -> None:
    """name.crt and name.key, signed by the folder's CA, unless they are there."""
    if (folder / f"{name}.crt").exists():
        return
    request, fresh, extensions = (folder / f"{name}.{ending}" for ending in ("csr", "crt.new", "ext"))
    write(folder / f"{name}.key", "", 0o600)
    _run("req", "-new", *_CURVE, "-keyout", str(folder / f"{name}.key"), "-subj", subject, "-out", str(request))
    lines = ["extendedKeyUsage=serverAuth,clientAuth", "keyUsage=critical,digitalSignature"]
    write(extensions, "\n".join([*lines, f"subjectAltName={alternative_names}"] if alternative_names else lines) + "\n")
    _run(
        "x509",
        "-req",
        "-in",
        str(request),
        "-CA",
        str(folder / "ca.crt"),
        "-CAkey",
        str(folder / "ca.key"),
        "-CAcreateserial",
        "-days",
        _DAYS,
        "-extfile",
        str(extensions),
        "-out",
        str(fresh),
    )
    request.unlink()
    extensions.unlink()
    fresh.rename(folder / f"{name}.crt")


def make_token_key(folder: Path) -> None:
    """sa.key and sa.pub for service account tokens, unless they are there."""
    if (folder / "sa.pub").exists():
        return
    write(folder / "sa.key", "", 0o600)
    _run("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", str(folder / "sa.key"))
    _run("pkey", "-in", str(folder / "sa.key"), "-pubout", "-out", str(folder / "sa.pub.new"))
    (folder / "sa.pub.new").rename(folder / "sa.pub")
