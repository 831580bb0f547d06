"""Which library is loaded."""

from __future__ import annotations

import os
from pathlib import Path

from common import python

import drmaa2
from drmaa2._lib import lib

PACKAGE = Path(drmaa2.__file__).parent


def test_the_wheel_carries_what_is_needed() -> None:
    assert "site-packages" in PACKAGE.parts
    assert lib._name == str(PACKAGE / "_native" / "libdrmaa2.so.1")
    for program in ("drmaa2-init", "drmaa2d"):
        assert os.access(PACKAGE / "_native" / program, os.X_OK)
    assert (PACKAGE / "py.typed").exists()
    assert (PACKAGE / "LICENSE").exists()


def test_another_library(tmp_path: Path) -> None:
    other = tmp_path / "other.so"
    other.symlink_to(lib._name)
    ended = python("import drmaa2._lib; print(drmaa2._lib.lib._name)", DRMAA2_LIBRARY=str(other))
    assert ended.stdout == f"{other}\n"


def test_a_library_that_is_not_there() -> None:
    ended = python("import drmaa2", DRMAA2_LIBRARY="/no/such/library.so")
    assert "ImportError: cannot load /no/such/library.so" in ended.stderr


def test_a_library_that_is_another() -> None:
    ended = python("import drmaa2", DRMAA2_LIBRARY="libc.so.6")
    assert "ImportError: libc.so.6 has no drmaa2_" in ended.stderr


def test_structs_of_another_library() -> None:
    assert "ImportError: DRMAA2_COMPAT is set" in python("import drmaa2", DRMAA2_COMPAT="age").stderr
