"""What is said of a module's members: docstrings of the package's own, and the comments that hold shapes and units."""

import importlib
from collections.abc import Iterator
from operator import attrgetter
from typing import Any, TypeVar

import pdoc.doc
from comments import comments_of
from signatures import shortened

Kind = TypeVar("Kind", pdoc.doc.Variable, pdoc.doc.Function)

OF_TUPLES, NEW_TUPLE = "Alias for field number", "Create new instance of"  # how Python documents a NamedTuple


def say_more(module: pdoc.doc.Module) -> None:
    """Gives the module's variables, and those of its classes, the comment beside or above them as a docstring.

    Docstrings that Python or a library wrote are left out.
    """
    for kind in module.classes:
        for inherited in kind.inherited_members.values():  # of an abstract class there is no constructor to link to
            inherited[:] = [member for member in inherited if member.name != "__init__"]
    for function in _members(module, pdoc.doc.Function):
        if function.docstring.startswith(NEW_TUPLE) or not _is_own(function):
            function.docstring = ""
    for variable in _members(module, pdoc.doc.Variable):
        _say_of_variable(variable, module.modulename.partition(".")[0])


def _say_of_variable(variable: pdoc.doc.Variable, package: str) -> None:
    variable.annotation_str = shortened(variable.annotation_str)
    home, name = variable.taken_from
    said_already = variable.docstring and not variable.docstring.startswith(OF_TUPLES)
    if home.partition(".")[0] == package and not said_already:
        variable.docstring = comments_of(home).get(name, "")


def _is_own(function: pdoc.doc.Function) -> bool:
    """Whether its docstring is of this package, and not of a library's method that it overrides."""
    home, _, name = function.qualname.rpartition(".")
    if not home:
        return True
    package = function.modulename.partition(".")[0]
    kind = attrgetter(home)(importlib.import_module(function.modulename))
    ours = [base for base in kind.__mro__ if base.__module__.partition(".")[0] == package]
    return any(getattr(vars(base).get(name), "__doc__", None) for base in ours)


def _members(namespace: Any, kind: type[Kind]) -> Iterator[Kind]:
    for member in namespace.members.values():  # inherited ones too: they are listed
        if isinstance(member, kind):
            yield member
        elif isinstance(member, pdoc.doc.Class):
            yield from _members(member, kind)
