"""Looks at an executed notebook: no errors, pictures that show something, progress that has come to its end."""

import base64
import io
import re
import sys

import nbformat
from PIL import Image

LEAST_PICTURES = 8
PROGRESS = re.compile(r"^[\w ]+: (\d+) of (\d+), .*\d s")


def fault_of_picture(data: str) -> str | None:
    """What is wrong with a PNG, if anything is."""
    try:
        image = Image.open(io.BytesIO(base64.b64decode(data, validate=True)))
        image.load()
    except (OSError, ValueError, SyntaxError) as error:
        return f"does not decode: {error}"
    if image.format != "PNG":
        return f"is a {image.format}, not a PNG"
    if min(image.size) < 32:
        return f"is only {image.width}×{image.height} pixels"
    # a blank picture has one colour, and a frame around nothing hardly more
    colours = image.convert("RGB").resize((64, 64)).getcolors(64 * 64)
    if len(colours) < 16:
        return f"is blank: {len(colours)} colours"
    return None


def faults_of(path: str, tour: bool) -> list[str]:
    """What is wrong with an executed notebook; the tour is known to show much."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    faults: list[str] = []
    pictures = progress = 0
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        if cell.execution_count is None:
            faults.append(f"cell {number} was not executed")
        for output in cell.outputs:
            data = output.get("data", {})
            if output.output_type == "error":
                faults.append(f"cell {number}: {output.ename}: {output.evalue}")
            if output.output_type == "stream" and output.name == "stderr":
                faults.append(f"cell {number} wrote to stderr: {output.text.strip()}")
            if data and "text/plain" not in data:
                faults.append(f"cell {number} has an output without text/plain")
            if "image/png" in data:
                pictures += 1
                # JupyterLab prefers it
                if not re.search("<img|<svg", data.get("text/html", "<img")):
                    faults.append(f"cell {number}: JupyterLab shows the text/html instead of the picture")
                if fault := fault_of_picture(data["image/png"]):
                    faults.append(f"cell {number}: a picture {fault}")
            if found := PROGRESS.match(data.get("text/plain", "")):
                progress += 1
                done, total = found.groups()
                if done != total or "<progress" in data.get("text/html", ""):
                    faults.append(f"cell {number}: progress has stopped at {done} of {total}")
    if tour and pictures < LEAST_PICTURES:
        faults.append(f"{pictures} pictures, expected at least {LEAST_PICTURES}")
    if tour and progress == 0:
        faults.append("no progress was shown")
    if not faults:
        print(f"        {path}: {pictures} pictures, {progress} progress lines, no errors")
    return faults


def main() -> int:
    faults = faults_of(sys.argv[1], tour="tour" in sys.argv[1])
    for fault in faults:
        print(f"{sys.argv[1]}: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
