"""`percept kernel install` and `uninstall`: where they write, what they say, and what they leave alone.

The program is the one that PERCEPT names.
"""

import json
import os
import shutil
import site
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from PIL import Image

PERCEPT = os.environ["PERCEPT"]
VARIABLES = ("JUPYTER_DATA_DIR", "XDG_DATA_HOME", "JUPYTER_PATH", "VIRTUAL_ENV", "CONDA_PREFIX")
FILES = {"kernel.json", "logo-32x32.png", "logo-64x64.png"}


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class InstallTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        # one in which percept is not installed
        folder = tempfile.mkdtemp()
        cls.addClassCleanup(shutil.rmtree, folder)
        cls.python = cls.python_environment(Path(folder))

    def setUp(self) -> None:
        self.home = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.home)
        clean = {name: value for name, value in os.environ.items() if name not in VARIABLES}
        self.environment = {**clean, "HOME": str(self.home)}

    def percept(self, *arguments: str, fails: bool = False) -> str:
        """Runs `percept kernel …`; what it says."""
        done = subprocess.run(
            [PERCEPT, "kernel", *arguments], env=self.environment, text=True, capture_output=True, timeout=60
        )
        self.assertEqual(done.returncode != 0, fails, done.stdout + done.stderr)
        return done.stderr if fails else done.stdout

    def listed(self, python: str) -> dict[str, str]:
        """The folders of the kernels that Jupyter sees."""
        command = [python, "-m", "jupyter_client.kernelspecapp", "list", "--json", "--log-level", "ERROR"]
        done = subprocess.run(command, env=self.environment, text=True, capture_output=True, timeout=60, check=True)
        return {name: spec["resource_dir"] for name, spec in json.loads(done.stdout)["kernelspecs"].items()}

    @staticmethod
    def python_environment(folder: Path) -> str:
        """A Python environment of its own that has Jupyter; its Python."""
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        (packages,) = folder.glob("lib/python*/site-packages")
        (packages / "jupyter.pth").write_text("\n".join(site.getsitepackages()) + "\n")
        return str(folder / "bin" / "python")

    def go_through(self, kernels: Path, options: list[str], python: str | None = None) -> None:
        """Installs twice, looks at it, and uninstalls, beside a kernel that is somebody else's."""
        python = python or self.python
        foreign = kernels / "foreign"
        foreign.mkdir(parents=True)
        (foreign / "kernel.json").write_text('{"argv": ["foreign", "{connection_file}"], "display_name": "Foreign"}')
        before = contents(kernels)
        folder = kernels / "percept"

        self.assertIn(str(folder), self.percept("install", *options))
        first = contents(folder)
        self.assertLessEqual(FILES, set(first))
        spec = json.loads(first["kernel.json"])
        self.assertTrue(os.access(spec["argv"][0], os.X_OK))
        self.assertEqual(spec["argv"][1:], ["kernel", "run", "{connection_file}"])
        self.assertEqual((spec["display_name"], spec["language"]), ("Percept", "rhai"))
        self.assertEqual(spec["interrupt_mode"], "message")
        for size in (32, 64):
            with Image.open(folder / f"logo-{size}x{size}.png") as logo:
                self.assertEqual((logo.format, logo.size), ("PNG", (size, size)))
        for path in folder.iterdir():
            self.assertEqual(path.stat().st_mode & 0o777, 0o644, path)

        self.assertIn(str(folder), self.percept("install", *options))
        self.assertEqual(contents(folder), first)
        # Jupyter gives the real path
        self.assertEqual(Path(self.listed(python)["percept"]).resolve(), folder.resolve())

        self.assertIn(str(folder), self.percept("uninstall", *options))
        self.assertEqual(contents(kernels), before)
        self.assertFalse(folder.exists())
        self.assertNotIn("percept", self.listed(python))
        self.assertIn("foreign", self.listed(python))
        self.assertIn(str(folder), self.percept("uninstall", *options, fails=True))

    def test_user_by_default(self) -> None:
        self.go_through(self.home / ".local/share/jupyter/kernels", [])

    def test_user(self) -> None:
        self.go_through(self.home / ".local/share/jupyter/kernels", ["--user"])

    def test_user_with_a_data_folder(self) -> None:
        self.environment["JUPYTER_DATA_DIR"] = str(self.home / "data with a space")
        self.go_through(self.home / "data with a space/kernels", ["--user"])

    def test_user_with_a_folder_of_the_desktop(self) -> None:
        self.environment["XDG_DATA_HOME"] = str(self.home / "xdg")
        self.go_through(self.home / "xdg/jupyter/kernels", ["--user"])

    def test_a_virtual_environment(self) -> None:
        python = self.python_environment(self.home / "venv")
        self.environment["VIRTUAL_ENV"] = str(self.home / "venv")
        self.go_through(self.home / "venv/share/jupyter/kernels", ["--sys-prefix"], python)

    def test_a_conda_environment(self) -> None:
        python = self.python_environment(self.home / "conda")
        self.environment["CONDA_PREFIX"] = str(self.home / "conda")
        self.go_through(self.home / "conda/share/jupyter/kernels", ["--sys-prefix"], python)

    def test_no_environment(self) -> None:
        said = self.percept("install", "--sys-prefix", fails=True)
        self.assertIn("VIRTUAL_ENV", said)
        self.assertEqual(contents(self.home), {})

    def test_a_prefix(self) -> None:
        self.environment["JUPYTER_PATH"] = str(self.home / "prefix/share/jupyter")
        self.go_through(self.home / "prefix/share/jupyter/kernels", ["--prefix", str(self.home / "prefix")])

    def test_another_program_of_that_name_is_left_alone(self) -> None:
        folder = self.home / "share/jupyter/kernels/percept"
        folder.mkdir(parents=True)
        (folder / "kernel.json").write_text('{"argv": ["python3", "-m", "percept", "-f", "{connection_file}"]}')
        before = contents(self.home)
        for command in ("install", "uninstall"):
            said = self.percept(command, "--prefix", str(self.home), fails=True)
            self.assertIn("python3 -m percept", said)
            self.assertEqual(contents(self.home), before)

    def test_a_file_of_the_user_stays(self) -> None:
        options = ["--prefix", str(self.home)]
        self.percept("install", *options)
        notes = self.home / "share/jupyter/kernels/percept/notes.txt"
        notes.write_text("mine")
        self.percept("uninstall", *options)
        self.assertEqual(contents(self.home), {"share/jupyter/kernels/percept/notes.txt": b"mine"})


if __name__ == "__main__":
    unittest.main()
