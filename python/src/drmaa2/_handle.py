"""Handles of jobs, job arrays and reservations: values that name something, and hold nothing."""

from __future__ import annotations

from ctypes import Structure, byref, c_char_p, c_void_p
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from ._lib import decode, free
from ._memory import encode, encode_optional

H = TypeVar("H", bound="Handle")


class _Named(Structure):
    """``drmaa2_j_s`` and ``drmaa2_r_s``. The library reads neither names of jobs nor what is behind."""

    _fields_ = [("id", c_char_p), ("session_name", c_char_p), ("job_name", c_char_p)]


class NamedArray(Structure):
    """``drmaa2_jarray_s``."""

    _fields_ = [("id", c_char_p), ("job_list", c_void_p), ("session_name", c_char_p)]


@dataclass(frozen=True, slots=True)
class Handle:
    """An id and the name of a session. Copies, also those in other processes, name the same."""

    _kind: ClassVar[str]
    _layout: ClassVar[type[Structure]] = _Named

    id: str
    session_name: str | None

    @classmethod
    def read(cls: type[H], address: int) -> H:
        """What a handle that stays its owner's names."""
        struct: Any = cls._layout.from_address(address)
        session = struct.session_name
        return cls(decode(struct.id), None if session is None else decode(session))

    @classmethod
    def take(cls: type[H], address: int) -> H:
        """The same, and the handle is freed."""
        try:
            return cls.read(address)
        finally:
            free(f"drmaa2_{cls._kind}_free", address)

    def lend(self) -> Structure:
        """A handle in the memory of Python, which the library takes as well as its own."""
        return self._layout(id=encode(self.id), session_name=encode_optional(self.session_name))

    def _call(self, function: Any, *arguments: Any) -> Any:
        return function(byref(self.lend()), *arguments)
