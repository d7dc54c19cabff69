"""What a front end can do beyond running code: ask, page, clear, command."""

import unittest

from session import PATIENCE, SessionTests


class FrontEndTests(SessionTests):
    def outputs(self, code: str, **options) -> tuple[dict, list[dict]]:
        """The reply to a cell, and the messages that it sent."""
        request = self.start(code, **options)
        reply = self.reply(request)
        messages = self.rest(request)
        return reply, [message for message in messages if message["msg_type"] not in ("status", "execute_input")]

    def question(self, request: str) -> dict:
        message = self.client.get_stdin_msg(timeout=PATIENCE)
        self.assertEqual(message["msg_type"], "input_request")
        self.assertEqual(message["parent_header"]["msg_id"], request)
        return message["content"]

    def test_the_language_is_told_to_highlighters(self) -> None:
        content = self.reply(self.client.kernel_info())
        language = content["language_info"]
        self.assertEqual(language["pygments_lexer"], "rhai")
        self.assertIsInstance(language["codemirror_mode"], dict)
        self.assertEqual(language["mimetype"], "text/x-rhai")
        self.assertTrue(content["help_links"])

    def test_stderr_says_what_was_printed(self) -> None:
        _, messages = self.outputs('eprint("oops")')
        streams = [message["content"] for message in messages]
        self.assertEqual(streams, [{"name": "stderr", "text": "oops\n"}])

    def test_output_keeps_its_order(self) -> None:
        _, messages = self.outputs('print("one"); eprint("two"); print("three"); 4')
        seen = [message["content"].get("text") or message["content"]["data"]["text/plain"] for message in messages]
        self.assertEqual(seen, ["one\n", "two\n", "three\n", "4"])

    def test_clear_output(self) -> None:
        for code, wait in [("clear_output()", False), ("clear_output(wait=true)", True)]:
            with self.subTest(code=code):
                reply, messages = self.outputs(f'print("before"); {code}; print("after")')
                self.assertEqual(reply["status"], "ok")
                self.assertEqual([message["msg_type"] for message in messages], ["stream", "clear_output", "stream"])
                self.assertEqual(messages[1]["content"], {"wait": wait})

    def test_an_answer_is_a_string(self) -> None:
        request = self.start('let answer = input("Your name? "); answer + "!"', allow_stdin=True)
        self.assertEqual(self.question(request), {"prompt": "Your name? ", "password": False})
        self.client.input("Käthe")
        self.assertEqual(self.reply(request)["status"], "ok")
        shown = [message for message in self.rest(request) if message["msg_type"] == "execute_result"]
        self.assertEqual(shown[0]["content"]["data"]["text/plain"], '"Käthe!"')

    def test_asking_somebody_who_cannot_answer_is_an_error(self) -> None:
        reply, messages = self.outputs('input("Your name? ")', allow_stdin=False)
        self.assertEqual(reply["status"], "error")
        self.assertEqual([message["msg_type"] for message in messages], ["error"])

    def test_a_question_can_be_interrupted(self) -> None:
        request = self.start('input("Your name? ")', allow_stdin=True)
        self.question(request)
        self.manager.interrupt_kernel()
        self.assertEqual(self.reply(request)["ename"], "Interrupted")
        self.rest(request)
        self.assertEqual(self.run_cell("1 + 1")["text/plain"], "2")

    def test_pager(self) -> None:
        for code in ["dream?", "?dream", "dream ?", " ?dream\n"]:
            with self.subTest(code=code):
                reply, messages = self.outputs(code)
                self.assertEqual(reply["status"], "ok", reply)
                self.assertEqual(messages, [])
                (payload,) = reply["payload"]
                self.assertEqual((payload["source"], payload["start"]), ("page", 0))
                self.assertIn("octaves=4", payload["data"]["text/plain"])
                self.assertIn("| `octaves=4` |", payload["data"]["text/markdown"])

    def test_the_pager_knows_variables_and_functions_of_cells(self) -> None:
        self.run_cell("/// Twice as much.\nfn twice(x) { 2 * x }\nlet kept = [1, 2, 3];")
        for code, known in [("twice?", "Twice as much."), ("kept?", "[1, 2, 3]")]:
            with self.subTest(code=code):
                reply, _ = self.outputs(code)
                self.assertEqual(reply["status"], "ok", reply)
                self.assertIn(known, reply["payload"][0]["data"]["text/plain"])

    def test_the_pager_of_something_unknown(self) -> None:
        reply, _ = self.outputs("no_such_thing?")
        self.assertEqual((reply["status"], reply.get("ename")), ("error", "NameError"))

    def test_commands(self) -> None:
        self.run_cell("let kept = 41;")
        for code, known in [(":vars", "kept"), (":help", ":vars"), (":models", "squeezenet1_1")]:
            with self.subTest(code=code):
                reply, messages = self.outputs(code)
                self.assertEqual(reply["status"], "ok", reply)
                shown = [message["content"].get("data", {}).get("text/plain") for message in messages]
                shown += [message["content"].get("text") for message in messages]
                shown += [payload["data"]["text/plain"] for payload in reply["payload"]]
                self.assertIn(known, "\n".join(filter(None, shown)))

    def test_an_unknown_command_is_an_error(self) -> None:
        reply, _ = self.outputs(":nonsense")
        self.assertEqual(reply["status"], "error")

    def test_an_error_names_the_cell_as_the_front_end_numbers_it(self) -> None:
        for code in ["dream?", ":vars", "1"]:
            for stored in (True, False):
                self.outputs(code, store_history=stored)
                with self.subTest(after=code, stored=stored):
                    reply, _ = self.outputs("no_such_function(1)")
                    self.assertIn(f" cell {reply['execution_count']}:1:1", "\n".join(reply["traceback"]))

    def test_completions_say_what_they_are(self) -> None:
        content = self.reply(self.client.complete('dream(photo("china"), octaves'))
        (candidate,) = content["metadata"]["_jupyter_types_experimental"]
        self.assertEqual(candidate["text"], "octaves=")
        self.assertEqual((content["cursor_start"], content["cursor_end"]), (22, 29))
        candidates = self.reply(self.client.complete("drea"))["metadata"]["_jupyter_types_experimental"]
        (candidate,) = [candidate for candidate in candidates if candidate["text"].strip("(") == "dream"]
        self.assertEqual(candidate["type"], "function")
        self.assertIn("octaves=4", candidate["signature"])

    def test_a_silent_cell_shows_nothing(self) -> None:
        request = self.start("1 + 1", silent=True, store_history=False)
        self.assertEqual(self.reply(request)["status"], "ok")
        self.assertEqual([message["msg_type"] for message in self.rest(request)], ["status"])

    def test_a_restart_forgets(self) -> None:
        self.run_cell("let kept = 41;")
        self.manager.restart_kernel(now=False)
        self.client.wait_for_ready(timeout=PATIENCE)
        reply, _ = self.outputs("kept")
        self.assertEqual(reply["ename"], "NameError")


if __name__ == "__main__":
    unittest.main()
