"""Rhai with keyword arguments for Pygments.

The tokenizer follows Rhai's own lexer and Percept's scan for keyword arguments. `src/rhai.js` is the same tokenizer
for CodeMirror; `tests/samples.json` holds both to the same answers.
"""

import re

from pygments.lexer import Lexer
from pygments.token import Comment, Error, Keyword, Name, Number, Operator, Punctuation, String, Whitespace

from .words import BUILTINS, KEYWORDS, RESERVED

KINDS = {
    "space": Whitespace,
    "line_comment": Comment.Single,
    "block_comment": Comment.Multiline,
    "doc": Comment.Special,
    "control": Keyword,
    "declare": Keyword.Declaration,
    "module": Keyword.Namespace,
    "modifier": Keyword,
    "word_operator": Operator.Word,
    "reserved": Keyword.Reserved,
    "bool": Keyword.Constant,
    "self": Name.Builtin.Pseudo,
    "wildcard": Keyword.Constant,
    "last_value": Name.Builtin.Pseudo,
    "string": String.Double,
    "raw_string": String.Other,
    "template": String.Backtick,
    "escape": String.Escape,
    "interpolation": String.Interpol,
    "char": String.Char,
    "function_definition": Name.Function,
    "function": Name.Function,
    "method": Name.Function,
    "builtin": Name.Builtin,
    "definition": Name.Variable,
    "variable": Name,
    "property": Name.Property,
    "key": Name.Tag,
    "keyword_argument": Name.Attribute,
    "namespace": Name.Namespace,
    "type": Name.Class,
    "operator": Operator,
    "punctuation": Punctuation,
    "invalid": Error,
}

SPACE = re.compile(r"\s+")
LINE_COMMENT = re.compile(r"//(/(?!/)|!)?[^\n]*")
WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
NUMBERS = [
    (re.compile(r"0[xX][0-9a-fA-F_]*"), Number.Hex),
    (re.compile(r"0[oO][0-7_]*"), Number.Oct),
    (re.compile(r"0[bB][01_]*"), Number.Bin),
    (
        re.compile(
            r"[0-9][0-9_]*(?:\.[0-9][0-9_]*(?:[eE](?=[-+0-9])[-+]?[0-9_]*)?|\.(?![.A-Za-z0-9_])"
            r"|[eE](?=[-+0-9])[-+]?[0-9_]*)"
        ),
        Number.Float,
    ),
    (re.compile(r"[0-9][0-9_]*"), Number.Integer),
]
CODES = r"x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}"
CHARACTER = re.compile(rf"'(?:[^'\\\n]|''|\\(?:[rnt\\']|{CODES}))'")
NOT_A_CHARACTER = re.compile(r"'(?:(?:[^'\\\n]|\\.)*')?")
ESCAPE = re.compile(rf'\\(?:[rnt\\"\n]|{CODES}|\Z)|""')
DOC_COMMENT = re.compile(r"/\*\*(?!\*)")
COMMENT_MARK = re.compile(r"/\*|\*/")
STRING_INSIDE = re.compile(r'[^"\\\n]+')
TEMPLATE_ESCAPE = re.compile(r"``|\\\$\{")
TEMPLATE_INSIDE = re.compile(r"[^`$\\]+")
QUOTE = re.compile(r'#+"|["`]')
BRACKET = re.compile(r"#\{|\?\[|[()\[\]{}]")
# symbols that mean something elsewhere and nothing here
WRONG = re.compile(r"===|!==|\.\.\.|->|<-|\+\+|--|:=|::<|<\||\|>|\?(?![?.])|[~@$#]")
OPERATOR = re.compile(r"(?:\*\*|<<|>>)=?|\.\.=?|=>|\?\?|&&|\|\||[-+*/%&|^<>=!]=|[-+*/%&|^<>=!]")
NOT_IN = re.compile(r"!in(?![A-Za-z0-9_])")
PUNCTUATION = re.compile(r"::|\?\.|[.,;:]")

# what may stand behind a name
SKIP = r"(?:\s|/\*[^*]*\*/)*"
PARENTHESIS = re.compile(SKIP + r"(?:!\s*)?\(")
EQUALS = re.compile(SKIP + r"=(?![=>])")
COLON = re.compile(SKIP + r":(?!:)")
PATH = re.compile(SKIP + r"::")
ARM = re.compile(SKIP + r"(?:=>|if\b)")

CLOSERS = {"(": ")", "[": "]", "?[": "]", "{": "}", "#{": "}", "${": "}", "|": "|"}


class Scanner:
    """One pass over a text.

    `brackets` are those that are open, each with its closer and what it holds (call, names, closure, map, interpolation
    or other); `last` is the last token: word, operand (any other that ends an operand) or itself; `fn` says whether the
    name of a function comes.
    """

    def __init__(self, text):
        self.text = text
        self.at = 0
        self.brackets = []
        self.last = ""
        self.fn = False

    def take(self, pattern):
        """What matches here, if anything does, and steps behind it."""
        found = pattern.match(self.text, self.at)
        if found:
            self.at = found.end()
            return found.group()
        return None

    def sees(self, pattern):
        return pattern.match(self.text, self.at) is not None

    def top(self):
        return self.brackets[-1][1] if self.brackets else None

    def open(self, bracket, holds):
        self.brackets.append((CLOSERS[bracket], holds))
        self.last = bracket

    def close(self, closer):
        """Closes the innermost bracket of this kind, and what was left open inside it."""
        self.last = "operand"
        for index in reversed(range(len(self.brackets))):
            found, holds = self.brackets[index]
            if found == closer:
                del self.brackets[index:]
                return holds
            if holds == "interpolation":
                break
        return None

    def tokens(self):
        """Pairs of a kind and where its token ends."""
        while self.at < len(self.text):
            yield from self.code()

    def code(self):
        take = self.take
        if take(SPACE):
            yield "space", self.at
        elif comment := LINE_COMMENT.match(self.text, self.at):
            self.at = comment.end()
            yield "doc" if comment.group(1) else "line_comment", self.at
        elif self.text.startswith("/*", self.at):
            yield self.block_comment(), self.at
        elif name := take(WORD):
            yield self.word(name), self.at
        elif number := next((kind for pattern, kind in NUMBERS if take(pattern)), None):
            self.last = "operand"
            yield number, self.at
        elif quote := take(QUOTE):
            self.last = "operand"
            if quote == "`":
                yield "template", self.at
                yield from self.template()
            elif quote == '"':
                yield "string", self.at
                yield from self.string()
            else:
                end = self.text.find('"' + quote[:-1], self.at)
                self.at = len(self.text) if end < 0 else end + len(quote)
                yield "raw_string", self.at
        elif self.text[self.at] == "'":
            self.last = "operand"
            yield "char" if take(CHARACTER) else take(NOT_A_CHARACTER) and "invalid", self.at
        elif bracket := take(BRACKET):
            yield from self.bracket(bracket)
        elif self.top() == "closure" and self.text[self.at] == "|":
            self.at += 1
            self.close("|")
            self.last = "|"
            yield "punctuation", self.at
        elif self.last not in ("word", "operand") and self.text[self.at] == "|":
            if self.text.startswith("||", self.at):
                self.at += 2
            else:
                self.at += 1
                self.open("|", "closure")
            self.last = "|"
            yield "punctuation", self.at
        elif take(NOT_IN):
            self.last = "in"
            yield "word_operator", self.at
        elif take(WRONG):
            self.last = ""
            yield "invalid", self.at
        elif operator := take(OPERATOR):
            self.last = "word!" if operator == "!" and self.last == "word" else operator
            yield "operator", self.at
        elif mark := take(PUNCTUATION):
            if mark == ";" and self.top() == "closure":
                self.close("|")
            self.last = mark
            yield "punctuation", self.at
        else:
            self.at += 1
            yield "invalid", self.at

    def block_comment(self):
        doc = DOC_COMMENT.match(self.text, self.at)
        self.at = doc.end() if doc else self.at + 2
        depth = 1
        for mark in COMMENT_MARK.finditer(self.text, self.at):
            depth += 1 if mark.group() == "/*" else -1
            if depth == 0:
                self.at = mark.end()
                break
        else:
            self.at = len(self.text)
        return "doc" if doc else "block_comment"

    def string(self):
        while self.at < len(self.text) and self.text[self.at] != "\n":
            if self.take(ESCAPE):
                yield "escape", self.at
            elif self.text[self.at] == '"':
                self.at += 1
                yield "string", self.at
                return
            elif self.text[self.at] == "\\":
                self.at = min(self.at + 2, len(self.text))
                yield "invalid", self.at
            else:
                self.take(STRING_INSIDE)
                yield "string", self.at

    def template(self):
        while self.at < len(self.text):
            if self.take(TEMPLATE_ESCAPE):
                yield "escape", self.at
            elif self.text.startswith("${", self.at):
                self.at += 2
                self.open("${", "interpolation")
                yield "interpolation", self.at
                return  # `bracket` comes back here
            elif self.text[self.at] == "`":
                self.at += 1
                yield "template", self.at
                return
            else:
                if not self.take(TEMPLATE_INSIDE):
                    self.at += 1
                yield "template", self.at

    def bracket(self, bracket):
        if bracket == "(":
            names = self.fn or self.last in ("for", "catch")
            call = self.last in ("word", "word!")
            self.fn = False
            self.open("(", "names" if names else "call" if call else "other")
        elif bracket == "#{":
            self.open("#{", "map")
        elif bracket in CLOSERS:
            self.open(bracket, "other")
        elif self.close(bracket) == "interpolation":
            yield "interpolation", self.at
            yield from self.template()
            return
        yield "punctuation", self.at

    def word(self, name):
        last, inside = self.last, self.top()
        member = last in (".", "?.")
        if name in KEYWORDS and not member:
            self.last = "operand" if KEYWORDS[name] == "bool" else name
            self.fn = name == "fn"
            return KEYWORDS[name]
        self.last = "word"
        if self.fn:
            return "function_definition" if self.sees(PARENTHESIS) else "type"
        if inside in ("names", "closure") or last in ("let", "const", "for"):
            return "definition"
        if name == "_":
            self.last = "operand"
            return "wildcard" if self.sees(ARM) else "last_value"
        if inside == "call" and last in ("(", ",") and self.sees(EQUALS):
            return "keyword_argument"
        if inside == "map" and last in ("#{", ",") and self.sees(COLON):
            return "key"
        called = self.sees(PARENTHESIS)
        if member:
            return "method" if called else "property"
        if last == "as" or self.sees(PATH):
            return "namespace"
        if name == "this":
            return "self"
        if name in BUILTINS:
            return "builtin"
        if name in RESERVED:
            return "reserved"
        return "function" if called else "variable"


class RhaiLexer(Lexer):
    """Rhai with keyword arguments."""

    name = "Rhai"
    url = "https://rhai.rs"
    aliases = ["rhai"]
    filenames = ["*.rhai"]
    mimetypes = ["text/x-rhai"]

    def get_tokens_unprocessed(self, text):
        start = 0
        for kind, end in Scanner(text).tokens():
            yield start, KINDS.get(kind, kind), text[start:end]
            start = end
