//! Functions that need the session: showing, helping, seeding.

use std::path::Path;

use super::shown::{Captioned, Page};
use crate::error::{Error, Kind, Result, did_you_mean};
use crate::files::write_file;
use crate::job::Job;
use crate::lang::{Context, Dynamic, FromValue, Reject, describe, function, names};
use crate::render::Theme;

/// Something to look at with a title and a caption, to be shown, saved, or put side by side in a list.
///
/// ```rhai
/// figure([figure(photo("coffee"), title="a cup"), figure(photo("china"), title="a temple")], columns=1)
/// ```
#[function]
fn figure(
    /// What to show.
    value: Dynamic,
    /// What stands above it.
    #[default]
    title: Option<String>,
    /// What stands below it.
    #[default]
    caption: Option<String>,
    /// How many of a list stand side by side, if that many have room; chosen if not given.
    #[default]
    #[range(1..)]
    columns: Option<usize>,
    /// Names beneath the items of a list, which become a sheet of small pictures: images, and the maps of attributions over
    /// their images, each on its own scale.
    #[default]
    labels: Option<Vec<String>>,
    /// The page it is drawn for: "light", "dark", or "auto", in SVG as the reader's system asks for.
    #[default]
    theme: Option<Theme>,
) -> Result<Captioned> {
    if columns.is_some() && !value.is_array() {
        let message = format!("figure: `columns` is for a list, not for {}", describe(&value));
        return Err(Error::new(Kind::Argument, message).at_argument("columns"));
    }
    if let Some(labels) = &labels {
        let items = value.read_lock::<rhai::Array>().map(|items| items.len());
        if items != Some(labels.len()) {
            let message = match items {
                Some(items) => format!("figure: there are {} labels for {items} pictures", labels.len()),
                None => format!("figure: `labels` is for a list, not for {}", describe(&value)),
            };
            return Err(Error::new(Kind::Argument, message).at_argument("labels"));
        }
    }
    Ok(Captioned { value, title, caption, columns, labels, theme })
}

/// The types of values that have a figure and no file format of their own.
pub(super) const FIGURE_TYPES: &[&str] = &[
    "figure",
    "plot",
    "attribution",
    "channel shares",
    "segmentation",
    "superpixels",
    "image set",
    "set member",
    "scene",
    "patches",
    "neighbors",
    "embedding",
    "findings",
    "classification",
    "filters",
    "activations",
    "panels",
    "measure",
    "trust",
    "ranking",
    "decomposition",
    "neuron groups",
    "planted truth",
    "adversarial example",
    "universal perturbation",
    "adversarial patch",
    "perturbation network",
    "list",
];

/// A value that has a figure and no file format of its own, such as a plot or an attribution.
#[derive(Clone, Debug)]
struct Shown(Dynamic);

impl FromValue for Shown {
    const EXPECTED: &'static str = "something that is shown as a figure";
    const TYPES: &'static [&'static str] = FIGURE_TYPES;
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        if super::present::has_figure(value) { Ok(Self(value.clone())) } else { Err(Reject::Type) }
    }
}

/// Writes the figure of a value to a file: .png for pixels, .svg for lines and text that stay sharp at any size.
///
/// A PNG holds the call that made the value.
///
/// ```rhai
/// saliency(photo("chelsea")).save("cat.png");
/// plot([3, 1, 2], title="Loss").save("loss.svg", theme="dark")
/// ```
#[function(name = "save")]
fn save_figure(
    job: &Job,
    /// What to draw.
    value: Shown,
    /// The file; its name ends in .png or .svg.
    #[complete(|context| context.files(&["png", "svg"]))]
    path: String,
    /// The page it is drawn for: "light", "dark", or "auto", in SVG as the reader's system asks for.
    #[default]
    theme: Option<Theme>,
) -> Result<()> {
    let Shown(value) = value;
    let mut output = super::Output::of(&value)?;
    let Some(figure) = &mut output.figure else {
        let message = format!("{} has no figure that could be saved", describe(&value));
        return Err(Error::new(Kind::Argument, message).at_argument("value"));
    };
    if let Some(theme) = theme {
        figure.theme = theme;
    }
    let file = Path::new(&path);
    let bytes = match file.extension().and_then(|ending| ending.to_str()).map(str::to_lowercase).as_deref() {
        Some("png") => output.png()?.unwrap_or_default(),
        Some("svg") => figure.to_svg()?.into_bytes(),
        _ => {
            let error = Error::new(Kind::File, format!("`{path}` does not say how to write a figure"));
            return Err(error.with_hint("end the name in .png or .svg").at_argument("path"));
        }
    };
    write_file(&job.path(file), &bytes).map_err(|error| error.at_argument("path"))
}

/// Shows a value where you are: in the terminal, the notebook, or a numbered file.
///
/// ```rhai
/// show(photo("china"), title="A temple")
/// ```
#[function]
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

/// Explains a function, by name or itself, or lists what can be done with a value.
///
/// ```rhai
/// help("show")
/// ```
#[function]
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
#[function]
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
#[function]
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
#[function]
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
#[function]
fn input(
    cx: &Context<'_>,
    /// What to ask.
    prompt: String,
) -> Result<String> {
    cx.input(&prompt)
}
