"""JupyterLab in headless Chromium: what somebody does, and what they then see.

    lab.py FOLDER [PICTURE]     keeps screenshots in FOLDER; PICTURE gets the one for the manual
"""

import contextlib
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
from playwright.sync_api import Locator, Page, expect, sync_playwright

ROOT = Path(__file__).parent.parent.parent
PROGRAMS = Path(sys.executable).parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
# it looks for nothing outside this machine
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SECOND = 1000
PATIENCE = 20 * SECOND
LONG = 100 * SECOND


@contextlib.contextmanager
def server(root: Path, log: Path) -> Iterator[str]:
    """JupyterLab with no settings of the user's; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    with tempfile.TemporaryDirectory() as home, log.open("w") as said:
        notifications = Path(home, "settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings")
        notifications.parent.mkdir(parents=True)
        notifications.write_text('{"fetchNews": "false", "checkForUpdates": false}')
        folders = {
            "JUPYTER_CONFIG_DIR": "config",
            "JUPYTERLAB_SETTINGS_DIR": "settings",
            "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        }
        program = subprocess.Popen(
            [
                PROGRAMS / "jupyter-lab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}",
                f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={root}",
                "--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
            ],
            env={**os.environ, **{name: f"{home}/{folder}" for name, folder in folders.items()}},
            stdout=said,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            address = f"http://127.0.0.1:{port}/lab"
            end = time.monotonic() + 60
            while True:
                try:
                    urllib.request.urlopen(f"{address}?token={token}", timeout=5).read()
                    break
                except OSError:
                    if time.monotonic() > end or program.poll() is not None:
                        raise RuntimeError(f"JupyterLab does not start:\n{log.read_text()}") from None
                    time.sleep(0.2)
            yield f"{address}/tree/{{}}?reset&token={token}"
        finally:
            program.terminate()
            try:
                program.wait(20)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()


class Notebook:
    """A notebook on the page."""

    def __init__(self, page: Page, address: str, path: str) -> None:
        self.page = page
        # JupyterLab shows "Idle" before it is connected, and what is run that early is lost, whatever the kernel
        sent: list[str] = []
        page.on("websocket", lambda channel: channel.on("framesent", lambda frame: sent.append(str(frame))))
        page.goto(address.format(path), wait_until="domcontentloaded")
        self.panel = page.locator(".jp-NotebookPanel:visible")
        expect(self.panel.locator(".jp-CodeCell .cm-content").first).to_be_visible(timeout=60 * SECOND)
        end = time.monotonic() + PATIENCE / SECOND
        while not any("history_request" in frame for frame in sent):
            assert time.monotonic() < end, "JupyterLab does not connect to the kernel"
            page.wait_for_timeout(50)
        self.wait_until_idle(PATIENCE)
        if page.locator("#jp-left-stack").is_visible():
            page.keyboard.press("Control+b")  # the side bar away
            expect(page.locator("#jp-left-stack")).to_be_hidden()

    def wait_until_idle(self, patience: float) -> None:
        expect(self.panel.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]')).to_have_count(
            1, timeout=patience
        )

    def menu(self, *entries: str) -> None:
        self.page.locator(f".lm-MenuBar-item:has-text('{entries[0]}')").first.click()
        for entry in entries[1:]:
            self.page.locator(".lm-Menu-item", has_text=re.compile(rf"^{re.escape(entry)}")).first.click()

    def code_cells(self) -> Locator:
        return self.panel.locator(".jp-CodeCell")

    def new_cell(self, code: str) -> Locator:
        """A new cell at the end, with the cursor behind the code."""
        last = self.panel.locator(".jp-Cell").last
        last.scroll_into_view_if_needed()
        last.click()
        self.page.keyboard.press("Escape")
        before = self.code_cells().count()
        self.page.keyboard.press("b")
        expect(self.code_cells()).to_have_count(before + 1)
        cell = self.code_cells().last
        cell.locator(".cm-content").click()
        # brackets and quotes close themselves while typing
        self.page.keyboard.insert_text(code)
        expect(cell.locator(".cm-content")).to_contain_text(code.splitlines()[0])
        return cell

    def run(self, code: str, finishes: bool = True) -> Locator:
        """Runs code in a new cell."""
        cell = self.new_cell(code)
        self.page.keyboard.press("Control+Enter")
        if finishes:
            expect(cell.locator(".jp-InputPrompt")).to_have_text(re.compile(r"\[\d+\]:"), timeout=PATIENCE)
        return cell


def outputs(cell: Locator) -> Locator:
    return cell.locator(".jp-OutputArea-output")


def errors(within: Locator) -> Locator:
    """Errors, and what was written to stderr."""
    return within.locator(
        '[data-mime-type="application/vnd.jupyter.error"], [data-mime-type="application/vnd.jupyter.stderr"]'
    )


def natural_sizes(within: Locator) -> list[list[int]]:
    return within.locator(".jp-OutputArea-output img").evaluate_all(
        "all => Promise.all(all.map(image => image.decode().then(() => [image.naturalWidth, image.naturalHeight])))"
    )


class Check:
    """The steps, each with what it should show."""

    def __init__(self, page: Page, address: str, folder: Path, picture: Path | None) -> None:
        self.page = page
        self.address = address
        self.folder = folder
        self.picture = picture
        self.notebook: Notebook | None = None

    def shoot(self, name: str) -> None:
        self.page.screenshot(path=self.folder / f"{name}.png")

    def the_tour(self) -> None:
        """Opens the tour, runs all, sees pictures and no errors."""
        self.notebook = notebook = Notebook(self.page, self.address, "tour.ipynb")
        notebook.menu("Run", "Run All Cells")
        prompts = notebook.code_cells().locator(".jp-InputPrompt")
        source = nbformat.read(ROOT / "notebooks" / "tour.ipynb", as_version=4)
        count = sum(cell.cell_type == "code" for cell in source.cells)
        expect(prompts).to_have_text([re.compile(rf"^\[{number}\]:$") for number in range(1, count + 1)], timeout=LONG)
        notebook.wait_until_idle(PATIENCE)
        expect(errors(notebook.panel)).to_have_count(0)
        for number, cell in enumerate(notebook.code_cells().all(), 1):
            sizes = natural_sizes(cell)
            assert sizes, f"cell {number} shows no picture"
            assert all(min(size) >= 32 for size in sizes), f"cell {number}: {sizes}"
            title = re.search(r'\btitle="([^"]*)"', cell.locator(".cm-content").inner_text())
            for text in outputs(cell).filter(has=self.page.locator("table")).all_inner_texts():
                assert title is None or title[1] in text, f"cell {number} does not show its title"
        widest = notebook.panel.locator(".jp-OutputArea-output img").evaluate_all(
            "all => Math.max(...all.map(image => image.getBoundingClientRect().right))"
        )
        assert widest <= self.page.viewport_size["width"], "a picture goes beyond the window"
        expect(notebook.panel.locator("progress")).to_have_count(0)
        for number, cell in enumerate(notebook.code_cells().all(), 1):
            cell.scroll_into_view_if_needed()
            outputs(cell).last.scroll_into_view_if_needed()
            self.shoot(f"tour-{number}")

    def the_picture_of_the_manual(self) -> None:
        """A screenshot with a question, code, progress and a figure in it."""
        if self.picture is None:
            return
        before = self.page.viewport_size
        self.page.set_viewport_size({"width": 1280, "height": 1000})
        self.notebook.code_cells().filter(has_text="occlusion(").first.locator(".jp-InputPrompt").click()
        self.notebook.panel.locator("h2", has_text="Where would covering it hurt?").evaluate(
            "heading => heading.scrollIntoView({block: 'start'})"
        )
        self.page.mouse.move(0, 0)
        self.page.wait_for_timeout(500)
        self.page.screenshot(path=self.picture)
        self.page.set_viewport_size(before)

    def the_language(self) -> None:
        """The cells are coloured as Rhai, by the extension."""
        cell = self.notebook.new_cell('let x = dream(photo("china"), octaves=4); // a comment')
        spans = cell.locator(".cm-line span").evaluate_all(
            "all => Object.fromEntries(all.map(span => [span.textContent.trim(), getComputedStyle(span).color]))"
        )
        plain = cell.locator(".cm-line").first.evaluate("line => getComputedStyle(line).color")
        for word in ("let", '"china"', "4", "// a comment", "octaves"):
            assert spans.get(word, plain) != plain, f"{word} has no colour of its own: {spans}"
        self.shoot("language")

    def completing(self) -> None:
        """Tab completes."""
        page = self.page
        cell = self.notebook.new_cell('dream(photo("china"), s')
        page.keyboard.press("Tab")
        items = page.locator(".jp-Completer:visible .jp-Completer-item")
        expect(items.first).to_be_visible(timeout=PATIENCE)
        shown = items.locator(".jp-Completer-match").all_inner_texts()
        for name in ("seed=", "step_size=", "steps="):
            assert name in shown, shown
        assert len(set(shown)) == len(shown), f"offered twice: {shown}"
        heights = items.evaluate_all("all => all.map(item => [item.clientHeight, item.scrollHeight])")
        assert all(scroll <= height + 2 for height, scroll in heights), f"a line runs into the next: {heights}"
        page.wait_for_timeout(300)
        self.shoot("complete")
        page.keyboard.press("Escape")
        expect(items).to_have_count(0)
        page.keyboard.insert_text("teps")
        page.keyboard.press("Tab")
        expect(items.locator(".jp-Completer-match")).to_have_text(["steps="])
        page.keyboard.press("Enter")
        expect(cell.locator(".cm-content")).to_have_text('dream(photo("china"), steps=', timeout=PATIENCE)

    def inspecting(self) -> None:
        """Shift-Tab shows the signature and the documentation, as Markdown that is rendered."""
        page = self.page
        self.notebook.new_cell("dream(")
        page.keyboard.press("Shift+Tab")
        tip = page.locator(".jp-Tooltip")
        expect(tip).to_be_visible(timeout=PATIENCE)
        expect(tip.locator("pre code")).to_contain_text(["dream(image, octaves=4"])
        expect(tip.locator("table td code", has_text="octaves=4")).to_have_count(1)
        expect(tip).to_contain_text("amplified")
        text = tip.inner_text()
        assert "```" not in text and "| ---" not in text, text
        assert not re.search(r"^(rhai|rust)$", text, re.MULTILINE), text
        page.wait_for_timeout(300)
        self.shoot("inspect")
        page.keyboard.press("Escape")
        expect(tip).to_have_count(0)

    def the_pager(self) -> None:
        """`name?` shows the documentation."""
        cell = self.notebook.run("dream?")
        expect(errors(cell)).to_have_count(0)
        shown = cell.locator(".jp-RenderedMarkdown")
        expect(shown).to_contain_text("amplified", timeout=PATIENCE)
        expect(shown.locator("table td code", has_text="octaves=4")).to_have_count(1)
        self.shoot("pager")

    def interrupting(self) -> None:
        """The stop button ends a dream, keeps what it made, and the next cell works."""
        cell = self.notebook.run('dream(photo("china").resize(240, 160), octaves=2, steps=1000)', finishes=False)
        expect(cell.locator("progress")).to_be_visible(timeout=PATIENCE)
        self.page.wait_for_timeout(500)
        self.shoot("dreaming")
        self.notebook.panel.locator('[data-command="notebook:interrupt-kernel"]').first.click()
        expect(errors(cell)).to_contain_text(re.compile("interrupted", re.IGNORECASE), timeout=PATIENCE)
        expect(cell.locator("progress")).to_have_count(0)
        expect(cell).to_contain_text("stopped after")
        assert len(natural_sizes(cell)) == 1
        outputs(cell).last.scroll_into_view_if_needed()
        self.shoot("interrupted")
        after = self.notebook.run("6 * 7")
        expect(outputs(after)).to_have_text(re.compile("42"))

    def asking(self) -> None:
        """`input` asks in the cell."""
        cell = self.notebook.run('"Hello, " + input("Your name? ")', finishes=False)
        box = cell.locator(".jp-Stdin-input")
        expect(box).to_be_visible(timeout=PATIENCE)
        expect(cell.locator(".jp-Stdin-prompt")).to_have_text(re.compile("Your name?"))
        box.fill("Käthe")
        box.press("Enter")
        expect(outputs(cell).last).to_contain_text('"Hello, Käthe"', timeout=PATIENCE)
        self.shoot("asked")

    def failing(self) -> None:
        """An error says where, in colour."""
        cell = self.notebook.run('photo("chelsae")')
        expect(errors(cell)).to_contain_text("there is no photo")
        red = errors(cell).locator("span", has_text="error").first
        expect(red).to_be_visible()
        self.shoot("error")

    def clearing(self) -> None:
        """`clear_output(wait=true)` replaces what a cell shows."""
        cell = self.notebook.run('for n in 1..4 { print(`step ${n}`); clear_output(wait=true); } print("at last")')
        expect(outputs(cell)).to_have_text(re.compile(r"^\s*at last\s*$"))

    def a_table(self) -> None:
        """A table is a table, a number a number, a map a map: for the eye only."""
        cell = self.notebook.run('model("squeezenet1_1").layers()')
        cell.evaluate("cell => cell.scrollIntoView({block: 'start'})")
        self.page.wait_for_timeout(300)
        self.shoot("table")
        self.notebook.run('#{a: 1, b: [1, 2, "x"], c: model("squeezenet1_1")}')
        self.notebook.run('photo("coffee").to_tensor()')
        outputs(self.notebook.run(":vars")).last.scroll_into_view_if_needed()
        self.shoot("values")


STEPS: list[Callable[[Check], None]] = [
    Check.the_tour,
    Check.the_picture_of_the_manual,
    Check.the_language,
    Check.completing,
    Check.inspecting,
    Check.the_pager,
    Check.interrupting,
    Check.asking,
    Check.failing,
    Check.clearing,
    Check.a_table,
]


def main() -> int:
    browser_path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser_path is None:
        print("lab.py: there is no Chromium", file=sys.stderr)
        return 1
    folder = Path(sys.argv[1]).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    picture = Path(sys.argv[2]).absolute() if len(sys.argv) > 2 else None
    faults = 0
    with tempfile.TemporaryDirectory() as root:
        shutil.copy(ROOT / "notebooks" / "tour.ipynb", root)
        with server(Path(root), folder / "server.log") as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=browser_path, args=ARGUMENTS)
            page = browser.new_page(viewport={"width": 1200, "height": 900})
            check = Check(page, address, folder, picture)
            for step in STEPS:
                began = time.monotonic()
                try:
                    step(check)
                except Exception:  # the other steps tell more
                    faults += 1
                    traceback.print_exc(limit=3)
                    check.shoot(f"failed-{step.__name__}")
                    if check.notebook is None:
                        break
                    page.keyboard.press("Escape")
                print(f"        {step.__name__.replace('_', ' ')}: {time.monotonic() - began:.1f} s", flush=True)
            browser.close()
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
