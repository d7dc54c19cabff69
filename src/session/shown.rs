//! Values that only say how something is shown: figures with words of the user's, pages of documentation.

use std::fmt;

use crate::lang::{Dynamic, describe, value_type};
use crate::render::Theme;

/// A value with what is written above and below it.
#[derive(Clone, Debug)]
pub struct Captioned {
    /// What is shown.
    pub value: Dynamic,
    /// What stands above it.
    pub title: Option<String>,
    /// What stands below it.
    pub caption: Option<String>,
    /// How many of a list stand side by side.
    pub columns: Option<usize>,
    /// Names beneath the pictures of a list, which make it a sheet of small ones.
    pub labels: Option<Vec<String>>,
    /// For which page it is drawn.
    pub theme: Option<Theme>,
}

value_type!(Captioned, "figure", "a figure", "Something to look at, with a title and a caption.");

impl fmt::Display for Captioned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "figure of {}", describe(&self.value))?;
        self.title.as_ref().map_or(Ok(()), |title| write!(f, ": {title}"))
    }
}

/// A page of documentation, in Markdown.
#[derive(Clone, Debug)]
pub struct Page(pub String);
