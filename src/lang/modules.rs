//! `import`: modules from the script's folder, from `PERCEPT_PATH`, from the working folder, or embedded in the binary.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use include_dir::{Dir, include_dir};
use rhai::{Dynamic, Engine, EvalAltResult, Module, ModuleResolver, Position, Scope, Shared};

use super::compile::compile;
use super::context::Runtime;
use super::report;
use super::scan::Roles;
use crate::error::{Error, Kind, Result, did_you_mean};

type SharedModule = Shared<Module>;

static STDLIB: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/stdlib");

/// The names and texts of the embedded modules.
pub fn stdlib() -> impl Iterator<Item = (&'static str, &'static str)> {
    STDLIB.files().filter_map(|file| {
        let name = file.path().to_str()?.strip_suffix(".rhai")?;
        Some((name, file.contents_utf8()?))
    })
}

/// Finds, compiles and keeps modules.
#[derive(Clone)]
pub(super) struct Modules(Rc<Inner>);

struct Inner {
    runtime: Rc<Runtime>,
    roles: Roles,
    folder: RefCell<Option<PathBuf>>,
    loaded: RefCell<HashMap<String, SharedModule>>,
    loading: RefCell<Vec<String>>,
}

impl Modules {
    pub fn new(runtime: Rc<Runtime>, roles: Roles) -> Self {
        Self(Rc::new(Inner {
            runtime,
            roles,
            folder: RefCell::default(),
            loaded: RefCell::default(),
            loading: RefCell::default(),
        }))
    }

    pub fn set_folder(&mut self, folder: PathBuf) {
        *self.0.folder.borrow_mut() = Some(folder);
    }

    /// A module that was imported before.
    pub fn loaded(&self, path: &str) -> Option<SharedModule> {
        self.0.loaded.borrow().get(path).cloned()
    }

    fn load(&self, engine: &Engine, path: &str, at: Position) -> Result<SharedModule, Box<EvalAltResult>> {
        let raise = |error: Error| Box::new(EvalAltResult::ErrorRuntime(Dynamic::from(error), at));
        if self.0.loading.borrow().iter().any(|name| name == path) {
            return Err(raise(Error::new(Kind::Script, format!("the module \"{path}\" imports itself"))));
        }
        let (name, text) = self.find(path).map_err(raise)?;
        self.0.loading.borrow_mut().push(path.to_owned());
        let module = compile(engine, &self.0.runtime, &self.0.roles, &name, &text)
            .and_then(|ast| Module::eval_ast_as_new(Scope::new(), &ast, engine));
        self.0.loading.borrow_mut().pop();
        let mut module = module.map_err(|error| {
            if matches!(*error, EvalAltResult::ErrorTerminated(..)) {
                return error;
            }
            raise(report::report(engine, &self.0.runtime, &Scope::new(), &name, &error))
        })?;
        module.set_id(name);
        module.build_index();
        let module: SharedModule = module.into();
        self.0.loaded.borrow_mut().insert(path.to_owned(), module.clone());
        Ok(module)
    }

    /// The name and text of a module; a file wins over the embedded one.
    fn find(&self, path: &str) -> Result<(String, String)> {
        let file = format!("{}.rhai", path.strip_suffix(".rhai").unwrap_or(path));
        let mut folders: Vec<PathBuf> = self.0.folder.borrow().iter().cloned().collect();
        folders.extend(std::env::var_os("PERCEPT_PATH").iter().flat_map(std::env::split_paths));
        folders.push(self.0.runtime.folder().to_path_buf());
        for folder in folders {
            let candidate = folder.join(&file);
            if candidate.is_file() {
                let text = std::fs::read_to_string(&candidate).map_err(|error| {
                    Error::new(Kind::File, format!("cannot read the module {}: {error}", candidate.display()))
                })?;
                return Ok((candidate.display().to_string(), text));
            }
        }
        if let Some(embedded) = STDLIB.get_file(Path::new(&file)).and_then(|file| file.contents_utf8()) {
            return Ok((format!("stdlib/{file}"), embedded.to_owned()));
        }
        let names: Vec<&str> = stdlib().map(|(name, _)| name).collect();
        let error = Error::new(Kind::Name, format!("there is no module \"{path}\""));
        Err(match did_you_mean(path, names.iter().copied()) {
            Some(hint) => error.with_hint(hint),
            None => error.with_hint(format!("there are {}; or a file {file} beside the script", names.join(", "))),
        })
    }
}

impl ModuleResolver for Modules {
    fn resolve(
        &self,
        engine: &Engine,
        _source: Option<&str>,
        path: &str,
        at: Position,
    ) -> Result<SharedModule, Box<EvalAltResult>> {
        self.load(engine, path, at)
    }
}
