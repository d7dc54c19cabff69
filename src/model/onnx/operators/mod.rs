//! What each operator of ONNX becomes: one function, and a line in the table of its file.

mod activation;
mod axes;
mod combine;
mod inputs;
mod layers;
mod select;
mod window;

use super::attributes::Attributes;
use super::converter::Converter;
use super::fuse::SILU;
use super::proto::{NodeProto, is_standard};
use super::value::{Map, Value};
use crate::error::{Error, Kind, Result};

/// The values that a node reads; none where it leaves an input out.
type Inputs<'i> = &'i [Option<Value>];

/// Makes nodes of an operator, and returns the values of its outputs.
type Operator = for<'a, 'i> fn(&mut Converter<'a>, &NodeProto<'a>, &Attributes<'i>, Inputs<'i>) -> Result<Vec<Value>>;

/// All operators by name, one table for each file.
const OPERATORS: [&[(&str, Operator)]; 7] = [
    UNCHANGED,
    activation::OPERATORS,
    axes::OPERATORS,
    combine::OPERATORS,
    layers::OPERATORS,
    select::OPERATORS,
    window::OPERATORS,
];

/// The operators that hand on what they read.
const UNCHANGED: &[(&str, Operator)] = &[
    ("Cast", |_, node, attributes, inputs| unchanged(node, attributes, inputs)),
    ("Dropout", |_, node, attributes, inputs| unchanged(node, attributes, inputs)),
    ("Identity", |_, node, attributes, inputs| unchanged(node, attributes, inputs)),
];

/// What is known without the image, before any of these is asked for.
const CONSTANTS: [&str; 2] = ["Constant", "Shape"];

impl<'a> Converter<'a> {
    /// The values of a node's outputs.
    pub(super) fn operator(
        &mut self,
        node: &NodeProto<'a>,
        attributes: &Attributes<'_>,
        inputs: Inputs<'_>,
    ) -> Result<Vec<Value>> {
        let mut all = OPERATORS.iter().copied().flatten();
        let (_, operator) = all.find(|(name, _)| *name == node.op).ok_or_else(|| unsupported(node))?;
        operator(self, node, attributes, inputs)
    }
}

/// The error of an operator that is not read.
pub(super) fn unsupported(node: &NodeProto<'_>) -> Error {
    let domain = if is_standard(node.domain) { String::new() } else { format!(" of {}", node.domain) };
    let error = Error::new(Kind::File, format!("the operator {}{domain} is not supported", node.op));
    if matches!(node.op, "Resize" | "Upsample") {
        return error.with_hint("networks that resize within themselves cannot be read yet");
    }
    // SiLU is a name of our own for what files write in two nodes
    let names = OPERATORS.iter().copied().flatten().map(|(name, _)| *name).filter(|name| *name != SILU);
    let mut names: Vec<&str> = names.chain(CONSTANTS).collect();
    names.sort_unstable_by_key(|name| name.to_lowercase());
    error.with_hint(format!("supported are {}; and arithmetic on constants", names.join(", ")))
}

fn fault(message: impl Into<String>) -> Error {
    Error::new(Kind::File, message)
}

/// The outputs of an operator that has one.
fn one(map: Result<Map>) -> Result<Vec<Value>> {
    Ok(vec![Value::Map(map?)])
}

fn unchanged(node: &NodeProto<'_>, attributes: &Attributes<'_>, inputs: Inputs<'_>) -> Result<Vec<Value>> {
    if node.op == "Cast" && !matches!(attributes.int("to", 1), 1 | 10 | 11 | 16) {
        return Err(fault("the network's values are cast to whole numbers"));
    }
    Ok(vec![inputs.first().cloned().flatten().ok_or_else(|| fault("its input is missing"))?])
}
