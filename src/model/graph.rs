//! A network as data: named nodes in order of execution.
//!
//! Each node has one canonical name, the one its framework publishes (`features.3.squeeze`), an ordinal name
//! that is the same for every network (`conv1`, `relu1`, `pool1`, … counted per kind in order of execution)
//! and any number of aliases, the architecture's own names (`fire2/squeeze1x1`). Where an alias is also the
//! canonical or ordinal name of another node it is dropped: `conv10` is the tenth convolution of every
//! network, though SqueezeNet's authors gave that name to the last.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{Op, Parameter};
use crate::error::{Error, Kind, Result, did_you_mean};

/// The place of a node in its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(usize);

impl NodeId {
    /// The network's input.
    pub const INPUT: Self = Self(0);

    /// The node at a position in order of execution.
    pub(super) const fn at(index: usize) -> Self {
        Self(index)
    }

    /// The position in order of execution; the input is 0.
    pub const fn index(self) -> usize {
        self.0
    }
}

/// One operation with its names and the nodes it reads.
#[derive(Clone, Debug)]
pub struct Node {
    /// The name its framework publishes.
    pub name: String,
    /// `conv1`, `relu1`, …: kind and number in order of execution.
    pub ordinal: String,
    /// The architecture's own names, the first the most usual; all of them find this node.
    pub aliases: Vec<String>,
    /// What it computes.
    pub op: Op,
    /// What it reads, in order.
    pub inputs: Vec<NodeId>,
}

/// A validated network: its first node is the input, and every node reads only earlier ones.
#[derive(Clone, Debug)]
pub struct Graph {
    nodes: Vec<Node>,
    by_name: HashMap<String, NodeId>,
}

/// A node of a file, before it is checked.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct NodeParts {
    pub name: String,
    pub aliases: Vec<String>,
    pub op: Op,
    /// Places of the nodes it reads.
    pub inputs: Vec<usize>,
}

impl Graph {
    /// A graph from nodes that a file describes, checked as [`Builder::finish`] does.
    pub(super) fn from_parts(parts: Vec<NodeParts>) -> Result<Self> {
        let node = |part: NodeParts| Node {
            name: part.name,
            ordinal: String::new(),
            aliases: part.aliases,
            op: part.op,
            inputs: part.inputs.into_iter().map(NodeId).collect(),
        };
        Builder { nodes: parts.into_iter().map(node).collect() }.finish()
    }

    /// What [`from_parts`](Self::from_parts) makes the same graph of.
    pub(super) fn to_parts(&self) -> Vec<NodeParts> {
        let part = |node: &Node| NodeParts {
            name: node.name.clone(),
            aliases: node.aliases.clone(),
            op: node.op.clone(),
            inputs: node.inputs.iter().map(|input| input.0).collect(),
        };
        self.nodes.iter().map(part).collect()
    }

    /// The graph with an operation put between a node and everything that reads it, and the new node's id: the one after
    /// `node`, while all that follow move up by one.
    pub(super) fn inserted(&self, node: NodeId, name: &str, op: Op) -> Result<(Self, NodeId)> {
        let new = NodeId(node.0 + 1);
        let moved = |id: NodeId| if id.0 > node.0 { NodeId(id.0 + 1) } else { id };
        let mut builder = Builder { nodes: self.nodes[..new.0].to_vec() };
        builder.add(name, &[], op, &[node]);
        builder.nodes.extend(self.nodes[new.0..].iter().map(|later| {
            let inputs = later.inputs.iter().map(|input| if *input == node { new } else { moved(*input) });
            Node { inputs: inputs.collect(), ..later.clone() }
        }));
        Ok((builder.finish()?, new))
    }

    /// The graph with another operation, under a name of its own, in place of a node's. What reads it may not fit any more.
    pub(super) fn replaced(&self, node: NodeId, name: &str, op: Op) -> Result<Self> {
        let mut nodes = self.nodes.clone();
        let old = nodes[node.0].clone();
        nodes[node.0] = Node { name: name.to_owned(), op, ..old };
        Builder { nodes }.finish()
    }

    /// All nodes in order of execution, the input first.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The nodes' ids in order of execution.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = NodeId> + ExactSizeIterator + use<> {
        (0..self.nodes.len()).map(NodeId)
    }

    /// One node. The id must be this graph's.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// Whether an id is one of this graph's.
    pub fn contains(&self, id: NodeId) -> bool {
        id.0 < self.nodes.len()
    }

    /// The last node, which is what the network answers.
    pub fn output(&self) -> NodeId {
        NodeId(self.nodes.len().saturating_sub(1))
    }

    /// The node of any of its names.
    pub fn find(&self, name: &str) -> Result<NodeId> {
        if let Some(id) = self.by_name.get(name.trim()) {
            return Ok(*id);
        }
        let error = Error::new(Kind::Name, format!("no layer is called `{name}`"));
        let hint = did_you_mean(name, self.names()).unwrap_or_else(|| "`layers()` lists all of them".to_owned());
        Err(error.with_hint(hint))
    }

    /// Every name that finds a node: canonical, ordinal and architecture, node by node.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().flat_map(|node| {
            let ordinal = (node.ordinal != node.name).then_some(&node.ordinal);
            std::iter::once(&node.name).chain(ordinal).chain(&node.aliases).map(String::as_str)
        })
    }

    /// Every parameter the network reads, in order of execution.
    pub fn parameters(&self) -> Vec<Parameter> {
        self.nodes.iter().flat_map(|node| node.op.parameters()).collect()
    }
}

/// Makes a [`Graph`] node by node; a node can only read nodes that were added before it.
#[derive(Debug)]
pub struct Builder {
    nodes: Vec<Node>,
}

impl Builder {
    /// Starts with an input of so many channels and returns its id.
    pub fn new(channels: usize) -> (Self, NodeId) {
        let mut builder = Self { nodes: Vec::new() };
        let input = builder.add("input", &[], Op::Input { channels }, &[]);
        (builder, input)
    }

    /// Adds a node with its canonical name and the architecture's aliases.
    pub fn add(&mut self, name: &str, aliases: &[&str], op: Op, inputs: &[NodeId]) -> NodeId {
        self.nodes.push(Node {
            name: name.to_owned(),
            ordinal: String::new(),
            aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
            op,
            inputs: inputs.to_vec(),
        });
        NodeId(self.nodes.len() - 1)
    }

    /// Numbers the nodes and checks that names are unique and inputs earlier.
    pub fn finish(self) -> Result<Graph> {
        let mut nodes = self.nodes;
        check_order(&nodes)?;
        number(&mut nodes);

        let mut by_name: HashMap<String, NodeId> = HashMap::new();
        for (i, node) in nodes.iter().enumerate() {
            if by_name.insert(node.name.clone(), NodeId(i)).is_some() {
                return Err(broken(format!("two nodes are called `{}`", node.name)));
            }
        }
        for (i, node) in nodes.iter().enumerate() {
            let found = by_name.entry(node.ordinal.clone()).or_insert(NodeId(i));
            if found.0 != i {
                return Err(broken(format!("`{}` is another node's ordinal name", node.ordinal)));
            }
        }
        for (i, node) in nodes.iter_mut().enumerate() {
            // an alias that repeats this node's own ordinal name says nothing new
            node.aliases.retain(|alias| {
                let found = by_name.entry(alias.clone()).or_insert(NodeId(i));
                found.0 == i && *alias != node.ordinal && *alias != node.name
            });
        }
        Ok(Graph { nodes, by_name })
    }
}

/// Every node but the input reads something, and only what came before it: so there are no cycles.
fn check_order(nodes: &[Node]) -> Result<()> {
    if nodes.len() < 2 {
        return Err(broken("it has no operation".to_owned()));
    }
    for (i, node) in nodes.iter().enumerate() {
        let is_input = matches!(node.op, Op::Input { .. });
        if is_input != (i == 0) {
            return Err(broken(format!("`{}`: the input must be the first node and the only one", node.name)));
        }
        if is_input != node.inputs.is_empty() || node.inputs.iter().any(|input| input.0 >= i) {
            return Err(broken(format!("`{}` must read nodes that come before it", node.name)));
        }
    }
    Ok(())
}

/// Gives every node its ordinal name.
fn number(nodes: &mut [Node]) {
    let names = ordinals(nodes.iter().map(|node| &node.op));
    nodes.iter_mut().zip(names).for_each(|(node, name)| node.ordinal = name);
}

/// The ordinal names of operations in order of execution.
pub(super) fn ordinals<'a>(ops: impl Iterator<Item = &'a Op>) -> Vec<String> {
    let mut counts: HashMap<&'static str, usize> = HashMap::new();
    let name = |op: &Op| {
        let kind = op.kind();
        let count = counts.entry(kind).or_default();
        *count += 1;
        if matches!(op, Op::Input { .. }) { kind.to_owned() } else { format!("{kind}{count}") }
    };
    ops.map(name).collect()
}

fn broken(message: String) -> Error {
    Error::new(Kind::File, message).context("the network's graph is broken")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn relu_chain(names: &[(&str, &[&str])]) -> Result<Graph> {
        let (mut builder, mut x) = Builder::new(3);
        for (name, aliases) in names {
            x = builder.add(name, aliases, Op::RELU, &[x]);
        }
        builder.finish()
    }

    #[test]
    fn ordinal_names_win_over_aliases() {
        let graph = relu_chain(&[("a", &["relu2", "first"]), ("b", &["relu2", "b"])]).unwrap();
        assert_eq!(graph.find("relu2").unwrap().index(), 2);
        assert_eq!(graph.node(graph.find("a").unwrap()).aliases, ["first"]);
        assert!(graph.node(graph.find("b").unwrap()).aliases.is_empty());
        assert_eq!(graph.names().collect::<Vec<_>>(), ["input", "a", "relu1", "first", "b", "relu2"]);
    }

    #[test]
    fn broken_graphs_are_refused() {
        assert!(relu_chain(&[]).is_err());
        assert!(relu_chain(&[("a", &[]), ("a", &[])]).unwrap_err().to_string().contains("two nodes are called `a`"));
        assert!(relu_chain(&[("relu2", &[]), ("b", &[])]).unwrap_err().to_string().contains("ordinal"));

        let (mut builder, input) = Builder::new(3);
        builder.add("loop", &[], Op::Concat, &[input, NodeId(1)]);
        assert!(builder.finish().unwrap_err().to_string().contains("come before it"));
        let (mut builder, _) = Builder::new(3);
        builder.add("lonely", &[], Op::RELU, &[]);
        assert!(builder.finish().is_err());
        let (mut builder, _) = Builder::new(3);
        builder.add("second input", &[], Op::Input { channels: 3 }, &[]);
        assert!(builder.finish().is_err());
    }
}
