"""Shapes and units stand in comments beside what they are of: which comment is of which name."""

import ast
import importlib
import inspect
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache


@cache
def comments_of(module: str) -> dict[str, str]:
    """Qualified name -> comment in Markdown, of what is declared at the top of a module or of its classes."""
    source = inspect.getsource(importlib.import_module(module))
    comments, alone = _comments(source)
    found = {}
    for name, node in _assigned(ast.parse(source).body, ""):
        if text := comments.get(node.end_lineno or 0) or _above(node.lineno, comments, alone):
            found[name] = _as_markdown(text)
    return found


def _assigned(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, ast.stmt]]:
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield from _assigned(node.body, f"{prefix}{node.name}.")
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            for name in target.elts if isinstance(target, ast.Tuple) else [target]:
                if isinstance(name, ast.Name):
                    yield prefix + name.id, node


def _comments(source: str) -> tuple[dict[int, str], set[int]]:
    """Line -> its comment, and the lines that hold nothing else."""
    tokens = [
        token for token in tokenize.generate_tokens(io.StringIO(source).readline) if token.type == tokenize.COMMENT
    ]
    said = {token.start[0]: token.string.lstrip("# ") for token in tokens if not token.string.startswith("# noqa")}
    return said, {token.start[0] for token in tokens if not token.line[: token.start[1]].strip()}


def _above(line: int, comments: dict[int, str], alone: set[int]) -> str:
    first = line
    while first - 1 in alone:
        first -= 1
    return " ".join(comments.get(number, "") for number in range(first, line)).strip()


def _as_markdown(comment: str) -> str:
    """What looks like a tag, as `<start time>`, is none."""
    parts = re.split(r"(`[^`]*`)", comment)
    return "".join(part if part.startswith("`") else part.replace("<", "&lt;") for part in parts)
