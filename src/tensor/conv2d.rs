//! 2-D convolution with its gradient for the input.

use candle_core::Tensor;

use super::im2col::Geometry;
use super::window::positions;
use super::with_backward;
use crate::error::Result;
use crate::lang::Interrupt;

/// How the kernel moves over the image, the same along both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2dParams {
    /// Pixels from one place of the kernel to the next.
    pub stride: usize,
    /// Pixels of zero around the image.
    pub padding: usize,
    /// Pixels from one tap of the kernel to the next.
    pub dilation: usize,
    /// Input and output channels are split into this many groups that don't see each other.
    pub groups: usize,
}

impl Default for Conv2dParams {
    fn default() -> Self {
        Self { stride: 1, padding: 0, dilation: 1, groups: 1 }
    }
}

impl Conv2dParams {
    /// Height and width of the result for a kernel `[height, width]` over an image of `height` × `width`; none
    /// if the kernel doesn't fit.
    pub fn output_size(&self, kernel: [usize; 2], height: usize, width: usize) -> Option<(usize, usize)> {
        let count = |size, kernel| positions(size, kernel, self.stride, self.padding, self.dilation);
        Some((count(height, kernel[0])?, count(width, kernel[1])?))
    }
}

/// Cross-correlation, as every framework's "convolution".
///
/// `x` is `[N, C, H, W]`, `weight` `[O, C / groups, KH, KW]`, `bias` `[O]`; the result is `[N, O, H′, W′]`. The
/// weights are constants: only `x` gets a gradient. Both directions ask `interrupt` between blocks of rows.
pub fn conv2d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    params: &Conv2dParams,
    interrupt: &Interrupt,
) -> Result<Tensor> {
    let geometry = Geometry::new(x.dims4()?, weight.dims4()?, params)?;
    let (weight, interrupt) = (weight.detach(), interrupt.clone());
    let on_cpu = x.device().is_cpu();
    let y = if on_cpu {
        geometry.forward(&x.detach(), &weight, bias, &interrupt)?
    } else {
        candle_forward(&x.detach(), &weight, bias, params)?
    };
    let params = *params;
    with_backward(x, y, move |gradient| {
        interrupt.check()?;
        if on_cpu {
            geometry.backward(gradient, &weight, &interrupt)
        } else {
            candle_backward(gradient, &weight, &params, geometry.height, geometry.width)
        }
    })
}

/// candle's convolution, for devices other than the CPU.
fn candle_forward(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, params: &Conv2dParams) -> Result<Tensor> {
    let y = x.conv2d(weight, params.padding, params.stride, params.dilation, params.groups)?;
    match bias {
        Some(bias) => Ok(y.broadcast_add(&bias.reshape((1, (), 1, 1))?)?),
        None => Ok(y),
    }
}

/// The gradient for an input of `height` × `width` by candle's transposed convolution.
///
/// Its output padding is one number for both sides, so it is made large enough for either and the rest cut off.
fn candle_backward(
    gradient: &Tensor,
    weight: &Tensor,
    params: &Conv2dParams,
    height: usize,
    width: usize,
) -> Result<Tensor> {
    let Conv2dParams { stride, padding, dilation, groups } = *params;
    let (_, _, kernel_height, kernel_width) = weight.dims4()?;
    let left_over = |size: usize, kernel: usize| (size + 2 * padding - dilation * (kernel - 1) - 1) % stride;
    let output_padding = left_over(height, kernel_height).max(left_over(width, kernel_width));
    let parts = gradient.chunk(groups, 1)?.into_iter().zip(weight.chunk(groups, 0)?);
    let parts = parts
        .map(|(gradient, weight)| {
            gradient.contiguous()?.conv_transpose2d(&weight, padding, output_padding, stride, dilation)
        })
        .collect::<candle_core::Result<Vec<_>>>()?;
    Ok(Tensor::cat(&parts, 1)?.narrow(2, 0, height)?.narrow(3, 0, width)?.contiguous()?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::error::{Error, Kind};
    use crate::tensor::testing::{assert_close, gradient, pick, random, rng, values};

    /// A convolution to try: its input, weight, bias and parameters.
    struct Case {
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        params: Conv2dParams,
    }

    impl Case {
        fn random(rng: &mut rand_chacha::ChaCha8Rng) -> Self {
            let groups = pick(rng, 1..=3);
            let (per_group, out_per_group) = (pick(rng, 1..=3), pick(rng, 1..=3));
            let (kernel_height, kernel_width) = (pick(rng, 1..=4), pick(rng, 1..=4));
            let (stride, padding, dilation) = (pick(rng, 1..=3), pick(rng, 0..=3), pick(rng, 1..=2));
            let (batch, height, width) = (pick(rng, 1..=2), pick(rng, 7..=13), pick(rng, 7..=13));
            Self {
                x: random(rng, (batch, groups * per_group, height, width)),
                weight: random(rng, (groups * out_per_group, per_group, kernel_height, kernel_width)),
                bias: random(rng, groups * out_per_group),
                params: Conv2dParams { stride, padding, dilation, groups },
            }
        }

        fn describe(&self) -> String {
            format!("{:?} * {:?}, {:?}", self.x.dims(), self.weight.dims(), self.params)
        }

        /// Calls `visit(output, input, weight)` with the flat positions of every product of the definition.
        fn each_product(&self, mut visit: impl FnMut(usize, usize, usize)) -> (usize, usize, usize, usize) {
            let Conv2dParams { stride, padding, dilation, groups } = self.params;
            let (n, c, h, w) = self.x.dims4().unwrap();
            let (o, cg, kh, kw) = self.weight.dims4().unwrap();
            let oh = (h + 2 * padding - dilation * (kh - 1) - 1) / stride + 1;
            let ow = (w + 2 * padding - dilation * (kw - 1) - 1) / stride + 1;
            for (image, out, y, x) in product4(n, o, oh, ow) {
                for (_, channel, ky, kx) in product4(1, cg, kh, kw) {
                    let (iy, ix) = (y * stride + ky * dilation, x * stride + kx * dilation);
                    if (padding..h + padding).contains(&iy) && (padding..w + padding).contains(&ix) {
                        let input = out / (o / groups) * cg + channel;
                        visit(
                            ((image * o + out) * oh + y) * ow + x,
                            ((image * c + input) * h + iy - padding) * w + ix - padding,
                            ((out * cg + channel) * kh + ky) * kw + kx,
                        );
                    }
                }
            }
            (n, o, oh, ow)
        }
    }

    fn product4(a: usize, b: usize, c: usize, d: usize) -> impl Iterator<Item = (usize, usize, usize, usize)> {
        (0..a * b * c * d).map(move |i| (i / (b * c * d), i / (c * d) % b, i / d % c, i % d))
    }

    #[test]
    fn forward_and_gradient_equal_the_definition() {
        let mut rng = rng(1);
        for _ in 0..200 {
            let case = Case::random(&mut rng);
            let (input, kernel, bias) = (values(&case.x), values(&case.weight), values(&case.bias));

            let y = conv2d(&case.x, &case.weight, Some(&case.bias), &case.params, &Interrupt::never()).unwrap();
            let plane = y.dim(2).unwrap() * y.dim(3).unwrap();
            let mut truth: Vec<f32> = (0..y.elem_count()).map(|i| bias[i / plane % bias.len()]).collect();
            let shape = case.each_product(|out, at, tap| truth[out] += input[at] * kernel[tap]);
            assert_eq!(y.dims4().unwrap(), shape);
            assert_close(&values(&y), &truth, 1e-5, &case.describe());

            let weights = random(&mut rng, y.shape());
            let ours = gradient(&case.x, &weights, |x| {
                conv2d(x, &case.weight, Some(&case.bias), &case.params, &Interrupt::never())
            });
            let (mut truth, above) = (vec![0f32; input.len()], values(&weights));
            case.each_product(|out, at, tap| truth[at] += above[out] * kernel[tap]);
            assert_close(&values(&ours), &truth, 1e-5, &case.describe());
        }
    }

    #[test]
    fn the_path_of_other_devices_agrees() {
        let mut rng = rng(2);
        for _ in 0..100 {
            let Case { x, weight, bias, params } = Case::random(&mut rng);
            let ours = conv2d(&x, &weight, Some(&bias), &params, &Interrupt::never()).unwrap();
            let theirs = candle_forward(&x, &weight, Some(&bias), &params).unwrap();
            assert_close(&values(&theirs), &values(&ours), 1e-5, "forward");

            let above = random(&mut rng, ours.shape());
            let ours = gradient(&x, &above, |x| conv2d(x, &weight, None, &params, &Interrupt::never()));
            let (_, _, height, width) = x.dims4().unwrap();
            let theirs = candle_backward(&above, &weight, &params, height, width).unwrap();
            assert_close(&values(&theirs), &values(&ours), 1e-5, "backward");
        }
    }

    #[test]
    fn the_gradient_is_the_slope() {
        let mut rng = rng(3);
        let x = random(&mut rng, (1, 2, 6, 5));
        let weight = random(&mut rng, (3, 2, 3, 3));
        let params = Conv2dParams { stride: 2, padding: 1, ..Conv2dParams::default() };
        let run = |x: &Tensor| conv2d(x, &weight, None, &params, &Interrupt::never());
        let above = random(&mut rng, run(&x).unwrap().shape());
        let score = |x: &Tensor| (run(x).unwrap() * &above).unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap();
        let slope = values(&gradient(&x, &above, run));
        for (i, slope) in slope.iter().enumerate() {
            let moved = |by: f32| {
                let mut v = values(&x);
                v[i] += by;
                Tensor::from_vec(v, x.shape(), x.device()).unwrap()
            };
            let measured = (score(&moved(0.5)) - score(&moved(-0.5))) / 1.0;
            assert!((measured - slope).abs() < 1e-4, "at {i}: {measured} {slope}");
        }
    }

    #[test]
    fn images_larger_than_a_block_are_cut_and_joined() {
        let mut rng = rng(4);
        let x = random(&mut rng, (1, 16, 150, 140));
        let weight = random(&mut rng, (2, 16, 3, 3));
        let params = Conv2dParams { padding: 1, ..Conv2dParams::default() };
        let ours = conv2d(&x, &weight, None, &params, &Interrupt::never()).unwrap();
        let theirs = candle_forward(&x, &weight, None, &params).unwrap();
        assert_close(&values(&ours), &values(&theirs), 1e-5, "forward");
        let above = random(&mut rng, ours.shape());
        let ours = gradient(&x, &above, |x| conv2d(x, &weight, None, &params, &Interrupt::never()));
        let theirs = candle_backward(&above, &weight, &params, 150, 140).unwrap();
        assert_close(&values(&ours), &values(&theirs), 1e-5, "backward");
    }

    #[test]
    fn an_interrupt_stops_both_directions() {
        let mut rng = rng(5);
        let (x, weight) = (random(&mut rng, (1, 2, 6, 5)), random(&mut rng, (3, 2, 3, 3)));
        let stop = Interrupt::default();
        stop.raise();
        let error = conv2d(&x, &weight, None, &Conv2dParams::default(), &stop).unwrap_err();
        assert_eq!(error.kind(), Kind::Interrupted);

        stop.clear();
        let x = candle_core::Var::from_tensor(&x).unwrap();
        let y = conv2d(&x, &weight, None, &Conv2dParams::default(), &stop).unwrap();
        stop.raise();
        let error = Error::from(y.sum_all().unwrap().backward().unwrap_err());
        assert_eq!(error.kind(), Kind::Interrupted);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut rng = rng(6);
        let weight = random(&mut rng, (4, 2, 3, 3));
        let run = |shape: (usize, usize, usize, usize), params| {
            let x = Tensor::zeros(shape, candle_core::DType::F32, &candle_core::Device::Cpu).unwrap();
            conv2d(&x, &weight, None, &params, &Interrupt::never()).map(|y| y.dims().to_vec())
        };
        let plain = Conv2dParams::default();
        assert!(run((1, 3, 9, 9), plain).unwrap_err().to_string().contains("3 channels"));
        assert!(run((1, 2, 2, 9), plain).unwrap_err().to_string().contains("9×2"));
        assert!(run((1, 2, 9, 9), Conv2dParams { stride: 0, ..plain }).is_err());
        assert!(run((1, 2, 9, 9), Conv2dParams { groups: 0, ..plain }).is_err());
        assert!(run((1, 2, 0, 9), Conv2dParams { padding: 3, ..plain }).is_err());
        assert_eq!(run((0, 2, 9, 9), plain).unwrap(), [0, 4, 7, 7]);
    }
}
