"""What a wheel carries: the library and its helpers from an installed tree, and the tag they call for.

``DRMAA2_PREFIX`` names the tree, as ``cmake --install`` makes it. Without it the wheel has no library and
uses the one that the loader finds.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NATIVE = "drmaa2/_native"
#: What every Linux of the same C library has, as the manylinux policies list it.
EVERYWHERE = re.compile(r"(libc|libm|libdl|librt|libpthread|libgcc_s|ld-linux[^.]*)\.so\.\d+")


class NativeHook(BuildHookInterface[Any]):
    """Adds the native files."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        prefix = os.environ.get("DRMAA2_PREFIX")
        if not prefix or version == "editable":
            return
        library, programs = places(Path(prefix))
        files = [library / "libdrmaa2.so.1", programs / "drmaa2-init", programs / "drmaa2d"]
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform_tag(files)}"
        # drmaa2-init and drmaa2d are looked for beside the library first.
        build_data["force_include"].update({str(file.resolve()): f"{NATIVE}/{file.name}" for file in files})


def places(prefix: Path) -> tuple[Path, Path]:
    """Where the library and its programs are: drmaa2.pc knows."""
    found = [*prefix.glob("lib*/pkgconfig/drmaa2.pc"), *prefix.glob("lib*/*/pkgconfig/drmaa2.pc")]
    if len(found) != 1:
        raise FileNotFoundError(f"there are {len(found)} drmaa2.pc in DRMAA2_PREFIX={prefix}, one is needed")
    library, programs = (
        Path(output("pkg-config", f"--variable={name}", found[0]).strip()) for name in ("libdir", "libexecdir")
    )
    return library, programs / "drmaa2"


def platform_tag(files: list[Path]) -> str:
    """manylinux, for the newest version of the C library that a file needs; linux if that says it all."""
    machine = platform.machine()
    # The output of binutils about the libraries and the versions that a file needs.
    needed = [output("objdump", "--private-headers", file) for file in files]
    libraries = {name for text in needed for name in re.findall(r"^ +NEEDED +(\S+)", text, re.MULTILINE)}
    # One needs the other.
    libraries -= {file.name for file in files}
    versions = [
        tuple(map(int, version.split(".")))
        for text in needed
        for version in re.findall(r"\bGLIBC_([\d.]+)$", text, re.MULTILINE)
    ]
    if not versions or not all(EVERYWHERE.fullmatch(name) for name in libraries):
        return f"linux_{machine}"
    major, minor = max(versions)[:2]
    return f"manylinux_{major}_{minor}_{machine}"


def output(*command: str | Path) -> str:
    """What a program prints."""
    environment = {**os.environ, "LC_ALL": "C"}
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
