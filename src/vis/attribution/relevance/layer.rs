//! A layer with weights as the rules see it: with the batch-norm behind it folded in.

use candle_core::{DType, Device, Tensor};

use super::{STABILIZER, stabilized};
use crate::error::{Error, Kind, Result};
use crate::model::{Graph, NodeId, Op, Operation, Weights};
use crate::tensor::{affine, batch_norm_scale, map, with_any_order, zip};

/// The weight and bias of a convolution or linear layer, with the scales directly behind it folded in.
#[derive(Clone, Debug)]
pub(in crate::vis::attribution) struct Folded {
    pub(in crate::vis::attribution) weight: Tensor,
    pub(in crate::vis::attribution) bias: Option<Tensor>,
    /// What the scales do to each channel of the layer's own value.
    after: Option<(Tensor, Tensor)>,
}

impl Folded {
    /// Those of a layer followed by `scales`; nothing if the node is no layer with weights.
    ///
    /// # Errors
    /// A parameter is missing.
    pub(in crate::vis::attribution) fn of(
        graph: &Graph,
        weights: &Weights,
        id: NodeId,
        scales: &[NodeId],
    ) -> Result<Option<Self>> {
        let (weight, bias) = match &graph.node(id).op {
            Op::Conv2d(conv) => (&conv.weight, &conv.bias),
            Op::Linear(linear) => (&linear.weight, &linear.bias),
            _ => return Ok(None),
        };
        let weight = weights.get(weight)?.detach();
        let bias = bias.as_ref().map(|name| Ok::<_, Error>(weights.get(name)?.detach())).transpose()?;
        let mut folded = Self { weight, bias, after: None };
        for scale in scales {
            let (scale, shift) = scale_and_shift(&graph.node(*scale).op, weights)?;
            let mut shape = vec![1; folded.weight.rank()];
            if let Some(outputs) = shape.first_mut() {
                *outputs = scale.elem_count();
            }
            folded.weight = folded.weight.broadcast_mul(&scale.reshape(shape)?)?;
            folded.bias = Some(match &folded.bias {
                Some(bias) => ((bias * &scale)? + &shift)?,
                None => shift.clone(),
            });
            folded.after = Some(match folded.after.take() {
                Some((factor, moved)) => ((factor * &scale)?, ((moved * &scale)? + &shift)?),
                None => (scale, shift),
            });
        }
        Ok(Some(folded))
    }
}

/// What a batch-norm or a scale does to each channel.
///
/// # Errors
/// A parameter is missing, or the operation is neither.
pub(in crate::vis::attribution) fn scale_and_shift(op: &Op, weights: &Weights) -> Result<(Tensor, Tensor)> {
    match op {
        Op::BatchNorm(norm) => {
            let [mean, var, weight, bias] = [&norm.mean, &norm.var, &norm.weight, &norm.bias].map(|n| weights.get(n));
            let (scale, shift) = batch_norm_scale(mean?, var?, weight?, bias?, norm.eps)?;
            Ok((scale.detach(), shift.detach()))
        }
        Op::Scale(scale) => {
            let given = |name: &Option<String>| name.as_ref().map(|name| weights.get(name)).transpose();
            let (factor, shift) = (given(&scale.scale)?, given(&scale.shift)?);
            let ones = Tensor::ones(scale.channels, DType::F32, &Device::Cpu)?;
            let numbers = |given: Option<&Tensor>, usual: f64| match given {
                Some(given) => Ok::<_, Error>(given.detach()),
                None => Ok((&ones * usual)?),
            };
            Ok((numbers(factor, 1.0)?, numbers(shift, 0.0)?))
        }
        other => Err(Error::new(Kind::Internal, format!("{other} is no scale"))),
    }
}

/// A layer with weights at the time of the backward pass.
#[derive(Debug)]
pub(in crate::vis::attribution) struct Weighted<'a> {
    pub(super) at: &'a Operation<'a>,
    pub(super) folded: &'a Folded,
    /// What it read.
    pub(super) x: &'a Tensor,
}

/// A part of what a layer adds up: some of its inputs times some of its weights, plus a bias.
pub(super) struct Term {
    pub(super) x: Tensor,
    pub(super) weight: Tensor,
    pub(super) bias: Option<Tensor>,
    /// −1 if it is taken off.
    pub(super) sign: f32,
}

impl<'a> Weighted<'a> {
    pub(super) fn new(at: &'a Operation<'a>, folded: &'a Folded) -> Result<Self> {
        let x = at.inputs.first().ok_or_else(|| Error::new(Kind::Internal, "a layer without an input"))?;
        Ok(Self { at, folded, x })
    }

    /// Its value, behind what is folded in.
    pub(super) fn value(&self) -> Result<Tensor> {
        match &self.folded.after {
            None => Ok(self.at.output.clone()),
            Some((scale, shift)) => affine(self.at.output, &scale.to_vec1::<f32>()?, &shift.to_vec1::<f32>()?),
        }
    }

    /// Its weight, each number changed.
    pub(super) fn weight(&self, f: impl Fn(f32) -> f32 + Sync) -> Result<Tensor> {
        map(&self.folded.weight, f)
    }

    /// Its bias, if it has one, each number changed.
    pub(super) fn bias(&self, f: impl Fn(f32) -> f32 + Sync) -> Result<Option<Tensor>> {
        self.folded.bias.as_ref().map(|bias| map(bias, f)).transpose()
    }

    /// Its inputs above zero and those below, each nothing if there is none.
    pub(super) fn parts(&self) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let [above, below] = with_any_order(self.x, |x| [x.iter().any(|v| *v > 0.0), x.iter().any(|v| *v < 0.0)])?;
        Ok(match (above, below) {
            (true, false) => (Some(self.x.clone()), None),
            (false, true) => (None, Some(self.x.clone())),
            (false, false) => (None, None),
            (true, true) => (Some(map(self.x, |v| v.max(0.0))?), Some(map(self.x, |v| v.min(0.0))?)),
        })
    }

    /// The inputs above zero through the weights that `rising` keeps, with the bias it keeps, and those below through the
    /// weights that `falling` keeps: for weights above and below zero, all contributions of one sign.
    pub(super) fn contributions(
        &self,
        rising: impl Fn(f32) -> f32 + Sync,
        falling: impl Fn(f32) -> f32 + Sync,
    ) -> Result<Vec<Term>> {
        let (above, below) = self.parts()?;
        let bias = self.bias(&rising)?;
        let mut terms = Vec::with_capacity(2);
        // the bias counts even where nothing is above zero
        if above.is_some() || bias.is_some() {
            let x = above.map_or_else(|| self.x.zeros_like(), Ok)?;
            terms.push(Term { x, weight: self.weight(rising)?, bias, sign: 1.0 });
        }
        if let Some(x) = below {
            terms.push(Term { x, weight: self.weight(falling)?, bias: None, sign: 1.0 });
        }
        Ok(terms)
    }

    /// Relevance shared out among inputs by what they contribute to the sum of some terms.
    pub(super) fn shared(&self, above: &Tensor, terms: &[Term]) -> Result<Tensor> {
        if terms.is_empty() || is_zero(above)? {
            return Ok(self.x.zeros_like()?);
        }
        let mut sum: Option<Tensor> = None;
        for term in terms {
            let value = self.at.through(&term.x, &term.weight, term.bias.as_ref())?;
            sum = Some(match sum {
                Some(sum) => zip(&sum, &value, |sum, value| sum + term.sign * value)?,
                None => map(&value, |value| term.sign * value)?,
            });
        }
        let sum = sum.ok_or_else(|| Error::new(Kind::Internal, "a sum of nothing"))?;
        let ratio = zip(above, &sum, |relevance, sum| quiet(relevance / stabilized(sum, STABILIZER)))?;
        let mut shared: Option<Tensor> = None;
        for term in terms {
            let back = self.at.back(&ratio, &term.weight)?;
            let part = zip(&back, &term.x, |back, x| term.sign * back * x)?;
            shared = Some(match shared {
                Some(shared) => zip(&shared, &part, |a, b| a + b)?,
                None => part,
            });
        }
        shared.ok_or_else(|| Error::new(Kind::Internal, "a sum of nothing"))
    }
}

/// What is too small for a normal number counts as nothing: sums of such numbers take many times longer.
pub(super) fn quiet(value: f32) -> f32 {
    if value.abs() < 1e-30 { 0.0 } else { value }
}

fn is_zero(x: &Tensor) -> Result<bool> {
    with_any_order(x, |x| x.iter().all(|v| *v == 0.0))
}
