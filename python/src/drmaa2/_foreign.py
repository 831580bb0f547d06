"""The end of threads that Python has not started.

A thread of the library that calls Python must be gone before the interpreter is: one that wants its lock
later than that is ended by Python on the spot, with what the library has on its stack. Python does not know
when such a thread ends; the C library does. It calls the destructor of a thread's own value, and here
that is ``sem_post``, so no thread of the interpreter has to look.
"""

from __future__ import annotations

from ctypes import byref, c_int, c_long, c_uint, c_void_p, cast

from ._lib import libc

for _name, _arguments in (
    ("sem_init", [c_void_p, c_int, c_uint]),
    ("sem_wait", [c_void_p]),
    ("pthread_key_create", [c_void_p, c_void_p]),
    ("pthread_setspecific", [c_uint, c_void_p]),
    ("pthread_getspecific", [c_uint]),
):
    getattr(libc, _name).argtypes = _arguments
libc.pthread_getspecific.restype = c_void_p


class Foreigners:
    """Threads that have called Python and have not ended."""

    def __init__(self) -> None:
        #: ``sem_t``; it is posted once for each thread that has ended.
        self._ended = (c_long * 8)()
        self._key = c_uint()
        if libc.pthread_key_create(byref(self._key), cast(libc.sem_post, c_void_p)) != 0:
            raise ImportError("there is no pthread_key_t left")
        self.forget()

    def forget(self) -> None:
        """There are none, as in a forked child."""
        self._seen = 0
        libc.sem_init(self._ended, 0, 0)

    def enter(self) -> None:
        """The calling thread is one."""
        if not libc.pthread_getspecific(self._key):
            libc.pthread_setspecific(self._key, cast(self._ended, c_void_p))
            self._seen += 1

    def wait(self) -> None:
        """Wait until all have ended."""
        while self._seen > 0:
            # It fails only when a signal comes, whose handler is run then.
            if libc.sem_wait(self._ended) == 0:
                self._seen -= 1
