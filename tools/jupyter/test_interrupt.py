"""Interrupting a cell: it ends within a second, keeps what it has made, and the next cell works."""

import base64
import io
import time
import unittest

from PIL import Image

from session import SessionTests


class InterruptTests(SessionTests):
    def interrupt(self, request: str) -> list[dict]:
        """Interrupts a request; what it sends from then on."""
        self.manager.interrupt_kernel()
        content = self.reply(request)
        self.assertEqual(content["status"], "error", content)
        self.assertEqual(content["ename"], "Interrupted")
        return self.rest(request)

    def assert_picture(self, messages: list[dict]) -> None:
        """There is exactly one picture among the messages, and it is not blank."""
        shown = [message["content"]["data"] for message in messages if message["msg_type"] == "display_data"]
        pictures = [data["image/png"] for data in shown if "image/png" in data]
        self.assertEqual(len(pictures), 1)
        image = Image.open(io.BytesIO(base64.b64decode(pictures[0])))
        self.assertGreater(len(image.convert("RGB").resize((64, 64)).getcolors(64 * 64)), 1000)

    def assert_progress_stopped(self, messages: list[dict]) -> None:
        updates = [message["content"]["data"] for message in messages if message["msg_type"] == "update_display_data"]
        self.assertIn("stopped after", updates[-1]["text/plain"])
        self.assertNotIn("<progress", updates[-1]["text/html"])

    def test_an_endless_loop(self) -> None:
        self.run_cell("let kept = 41;")
        request = self.start('let count = 0; print("off"); loop { count += 1; }')
        self.wait_for(request, "stream")
        time.sleep(0.3)
        self.interrupt(request)
        self.assertEqual(self.run_cell("kept + 1")["text/plain"], "42")
        self.assertEqual(self.run_cell("count > 1000")["text/plain"], "true")

    def test_a_dream_is_shown_as_far_as_it_came(self) -> None:
        self.run_cell('let kept = 41; let small = photo("china").resize(240, 160);')
        request = self.start("dream(small, octaves=2, steps=1000)")
        self.wait_for(request, "update_display_data")  # some steps are done
        messages = self.interrupt(request)
        self.assert_progress_stopped(messages)
        self.assert_picture(messages)
        self.assertEqual(self.run_cell("kept + 1")["text/plain"], "42")

    def test_a_dream_inside_another_call_is_shown_too(self) -> None:
        self.run_cell('let small = photo("china").resize(240, 160);')
        request = self.start('show(dream(small, octaves=2, steps=1000), title="never shown");\nlet after = 1;')
        self.wait_for(request, "update_display_data")
        self.assert_picture(self.interrupt(request))
        self.assertEqual(self.run_cell("1 + 1")["text/plain"], "2")

    def test_a_dream_in_a_variable_is_kept(self) -> None:
        self.run_cell('let small = photo("china").resize(240, 160);')
        request = self.start("let half = dream(small, octaves=2, steps=1000);")
        self.wait_for(request, "update_display_data")
        self.assert_picture(self.interrupt(request))
        self.assertIn("image/png", self.run_cell("half"))

    def test_the_cells_behind_an_interrupted_one_are_not_run(self) -> None:
        request = self.start('print("off"); loop { }')
        behind = self.start('print("must not run")')
        self.wait_for(request, "stream")
        self.interrupt(request)
        self.assertEqual(self.reply(behind)["status"], "aborted")
        self.assertEqual(self.run_cell("1 + 1")["text/plain"], "2")

    def test_an_interrupt_of_nothing_does_no_harm(self) -> None:
        self.manager.interrupt_kernel()
        time.sleep(0.2)
        self.assertEqual(self.run_cell("let n = 0; for i in 0..100000 { n += 1 } n")["text/plain"], "100000")


if __name__ == "__main__":
    unittest.main()
