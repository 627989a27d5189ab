"""Signatures with numpy's aliases as they are written, not as they are spelled out."""

import inspect
import re
from typing import Any

from markupsafe import Markup
from numpy.typing import ArrayLike
from pdoc.render_helpers import format_signature

ARRAY = re.compile(r"numpy\.ndarray\[tuple\[(?:typing\.)?Any, \.\.\.\], numpy\.dtype\[(?:numpy\.)?([\w.]+)\]\]")
ANY = inspect.formatannotation(ArrayLike)  # Union[...]
SPELLED_OUT = {ANY.removesuffix("]") + ", NoneType]": "ArrayLike | None", ANY: "ArrayLike"}
SPELLED_OUT |= {"collections.abc.": "", "typing.": ""}


class Written(str):
    """An annotation that is shown as this text."""

    __repr__ = str.__str__


def short_signature(signature: inspect.Signature, colon: bool) -> Markup:
    """The signature as HTML, in place of pdoc's filter of this kind."""
    parameters = [one.replace(annotation=_short(one.annotation)) for one in signature.parameters.values()]
    short = signature.replace(parameters=parameters, return_annotation=_short(signature.return_annotation))
    return format_signature(short, colon)


def shortened(text: str) -> str:
    """An annotation as Python prints it, with the aliases in it as they are written."""
    for long, short in SPELLED_OUT.items():
        text = text.replace(long, short)
    return ARRAY.sub(r"NDArray[\1]", text)


def _short(annotation: Any) -> Any:
    if annotation is inspect.Parameter.empty:
        return annotation
    return Written(shortened(inspect.formatannotation(annotation)))
