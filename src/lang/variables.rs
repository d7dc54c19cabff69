//! The variables of a session, which functions of the script can read and set.
//!
//! Rhai's functions see nothing of the scope they are called from. [`Sharing`] puts a statement between the top-level
//! statements of a cell that shares each new variable as soon as it exists, so that a function reads its value of the
//! moment; the meaning of every other statement stays (a top-level `return` still ends the cell).

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use rhai::{AST, Dynamic, Engine, FnPtr, Scope, Stmt};

use super::context::Runtime;
use super::registry;

/// The statement that is put between the statements of a cell.
const SHARE: &str = "share_variables";

/// Puts the sharing of variables between the statements of a cell.
pub(super) struct Sharing(Vec<Stmt>);

impl Sharing {
    /// For an engine that [`share_with_functions`] has prepared.
    pub fn new(engine: &Engine) -> Self {
        Self(engine.compile(SHARE).map(|ast| ast.statements().to_vec()).unwrap_or_default())
    }

    /// The same program, with variables shared between its top-level statements.
    pub fn interleave(&self, ast: &AST) -> AST {
        let statements = ast.statements();
        let mut interleaved = Vec::with_capacity(statements.len() * 2);
        for (index, statement) in statements.iter().enumerate() {
            if index > 0 {
                interleaved.extend(self.0.iter().cloned());
            }
            interleaved.push(statement.clone());
        }
        let mut result = AST::new(interleaved, ast.shared_lib().clone());
        if let Some(source) = ast.source() {
            result.set_source(source);
        }
        result
    }
}

/// Functions see the session's variables; see [`Sharing`].
#[allow(deprecated, reason = "rhai marks volatile interfaces this way")]
pub(super) fn share_with_functions(engine: &mut Engine, runtime: &Rc<Runtime>) {
    let reader = Rc::clone(runtime);
    engine.on_var(move |name, index, context| {
        if index > 0 || context.scope().contains(name) {
            return Ok(None);
        }
        if let Some(value) = reader.globals.borrow().get(name) {
            return Ok(Some(value.clone()));
        }
        // a function named without a call is a value: help(dream), images.map(classify)
        let known = !registry::overloads(name).is_empty() || reader.functions.borrow().contains(name);
        Ok(if known { FnPtr::new(name).ok().map(Dynamic::from) } else { None })
    });
    let writer = Rc::clone(runtime);
    engine.register_custom_syntax_with_state_raw(
        SHARE,
        |_, _, _| Ok(None),
        false,
        move |context, _, _| {
            share_variables(context.scope_mut(), &writer.globals);
            Ok(Dynamic::UNIT)
        },
    );
}

/// Turns every variable into a shared one that functions can read by name.
pub(super) fn share_variables(scope: &mut Scope<'_>, globals: &RefCell<BTreeMap<String, Dynamic>>) {
    let mut globals = globals.borrow_mut();
    let names: Vec<(String, bool)> = scope.iter_raw().map(|(name, fixed, _)| (name.to_owned(), fixed)).collect();
    for (name, fixed) in names {
        if fixed {
            if let Some(value) = scope.get(&name) {
                globals.insert(name, value.flatten_clone());
            }
        } else if let Some(value) = scope.get_mut(&name) {
            if !value.is_shared() {
                *value = std::mem::take(value).into_shared();
            }
            globals.insert(name, value.clone());
        }
    }
}

/// Drops variables that a later `let` of the same name hides.
pub(super) fn prune(scope: &mut Scope<'static>) {
    // newest first
    let entries: Vec<(&str, bool, &Dynamic)> = scope.iter_raw().collect();
    let mut seen = BTreeSet::new();
    let mut kept: Vec<_> = entries.iter().filter(|(name, ..)| seen.insert(*name)).collect();
    if kept.len() == entries.len() {
        return;
    }
    kept.reverse();
    let mut pruned = Scope::new();
    for (name, fixed, value) in kept {
        if *fixed {
            pruned.push_constant_dynamic(*name, (*value).clone());
        } else {
            pruned.push_dynamic(*name, (*value).clone());
        }
    }
    *scope = pruned;
}
