//! The values of an ONNX graph while it is converted: what is known, and what the network computes, seen with the
//! axes of the file.

use super::constant::Constant;

/// A value of the file's graph.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Known without an image.
    Constant(Constant),
    /// A node's value.
    Map(Map),
    /// A node's value whose channels were taken apart into groups, on the way to a channel shuffle.
    Grouped(Grouped),
}

/// A node's value `[channels, height, width]` or `[features]`, with its axes in any order and ones put in or left out.
#[derive(Clone, Debug)]
pub(super) struct Map {
    /// The node.
    pub id: usize,
    /// For each axis after the batch the node's axis that it is; none for a one.
    pub axes: Vec<Option<usize>>,
    /// A flattened value whose pixels the file orders differently from the node: the shape of the node's value
    /// before it was flattened and the order in which the file takes its axes.
    pub flattened: Option<(Vec<usize>, Vec<usize>)>,
}

/// Where the channels stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// `[channels, height, width]`.
    First,
    /// `[height, width, channels]`.
    Last,
}

impl Layout {
    /// The node's axes in the order of the file.
    pub(super) fn order(self) -> [usize; 3] {
        match self {
            Self::First => [0, 1, 2],
            Self::Last => [1, 2, 0],
        }
    }
}

/// See [`Value::Grouped`].
#[derive(Clone, Debug)]
pub(super) struct Grouped {
    /// The node, `[channels, height, width]`.
    pub id: usize,
    /// The shape after the batch: groups, channels in a group, and the rest.
    pub dims: Vec<usize>,
    /// Whether the first two axes were swapped.
    pub swapped: bool,
}

impl Map {
    pub(super) fn channels_first(id: usize) -> Self {
        Self::of(id, &Layout::First.order())
    }

    pub(super) fn channels_last(id: usize) -> Self {
        Self::of(id, &Layout::Last.order())
    }

    /// One row of numbers.
    pub(super) fn flat(id: usize) -> Self {
        Self::of(id, &[0])
    }

    /// The axes of a node in this order.
    pub(super) fn of(id: usize, order: &[usize]) -> Self {
        Self { id, axes: order.iter().map(|axis| Some(*axis)).collect(), flattened: None }
    }

    /// The same view of another node of the same shape.
    pub(super) fn with_id(&self, id: usize) -> Self {
        Self { id, ..self.clone() }
    }

    /// The sizes after the batch, given the shape of the node.
    pub(super) fn dims(&self, shape: &[usize]) -> Vec<usize> {
        self.axes.iter().map(|axis| axis.and_then(|axis| shape.get(axis)).copied().unwrap_or(1)).collect()
    }

    /// The node's axes that are more than one, in the order of the file.
    pub(super) fn order(&self, shape: &[usize]) -> Vec<usize> {
        self.axes.iter().flatten().copied().filter(|axis| shape.get(*axis).is_some_and(|size| *size > 1)).collect()
    }

    /// Whether the axes stand as `layout` says.
    pub(super) fn is(&self, layout: Layout, shape: &[usize]) -> bool {
        let order = layout.order();
        shape.len() == 3
            && self.axes.len() == 3
            && self.axes.iter().zip(order).all(|(axis, expected)| {
                *axis == Some(expected) || (shape[expected] == 1 && axis.is_none_or(|axis| shape[axis] == 1))
            })
    }
}
