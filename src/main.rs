//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use percept::error::Result;
use percept::job::Shard;
use percept::{console, jupyter, repl, session};

/// Keeps pages between the steps of an optimization, which the system's would give back and fetch again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// See what a convolutional network has learned.
#[derive(Parser)]
#[command(version, about, long_about = None)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// The prompt (also without a command).
    Repl,
    /// Runs a script.
    Run {
        /// The script, a .rhai file.
        file: PathBuf,
        /// Keeps what the script shows as numbered pictures in this folder.
        #[arg(long)]
        out: Option<PathBuf>,
        /// Starts the random numbers at this seed.
        #[arg(long)]
        seed: Option<u64>,
        /// Does a part of the work only, i/n: `store` looks at the images of the i-th of n parts. Run all n, in any order and
        /// anywhere, with the same folder, or with folders that `merge` lists.
        #[arg(long, value_name = "i/n")]
        shard: Option<Shard>,
        /// What the script finds in `args`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Evaluates a piece of code and shows its value.
    Eval {
        /// The code.
        code: String,
    },
    /// Prints the reference manual as Markdown.
    Manual,
    /// The Jupyter kernel.
    #[command(subcommand)]
    Kernel(Kernel),
}

#[derive(Subcommand)]
enum Kernel {
    /// Makes Jupyter know the kernel.
    Install(Place),
    /// Makes Jupyter forget the kernel.
    Uninstall(Place),
    /// Serves a notebook; Jupyter calls this.
    Run {
        /// The file with the ports and the key.
        connection_file: PathBuf,
    },
}

#[derive(Args)]
struct Place {
    /// For this user (the default).
    #[arg(long, group = "place")]
    user: bool,
    /// In the active Python environment.
    #[arg(long, group = "place")]
    sys_prefix: bool,
    /// Below this folder, in share/jupyter/kernels.
    #[arg(long, group = "place")]
    prefix: Option<PathBuf>,
    /// What Jupyter calls it, if not `percept`: several can be there.
    #[arg(long)]
    name: Option<String>,
}

impl Place {
    fn location(&self) -> jupyter::Location {
        match self {
            Self { prefix: Some(prefix), .. } => jupyter::Location::Prefix(prefix.clone()),
            Self { sys_prefix: true, .. } => jupyter::Location::SysPrefix,
            _ => jupyter::Location::User,
        }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match session::threads().and_then(|threads| run(cli, threads)) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            console::print_error(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli, threads: usize) -> Result<u8> {
    // a kernel evaluates on a thread of its own
    if !matches!(cli.command, Some(Command::Kernel(_))) {
        session::use_threads(threads)?;
    }
    match cli.command.unwrap_or(Command::Repl) {
        Command::Repl => repl::run(),
        Command::Run { file, out: folder, seed, shard, arguments } => {
            console::run_file(&file, &console::RunOptions { folder, seed, shard, arguments })
        }
        Command::Eval { code } => console::eval_code(&code),
        Command::Manual => {
            print!("{}", session::manual());
            Ok(0)
        }
        Command::Kernel(Kernel::Install(place)) => {
            println!("installed in {}", jupyter::install(&place.location(), place.name.as_deref())?.display());
            Ok(0)
        }
        Command::Kernel(Kernel::Uninstall(place)) => {
            println!("removed {}", jupyter::uninstall(&place.location(), place.name.as_deref())?.display());
            Ok(0)
        }
        Command::Kernel(Kernel::Run { connection_file }) => jupyter::run(&connection_file, threads).map(|()| 0),
    }
}
