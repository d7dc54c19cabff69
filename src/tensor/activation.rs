//! Activation functions as data, and the rules by which gradients pass rectifiers.

use std::f32::consts::{FRAC_1_SQRT_2, PI};

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::cpu::with_values;
use super::with_backward;
use crate::error::Result;

/// A function of one number; the definitions and names are PyTorch's.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Activation {
    /// max(x, 0).
    Relu,
    /// x between the two limits, which replace what is beyond; ReLU6 is 0 to 6.
    Clip(f32, f32),
    /// x where positive, elsewhere the given slope times x.
    LeakyRelu(f32),
    /// 1 / (1 + e⁻ˣ).
    Sigmoid,
    /// tanh x.
    Tanh,
    /// x · sigmoid(x), also called swish.
    Silu,
    /// min(max(x/6 + 1/2, 0), 1).
    HardSigmoid,
    /// x · hard-sigmoid(x).
    HardSwish,
    /// x · Φ(x) with the normal distribution Φ.
    Gelu,
}

/// What the backward pass of a rectifier lets through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReluRule {
    /// The derivative: the gradient where the input was positive.
    #[default]
    Plain,
    /// Guided backpropagation (Springenberg et al., 2015, arXiv:1412.6806): where the input and the gradient
    /// are both positive.
    Guided,
    /// The deconvnet (Zeiler & Fergus, 2014, arXiv:1311.2901): where the gradient is positive, whatever the
    /// input was.
    Deconvnet,
    /// The derivative, except for an image whose gradient it blocks everywhere: there, a unit that is off still
    /// passes what would switch it on, so that an optimization from noise can start (Lucid's
    /// `redirected_relu_grad`). The gradient is that of something to be maximized.
    Redirected,
}

impl Activation {
    /// ReLU6, min(max(x, 0), 6).
    pub const RELU6: Self = Self::Clip(0.0, 6.0);

    /// Whether the rules of rectifiers apply to it: ReLU, and clips that begin at 0, such as ReLU6.
    pub fn is_rectifier(self) -> bool {
        matches!(self, Self::Relu) || matches!(self, Self::Clip(low, _) if low == 0.0)
    }

    /// Whether [`derivative_at_value`](Self::derivative_at_value) is enough for its gradient.
    pub fn remembers_by_value(self) -> bool {
        matches!(self, Self::Relu | Self::Clip(..) | Self::LeakyRelu(_) | Self::Sigmoid | Self::Tanh)
    }

    /// Its value at `x`.
    #[inline(always)]
    pub fn value(self, x: f32) -> f32 {
        match self {
            // comparisons, not f32::max, so that NaN is not swallowed
            Self::Relu => {
                if x < 0.0 {
                    0.0
                } else {
                    x
                }
            }
            Self::Clip(low, high) => {
                if x < low {
                    low
                } else if x > high {
                    high
                } else {
                    x
                }
            }
            Self::LeakyRelu(slope) => {
                if x > 0.0 {
                    x
                } else {
                    slope * x
                }
            }
            Self::Sigmoid => sigmoid(x),
            Self::Tanh => x.tanh(),
            Self::Silu => x * sigmoid(x),
            Self::HardSigmoid => hard_sigmoid(x),
            Self::HardSwish => x * hard_sigmoid(x),
            Self::Gelu => x * normal_cdf(x),
        }
    }

    /// Its derivative at `x`; at a kink, that of the side PyTorch takes.
    pub fn derivative(self, x: f32) -> f32 {
        match self {
            Self::Silu => {
                let s = sigmoid(x);
                s * (1.0 + x * (1.0 - s))
            }
            Self::HardSigmoid => {
                if x > -3.0 && x < 3.0 {
                    1.0 / 6.0
                } else {
                    0.0
                }
            }
            Self::HardSwish => {
                if x <= -3.0 {
                    0.0
                } else if x < 3.0 {
                    x / 3.0 + 0.5
                } else {
                    1.0
                }
            }
            Self::Gelu => normal_cdf(x) + x * (-0.5 * x * x).exp() / (2.0 * PI).sqrt(),
            // ReLU6's value does not tell 0 and 6 themselves from what is beyond; PyTorch closes both
            other => other.derivative_at_value(other.value(x)),
        }
    }

    /// Its derivative where its value is `y`, for those that [`remember by value`](Self::remembers_by_value);
    /// 0 for others.
    #[inline(always)]
    pub fn derivative_at_value(self, y: f32) -> f32 {
        let open = |open: bool| if open { 1.0 } else { 0.0 };
        match self {
            Self::Relu => open(y > 0.0),
            Self::Clip(low, high) => open(y > low && y < high),
            Self::LeakyRelu(slope) => {
                if y > 0.0 {
                    1.0
                } else {
                    slope
                }
            }
            Self::Sigmoid => y * (1.0 - y),
            Self::Tanh => 1.0 - y * y,
            _ => 0.0,
        }
    }
}

/// 1 / (1 + e⁻ˣ).
#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

#[inline(always)]
fn hard_sigmoid(x: f32) -> f32 {
    (x / 6.0 + 0.5).clamp(0.0, 1.0)
}

/// The share of the standard normal distribution below `x`.
#[inline(always)]
fn normal_cdf(x: f32) -> f32 {
    0.5 * (1.0 + libm::erff(x * FRAC_1_SQRT_2))
}

/// A function of every number of a tensor of any shape; gradients pass rectifiers by `rule`.
pub fn activation(x: &Tensor, function: Activation, rule: ReluRule) -> Result<Tensor> {
    let (shape, device) = (x.shape().clone(), x.device().clone());
    let y = map(&x.detach(), |x| function.value(x))?;
    let y = Tensor::from_vec(y, &shape, &Device::Cpu)?.to_device(&device)?;
    if !x.track_op() {
        return Ok(y);
    }
    let slopes = Tensor::from_vec(map(&x.detach(), |x| function.derivative(x))?, &shape, &Device::Cpu)?;
    let slopes = slopes.to_device(&device)?;
    let outside = Outside::new(&y, function)?;
    with_backward(x, y, move |gradient| {
        let plain = (gradient * &slopes)?;
        if !function.is_rectifier() {
            return Ok(plain);
        }
        Ok(match rule {
            ReluRule::Plain => plain,
            ReluRule::Guided => (gradient.relu()? * &slopes)?,
            ReluRule::Deconvnet => gradient.relu()?,
            ReluRule::Redirected => outside.redirect(gradient, &plain)?,
        })
    })
}

/// Which units of a rectifier are at its lower and at its upper limit.
struct Outside {
    off: Tensor,
    full: Tensor,
}

impl Outside {
    fn new(y: &Tensor, function: Activation) -> Result<Self> {
        let high = if let Activation::Clip(_, high) = function { high } else { f32::INFINITY };
        Ok(Self { off: y.le(0f32)?, full: y.ge(high)? })
    }

    /// Image by image, the plain gradient, or where that is nothing at all what moves units back into their range.
    fn redirect(&self, gradient: &Tensor, plain: &Tensor) -> Result<Tensor> {
        let open = self.off.where_cond(&gradient.relu()?, gradient)?;
        let open = self.full.where_cond(&gradient.neg()?.relu()?.neg()?, &open)?;
        let images = (0..gradient.dim(0)?).map(|image| {
            let plain = plain.narrow(0, image, 1)?;
            let blocked = plain.abs()?.max_all()?.to_scalar::<f32>()? == 0.0;
            if blocked { open.narrow(0, image, 1) } else { Ok(plain) }
        });
        Ok(Tensor::cat(&images.collect::<candle_core::Result<Vec<_>>>()?, 0)?)
    }
}

/// The function of every value, in row-major order.
fn map(x: &Tensor, function: impl Fn(f32) -> f32 + Sync) -> Result<Vec<f32>> {
    with_values(x, |values| values.par_iter().with_min_len(1 << 14).map(|x| function(*x)).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::Var;

    use super::*;
    use crate::tensor::testing::{assert_close, values};

    fn gradient(rule: ReluRule) -> Vec<f32> {
        let x = Var::new(&[-1f32, 0.0, 2.0, 3.0, -4.0], &Device::Cpu).unwrap();
        let weights = Tensor::new(&[1f32, 5.0, -2.0, 3.0, -6.0], &Device::Cpu).unwrap();
        let y = activation(&x, Activation::Relu, rule).unwrap();
        assert_eq!(y.to_vec1::<f32>().unwrap(), [0.0, 0.0, 2.0, 3.0, 0.0]);
        let grads = (y * weights).unwrap().sum_all().unwrap().backward().unwrap();
        grads.get(&x).unwrap().to_vec1().unwrap()
    }

    #[test]
    fn rules_gate_the_gradient() {
        assert_eq!(gradient(ReluRule::Plain), [0.0, 0.0, -2.0, 3.0, 0.0]);
        assert_eq!(gradient(ReluRule::Guided), [0.0, 0.0, 0.0, 3.0, 0.0]);
        assert_eq!(gradient(ReluRule::Deconvnet), [1.0, 5.0, 0.0, 3.0, 0.0]);
    }

    #[test]
    fn a_blocked_gradient_is_redirected() {
        // the first image's units are all off, of the second one is on
        let x = Var::new(&[[-1f32, -2.0, -3.0], [-1.0, 2.0, -3.0]], &Device::Cpu).unwrap();
        let weights = Tensor::new(&[[5f32, -7.0, 2.0], [5.0, -7.0, 2.0]], &Device::Cpu).unwrap();
        let y = activation(&x, Activation::Relu, ReluRule::Redirected).unwrap();
        let gradient = (y * weights).unwrap().sum_all().unwrap().backward().unwrap().remove(&x).unwrap();
        assert_eq!(gradient.to_vec2::<f32>().unwrap(), [[5.0, 0.0, 2.0], [0.0, -7.0, 0.0]]);
    }

    #[test]
    fn values_and_derivatives_are_pytorchs() {
        // torch.nn.functional and autograd at these points
        let points = [-4f32, -1.5, -0.25, 0.75, 2.5, 7.0];
        let truth: [(Activation, [f32; 6], [f32; 6]); 7] = [
            (Activation::RELU6, [0.0, 0.0, 0.0, 0.75, 2.5, 6.0], [0.0, 0.0, 0.0, 1.0, 1.0, 0.0]),
            (Activation::LeakyRelu(0.1), [-0.4, -0.15, -0.025, 0.75, 2.5, 7.0], [0.1, 0.1, 0.1, 1.0, 1.0, 1.0]),
            (
                Activation::Sigmoid,
                [0.017_986_21, 0.182_425_52, 0.437_823_5, 0.679_178_7, 0.924_141_8, 0.999_089],
                [0.017_662_706, 0.149_146_45, 0.246_134_08, 0.217_894_99, 0.070_103_72, 0.000_910_22],
            ),
            (
                Activation::Silu,
                [-0.071_944_84, -0.273_638_3, -0.109_455_87, 0.509_384, 2.310_354_5, 6.993_623],
                [-0.052_664_61, -0.041_294_15, 0.376_289_97, 0.842_599_9, 1.099_401_1, 1.005_460_5],
            ),
            (
                Activation::HardSwish,
                [0.0, -0.375, -0.114_583_336, 0.468_75, 2.291_666_7, 7.0],
                [0.0, 0.0, 0.416_666_66, 0.75, 1.333_333_4, 1.0],
            ),
            (
                Activation::Gelu,
                [-0.000_126_684, -0.100_210_8, -0.100_323_41, 0.580_029_3, 2.484_475_9, 7.0],
                [-0.000_503_675, -0.127_468_7, 0.304_627_5, 0.999_220_3, 1.037_611, 1.0],
            ),
            (
                Activation::Tanh,
                [-0.999_329_3, -0.905_148_27, -0.244_918_66, 0.635_148_94, 0.986_614_3, 0.999_998_3],
                [0.001_340_95, 0.180_706_64, 0.940_014_84, 0.596_585_8, 0.026_592_23, 0.000_003_326],
            ),
        ];
        for (function, expected, slopes) in truth {
            let x = Var::new(&points, &Device::Cpu).unwrap();
            let y = activation(&x, function, ReluRule::Plain).unwrap();
            assert_close(&values(&y), &expected, 2e-6, &format!("{function:?}"));
            let slope = y.sum_all().unwrap().backward().unwrap().remove(&x).unwrap();
            assert_close(&values(&slope), &slopes, 2e-5, &format!("{function:?}′"));
        }
    }

    #[test]
    fn derivatives_are_slopes() {
        let functions = [
            Activation::Relu,
            Activation::RELU6,
            Activation::LeakyRelu(0.2),
            Activation::Sigmoid,
            Activation::Tanh,
            Activation::Silu,
            Activation::HardSigmoid,
            Activation::HardSwish,
            Activation::Gelu,
        ];
        for function in functions {
            for i in -80..80 {
                let x = 0.1 * i as f32 + 0.033;
                let slope = (function.value(x + 1e-2) - function.value(x - 1e-2)) / 2e-2;
                assert!((slope - function.derivative(x)).abs() < 6e-3, "{function:?} at {x}: {slope}");
                if function.remembers_by_value() {
                    let by_value = function.derivative_at_value(function.value(x));
                    assert!((by_value - function.derivative(x)).abs() < 1e-5, "{function:?} at {x}");
                }
            }
        }
    }

    #[test]
    fn nan_is_not_swallowed() {
        for function in [Activation::Relu, Activation::RELU6, Activation::LeakyRelu(0.1), Activation::Gelu] {
            assert!(function.value(f32::NAN).is_nan(), "{function:?}");
        }
    }
}
