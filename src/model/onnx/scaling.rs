//! What a network does to its input first, which says what numbers it was made for.

use candle_core::Tensor;

use crate::error::Result;
use crate::model::{Graph, NodeId, Op, Weights};

/// Below this factor a network brings numbers up to 255 into the range of its layers: 1/255 and 1/127.5 are the usual
/// ones, and 1/(255 · 0.2) with a standard deviation.
const FROM_BYTES: f32 = 1.0 / 40.0;
/// Above this one it spreads numbers from 0 to 1: 2, or 1/0.225 with a standard deviation.
const FROM_UNIT: f32 = 1.5;

/// What white is in the input of a network that scales its input itself: 255 or 1; none if it does not, or if that
/// leaves it open.
pub(super) fn white(graph: &Graph, weights: &Weights) -> Result<Option<f64>> {
    let mut at = NodeId::INPUT;
    let mut factors: Option<Vec<f32>> = None;
    loop {
        let mut readers = graph.ids().filter(|id| graph.node(*id).inputs.contains(&at));
        let (Some(reader), None) = (readers.next(), readers.next()) else { break };
        let Some(own) = factor(&graph.node(reader).op, weights)? else { break };
        factors = Some(match factors {
            Some(before) => before.iter().zip(&own).map(|(before, own)| before * own).collect(),
            None => own,
        });
        at = reader;
    }
    let Some(factors) = factors else { return Ok(None) };
    let all = |holds: &dyn Fn(f32) -> bool| factors.iter().all(|factor| holds(factor.abs()));
    Ok(if all(&|factor| factor > 0.0 && factor < FROM_BYTES) {
        Some(255.0)
    } else if all(&|factor| factor > FROM_UNIT) {
        Some(1.0)
    } else {
        None
    })
}

/// What an operation multiplies each channel by, if it does nothing but scale and shift.
fn factor(op: &Op, weights: &Weights) -> Result<Option<Vec<f32>>> {
    let numbers = |tensor: &Tensor| -> Result<Vec<f32>> { Ok(tensor.flatten_all()?.to_vec1()?) };
    match op {
        Op::Scale(scale) => match &scale.scale {
            Some(name) => numbers(weights.get(name)?).map(Some),
            None => Ok(Some(vec![1.0; scale.channels])),
        },
        Op::BatchNorm(norm) => {
            let (weight, var) = (numbers(weights.get(&norm.weight)?)?, numbers(weights.get(&norm.var)?)?);
            let factor = |(weight, var): (&f32, &f32)| weight / (var + norm.eps as f32).sqrt();
            Ok(Some(weight.iter().zip(&var).map(factor).collect()))
        }
        _ => Ok(None),
    }
}
