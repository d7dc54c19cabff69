//! The interpreter: Rhai with keyword arguments, the registered functions, and a session's variables.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rhai::{AST, Dynamic, Engine, OptimizationLevel, Scope, Stmt};

use super::compile::{compile, register_eval};
use super::context::{Host, Runtime};
use super::functions::{Native, ScriptFunction, natives, script_functions};
use super::highlight::{self, Highlight};
use super::modules::Modules;
use super::scan::{self, Roles, Scan};
use super::value::{register_value_type, value_types};
use super::variables::{Sharing, prune, share_variables, share_with_functions};
use super::{dispatch, keywords, registry, report};
use crate::error::{Error, Result};
use crate::job::{Interrupt, Shard};

/// How deep calls may nest, and expressions.
const CALL_DEPTH: usize = 400;
const EXPRESSION_DEPTH: usize = 200;
/// The stack a deep script needs, also in a debug build.
const STACK: usize = 1 << 29;

/// An interpreter with its variables.
pub struct Interpreter {
    engine: Engine,
    scope: Scope<'static>,
    runtime: Rc<Runtime>,
    roles: Roles,
    modules: Modules,
    sharing: Sharing,
    natives: OnceCell<Vec<Native>>,
}

impl Interpreter {
    /// An interpreter with every function, that shows its output on `host`.
    pub fn new(host: Rc<dyn Host>) -> Self {
        let runtime = Rc::new(Runtime::new(host));
        let roles = Roles::default();
        let modules = Modules::new(Rc::clone(&runtime), Rc::clone(&roles));
        let mut engine = Engine::new();
        limits(&mut engine);
        keywords::register(&mut engine, Rc::clone(&roles));
        output(&mut engine, &runtime);
        share_with_functions(&mut engine, &runtime);
        register_eval(&mut engine, &runtime, &roles);
        for kind in value_types() {
            (kind.register)(&mut engine);
        }
        register_value_type::<Error>(&mut engine, "error");
        for (name, overloads) in registry::functions() {
            dispatch::register(&mut engine, &runtime, name, overloads);
        }
        for extension in inventory::iter::<Extension>() {
            (extension.0)(&mut engine);
        }
        engine.set_module_resolver(modules.clone());
        let sharing = Sharing::new(&engine);
        Self { engine, scope: Scope::new(), runtime, roles, modules, sharing, natives: OnceCell::new() }
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
        let program = self.sharing.interleave(&ast);
        let result = self.engine.eval_ast_with_scope::<Dynamic>(&mut self.scope, &program);
        share_variables(&mut self.scope, &self.runtime.globals);
        prune(&mut self.scope);
        self.keep(&ast);
        result
            .map(Dynamic::flatten)
            .map_err(|error| report::report(&self.engine, &self.runtime, &self.scope, name, &error))
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
    pub fn set_import_folder(&mut self, folder: PathBuf) {
        self.modules.set_folder(folder);
    }

    /// The folder at which relative paths start; empty for the process's working folder.
    pub fn working_folder(&self) -> Rc<Path> {
        self.runtime.folder()
    }

    /// Changes the folder at which relative paths start.
    pub fn set_working_folder(&mut self, folder: &Path) {
        *self.runtime.folder.borrow_mut() = Rc::from(folder);
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

    /// Lets what follows do a part of shared work only.
    pub fn set_shard(&self, shard: Shard) {
        self.runtime.shard.set(Some(shard));
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
    pub fn highlights(&self, text: &str) -> Vec<Highlight> {
        highlight::highlights(&self.scan(text), text)
    }

    /// Is there a function of this name?
    pub fn has_function(&self, name: &str) -> bool {
        !registry::overloads(name).is_empty()
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

/// The name of a text that is only checked.
const CHECK: &str = "check";

/// What a lower layer adds to the engine besides functions: operators and indexing of its types.
pub struct Extension(pub fn(&mut Engine));

inventory::collect!(Extension);

fn limits(engine: &mut Engine) {
    engine.set_optimization_level(OptimizationLevel::None);
    engine.set_max_call_levels(CALL_DEPTH);
    engine.set_max_expr_depths(EXPRESSION_DEPTH, EXPRESSION_DEPTH);
}

fn output(engine: &mut Engine, runtime: &Rc<Runtime>) {
    let printer = Rc::clone(runtime);
    engine.on_print(move |text| printer.host().print(&format!("{text}\n")));
    let debugger = Rc::clone(runtime);
    engine.on_debug(move |text, _, _| debugger.host().print(&format!("{text}\n")));
    let interrupt = runtime.interrupt.clone();
    engine.on_progress(move |_| interrupt.is_raised().then_some(Dynamic::UNIT));
}
