//! The interpreter: Rhai with keyword arguments, builtins, and a session's variables.

use std::any::TypeId;
use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use rhai::{
    AST, Dynamic, Engine, EvalAltResult, EvalContext, FnPtr, ImmutableString, Map, NativeCallContext,
    OptimizationLevel, Position, Scope, Stmt, Token,
};

use super::arguments::Arguments;
use super::context::{Context, Host, Interrupt, Runtime, Source};
use super::modules::Modules;
use super::pieces::{self, Piece};
use super::registry::{self, Builtin};
use super::scan::{self, CallSite, Place, Role, Scan};
use super::value::{register_value_type, value_types};
use super::{report, value};
use crate::error::{Error, Kind, Result, did_you_mean};

/// The operator that stands for the `=` of a keyword argument.
pub(super) const PAIR: &str = "kw=";
/// The operator that stands for the comma between two keyword arguments.
pub(super) const JOIN: &str = "kw,";
/// What `eval` is called once the scan has seen it.
const EVAL: &str = "eval_here";
/// The statement that is woven between the statements of a cell; see [`Interpreter::weave`].
const SHARE: &str = "share_variables";

/// How deep calls may nest, and expressions.
const CALL_DEPTH: usize = 400;
const EXPRESSION_DEPTH: usize = 200;
/// The stack a deep script needs, also in a debug build.
const STACK: usize = 1 << 29;

/// Tokens that the parser must see as something else while one text is compiled.
pub(super) type Roles = Rc<RefCell<HashMap<Place, Role>>>;

/// An interpreter with its variables.
pub struct Interpreter {
    engine: Engine,
    scope: Scope<'static>,
    runtime: Rc<Runtime>,
    roles: Roles,
    modules: Modules,
    share: Vec<Stmt>,
    natives: OnceCell<Vec<Native>>,
}

impl Interpreter {
    /// An interpreter with every builtin, that shows its output on `host`.
    pub fn new(host: Rc<dyn Host>) -> Self {
        let runtime = Rc::new(Runtime::new(host));
        let roles = Roles::default();
        let modules = Modules::new(Rc::clone(&runtime), Rc::clone(&roles));
        let mut engine = Engine::new();
        limits(&mut engine);
        keyword_arguments(&mut engine, Rc::clone(&roles));
        output(&mut engine, &runtime);
        variables(&mut engine, &runtime);
        eval_function(&mut engine, &runtime, &roles);
        for kind in value_types() {
            (kind.register)(&mut engine);
        }
        register_value_type::<Error>(&mut engine, "error");
        for (name, overloads) in registry::builtins() {
            register(&mut engine, &runtime, name, overloads);
        }
        for extension in inventory::iter::<Extension>() {
            (extension.0)(&mut engine);
        }
        engine.set_module_resolver(modules.clone());
        let share = engine.compile(SHARE).map(|ast| ast.statements().to_vec()).unwrap_or_default();
        Self { engine, scope: Scope::new(), runtime, roles, modules, share, natives: OnceCell::new() }
    }

    /// Runs a text under a name, in the session's variables; returns the value of its last statement.
    ///
    /// # Errors
    /// The text does not parse, or failed while it ran: the error carries a report with the line
    /// and a caret. Variables that were set before the error stay.
    pub fn eval(&mut self, name: &str, text: &str) -> Result<Dynamic> {
        stacker::grow(STACK, || self.eval_here(name, text))
    }

    fn eval_here(&mut self, name: &str, text: &str) -> Result<Dynamic> {
        let ast = compile(&self.engine, &self.runtime, &self.roles, name, text)
            .map_err(|error| report::report(&self.engine, &self.runtime, &self.scope, name, &error))?;
        // known before the cell runs, so that it can ask for help on its own functions
        if ast.has_functions() {
            self.engine.register_global_module(ast.shared_lib().clone());
        }
        let woven = self.weave(&ast);
        let result = self.engine.eval_ast_with_scope::<Dynamic>(&mut self.scope, &woven);
        share_variables(&mut self.scope, &self.runtime.globals);
        prune(&mut self.scope);
        self.keep(&ast);
        result
            .map(Dynamic::flatten)
            .map_err(|error| report::report(&self.engine, &self.runtime, &self.scope, name, &error))
    }

    /// Puts a statement that shares new variables with functions between the statements of a cell.
    ///
    /// Rhai's functions see nothing of the scope they are called from. Sharing each variable as
    /// soon as it exists lets a function read its value of the moment, and leaves the meaning of
    /// every other statement alone (a top-level `return` still ends the cell).
    fn weave(&self, ast: &AST) -> AST {
        let statements = ast.statements();
        let mut woven = Vec::with_capacity(statements.len() * 2);
        for (index, statement) in statements.iter().enumerate() {
            if index > 0 {
                woven.extend(self.share.iter().cloned());
            }
            woven.push(statement.clone());
        }
        let mut result = AST::new(woven, ast.shared_lib().clone());
        if let Some(source) = ast.source() {
            result.set_source(source);
        }
        result
    }

    /// Makes the imports of a cell last.
    fn keep(&mut self, ast: &AST) {
        for statement in ast.statements() {
            if let Stmt::Import(import, _) = statement
                && let rhai::Expr::StringConstant(path, _) = &import.0
                && let Some(module) = self.modules.loaded(path)
            {
                let alias = if import.1.name.is_empty() { path.as_str() } else { import.1.name.as_str() };
                self.engine.register_static_module(alias, module);
            }
        }
    }

    /// The flag that stops the running evaluation.
    pub fn interrupt(&self) -> Interrupt {
        self.runtime.interrupt.clone()
    }

    /// What a stopped call of the last evaluation has made so far: the script had no time to do anything with it.
    pub fn take_unfinished(&self) -> Option<Dynamic> {
        self.runtime.unfinished.take()
    }

    /// The folder that `import` searches first.
    pub fn set_folder(&mut self, folder: std::path::PathBuf) {
        self.modules.set_folder(folder);
    }

    /// Changes where output goes.
    pub fn set_host(&mut self, host: Rc<dyn Host>) {
        *self.runtime.host.borrow_mut() = host;
    }

    /// Starts the session's random numbers anew.
    pub fn reseed(&self, seed: u64) {
        use rand::SeedableRng;
        *self.runtime.seeds.borrow_mut() = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    }

    /// Sets a variable.
    pub fn set(&mut self, name: &str, value: Dynamic) {
        self.scope.set_or_push(name, value);
        share_variables(&mut self.scope, &self.runtime.globals);
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<Dynamic> {
        self.scope.get(name).map(|value| value.flatten_clone())
    }

    /// All variables, in the order they were made.
    pub fn variables(&self) -> Vec<(String, Dynamic)> {
        self.scope.iter().map(|(name, _, value)| (name.to_owned(), value)).collect()
    }

    /// The functions that cells and imported modules define.
    pub fn functions(&self) -> Vec<ScriptFunction> {
        script_functions(&self.engine)
    }

    /// The functions that Rhai brings along, in alphabetical order.
    pub fn natives(&self) -> &[Native] {
        self.natives.get_or_init(|| natives(&self.engine))
    }

    /// What a text consists of, also if it is half-typed.
    pub fn pieces(&self, text: &str) -> Vec<Piece> {
        pieces::pieces(&self.scan(text), text)
    }

    /// Is there a function of this name?
    pub fn has_function(&self, name: &str) -> bool {
        !registry::builtin(name).is_empty()
            || self.runtime.functions.borrow().contains(name)
            || self.natives().binary_search_by(|native| native.name.as_str().cmp(name)).is_ok()
    }

    /// Reads a text as far as its tokens go, for completion and for deciding whether it is whole.
    pub fn scan(&self, text: &str) -> Scan {
        scan::scan(&self.engine, text)
    }

    /// Does the text parse? The error is the parser's.
    ///
    /// # Errors
    /// The text does not parse.
    pub fn check(&self, text: &str) -> Result<()> {
        stacker::grow(STACK, || {
            compile(&self.engine, &self.runtime, &self.roles, CHECK, text)
                .map(drop)
                .map_err(|error| report::report(&self.engine, &self.runtime, &self.scope, CHECK, &error))
        })
    }
}

/// A function that a cell or a module defines.
#[derive(Clone, Debug)]
pub struct ScriptFunction {
    /// Its name, with its module's: `sheets::compare`.
    pub name: String,
    /// Its name and parameters.
    pub signature: String,
    /// Its `///` comments, in Markdown.
    pub doc: String,
}

/// A function that Rhai brings along.
#[derive(Clone, Debug)]
pub struct Native {
    /// Its name.
    pub name: String,
    /// Its name and parameters.
    pub signature: String,
    /// The type of its first parameter, which is what a method is called on, as [`type_name`](super::type_name) says it;
    /// "value" if the language has no name for it.
    pub first: Option<&'static str>,
    /// The type of what it returns.
    pub returns: Option<&'static str>,
}

fn natives(engine: &Engine) -> Vec<Native> {
    let mut natives: Vec<Native> = engine.collect_fn_metadata(
        None,
        |info| {
            let metadata = info.metadata;
            let is_name = |name: &str| name.chars().all(|c| c.is_alphanumeric() || c == '_');
            if info.script.is_some() || !info.namespace.is_empty() || !is_name(&metadata.name) {
                return None;
            }
            let parameters =
                || metadata.params_info.iter().map(|part| part.split(':').next().unwrap_or_default().trim());
            let first = metadata.params_info.first();
            Some(Native {
                name: metadata.name.to_string(),
                signature: format!("{}({})", metadata.name, parameters().collect::<Vec<_>>().join(", ")),
                first: first.map(|info| info.split_once(':').and_then(|(_, rust)| our_name(rust)).unwrap_or("value")),
                returns: our_name(&metadata.return_type),
            })
        },
        true,
    );
    // these are words of Rhai, which no package has
    for name in ["print", "debug", "type_of", "call", "curry", "is_shared", "is_def_var", "is_def_fn", "eval", "Fn"] {
        natives.push(Native { name: name.into(), signature: format!("{name}(…)"), first: None, returns: None });
    }
    natives.retain(|native| registry::builtin(&native.name).is_empty() && native.name.starts_with(char::is_alphabetic));
    natives.sort_by(|a, b| (&a.name, &a.first).cmp(&(&b.name, &b.first)));
    natives.dedup_by(|a, b| (&a.name, &a.first) == (&b.name, &b.first));
    natives
}

/// Our name of one of Rhai's types.
fn our_name(rust: &str) -> Option<&'static str> {
    let name = rust.trim().trim_start_matches("&mut ").trim_start_matches('&');
    let name = name.strip_prefix("RhaiResultOf<").and_then(|name| name.strip_suffix('>')).unwrap_or(name).trim();
    Some(match name {
        "Array" => "list",
        "Map" => "map",
        "str" | "String" | "ImmutableString" => "string",
        "INT" | "i64" => "integer",
        "FLOAT" | "f64" => "number",
        "bool" => "boolean",
        "char" => "character",
        "FnPtr" => "function",
        _ => return None,
    })
}

/// The functions that scripts have made known to an engine, in alphabetical order.
pub(super) fn script_functions(engine: &Engine) -> Vec<ScriptFunction> {
    let collected = engine.collect_fn_metadata(
        None,
        |info| {
            let name = match info.namespace.is_empty() {
                true => info.metadata.name.to_string(),
                false => format!("{}::{}", info.namespace, info.metadata.name),
            };
            let script = info.script?;
            let doc: Vec<String> = script.comments.iter().map(|line| uncomment(line)).collect();
            let signature = format!("{name}({})", script.params.join(", "));
            (!name.contains('$')).then(|| ScriptFunction { name, signature, doc: doc.join("\n") })
        },
        false,
    );
    // newer definitions come first
    let mut functions: Vec<ScriptFunction> = Vec::new();
    for function in collected {
        if !functions.iter().any(|known| known.signature == function.signature) {
            functions.push(function);
        }
    }
    functions.sort_by(|a, b| a.signature.cmp(&b.signature));
    functions
}

/// The name of a text that is only checked.
const CHECK: &str = "check";

/// What a lower layer adds to the engine besides functions: operators and indexing of its types.
pub struct Extension(pub fn(&mut Engine));

inventory::collect!(Extension);

fn uncomment(line: &str) -> String {
    let text = line.trim_start();
    let text = text.strip_prefix("///").unwrap_or(text);
    text.strip_prefix(' ').unwrap_or(text).to_owned()
}

fn limits(engine: &mut Engine) {
    engine.set_optimization_level(OptimizationLevel::None);
    engine.set_max_call_levels(CALL_DEPTH);
    engine.set_max_expr_depths(EXPRESSION_DEPTH, EXPRESSION_DEPTH);
}

/// The scan says which tokens make keyword arguments; two operators turn them into one map.
#[allow(deprecated, reason = "rhai marks volatile interfaces this way")]
fn keyword_arguments(engine: &mut Engine, roles: Roles) {
    engine.on_parse_token(move |token, position, _| {
        let place = (position.line().unwrap_or(0), position.position().unwrap_or(0));
        match (roles.borrow().get(&place), token) {
            (Some(Role::Name), Token::Identifier(name)) => Token::StringConstant(Box::new((*name).as_str().into())),
            (Some(Role::Name), Token::Reserved(name)) => Token::StringConstant(Box::new((*name).as_str().into())),
            (Some(Role::Equals), Token::Equals) => Token::Custom(Box::new(PAIR.into())),
            (Some(Role::Comma), Token::Comma) => Token::Custom(Box::new(JOIN.into())),
            (Some(Role::Last), Token::Underscore) => Token::Identifier(Box::new("_".into())),
            // Rhai reserves the name without using it
            (_, Token::Reserved(name)) if *name == "var" => Token::Identifier(name),
            (Some(Role::Eval), Token::Identifier(_) | Token::Reserved(_)) => Token::Custom(Box::new(EVAL.into())),
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
}

fn output(engine: &mut Engine, runtime: &Rc<Runtime>) {
    let printer = Rc::clone(runtime);
    engine.on_print(move |text| printer.host().print(&format!("{text}\n")));
    let debugger = Rc::clone(runtime);
    engine.on_debug(move |text, _, _| debugger.host().print(&format!("{text}\n")));
    let interrupt = runtime.interrupt.clone();
    engine.on_progress(move |_| interrupt.is_raised().then_some(Dynamic::UNIT));
}

/// Functions see the session's variables; see [`Interpreter::weave`].
#[allow(deprecated, reason = "rhai marks volatile interfaces this way")]
fn variables(engine: &mut Engine, runtime: &Rc<Runtime>) {
    let reader = Rc::clone(runtime);
    engine.on_var(move |name, index, context| {
        if index > 0 || context.scope().contains(name) {
            return Ok(None);
        }
        if let Some(value) = reader.globals.borrow().get(name) {
            return Ok(Some(value.clone()));
        }
        // a function named without a call is a value: help(dream), images.map(classify)
        let known = !registry::builtin(name).is_empty() || reader.functions.borrow().contains(name);
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
fn share_variables(scope: &mut Scope<'_>, globals: &RefCell<BTreeMap<String, Dynamic>>) {
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
fn prune(scope: &mut Scope<'static>) {
    // newest first
    let entries: Vec<(&str, bool, &Dynamic)> = scope.iter_raw().collect();
    let mut seen = std::collections::BTreeSet::new();
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

/// `eval(text)` with keyword arguments, in the variables of its caller.
fn eval_function(engine: &mut Engine, runtime: &Rc<Runtime>, roles: &Roles) {
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
    let scan = scan::scan(engine, text);
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
    runtime.functions.borrow_mut().extend(ast.iter_functions().map(|function| function.name.to_owned()));
    Ok(ast)
}

pub(super) fn position(place: Place) -> Position {
    let line = u16::try_from(place.0).unwrap_or(u16::MAX);
    let column = u16::try_from(place.1).unwrap_or(u16::MAX);
    if line == 0 { Position::NONE } else { Position::new(line, column) }
}

/// Registers all functions of one name: for any types, so that a wrong one gets our message.
fn register(engine: &mut Engine, runtime: &Rc<Runtime>, name: &'static str, overloads: &'static [&'static Builtin]) {
    let most = overloads.iter().map(|builtin| builtin.positional().count()).max().unwrap_or(0);
    for arity in 0..=most + 2 {
        let runtime = Rc::clone(runtime);
        let types = vec![TypeId::of::<Dynamic>(); arity];
        engine.register_raw_fn(name, types, move |call, values: &mut [&mut Dynamic]| {
            let values: Vec<Dynamic> = values.iter().map(|value| value.flatten_clone()).collect();
            dispatch(&call, &runtime, overloads, values)
        });
    }
    if overloads.iter().any(|builtin| builtin.property) {
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
    overloads: &[&'static Builtin],
    mut values: Vec<Dynamic>,
) -> Result<Dynamic, Box<EvalAltResult>> {
    let context = Context::new(call, runtime);
    let given = values.len();
    let site = call_site(call, runtime);
    let named = site.as_ref().is_some_and(|site| site.arguments.iter().any(|argument| argument.keyword.is_some()));
    let takes_map = |builtin: &&Builtin| {
        builtin.positional().count() == given
            && builtin.positional().last().is_some_and(|last| last.kind == <Dynamic as value::FromValue>::EXPECTED)
    };
    let keywords = match values.last() {
        Some(last) if last.is_map() && (named || !overloads.iter().any(takes_map)) => {
            values.pop().and_then(Dynamic::try_cast::<Map>).unwrap_or_default()
        }
        _ => Map::new(),
    };

    let outcome = run(&context, overloads, &values, &keywords);
    if runtime.stopped.take()
        && let Ok(value) = &outcome
    {
        *runtime.unfinished.borrow_mut() = Some(value.clone());
    }
    outcome.map_err(|(error, builtin)| {
        let overloads = builtin.map_or(overloads, std::slice::from_ref);
        if let Some(original) = context.callback_error.borrow_mut().take() {
            return original;
        }
        let place = error
            .argument()
            .and_then(|name| argument_place(site.as_ref()?, overloads, name))
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
    overloads: &'a [&'static Builtin],
    values: &[Dynamic],
    keywords: &Map,
) -> Result<Dynamic, (Error, Option<&'a &'static Builtin>)> {
    let mut first_error = None;
    let fitting = overloads.iter().filter(|builtin| {
        overloads.len() == 1
            || (builtin.positional().next().is_none() && values.is_empty())
            || values.first().zip(builtin.positional().next()).is_some_and(|(value, first)| (first.accepts)(value))
    });
    for builtin in fitting {
        match Arguments::bind(builtin, values, keywords) {
            Ok(arguments) => {
                let value = (builtin.call)(context, &arguments).map_err(|error| (error, Some(builtin)))?;
                return Ok(value::tell(value, || arguments.written(&context.notes.borrow())));
            }
            Err(error) => {
                first_error.get_or_insert((error, Some(builtin)));
            }
        }
    }
    Err(first_error.unwrap_or_else(|| (no_overload(overloads, values), None)))
}

fn no_overload(overloads: &[&'static Builtin], values: &[Dynamic]) -> Error {
    let name = overloads.first().map_or("", |builtin| builtin.name);
    let mut kinds: Vec<&str> =
        overloads.iter().filter_map(|builtin| builtin.positional().next()).map(|first| first.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    match values.first() {
        Some(value) => {
            let message = format!("{name} takes {}, not {}", kinds.join(" or "), value::describe(value));
            Error::new(Kind::Argument, message).at_argument("#0")
        }
        None => {
            let signatures: Vec<String> = overloads.iter().map(|builtin| registry::signature(builtin)).collect();
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
fn argument_place(site: &CallSite, overloads: &[&Builtin], parameter: &str) -> Option<Place> {
    if let Some(keyword) = parameter.strip_suffix('=') {
        return site.keyword(keyword).map(|argument| argument.start);
    }
    if let Some(argument) = site.keyword(parameter) {
        return Some(argument.value);
    }
    let index = match parameter.strip_prefix('#') {
        Some(index) => index.parse().ok()?,
        None => overloads
            .iter()
            .find_map(|builtin| builtin.positional().position(|candidate| candidate.name == parameter))?,
    };
    // the first argument of a method call stands in front of the dot
    let index = if site.method { usize::checked_sub(index, 1)? } else { index };
    site.arguments.get(index).filter(|argument| argument.keyword.is_none()).map(|argument| argument.start)
}

/// What is known about a function that was not found.
pub(super) fn unknown_function(name: &str, variables: &[String], functions: &[String]) -> Error {
    let error = Error::new(Kind::Name, format!("there is no function `{name}`"));
    if variables.iter().any(|variable| variable == name) {
        return error.with_hint(format!("`{name}` is a variable; a function in it is called with {name}.call(…)"));
    }
    let names = registry::names().chain(functions.iter().map(String::as_str));
    match did_you_mean(name, names) {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}
