//! The attributes of a node by name, with their defaults.

use super::proto::{AttributeProto, TensorProto};

/// The attributes of one node.
#[derive(Debug)]
pub(super) struct Attributes<'a>(pub(super) &'a [AttributeProto<'a>]);

impl Attributes<'_> {
    fn get(&self, name: &str) -> Option<&AttributeProto<'_>> {
        self.0.iter().find(|attribute| attribute.name == name)
    }

    /// A whole number.
    pub(super) fn int(&self, name: &str, default: i64) -> i64 {
        self.get(name).and_then(|attribute| attribute.int).unwrap_or(default)
    }

    /// A number.
    pub(super) fn float(&self, name: &str, default: f32) -> f32 {
        self.float_or_none(name).unwrap_or(default)
    }

    /// A number that need not be there.
    pub(super) fn float_or_none(&self, name: &str) -> Option<f32> {
        self.get(name).and_then(|attribute| attribute.float)
    }

    /// A word.
    pub(super) fn text(&self, name: &str, default: &'static str) -> String {
        self.get(name).and_then(|attribute| attribute.text).unwrap_or(default).to_owned()
    }

    /// A list of whole numbers.
    pub(super) fn ints(&self, name: &str) -> Option<Vec<i64>> {
        self.get(name).map(|attribute| attribute.ints.clone())
    }

    /// A list of numbers.
    pub(super) fn floats(&self, name: &str) -> Option<Vec<f32>> {
        self.get(name).map(|attribute| attribute.floats.clone())
    }

    /// A tensor.
    pub(super) fn tensor(&self, name: &str) -> Option<&TensorProto<'_>> {
        self.get(name).and_then(|attribute| attribute.tensor.as_deref())
    }
}
