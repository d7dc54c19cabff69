//! From text to a program: the scan gives tokens their roles, then Rhai parses. Also `eval`, which compiles while it runs.

use std::rc::Rc;

use rhai::{AST, Dynamic, Engine, EvalAltResult, EvalContext, Position, Scope};

use super::context::{Runtime, Source};
use super::keywords::{self, EVAL};
use super::report;
use super::scan::{self, Place, Roles};
use crate::error::{Error, Kind};

/// `eval(text)` with keyword arguments, in the variables of its caller.
pub(super) fn register_eval(engine: &mut Engine, runtime: &Rc<Runtime>, roles: &Roles) {
    let runtime = Rc::clone(runtime);
    let roles = Rc::clone(roles);
    engine.register_custom_syntax_with_state_raw(
        EVAL,
        |symbols, _, _| {
            Ok(match symbols.len() {
                1 => Some("(".into()),
                2 => Some("$expr$".into()),
                3 => Some(")".into()),
                _ => None,
            })
        },
        true,
        move |context: &mut EvalContext<'_, '_, '_, '_, '_, '_>, inputs, _| {
            let Some(input) = inputs.first() else { return Ok(Dynamic::UNIT) };
            let text = input.eval_with_context(context)?.into_string().map_err(|found| {
                let error = Error::new(Kind::Argument, format!("eval: `text` must be a string, not {found}"));
                Box::new(EvalAltResult::ErrorRuntime(Dynamic::from(error), input.position()))
            })?;
            let name = format!("eval at {}", input.position());
            let engine = context.engine();
            let ast = compile(engine, &runtime, &roles, &name, &text)
                .map_err(|error| inner_error(engine, &runtime, &name, &error, input.position()))?;
            engine
                .eval_ast_with_scope::<Dynamic>(context.scope_mut(), &ast)
                .map_err(|error| inner_error(engine, &runtime, &name, &error, input.position()))
        },
    );
}

/// An error inside another text, as an error of the place that ran it.
fn inner_error(
    engine: &Engine,
    runtime: &Runtime,
    name: &str,
    error: &EvalAltResult,
    position: Position,
) -> Box<EvalAltResult> {
    if let EvalAltResult::ErrorTerminated(token, _) = error {
        return Box::new(EvalAltResult::ErrorTerminated(token.clone(), position));
    }
    let error = report::report(engine, runtime, &Scope::new(), name, error);
    Box::new(EvalAltResult::ErrorRuntime(Dynamic::from(error), position))
}

/// Compiles a text: scan first, then parse with the roles that the scan gave to tokens.
pub(super) fn compile(
    engine: &Engine,
    runtime: &Runtime,
    roles: &Roles,
    name: &str,
    text: &str,
) -> Result<AST, Box<EvalAltResult>> {
    let mut scan = scan::scan(engine, text);
    keywords::mark_script_calls(&mut scan, |name| runtime.functions.borrow().contains(name));
    let fault = scan.fault.clone();
    *roles.borrow_mut() = scan.roles.clone();
    let source = Source { text: text.to_owned(), scan };
    runtime.sources.borrow_mut().insert(name.to_owned(), Rc::new(source));
    let compiled = engine.compile(text);
    roles.borrow_mut().clear();
    if let Some(fault) = fault {
        let error = Error::new(Kind::Script, fault.message).with_hint(fault.hint);
        return Err(Box::new(EvalAltResult::ErrorRuntime(Dynamic::from(error), position(fault.place))));
    }
    let mut ast = compiled.map_err(|error| Box::new(EvalAltResult::ErrorParsing(*error.0, error.1)))?;
    ast.set_source(name);
    if ast.has_functions() {
        runtime.functions.borrow_mut().extend(ast.iter_functions().map(|function| function.name.to_owned()));
        keywords::add_wrappers(engine, &mut ast);
    }
    Ok(ast)
}

pub(super) fn position(place: Place) -> Position {
    let line = u16::try_from(place.0).unwrap_or(u16::MAX);
    let column = u16::try_from(place.1).unwrap_or(u16::MAX);
    if line == 0 { Position::NONE } else { Position::new(line, column) }
}
