"""`jupyter console` in a terminal: what is typed, and what then stands on the screen."""

import os
import re
import sys
import tempfile
import time
import unittest
from pathlib import Path

import pexpect
import pyte

PATIENCE = 20
ROWS, COLUMNS = 100, 100
CONTROL_C, CONTROL_D = "\x03", "\x04"


class Terminal:
    """A program in a terminal of its own."""

    def __init__(self, command: list[str], **options) -> None:
        self.screen = pyte.Screen(COLUMNS, ROWS)
        self.stream = pyte.Stream(self.screen)
        # the terminal does not tell where its cursor is
        environment = {**os.environ, "TERM": "xterm-256color", "PROMPT_TOOLKIT_NO_CPR": "1", "COLORTERM": ""}
        self.program = pexpect.spawn(
            command[0], command[1:], dimensions=(ROWS, COLUMNS), encoding="utf-8", env=environment, **options
        )

    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()

    def read(self, seconds: float) -> bool:
        """Draws what the program writes; False once it has ended."""
        try:
            self.stream.feed(self.program.read_nonblocking(65536, timeout=seconds))
        except pexpect.TIMEOUT:
            pass
        except pexpect.EOF:
            return False
        return True

    def wait_for(self, pattern: str) -> str:
        """Waits until the pattern stands on the screen."""
        end = time.monotonic() + PATIENCE
        while not re.search(pattern, self.text()):
            if time.monotonic() > end or not self.read(0.1):
                raise AssertionError(f"{pattern!r} does not come; the screen:\n{self.text()}")
        return self.text()

    def settle(self) -> None:
        """Draws until the program has been quiet for a moment."""
        quiet = time.monotonic()
        while time.monotonic() - quiet < 0.2:
            before = self.text()
            self.read(0.05)
            if self.text() != before:
                quiet = time.monotonic()

    def type(self, text: str) -> None:
        self.program.send(text)


class ConsoleTests(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        jupyter = Path(sys.executable).parent / "jupyter"
        # a picture would be opened on the desktop
        options = ["--kernel", "percept", "--ZMQTerminalInteractiveShell.image_handler=None"]
        self.terminal = Terminal([str(jupyter), "console", *options], cwd=folder.name)
        self.addCleanup(self.terminal.program.close, force=True)
        self.cell = 1
        self.prompt()

    def prompt(self) -> None:
        """Waits for the prompt of the next cell."""
        self.terminal.wait_for(rf"(?m)^In \[{self.cell}\]:")
        self.terminal.settle()
        self.cell += 1

    def run_cell(self, code: str, answer: str) -> None:
        """Types a cell and waits for an answer and the next prompt."""
        self.terminal.type(code + "\r")
        self.terminal.wait_for(answer)
        self.prompt()

    def test_a_session(self) -> None:
        self.assertRegex(self.terminal.text(), r"(?i)percept \d+\.\d+")
        with self.subTest("an expression"):
            self.run_cell("6 * 7", r"(?m)^Out\[1\]: 42$")
        with self.subTest("several lines"):
            self.terminal.type("fn twice(x) {\r")
            self.terminal.wait_for(r"(?m)^ +\.\.\.: *$")
            self.terminal.type("2 * x\r}\r")
            self.prompt()
            self.run_cell("twice(21)", r"(?m)^Out\[3\]: 42$")
        with self.subTest("completion"):
            self.terminal.type("phot\t")
            self.terminal.wait_for(r"(?m)^In \[4\]: photo")
            self.run_cell('("china").width', r"(?m)^Out\[4\]: \d+$")
        with self.subTest("completion of a keyword argument"):
            self.terminal.type('dream(photo("china"), octaves\t')
            self.terminal.wait_for(r"(?m)^In \[5\]: dream\(photo\(\"china\"\), octaves=")
            self.terminal.type(CONTROL_C)  # away with it
            self.terminal.settle()
            self.run_cell("1", r"(?m)^Out\[5\]: 1$")
        with self.subTest("an error"):
            self.run_cell("no_such_function(1)", "error: there is no function `no_such_function`")
        with self.subTest("a picture, told in words"):
            self.run_cell('photo("coffee")', r"(?m)^Out\[7\]: .*image.*\d+×\d+")
        with self.subTest("an interrupt"):
            self.terminal.type("let n = 0; loop { n += 1; }\r")
            time.sleep(1)
            self.terminal.type(CONTROL_C)
            self.terminal.wait_for("(?i)interrupted")
            self.prompt()
            self.run_cell("n > 1000", r"(?m)^Out\[9\]: true$")
        with self.subTest("a question"):
            self.terminal.type('let name = input("Your name? ");\r')
            self.terminal.wait_for(r"(?m)^Your name\? $|^Your name\?$")
            self.terminal.type("Ada\r")
            self.prompt()
            self.run_cell("name", r'(?m)^Out\[11\]: "Ada"$')
        with self.subTest("documentation"):
            self.terminal.type("twice?\r")
            self.terminal.wait_for(r"twice\(x\)")
            self.terminal.settle()
            self.terminal.type("q")  # the pager, if there is one
            self.terminal.settle()

    def assert_leaves(self) -> None:
        end = time.monotonic() + PATIENCE
        while self.terminal.read(0.1):
            self.assertLess(time.monotonic(), end, self.terminal.text())
        self.terminal.program.wait()
        self.assertEqual(self.terminal.program.exitstatus, 0, self.terminal.text())
        self.assertIn("Shutting down kernel", self.terminal.text())

    def test_control_d_leaves(self) -> None:
        self.terminal.type(CONTROL_D)
        self.terminal.wait_for("(?i)exit")
        self.terminal.type("y\r")
        self.assert_leaves()

    def test_exit_leaves(self) -> None:
        self.terminal.type("exit\r")
        self.assert_leaves()


if __name__ == "__main__":
    unittest.main()
