"""Memory that threads share: what they hold together never exceeds it."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class Room:
    """Lets threads in as long as what they need together fits; who needs more than there is goes in alone.

    Args:
        size: of the room, in whatever unit.
    """

    def __init__(self, size: int) -> None:
        self._size, self._taken, self._changed = size, 0, Condition()

    @contextmanager
    def taking(self, needed: int) -> Iterator[None]:
        """Waits until there is room for `needed`, and holds it."""
        share = min(needed, self._size)
        with self._changed:
            self._changed.wait_for(lambda: self._taken + share <= self._size)
            self._taken += share
        try:
            yield
        finally:
            with self._changed:
                self._taken -= share
                self._changed.notify_all()
