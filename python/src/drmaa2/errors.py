"""One exception class for each error code of DRMAA2."""

from __future__ import annotations

from typing import ClassVar


class Drmaa2Exception(Exception):
    """Something that DRMAA2 did not do; its text names the object and the cause.

    Only subclasses are raised, one for each error code.
    """

    #: The number of the error in the C API.
    code: ClassVar[int] = -1


class DeniedByDrms(Drmaa2Exception):
    """Refused for reasons of security or policy."""

    code = 1


class DrmCommunication(Drmaa2Exception):
    """The DRM system cannot be reached; unknown whether that will pass."""

    code = 2


class TryLater(Drmaa2Exception):
    """Overload that passes; the same call may succeed later."""

    code = 3


class SessionManagement(Drmaa2Exception):
    """Trouble with the stored sessions."""

    code = 4


class Timeout(Drmaa2Exception, TimeoutError):
    """The waiting time is over."""

    code = 5


class Internal(Drmaa2Exception):
    """Unexpected and unclassified."""

    code = 6


class InvalidArgument(Drmaa2Exception, ValueError):
    """Bad input, unknown name or id, reaped job."""

    code = 7


class InvalidSession(Drmaa2Exception):
    """The session is closed or destroyed."""

    code = 8


class InvalidState(Drmaa2Exception):
    """The operation is not allowed in the current state."""

    code = 9


class OutOfResource(Drmaa2Exception):
    """Memory, descriptors or disk are exhausted."""

    code = 10


class UnsupportedAttribute(Drmaa2Exception):
    """An optional attribute is set that is not supported."""

    code = 11


class UnsupportedOperation(Drmaa2Exception):
    """An optional function that is not supported."""

    code = 12


class ImplementationSpecific(Drmaa2Exception):
    """Anything else an implementation documents."""

    code = 13


_BY_CODE: dict[int, type[Drmaa2Exception]] = {
    error.code: error
    for error in (
        DeniedByDrms,
        DrmCommunication,
        TryLater,
        SessionManagement,
        Timeout,
        Internal,
        InvalidArgument,
        InvalidSession,
        InvalidState,
        OutOfResource,
        UnsupportedAttribute,
        UnsupportedOperation,
        ImplementationSpecific,
    )
}


def from_code(code: int, text: str | None) -> Drmaa2Exception:
    """The exception for an error of the C API."""
    error = _BY_CODE.get(code)
    if error is None:
        return Internal(f"error {code}, which DRMAA2 does not know: {text or 'no text'}")
    return error(text or f"error {code} without a text")
