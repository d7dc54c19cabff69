"""The words of Rhai."""

KEYWORDS = {
    **dict.fromkeys(
        "if else switch do while until loop for continue break return throw try catch".split(), "control"
    ),
    **dict.fromkeys("let const fn".split(), "declare"),
    **dict.fromkeys("import export as".split(), "module"),
    "private": "modifier",
    "in": "word_operator",
    **dict.fromkeys("true false".split(), "bool"),
}
# functions that are part of the language
BUILTINS = set("Fn call curry debug eval is_def_fn is_def_var is_shared print type_of".split())
# words that Rhai keeps for later
RESERVED = set(
    "async await case default go goto is match module new nil null package protected public shared spawn static "
    "super sync thread use var void with yield".split()
)
