"""The protocol, as Jupyter's own test suite for kernels sees it. Every attribute is set: no test is skipped."""

import unittest

import jupyter_kernel_test as jkt


class PerceptKernelTests(jkt.KernelTests):
    kernel_name = "percept"
    language_name = "rhai"
    file_extension = ".rhai"

    code_hello_world = 'print("hello, world")'
    code_stderr = 'eprint("oops")'
    completion_samples = [
        {"text": "saturn", "matches": []},
        {"text": "phot", "matches": ["photo"]},
        {"text": 'dream(photo("china"), oct', "matches": ["octaves=", "octave_scale=", "octave_order="]},
        {"text": 'dream(photo("china"), octaves=4, oct', "matches": ["octave_scale=", "octave_order="]},
        {"text": 'dream(photo("china"), octaves=4, jit', "matches": ["jitter="]},
    ]
    complete_code_samples = [
        "",
        "1 + 1",
        "let a = 3;",
        'dream(photo("china"), octaves=4)',
        "fn twice(x) { 2 * x }",
        "if true { 1 } else { 2 }",
        "/* a comment */",
        '"a string with ( in it"',
        "dream?",
        "?dream",
        ":vars",
    ]
    incomplete_code_samples = [
        "let x =",
        "let x = [1,",
        "dream(photo(",
        'dream(photo("china"), octaves=',
        "fn twice(x) {",
        "for x in 0..3",
        "fn twice(x)",
        "/* an open comment",
        "`a string of\nseveral lines",
    ]
    invalid_code_samples = ["let a = )", ")", "1 1", "for 3 in x"]
    code_page_something = "dream?"
    code_generate_error = "no_such_function(1)"
    code_execute_result = [
        {"code": "1 + 1", "result": "2"},
        {"code": "6 * 7", "result": "42"},
        {"code": '"a" + "b"', "result": '"ab"'},
        {"code": 'photo("coffee")', "mime": "image/png"},
        {"code": 'model("squeezenet1_1").layers()', "mime": "text/html"},
    ]
    code_display_data = [
        {"code": 'show(photo("coffee"), title="a cup")', "mime": "image/png"},
        {"code": 'show(layer(model("squeezenet1_1"), "conv1").filters())', "mime": "image/png"},
        {"code": 'help("dream")', "mime": "text/markdown"},
    ]
    code_history_pattern = "6 ? 7"
    supported_history_operations = ("tail", "range", "search")
    code_inspect_sample = "dream"
    code_clear_output = "clear_output()"


class PerceptIopubWelcomeTests(jkt.IopubWelcomeTests):
    kernel_name = "percept"
    support_iopub_welcome = True


if __name__ == "__main__":
    unittest.main()
