//! The two-dimensional Fourier transform of real planes, both ways.

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use candle_core::Tensor;
use rayon::prelude::*;
use realfft::num_complex::Complex;
use realfft::{FftError, RealFftPlanner};
use rustfft::FftPlanner;

use super::planes::{compute, plane_size, with_last};
use super::{TensorValue, with_backward};
use crate::error::{Error, Kind, Result};
use crate::lang::{choices, function};

/// Where the factor 1 / (H W) between a transform and its inverse goes, as `norm` in `torch.fft`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FftNorm {
    /// To the inverse.
    #[default]
    Backward,
    /// Its square root to both, so that both keep lengths.
    Ortho,
}

impl FftNorm {
    /// The factors of the transform and of its inverse.
    fn factors(self, height: usize, width: usize) -> (f32, f32) {
        let count = height as f64 * width as f64;
        match self {
            Self::Backward => (1.0, (1.0 / count) as f32),
            Self::Ortho => ((1.0 / count.sqrt()) as f32, (1.0 / count.sqrt()) as f32),
        }
    }
}

choices!(FftNorm { "backward" => Backward, "ortho" => Ortho });

/// The spectrum of real planes: `[..., H, W]` to `[..., H, W/2 + 1, 2]`, real and imaginary parts last, as
/// `torch.view_as_real(torch.fft.rfft2(x, norm=norm))`.
///
/// The other half of the columns is not kept: it is the complex conjugate of this one, turned by half a turn.
///
/// # Errors
/// `x` has fewer than two axes or is empty.
pub fn rfft2(x: &Tensor, norm: FftNorm) -> Result<Tensor> {
    let (height, width) = plane_size(x, "rfft2")?;
    let (factor, _) = norm.factors(height, width);
    let y = to_spectrum(x, &Transform { height, width, factor, paired: 1.0 })?;
    // the sum of a plane's waves counts those that stand for two twice
    with_backward(x, y, move |gradient| to_planes(gradient, &Transform { height, width, factor, paired: 0.5 }))
}

/// The real planes of a spectrum: `[..., H, W/2 + 1, 2]` to `[..., H, W]`, as `torch.fft.irfft2(y, s=(height, width),
/// norm=norm)`.
///
/// Imaginary parts that no real plane has (of the mean, for one) are left out, after the columns' transform, as
/// PyTorch does.
///
/// # Errors
/// The spectrum does not have this shape for this height and width.
pub fn irfft2(spectrum: &Tensor, height: usize, width: usize, norm: FftNorm) -> Result<Tensor> {
    check_spectrum(spectrum, height, width)?;
    let (_, factor) = norm.factors(height, width);
    let x = to_planes(spectrum, &Transform { height, width, factor, paired: 1.0 })?;
    // a wave that stands for two reaches the plane twice
    with_backward(spectrum, x, move |gradient| to_spectrum(gradient, &Transform { height, width, factor, paired: 2.0 }))
}

fn check_spectrum(x: &Tensor, height: usize, width: usize) -> Result<()> {
    for (name, size) in [("height", height), ("width", width)] {
        if size == 0 {
            let message = format!("irfft2: `{name}` must be at least 1, not 0");
            return Err(Error::new(Kind::Argument, message).at_argument(name));
        }
    }
    let columns = width / 2 + 1;
    if x.dims().ends_with(&[height, columns, 2]) {
        return Ok(());
    }
    let message = format!("irfft2: a spectrum of shape {:?} is not one of planes of {height}×{width}", x.dims());
    let hint = format!("that is [..., {height}, {columns}, 2]");
    Err(Error::new(Kind::Tensor, message).with_hint(hint).at_argument("spectrum"))
}

/// A transform of planes of `height` × `width`, or its inverse.
struct Transform {
    height: usize,
    width: usize,
    /// What everything is multiplied by.
    factor: f32,
    /// What columns of the spectrum that stand for two are multiplied by besides: all but the first, and the last
    /// of an even width.
    paired: f32,
}

impl Transform {
    /// The columns of the spectrum that are kept.
    fn columns(&self) -> usize {
        self.width / 2 + 1
    }

    /// What a column of the spectrum is multiplied by.
    fn weight(&self, column: usize) -> f32 {
        if column == 0 || 2 * column == self.width { self.factor } else { self.factor * self.paired }
    }
}

/// Rows or columns that are transposed together: their complex numbers fill a line of the cache.
const GROUP: usize = 8;
const ZERO: Complex<f32> = Complex { re: 0.0, im: 0.0 };

/// The unscaled transform Σ x e^(−iωt) of each plane, times the transform's weights.
///
/// Rows first, then columns, which lie one after another in between.
fn to_spectrum(x: &Tensor, transform: &Transform) -> Result<Tensor> {
    let (height, width, columns) = (transform.height, transform.width, transform.columns());
    let along_rows = plans().real.plan_fft_forward(width);
    let along_columns = plans().complex.plan_fft_forward(height);
    compute(x, with_last(x, 2, &[height, columns, 2], "rfft2")?, |from, to| {
        let mut rows = vec![ZERO; from.len() / width * columns];
        rows.par_chunks_mut(columns).zip(from.par_chunks(width)).try_for_each_init(
            || (along_rows.make_input_vec(), along_rows.make_scratch_vec()),
            |(input, scratch), (row, from)| {
                input.copy_from_slice(from);
                along_rows.process_with_scratch(input, row, scratch).map_err(fault)
            },
        )?;

        let mut turned = vec![ZERO; rows.len()];
        let planes = turned.par_chunks_mut(columns * height).zip(rows.par_chunks(height * columns));
        planes.for_each(|(turned, rows)| {
            turned.par_chunks_mut(GROUP * height).enumerate().for_each_init(
                || vec![ZERO; along_columns.get_inplace_scratch_len()],
                |scratch, (group, turned)| {
                    for (y, row) in rows.chunks_exact(columns).enumerate() {
                        let values = row.iter().enumerate().skip(group * GROUP);
                        for (column, (place, value)) in turned.chunks_exact_mut(height).zip(values) {
                            column[y] = value * transform.weight(place);
                        }
                    }
                    along_columns.process_with_scratch(turned, scratch);
                },
            );
        });

        let planes = to.par_chunks_mut(height * columns * 2).zip(turned.par_chunks(columns * height));
        planes.for_each(|(to, turned)| {
            to.par_chunks_mut(GROUP * columns * 2).enumerate().for_each(|(group, to)| {
                for (place, column) in turned.chunks_exact(height).enumerate() {
                    for (row, value) in to.chunks_exact_mut(columns * 2).zip(&column[group * GROUP..]) {
                        row[2 * place] = value.re;
                        row[2 * place + 1] = value.im;
                    }
                }
            });
        });
        Ok(())
    })
}

/// The unscaled inverse Σ Re(y e^(iωt)) of each spectrum, over both halves, times the transform's weights.
///
/// Columns first, then rows.
fn to_planes(x: &Tensor, transform: &Transform) -> Result<Tensor> {
    let (height, width, columns) = (transform.height, transform.width, transform.columns());
    let along_columns = plans().complex.plan_fft_inverse(height);
    let along_rows = plans().real.plan_fft_inverse(width);
    compute(x, with_last(x, 3, &[height, width], "irfft2")?, |from, to| {
        let mut turned = vec![ZERO; from.len() / 2];
        let planes = turned.par_chunks_mut(columns * height).zip(from.par_chunks(height * columns * 2));
        planes.for_each(|(turned, from)| {
            turned.par_chunks_mut(GROUP * height).enumerate().for_each_init(
                || vec![ZERO; along_columns.get_inplace_scratch_len()],
                |scratch, (group, turned)| {
                    for (y, row) in from.chunks_exact(columns * 2).enumerate() {
                        let values = row.as_chunks::<2>().0.iter().enumerate().skip(group * GROUP);
                        for (column, (place, &[re, im])) in turned.chunks_exact_mut(height).zip(values) {
                            column[y] = Complex { re, im } * transform.weight(place);
                        }
                    }
                    along_columns.process_with_scratch(turned, scratch);
                },
            );
        });

        let planes = to.par_chunks_mut(height * width).zip(turned.par_chunks(columns * height));
        planes.try_for_each(|(to, turned)| {
            to.par_chunks_mut(GROUP * width).enumerate().try_for_each_init(
                || (vec![ZERO; GROUP * columns], along_rows.make_scratch_vec()),
                |(rows, scratch), (group, to)| {
                    for (place, column) in turned.chunks_exact(height).enumerate() {
                        for (row, value) in rows.chunks_exact_mut(columns).zip(&column[group * GROUP..]) {
                            row[place] = *value;
                        }
                    }
                    for (row, to) in rows.chunks_exact_mut(columns).zip(to.chunks_exact_mut(width)) {
                        leave_out_unpaired(row, width);
                        along_rows.process_with_scratch(row, to, scratch).map_err(fault)?;
                    }
                    Ok(())
                },
            )
        })
    })
}

/// The columns that stand for themselves alone are real in the spectrum of a real row.
fn leave_out_unpaired(row: &mut [Complex<f32>], width: usize) {
    if let Some(first) = row.first_mut() {
        first.im = 0.0;
    }
    if width.is_multiple_of(2)
        && let Some(last) = row.last_mut()
    {
        last.im = 0.0;
    }
}

/// Makes the plans of transforms, and keeps those it has made.
struct Plans {
    real: RealFftPlanner<f32>,
    complex: FftPlanner<f32>,
}

/// Planning a length takes longer than a transform of it; a plan depends on nothing else.
static PLANS: LazyLock<Mutex<Plans>> =
    LazyLock::new(|| Mutex::new(Plans { real: RealFftPlanner::new(), complex: FftPlanner::new() }));

fn plans() -> MutexGuard<'static, Plans> {
    PLANS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn fault(error: FftError) -> Error {
    Error::new(Kind::Internal, format!("the Fourier transform of a row failed: {error}"))
}

/// The Fourier transform of a tensor's last two dimensions: [..., H, W] to [..., H, W/2 + 1, 2], the real and the
/// imaginary parts. The other half of the columns would only repeat these, conjugated.
///
/// The numbers are those of PyTorch's `fft.rfft2`.
///
/// ```rhai
/// rfft2(tensor([[1, 2, 3], [4, 5, 6]]))
/// ```
#[function(name = "rfft2")]
fn rfft2_word(
    /// The tensor, [..., H, W].
    tensor: TensorValue,
    /// Where the factor 1 / (H W) goes: `"backward"` to the inverse, `"ortho"` its square root to both.
    #[default("backward")]
    norm: FftNorm,
) -> Result<TensorValue> {
    Ok(rfft2(tensor.inner(), norm)?.into())
}

/// The tensor of a spectrum, as `rfft2` makes them: [..., H, W/2 + 1, 2] to [..., H, W].
///
/// The width must be said, for an even and an odd one have spectra of the same shape. The numbers are those of
/// PyTorch's `fft.irfft2`.
///
/// ```rhai
/// let spectrum = rfft2(tensor([[1, 2, 3], [4, 5, 6]]));
/// irfft2(spectrum, 2, 3)
/// ```
#[function(name = "irfft2")]
fn irfft2_word(
    /// The spectrum, [..., H, W/2 + 1, 2].
    spectrum: TensorValue,
    /// The height of the result.
    #[range(1..)]
    height: usize,
    /// The width of the result.
    #[range(1..)]
    width: usize,
    /// Where the factor 1 / (H W) goes: `"backward"` here, `"ortho"` its square root both here and in `rfft2`.
    #[default("backward")]
    norm: FftNorm,
) -> Result<TensorValue> {
    Ok(irfft2(spectrum.inner(), height, width, norm)?.into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::f64::consts::TAU;

    use candle_core::{DType, Device};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::tensor::testing::{Entry, assert_close, assert_linear, pick, random, rng, stacked, values};

    /// Every pixel (row, column) with every kept frequency (row, column), their places, and ωt.
    fn pairs(height: usize, width: usize) -> Vec<(usize, usize, usize, f64)> {
        let columns = width / 2 + 1;
        let places = |columns: usize| (0..height).flat_map(move |y| (0..columns).map(move |x| (y, x)));
        let pixels = || places(width);
        let angle = |(y, x): (usize, usize), (k, l): (usize, usize)| {
            TAU * ((y * k) as f64 / height as f64 + (x * l) as f64 / width as f64)
        };
        places(columns)
            .flat_map(|f| pixels().map(move |p| (p.0 * width + p.1, f.0 * columns + f.1, f.1, angle(p, f))))
            .collect()
    }

    /// Σ x e^(−iωt): real parts at even places, imaginary ones at odd places.
    fn slow_forward(height: usize, width: usize, factor: f64) -> Vec<Entry> {
        let parts = |(pixel, frequency, _, angle): (usize, usize, usize, f64)| {
            [(2 * frequency, pixel, factor * angle.cos()), (2 * frequency + 1, pixel, -factor * angle.sin())]
        };
        pairs(height, width).into_iter().flat_map(parts).collect()
    }

    /// Σ Re(y e^(iωt)) over both halves of the spectrum, the other one conjugated.
    fn slow_inverse(height: usize, width: usize, factor: f64) -> Vec<Entry> {
        let parts = |(pixel, frequency, column, angle): (usize, usize, usize, f64)| {
            let factor = if column == 0 || 2 * column == width { factor } else { 2.0 * factor };
            [(pixel, 2 * frequency, factor * angle.cos()), (pixel, 2 * frequency + 1, -factor * angle.sin())]
        };
        pairs(height, width).into_iter().flat_map(parts).collect()
    }

    fn draw(rng: &mut ChaCha8Rng) -> (usize, usize, FftNorm) {
        let norm = if pick(rng, 0..=1) == 0 { FftNorm::Backward } else { FftNorm::Ortho };
        (pick(rng, 1..=13), pick(rng, 1..=18), norm)
    }

    #[test]
    fn the_transform_and_its_gradient_equal_the_definition() {
        let mut rng = rng(75);
        for _ in 0..300 {
            let (height, width, norm) = draw(&mut rng);
            let count = (height * width) as f64;
            let factor = if norm == FftNorm::Ortho { count.sqrt().recip() } else { 1.0 };
            let x = stacked(&mut rng, &[height, width]);
            let what = format!("{height}×{width} {norm:?}");
            let shape = [height, width / 2 + 1, 2];
            let entries = slow_forward(height, width, factor);
            assert_linear(&mut rng, &x, (2, &shape), &entries, 0.0, &what, |x| rfft2(x, norm));
        }
    }

    #[test]
    fn the_inverse_and_its_gradient_equal_the_definition() {
        let mut rng = rng(76);
        for _ in 0..300 {
            let (height, width, norm) = draw(&mut rng);
            let count = (height * width) as f64;
            let factor = if norm == FftNorm::Ortho { count.sqrt().recip() } else { count.recip() };
            // random numbers: no spectrum of a real plane
            let y = stacked(&mut rng, &[height, width / 2 + 1, 2]);
            let what = format!("{height}×{width} {norm:?}");
            let entries = slow_inverse(height, width, factor);
            assert_linear(&mut rng, &y, (3, &[height, width]), &entries, 0.0, &what, |y| {
                irfft2(y, height, width, norm)
            });
        }
    }

    #[test]
    fn there_and_back_is_the_same() {
        let mut rng = rng(77);
        for (height, width) in [(1, 1), (1, 7), (224, 224), (227, 131), (97, 1), (64, 257)] {
            for norm in [FftNorm::Backward, FftNorm::Ortho] {
                let x = random(&mut rng, (3, height, width));
                let back = irfft2(&rfft2(&x, norm).unwrap(), height, width, norm).unwrap();
                assert_close(&values(&back), &values(&x), 1e-5, &format!("{height}×{width} {norm:?}"));
            }
        }
    }

    #[test]
    fn spectra_of_another_shape_are_refused() {
        let fault = |shape: &[usize], height, width| {
            let y = Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
            irfft2(&y, height, width, FftNorm::Backward).unwrap_err()
        };
        let error = fault(&[3, 4, 3, 2], 4, 6);
        assert_eq!(error.message(), "irfft2: a spectrum of shape [3, 4, 3, 2] is not one of planes of 4×6");
        assert_eq!(error.hint(), Some("that is [..., 4, 4, 2]"));
        assert_eq!(fault(&[4, 3], 4, 4).argument(), Some("spectrum"));
        assert_eq!(fault(&[0, 1, 2], 0, 0).argument(), Some("height"));
        assert!(rfft2(&Tensor::zeros((3, 0), DType::F32, &Device::Cpu).unwrap(), FftNorm::Ortho).is_err());
        let none = Tensor::zeros((0, 4, 5), DType::F32, &Device::Cpu).unwrap();
        let spectrum = rfft2(&none, FftNorm::Backward).unwrap();
        assert_eq!(irfft2(&spectrum, 4, 5, FftNorm::Backward).unwrap().dims(), [0, 4, 5]);
    }
}
