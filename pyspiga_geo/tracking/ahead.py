"""Produce items in a thread that works ahead of their consumer."""

from collections.abc import Generator, Iterable
from queue import Full, Queue
from threading import Event, Thread
from typing import TypeVar

Item = TypeVar("Item")

_WAIT = 0.1
"""Seconds after which a thread whose queue is full checks whether it is still needed."""


def ahead(items: Iterable[Item], size: int = 8) -> Generator[Item]:
    """Take items in a separate thread, at most ``size`` ahead of the caller.

    An error raised by the items is raised at its place in the sequence. Closing the generator ends the thread.

    Example:
        >>> list(ahead(range(3)))
        [0, 1, 2]
    """
    queue: Queue[tuple[Item] | BaseException | None] = Queue(size)
    unwanted = Event()

    def offer(message: tuple[Item] | BaseException | None) -> None:
        while not unwanted.is_set():
            try:
                return queue.put(message, timeout=_WAIT)
            except Full:
                continue

    def work() -> None:
        try:
            for item in items:
                offer((item,))
                if unwanted.is_set():
                    return
            offer(None)
        except BaseException as error:
            offer(error)

    thread = Thread(target=work, name="ahead", daemon=True)
    thread.start()
    try:
        while (message := queue.get()) is not None:
            if isinstance(message, BaseException):
                raise message
            yield message[0]
    finally:
        unwanted.set()
        thread.join()
