"""Waits that Ctrl-C can end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import NoReturn, TypeVar

from ._time import Span, span_to_c

T = TypeVar("T")


def wait(call: Callable[[int], T], timeout: Span) -> T:
    """Run a wait of the C API, which gets the time in seconds.

    Python runs the handlers of signals on the main thread alone, and not while that is inside of C. So
    there the call is made on a thread of its own, and the main thread waits for the answer in a way that
    signals interrupt. A call that was left that way goes on until its time is over or its job is there.
    """
    seconds = span_to_c(timeout)
    if seconds == 0 or threading.current_thread() is not threading.main_thread():
        return call(seconds)
    answers: SimpleQueue[Callable[[], T]] = SimpleQueue()
    threading.Thread(target=_answer, args=(call, seconds, answers), name="drmaa2-wait", daemon=True).start()
    return answers.get()()


def _answer(call: Callable[[int], T], seconds: int, answers: SimpleQueue[Callable[[], T]]) -> None:
    try:
        result = call(seconds)
    except BaseException as error:
        answers.put(_raiser(error))
    else:
        answers.put(lambda: result)


def _raiser(error: BaseException) -> Callable[[], NoReturn]:
    def throw() -> NoReturn:
        raise error

    return throw
