"""What job sessions, reservation sessions and monitoring sessions have in common."""

from __future__ import annotations

import weakref
from contextlib import suppress
from types import TracebackType
from typing import Any, ClassVar, NoReturn, TypeVar

from ._lib import free, lib
from ._memory import encode, encode_optional, take_strings
from .errors import InvalidSession

S = TypeVar("S", bound="Session")
P = TypeVar("P", bound="StoredSession")


class Session:
    """An open session. Leaving a ``with`` statement closes it."""

    _kind: ClassVar[str]

    def __init__(self, address: int) -> None:
        self._address = address
        # At exit nothing is done: a process that ends without closing loses nothing.
        weakref.finalize(self, free, f"drmaa2_{self._kind}_free", address).atexit = False

    def close(self) -> None:
        """Close it. Jobs and reservations go on.

        :raises InvalidSession: if it is closed already
        """
        self._call(f"drmaa2_close_{self._kind}")

    def __enter__(self: S) -> S:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # It may have been closed or destroyed inside.
        with suppress(InvalidSession):
            self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a session belongs to its process; open it by its name in the other one")

    def _call(self, function: str, *arguments: Any) -> Any:
        return getattr(lib, function)(self._address, *arguments)


class StoredSession(Session):
    """A session that is stored under its name until it is destroyed."""

    def __init__(self, name: str | None = None, contact: str | None = None) -> None:
        """Create it, store it and open it.

        :param name: a name that the user has not given to another; ``None`` for a new one
        :param contact: which DRM system to use; ``None`` for the default
        """
        create = getattr(lib, f"drmaa2_create_{self._kind}")
        self._opened(create(encode_optional(name), encode_optional(contact)))

    @classmethod
    def open(cls: type[P], name: str) -> P:
        """Open a session that was created before, by any process of the user."""
        session = cls.__new__(cls)
        session._opened(getattr(lib, f"drmaa2_open_{cls._kind}")(encode(name)))
        return session

    def _opened(self, address: int) -> None:
        super().__init__(address)
        #: Its name.
        self.name: str = self._call(f"drmaa2_{self._kind}_get_session_name")
        #: The contact string it was created with.
        self.contact: str | None = self._call(f"drmaa2_{self._kind}_get_contact")

    def destroy(self) -> None:
        """Close it, if it is open, and remove it from the store."""
        with suppress(InvalidSession):
            self.close()
        self.destroy_by_name(self.name)

    @classmethod
    def destroy_by_name(cls, name: str) -> None:
        """Remove a session from the store. What is open of it is of no use any more."""
        getattr(lib, f"drmaa2_destroy_{cls._kind}")(encode(name))

    @classmethod
    def names(cls) -> list[str]:
        """The names of all sessions that can be opened."""
        return take_strings(getattr(lib, f"drmaa2_get_{cls._kind}_names")())

    def __repr__(self) -> str:
        return f"{type(self).__name__}.open({self.name!r})"
