//! Which layer has which rule: named composites, and a user's own.

use super::Share;
use super::alpha_beta::AlphaBeta;
use super::epsilon::Epsilon;
use super::flat::{Flat, WSquare};
use super::gamma::Gamma;
use super::z_box::ZBox;
use crate::error::{Error, Kind, Result, did_you_mean};
use crate::lang::{Completer, Dynamic, FromValue, Reject};
use crate::model::{Model, NodeId, Op};

/// A rule for layers with weights, as users write it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RelevanceRule {
    /// By contributions, with this added to what is divided by; 0 for LRP-0.
    Epsilon(f64),
    /// Contributions that go with the value count 1 + γ times.
    Gamma(f64),
    /// Positive contributions get α times the relevance, negative ones minus α − 1 times; with α = 1 it is z⁺.
    AlphaBeta(f64),
    /// By contributions counted from the bounds of the pixels.
    Box,
    /// Evenly.
    Flat,
    /// By the squares of the weights.
    WSquare,
}

const EPSILON: RelevanceRule = RelevanceRule::Epsilon(1e-6);
const Z_PLUS: RelevanceRule = RelevanceRule::AlphaBeta(1.0);
const RULES: &str = "\"0\", \"epsilon 1e-6\", \"gamma 0.25\", \"alpha-beta 2\", \"z+\", \"box\", \"flat\" or \"w2\"";

/// Name, rule of convolutions, of linear layers, and of the layers that read the image, if they have one of their own.
type Named = (&'static str, RelevanceRule, RelevanceRule, Option<RelevanceRule>);

/// The composites of zennit.
const NAMED: [Named; 5] = [
    ("EpsilonPlus", Z_PLUS, EPSILON, None),
    ("EpsilonPlusFlat", Z_PLUS, EPSILON, Some(RelevanceRule::Flat)),
    ("EpsilonGammaBox", RelevanceRule::Gamma(0.25), EPSILON, Some(RelevanceRule::Box)),
    ("EpsilonAlpha2Beta1", RelevanceRule::AlphaBeta(2.0), EPSILON, None),
    ("EpsilonAlpha2Beta1Flat", RelevanceRule::AlphaBeta(2.0), EPSILON, Some(RelevanceRule::Flat)),
];

fn names() -> Vec<&'static str> {
    NAMED.iter().map(|(name, ..)| *name).collect()
}

/// Which rule each layer with weights has.
#[derive(Clone, Debug)]
pub struct Composite {
    /// Of convolutions.
    pub conv: RelevanceRule,
    /// Of linear layers.
    pub dense: RelevanceRule,
    /// Of the layers that read the image.
    pub first: Option<RelevanceRule>,
    /// Of single layers, by any of their names.
    pub layers: Vec<(String, RelevanceRule)>,
}

impl Composite {
    /// The composite of a name.
    ///
    /// # Errors
    /// There is none; all are listed.
    pub fn named(name: &str) -> Result<Self> {
        Self::find(name).ok_or_else(|| {
            let message = format!("no composite is called {name:?}; there are {}", names().join(", "));
            let error = Error::new(Kind::Argument, message).at_argument("composite");
            match did_you_mean(name, names()) {
                Some(hint) => error.with_hint(hint),
                None => error,
            }
        })
    }

    fn find(name: &str) -> Option<Self> {
        let (_, conv, dense, first) = NAMED.iter().find(|(known, ..)| *known == name)?;
        Some(Self { conv: *conv, dense: *dense, first: *first, layers: Vec::new() })
    }

    /// The rule of a layer with weights; `first` if it reads the image.
    pub(super) fn rule(&self, op: &Op, named: Option<RelevanceRule>, first: bool) -> RelevanceRule {
        let is_conv = matches!(op, Op::Conv2d(_));
        // pixels have bounds, numbers that a linear layer reads need not
        let own = self.first.filter(|rule| first && (is_conv || *rule != RelevanceRule::Box));
        named.or(own).unwrap_or(if is_conv { self.conv } else { self.dense })
    }

    /// The rules of single layers.
    ///
    /// # Errors
    /// There is no such layer, or it has no weights that could share out anything.
    pub(super) fn by_node(&self, model: &Model) -> Result<Vec<(NodeId, RelevanceRule)>> {
        let find = |(name, rule): &(String, RelevanceRule)| {
            let id = model.graph().find(name).map_err(|error| error.at_argument("composite"))?;
            let op = &model.graph().node(id).op;
            if matches!(op, Op::Conv2d(_) | Op::Linear(_)) {
                return Ok((id, *rule));
            }
            let message = format!("layer {name} is {op}; only convolutions and linear layers have a rule to choose");
            Err(Error::new(Kind::Argument, message).at_argument("composite"))
        };
        self.layers.iter().map(find).collect()
    }
}

impl FromValue for Composite {
    const EXPECTED: &'static str =
        "the name of a composite, or a map of rules such as #{conv: \"z+\", dense: \"epsilon\"}";
    const TYPES: &'static [&'static str] = &["string", "map"];
    const COMPLETE: Option<Completer> = Some(|_| names().into_iter().map(str::to_owned).collect());
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        if value.is_string() {
            let name = value.to_string();
            return Self::find(&name).ok_or_else(|| {
                let hint = did_you_mean(&name, names());
                Reject::Because(format!("must be {}, or a map of rules, not {name:?}", names().join(", ")), hint)
            });
        }
        let rules = value.read_lock::<rhai::Map>().map(|map| map.clone()).ok_or(Reject::Type)?;
        let mut composite = Self { conv: Z_PLUS, dense: EPSILON, first: None, layers: Vec::new() };
        for (layer, rule) in &rules {
            let rule = RelevanceRule::parse(&rule.to_string())
                .map_err(|reason| Reject::Because(format!("has {reason} for `{layer}`; a rule is {RULES}"), None))?;
            match layer.as_str() {
                "conv" => composite.conv = rule,
                "dense" => composite.dense = rule,
                "first" => composite.first = Some(rule),
                name => composite.layers.push((name.to_owned(), rule)),
            }
        }
        Ok(composite)
    }
}

impl RelevanceRule {
    /// A rule from its name and, where it has one, its number; the error says what is wrong.
    fn parse(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let (name, number, rest) = (words.next().unwrap_or_default(), words.next(), words.next());
        let number =
            number.map(|word| word.parse::<f64>().map_err(|_| format!("no number but {word:?}"))).transpose()?;
        let within = |usual: f64, least: f64, what: &str| match number.unwrap_or(usual) {
            number if number.is_finite() && number >= least => Ok(number),
            number => Err(format!("{what} = {number}, which must be at least {least},")),
        };
        let rule = match name {
            "epsilon" => Self::Epsilon(within(1e-6, 0.0, "epsilon")?),
            "gamma" => Self::Gamma(within(0.25, 0.0, "gamma")?),
            "alpha-beta" => Self::AlphaBeta(within(2.0, 1.0, "alpha")?),
            _ if number.is_some() => return Err(format!("{text:?}")),
            "0" => Self::Epsilon(0.0),
            "z+" => Z_PLUS,
            "box" => Self::Box,
            "flat" => Self::Flat,
            "w2" => Self::WSquare,
            _ => return Err(format!("{text:?}")),
        };
        if rest.is_some() { Err(format!("{text:?}")) } else { Ok(rule) }
    }

    /// The rule for a layer of a model.
    ///
    /// # Errors
    /// The layer needs pixels whose bounds are known, and the network's input is no picture.
    pub(super) fn share(self, model: &Model, reads_image: bool) -> Result<Box<dyn Share>> {
        Ok(match self {
            Self::Epsilon(epsilon) => Box::new(Epsilon { epsilon }),
            Self::Gamma(gamma) => Box::new(Gamma { gamma }),
            Self::AlphaBeta(alpha) => Box::new(AlphaBeta { alpha }),
            Self::Flat => Box::new(Flat),
            Self::WSquare => Box::new(WSquare),
            Self::Box => {
                let recipe = model.recipe();
                if !reads_image || recipe.check_picture().is_err() {
                    let message = match reads_image {
                        true => "the rule \"box\" needs pixels, and the network's input is no picture",
                        false => "the rule \"box\" is for layers that read the image",
                    };
                    let error = Error::new(Kind::Argument, message).at_argument("composite");
                    return Err(error.with_hint("choose another, such as \"flat\" or \"w2\""));
                }
                let bound = |white: f64| {
                    let numbers = recipe.mean.iter().zip(&recipe.std);
                    numbers.map(|(mean, std)| ((white - f64::from(*mean)) / f64::from(*std)) as f32).collect::<Vec<_>>()
                };
                let (dark, bright) = (bound(0.0), bound(recipe.range));
                // a negative divisor turns the bounds round
                let low = dark.iter().zip(&bright).map(|(a, b)| a.min(*b)).collect();
                let high = dark.iter().zip(&bright).map(|(a, b)| a.max(*b)).collect();
                Box::new(ZBox { low, high })
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read() {
        assert_eq!(RelevanceRule::parse("epsilon 1e-3"), Ok(RelevanceRule::Epsilon(1e-3)));
        assert_eq!(RelevanceRule::parse("epsilon"), Ok(EPSILON));
        assert_eq!(RelevanceRule::parse("0"), Ok(RelevanceRule::Epsilon(0.0)));
        assert_eq!(RelevanceRule::parse("alpha-beta"), Ok(RelevanceRule::AlphaBeta(2.0)));
        assert_eq!(RelevanceRule::parse("z+"), Ok(Z_PLUS));
        for wrong in ["", "gama", "gamma x", "gamma -1", "gamma nan", "alpha-beta 0.5", "flat 2", "gamma 1 2"] {
            assert!(RelevanceRule::parse(wrong).is_err(), "{wrong}");
        }
    }
}
