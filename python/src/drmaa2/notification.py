"""Notifications about jobs."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable
from ctypes import CFUNCTYPE, c_void_p, cast
from dataclasses import dataclass
from typing import ClassVar

from ._foreign import Foreigners
from ._lib import lib
from ._struct import TEXT, Struct, attribute, implementation_specific, one_of
from .enums import Event, JobState


@dataclass(frozen=True, slots=True)
class Notification(Struct):
    """Something that happened to a job."""

    _kind: ClassVar[str] = "notification"

    #: What.
    event: Event | None = attribute(one_of(Event))
    #: The job.
    job_id: str | None = attribute(TEXT)
    #: The session of the job.
    session_name: str | None = attribute(TEXT)
    #: The state the job is in since.
    job_state: JobState | None = attribute(one_of(JobState))
    implementation_specific: dict[str, str] = implementation_specific()


Callback = Callable[[Notification], object]

_current: Callback | None = None
_registering = threading.RLock()
_foreigners = Foreigners()


def _forked() -> None:
    """A child has no callback, and none of its parent's threads."""
    global _current, _registering
    _current, _registering = None, threading.RLock()
    _foreigners.forget()


os.register_at_fork(after_in_child=_forked)


def register_event_notification(callback: Callback | None) -> None:
    """Have a function called whenever a job of an open session changes; ``None`` for none.

    It replaces the one before, and is called on a thread of the library, one call at a time. It may use
    all of this package. What it raises goes to ``sys.unraisablehook``. A call that goes on at the end of the
    program is waited for.

    :raises UnsupportedOperation: if there is no ``Capability.CALLBACK``
    """
    global _current
    with _registering:
        before, _current = _current, callback
        try:
            lib.drmaa2_register_event_notification(None if callback is None else cast(_trampoline, c_void_p))
        except BaseException:
            _current = before
            raise


def _notified(cell: int) -> None:
    """Takes the address of a pointer to a notification, which is ours to free."""
    _foreigners.enter()
    notification = Notification.take(c_void_p.from_address(cell).value or 0)
    callback = _current
    if callback is not None:
        callback(notification)


#: What C calls; it lives as long as the library.
_trampoline = CFUNCTYPE(None, c_void_p)(_notified)


@atexit.register
def _at_exit() -> None:
    """The thread that calls ends once there is nothing to call."""
    if _current is not None:
        register_event_notification(None)
    _foreigners.wait()
