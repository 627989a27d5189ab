"""What the fuzz tests share: derandomized examples, damaged bytes, and the rule for how a reader may end."""

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.robustness.record import record

FEW, MANY = 10, 200  # examples of a quick and of a slow test


def each(examples: int, strategy: st.SearchStrategy[Any], check: Callable[[Any], None]) -> None:
    """Checks so many examples, the same in every run."""

    def of_one(example: Any) -> None:
        check(example)

    quietly = list(HealthCheck)
    rules = settings(
        max_examples=examples, derandomize=True, deadline=None, database=None, suppress_health_check=quietly
    )
    rules(given(strategy)(of_one))()


def ended(kind: str, read: Callable[[], Any], wrong: Callable[[Any], str | None] = lambda result: None) -> Any:
    """What `read` gives, or None where it refuses with an error that the command line says as one sentence.

    Whatever else is raised goes on and fails the test.

    Args:
        kind: for the record.
        wrong: what is wrong with a result, if anything.
    """
    result, refusal = None, None
    try:
        result = read()
    except (ValueError, OSError) as error:
        refusal = error
    if refusal is not None:
        assert is_sentence(refusal), repr(refusal)
        record(kind, inputs_tried=1, clear_errors=1, read_rightly=0, crashes=0)
        return None
    assert wrong(result) is None, wrong(result)
    record(kind, inputs_tried=1, clear_errors=0, read_rightly=1, crashes=0)
    return result


def is_sentence(error: Exception) -> bool:
    """Whether what the command line would say of an error is a sentence that someone wrote."""
    return bool(str(error).strip()) and not isinstance(error, UnicodeError)


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """A file cut, overwritten, stretched or with parts lacking; sometimes whole, sometimes bytes at random."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, max(len(content) - 1, 0)))
        match draw(st.sampled_from(["cut", "write", "flip", "insert", "lose", "copy", "all"])):
            case "cut":
                del content[place:]
            case "write":
                noise = draw(st.binary(min_size=1, max_size=16))
                content[place : place + len(noise)] = noise
            case "flip" if content:
                content[place] ^= 1 << draw(st.integers(0, 7))
            case "insert":
                content[place:place] = draw(st.binary(max_size=40))
            case "lose":
                del content[place : place + draw(st.integers(1, 60))]
            case "copy":
                content[place:place] = content[place : place + draw(st.integers(1, 60))]
            case "all":
                content = bytearray(draw(st.binary(max_size=80)))
    return bytes(content)
