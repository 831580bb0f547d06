"""Values of Python that mirror the structs of the C API.

A class that derives from :class:`Struct` is a dataclass whose attributes stand in the order of the
members of its C struct. Each is declared with a *kind*, which knows the type of the member and carries
values over; the layout of the C struct follows from that. No value keeps memory of C: the struct is made
for one call, or is read and freed.
"""

from __future__ import annotations

import ctypes
import dataclasses
import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import c_float, c_int, c_longlong, c_void_p
from enum import IntEnum
from typing import Any, ClassVar, TypeVar

from ._lib import c_time, free, lib
from ._memory import (
    encode,
    encode_optional,
    new_dict,
    new_string,
    new_string_list,
    read_dict,
    read_string,
    read_strings,
    take_strings,
)
from ._time import UNSET_TIME, moment, moment_to_c, number_to_c, span, span_to_c

S = TypeVar("S", bound="Struct")


@dataclasses.dataclass(frozen=True)
class Kind:
    """How an attribute is kept in C: the type, from C, to C. ``None`` never goes to C."""

    ctype: Any
    read: Callable[[Any], Any]
    write: Callable[[Any], Any] | None = None


def _if_not_null(read: Callable[[int], Any]) -> Callable[[int | None], Any]:
    return lambda address: read(address) if address else None


def _unless_negative(value: float) -> float | None:
    return None if value < 0 else value


TEXT = Kind(c_void_p, read_string, new_string)
TEXT_LIST = Kind(c_void_p, _if_not_null(read_strings), new_string_list)
TEXT_DICT = Kind(c_void_p, _if_not_null(read_dict), new_dict)
FLAG = Kind(c_int, bool, int)
#: -1 alone is no value.
NUMBER = Kind(c_longlong, lambda value: None if value == -1 else value, number_to_c)
EXIT_STATUS = Kind(c_int, _unless_negative, lambda value: number_to_c(value, 32))
LOAD = Kind(c_float, _unless_negative)
MOMENT = Kind(c_time, lambda value: None if value == UNSET_TIME else moment(value), moment_to_c)
SPAN = Kind(c_time, lambda value: None if value < 0 else span(value), span_to_c)
LONG_SPAN = dataclasses.replace(SPAN, ctype=c_longlong)


def one_of(enum: type[IntEnum]) -> Kind:
    """A member of an enumeration."""
    return Kind(c_int, lambda value: None if value == -1 else enum(value), lambda value: int(enum(value)))


def attribute(kind: Kind, default: Any = None) -> Any:
    """Declare an attribute of a :class:`Struct`."""
    return dataclasses.field(default=default, metadata={"kind": kind})


def implementation_specific() -> Any:
    """Declare the attributes beyond the standard: values by their names."""
    return dataclasses.field(default_factory=dict)


class Struct:
    """The base of all mirrors of C structs."""

    __slots__ = ()

    #: The struct's name in the names of functions, as in ``drmaa2_jinfo_free``.
    _kind: ClassVar[str]
    #: In those that have such attributes.
    implementation_specific: dict[str, str]

    @classmethod
    def implementation_specific_names(cls) -> list[str]:
        """The names that ``implementation_specific`` may hold."""
        return list(_names(cls._kind))

    @classmethod
    def read(cls: type[S], address: int) -> S:
        """The value of a struct that stays its owner's."""
        members = layout(cls)
        struct = members.struct.from_address(address)
        values = {name: kind.read(getattr(struct, name)) for name, kind in members.kinds}
        if hasattr(cls, "implementation_specific"):
            values["implementation_specific"] = _read_more(cls._kind, address)
        return cls(**values)

    @classmethod
    def take(cls: type[S], address: int) -> S:
        """The same, and the struct is freed."""
        try:
            return cls.read(address)
        finally:
            free(f"drmaa2_{cls._kind}_free", address)

    @contextmanager
    def lend(self) -> Iterator[int]:
        """A struct of this value for one call."""
        address: int = getattr(lib, f"drmaa2_{self._kind}_create")()
        try:
            members = layout(type(self))
            struct = members.struct.from_address(address)
            for name, kind in members.kinds:
                value = getattr(self, name)
                if value is not None and kind.write is not None:
                    setattr(struct, name, kind.write(value))
            for name, value in self.implementation_specific.items():
                lib.drmaa2_set_instance_value(address, encode(name), encode_optional(value))
            yield address
        finally:
            free(f"drmaa2_{self._kind}_free", address)


@dataclasses.dataclass(frozen=True)
class _Layout:
    struct: type[ctypes.Structure]
    kinds: list[tuple[str, Kind]]


_LAYOUTS: dict[type[Struct], _Layout] = {}


def layout(cls: Any) -> _Layout:
    """The C struct of a :class:`Struct`, and the kinds of its members by their names."""
    known = _LAYOUTS.get(cls)
    if known is None:
        kinds = [(one.name, one.metadata["kind"]) for one in dataclasses.fields(cls) if one.metadata]
        # All end with a pointer of the library's.
        members = [*((name, kind.ctype) for name, kind in kinds), ("_more", c_void_p)]
        struct = type(cls.__name__, (ctypes.Structure,), {"_fields_": members})
        known = _LAYOUTS[cls] = _Layout(struct, kinds)
    return known


@functools.cache
def _names(kind: str) -> tuple[str, ...]:
    return tuple(take_strings(getattr(lib, f"drmaa2_{kind}_impl_spec")()))


def _read_more(kind: str, address: int) -> dict[str, str]:
    values = {name: lib.drmaa2_get_instance_value(address, encode(name)) for name in _names(kind)}
    return {name: value for name, value in values.items() if value is not None}


def describe_attribute(name: str) -> str:
    """Explain an implementation-specific attribute."""
    text: str = lib.drmaa2_describe_attribute(None, encode(name))
    return text
