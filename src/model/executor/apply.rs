//! The value of one operation and the rule of its backward pass, on candle's tape.

use std::sync::Arc;

use candle_core::{DType, Tensor};

use crate::error::{Error, Kind, Result};
use crate::job::Interrupt;
use crate::model::rules::Prepared;
use crate::model::{Op, Operation, Patch, Rule, Weights};
use crate::tensor::{
    ReluRule, activation, adaptive_avg_pool2d, avg_pool2d, batch_norm_scale, concat, conv2d, flatten, linear,
    local_response_norm, max_pool2d, scale_channels, softmax, with_joint_backward,
};

impl Operation<'_> {
    /// The operation with other inputs and weights, on the tape of those: relevance rules are derivatives of it with
    /// changed weights.
    ///
    /// # Errors
    /// Shapes do not fit, or a parameter is missing.
    pub fn value(&self, inputs: &[Tensor], weights: &Weights) -> Result<Tensor> {
        value(self.op, inputs, weights, ReluRule::Plain, &Interrupt::never())
    }
}

/// The value of an operation, linked to the tape of its inputs by a rule.
pub(in crate::model) fn apply(
    op: &Op,
    inputs: &[Tensor],
    weights: &Arc<Weights>,
    rule: &Rule,
    interrupt: &Interrupt,
) -> Result<Tensor> {
    let gate = match rule {
        Rule::Custom(custom) if custom.acts_on(op) => {
            let (op, weights, custom) = (op.clone(), weights.clone(), custom.clone());
            let detached: Vec<Tensor> = inputs.iter().map(Tensor::detach).collect();
            let y = value(&op, &detached, &weights, ReluRule::Plain, interrupt)?.detach();
            let output = y.clone();
            return with_joint_backward(inputs, y, move |above| {
                let at = Operation {
                    op: &op,
                    inputs: &detached,
                    output: &output,
                    weights: &weights,
                    prepared: Prepared::default(),
                };
                custom.backward(&at, above)
            });
        }
        Rule::Pass if rule.changes(op) => {
            let detached: Vec<Tensor> = inputs.iter().map(Tensor::detach).collect();
            let y = value(op, &detached, weights, ReluRule::Plain, interrupt)?.detach();
            return with_joint_backward(inputs, y, |above| Ok(vec![above.clone()]));
        }
        Rule::Derivative | Rule::Custom(_) | Rule::Pass => ReluRule::Plain,
        Rule::Guided => ReluRule::Guided,
        Rule::Deconvnet => ReluRule::Deconvnet,
        Rule::Redirected => ReluRule::Redirected,
    };
    value(op, inputs, weights, gate, interrupt)
}

/// The value of an operation, with its derivative on the tape of its inputs; rectifiers pass gradients by `gate`.
pub(in crate::model) fn value(
    op: &Op,
    inputs: &[Tensor],
    weights: &Weights,
    gate: ReluRule,
    interrupt: &Interrupt,
) -> Result<Tensor> {
    let parameter = |name: &Option<String>| name.as_ref().map(|name| weights.get(name)).transpose();
    match (op, inputs) {
        (Op::Conv2d(conv), [x]) => {
            conv2d(x, weights.get(&conv.weight)?, parameter(&conv.bias)?, &conv.params, interrupt)
        }
        (Op::Linear(fc), [x]) => linear(x, weights.get(&fc.weight)?, parameter(&fc.bias)?),
        (Op::BatchNorm(norm), [x]) => {
            let [mean, var, weight, bias] = [&norm.mean, &norm.var, &norm.weight, &norm.bias];
            let (mean, var) = (weights.get(mean)?, weights.get(var)?);
            let (scale, shift) = batch_norm_scale(mean, var, weights.get(weight)?, weights.get(bias)?, norm.eps)?;
            scale_channels(x, &scale, &shift)
        }
        (Op::Scale(scale), [x]) => {
            let ones = Tensor::ones(scale.channels, DType::F32, x.device())?;
            let factor = parameter(&scale.scale)?.unwrap_or(&ones);
            let zeros = ones.zeros_like()?;
            scale_channels(x, factor, parameter(&scale.shift)?.unwrap_or(&zeros))
        }
        (Op::ScaleChannels(factors), [x]) => {
            let factors = Tensor::from_slice(factors, factors.len(), x.device())?;
            scale_channels(x, &factors, &factors.zeros_like()?)
        }
        (Op::Patch(patch), [x]) => patched(x, patch, weights),
        (Op::LocalResponseNorm(norm), [x]) => local_response_norm(x, norm),
        (Op::Activation(function), [x]) => activation(x, *function, gate),
        (Op::Softmax, [x]) => softmax(x),
        (Op::MaxPool2d(params), [x]) => max_pool2d(x, params),
        (Op::AvgPool2d { params, count_include_pad }, [x]) => avg_pool2d(x, params, *count_include_pad),
        (Op::AdaptiveAvgPool2d(size), [x]) => adaptive_avg_pool2d(x, *size),
        (Op::ZeroPad([[top, bottom], [left, right]]), [x]) => {
            Ok(x.pad_with_zeros(2, *top, *bottom)?.pad_with_zeros(3, *left, *right)?)
        }
        (Op::Concat, inputs) => concat(inputs),
        (Op::Add, [first, rest @ ..]) => rest.iter().try_fold(first.clone(), |sum, other| Ok((sum + other)?)),
        (Op::Mul, [a, b]) => Ok(a.broadcast_mul(b)?),
        (Op::Dropout, [x]) => Ok(x.clone()),
        (Op::Flatten, [x]) => flatten(x),
        (Op::Unflatten([channels, height, width]), [x]) => Ok(x.reshape((x.dim(0)?, *channels, *height, *width))?),
        (Op::Narrow { start, length }, [x]) => Ok(x.narrow(1, *start, *length)?.contiguous()?),
        (Op::ChannelShuffle { groups }, [x]) => {
            let (n, channels, height, width) = x.dims4()?;
            let apart = x.reshape((n, *groups, channels / groups, height, width))?;
            Ok(apart.transpose(1, 2)?.contiguous()?.reshape((n, channels, height, width))?)
        }
        _ => Err(Error::new(Kind::Internal, format!("{op} does not take {} inputs", inputs.len()))),
    }
}

/// `x` with some channels replaced by constants.
fn patched(x: &Tensor, patch: &Patch, weights: &Weights) -> Result<Tensor> {
    let (keep, constants) = patch.constants(weights)?;
    let maps = |values: Vec<f32>| -> Result<Tensor> {
        let flat = Tensor::new(values, x.device())?;
        let sides = if x.rank() < 4 {
            vec![patch.of]
        } else if flat.elem_count() == patch.of {
            vec![patch.of, 1, 1]
        } else {
            vec![patch.of, x.dim(2)?, x.dim(3)?]
        };
        Ok(flat.reshape(sides)?)
    };
    Ok(x.broadcast_mul(&maps(keep)?)?.broadcast_add(&maps(constants)?)?)
}
