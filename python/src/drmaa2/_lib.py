"""Finds and loads libdrmaa2, and declares its functions.

Every function that can fail checks itself, on the thread that called it and before anything else is
called: it returns, or it raises the exception of its error.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from ctypes import POINTER, byref, c_char_p, c_int, c_long, c_longlong, c_void_p
from pathlib import Path
from typing import Any, NoReturn

from .errors import Internal, from_code

#: ``time_t``
c_time = c_long

_SONAME = "libdrmaa2.so.1"


def _load() -> ctypes.CDLL:
    """The library that the process has; else $DRMAA2_LIBRARY; else that in this package; else the loader's.

    Two copies in one process would damage the database.
    """
    if os.environ.get("DRMAA2_COMPAT"):
        raise ImportError("DRMAA2_COMPAT is set: the structs are then not those that this package reads")
    try:
        return ctypes.CDLL(_SONAME, mode=os.RTLD_NOLOAD)
    except OSError:
        pass  # It is not loaded.
    bundled = Path(__file__).parent / "_native" / _SONAME
    path = os.environ.get("DRMAA2_LIBRARY") or (str(bundled) if bundled.exists() else _SONAME)
    try:
        # A CDLL lets go of the interpreter's lock during each call.
        return ctypes.CDLL(path)
    except OSError as error:
        raise ImportError(f"cannot load {path}: {error}; DRMAA2_LIBRARY may name another") from error


lib = _load()
#: Memory that the library frees has to come from the C library's ``malloc``.
libc = ctypes.CDLL(None)
libc.strdup.argtypes = [c_char_p]
libc.strdup.restype = c_void_p
libc.free.argtypes = [c_void_p]
libc.free.restype = None


def free(release: str, address: int) -> None:
    """Free an object of the library with the function of this name."""
    getattr(lib, release)(byref(c_void_p(address)))


def decode(text: bytes) -> str:
    """Text of the library; bytes that are no UTF-8 come through as they do in file names."""
    return text.decode("utf-8", "surrogateescape")


def _take_text(address: int | None) -> str | None:
    if not address:
        return None
    try:
        return decode(ctypes.string_at(address))
    finally:
        free("drmaa2_string_free", address)


def _raise(code: int) -> NoReturn:
    raise from_code(code, _take_text(lib.drmaa2_lasterror_text()))


def _status(code: int, *_: object) -> None:
    if code != 0:
        _raise(code)


def _address(address: int | None, function: Any, _: object) -> int:
    if not address:
        code: int = lib.drmaa2_lasterror()
        if code == 0:
            raise Internal(f"{function.__name__} returned NULL and no error")
        _raise(code)
    return address


def _text(address: int | None, *_: object) -> str | None:
    if not address:
        _status(lib.drmaa2_lasterror())
    return _take_text(address)


def _count(count: int, *_: object) -> int:
    if count < 0:
        _status(lib.drmaa2_lasterror())
    return count


#: What a result is in C, and how it is checked and given to Python.
Result = tuple[Any, "Callable[..., Any] | None"]
NOTHING: Result = (None, None)
PLAIN: Result = (c_int, None)
#: An error code.
STATUS: Result = (c_int, _status)
#: An address that the caller frees; NULL is an error.
OWNED: Result = (c_void_p, _address)
#: An address that stays the library's; NULL is an error.
BORROWED: Result = (c_void_p, _address)
#: A string that is copied and freed; NULL may be an error or no string.
TEXT: Result = (c_void_p, _text)
#: A number that is negative on error.
COUNT: Result = (c_long, _count)
STATE: Result = (c_int, _count)

_PTR = c_void_p
_STR = c_char_p
_ENUM = c_int
_TIME = c_time
_NUM = c_longlong
_SELF = POINTER(c_void_p)

_FREE: list[tuple[str, Result, list[Any]]] = [
    (f"drmaa2_{kind}_free", NOTHING, [_SELF])
    for kind in [
        *["string", "list", "dict"],
        *["jtemplate", "jinfo", "rtemplate", "rinfo", "notification", "version"],
        *["jsession", "rsession", "msession", "j", "jarray", "r"],
    ]
]

_FUNCTIONS: list[tuple[str, Result, list[Any]]] = [
    ("drmaa2_lasterror", PLAIN, []),
    ("drmaa2_lasterror_text", (c_void_p, None), []),
    # Lists and dictionaries.
    ("drmaa2_list_create", OWNED, [_ENUM, _PTR]),
    ("drmaa2_list_get", BORROWED, [_PTR, c_long]),
    ("drmaa2_list_add", STATUS, [_PTR, _PTR]),
    ("drmaa2_list_size", COUNT, [_PTR]),
    ("drmaa2_dict_create", OWNED, [_PTR]),
    ("drmaa2_dict_list", OWNED, [_PTR]),
    ("drmaa2_dict_get", BORROWED, [_PTR, _STR]),
    ("drmaa2_dict_set", STATUS, [_PTR, _PTR, _PTR]),
    # Structs, and their attributes beyond the standard.
    ("drmaa2_jtemplate_create", OWNED, []),
    ("drmaa2_jinfo_create", OWNED, []),
    ("drmaa2_rtemplate_create", OWNED, []),
    ("drmaa2_jtemplate_impl_spec", OWNED, []),
    ("drmaa2_jinfo_impl_spec", OWNED, []),
    ("drmaa2_rtemplate_impl_spec", OWNED, []),
    ("drmaa2_rinfo_impl_spec", OWNED, []),
    ("drmaa2_queueinfo_impl_spec", OWNED, []),
    ("drmaa2_machineinfo_impl_spec", OWNED, []),
    ("drmaa2_notification_impl_spec", OWNED, []),
    ("drmaa2_get_instance_value", TEXT, [_PTR, _STR]),
    ("drmaa2_set_instance_value", STATUS, [_PTR, _STR, _STR]),
    ("drmaa2_describe_attribute", TEXT, [_PTR, _STR]),
    # The session manager.
    ("drmaa2_get_drms_name", TEXT, []),
    ("drmaa2_get_drms_version", OWNED, []),
    ("drmaa2_get_drmaa_name", TEXT, []),
    ("drmaa2_get_drmaa_version", OWNED, []),
    ("drmaa2_supports", PLAIN, [_ENUM]),
    ("drmaa2_create_jsession", OWNED, [_STR, _STR]),
    ("drmaa2_create_rsession", OWNED, [_STR, _STR]),
    ("drmaa2_open_jsession", OWNED, [_STR]),
    ("drmaa2_open_rsession", OWNED, [_STR]),
    ("drmaa2_open_msession", OWNED, [_STR]),
    ("drmaa2_close_jsession", STATUS, [_PTR]),
    ("drmaa2_close_rsession", STATUS, [_PTR]),
    ("drmaa2_close_msession", STATUS, [_PTR]),
    ("drmaa2_destroy_jsession", STATUS, [_STR]),
    ("drmaa2_destroy_rsession", STATUS, [_STR]),
    ("drmaa2_get_jsession_names", OWNED, []),
    ("drmaa2_get_rsession_names", OWNED, []),
    ("drmaa2_register_event_notification", STATUS, [_PTR]),
    # Job sessions.
    ("drmaa2_jsession_get_contact", TEXT, [_PTR]),
    ("drmaa2_jsession_get_session_name", TEXT, [_PTR]),
    ("drmaa2_jsession_get_job_categories", OWNED, [_PTR]),
    ("drmaa2_jsession_get_jobs", OWNED, [_PTR, _PTR]),
    ("drmaa2_jsession_get_job_array", OWNED, [_PTR, _STR]),
    ("drmaa2_jsession_run_job", OWNED, [_PTR, _PTR]),
    ("drmaa2_jsession_run_bulk_jobs", OWNED, [_PTR, _PTR, _NUM, _NUM, _NUM, _NUM]),
    ("drmaa2_jsession_wait_any_started", OWNED, [_PTR, _PTR, _TIME]),
    ("drmaa2_jsession_wait_any_terminated", OWNED, [_PTR, _PTR, _TIME]),
    # Jobs and job arrays.
    ("drmaa2_j_get_jtemplate", OWNED, [_PTR]),
    ("drmaa2_j_suspend", STATUS, [_PTR]),
    ("drmaa2_j_resume", STATUS, [_PTR]),
    ("drmaa2_j_hold", STATUS, [_PTR]),
    ("drmaa2_j_release", STATUS, [_PTR]),
    ("drmaa2_j_terminate", STATUS, [_PTR]),
    ("drmaa2_j_reap", STATUS, [_PTR]),
    ("drmaa2_j_get_state", STATE, [_PTR, _SELF]),
    ("drmaa2_j_get_info", OWNED, [_PTR]),
    ("drmaa2_j_wait_started", STATUS, [_PTR, _TIME]),
    ("drmaa2_j_wait_terminated", STATUS, [_PTR, _TIME]),
    ("drmaa2_jarray_get_jobs", OWNED, [_PTR]),
    ("drmaa2_jarray_get_jtemplate", OWNED, [_PTR]),
    ("drmaa2_jarray_suspend", STATUS, [_PTR]),
    ("drmaa2_jarray_resume", STATUS, [_PTR]),
    ("drmaa2_jarray_hold", STATUS, [_PTR]),
    ("drmaa2_jarray_release", STATUS, [_PTR]),
    ("drmaa2_jarray_terminate", STATUS, [_PTR]),
    ("drmaa2_jarray_reap", STATUS, [_PTR]),
    # Monitoring.
    ("drmaa2_msession_get_all_reservations", OWNED, [_PTR]),
    ("drmaa2_msession_get_all_jobs", OWNED, [_PTR, _PTR]),
    ("drmaa2_msession_get_all_queues", OWNED, [_PTR, _PTR]),
    ("drmaa2_msession_get_all_machines", OWNED, [_PTR, _PTR]),
    # Reservations.
    ("drmaa2_rsession_get_contact", TEXT, [_PTR]),
    ("drmaa2_rsession_get_session_name", TEXT, [_PTR]),
    ("drmaa2_rsession_get_reservation", OWNED, [_PTR, _STR]),
    ("drmaa2_rsession_request_reservation", OWNED, [_PTR, _PTR]),
    ("drmaa2_rsession_get_reservations", OWNED, [_PTR]),
    ("drmaa2_r_get_reservation_template", OWNED, [_PTR]),
    ("drmaa2_r_get_info", OWNED, [_PTR]),
    ("drmaa2_r_terminate", STATUS, [_PTR]),
    # Beyond the standard: drmaa2_ext.h.
    ("drmaa2_jsession_wait_all_started", OWNED, [_PTR, _PTR, _TIME]),
    ("drmaa2_jsession_wait_all_terminated", OWNED, [_PTR, _PTR, _TIME]),
    ("drmaa2_j_terminate_forced", STATUS, [_PTR]),
]


def declared() -> Iterator[str]:
    """The names of all functions that this package uses."""
    return (name for name, _, _ in _FREE + _FUNCTIONS)


def _declare() -> None:
    for name, (result, check), arguments in _FREE + _FUNCTIONS:
        try:
            function = getattr(lib, name)
        except AttributeError:
            raise ImportError(f"{lib._name} has no {name}: it is no libdrmaa2 of this version") from None
        function.argtypes = arguments
        function.restype = result
        if check is not None:
            function.errcheck = check


_declare()
