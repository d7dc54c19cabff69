//! Which nodes a run computes, and their shapes.

use candle_core::Tensor;

use super::Run;
use crate::error::{Error, Kind, Result};
use crate::model::{Graph, NodeId, Rule, Rules};

/// The part of a graph that one run is about.
#[derive(Debug)]
pub(in crate::model) struct Scope {
    /// Which nodes have values, by index: those that are given and those that are computed.
    needed: Vec<bool>,
    /// Which values are given.
    given: Vec<bool>,
}

impl Scope {
    /// What the taps of a run depend on, up to the nodes it starts from.
    ///
    /// # Errors
    /// A node is not of this graph; a start is named twice, or no tap depends on it; a tap depends on the input other than
    /// through the starts; or no tap depends on a node of `run.gradients_at`.
    pub(in crate::model) fn new(graph: &Graph, run: &Run<'_>) -> Result<Self> {
        let mut asked = run.taps.iter().chain(run.from).chain(run.gradients_at);
        if let Some(stranger) = asked.find(|id| !graph.contains(**id)) {
            return Err(Error::new(Kind::Internal, format!("node {} is not of this model", stranger.index())));
        }
        let mut given = vec![false; graph.nodes().len()];
        for start in run.from {
            if std::mem::replace(&mut given[start.index()], true) {
                let message = format!("the run starts twice from layer `{}`", graph.node(*start).name);
                return Err(Error::new(Kind::Argument, message));
            }
        }
        let mut needed = vec![false; given.len()];
        run.taps.iter().for_each(|tap| needed[tap.index()] = true);
        for id in graph.ids().rev().filter(|id| !given[id.index()]) {
            if needed[id.index()] {
                graph.node(id).inputs.iter().for_each(|input| needed[input.index()] = true);
            }
        }
        let scope = Self { needed, given };
        scope.check(graph, run)?;
        Ok(scope)
    }

    fn check(&self, graph: &Graph, run: &Run<'_>) -> Result<()> {
        let name = |id: NodeId| format!("`{}`", graph.node(id).name);
        let names = |ids: &[NodeId]| ids.iter().map(|id| name(*id)).collect::<Vec<_>>().join(", ");
        if run.taps.is_empty() {
            return Ok(());
        }
        if self.needed[0] && !self.given[0] {
            let missing = self.missing(graph, run.taps);
            let message = format!(
                "layer {} cannot be computed from {} alone: the value of {} is needed too",
                names(&missing.readers),
                names(run.from),
                names(&missing.values)
            );
            return Err(Error::new(Kind::Argument, message)
                .with_hint("start from every layer on the ways to it, or from one that all of them pass"));
        }
        if let Some(idle) = run.from.iter().find(|id| !self.is_needed(**id)) {
            let message = format!("{} does not depend on layer {}", names(run.taps), name(*idle));
            return Err(Error::new(Kind::Argument, message).with_hint("start from a layer before it"));
        }
        if let Some(apart) = run.gradients_at.iter().find(|id| !self.is_needed(**id)) {
            let message =
                format!("{} has no gradient at layer {}, which it does not depend on", names(run.taps), name(*apart));
            return Err(Error::new(Kind::Argument, message));
        }
        Ok(())
    }

    /// The values that are missing, given that the input is: those read beside values that depend on a start, or tapped.
    fn missing(&self, graph: &Graph, taps: &[NodeId]) -> Missing {
        let mut depends = self.given.clone();
        let (mut values, mut readers) = (Vec::new(), Vec::new());
        for id in graph.ids().filter(|id| self.needed[id.index()] && !self.given[id.index()]) {
            let inputs = &graph.node(id).inputs;
            depends[id.index()] = inputs.iter().any(|input| depends[input.index()]);
            let lacking: Vec<NodeId> = inputs.iter().copied().filter(|input| !depends[input.index()]).collect();
            if depends[id.index()] && !lacking.is_empty() {
                values.extend(lacking);
                readers.push(id);
            }
        }
        for tap in taps.iter().filter(|tap| !depends[tap.index()]) {
            values.push(*tap);
            readers.push(*tap);
        }
        for ids in [&mut values, &mut readers] {
            ids.sort();
            ids.dedup();
        }
        Missing { values, readers }
    }

    /// Whether a node has a value in this run.
    pub(in crate::model) fn is_needed(&self, id: NodeId) -> bool {
        self.needed[id.index()]
    }

    /// Whether a node's value is given.
    pub(in crate::model) fn is_given(&self, id: NodeId) -> bool {
        self.given[id.index()]
    }

    /// The nodes that have a value, in order of execution.
    pub(in crate::model) fn ids(&self) -> impl Iterator<Item = NodeId> + use<'_> {
        self.needed.iter().enumerate().filter(|(_, needed)| **needed).map(|(i, _)| NodeId::at(i))
    }

    /// What is read to compute a node: nothing if its value is given.
    pub(in crate::model) fn inputs<'a>(&self, graph: &'a Graph, id: NodeId) -> &'a [NodeId] {
        if self.is_given(id) { &[] } else { &graph.node(id).inputs }
    }

    /// The shapes of all values for one image, without the batch, given those of the starts in order; empty for nodes
    /// that have none.
    ///
    /// # Errors
    /// The shapes do not fit the operations; the layer is named.
    pub(in crate::model) fn shapes(
        &self,
        graph: &Graph,
        from: &[NodeId],
        starts: &[Vec<usize>],
    ) -> Result<Vec<Vec<usize>>> {
        let mut shapes: Vec<Vec<usize>> = vec![Vec::new(); self.needed.len()];
        from.iter().zip(starts).for_each(|(id, shape)| shapes[id.index()].clone_from(shape));
        for id in self.ids() {
            let node = graph.node(id);
            let inputs: Vec<&[usize]> = if !self.is_given(id) {
                node.inputs.iter().map(|input| shapes[input.index()].as_slice()).collect()
            } else if node.inputs.is_empty() {
                vec![&shapes[id.index()]]
            } else {
                continue;
            };
            let shape = node.op.output_shape(&inputs);
            shapes[id.index()] = shape.map_err(|error| error.context(format!("layer `{}`", node.name)))?;
        }
        Ok(shapes)
    }
}

/// Values that a run would need, and what would read them.
struct Missing {
    values: Vec<NodeId>,
    readers: Vec<NodeId>,
}

/// The batch of the starts of a run and the shape of each for one image.
///
/// # Errors
/// Their number is wrong, one is neither `[N, C, H, W]` nor `[N, features]`, or their batches differ.
pub(in crate::model) fn check_starts(x: &[Tensor], run: &Run<'_>) -> Result<(usize, Vec<Vec<usize>>)> {
    if x.len() != run.from.len() || x.is_empty() {
        let message = format!("{} values for a run that starts from {} layers", x.len(), run.from.len());
        return Err(Error::new(Kind::Tensor, message));
    }
    let dims: Vec<&[usize]> = x.iter().map(Tensor::dims).collect();
    if let Some(odd) = dims.iter().find(|dims| !matches!(dims.len(), 2 | 4) || dims.contains(&0)) {
        let message = format!("a run starts from values [N, C, H, W] or [N, features], not {odd:?}");
        return Err(Error::new(Kind::Tensor, message));
    }
    let batch = dims[0][0];
    if let Some(other) = dims.iter().find(|dims| dims[0] != batch) {
        let message = format!("a run starts from values of one batch, but one has {batch} images and one {}", other[0]);
        return Err(Error::new(Kind::Tensor, message));
    }
    Ok((batch, dims.iter().map(|dims| dims[1..].to_vec()).collect()))
}

impl Rules {
    /// Refuses rules that change nothing in a run, and rules of nodes they do not act on: neither is a silently plain
    /// gradient.
    pub(in crate::model) fn check(&self, graph: &Graph, run: &Run<'_>) -> Result<()> {
        for (id, rule) in &self.by_node {
            if !graph.contains(*id) {
                return Err(Error::new(Kind::Internal, format!("node {} is not of this model", id.index())));
            }
            let node = graph.node(*id);
            if !matches!(rule, Rule::Derivative) && !rule.changes(&node.op) {
                let message = format!("the {} rule does not act on layer `{}` ({})", rule.name(), node.name, node.op);
                return Err(Error::new(Kind::Argument, message));
            }
        }
        let mut special = std::iter::once(&self.default)
            .chain(self.by_node.values())
            .filter(|rule| !matches!(rule, Rule::Derivative));
        let Some(rule) = special.next() else { return Ok(()) };
        let scope = Scope::new(graph, run)?;
        let mut computed = scope.ids().filter(|id| !scope.is_given(*id));
        if run.taps.is_empty() || computed.any(|id| self.of(id).changes(&graph.node(id).op)) {
            return Ok(());
        }
        let what = if matches!(rule, Rule::Custom(_) | Rule::Pass) { "layer" } else { "ReLU" };
        if !graph.nodes().iter().any(|node| rule.changes(&node.op)) {
            let message = format!("the {} rule has no {what} to act on: the network has none", rule.name());
            return Err(Error::new(Kind::Argument, message));
        }
        let message = format!("the {} rule has no {what} to act on before that layer", rule.name());
        Err(Error::new(Kind::Argument, message).with_hint("choose a later layer"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::job::Interrupt;
    use crate::model::{Builder, Op, Rules};

    /// `input` → `a` → `b` → `sum` with a skip from `a` to `sum`, then `end`; and `aside` from `a`.
    fn graph() -> Graph {
        let (mut builder, input) = Builder::new(3);
        let a = builder.add("a", &[], Op::RELU, &[input]);
        let b = builder.add("b", &[], Op::RELU, &[a]);
        let sum = builder.add("sum", &[], Op::Add, &[b, a]);
        builder.add("aside", &[], Op::RELU, &[a]);
        builder.add("end", &[], Op::RELU, &[sum]);
        builder.finish().unwrap()
    }

    fn scope(from: &[&str], taps: &[&str], gradients_at: &[&str]) -> Result<Vec<String>> {
        let (graph, rules, interrupt) = (graph(), Rules::default(), Interrupt::never());
        let ids = |names: &[&str]| names.iter().map(|name| graph.find(name).unwrap()).collect::<Vec<_>>();
        let (taps, from, gradients_at) = (ids(taps), ids(from), ids(gradients_at));
        let run = Run {
            taps: &taps,
            from: &from,
            gradients_at: &gradients_at,
            exact: false,
            channels: None,
            rules: &rules,
            interrupt: &interrupt,
        };
        let scope = Scope::new(&graph, &run)?;
        Ok(scope.ids().map(|id| graph.node(id).name.clone()).collect())
    }

    #[test]
    fn only_what_a_tap_reads_is_needed() {
        assert_eq!(scope(&["input"], &["b"], &[]).unwrap(), ["input", "a", "b"]);
        assert_eq!(scope(&["input"], &["end"], &["a"]).unwrap(), ["input", "a", "b", "sum", "end"]);
        assert_eq!(scope(&["a"], &["end"], &[]).unwrap(), ["a", "b", "sum", "end"]);
        assert_eq!(scope(&["sum"], &["end", "sum"], &[]).unwrap(), ["sum", "end"]);
        assert_eq!(scope(&["a", "b"], &["end"], &["sum"]).unwrap(), ["a", "b", "sum", "end"]);
    }

    #[test]
    fn what_cannot_be_computed_names_the_layer_that_is_missing() {
        let error = |from: &[&str], taps: &[&str], at: &[&str]| scope(from, taps, at).unwrap_err().message().to_owned();
        assert_eq!(
            error(&["b"], &["end"], &[]),
            "layer `sum` cannot be computed from `b` alone: the value of `a` is needed too"
        );
        assert_eq!(
            error(&["sum"], &["aside", "end"], &[]),
            "layer `aside` cannot be computed from `sum` alone: the value of `aside` is needed too"
        );
        assert_eq!(error(&["a", "sum"], &["end"], &[]), "`end` does not depend on layer `a`");
        assert_eq!(error(&["a", "a"], &["end"], &[]), "the run starts twice from layer `a`");
        assert_eq!(
            error(&["input"], &["b"], &["aside"]),
            "`b` has no gradient at layer `aside`, which it does not depend on"
        );
    }
}
