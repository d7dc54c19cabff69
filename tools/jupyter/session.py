"""A kernel and a client of it, for tests."""

import time
import unittest

from jupyter_client.manager import start_new_kernel

PATIENCE = 30


class SessionTests(unittest.TestCase):
    """Tests that share one kernel."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.manager, cls.client = start_new_kernel(kernel_name="percept")

    @classmethod
    def tearDownClass(cls) -> None:
        cls.client.stop_channels()
        cls.manager.shutdown_kernel()

    def start(self, code: str, **options) -> str:
        return self.client.execute(code, **options)

    def next_message(self, request: str) -> dict:
        """The next IOPub message of a request."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            message = self.client.get_iopub_msg(timeout=PATIENCE)
            if message["parent_header"].get("msg_id") == request:
                return message
        raise AssertionError("the kernel has gone silent")

    def wait_for(self, request: str, kind: str) -> dict:
        while True:
            message = self.next_message(request)
            if message["msg_type"] == kind:
                return message

    def reply(self, request: str) -> dict:
        while True:
            message = self.client.get_shell_msg(timeout=PATIENCE)
            if message["parent_header"].get("msg_id") == request:
                return message["content"]

    def rest(self, request: str) -> list[dict]:
        """The messages of a request until it is idle."""
        messages = []
        while True:
            message = self.next_message(request)
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return messages
            messages.append(message)

    def run_cell(self, code: str) -> dict[str, str]:
        """Runs a cell that must succeed; what it shows."""
        request = self.start(code)
        content = self.reply(request)
        self.assertEqual(content["status"], "ok", content)
        shown = [message for message in self.rest(request) if message["msg_type"] == "execute_result"]
        return shown[-1]["content"]["data"] if shown else {}
