"""The Pygments lexer: `python -m unittest discover tests`."""

import json
import re
import unittest
from pathlib import Path

from pygments.lexers import find_lexer_class_for_filename, get_lexer_by_name, get_lexer_for_mimetype
from pygments.token import Comment, Error, Keyword, Name, Number, Operator, Punctuation, String

from percept_jupyter.lexer import RhaiLexer

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[2]
# what the samples call a token, and what Pygments does
NAMES = {
    "lineComment": {Comment.Single},
    "blockComment": {Comment.Multiline},
    "doc": {Comment.Special},
    "control": {Keyword},
    "declare": {Keyword.Declaration},
    "module": {Keyword.Namespace},
    "modifier": {Keyword},
    "wordOperator": {Operator.Word},
    "reserved": {Keyword.Reserved},
    "bool": {Keyword.Constant},
    "self": {Name.Builtin.Pseudo},
    "wildcard": {Keyword.Constant},
    "lastValue": {Name.Builtin.Pseudo},
    "number": {Number.Integer, Number.Hex, Number.Oct, Number.Bin, Number.Float},
    "string": {String.Double, String.Other, String.Backtick},
    "escape": {String.Escape},
    "interpolation": {String.Interpol},
    "char": {String.Char},
    "functionDefinition": {Name.Function},
    "function": {Name.Function},
    "method": {Name.Function},
    "builtin": {Name.Builtin},
    "definition": {Name.Variable},
    "variable": {Name},
    "property": {Name.Property},
    "key": {Name.Tag},
    "keywordArgument": {Name.Attribute},
    "namespace": {Name.Namespace},
    "type": {Name.Class},
    "operator": {Operator},
    "dot": {Punctuation},
    "punctuation": {Punctuation},
    "paren": {Punctuation},
    "square": {Punctuation},
    "brace": {Punctuation},
    "invalid": {Error},
}


def kinds(code):
    found = []
    for start, kind, text in RhaiLexer().get_tokens_unprocessed(code):
        assert start == len(found), f"a gap at {start}"
        found += [kind] * len(text)
    return found


def check(case, code, expected):
    """The spans are looked for in order; neighbours of one kind may be one token or several."""
    found, at = kinds(code), 0
    for text, name in expected:
        edge = r"\b" if re.fullmatch(r"\w+", text) else ""
        place = re.compile(edge + re.escape(text) + edge).search(code, at)
        case.assertIsNotNone(place, f"no more {text!r} in {code}")
        at = place.end()
        got = set(found[place.start() : at])
        case.assertTrue(got <= NAMES[name], f"{text!r} at {place.start()} of {code}: {got}, not {name}")


class Samples(unittest.TestCase):
    def test_samples(self):
        for sample in json.loads((HERE / "samples.json").read_text(encoding="utf-8")):
            with self.subTest(sample["code"]):
                check(self, sample["code"], sample["is"])

    def test_a_wrong_expectation_is_noticed(self):
        for wrong in [["a", "variable"], ["b", "variable"]]:
            with self.assertRaises(AssertionError):
                check(self, "f(a=1)", [wrong])

    def test_numbers(self):
        numbers = {"7": Number.Integer, "1_000": Number.Integer, "0xfF": Number.Hex, "0o7": Number.Oct, "0b1": Number.Bin}
        for text in ["1.5", "2.", "1e-3", "1.5E+7", "1_0.0_1"]:
            numbers[text] = Number.Float
        for text, kind in numbers.items():
            self.assertEqual(set(kinds(text)), {kind}, text)

    def test_a_name_and_its_equals_on_different_lines(self):
        self.assertIs(kinds("f(\n  a\n  = 1)")[5], Name.Attribute)


class Files(unittest.TestCase):
    def test_every_script_of_the_repository(self):
        scripts = [REPOSITORY / "scripts/tour.rhai", *sorted((REPOSITORY / "tests/suite").rglob("*.rhai"))]
        self.assertGreater(len(scripts), 10)
        for path in scripts:
            with self.subTest(path.name):
                code = path.read_text(encoding="utf-8")
                tokens = list(RhaiLexer().get_tokens_unprocessed(code))
                self.assertEqual("".join(text for *_, text in tokens), code)
                self.assertEqual([token for token in tokens if token[1] is Error], [])

    def test_every_beginning_of_a_script(self):
        code = (REPOSITORY / "tests/suite/lang/keyword_arguments.rhai").read_text(encoding="utf-8")
        for end in range(0, len(code), 7):
            tokens = RhaiLexer().get_tokens_unprocessed(code[:end])
            self.assertEqual("".join(text for *_, text in tokens), code[:end])


class Registration(unittest.TestCase):
    def test_pygments_finds_it(self):
        self.assertIsInstance(get_lexer_by_name("rhai"), RhaiLexer)
        self.assertIsInstance(get_lexer_for_mimetype("text/x-rhai"), RhaiLexer)
        self.assertIs(find_lexer_class_for_filename("tour.rhai"), RhaiLexer)

    def test_the_versions_agree(self):
        package = json.loads((HERE.parent / "package.json").read_text(encoding="utf-8"))
        project = (HERE.parent / "pyproject.toml").read_text(encoding="utf-8")
        self.assertIn(f'\nversion = "{package["version"]}"\n', project)


if __name__ == "__main__":
    unittest.main()
