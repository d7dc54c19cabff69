//! Activations that exporters write in pieces, put together again before the graph is converted.

use std::collections::HashMap;
use std::f32::consts::{FRAC_1_SQRT_2, SQRT_2};

use super::attributes::Attributes;
use super::proto::NodeProto;

/// The name of x · sigmoid(x), which ONNX has no operator for.
pub(super) const SILU: &str = "SiLU";

/// Replaces the last node of each pattern by the activation; the pieces before it are then read by nobody.
///
/// `scalar` is the value of a constant that is a single number.
pub(super) fn fuse(nodes: &mut [NodeProto<'_>], scalar: impl Fn(&str) -> Option<f32>) {
    let patterns = Patterns::new(nodes, scalar);
    let fused: Vec<(usize, &str, &str)> =
        (0..nodes.len()).filter_map(|at| patterns.gated(at).or_else(|| patterns.gelu(at))).collect();
    for (at, op, x) in fused {
        nodes[at].op = op;
        nodes[at].inputs = vec![x];
        nodes[at].attributes = Vec::new();
    }
}

struct Patterns<'n, 'a, S> {
    nodes: &'n [NodeProto<'a>],
    scalar: S,
    makers: HashMap<&'a str, usize>,
}

impl<'n, 'a, S: Fn(&str) -> Option<f32>> Patterns<'n, 'a, S> {
    fn new(nodes: &'n [NodeProto<'a>], scalar: S) -> Self {
        let makers = nodes.iter().enumerate().flat_map(|(at, node)| node.outputs.iter().map(move |name| (*name, at)));
        Self { nodes, scalar, makers: makers.filter(|(name, _)| !name.is_empty()).collect() }
    }

    /// x · sigmoid(x) or x · hard-sigmoid(x).
    fn gated(&self, at: usize) -> Option<(usize, &'static str, &'a str)> {
        self.factors(at, "Mul")?.into_iter().find_map(|(x, gate)| {
            let gate = self.maker(gate)?;
            let op = match gate.op {
                "Sigmoid" => SILU,
                "HardSigmoid" if is_pytorchs_hard_sigmoid(gate) => "HardSwish",
                _ => return None,
            };
            (gate.inputs.first() == Some(&x)).then_some((at, op, x))
        })
    }

    /// x · (1 + erf(x / √2)) · ½, multiplied in any order.
    fn gelu(&self, at: usize) -> Option<(usize, &'static str, &'a str)> {
        let x = self.factors(at, "Mul")?.into_iter().find_map(|(a, b)| {
            if let Some(inner) = self.halved(at) {
                // ½ last
                return self
                    .factors(self.makers.get(inner).copied()?, "Mul")?
                    .into_iter()
                    .find_map(|(x, bell)| (self.bell(bell)? == x).then_some(x));
            }
            // ½ in either factor
            match (self.half_of(a), self.half_of(b)) {
                (Some(x), None) => (self.bell(b)? == x).then_some(x),
                (None, Some(bell)) => (self.bell(bell)? == a).then_some(a),
                _ => None,
            }
        })?;
        Some((at, "Gelu", x))
    }

    /// What 1 + erf(x / √2) is made of.
    fn bell(&self, name: &str) -> Option<&'a str> {
        let sum = *self.makers.get(name)?;
        let (_, erf) = self.factors(sum, "Add")?.into_iter().find(|(one, _)| self.is(one, 1.0))?;
        let erf = self.maker(erf).filter(|node| node.op == "Erf")?;
        let inner = *self.makers.get(erf.inputs.first()?)?;
        if let Some(factors) = self.factors(inner, "Mul") {
            return factors.into_iter().find(|(_, factor)| self.is(factor, FRAC_1_SQRT_2)).map(|(x, _)| x);
        }
        self.factors(inner, "Div")?.first().filter(|(_, divisor)| self.is(divisor, SQRT_2)).map(|(x, _)| *x)
    }

    fn half_of(&self, name: &str) -> Option<&'a str> {
        self.halved(*self.makers.get(name)?)
    }

    /// What a node halves.
    fn halved(&self, at: usize) -> Option<&'a str> {
        self.factors(at, "Mul")?.into_iter().find(|(_, factor)| self.is(factor, 0.5)).map(|(x, _)| x)
    }

    /// Both inputs of a node of this kind, in both orders.
    fn factors(&self, at: usize, op: &str) -> Option<[(&'a str, &'a str); 2]> {
        match self.nodes.get(at) {
            Some(node) if node.op == op => match node.inputs.as_slice() {
                [a, b] => Some([(*a, *b), (*b, *a)]),
                _ => None,
            },
            _ => None,
        }
    }

    fn maker(&self, name: &str) -> Option<&'n NodeProto<'a>> {
        self.nodes.get(*self.makers.get(name)?)
    }

    fn is(&self, name: &str, value: f32) -> bool {
        (self.scalar)(name).is_some_and(|found| (found - value).abs() < 1e-5)
    }
}

/// ONNX's hard sigmoid has any slope; PyTorch's and that of hard-swish is 1/6.
pub(super) fn is_pytorchs_hard_sigmoid(node: &NodeProto<'_>) -> bool {
    let attributes = Attributes(&node.attributes);
    (attributes.float("alpha", 0.2) - 1.0 / 6.0).abs() < 1e-5 && (attributes.float("beta", 0.5) - 0.5).abs() < 1e-6
}
