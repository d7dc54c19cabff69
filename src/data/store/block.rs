//! Some rows of a store: what a network made of some images.

use std::sync::Arc;

/// What is kept of a layer for each image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kept {
    /// The largest value of each channel.
    Max,
    /// Where it is, as a place in the channel's map, row by row; the first of equals.
    At,
    /// The mean of each channel.
    Mean,
    /// All values, `[channels, height, width]`.
    Map,
}

impl Kept {
    /// What its column is called behind the layer's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Max => "max",
            Self::At => "at",
            Self::Mean => "mean",
            Self::Map => "map",
        }
    }
}

/// A column of a store: a list of numbers for each image.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Column {
    /// The layer's name.
    pub layer: String,
    /// What is kept of it.
    pub kept: Kept,
    /// How many numbers each image has.
    pub width: usize,
}

impl Column {
    /// What it is called in a table: `fire5/max`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.layer, self.kept.name())
    }
}

/// Which image a row is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its place in the set that it was in when it was looked at.
    pub index: u64,
    /// Its name in that set.
    pub name: Arc<str>,
    /// What tells its pixels from those of another image of this name: [`Entry::content`](crate::data::Entry::content).
    pub content: u64,
    /// The name of its class.
    pub label: Option<String>,
}

/// Some rows, with the numbers of each column one row after the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Block {
    pub(super) rows: Vec<Row>,
    pub(super) columns: Vec<Vec<f32>>,
}
