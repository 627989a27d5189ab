"""One line of a diagnosis."""

from typing import Literal, NamedTuple

State = Literal["ok", "note", "wrong"]  # note: something works less well than it could; wrong: it does not work


class Finding(NamedTuple):
    """What was looked at and how it is."""

    state: State
    what: str
    said: str

    def __str__(self) -> str:
        return f"{self.state:>5}  {self.what:<14} {self.said}"
