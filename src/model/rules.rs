//! How the backward pass of a run treats each node.
//!
//! A [`Rule`] belongs to a node; [`Rules`] give one to every node of a graph. Rules of rectifiers are gates, which both
//! executors apply inside the layer that completes the gradient. Any other rule (relevance propagation, DeepLIFT's rescale
//! rule) is a [`BackwardRule`]: one file that implements that trait, which sees a node's operation, inputs, output and
//! weights, and nothing else in the engine changes. A set of rules that users know by a name is an entry of [`RULE_SETS`].

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use candle_core::Tensor;

use super::{Graph, NodeId, Op, Weights};
use crate::error::{Error, Kind, Result, did_you_mean};

/// How a gradient passes one node.
#[derive(Clone, Debug, Default)]
pub enum Rule {
    /// By the derivative.
    #[default]
    Derivative,
    /// Rectifiers: guided backpropagation (Springenberg et al., 2015, arXiv:1412.6806), which passes where the input and
    /// the gradient are both positive.
    Guided,
    /// Rectifiers: the deconvnet (Zeiler & Fergus, 2014, arXiv:1311.2901), which passes where the gradient is positive,
    /// whatever the input was.
    Deconvnet,
    /// Rectifiers: the derivative, except for an image whose gradient it blocks everywhere; see
    /// [`ReluRule::Redirected`](crate::tensor::ReluRule::Redirected).
    Redirected,
    /// Functions of every number by itself, and what scales channels: the gradient passes as it is. Relevance is not
    /// changed by them.
    Pass,
    /// Anything else, on the operations it says it acts on.
    Custom(Arc<dyn BackwardRule>),
}

/// A rule with code of its own: what stands in place of an operation's derivative.
pub trait BackwardRule: fmt::Debug + Send + Sync {
    /// What error messages call it.
    fn name(&self) -> String;

    /// Whether it acts on an operation; others keep their derivative.
    fn acts_on(&self, op: &Op) -> bool;

    /// Whether it looks at values in whatever order they lie in memory, so that maps whose channels lie side by side need no
    /// copy in another order. Without it, values are contiguous.
    fn takes_any_order(&self) -> bool {
        false
    }

    /// What passes to each input, of that input's shape, given what arrives at the output.
    ///
    /// It is called with some images of the batch at a time. A rule that needs more than the operation's values, such as
    /// those of a baseline, holds it: rules belong to nodes, see [`Rules::by_node`].
    ///
    /// # Errors
    /// Whatever keeps it from being computed.
    fn backward(&self, at: &Operation<'_>, above: &Tensor) -> Result<Vec<Tensor>>;
}

/// A node at the time of the backward pass.
#[derive(Clone, Copy, Debug)]
pub struct Operation<'a> {
    /// What it computes.
    pub op: &'a Op,
    /// The values it read, off the tape.
    pub inputs: &'a [Tensor],
    /// Its value, off the tape.
    pub output: &'a Tensor,
    /// All parameters of the network, among them the operation's ([`Op::parameters`] has their names).
    pub weights: &'a Weights,
    /// Its own weight, as an executor has it ready.
    pub(super) prepared: Prepared<'a>,
}

/// What an executor keeps for an operation's own weight, of a type that only it knows, and the name that it is kept under.
#[derive(Clone, Copy, Default)]
pub(super) struct Prepared<'a>(pub(super) Option<(&'a (dyn Any + Send + Sync), &'a str)>);

impl fmt::Debug for Prepared<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Prepared").field(&self.0.map(|(_, name)| name)).finish()
    }
}

impl Rule {
    /// Whether it makes a gradient pass an operation otherwise than by the derivative.
    pub fn changes(&self, op: &Op) -> bool {
        match self {
            Self::Derivative => false,
            Self::Guided | Self::Deconvnet | Self::Redirected => op.is_rectifier(),
            Self::Pass => {
                matches!(op, Op::Activation(_) | Op::BatchNorm(_) | Op::Scale(_) | Op::LocalResponseNorm(_))
            }
            Self::Custom(rule) => rule.acts_on(op),
        }
    }

    /// Whether it is the very same rule.
    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Custom(a), Self::Custom(b)) => Arc::ptr_eq(a, b),
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }

    /// What error messages call it.
    pub fn name(&self) -> String {
        match self {
            Self::Derivative => "derivative".to_owned(),
            Self::Guided => "guided".to_owned(),
            Self::Deconvnet => "deconvnet".to_owned(),
            Self::Redirected => "redirected".to_owned(),
            Self::Pass => "pass".to_owned(),
            Self::Custom(rule) => rule.name(),
        }
    }
}

/// The backward rules of one run; without any, gradients are true derivatives.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// The rule of every node that has none of its own. It leaves alone what it does not act on.
    pub default: Rule,
    /// Rules of single nodes.
    pub by_node: BTreeMap<NodeId, Rule>,
}

/// Makes the rules of a named set for a graph.
type MakeRules = fn(&Graph) -> Rules;

/// Sets of rules by name.
pub const RULE_SETS: [(&str, MakeRules); 4] = [
    ("derivative", |_| Rule::Derivative.into()),
    ("guided", |_| Rule::Guided.into()),
    ("deconvnet", |_| Rule::Deconvnet.into()),
    ("redirected", |_| Rule::Redirected.into()),
];

impl Rules {
    /// The set of a name, for a graph.
    ///
    /// # Errors
    /// There is no such set; the hint lists them.
    pub fn named(name: &str, graph: &Graph) -> Result<Self> {
        if let Some((_, make)) = RULE_SETS.iter().find(|(known, _)| *known == name) {
            return Ok(make(graph));
        }
        let names = || RULE_SETS.iter().map(|(name, _)| *name);
        let hint = did_you_mean(name, names());
        let hint = hint.unwrap_or_else(|| format!("the rules are {}", names().collect::<Vec<_>>().join(", ")));
        Err(Error::new(Kind::Name, format!("no backward rule is called `{name}`")).with_hint(hint).at_argument("rules"))
    }

    /// Whether gradients are true derivatives everywhere.
    pub fn is_plain(&self) -> bool {
        matches!(self.default, Rule::Derivative) && self.by_node.is_empty()
    }

    /// Whether these are the very same rules.
    pub fn same(&self, other: &Self) -> bool {
        let nodes = self.by_node.iter().zip(&other.by_node);
        self.default.same(&other.default)
            && self.by_node.len() == other.by_node.len()
            && nodes.into_iter().all(|((a, rule), (b, other))| a == b && rule.same(other))
    }

    /// The rule of a node.
    pub fn of(&self, id: NodeId) -> &Rule {
        self.by_node.get(&id).unwrap_or(&self.default)
    }
}

impl From<Rule> for Rules {
    /// The same rule everywhere.
    fn from(default: Rule) -> Self {
        Self { default, by_node: BTreeMap::new() }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::job::Interrupt;
    use crate::model::Run;
    use crate::model::zoo;

    #[test]
    fn sets_are_found_by_name() {
        let graph = zoo::squeezenet::squeezenet1_1().unwrap();
        for (name, _) in RULE_SETS {
            assert_eq!(Rules::named(name, &graph).unwrap().default.name(), name);
        }
        let error = Rules::named("guide", &graph).unwrap_err();
        assert_eq!((error.kind(), error.argument()), (Kind::Name, Some("rules")));
        assert!(error.hint().unwrap().contains("guided"), "{error}");
    }

    #[test]
    fn rules_of_nodes_they_do_not_act_on_are_refused() {
        let graph = zoo::squeezenet::squeezenet1_1().unwrap();
        let check = |rules: Rules, tap: &str| {
            let taps = [graph.find(tap).unwrap()];
            rules
                .check(&graph, &Run::new(&taps, &rules, &Interrupt::never()))
                .map_err(|error| error.message().to_owned())
        };
        let at = |name: &str, rule: Rule| Rules {
            by_node: BTreeMap::from([(graph.find(name).unwrap(), rule)]),
            ..Rules::default()
        };
        assert_eq!(check(at("relu1", Rule::Guided), "fire2"), Ok(()));
        assert_eq!(check(at("conv1", Rule::Derivative), "fire2"), Ok(()));
        assert_eq!(
            check(at("conv1", Rule::Guided), "fire2").unwrap_err(),
            "the guided rule does not act on layer `features.0` (conv 3×3, 3 → 64, stride 2)"
        );
        let early = "the guided rule has no ReLU to act on before that layer";
        assert_eq!(check(at("relu5", Rule::Guided), "relu1").unwrap_err(), early);
        assert_eq!(check(Rule::Guided.into(), "conv1").unwrap_err(), early);
        let off = Rules { default: Rule::Guided, ..at("relu1", Rule::Derivative) };
        assert_eq!(check(off, "relu1").unwrap_err(), early);
    }
}
