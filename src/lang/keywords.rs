//! Keyword arguments: how `name = value` in a call becomes the last argument, and how functions of the script get theirs.
//!
//! Two private operators build one map from the tokens that the scan has marked. Functions of the program take the map
//! apart themselves. For each function that a script defines, a wrapper is compiled beside it that takes positional
//! arguments and the map; a call with keyword arguments calls the wrapper.

use std::fmt::Write;

use rhai::{AST, Array, Dynamic, Engine, EvalAltResult, ImmutableString, Map, Position, Token};

use super::scan::{CallSite, Role, Roles, Scan};
use crate::error::{Error, Kind, did_you_mean};

/// What `eval` is called once the scan has seen it.
pub(super) const EVAL: &str = "eval_here";

/// The operator that stands for the `=` of a keyword argument.
const PAIR: &str = "kw=";
/// The operator that stands for the comma between two keyword arguments.
const JOIN: &str = "kw,";
/// What the names of wrappers begin with: for `f(…)`, and for `value.f(…)`.
const WRAPPER: &str = "kw__";
const METHOD_WRAPPER: &str = "kw_this__";
/// The function with which a wrapper takes its map apart.
const TAKE: &str = "kw_take";

/// Is this the name of a wrapper, which no list of functions shows?
pub(super) fn is_wrapper(name: &str) -> bool {
    name.starts_with(WRAPPER) || name.starts_with(METHOD_WRAPPER) || name == TAKE
}

/// The scan says which tokens make keyword arguments; the operators turn them into one map.
#[allow(deprecated, reason = "rhai marks volatile interfaces this way")]
pub(super) fn register(engine: &mut Engine, roles: Roles) {
    engine.on_parse_token(move |token, position, _| {
        let place = (position.line().unwrap_or(0), position.position().unwrap_or(0));
        match (roles.borrow().get(&place), token) {
            (Some(Role::Name), Token::Identifier(name)) => Token::StringConstant(Box::new((*name).as_str().into())),
            (Some(Role::Name), Token::Reserved(name)) => Token::StringConstant(Box::new((*name).as_str().into())),
            (Some(Role::Equals), Token::Equals) => Token::Custom(Box::new(PAIR.into())),
            (Some(Role::Comma), Token::Comma) => Token::Custom(Box::new(JOIN.into())),
            (Some(Role::Last), Token::Underscore) => Token::Identifier(Box::new("_".into())),
            (Some(Role::Eval), Token::Identifier(_) | Token::Reserved(_)) => Token::Custom(Box::new(EVAL.into())),
            (Some(Role::ScriptFunction { method }), Token::Identifier(name)) => {
                let prefix = if *method { METHOD_WRAPPER } else { WRAPPER };
                Token::Identifier(Box::new(format!("{prefix}{name}").as_str().into()))
            }
            // Rhai reserves the name without using it
            (_, Token::Reserved(name)) if *name == "var" => Token::Identifier(name),
            (_, token) => token,
        }
    });
    // the names are fixed and the precedences free, so registering them cannot fail
    let _ = engine.register_custom_operator(JOIN, 2);
    let _ = engine.register_custom_operator(PAIR, 3);
    engine.register_fn(PAIR, |name: ImmutableString, value: Dynamic| Map::from([(name.as_str().into(), value)]));
    engine.register_fn(JOIN, |mut first: Map, second: Map| {
        first.extend(second);
        first
    });
    engine.register_fn(TAKE, |given: Map, function: ImmutableString, parameters: Array, positional: i64| {
        take(&given, &function, &parameters, positional)
            .map_err(|error| Box::new(EvalAltResult::ErrorRuntime(Dynamic::from(error), Position::NONE)))
    });
}

/// Marks the calls with keyword arguments whose function a script has defined: `is_defined` says whether one has.
pub(super) fn mark_script_calls(scan: &mut Scan, is_defined: impl Fn(&str) -> bool) {
    let of_module = |site: &CallSite| {
        let at = scan.tokens.iter().position(|lexeme| lexeme.place == site.place);
        at.and_then(|at| scan.tokens.get(at.checked_sub(1)?)).is_some_and(|before| before.token == Token::DoubleColon)
    };
    let defined_here = |name: &str| {
        scan.tokens.windows(2).any(|pair| {
            pair[0].token == Token::Fn && matches!(&pair[1].token, Token::Identifier(found) if found.as_str() == name)
        })
    };
    let called: Vec<_> = scan
        .calls
        .values()
        .filter(|site| site.arguments.iter().any(|argument| argument.keyword.is_some()))
        .filter(|site| of_module(site) || is_defined(&site.name) || defined_here(&site.name))
        .map(|site| (site.place, Role::ScriptFunction { method: site.method }))
        .collect();
    scan.roles.extend(called);
}

/// Adds to a program the wrappers of its functions.
pub(super) fn add_wrappers(engine: &Engine, ast: &mut AST) {
    let mut text = String::new();
    for function in ast.iter_functions().filter(|function| !function.name.contains('$')) {
        wrappers(&mut text, function.name, &function.params);
    }
    if let Ok(mut wrappers) = engine.compile(text) {
        wrappers.set_source(SOURCE);
        ast.combine(wrappers);
    }
}

/// The source of wrappers, which no report shows.
pub(super) const SOURCE: &str = "keyword arguments";

/// Functions that take the first few arguments by position and the others from a map.
fn wrappers(text: &mut String, name: &str, parameters: &[&str]) {
    let quoted: Vec<String> = parameters.iter().map(|parameter| format!("{parameter:?}")).collect();
    let quoted = quoted.join(", ");
    for positional in 0..=parameters.len() {
        let first: Vec<String> = (0..positional).map(|index| format!("p{index}")).collect();
        let taken = (positional..parameters.len()).map(|index| format!("taken[{}]", index - positional));
        let all: Vec<String> = first.iter().cloned().chain(taken).collect();
        let (all, declared) = (all.join(", "), [first, vec!["given".to_owned()]].concat().join(", "));
        for (prefix, this) in [(WRAPPER, ""), (METHOD_WRAPPER, "this.")] {
            let _ = writeln!(
                text,
                "fn {prefix}{name}({declared}) {{ let taken = {TAKE}(given, {name:?}, [{quoted}], {positional}); \
                 {this}{name}({all}) }}"
            );
        }
    }
}

/// The values of the parameters that were not given by position, in order.
fn take(given: &Map, function: &str, parameters: &Array, positional: i64) -> Result<Array, Error> {
    let names: Vec<String> = parameters.iter().map(ToString::to_string).collect();
    let positional = usize::try_from(positional).unwrap_or(0).min(names.len());
    let fault = |message: String, argument: String| Err(Error::new(Kind::Argument, message).at_argument(argument));
    for name in given.keys() {
        match names.iter().position(|parameter| parameter == name.as_str()) {
            None => {
                let error = Error::new(Kind::Argument, format!("{function} has no argument `{name}`"));
                let hint = did_you_mean(name, names.iter().map(String::as_str));
                let hint = hint.unwrap_or_else(|| format!("{function}({})", names.join(", ")));
                return Err(error.with_hint(hint).at_argument(format!("{name}=")));
            }
            Some(index) if index < positional => {
                let message = format!("{function}: `{name}` is given by position and by keyword");
                return fault(message, name.to_string());
            }
            Some(_) => {}
        }
    }
    names[positional..]
        .iter()
        .map(|name| {
            given.get(name.as_str()).cloned().ok_or_else(|| {
                Error::new(Kind::Argument, format!("{function}: `{name}` is missing"))
                    .with_hint(format!("{function}({})", names.join(", ")))
            })
        })
        .collect()
}
