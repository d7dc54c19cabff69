//! DeepLIFT: what each pixel's difference from a baseline contributes, with slopes between both instead of derivatives.

use std::collections::HashMap;
use std::sync::Arc;

use candle_core::{Tensor, Var};

use super::relevance::{Folded, ancestors, readers, scales_behind};
use super::{Attribution, Baselines, Sign};
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::lang::{choices, function};
use crate::model::{BackwardRule, Input, NodeId, Op, Operation, Rule, Rules};
use crate::tensor::{Activation, map, sum_of, with_values, zip};
use crate::vis::{Explain, Prediction};

/// Differences below this count as none, and the derivative takes the place of the slope.
const NONE: f32 = 1e-10;

/// How differences pass functions of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiftRule {
    /// By the slope between baseline and image.
    Rescale,
    /// What adds and what takes off by themselves, each averaged over both orders in which they may come.
    RevealCancel,
}

choices!(LiftRule { "rescale" => Rescale, "reveal-cancel" => RevealCancel });

/// How much of the difference between the score of the image and that of a baseline is due to each pixel: differences are
/// handed back layer by layer, through functions such as ReLU by the slope between both runs. The contributions sum to the
/// difference of the scores; how far they miss it is stated.
///
/// ```rhai
/// deep_lift(photo("chelsea"), baseline="blur")
/// ```
#[function(source = "Shrikumar, Greenside and Kundaje, Learning Important Features, 2017, arXiv:1704.02685")]
pub fn deep_lift(
    job: &Job,
    /// The image, or a tensor in the network's input space.
    #[each]
    image: &Input,
    /// The image of nothing: "black", "white", "mean", "grey", "blur", "noise", a colour, an image, or a list of these, over
    /// which the result is averaged.
    #[default("black")]
    baseline: Baselines,
    /// "rescale", or "reveal-cancel": there, directly behind convolutions and linear layers, what adds to a sum and what
    /// takes off are followed by themselves, so that they cannot hide each other.
    #[default("rescale")]
    rule: LiftRule,
    /// The seed of noise as a baseline; without it, the next of the session's.
    #[default]
    seed: Option<u64>,
    #[options] explain: &Explain,
) -> Result<Attribution> {
    let question = explain.question(job, image)?;
    baseline.check(&question)?;
    let prediction = question.answer(job)?;
    let baselines = baseline.inputs(job, &prediction, seed)?;
    let share = 1.0 / baselines.len().max(1) as f64;
    let progress = job.progress("DeepLIFT", baselines.len());
    let (mut values, mut difference) = (prediction.input.zeros_like()?, 0.0);
    for start in &baselines {
        difference += share * (f64::from(prediction.score) - f64::from(prediction.score_of(job, start)?));
        let multipliers = prediction.gradient(job, &rules(job, &prediction, start, rule)?)?;
        let contributions = (multipliers * (&prediction.input - start)?)?;
        values = (values + (contributions * share)?)?;
        progress.advance(1)?;
    }
    let total = with_values(&values, |values| sum_of(values, f64::from))?;
    let unit = format!("part of the {}", prediction.score_name());
    let method = match rule {
        LiftRule::Rescale => "DeepLIFT",
        LiftRule::RevealCancel => "DeepLIFT (reveal-cancel)",
    };
    let attribution = Attribution::new(method, &prediction, values.squeeze(0)?, Sign::Signed, unit);
    Ok(attribution.with_completeness_error(total - difference))
}

/// The rule of every node that a prediction rests on, with what it needs of the baseline's run.
fn rules(job: &Job, prediction: &Prediction, baseline: &Tensor, rule: LiftRule) -> Result<Rules> {
    let (model, taps) = (&prediction.model, prediction.reads());
    let (graph, weights) = (model.graph(), model.weights());
    let needed = ancestors(graph, taps);
    let readers = readers(graph, &needed);
    let bends = |id: &NodeId| {
        needed[id.index()] && matches!(graph.node(*id).op, Op::Activation(_) | Op::MaxPool2d(_) | Op::Mul)
    };
    let mut wanted: Vec<NodeId> =
        graph.ids().filter(bends).flat_map(|id| [&[id], &*graph.node(id).inputs].concat()).collect();
    // what layers read, for rules that look at their contributions
    let layers: Vec<(NodeId, Vec<NodeId>, NodeId, Activation)> = if rule == LiftRule::RevealCancel {
        let layer = |id: NodeId| {
            let scales = scales_behind(graph, &readers, taps, id);
            let last = scales.last().copied().unwrap_or(id);
            let [reader] = readers[last.index()][..] else { return None };
            match graph.node(reader).op {
                Op::Activation(function) if !taps.contains(&last) => Some((id, scales, reader, function)),
                _ => None,
            }
        };
        let weighted = |id: &NodeId| needed[id.index()] && matches!(graph.node(*id).op, Op::Conv2d(_) | Op::Linear(_));
        graph.ids().filter(weighted).filter_map(layer).collect()
    } else {
        Vec::new()
    };
    wanted.extend(layers.iter().flat_map(|(id, ..)| graph.node(*id).inputs.clone()));
    wanted.sort();
    wanted.dedup();
    let found = model.run(baseline, &wanted, &Rules::default(), job.interrupt())?;
    let found: HashMap<NodeId, Tensor> = wanted.into_iter().zip(found).collect();
    let of = |id: &NodeId| {
        found.get(id).cloned().ok_or_else(|| Error::new(Kind::Internal, "a value of the baseline is missing"))
    };
    let input = |id: NodeId| {
        let input =
            graph.node(id).inputs.first().ok_or_else(|| Error::new(Kind::Internal, "a node without an input"))?;
        of(input)
    };

    let mut rules = Rules::default();
    let mut custom = |id: NodeId, rule: Lift| rules.by_node.insert(id, Rule::Custom(Arc::new(rule)));
    let mut passes = Vec::new();
    for (id, scales, reader, function) in layers {
        let folded = Folded::of(graph, weights, id, &scales)?;
        let folded = folded.ok_or_else(|| Error::new(Kind::Internal, "a layer without weights"))?;
        custom(id, Lift::RevealCancel { weight: folded.weight, x: input(id)?, sum: input(reader)?, function });
        passes.extend(scales.into_iter().chain([reader]));
    }
    for id in graph.ids().filter(bends).filter(|id| !passes.contains(id)) {
        let node = graph.node(id);
        match node.op {
            Op::Activation(function) => {
                custom(id, Lift::Rescale { x: input(id)?, y: of(&id)?, function });
            }
            Op::MaxPool2d(_) => {
                custom(id, Lift::MaxPool { x: input(id)?, y: of(&id)? });
            }
            _ => {
                custom(id, Lift::Product { factors: node.inputs.iter().map(of).collect::<Result<_>>()? });
            }
        }
    }
    rules.by_node.extend(passes.into_iter().map(|id| (id, Rule::Pass)));
    Ok(rules)
}

/// The rule of one node, with what was there in the baseline's run.
#[derive(Debug)]
enum Lift {
    Rescale {
        x: Tensor,
        y: Tensor,
        function: Activation,
    },
    MaxPool {
        x: Tensor,
        y: Tensor,
    },
    Product {
        factors: Vec<Tensor>,
    },
    /// Of a layer with the function behind it: its weight with scales folded in, what it read, and its sum.
    RevealCancel {
        weight: Tensor,
        x: Tensor,
        sum: Tensor,
        function: Activation,
    },
}

impl BackwardRule for Lift {
    fn name(&self) -> String {
        "DeepLIFT".to_owned()
    }

    fn acts_on(&self, op: &Op) -> bool {
        match self {
            Self::Rescale { .. } => matches!(op, Op::Activation(_)),
            Self::MaxPool { .. } => matches!(op, Op::MaxPool2d(_)),
            Self::Product { .. } => matches!(op, Op::Mul),
            Self::RevealCancel { .. } => matches!(op, Op::Conv2d(_) | Op::Linear(_)),
        }
    }

    fn backward(&self, at: &Operation<'_>, above: &Tensor) -> Result<Vec<Tensor>> {
        let first = || at.inputs.first().ok_or_else(|| Error::new(Kind::Internal, "an operation without an input"));
        match self {
            Self::Rescale { x, y, function } => Ok(vec![rescale(*function, first()?, at.output, x, y, above)?]),
            Self::MaxPool { x, y } => Ok(vec![max_pool(at, first()?, x, y, above)?]),
            Self::Product { factors } => product(at, factors, above),
            Self::RevealCancel { weight, x, sum, function } => {
                Ok(vec![reveal_cancel(at, *function, weight, &first()?.broadcast_sub(x)?, sum, above)?])
            }
        }
    }
}

/// Δy / Δx, or the derivative where there is no difference.
fn rescale(function: Activation, x: &Tensor, y: &Tensor, x0: &Tensor, y0: &Tensor, above: &Tensor) -> Result<Tensor> {
    let (dx, dy) = (x.broadcast_sub(x0)?, y.broadcast_sub(y0)?);
    let derivatives = zip(&dx, x, |dx, x| if dx.abs() < NONE { function.derivative(x) } else { 0.0 })?;
    zip(&(slopes(&dy, &dx)? + derivatives)?, above, |slope, above| slope * above)
}

/// Δy / Δx, and 0 where Δx is none.
fn slopes(dy: &Tensor, dx: &Tensor) -> Result<Tensor> {
    zip(dy, dx, |dy, dx| if dx.abs() < NONE { 0.0 } else { dy / dx })
}

/// What a maximum rose by goes to where the larger one was found: above both values of the baseline and the image by way
/// of the place in the image, below by way of the place in the baseline.
fn max_pool(at: &Operation<'_>, x: &Tensor, x0: &Tensor, y0: &Tensor, above: &Tensor) -> Result<Tensor> {
    let x0 = x0.broadcast_as(x.shape())?.contiguous()?;
    let y0 = y0.broadcast_as(above.shape())?.contiguous()?;
    let unpooled = |x: &Tensor, above: Tensor| -> Result<Tensor> {
        let var = Var::from_tensor(x)?;
        let value = at.value(&[var.as_tensor().clone()], at.weights)?;
        let gradient = (value * above)?.sum_all()?.backward()?.remove(&var);
        gradient.ok_or_else(|| Error::new(Kind::Internal, "a pooling without a gradient"))
    };
    let larger = zip(at.output, &y0, f32::max)?;
    let in_image = unpooled(x, (above * (&larger - &y0)?)?)?;
    let in_baseline = unpooled(&x0, (above * (at.output - &larger)?)?)?;
    let difference = (x - x0)?;
    let derivatives =
        zip(&difference, &unpooled(x, above.clone())?, |dx, slope| if dx.abs() < NONE { slope } else { 0.0 })?;
    Ok((slopes(&(in_image + in_baseline)?, &difference)? + derivatives)?)
}

/// Each factor by the mean of the other one: Δ(ab) = Δa (b + b₀) / 2 + Δb (a + a₀) / 2.
fn product(at: &Operation<'_>, factors: &[Tensor], above: &Tensor) -> Result<Vec<Tensor>> {
    let ([a, b], [a0, b0]) = (at.inputs, factors) else {
        return Err(Error::new(Kind::Internal, "a product without two factors"));
    };
    let multiplier = |own: &Tensor, other: &Tensor, other0: &Tensor| -> Result<Tensor> {
        let mean = (other.broadcast_add(other0)? * 0.5)?;
        let all = above.broadcast_mul(&mean)?;
        Ok(if own.shape() == all.shape() { all } else { all.sum_keepdim((2, 3))? })
    };
    Ok(vec![multiplier(a, b, b0)?, multiplier(b, a, a0)?])
}

/// The multipliers of a layer's inputs, given those of the value of the function behind it: with Δ⁺ and Δ⁻ what adds to the
/// sum and what takes off, those of both are the mean changes of the function by either, before and after the other.
fn reveal_cancel(
    at: &Operation<'_>,
    function: Activation,
    weight: &Tensor,
    dx: &Tensor,
    sum: &Tensor,
    above: &Tensor,
) -> Result<Tensor> {
    let [rises, falls] = [map(dx, |v| v.max(0.0))?, map(dx, |v| v.min(0.0))?];
    let [raising, lowering] = [map(weight, |w| w.max(0.0))?, map(weight, |w| w.min(0.0))?];
    let both = |x: &Tensor, w: &Tensor, y: &Tensor, v: &Tensor| -> Result<Tensor> {
        zip(&at.through(x, w, None)?, &at.through(y, v, None)?, |a, b| a + b)
    };
    let plus = both(&rises, &raising, &falls, &lowering)?;
    let minus = both(&falls, &raising, &rises, &lowering)?;
    let sum = sum.broadcast_as(plus.shape())?.contiguous()?;
    let f = |x: f32| function.value(x);
    // the mean change by `own`, by itself and behind `other`
    let multiplier = |own: &Tensor, other: &Tensor| -> Result<Tensor> {
        let alone = zip(&sum, own, |sum, own| f(sum + own) - f(sum))?;
        let moved = zip(&sum, other, |sum, other| sum + other)?;
        let behind = zip(&moved, own, |moved, own| f(moved + own) - f(moved))?;
        let change = zip(&alone, &behind, |alone, behind| 0.5 * (alone + behind))?;
        // where nothing changes, nothing is handed back
        zip(&slopes(&change, own)?, above, |slope, above| slope * above)
    };
    let (of_plus, of_minus) = (multiplier(&plus, &minus)?, multiplier(&minus, &plus)?);
    let back = |a: &Tensor, v: &Tensor, b: &Tensor, w: &Tensor| -> Result<Tensor> {
        zip(&at.back(a, v)?, &at.back(b, w)?, |a, b| a + b)
    };
    let rising = back(&of_plus, &raising, &of_minus, &lowering)?;
    let falling = back(&of_minus, &raising, &of_plus, &lowering)?;
    // what has not changed may go either way
    let rising = zip(dx, &rising, |dx, m| {
        if dx > 0.0 {
            m
        } else if dx < 0.0 {
            0.0
        } else {
            0.5 * m
        }
    })?;
    let falling = zip(dx, &falling, |dx, m| {
        if dx < 0.0 {
            m
        } else if dx > 0.0 {
            0.0
        } else {
            0.5 * m
        }
    })?;
    zip(&rising, &falling, |rising, falling| rising + falling)
}
