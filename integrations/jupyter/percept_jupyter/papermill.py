"""Parameters for papermill: `papermill -p octaves 4` becomes `let octaves = 4;`.

papermill has no entry point for translators, but it loads the group `papermill.engine` when it is imported. This module
is registered there: importing it registers the translator, and as an engine it is papermill's own.
"""

import math
import re

from papermill.engines import NBClientEngine
from papermill.exceptions import PapermillException
from papermill.models import Parameter
from papermill.translators import Translator, papermill_translators

from .lexer import Scanner
from .words import BUILTINS, KEYWORDS, RESERVED

ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
# literals, and what papermill calls their types
TYPES = [
    (r"\(\s*\)", "NoneType"),
    (r"true|false", "bool"),
    (r"-?(?:[0-9][0-9_]*|0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+)", "integer"),
    (r"-?[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][-+]?[0-9_]+)?", "number"),
    (r'"(?:[^"\\]|\\.)*"|`[^`]*`|#+".*"#+', "string"),
    (r"\[.*\]", "list"),
    (r"#\{.*\}", "map"),
]
COMMENTS = ("line_comment", "block_comment", "doc")
NAME = re.compile(r"_*[A-Za-z][A-Za-z0-9_]*")


class RhaiTranslator(Translator):
    """Python's values as Rhai."""

    @classmethod
    def translate(cls, val):
        return cls.translate_list(val) if isinstance(val, tuple) else super().translate(val)

    @classmethod
    def translate_none(cls, val):
        return "()"

    @classmethod
    def translate_int(cls, val):
        if not -(2**63) <= val < 2**63:
            raise PapermillException(f"{val} is too large for an integer of Rhai; a float will do: {float(val)}")
        return str(int(val))

    @classmethod
    def translate_float(cls, val):
        if math.isnan(val):
            return "(0.0 / 0.0)"
        if math.isinf(val):
            return "(1.0 / 0.0)" if val > 0 else "(-1.0 / 0.0)"
        return repr(float(val))

    @classmethod
    def translate_escaped_str(cls, str_val):
        def escape(char):
            if char in ESCAPES:
                return ESCAPES[char]
            return f"\\x{ord(char):02x}" if ord(char) < 32 or ord(char) == 127 else char

        return '"' + "".join(map(escape, str(str_val))) + '"'

    @classmethod
    def translate_list(cls, val):
        return "[" + ", ".join(map(cls.translate, val)) + "]"

    @classmethod
    def translate_dict(cls, val):
        pairs = (f"{cls.translate_str(str(key))}: {cls.translate(value)}" for key, value in val.items())
        return "#{" + ", ".join(pairs) + "}"

    @classmethod
    def comment(cls, cmt_str):
        return "\n".join(f"// {line}".rstrip() for line in cmt_str.splitlines())

    @classmethod
    def assign(cls, name, str_val):
        if not NAME.fullmatch(str(name)) or name in {"this", *KEYWORDS, *BUILTINS, *RESERVED}:
            raise PapermillException(f"a variable of Rhai cannot be called `{name}`")
        return f"let {name} = {str_val};"

    @classmethod
    def inspect(cls, parameters_cell):
        """Every `let` and `const` outside brackets, with the comment behind it."""
        parameters, statement = [], []
        for token in [*tokens(parameters_cell["source"]), END]:
            kind, text, depth = token
            if token == END or (kind == "declare" and depth == 0):
                parameters += parameter(statement)
                statement = []
            if not statement and text.startswith("//"):
                if parameters and not parameters[-1].help:
                    parameters[-1] = parameters[-1]._replace(help=text.strip("/ "))
            elif token != END and (statement or kind != "space" or "\n" in text):
                statement.append(token)
        return parameters


END = ("punctuation", ";", 0)


def tokens(text):
    """Kind, text and depth in brackets of every token."""
    scanner, start = Scanner(text), 0
    for kind, end in scanner.tokens():
        yield kind, text[start:end], len(scanner.brackets)
        start = end


def parameter(statement):
    """The parameter that a statement declares, if it does."""
    code = [(kind, text) for kind, text, _ in statement if kind not in COMMENTS]
    words = [(kind, text) for kind, text in code if kind != "space"]
    if len(words) < 4 or words[0] not in (("declare", "let"), ("declare", "const")) or words[2] != ("operator", "="):
        return
    value = "".join(text for _, text in code[code.index(words[2]) + 1 :]).strip()
    kind = next((name for pattern, name in TYPES if re.fullmatch(pattern, value, re.DOTALL)), "None")
    note = [text for kind, text, _ in statement if kind != "space"][-1]
    yield Parameter(words[1][1], kind, value, note.strip("/ ") if note.startswith("//") else "")


papermill_translators.register("rhai", RhaiTranslator)
papermill_translators.register("percept", RhaiTranslator)

execute_notebook = NBClientEngine.execute_notebook
nb_kernel_name = NBClientEngine.nb_kernel_name
nb_language = NBClientEngine.nb_language
