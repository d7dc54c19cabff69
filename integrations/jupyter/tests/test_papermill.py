"""The papermill translator: `python -m unittest discover tests`."""

import unittest

import nbformat
from papermill import parameterize
from papermill.exceptions import PapermillException
from papermill.inspection import _infer_parameters
from papermill.translators import papermill_translators

from percept_jupyter.papermill import RhaiTranslator


def notebook(source="", name="percept", language="rhai"):
    cell = nbformat.v4.new_code_cell(source, metadata={"tags": ["parameters"]})
    kernel = {"name": name, "display_name": "Percept", "language": language}
    return nbformat.v4.new_notebook(cells=[cell], metadata={"kernelspec": kernel, "papermill": {}})


class Values(unittest.TestCase):
    def test_values(self):
        for value, text in [
            (None, "()"),
            (True, "true"),
            (False, "false"),
            (4, "4"),
            (-(2**63), "-9223372036854775808"),
            (4.0, "4.0"),
            (-0.25, "-0.25"),
            (1e22, "1e+22"),
            (float("nan"), "(0.0 / 0.0)"),
            (float("inf"), "(1.0 / 0.0)"),
            (float("-inf"), "(-1.0 / 0.0)"),
            ("", '""'),
            ('a"b\\c', r'"a\"b\\c"'),
            ("a\nb\tc\rd\0\x1b", r'"a\nb\tc\rd\x00\x1b"'),
            ("`${é 🐨}` //", '"`${é 🐨}` //"'),
            ([], "[]"),
            ([1, [2.0, "x"], None], '[1, [2.0, "x"], ()]'),
            ((1, 2), "[1, 2]"),
            ({}, "#{}"),
            ({"key": 1, 'a "b"': {"c": []}, 3: True}, r'#{"key": 1, "a \"b\"": #{"c": []}, "3": true}'),
        ]:
            self.assertEqual(RhaiTranslator.translate(value), text)

    def test_too_large(self):
        with self.assertRaisesRegex(PapermillException, "too large"):
            RhaiTranslator.translate(2**63)

    def test_names(self):
        self.assertEqual(RhaiTranslator.assign("octaves", "4"), "let octaves = 4;")
        for name in ["let", "my-name", "2x", "this", "_", "default", "print", "é", 3]:
            with self.assertRaisesRegex(PapermillException, "cannot be called"):
                RhaiTranslator.assign(name, "1")


class Notebooks(unittest.TestCase):
    def test_found_by_kernel_and_by_language(self):
        self.assertIs(papermill_translators.find_translator("percept", "rust"), RhaiTranslator)
        self.assertIs(papermill_translators.find_translator("mine", "rhai"), RhaiTranslator)

    def test_a_cell_is_put_behind_the_parameters(self):
        made = parameterize.parameterize_notebook(
            notebook("let octaves = 2;"), {"octaves": 4, "name": "x"}, comment="Parameters\nof the run"
        )
        self.assertEqual(made.cells[0].source, "let octaves = 2;")
        self.assertEqual(
            made.cells[1].source, '// Parameters\n// of the run\nlet octaves = 4;\nlet name = "x";\n'
        )

    def test_inspection(self):
        source = """// what to dream of
let octaves = 4; // how many
let name = "a; // b"; /* no help */
// not help either
const rate = -1.5e-3;   /// step; size
let on = true; let nothing = ();
let sizes = [
    1, // one
    fn_call(a=1; 2),
]; // in pixels
let map = #{a: 1};
let sum = 1 + 2;
let unset;
fn f(x) { let inner = 1; }
let last = `t` // the end"""
        self.assertEqual(
            [tuple(parameter) for parameter in _infer_parameters(notebook(source))],
            [
                ("octaves", "integer", "4", "how many"),
                ("name", "string", '"a; // b"', ""),
                ("rate", "number", "-1.5e-3", "step; size"),
                ("on", "bool", "true", ""),
                ("nothing", "NoneType", "()", ""),
                ("sizes", "list", "[\n    1, \n    fn_call(a=1; 2),\n]", "in pixels"),
                ("map", "map", "#{a: 1}", ""),
                ("sum", "None", "1 + 2", ""),
                ("last", "string", "`t`", "the end"),
            ],
        )
        self.assertEqual(_infer_parameters(notebook("")), [])
        self.assertEqual(_infer_parameters(notebook("let = ; ) let x } \"")), [])


if __name__ == "__main__":
    unittest.main()
