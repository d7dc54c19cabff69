//! How far a sum is followed down.

use crate::model::{Graph, Model, NodeId, Op};

/// Which nodes are taken apart.
pub(super) struct Plan {
    /// For each node that the unit depends on, the most layers with weights on a way to it.
    pub(super) levels: Vec<Option<usize>>,
    depth: usize,
}

impl Plan {
    pub(super) fn new(model: &Model, start: NodeId, depth: usize) -> Self {
        let graph = model.graph();
        let mut levels = vec![None; graph.nodes().len()];
        levels[start.index()] = Some(0);
        for id in graph.ids().rev() {
            let (Some(level), node) = (levels[id.index()], graph.node(id)) else { continue };
            let below = level + usize::from(matches!(node.op, Op::Conv2d(_) | Op::Linear(_)));
            for input in walked(model, id) {
                levels[input.index()] = Some(levels[input.index()].map_or(below, |known: usize| known.max(below)));
            }
        }
        Self { levels, depth }
    }

    /// Is a node taken apart, or is it what the sum is made of?
    pub(super) fn opens(&self, graph: &Graph, id: NodeId) -> bool {
        match graph.node(id).op {
            Op::Input { .. } => false,
            // the same numbers, in another order
            Op::Flatten | Op::Dropout => true,
            _ => self.levels[id.index()].is_some_and(|level| level < self.depth),
        }
    }
}

/// The inputs of a node that a sum is followed into; of a product only the map, while what scales it counts as a factor.
pub(super) fn walked(model: &Model, id: NodeId) -> Vec<NodeId> {
    let inputs = &model.graph().node(id).inputs;
    match (&model.graph().node(id).op, inputs.as_slice()) {
        (Op::Mul, [a, b]) => {
            let size = |id: &NodeId| model.output().sibling(*id).shape().iter().product::<usize>();
            vec![if size(b) > size(a) { *b } else { *a }]
        }
        _ => inputs.clone(),
    }
}
