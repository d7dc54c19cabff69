//! Scaling and normalising maps: per channel, across channels, and softmax.

use candle_core::Tensor;

use super::softmax::softmax_along;
use super::sum::sum;
use super::{Rule, with_backwards};
use crate::error::{Error, Kind, Result};

/// `x · scale + shift` channel by channel: `[N, C, …]` with `scale` and `shift` of shape `[C]`.
pub fn scale_channels(x: &Tensor, scale: &Tensor, shift: &Tensor) -> Result<Tensor> {
    let mut shape = vec![1; x.rank()];
    match shape.get_mut(1) {
        Some(channels) => *channels = scale.elem_count(),
        None => return Err(Error::new(Kind::Tensor, format!("{:?} has no channels", x.dims()))),
    }
    Ok(x.broadcast_mul(&scale.reshape(shape.clone())?)?.broadcast_add(&shift.reshape(shape)?)?)
}

/// What a trained batch-norm does to each channel, as `(scale, shift)`: (x − mean) / √(var + eps) · weight + bias.
pub fn batch_norm_scale(
    mean: &Tensor,
    var: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    eps: f64,
) -> Result<(Tensor, Tensor)> {
    let scale = (weight / (var + eps)?.sqrt()?)?;
    let shift = (bias - (mean * &scale)?)?;
    Ok((scale, shift))
}

/// The constants of [`local_response_norm`], as PyTorch's `LocalResponseNorm`.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct LocalResponseNorm {
    /// How many neighbouring channels, of which ⌊size / 2⌋ come before the channel itself.
    pub size: usize,
    /// Factor of the mean square.
    pub alpha: f64,
    /// Exponent.
    pub beta: f64,
    /// What is added before the exponent is taken.
    pub k: f64,
}

/// x / (k + alpha · mean of squares of `size` neighbouring channels)^beta, for `[N, C, H, W]` (Krizhevsky et al.,
/// 2012; channels beyond the ends count as zeros in the mean).
pub fn local_response_norm(x: &Tensor, norm: &LocalResponseNorm) -> Result<Tensor> {
    let LocalResponseNorm { size, alpha, beta, k } = *norm;
    let channels = x.dim(1)?;
    if size == 0 {
        return Err(Error::new(Kind::Tensor, "local response normalisation needs at least one channel"));
    }
    let before = size / 2;
    let squares = x.sqr()?.pad_with_zeros(1, before, size - 1 - before)?;
    let mut sum = squares.narrow(1, 0, channels)?;
    for offset in 1..size {
        sum = (sum + squares.narrow(1, offset, channels)?)?;
    }
    let divisor = ((sum * (alpha / size as f64))? + k)?.log()?.affine(-beta, 0.0)?.exp()?;
    Ok((x * divisor)?)
}

/// e^x / Σ e^x over the channels, `[N, C, …]`.
pub fn softmax(x: &Tensor) -> Result<Tensor> {
    softmax_along(x, 1)
}

/// `x` `[N, K]` times the transpose of `weight` `[O, K]`, plus `bias` `[O]`: `[N, O]`.
///
/// Whichever of the three is on candle's tape gets a gradient, and no other is computed. It is an error if the shapes
/// don't fit each other.
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (input, matrix) = (x.detach(), weight.detach());
    let mut y = input.matmul(&matrix.t()?)?;
    if let Some(bias) = bias {
        y = y.broadcast_add(&bias.detach())?;
    }
    let for_input: Rule = Box::new(move |above| Ok(above.contiguous()?.matmul(&matrix)?));
    let for_weight: Rule = Box::new(move |above| Ok(above.t()?.contiguous()?.matmul(&input)?));
    let mut inputs = vec![(x, for_input), (weight, for_weight)];
    if let Some(bias) = bias {
        inputs.push((bias, Box::new(|above| sum(above, &[0], false))));
    }
    with_backwards(inputs, y)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::tensor::testing::{assert_close, gradient, pick, random, rng, values};

    #[test]
    fn local_response_normalisation_equals_the_definition() {
        let mut rng = rng(41);
        for _ in 0..200 {
            let (channels, area) = (pick(&mut rng, 1..=7), pick(&mut rng, 1..=3));
            let norm = LocalResponseNorm { size: pick(&mut rng, 1..=5), alpha: 0.5, beta: 0.75, k: 2.0 };
            let x = random(&mut rng, (1, channels, area, 1));
            let v = values(&x);
            let at = |c: usize, p: usize| f64::from(v[c * area + p]);
            let window = |c: usize| {
                let low = c.saturating_sub(norm.size / 2);
                low..(c + norm.size - norm.size / 2).min(channels)
            };
            let base = |c: usize, p: usize| {
                norm.k + norm.alpha / norm.size as f64 * window(c).map(|i| at(i, p).powi(2)).sum::<f64>()
            };
            let places: Vec<(usize, usize)> = (0..channels).flat_map(|c| (0..area).map(move |p| (c, p))).collect();
            let truth: Vec<f32> =
                places.iter().map(|&(c, p)| (at(c, p) * base(c, p).powf(-norm.beta)) as f32).collect();
            assert_close(&values(&local_response_norm(&x, &norm).unwrap()), &truth, 1e-5, &format!("{norm:?}"));

            let above = random(&mut rng, x.shape());
            let g = values(&above);
            let truth: Vec<f32> = places
                .iter()
                .map(|&(c, p)| {
                    let own = f64::from(g[c * area + p]) * base(c, p).powf(-norm.beta);
                    let through = (0..channels).filter(|out| window(*out).contains(&c)).map(|out| {
                        let slope =
                            -norm.beta * base(out, p).powf(-norm.beta - 1.0) * 2.0 * norm.alpha / norm.size as f64;
                        f64::from(g[out * area + p]) * at(out, p) * slope * at(c, p)
                    });
                    (own + through.sum::<f64>()) as f32
                })
                .collect();
            assert_close(&values(&gradient(&x, &above, |x| local_response_norm(x, &norm))), &truth, 1e-4, "gradient");
        }
    }

    #[test]
    fn softmax_equals_the_definition() {
        let mut rng = rng(42);
        for _ in 0..200 {
            let channels = pick(&mut rng, 1..=9);
            let x = (random(&mut rng, (1, channels)) * 40.0).unwrap();
            let exponents: Vec<f64> = values(&x).iter().map(|v| f64::from(*v).exp()).collect();
            let sum: f64 = exponents.iter().sum();
            let shares: Vec<f64> = exponents.iter().map(|e| e / sum).collect();
            let expected: Vec<f32> = shares.iter().map(|share| *share as f32).collect();
            assert_close(&values(&softmax(&x).unwrap()), &expected, 1e-5, "softmax");
            let above = random(&mut rng, (1, channels));
            let g = values(&above);
            let mean: f64 = shares.iter().zip(&g).map(|(s, g)| s * f64::from(*g)).sum();
            let truth: Vec<f32> = shares.iter().zip(&g).map(|(s, g)| (s * (f64::from(*g) - mean)) as f32).collect();
            let ours = values(&gradient(&x, &above, softmax));
            ours.iter().zip(&truth).for_each(|(a, b)| assert!((a - b).abs() < 2e-6, "{a} {b}"));
        }
    }

    #[test]
    fn batch_norm_is_a_scale_and_a_shift() {
        let mut rng = rng(43);
        let [x, mean, weight, bias] = [(2, 3), (1, 3), (1, 3), (1, 3)].map(|shape| random(&mut rng, shape));
        let var = random(&mut rng, (1, 3)).sqr().unwrap();
        let flat = |t: &Tensor| t.flatten_all().unwrap();
        let (scale, shift) = batch_norm_scale(&flat(&mean), &flat(&var), &flat(&weight), &flat(&bias), 1e-3).unwrap();
        let ours = values(&scale_channels(&x, &scale, &shift).unwrap());
        for (i, value) in values(&x).iter().enumerate() {
            let at = |t: &Tensor| values(t)[i % 3];
            let truth = (value - at(&mean)) / (at(&var) + 1e-3).sqrt() * at(&weight) + at(&bias);
            assert!((ours[i] - truth).abs() < 1e-5);
        }
    }

    #[test]
    fn a_linear_layer_is_a_matrix_product() {
        let mut rng = rng(44);
        for _ in 0..200 {
            let (n, k, o) = (pick(&mut rng, 1..=3), pick(&mut rng, 1..=9), pick(&mut rng, 1..=9));
            let (x, weight, bias) = (random(&mut rng, (n, k)), random(&mut rng, (o, k)), random(&mut rng, o));
            let (xs, ws, bs) = (values(&x), values(&weight), values(&bias));
            let dot = |i: usize, j: usize| (0..k).map(|p| xs[i * k + p] * ws[j * k + p]).sum::<f32>();
            let truth: Vec<f32> = (0..n * o).map(|at| bs[at % o] + dot(at / o, at % o)).collect();
            assert_close(&values(&linear(&x, &weight, Some(&bias)).unwrap()), &truth, 1e-5, "linear");
            let above = random(&mut rng, (n, o));
            let g = values(&above);
            let back = |i: usize, p: usize| (0..o).map(|j| g[i * o + j] * ws[j * k + p]).sum::<f32>();
            let truth: Vec<f32> = (0..n * k).map(|at| back(at / k, at % k)).collect();
            assert_close(&values(&gradient(&x, &above, |x| linear(x, &weight, Some(&bias)))), &truth, 1e-5, "gradient");

            let back = |j: usize, p: usize| (0..n).map(|i| g[i * o + j] * xs[i * k + p]).sum::<f32>();
            let truth: Vec<f32> = (0..o * k).map(|at| back(at / k, at % k)).collect();
            assert_close(&values(&gradient(&weight, &above, |w| linear(&x, w, Some(&bias)))), &truth, 1e-5, "weight");
            let truth: Vec<f32> = (0..o).map(|j| (0..n).map(|i| g[i * o + j]).sum()).collect();
            assert_close(&values(&gradient(&bias, &above, |b| linear(&x, &weight, Some(b)))), &truth, 1e-5, "bias");
        }
    }

    #[test]
    fn scales_that_are_on_the_tape_get_gradients() {
        let mut rng = rng(45);
        let [mean, weight, bias] = [3, 3, 3].map(|channels| random(&mut rng, channels));
        let var = (random(&mut rng, 3).sqr().unwrap() + 0.1).unwrap();
        let x = random(&mut rng, (2, 3, 4, 5));
        let above = random(&mut rng, x.shape());
        let run = |weight: &Tensor, bias: &Tensor| {
            let (scale, shift) = batch_norm_scale(&mean, &var, weight, bias, 1e-3)?;
            scale_channels(&x, &scale, &shift)
        };
        let (xs, g, means, vars) = (values(&x), values(&above), values(&mean), values(&var));
        let (mut for_weight, mut for_bias) = ([0f32; 3], [0f32; 3]);
        for (at, g) in g.iter().enumerate() {
            let c = at / 20 % 3;
            for_weight[c] += g * (xs[at] - means[c]) / (vars[c] + 1e-3).sqrt();
            for_bias[c] += g;
        }
        assert_close(&values(&gradient(&weight, &above, |weight| run(weight, &bias))), &for_weight, 1e-4, "weight");
        assert_close(&values(&gradient(&bias, &above, |bias| run(&weight, bias))), &for_bias, 1e-4, "bias");
    }
}
