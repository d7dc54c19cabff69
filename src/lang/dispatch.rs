//! Calls of functions: choosing the one whose parameters fit, binding, running, and placing errors.

use std::any::TypeId;
use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;

use rhai::{Array, Dynamic, Engine, EvalAltResult, Map, NativeCallContext};

use super::compile::position;
use super::context::{Context, Runtime};
use super::registry::{self, Arguments, Function};
use super::scan::{CallSite, Place};
use super::value;
use crate::error::{Error, Kind, Result};
use crate::job::List;

/// Registers all functions of one name: for any types, so that a wrong one gets our message.
pub(super) fn register(
    engine: &mut Engine,
    runtime: &Rc<Runtime>,
    name: &'static str,
    overloads: &'static [&'static Function],
) {
    let most = overloads.iter().map(|function| function.positional().count()).max().unwrap_or(0);
    for arity in 0..=most + 2 {
        let runtime = Rc::clone(runtime);
        let types = vec![TypeId::of::<Dynamic>(); arity];
        engine.register_raw_fn(name, types, move |call, values: &mut [&mut Dynamic]| {
            let values: Vec<Dynamic> = values.iter().map(|value| value.flatten_clone()).collect();
            dispatch(&call, &runtime, overloads, values)
        });
    }
    if overloads.iter().any(|function| function.property) {
        let runtime = Rc::clone(runtime);
        engine.register_raw_fn(format!("get${name}"), [TypeId::of::<Dynamic>()], move |call, values| {
            let values: Vec<Dynamic> = values.iter().map(|value| value.flatten_clone()).collect();
            dispatch(&call, &runtime, overloads, values)
        });
    }
}

/// Chooses the function that fits the arguments, and runs it.
fn dispatch(
    call: &NativeCallContext<'_>,
    runtime: &Runtime,
    overloads: &[&'static Function],
    mut values: Vec<Dynamic>,
) -> Result<Dynamic, Box<EvalAltResult>> {
    let context = Context::new(call, runtime);
    let given = values.len();
    let site = call_site(call, runtime);
    let named = site.as_ref().is_some_and(|site| site.arguments.iter().any(|argument| argument.keyword.is_some()));
    let takes_map = |function: &&Function| {
        function.positional().count() == given
            && function.positional().last().is_some_and(|last| last.kind == <Dynamic as value::FromValue>::EXPECTED)
    };
    let keywords = match values.last() {
        Some(last) if last.is_map() && (named || !overloads.iter().any(takes_map)) => {
            values.pop().and_then(Dynamic::try_cast::<Map>).unwrap_or_default()
        }
        _ => Map::new(),
    };

    let first = values.first().cloned();
    let outcome = run(&context, overloads, &values, &keywords);
    if context.stopped()
        && let Ok(value) = &outcome
    {
        *runtime.unfinished.borrow_mut() = Some(value.clone());
    }
    outcome.map_err(|(error, function)| {
        let overloads = function.map_or(overloads, std::slice::from_ref);
        if let Some(original) = context.take_callback_error() {
            return original;
        }
        let place = error
            .argument()
            .and_then(|name| argument_place(site.as_ref()?, overloads, name, first.as_ref()))
            .map_or_else(|| call.call_position(), position);
        if error.kind() == Kind::Interrupted {
            return Box::new(EvalAltResult::ErrorTerminated(Dynamic::UNIT, place));
        }
        Box::new(EvalAltResult::ErrorRuntime(Dynamic::from(error), place))
    })
}

/// Tries the functions of a name in turn; the first whose arguments fit runs.
///
/// An error comes with the function that it is about.
fn run<'a>(
    context: &Context<'_>,
    overloads: &'a [&'static Function],
    values: &[Dynamic],
    keywords: &Map,
) -> Result<Dynamic, (Error, Option<&'a &'static Function>)> {
    let mut first_error: Option<(Error, Option<&'a &'static Function>)> = None;
    let fitting = overloads.iter().filter(|function| match values.first() {
        _ if overloads.len() == 1 => true,
        Some(first) => function.takes_first(first),
        None => function.positional().next().is_none(),
    });
    for function in fitting {
        let (values, keywords) = leading_to_keyword(function, values, keywords);
        if let Some((index, list)) = list_for_each(function, &values) {
            return run_each(context, function, (index, list), &values, &keywords)
                .map_err(|error| (error, Some(function)));
        }
        match Arguments::bind(function, &values, &keywords) {
            Ok(arguments) => {
                let value = (function.call)(context, &arguments).map_err(|error| (error, Some(function)))?;
                return Ok(value::record_provenance(value, || arguments.written(&context.notes())));
            }
            Err(error) => {
                // what is wrong with an argument says more than that there are too many
                let takes = |function: &Function| function.positional().count() >= values.len();
                let better = match &first_error {
                    Some((_, Some(other))) => takes(function) && !takes(other),
                    _ => true,
                };
                if better {
                    first_error = Some((error, Some(function)));
                }
            }
        }
    }
    Err(first_error.unwrap_or_else(|| (no_overload(overloads, values), None)))
}

/// The list in place of one value of a function that runs for each of them, and where it stands.
fn list_for_each(function: &Function, values: &[Dynamic]) -> Option<(usize, Array)> {
    let index = function.positional().position(|parameter| parameter.each)?;
    Some((index, values.get(index)?.clone().into_array().ok()?))
}

/// The results for all values of a list; what was made until an interrupt.
fn run_each(
    context: &Context<'_>,
    function: &Function,
    (index, list): (usize, Array),
    values: &[Dynamic],
    keywords: &Map,
) -> Result<Dynamic> {
    let mut results = Array::with_capacity(list.len());
    let mut values = values.to_vec();
    let list = Rc::new(List { values: list, store: RefCell::default() });
    for (place, value) in list.values.iter().enumerate() {
        context.at_item(&list, place);
        values[index] = value.clone();
        let arguments = Arguments::bind(function, &values, keywords)?;
        context.forget_notes();
        match (function.call)(context, &arguments) {
            Ok(value) => results.push(value::record_provenance(value, || arguments.written(&context.notes()))),
            Err(error) if error.kind() == Kind::Interrupted && place > 0 => break,
            Err(error) => return Err(error),
        }
        if context.stopped() {
            break;
        }
    }
    Ok(results.into())
}

/// `m.classify(img)` as `classify(img, model=m)`: a value in front that is meant for a keyword parameter becomes that
/// keyword's.
fn leading_to_keyword<'a>(
    function: &Function,
    values: &'a [Dynamic],
    keywords: &'a Map,
) -> (Cow<'a, [Dynamic]>, Cow<'a, Map>) {
    let leading = values.split_first().and_then(|(first, rest)| Some((function.leading(first)?, first, rest)));
    match leading {
        Some((parameter, first, rest)) if !keywords.contains_key(parameter.name) => {
            let mut keywords = keywords.clone();
            keywords.insert(parameter.name.into(), first.clone());
            (Cow::Borrowed(rest), Cow::Owned(keywords))
        }
        _ => (Cow::Borrowed(values), Cow::Borrowed(keywords)),
    }
}

fn no_overload(overloads: &[&'static Function], values: &[Dynamic]) -> Error {
    let name = overloads.first().map_or("", |function| function.name);
    let mut kinds: Vec<&str> =
        overloads.iter().filter_map(|function| function.positional().next()).map(|first| first.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    match values.first() {
        Some(value) => {
            let message = format!("{name} takes {}, not {}", kinds.join(" or "), value::describe(value));
            Error::new(Kind::Argument, message).at_argument("#0")
        }
        None => {
            let signatures: Vec<String> = overloads.iter().map(|function| registry::signature(function)).collect();
            Error::new(Kind::Argument, format!("{name}: an argument is missing")).with_hint(signatures.join(" or "))
        }
    }
}

/// The call in the text that led here.
fn call_site(call: &NativeCallContext<'_>, runtime: &Runtime) -> Option<CallSite> {
    let source = runtime.source(call.call_source()?)?;
    let position = call.call_position();
    let place = (position.line()?, position.position()?);
    source.scan.calls.get(&place).filter(|site| site.name == call.fn_name()).cloned()
}

/// Where the value of a parameter stands in a call; `#1` is the second positional argument, and
/// `name=` the keyword itself.
fn argument_place(site: &CallSite, overloads: &[&Function], parameter: &str, first: Option<&Dynamic>) -> Option<Place> {
    if let Some(keyword) = parameter.strip_suffix('=') {
        return site.keyword(keyword).map(|argument| argument.start);
    }
    if let Some(argument) = site.keyword(parameter) {
        return Some(argument.value);
    }
    // what stands in front for a keyword parameter moves the others back
    let leading = overloads.iter().find_map(|function| function.leading(first?));
    let behind = usize::from(leading.is_some());
    let index = match parameter.strip_prefix('#') {
        Some(index) => index.parse::<usize>().ok()? + behind,
        None if leading.is_some_and(|leading| leading.name == parameter) => 0,
        None => {
            let position =
                |function: &&Function| function.positional().position(|candidate| candidate.name == parameter);
            overloads.iter().find_map(position)? + behind
        }
    };
    // the first argument of a method call stands in front of the dot
    let index = if site.method { usize::checked_sub(index, 1)? } else { index };
    site.arguments.get(index).filter(|argument| argument.keyword.is_none()).map(|argument| argument.start)
}
