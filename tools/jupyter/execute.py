"""Executes Percept's notebooks and looks at what came out: the tour with nbconvert, nbclient, papermill and nbval, those
made from scripts, which compute for longer, with nbclient.

    execute.py FOLDER      writes the executed notebooks, and those of nbconvert also as HTML, to FOLDER
"""

import contextlib
import html
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat

from check_notebook import faults_of

TOOLS = Path(__file__).parent
ROOT = TOOLS.parent.parent
PROGRAMS = Path(sys.executable).parent
PATIENCE = "240"  # seconds for a cell

faults: list[str] = []


def run(*command: str | Path) -> str:
    """Runs a program of the environment; what it said."""
    done = subprocess.run(
        [PROGRAMS / command[0], *command[1:]], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        faults.append(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


@contextlib.contextmanager
def timed(what: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    print(f"        {what}: {time.monotonic() - began:.1f} s", flush=True)


def look_at(executed: Path) -> None:
    if executed.exists():
        faults.extend(f"{executed}: {fault}" for fault in faults_of(executed, tour=executed.stem == "tour"))


def look_at_page(page: Path) -> None:
    """The lexer is the one of percept_jupyter: Rust's does not know keyword arguments."""
    if not page.exists():
        return
    text = page.read_text()
    code = re.findall(r'<div class="highlight[^"]*">(.*?)</div>', text, re.DOTALL)
    sources = html.unescape(re.sub("<[^>]+>", "", "\n".join(code)))
    if '<span class="kd">let</span>' not in text:
        faults.append(f"{page}: `let` is not highlighted")
    if re.search(r"\boctaves=", sources) and '<span class="na">octaves</span>' not in text:
        faults.append(f"{page}: keyword arguments are not highlighted as in Rhai")
    if wrong := re.findall(r'<span class="err">(.*?)</span>', "\n".join(code)):
        faults.append(f"{page}: the lexer does not know {wrong[:5]}")


def parameters(folder: Path) -> None:
    """papermill hands parameters over."""
    output = folder / "parameters.ipynb"
    run(
        "papermill", "--no-progress-bar", TOOLS / "parameters.ipynb", output,
        "-p", "octaves", "3", "-p", "animal", 'a "koala"', "-y", "layers: [fire9]",
    )  # fmt: skip
    if not output.exists():
        return
    cells = nbformat.read(output, as_version=4).cells
    injected = [cell.source for cell in cells if "injected-parameters" in cell.metadata.get("tags", [])]
    if len(injected) != 1 or "let octaves = 3;" not in injected[0]:
        faults.append(f"papermill injected {injected}")
    answer = cells[-1].outputs[0]["data"]["text/plain"] if cells[-1].outputs else None
    if answer != r'"a \"koala\" in 3 octaves of fire9"':
        faults.append(f"the parameters did not arrive: {answer}")
    asked = run("papermill", "--help-notebook", TOOLS / "parameters.ipynb")
    if not re.search(r"octaves: integer \(default 4\)\s+how many sizes", asked):
        faults.append(f"papermill does not tell the parameters of a notebook:\n{asked}")


def main() -> int:
    folder = Path(sys.argv[1]).absolute()
    notebooks, experiments = [], []
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        metadata = json.loads(path.read_text())["metadata"]
        kernel = metadata["kernelspec"]["name"]
        if kernel == "percept":
            (experiments if "from_script" in metadata else notebooks).append(path)
        else:
            print(f"        {path.name} is for another kernel: {kernel}")
    if not notebooks:
        faults.append("there are no notebooks")
    for name in ("nbconvert", "nbclient", "papermill"):
        (folder / name).mkdir(parents=True, exist_ok=True)

    def nbclient(path: Path) -> None:
        with timed(f"nbclient, {path.name}"):
            # it adds the ending
            output = folder / "nbclient" / path.stem
            run("jupyter", "execute", f"--timeout={PATIENCE}", f"--output={output}", path)
        look_at(folder / "nbclient" / path.name)

    for path in experiments:
        nbclient(path)
    for path in notebooks:
        with timed(f"nbconvert, {path.name}"):
            run(
                "jupyter", "nbconvert", "--log-level=WARN", "--to=notebook", "--execute", path,
                f"--output-dir={folder / 'nbconvert'}", f"--ExecutePreprocessor.timeout={PATIENCE}",
            )  # fmt: skip
        executed = folder / "nbconvert" / path.name
        look_at(executed)
        if executed.exists():
            run("jupyter", "nbconvert", "--log-level=ERROR", "--to=html", executed)
            look_at_page(executed.with_suffix(".html"))
        nbclient(path)
        with timed(f"papermill, {path.name}"):
            output = folder / "papermill" / path.name
            run("papermill", "--no-progress-bar", f"--execution-timeout={PATIENCE}", path, output)
        look_at(output)
    with timed("papermill, parameters"):
        parameters(folder)
    # pictures and durations are never the same twice: only cells with the tag nbval-check-output are compared
    with timed("nbval"):
        said = run(
            "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", f"--rootdir={ROOT}",
            "--nbval-lax", f"--nbval-cell-timeout={PATIENCE}", TOOLS / "parameters.ipynb", *notebooks,
        )  # fmt: skip
    if not re.search(r"^\d+ passed in ", said, re.MULTILINE):
        faults.append(f"nbval did not pass everything:\n{said}")

    for fault in faults:
        print(f"execute.py: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
