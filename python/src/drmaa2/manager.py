"""What DRMAA2 tells of itself and of the DRM system."""

from __future__ import annotations

from ._lib import lib
from .enums import Capability
from .monitoring import Version


def supports(capability: Capability) -> bool:
    """Is an optional feature there?"""
    return bool(lib.drmaa2_supports(capability))


def get_drms_name() -> str:
    """The name of the DRM system."""
    name: str = lib.drmaa2_get_drms_name()
    return name


def get_drms_version() -> Version:
    """The version of the DRM system."""
    return Version.take(lib.drmaa2_get_drms_version())


def get_drmaa_name() -> str:
    """The name of the DRMAA2 library."""
    name: str = lib.drmaa2_get_drmaa_name()
    return name


def get_drmaa_version() -> Version:
    """The version of DRMAA as major, "2", and that of the library as minor."""
    return Version.take(lib.drmaa2_get_drmaa_version())
