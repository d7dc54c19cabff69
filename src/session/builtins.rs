//! Words that need the session: showing, helping, seeding.

use std::fmt;

use crate::error::{Error, Kind, Result, did_you_mean};
use crate::lang::{Context, Dynamic, define, describe, names, value_type};

/// A value with what is written above and below it.
#[derive(Clone, Debug)]
pub struct Lettered {
    /// What is shown.
    pub value: Dynamic,
    /// What stands above it.
    pub title: Option<String>,
    /// What stands below it.
    pub caption: Option<String>,
}

value_type!(Lettered, "figure", "a figure", "Something to look at, with a title and a caption.");

impl fmt::Display for Lettered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "figure of {}", describe(&self.value))?;
        self.title.as_ref().map_or(Ok(()), |title| write!(f, ": {title}"))
    }
}

/// Something to look at with a title and a caption, to be shown or put side by side in a list.
///
/// ```rhai
/// [figure(photo("coffee"), title="a cup"), figure(photo("china"), title="a temple")]
/// ```
#[define]
fn figure(
    /// What to show.
    value: Dynamic,
    /// What stands above it.
    #[default]
    title: Option<String>,
    /// What stands below it.
    #[default]
    caption: Option<String>,
) -> Result<Lettered> {
    Ok(Lettered { value, title, caption })
}

/// Shows a value where you are: in the terminal, the notebook, or a numbered file.
///
/// ```rhai
/// show(photo("china"), title="A temple")
/// ```
#[define]
fn show(
    cx: &Context<'_>,
    /// What to show.
    value: Dynamic,
    /// What to call it.
    #[default]
    title: Option<String>,
) -> Result<()> {
    cx.show(&value, title.as_deref())
}

/// A page of documentation, in Markdown.
#[derive(Clone, Debug)]
pub struct Page(pub String);

/// Explains a function, by name or itself, or lists what can be done with a value.
///
/// ```rhai
/// help("show")
/// ```
#[define]
fn help(
    cx: &Context<'_>,
    /// A function, its name, or any value.
    topic: Dynamic,
) -> Result<()> {
    match super::help::help(&cx.functions(), &topic) {
        Some(page) => cx.show(&Dynamic::from(Page(page)), None),
        None => {
            let name = topic.into_string().unwrap_or_default();
            let error = Error::new(Kind::Name, format!("help: there is no function `{name}`")).at_argument("topic");
            Err(match did_you_mean(&name, names()) {
                Some(hint) => error.with_hint(hint),
                None => error,
            })
        }
    }
}

/// Starts the random numbers of the session anew: what follows is the same each time.
///
/// ```rhai
/// seed(7);
/// let first = randn([4]);
/// seed(7);
/// first.sum() == randn([4]).sum()
/// ```
#[define]
fn seed(
    cx: &Context<'_>,
    /// The seed.
    number: u64,
) -> Result<()> {
    cx.reseed(number);
    Ok(())
}

/// Prints a line apart from the others, as a warning.
///
/// ```rhai
/// eprint("the picture is small")
/// ```
#[define]
fn eprint(
    cx: &Context<'_>,
    /// What to print.
    value: Dynamic,
) -> Result<()> {
    // as `print` writes it: strings without quotes
    let text = if value.is_string() { value.to_string() } else { crate::lang::text(&value) };
    cx.eprint(&format!("{text}\n"));
    Ok(())
}

/// Takes away what this cell has shown so far; a terminal is cleared.
///
/// ```rhai
/// clear_output(wait=true)
/// ```
#[define]
fn clear_output(
    cx: &Context<'_>,
    /// Whether what was shown stays until there is something new, which does not flicker.
    #[default(false)]
    wait: bool,
) -> Result<()> {
    cx.clear(wait);
    Ok(())
}

/// Asks for a line of text, which it returns.
///
/// ```rhai
/// let name = input("Which class? ");
/// ```
#[define]
fn input(
    cx: &Context<'_>,
    /// What to ask.
    prompt: String,
) -> Result<String> {
    cx.input(&prompt)
}
