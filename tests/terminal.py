"""A terminal as far as the bar needs one: what stands on it after the bytes that were written to it."""

import os
import pty
import re
import threading

CODE = re.compile(r"\x1b\[([?\d;]*)([a-zA-Z])|([\r\n])|([^\x1b\r\n])")


class Screen:
    """Lines that were written; colours are left out, and a code that is not known here is an error."""

    def __init__(self, columns):
        self.columns, self.lines, self.row, self.column = columns, [""], 0, 0

    def feed(self, text):
        for numbers, code, move, sign in CODE.findall(text):
            if sign:
                self._put(sign)
            elif move:
                self.column = 0
                self.row += move == "\n"
            elif code == "A":
                self.row -= int(numbers or 1)
            elif code == "K":
                assert numbers == "2"
                self._here("")
            else:
                assert code in "mhl", f"ESC [ {numbers} {code}"
            self.lines += [""] * (self.row + 1 - len(self.lines))
        return self

    def _put(self, sign):
        if self.column == self.columns:
            self.row, self.column = self.row + 1, 0
            self.lines += [""] * (self.row + 1 - len(self.lines))
        line = self.lines[self.row].ljust(self.column)
        self._here(line[: self.column] + sign + line[self.column + 1 :])
        self.column += 1

    def _here(self, line):
        self.lines[self.row] = line


class Terminal:
    """A pseudo-terminal: `stream` is its inside, `text()` closes it and gives all that was written."""

    def __init__(self):
        outside, inside = pty.openpty()
        self.stream = os.fdopen(inside, "w", buffering=1, encoding="utf-8")
        self._outside, self._read = outside, b""
        self._reader = threading.Thread(target=self._drain, daemon=True)
        self._reader.start()

    def _drain(self):
        while True:
            try:
                found = os.read(self._outside, 65536)
            except OSError:  # Linux' way to say that nobody writes any more
                return
            if not found:
                return
            self._read += found

    def text(self):
        self.stream.close()
        self._reader.join(10)
        os.close(self._outside)
        return self._read.decode()
