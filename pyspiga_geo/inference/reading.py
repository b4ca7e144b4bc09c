"""Apply a function to items one after another, or in threads that work ahead."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 2
"""Number of items that each thread may be ahead of the one that is waited for."""


def map_ahead(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """Apply a function to items, in order, in ``workers`` threads that stay a few items ahead.

    Unlike :meth:`concurrent.futures.Executor.map` it takes items only shortly before they are needed, so that neither
    endless iterators nor large results are a problem. With 0 workers the caller's thread does the work on demand.
    """
    if not workers:
        yield from map(function, items)
        return
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="photos") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > _AHEAD * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
