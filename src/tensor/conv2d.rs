//! 2-D convolution with its gradients for input, weight and bias.

use std::sync::Arc;

use candle_core::Tensor;

use super::im2col::Geometry;
use super::sum::sum;
use super::{Conv2dParams, Rule, with_backwards};
use crate::error::{Error, Result};
use crate::job::Interrupt;

/// Cross-correlation, as every framework's "convolution".
///
/// `x` is `[N, C, H, W]`, `weight` `[O, C / groups, KH, KW]`, `bias` `[O]`; the result is `[N, O, H′, W′]`. Whichever
/// of the three is on candle's tape gets a gradient. All directions ask `interrupt` between blocks of rows. It is an
/// error if the shapes don't fit each other or the kernel has no place in the image.
pub fn conv2d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    params: &Conv2dParams,
    interrupt: &Interrupt,
) -> Result<Tensor> {
    let geometry = Geometry::new(x.dims4()?, weight.dims4()?, params)?;
    let done = Convolved { x: x.detach(), weight: weight.detach(), geometry, params: *params };
    let y = done.value(bias.map(Tensor::detach).as_ref(), interrupt)?;
    let done = Arc::new(done);
    let rule = |gradient: Gradient| -> Rule {
        let (done, interrupt) = (done.clone(), interrupt.clone());
        Box::new(move |above| {
            interrupt.check()?;
            gradient(&done, above, &interrupt)
        })
    };
    let mut inputs = vec![(x, rule(Convolved::for_input)), (weight, rule(Convolved::for_weight))];
    inputs.extend(bias.map(|bias| (bias, rule(|_, above, _| for_bias(above)))));
    with_backwards(inputs, y)
}

/// The gradient of one input, given that of the result.
type Gradient = fn(&Convolved, &Tensor, &Interrupt) -> Result<Tensor>;

/// What a convolution keeps for its way back.
struct Convolved {
    x: Tensor,
    weight: Tensor,
    geometry: Geometry,
    params: Conv2dParams,
}

impl Convolved {
    fn value(&self, bias: Option<&Tensor>, interrupt: &Interrupt) -> Result<Tensor> {
        if self.x.device().is_cpu() {
            self.geometry.forward(&self.x, &self.weight, bias, interrupt)
        } else {
            candle_forward(&self.x, &self.weight, bias, &self.params)
        }
    }

    fn for_input(&self, above: &Tensor, interrupt: &Interrupt) -> Result<Tensor> {
        if self.x.device().is_cpu() {
            self.geometry.backward(above, &self.weight, interrupt)
        } else {
            candle_backward(above, &self.weight, &self.params, self.geometry.height, self.geometry.width)
        }
    }

    fn for_weight(&self, above: &Tensor, interrupt: &Interrupt) -> Result<Tensor> {
        if self.x.device().is_cpu() {
            self.geometry.backward_weight(&self.x, above, interrupt)
        } else {
            let (_, _, height, width) = self.weight.dims4()?;
            candle_backward_weight(&self.x, above, &self.params, [height, width])
        }
    }
}

/// The sum over images and pixels: `[N, O, H′, W′]` to `[O]`.
fn for_bias(above: &Tensor) -> Result<Tensor> {
    sum(above, &[0, 2, 3], false)
}

/// candle's convolution knows one stride, padding and dilation: for others the kernel is spread out with zeros to
/// one that has none, the image padded by hand, and what an uneven stride skips is left out.
struct Evened {
    padding: [[usize; 2]; 2],
    weight: Tensor,
    stride: [usize; 2],
}

impl Evened {
    fn new(weight: &Tensor, params: &Conv2dParams) -> Result<Self> {
        let Conv2dParams { stride, padding, dilation, .. } = *params;
        Ok(Self { padding, weight: spread(&spread(weight, 2, dilation[0])?, 3, dilation[1])?, stride })
    }
}

/// Puts `step − 1` zeros between neighbours along an axis.
fn spread(x: &Tensor, axis: usize, step: usize) -> Result<Tensor> {
    let size = x.dim(axis)?;
    if step == 1 || size <= 1 {
        return Ok(x.clone());
    }
    let wide = x.unsqueeze(axis + 1)?.pad_with_zeros(axis + 1, 0, step - 1)?.flatten(axis, axis + 1)?;
    Ok(wide.narrow(axis, 0, (size - 1) * step + 1)?)
}

/// Every `step`-th place along an axis.
fn skip(x: &Tensor, axis: usize, step: usize) -> Result<Tensor> {
    if step == 1 {
        return Ok(x.clone());
    }
    let places: Vec<u32> = (0..x.dim(axis)? as u32).step_by(step).collect();
    Ok(x.contiguous()?.index_select(&Tensor::new(places, x.device())?, axis)?)
}

/// candle's convolution, for devices other than the CPU.
fn candle_forward(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, params: &Conv2dParams) -> Result<Tensor> {
    let Evened { padding: [[top, bottom], [left, right]], weight, stride } = Evened::new(weight, params)?;
    let x = x.pad_with_zeros(2, top, bottom)?.pad_with_zeros(3, left, right)?;
    let y = x.conv2d(&weight, 0, 1, 1, params.groups)?;
    let y = skip(&skip(&y, 2, stride[0])?, 3, stride[1])?;
    match bias {
        Some(bias) => Ok(y.broadcast_add(&bias.reshape((1, (), 1, 1))?)?),
        None => Ok(y),
    }
}

/// The gradient for an input of `height` × `width` by candle's transposed convolution.
fn candle_backward(
    gradient: &Tensor,
    weight: &Tensor,
    params: &Conv2dParams,
    height: usize,
    width: usize,
) -> Result<Tensor> {
    let Evened { padding: [[top, bottom], [left, right]], weight, stride } = Evened::new(weight, params)?;
    let gradient = spread(&spread(gradient, 2, stride[0])?, 3, stride[1])?;
    let parts = gradient.chunk(params.groups, 1)?.into_iter().zip(weight.chunk(params.groups, 0)?);
    let parts = parts
        .map(|(gradient, weight)| gradient.contiguous()?.conv_transpose2d(&weight.contiguous()?, 0, 0, 1, 1))
        .collect::<candle_core::Result<Vec<_>>>()?;
    // a last place that the stride never reached has no gradient
    let whole = Tensor::cat(&parts, 1)?;
    let missing = |axis, size| Ok::<usize, Error>(usize::saturating_sub(size, whole.dim(axis)?));
    let (below, beside) = (missing(2, height + top + bottom)?, missing(3, width + left + right)?);
    let whole = whole.pad_with_zeros(2, 0, below)?.pad_with_zeros(3, 0, beside)?;
    Ok(whole.narrow(2, top, height)?.narrow(3, left, width)?.contiguous()?)
}

/// The gradient for a weight whose kernel is `kernel` by candle's convolution: images are summed over as channels
/// are, so they change places, and the gradient becomes the kernel.
fn candle_backward_weight(x: &Tensor, gradient: &Tensor, params: &Conv2dParams, kernel: [usize; 2]) -> Result<Tensor> {
    let Conv2dParams { stride, padding: [[top, bottom], [left, right]], dilation, groups } = *params;
    let x = x.pad_with_zeros(2, top, bottom)?.pad_with_zeros(3, left, right)?;
    let gradient = spread(&spread(gradient, 2, stride[0])?, 3, stride[1])?;
    let parts = x.chunk(groups, 1)?.into_iter().zip(gradient.chunk(groups, 1)?);
    let parts = parts.map(|(x, gradient)| {
        let (x, gradient) = (x.transpose(0, 1)?.contiguous()?, gradient.transpose(0, 1)?.contiguous()?);
        let whole = x.conv2d(&gradient, 0, 1, 1, 1)?.transpose(0, 1)?;
        // what lies beyond the last tap belongs to pixels that the stride never reached
        let reach = |axis: usize| dilation[axis] * (kernel[axis] - 1) + 1;
        let whole = whole.narrow(2, 0, reach(0))?.narrow(3, 0, reach(1))?;
        skip(&skip(&whole, 2, dilation[0])?, 3, dilation[1])
    });
    Ok(Tensor::cat(&parts.collect::<Result<Vec<Tensor>>>()?, 0)?.contiguous()?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::error::Kind;
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
            let mut pair = |range: std::ops::RangeInclusive<usize>| [pick(rng, range.clone()), pick(rng, range)];
            let (stride, dilation, padding) = (pair(1..=3), pair(1..=2), [pair(0..=3), pair(0..=3)]);
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
            let [[top, bottom], [left, right]] = padding;
            let oh = (h + top + bottom - dilation[0] * (kh - 1) - 1) / stride[0] + 1;
            let ow = (w + left + right - dilation[1] * (kw - 1) - 1) / stride[1] + 1;
            for (image, out, y, x) in product4(n, o, oh, ow) {
                for (_, channel, ky, kx) in product4(1, cg, kh, kw) {
                    let (iy, ix) = (y * stride[0] + ky * dilation[0], x * stride[1] + kx * dilation[1]);
                    if (top..h + top).contains(&iy) && (left..w + left).contains(&ix) {
                        let input = out / (o / groups) * cg + channel;
                        visit(
                            ((image * o + out) * oh + y) * ow + x,
                            ((image * c + input) * h + iy - top) * w + ix - left,
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

            let run = |weight: &Tensor| conv2d(&x, weight, Some(&bias), &params, &Interrupt::never());
            let ours = gradient(&weight, &above, run);
            let (_, _, height, width) = weight.dims4().unwrap();
            let theirs = candle_backward_weight(&x, &above, &params, [height, width]).unwrap();
            assert_eq!(theirs.dims(), weight.dims());
            assert_close(&values(&theirs), &values(&ours), 1e-5, "weight");
        }
    }

    #[test]
    fn gradients_for_weight_and_bias_equal_the_definition() {
        let mut rng = rng(7);
        for number in 0..300 {
            let case = Case::random(&mut rng);
            let Case { x, weight, bias, params } = &case;
            let run =
                |x: &Tensor, weight: &Tensor, bias: &Tensor| conv2d(x, weight, Some(bias), params, &Interrupt::never());
            let above = random(&mut rng, run(x, weight, bias).unwrap().shape());
            let (mut for_x, mut for_weight) = (vec![0f32; x.elem_count()], vec![0f32; weight.elem_count()]);
            let (input, kernel, g) = (values(x), values(weight), values(&above));
            case.each_product(|out, at, tap| {
                for_x[at] += g[out] * kernel[tap];
                for_weight[tap] += g[out] * input[at];
            });
            let plane = above.dim(2).unwrap() * above.dim(3).unwrap();
            let mut for_bias = vec![0f32; bias.elem_count()];
            g.iter().enumerate().for_each(|(i, g)| for_bias[i / plane % bias.elem_count()] += g);

            let what = case.describe();
            // alone, and all together
            assert_close(&values(&gradient(weight, &above, |w| run(x, w, bias))), &for_weight, 1e-5, &what);
            assert_close(&values(&gradient(bias, &above, |b| run(x, weight, b))), &for_bias, 1e-5, &what);
            if number % 4 == 0 {
                let vars = [x, weight, bias].map(|tensor| candle_core::Var::from_tensor(tensor).unwrap());
                let y = (run(&vars[0], &vars[1], &vars[2]).unwrap() * &above).unwrap().sum_all().unwrap();
                let gradients = y.backward().unwrap();
                for (var, truth) in vars.iter().zip([&for_x, &for_weight, &for_bias]) {
                    assert_close(&values(gradients.get(var).unwrap()), truth, 1e-5, &what);
                }
            }
        }
    }

    #[test]
    fn the_gradient_for_a_weight_is_one_for_any_number_of_threads() {
        let mut rng = rng(8);
        let (x, weight) = (random(&mut rng, (2, 3, 61, 53)), random(&mut rng, (8, 3, 3, 3)));
        let params = Conv2dParams::new(1, 1);
        let above = random(&mut rng, (2, 8, 61, 53));
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let run = |weight: &Tensor| conv2d(&x, weight, None, &params, &Interrupt::never());
            pool.install(|| values(&gradient(&weight, &above, run)))
        };
        let one = on(1);
        for threads in [2, 3, 7, 7] {
            assert_eq!(on(threads), one, "{threads} threads");
        }
    }

    #[test]
    fn the_gradient_is_the_slope() {
        let mut rng = rng(3);
        let x = random(&mut rng, (1, 2, 6, 5));
        let weight = random(&mut rng, (3, 2, 3, 3));
        let params = Conv2dParams::new(2, 1);
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
        let params = Conv2dParams::new(1, 1);
        let ours = conv2d(&x, &weight, None, &params, &Interrupt::never()).unwrap();
        let theirs = candle_forward(&x, &weight, None, &params).unwrap();
        assert_close(&values(&ours), &values(&theirs), 1e-5, "forward");
        let above = random(&mut rng, ours.shape());
        let ours = gradient(&x, &above, |x| conv2d(x, &weight, None, &params, &Interrupt::never()));
        let theirs = candle_backward(&above, &weight, &params, 150, 140).unwrap();
        assert_close(&values(&ours), &values(&theirs), 1e-5, "backward");
        let ours = gradient(&weight, &above, |weight| conv2d(&x, weight, None, &params, &Interrupt::never()));
        let theirs = candle_backward_weight(&x, &above, &params, [3, 3]).unwrap();
        assert_close(&values(&ours), &values(&theirs), 1e-4, "weight");
    }

    #[test]
    fn an_interrupt_stops_every_direction() {
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

        stop.clear();
        let weight = candle_core::Var::from_tensor(&weight).unwrap();
        let y = conv2d(&x.as_detached_tensor(), &weight, None, &Conv2dParams::default(), &stop).unwrap();
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
        assert!(run((1, 2, 9, 9), Conv2dParams::new(0, 0)).is_err());
        assert!(run((1, 2, 9, 9), Conv2dParams { groups: 0, ..plain }).is_err());
        assert!(run((1, 2, 0, 9), Conv2dParams::new(1, 3)).is_err());
        assert_eq!(run((0, 2, 9, 9), plain).unwrap(), [0, 4, 7, 7]);
    }
}
