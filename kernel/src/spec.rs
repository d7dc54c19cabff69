//! Making Jupyter find a kernel: writing and removing kernelspecs, without Python.
//!
//! A kernelspec is a folder under one of Jupyter's data folders that holds a `kernel.json` (which program to start) and
//! logos. Jupyter, VS Code and others look there each time they list kernels.
//!
//! ```no_run
//! use percept_kernel::spec::{KernelSpec, Location};
//!
//! let program = std::env::current_exe()?;
//! let spec = KernelSpec::new("sums", "Sums", "sums")?
//!     .command(program.to_string_lossy(), ["kernel", "run"])
//!     .file("logo-64x64.png", b"...".as_slice());
//! println!("installed in {}", spec.install(&Location::User)?.display());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::borrow::Cow;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::Error;

/// What Jupyter replaces by the path of the connection file.
const CONNECTION_FILE: &str = "{connection_file}";

/// Where a kernel is installed, as in `jupyter kernelspec install`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// For the user (`--user`): `JUPYTER_DATA_DIR`, or else the platform's folder for the user's data.
    User,
    /// For the active virtual or conda environment (`--sys-prefix`): below `VIRTUAL_ENV`, or else `CONDA_PREFIX`.
    SysPrefix,
    /// Below a folder such as `/usr/local` (`--prefix`).
    Prefix(PathBuf),
}

impl Location {
    /// The folder that holds one folder per kernel.
    ///
    /// # Errors
    /// [`Error::NoEnvironment`] if no environment is active, [`Error::NoUserFolder`] if the user has no home.
    pub fn kernels_folder(&self) -> Result<PathBuf, Error> {
        self.resolve(&|variable| std::env::var_os(variable).filter(|value| !value.is_empty()))
    }

    fn resolve(&self, variable: &dyn Fn(&str) -> Option<OsString>) -> Result<PathBuf, Error> {
        let below = |prefix: &Path| prefix.join("share").join("jupyter");
        let data = match self {
            Self::User => match variable("JUPYTER_DATA_DIR") {
                Some(folder) => folder.into(),
                None => jupyter_zmq_client::user_data_dir().map_err(|_| Error::NoUserFolder)?,
            },
            Self::SysPrefix => {
                let prefix =
                    variable("VIRTUAL_ENV").or_else(|| variable("CONDA_PREFIX")).ok_or(Error::NoEnvironment)?;
                below(prefix.as_ref())
            }
            Self::Prefix(prefix) => below(prefix),
        };
        Ok(data.join("kernels"))
    }
}

/// A kernel as Jupyter lists it, and what must be written to make it do so.
#[derive(Clone, Debug)]
pub struct KernelSpec {
    name: String,
    display_name: String,
    language: String,
    argv: Vec<String>,
    files: Vec<(String, Cow<'static, [u8]>)>,
}

impl KernelSpec {
    /// A kernel called `name` (in `jupyter console --kernel name`), shown as `display_name`, whose `language` is that
    /// of [`LanguageInfo::name`](crate::LanguageInfo::name).
    ///
    /// # Errors
    /// [`Error::KernelName`] if `name` is not made of ASCII letters, digits, `.`, `_` and `-`.
    pub fn new(name: &str, display_name: &str, language: &str) -> Result<Self, Error> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        // A name of dots only would be another folder.
        if name.trim_matches('.').is_empty() || !name.chars().all(allowed) {
            return Err(Error::KernelName(name.to_owned()));
        }
        let (name, display_name, language) = (name.to_owned(), display_name.to_owned(), language.to_owned());
        Ok(Self { name, display_name, language, argv: Vec::new(), files: Vec::new() })
    }

    /// How to start it: `program`, these arguments, and the path of the connection file, which is added here.
    #[must_use]
    pub fn command<A: Into<String>>(
        mut self,
        program: impl Into<String>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        self.argv = vec![program.into()];
        self.argv.extend(arguments.into_iter().map(Into::into));
        self.argv.push(CONNECTION_FILE.to_owned());
        self
    }

    /// A file to lie beside `kernel.json`. Front ends look for `logo-32x32.png`, `logo-64x64.png` and `logo-svg.svg`.
    #[must_use]
    pub fn file(mut self, name: &str, content: impl Into<Cow<'static, [u8]>>) -> Self {
        self.files.push((name.to_owned(), content.into()));
        self
    }

    /// Writes the kernelspec and returns its folder. Doing it again changes nothing, or brings it up to date; Jupyter
    /// never sees a file that is half written.
    ///
    /// # Errors
    /// [`Error::Foreign`] if another program's kernel has that name; or the folder is unknown or cannot be written.
    pub fn install(&self, location: &Location) -> Result<PathBuf, Error> {
        let folder = self.folder(location)?;
        self.owner(&folder)?;
        fs::create_dir_all(&folder).map_err(Error::file("create", &folder))?;
        for (name, content) in &self.files {
            write(&folder.join(name), content)?;
        }
        // The last: with it the kernel is there, whole.
        let text = format!("{:#}\n", self.kernel_json());
        write(&folder.join("kernel.json"), text.as_bytes())?;
        Ok(folder)
    }

    /// Removes what [`install`](Self::install) wrote, and the folder unless something else lies in it, and returns the
    /// folder.
    ///
    /// # Errors
    /// [`Error::NotInstalled`] if there is none, [`Error::Foreign`] if it is another program's; or the folder is
    /// unknown or cannot be written.
    pub fn uninstall(&self, location: &Location) -> Result<PathBuf, Error> {
        let folder = self.folder(location)?;
        if !self.owner(&folder)? {
            return Err(Error::NotInstalled(folder));
        }
        for name in ["kernel.json"].into_iter().chain(self.files.iter().map(|(name, _)| name.as_str())) {
            let path = folder.join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::file("remove", &path)(error));
                }
                _ => {}
            }
        }
        match fs::remove_dir(&folder) {
            Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => {
                Err(Error::file("remove", &folder)(error))
            }
            _ => Ok(folder),
        }
    }

    fn folder(&self, location: &Location) -> Result<PathBuf, Error> {
        Ok(location.kernels_folder()?.join(&self.name))
    }

    /// Whether a kernel is installed in `folder`; an error if it is somebody else's.
    fn owner(&self, folder: &Path) -> Result<bool, Error> {
        let path = folder.join("kernel.json");
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(Error::file("read", &path)(error)),
        };
        let installed: Value = serde_json::from_slice(&text).unwrap_or_default();
        let argv: Vec<&str> =
            installed["argv"].as_array().into_iter().flatten().map(|word| word.as_str().unwrap_or_default()).collect();
        if self.is_own(&argv) { Ok(true) } else { Err(Error::Foreign { path, owner: argv.join(" ") }) }
    }

    /// Whether this command line is ours. The program may have moved, but not changed its name.
    fn is_own(&self, argv: &[&str]) -> bool {
        let name = |program: &str| Path::new(program).file_stem().map(ToOwned::to_owned);
        match (argv, self.argv.as_slice()) {
            ([program, arguments @ ..], [own_program, own_arguments @ ..]) => {
                name(program) == name(own_program) && arguments == own_arguments
            }
            _ => false,
        }
    }

    fn kernel_json(&self) -> Value {
        json!({
            "argv": self.argv,
            "display_name": self.display_name,
            "language": self.language,
            "interrupt_mode": "message",
            "metadata": { "debugger": false },
        })
    }
}

/// Writes a file that everybody may read, as a whole or not at all.
fn write(path: &Path, content: &[u8]) -> Result<(), Error> {
    let written = || -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        let builder = {
            use std::os::unix::fs::PermissionsExt as _;
            builder.permissions(fs::Permissions::from_mode(0o644))
        };
        let mut file = builder.tempfile_in(folder)?;
        file.write_all(content)?;
        file.persist(path)?;
        Ok(())
    };
    written().map_err(Error::file("write", path))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn spec(program: &str) -> KernelSpec {
        KernelSpec::new("sums", "Sums", "sums")
            .unwrap()
            .command(program, ["kernel", "run"])
            .file("logo-64x64.png", b"logo".as_slice())
    }

    #[test]
    fn install_writes_what_jupyter_reads() {
        let prefix = tempfile::tempdir().unwrap();
        let folder = spec("/opt/sums").install(&Location::Prefix(prefix.path().into())).unwrap();
        assert_eq!(folder, prefix.path().join("share/jupyter/kernels/sums"));
        let json: Value = serde_json::from_slice(&fs::read(folder.join("kernel.json")).unwrap()).unwrap();
        assert_eq!(json["argv"], json!(["/opt/sums", "kernel", "run", "{connection_file}"]));
        assert_eq!(json["display_name"], "Sums");
        assert_eq!(json["interrupt_mode"], "message");
        assert_eq!(fs::read(folder.join("logo-64x64.png")).unwrap(), b"logo");
    }

    #[test]
    fn installing_again_brings_it_up_to_date_and_leaves_nothing_else() {
        let prefix = tempfile::tempdir().unwrap();
        let location = Location::Prefix(prefix.path().into());
        spec("/old/sums").install(&location).unwrap();
        let folder = spec("/new/sums").install(&location).unwrap();
        assert!(fs::read_to_string(folder.join("kernel.json")).unwrap().contains("/new/sums"));
        assert_eq!(fs::read_dir(folder).unwrap().count(), 2);
    }

    #[test]
    fn uninstalling_removes_its_own_files_only() {
        let prefix = tempfile::tempdir().unwrap();
        let location = Location::Prefix(prefix.path().into());
        let folder = spec("/opt/sums").install(&location).unwrap();
        fs::write(folder.join("notes.txt"), "mine").unwrap();
        spec("/moved/sums").uninstall(&location).unwrap();
        let left: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["notes.txt"]);

        fs::remove_file(folder.join("notes.txt")).unwrap();
        spec("/opt/sums").install(&location).unwrap();
        spec("/opt/sums").uninstall(&location).unwrap();
        assert!(!folder.exists());
        assert!(matches!(spec("/opt/sums").uninstall(&location), Err(Error::NotInstalled(_))));
    }

    #[test]
    fn the_kernel_of_another_program_is_left_alone() {
        let prefix = tempfile::tempdir().unwrap();
        let location = Location::Prefix(prefix.path().into());
        let folder = prefix.path().join("share/jupyter/kernels/sums");
        fs::create_dir_all(&folder).unwrap();
        for foreign in [
            r#"{"argv": ["python3", "-m", "sums", "-f", "{connection_file}"]}"#,
            r#"{"argv": ["/opt/other", "kernel", "run", "{connection_file}"]}"#,
            r#"{"argv": 3}"#,
            "not json",
        ] {
            fs::write(folder.join("kernel.json"), foreign).unwrap();
            assert!(matches!(spec("/opt/sums").install(&location), Err(Error::Foreign { .. })), "{foreign}");
            assert!(matches!(spec("/opt/sums").uninstall(&location), Err(Error::Foreign { .. })), "{foreign}");
            assert_eq!(fs::read_to_string(folder.join("kernel.json")).unwrap(), foreign);
        }
    }

    #[test]
    fn locations_follow_the_environment() {
        let with = |location: Location, set: &'static [(&str, &str)]| {
            let variable = |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
            location.resolve(&variable)
        };
        let user = with(Location::User, &[("JUPYTER_DATA_DIR", "/data")]).unwrap();
        assert_eq!(user, Path::new("/data/kernels"));
        let both = with(Location::SysPrefix, &[("CONDA_PREFIX", "/conda"), ("VIRTUAL_ENV", "/venv")]).unwrap();
        assert_eq!(both, Path::new("/venv/share/jupyter/kernels"));
        let conda = with(Location::SysPrefix, &[("CONDA_PREFIX", "/conda")]).unwrap();
        assert_eq!(conda, Path::new("/conda/share/jupyter/kernels"));
        assert!(matches!(with(Location::SysPrefix, &[]), Err(Error::NoEnvironment)));
    }

    #[test]
    fn names_that_jupyter_would_not_accept_are_refused() {
        for name in ["", "..", "a/b", "a b", "ä"] {
            assert!(matches!(KernelSpec::new(name, "", ""), Err(Error::KernelName(_))), "{name}");
        }
        assert!(KernelSpec::new("sums-0.1_x", "", "").is_ok());
    }
}
