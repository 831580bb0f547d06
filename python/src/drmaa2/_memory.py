"""Strings, lists and dictionaries, from Python to C and back.

What is made here is freed by whoever takes it: an address that a function returns is the caller's, who
either frees it or puts it into a struct that frees it. ``lend_*`` do that by themselves.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from ctypes import c_void_p
from typing import TypeVar, Union

from ._lib import decode, free, lib, libc
from .errors import InvalidArgument, OutOfResource

T = TypeVar("T")

#: What is taken as text. Bytes may be any but NUL.
Text = Union[str, bytes, "os.PathLike[str]"]

STRING_LIST = 0
JOB_LIST = 1


def encode(text: Text) -> bytes:
    """The bytes of a text, which C ends with a NUL."""
    plain = os.fspath(text)
    if isinstance(plain, str):
        try:
            plain = plain.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            raise InvalidArgument(f"{text!r} has a character that is none: {error.reason}") from None
    if b"\0" in plain:
        raise InvalidArgument(f"{text!r} has a NUL in it")
    return plain


def encode_optional(text: Text | None) -> bytes | None:
    """The same; ``None`` is NULL."""
    return None if text is None else encode(text)


def new_string(text: Text) -> int:
    """A string by ``malloc``."""
    address: int | None = libc.strdup(encode(text))
    if not address:
        raise OutOfResource("there is no memory for a string")
    return address


def read_string(address: int | None) -> str | None:
    """The text at an address."""
    return decode(ctypes.string_at(address)) if address else None


def new_string_list(texts: Iterable[Text]) -> int:
    """A list that owns its strings."""
    if isinstance(texts, (str, bytes)):
        raise TypeError(f"a list of strings is wanted, not the string {texts!r}")
    address: int = lib.drmaa2_list_create(STRING_LIST, _callback("drmaa2_string_list_default_callback"))
    try:
        for text in texts:
            string = new_string(text)
            try:
                lib.drmaa2_list_add(address, string)
            except BaseException:
                libc.free(string)
                raise
    except BaseException:
        free("drmaa2_list_free", address)
        raise
    return address


def read_list(address: int, read: Callable[[int], T]) -> list[T]:
    """What ``read`` makes of the elements of a list that stays its owner's."""
    size: int = lib.drmaa2_list_size(address)
    return [read(lib.drmaa2_list_get(address, position)) for position in range(size)]


def take_list(address: int, read: Callable[[int], T]) -> list[T]:
    """The same, and the list is freed."""
    try:
        return read_list(address, read)
    finally:
        free("drmaa2_list_free", address)


def take_strings(address: int) -> list[str]:
    """The strings of a list, which is freed."""
    return take_list(address, _string)


def read_strings(address: int) -> list[str]:
    """The strings of a list that stays its owner's."""
    return read_list(address, _string)


def new_dict(texts: Mapping[str, Text | int]) -> int:
    """A dictionary that owns its strings. Numbers become text."""
    # No key twice: C would not take the second one over.
    entries = {
        encode(key): encode(str(value) if isinstance(value, int) else value) for key, value in texts.items()
    }
    address: int = lib.drmaa2_dict_create(_callback("drmaa2_dict_default_callback"))
    try:
        for key, value in entries.items():
            _set(address, key, value)
    except BaseException:
        free("drmaa2_dict_free", address)
        raise
    return address


def _set(dictionary: int, key: bytes, value: bytes) -> None:
    made: list[int] = []
    try:
        made.append(new_string(key))
        made.append(new_string(value))
        lib.drmaa2_dict_set(dictionary, *made)
    except BaseException:
        for string in made:
            libc.free(string)
        raise


def read_dict(address: int) -> dict[str, str]:
    """The entries of a dictionary that stays its owner's."""
    keys = take_strings(lib.drmaa2_dict_list(address))
    return {key: _string(lib.drmaa2_dict_get(address, encode(key))) for key in keys}


@contextmanager
def lend_strings(texts: Iterable[Text] | None) -> Iterator[int | None]:
    """A list of strings for one call; ``None`` is NULL."""
    if texts is None:
        yield None
        return
    address = new_string_list(texts)
    try:
        yield address
    finally:
        free("drmaa2_list_free", address)


@contextmanager
def lend_list(kind: int, elements: Iterable[ctypes.Structure]) -> Iterator[int]:
    """A list of structs of Python for one call."""
    kept = list(elements)
    address: int = lib.drmaa2_list_create(kind, None)
    try:
        for element in kept:
            lib.drmaa2_list_add(address, ctypes.byref(element))
        yield address
    finally:
        # A list without a callback leaves its elements alone.
        free("drmaa2_list_free", address)


def _string(address: int) -> str:
    return decode(ctypes.string_at(address))


def _callback(name: str) -> c_void_p:
    return ctypes.cast(getattr(lib, name), c_void_p)
