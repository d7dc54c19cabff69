//! The graph in the making: its nodes, their names, and the parameters that they keep.

use std::collections::{BTreeMap, HashMap, HashSet};

use candle_core::Tensor;

use super::constant::pay;
use super::ints::count;
use super::proto::{NodeProto, TensorProto};
use super::value::{Map, Value};
use crate::error::Result;
use crate::model::Op;
use crate::model::bounds::{check_op, check_shape};

/// What a node is called: by its own name or that of its result.
pub(super) fn title<'a>(node: &NodeProto<'a>) -> &'a str {
    let name = node.name.trim();
    if name.is_empty() { node.outputs.first().map_or("", |name| name.trim()) } else { name }
}

/// A node of the graph in the making.
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) aliases: Vec<String>,
    pub(super) op: Op,
    pub(super) inputs: Vec<usize>,
    pub(super) shape: Vec<usize>,
    /// The name in the file of the value that is exactly this node's.
    pub(super) value: String,
}

pub(super) struct Converter<'a> {
    pub(super) opset: i64,
    /// Images of a batch, where the graph's shapes are worked out.
    pub(super) batch: usize,
    pub(super) initializers: HashMap<&'a str, TensorProto<'a>>,
    /// How many nodes read each value.
    pub(super) readers: HashMap<&'a str, usize>,
    pub(super) values: HashMap<&'a str, Value>,
    pub(super) drafts: Vec<Draft>,
    pub(super) taken: HashSet<String>,
    /// How often each name came again.
    pub(super) repeated: HashMap<String, usize>,
    /// Parameters by name, each with what was done to the file's tensor of that name.
    pub(super) weights: BTreeMap<String, (String, Tensor)>,
    pub(super) budget: usize,
    /// Whether the softmax at the end is the logarithm of one.
    pub(super) ends_in_log_softmax: bool,
}

impl<'a> Converter<'a> {
    /// Adds a node to the graph; its shape must follow from those of its inputs.
    pub(super) fn add(&mut self, node: &NodeProto<'_>, op: Op, inputs: &[usize]) -> Result<usize> {
        check_op(&op)?;
        let shapes: Vec<&[usize]> = inputs.iter().map(|id| self.drafts[*id].shape.as_slice()).collect();
        let shape = op.output_shape(&shapes)?;
        check_shape(&shape)?;
        let name = self.unique(title(node));
        // the module that PyTorch's parameters are named by
        let parameters = op.parameters();
        let module = parameters.first().and_then(|parameter| parameter.name.strip_suffix(".weight"));
        let aliases = module.iter().map(|module| (*module).to_owned()).collect();
        let value = node.outputs.first().copied().unwrap_or_default().to_owned();
        self.drafts.push(Draft { name, aliases, op, inputs: inputs.to_vec(), shape, value });
        Ok(self.drafts.len() - 1)
    }

    /// The name itself if nothing is called so yet, else with a number.
    pub(super) fn unique(&mut self, name: &str) -> String {
        let name = if name.is_empty() { "unnamed" } else { name };
        if self.taken.insert(name.to_owned()) {
            return name.to_owned();
        }
        let number = self.repeated.entry(name.to_owned()).or_insert(1);
        loop {
            *number += 1;
            let numbered = format!("{name}_{number}");
            if self.taken.insert(numbered.clone()) {
                return numbered;
            }
        }
    }

    /// Keeps a parameter under its name in the file; `change` says what was done to the file's numbers, so that two
    /// uses of one tensor don't get in each other's way.
    pub(super) fn keep(&mut self, name: &str, change: &str, make: impl FnOnce() -> Result<Tensor>) -> Result<String> {
        let mut key = if name.is_empty() { "constant".to_owned() } else { name.to_owned() };
        while let Some((kept, _)) = self.weights.get(&key) {
            if kept == change {
                return Ok(key);
            }
            key = format!("{key}.{change}");
        }
        let tensor = make()?;
        if !change.is_empty() {
            pay(&mut self.budget, tensor.dims())?;
        }
        self.weights.insert(key.clone(), (change.to_owned(), tensor));
        Ok(key)
    }

    /// The shape of a value with its batch.
    pub(super) fn with_batch(&self, map: &Map) -> Vec<usize> {
        std::iter::once(self.batch).chain(map.dims(&self.drafts[map.id].shape)).collect()
    }
}

/// Whether two shapes have the same number of elements.
pub(super) fn same_count(a: &[usize], b: &[usize]) -> bool {
    count(a).is_some() && count(a) == count(b)
}
