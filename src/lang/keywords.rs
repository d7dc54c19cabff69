//! Keyword arguments: how `name = value` in a call becomes the last argument, and how functions of the script get theirs.
//!
//! Two private operators build one map from the tokens that the scan has marked. Functions of the program take the map
//! apart themselves. For each function that a script defines, a wrapper is compiled beside it that takes positional
//! arguments and the map; a call with keyword arguments calls the wrapper.

use std::collections::BTreeMap;
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
            (Some(Role::Name), Token::Until) => Token::StringConstant(Box::new("until".into())),
            (Some(Role::Equals), Token::Equals) => Token::Custom(Box::new(PAIR.into())),
            (Some(Role::Comma), Token::Comma) => Token::Custom(Box::new(JOIN.into())),
            (Some(Role::Last), Token::Underscore) => Token::Identifier(Box::new("_".into())),
            (Some(Role::Eval), Token::Identifier(_) | Token::Reserved(_)) => Token::Custom(Box::new(EVAL.into())),
            (Some(Role::ScriptFunction { method }), Token::Identifier(name)) => {
                let prefix = if *method { METHOD_WRAPPER } else { WRAPPER };
                Token::Identifier(Box::new(format!("{prefix}{name}").as_str().into()))
            }
            // Rhai reserves these names without using them
            (_, Token::Reserved(name)) if matches!(name.as_str(), "var" | "match") => Token::Identifier(name),
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
    engine.register_fn(TAKE, |given: Map, function: ImmutableString, overloads: Array, positional: i64| {
        take(&given, &function, &overloads, positional)
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
    let mut functions: BTreeMap<&str, Vec<Vec<&str>>> = BTreeMap::new();
    for function in ast.iter_functions().filter(|function| !function.name.contains('$')) {
        functions.entry(function.name).or_default().push(function.params.clone());
    }
    let mut text = String::new();
    for (name, mut overloads) in functions {
        overloads.sort_by_key(Vec::len);
        write_wrappers(&mut text, name, &overloads);
    }
    if let Ok(mut wrappers) = engine.compile(text) {
        wrappers.set_source(SOURCE);
        ast.combine(wrappers);
    }
}

/// The source of wrappers, which no report shows.
pub(super) const SOURCE: &str = "keyword arguments";

/// A last parameter of this name takes the keyword arguments that no other parameter has, as a map.
const OTHERS: &str = "options";

/// Functions that take the first few arguments by position and the others from a map, which also decides the overload.
fn write_wrappers(text: &mut String, name: &str, overloads: &[Vec<&str>]) {
    let lists: Vec<String> = overloads.iter().map(|parameters| format!("{parameters:?}")).collect();
    let lists = lists.join(", ");
    let most = overloads.last().map_or(0, Vec::len);
    for positional in 0..=most {
        let first: Vec<String> = (0..positional).map(|index| format!("p{index}")).collect();
        let declared = [first.clone(), vec!["given".to_owned()]].concat().join(", ");
        for (prefix, this) in [(WRAPPER, ""), (METHOD_WRAPPER, "this.")] {
            let _ = write!(
                text,
                "fn {prefix}{name}({declared}) {{ let taken = {TAKE}(given, {name:?}, [{lists}], {positional}); "
            );
            for parameters in overloads.iter().filter(|parameters| parameters.len() >= positional) {
                let count = parameters.len() - positional;
                let all: Vec<String> =
                    first.iter().cloned().chain((0..count).map(|index| format!("taken[{index}]"))).collect();
                let _ = write!(text, "if taken.len() == {count} {{ return {this}{name}({}); }} ", all.join(", "));
            }
            text.push_str("}\n");
        }
    }
}

/// The values of the parameters that were not given by position, in order, for the overload that fits.
fn take(given: &Map, function: &str, overloads: &Array, positional: i64) -> Result<Array, Error> {
    let positional = usize::try_from(positional).unwrap_or(0);
    let mut fault = None;
    for parameters in overloads {
        let parameters: Vec<String> = parameters
            .read_lock::<Array>()
            .map_or_else(Vec::new, |names| names.iter().map(ToString::to_string).collect());
        match take_from(given, function, &parameters, positional) {
            Ok(values) => return Ok(values),
            // of several, the last one has most parameters and so says most
            Err(error) => fault = Some(error),
        }
    }
    Err(fault.unwrap_or_else(|| Error::new(Kind::Internal, format!("{function} has no parameters"))))
}

fn take_from(given: &Map, function: &str, names: &[String], positional: usize) -> Result<Array, Error> {
    let signature = || format!("{function}({})", names.join(", "));
    let takes_others = names.last().is_some_and(|last| last == OTHERS) && names.len() > positional;
    let named = &names[..names.len() - usize::from(takes_others)];
    if positional > names.len() {
        let message = format!("{function} takes {} arguments, {positional} are given by position", names.len());
        return Err(Error::new(Kind::Argument, message).with_hint(signature()));
    }
    for name in given.keys() {
        match named.iter().position(|parameter| parameter == name.as_str()) {
            Some(index) if index < positional => {
                let message = format!("{function}: `{name}` is given by position and by keyword");
                return Err(Error::new(Kind::Argument, message).at_argument(name.as_str()));
            }
            None if !takes_others => {
                let error = Error::new(Kind::Argument, format!("{function} has no argument `{name}`"));
                let hint = did_you_mean(name, named.iter().map(String::as_str)).unwrap_or_else(signature);
                return Err(error.with_hint(hint).at_argument(format!("{name}=")));
            }
            _ => {}
        }
    }
    let missing =
        |name: &String| Error::new(Kind::Argument, format!("{function}: `{name}` is missing")).with_hint(signature());
    let mut values = named[positional.min(named.len())..]
        .iter()
        .map(|name| given.get(name.as_str()).cloned().ok_or_else(|| missing(name)))
        .collect::<Result<Array, Error>>()?;
    if takes_others {
        let others = given.iter().filter(|(name, _)| !named.iter().any(|parameter| parameter == name.as_str()));
        values.push(Dynamic::from_map(others.map(|(name, value)| (name.clone(), value.clone())).collect()));
    }
    Ok(values)
}
