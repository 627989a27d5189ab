"""The how-to pages as a reader meets them: their blocks in order, the files and the commands in them.

A fenced block is `sh` or `python`. A python block whose first line is a comment with a file name is that file; any
other one is run where it stands. A block that begins with `# needs` is read, not run.
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from descriptors.config import REPOSITORY

FOLDER = REPOSITORY / "docs" / "how-to"
PAGES = sorted(FOLDER.glob("*.md"))
FENCED = re.compile(r"^```(.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEREDOC = re.compile(r"^cat > (\S+) <<'END'\n(.*?)^END\n", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"(^|\s)#.*")
BETWEEN = ";&|()\n"  # commands


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    language: str
    text: str

    @property
    def runs(self) -> bool:
        """Whether it can be run anywhere."""
        return re.match(r"(#!.*\n)?# needs", self.text) is None

    @property
    def file(self) -> str | None:
        """The file that the block is, if it is one."""
        named = re.match(r"# (\w+\.py)\n", self.text)
        return named[1] if named and self.language == "python" else None


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return [Block(language, text) for language, text in FENCED.findall(page.read_text(encoding="utf-8"))]


def files_in(page: Path) -> dict[str, str]:
    """Name -> text of the files that a page writes: python blocks, and what its commands write as it stands."""
    shell = "".join(block.text for block in blocks(page) if block.language == "sh")
    return {block.file: block.text for block in blocks(page) if block.file} | dict(HEREDOC.findall(shell))


def commands(page: Path) -> list[list[str]]:
    """The words after `-m descriptors` of each command of a page, the variables of its block put in."""
    return [words for block in blocks(page) if block.language == "sh" for words in _commands(block.text)]


def _commands(text: str) -> list[list[str]]:
    variables: dict[str, str] = {}
    found = []
    for words in _simple_commands(COMMENT.sub(r"\1", HEREDOC.sub("", text)).replace("\\\n", " ")):
        if assigned := re.fullmatch(r"(\w+)=(.*)", words[0], re.DOTALL):
            variables["$" + assigned[1]] = assigned[2]
        for place in range(1, len(words)):
            if words[place - 1 : place + 1] == ["-m", "descriptors"]:
                found.append(_filled(words[place + 1 :], variables))
    return found


def _simple_commands(text: str) -> list[list[str]]:
    lexer = shlex.shlex(text, posix=True, punctuation_chars=BETWEEN)
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t", True, ""
    found: list[list[str]] = [[]]
    for word in lexer:
        if set(word) <= set(BETWEEN):
            found.append([])
        else:
            found[-1].append(word)
    return [words for words in found if words]


def _filled(words: list[str], variables: dict[str, str]) -> list[str]:
    return [part for word in words for part in (variables[word].split() if word in variables else [word])]
