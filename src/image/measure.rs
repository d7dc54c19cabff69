//! Numbers about images: how far two are apart, how rough one is, and where its energy lies.

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::{Image, WHITE};
use crate::error::{Error, Kind, Result};
use crate::lang::function;
use crate::tensor::{FftNorm, rfft2, sum_of};

/// The weights of red, green and blue in the luma (ITU-R BT.601).
const LUMA: [f32; 3] = [0.299, 0.587, 0.114];
/// The side of SSIM's window, and the standard deviation of its Gaussian, in pixels.
const WINDOW: usize = 11;
const SIGMA: f64 = 1.5;
/// What keeps SSIM's fractions from dividing by nothing: (K1 L)² and (K2 L)² for pixels from 0 to L = 1.
const C1: f64 = 0.01 * 0.01;
const C2: f64 = 0.03 * 0.03;
/// Radial frequencies above this are the highest octave, in cycles per pixel.
const HIGHEST_OCTAVE: f64 = 0.25;

/// The peak signal-to-noise ratio of two images in decibels, 10 log₁₀(1 / mean squared difference) over red, green and blue; infinite
/// if they are the same.
///
/// ```rhai
/// let cat = photo("chelsea").resize(90, 60);
/// psnr(cat, cat.resize(45, 30).resize(90, 60))
/// ```
#[function]
pub fn psnr(
    /// An image; a cut-out is put on white.
    image: &Image,
    /// Another one of the same size.
    other: &Image,
) -> Result<f64> {
    let (one, other) = same_size("psnr", image, other)?;
    let squares: Vec<f32> = one.planes().iter().zip(other.planes()).map(|(a, b)| a - b).collect();
    let mean = sum_of(&squares, |difference| f64::from(difference).powi(2)) / squares.len() as f64;
    Ok(-10.0 * mean.log10())
}

/// The structural similarity of two images, the mean over all windows and over red, green and blue: 1 if they are the same,
/// about 0 if they have nothing in common; it may be negative.
///
/// Windows are 11×11 pixels, weighted by a Gaussian with a standard deviation of 1.5, and lie wholly inside; K₁ is 0.01 and K₂ 0.03. The
/// paper compares the luma alone; here colours count too.
///
/// ```rhai
/// let cat = photo("chelsea").resize(90, 60);
/// ssim(cat, cat.resize(45, 30).resize(90, 60))
/// ```
#[function(
    source = "Wang, Bovik, Sheikh and Simoncelli, Image Quality Assessment, 2004; scikit-image 0.26, structural_similarity"
)]
pub fn ssim(
    /// An image of at least 11×11 pixels; a cut-out is put on white.
    image: &Image,
    /// Another one of the same size.
    other: &Image,
) -> Result<f64> {
    let (one, other) = same_size("ssim", image, other)?;
    let (width, height) = (one.width(), one.height());
    if width.min(height) < WINDOW {
        let message = format!("ssim: windows of {WINDOW}×{WINDOW} do not fit images of {width}×{height}");
        return Err(Error::new(Kind::Argument, message).at_argument("image"));
    }
    let pairs: Vec<(&[f32], &[f32])> = one.channels().into_iter().zip(other.channels()).collect();
    let means: Vec<f64> = pairs.par_iter().map(|(a, b)| ssim_of_planes(a, b, width)).collect();
    Ok(means.iter().sum::<f64>() / means.len() as f64)
}

/// The total variation of an image: the sum of the absolute differences between neighbours, to the right and below, divided by the
/// number of pixels and of colours. 0 for a plain one, 0.04 to 0.2 for photographs, 2/3 for white noise from 0 to 1.
///
/// ```rhai
/// photo("china").total_variation()
/// ```
#[function(source = "Rudin, Osher and Fatemi, Nonlinear total variation based noise removal algorithms, 1992; anisotropic")]
pub fn total_variation(
    /// The image; a cut-out is put on white.
    image: &Image,
) -> Result<f64> {
    let image = image.flatten(WHITE);
    let width = image.width();
    let apart = |a: &f32, b: &f32| (f64::from(*a) - f64::from(*b)).abs();
    let of_row = |row: &[f32]| row.iter().zip(row.iter().skip(1)).map(|(a, b)| apart(a, b)).sum::<f64>();
    let of_plane = |plane: &[f32]| {
        let across: f64 = plane.chunks_exact(width).map(of_row).sum();
        let down: f64 = plane.iter().zip(plane.iter().skip(width)).map(|(a, b)| apart(a, b)).sum();
        across + down
    };
    Ok(image.channels().into_iter().map(of_plane).sum::<f64>() / image.planes().len() as f64)
}

/// The share of the pixels of an image that are at an end of the range, 0 to 1: red, green or blue is at most 1/255 or at least
/// 254/255.
///
/// ```rhai
/// photo("hubble").saturated()
/// ```
#[function]
pub fn saturated(
    /// The image; a cut-out is put on white.
    image: &Image,
) -> Result<f64> {
    let image = image.flatten(WHITE);
    let at_end = |value: &f32| *value <= 1.0 / 255.0 || *value >= 254.0 / 255.0;
    let [red, green, blue] = image.channels();
    let pixels = red.iter().zip(green).zip(blue);
    let count = pixels.filter(|((r, g), b)| at_end(r) || at_end(g) || at_end(b)).count();
    Ok(count as f64 / red.len() as f64)
}

/// The share of an image's energy that lies in the highest octave, 0 to 1: waves shorter than four pixels.
///
/// It is the spectral energy of the luma at radial frequencies above a quarter of the sampling rate, the corners included, as a
/// share of all but the mean. The image is weighted by a Hann window first. Photographs have 1 to 10 %, grass and gravel up to 30 %, white
/// noise has 1 − π / 16, about 80 %.
///
/// ```rhai
/// spectrum_share(noise(64, 64, seed=1))
/// ```
#[function]
pub fn spectrum_share(
    /// The image; a cut-out is put on white.
    image: &Image,
) -> Result<f64> {
    let image = image.flatten(WHITE);
    let (width, height) = (image.width(), image.height());
    let [red, green, blue] = image.channels();
    let luma = red.iter().zip(green).zip(blue).map(|((r, g), b)| LUMA[0] * r + LUMA[1] * g + LUMA[2] * b);
    let (across, down) = (hann(width), hann(height));
    let window = || down.iter().flat_map(|y| across.iter().map(move |x| x * y));
    // the mean under the window, so that nothing of it is left
    let luma: Vec<f32> = luma.collect();
    let sum: f64 = luma.iter().zip(window()).map(|(value, weight)| f64::from(*value) * weight).sum();
    let mean = sum / window().sum::<f64>();
    let weighted = luma.iter().zip(window()).map(|(value, weight)| ((f64::from(*value) - mean) * weight) as f32);
    let plane = Tensor::from_vec(weighted.collect::<Vec<f32>>(), (height, width), &Device::Cpu)?;
    let spectrum: Vec<f32> = rfft2(&plane, FftNorm::Ortho)?.flatten_all()?.to_vec1()?;
    let (mut high, mut all) = (0f64, 0f64);
    let columns = width / 2 + 1;
    for (place, [re, im]) in spectrum.as_chunks::<2>().0.iter().enumerate() {
        let (row, column) = (place / columns, place % columns);
        if place == 0 {
            continue;
        }
        // most columns stand for their mirror image as well
        let count = if column == 0 || 2 * column == width { 1.0 } else { 2.0 };
        let energy = count * (f64::from(*re).powi(2) + f64::from(*im).powi(2));
        let frequency = (column as f64 / width as f64).hypot(row.min(height - row) as f64 / height as f64);
        all += energy;
        if frequency > HIGHEST_OCTAVE {
            high += energy;
        }
    }
    // what is left of a plain image is rounding
    let rounding = 1e-12 * luma.len() as f64;
    Ok(if all <= rounding { 0.0 } else { high / all })
}

/// Both images without transparency.
fn same_size(name: &str, image: &Image, other: &Image) -> Result<(Image, Image)> {
    let size = |image: &Image| (image.width(), image.height());
    if size(image) == size(other) {
        return Ok((image.flatten(WHITE), other.flatten(WHITE)));
    }
    let ((width, height), (wide, high)) = (size(image), size(other));
    let message = format!("{name}: one image is {width}×{height}, the other {wide}×{high}");
    let hint = format!("bring it to the same size with resize({width}, {height})");
    Err(Error::new(Kind::Argument, message).with_hint(hint).at_argument("other"))
}

/// A Hann window of so many pixels, which is nowhere 0.
fn hann(side: usize) -> Vec<f64> {
    (0..side).map(|at| (std::f64::consts::PI * (at as f64 + 0.5) / side as f64).sin().powi(2)).collect()
}

/// The mean structural similarity of two planes.
fn ssim_of_planes(a: &[f32], b: &[f32], width: usize) -> f64 {
    let kernel = gaussian();
    let blurred = |value: fn(f64, f64) -> f64| {
        let plane: Vec<f64> = a.iter().zip(b).map(|(a, b)| value(f64::from(*a), f64::from(*b))).collect();
        blur(&plane, width, &kernel)
    };
    let (mean_a, mean_b) = (blurred(|a, _| a), blurred(|_, b| b));
    let (square_a, square_b, product) = (blurred(|a, _| a * a), blurred(|_, b| b * b), blurred(|a, b| a * b));
    let windows = mean_a.iter().zip(&mean_b).zip(square_a.iter().zip(&square_b).zip(&product));
    let similarity = |((a, b), ((aa, bb), ab)): ((&f64, &f64), ((&f64, &f64), &f64))| {
        let (variances, covariance) = (aa - a * a + bb - b * b, ab - a * b);
        (2.0 * a * b + C1) * (2.0 * covariance + C2) / ((a * a + b * b + C1) * (variances + C2))
    };
    windows.map(similarity).sum::<f64>() / mean_a.len() as f64
}

/// The weights of SSIM's window along one side.
fn gaussian() -> [f64; WINDOW] {
    let weight = |at: usize| (-0.5 * ((at as f64 - (WINDOW / 2) as f64) / SIGMA).powi(2)).exp();
    let sum: f64 = (0..WINDOW).map(weight).sum();
    std::array::from_fn(|at| weight(at) / sum)
}

/// A plane weighted by the kernel both ways, where the kernel lies wholly inside.
fn blur(plane: &[f64], width: usize, kernel: &[f64; WINDOW]) -> Vec<f64> {
    let along = |values: &[f64]| values.iter().zip(kernel).map(|(value, weight)| value * weight).sum::<f64>();
    let rows: Vec<Vec<f64>> = plane.chunks_exact(width).map(|row| row.windows(WINDOW).map(along).collect()).collect();
    let column = |rows: &[Vec<f64>]| -> Vec<f64> {
        let mut sums = vec![0f64; width - WINDOW + 1];
        for (row, weight) in rows.iter().zip(kernel) {
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value * weight);
        }
        sums
    };
    rows.windows(WINDOW).flat_map(column).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::image::{noise, photo};

    fn grey(width: usize, height: usize, value: impl Fn(usize, usize) -> f32) -> Image {
        let plane: Vec<f32> = (0..width * height).map(|at| value(at % width, at / width)).collect();
        Image::from_planes(width, height, plane.repeat(3), None).unwrap()
    }

    #[test]
    fn an_image_is_like_itself() {
        let image = photo("chelsea").unwrap().resize(60, 40).unwrap();
        assert_eq!(psnr(&image, &image).unwrap(), f64::INFINITY);
        assert!((ssim(&image, &image).unwrap() - 1.0).abs() < 1e-12);
        let plain = Image::filled(20, 20, [0.4; 3]).unwrap();
        assert!((ssim(&plain, &plain).unwrap() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_difference_of_a_tenth_is_twenty_decibels() {
        let (a, b) = (Image::filled(9, 7, [0.5; 3]).unwrap(), Image::filled(9, 7, [0.6; 3]).unwrap());
        assert!((psnr(&a, &b).unwrap() - 20.0).abs() < 1e-5);
    }

    /// The definition: window by window, from means, variances and the covariance.
    #[test]
    fn similarity_equals_its_definition() {
        let a = photo("coffee").unwrap().resize(17, 14).unwrap();
        let b = a.zoom(1.1).unwrap();
        let side: Vec<f64> = (0..11).map(|at| (-(at as f64 - 5.0).powi(2) / (2.0 * 1.5 * 1.5)).exp()).collect();
        let total: f64 = side.iter().sum::<f64>().powi(2);
        let mut sum = 0f64;
        for (a, b) in a.channels().into_iter().zip(b.channels()) {
            for (top, left) in (0..4).flat_map(|top| (0..7).map(move |left| (top, left))) {
                let mean = |f: &dyn Fn(f64, f64) -> f64| -> f64 {
                    let at = |y: usize, x: usize| (top + y) * 17 + left + x;
                    let one = |y: usize, x: usize| side[y] * side[x] * f(a[at(y, x)].into(), b[at(y, x)].into());
                    (0..11).flat_map(|y| (0..11).map(move |x| (y, x))).map(|(y, x)| one(y, x)).sum::<f64>() / total
                };
                let (ma, mb) = (mean(&|a, _| a), mean(&|_, b| b));
                let va = mean(&|a, _| (a - ma).powi(2));
                let vb = mean(&|_, b| (b - mb).powi(2));
                let cov = mean(&|a, b| (a - ma) * (b - mb));
                let (c1, c2) = (0.0001, 0.0009);
                sum += (2.0 * ma * mb + c1) * (2.0 * cov + c2) / ((ma * ma + mb * mb + c1) * (va + vb + c2));
            }
        }
        assert!((ssim(&a, &b).unwrap() - sum / 84.0).abs() < 1e-9);
        assert!((0.0..0.99).contains(&(sum / 84.0)));
    }

    #[test]
    fn variation_counts_steps() {
        assert_eq!(total_variation(&Image::filled(5, 4, [0.3; 3]).unwrap()).unwrap(), 0.0);
        // an edge of height 1 through 6 rows of 8 pixels
        let edge = grey(8, 6, |x, _| if x < 3 { 0.0 } else { 1.0 });
        assert!((total_variation(&edge).unwrap() - 6.0 / 48.0).abs() < 1e-9);
        let checkers = grey(8, 6, |x, y| ((x + y) % 2) as f32);
        assert!((total_variation(&checkers).unwrap() - (7.0 * 6.0 + 8.0 * 5.0) / 48.0).abs() < 1e-9);
        assert_eq!(total_variation(&Image::filled(1, 1, WHITE).unwrap()).unwrap(), 0.0);
    }

    #[test]
    fn saturation_counts_pixels_once() {
        let planes = vec![
            0.0, 0.5, 1.0, 0.5, 1.0 / 255.0, 2.0 / 255.0, // red
            0.0, 0.5, 0.5, 254.0 / 255.0, 0.5, 0.5, // green
            1.0, 0.5, 0.5, 0.5, 0.5, 253.0 / 255.0, // blue
        ];
        let image = Image::from_planes(6, 1, planes, None).unwrap();
        assert!((saturated(&image).unwrap() - 4.0 / 6.0).abs() < 1e-12);
        assert_eq!(saturated(&Image::filled(3, 3, [0.5; 3]).unwrap()).unwrap(), 0.0);
    }

    #[test]
    fn the_highest_octave_holds_short_waves() {
        let share = |image: &Image| spectrum_share(image).unwrap();
        let waves = |period: f32, slope: f32| {
            grey(96, 80, |x, y| {
                0.5 + 0.3 * (std::f32::consts::TAU * (x as f32 + slope * y as f32) / period).sin()
            })
        };
        assert!(share(&waves(3.0, 0.0)) > 0.999 && share(&waves(2.5, 0.4)) > 0.999);
        assert!(share(&waves(5.0, 0.0)) < 0.001 && share(&waves(24.0, 1.0)) < 0.001);
        // oblique waves are shorter than they look along a row: 5 / √2 pixels
        assert!(share(&waves(5.0, 1.0)) > 0.99);
        let white = share(&noise(256, 256, 3).unwrap());
        assert!((white - (1.0 - std::f64::consts::PI / 16.0)).abs() < 0.02, "{white}");
        assert!(share(&photo("china").unwrap()) < 0.1);
        for (width, height) in [(1, 1), (40, 31), (2, 1)] {
            assert_eq!(share(&Image::filled(width, height, [0.3, 0.7, 0.1]).unwrap()), 0.0);
        }
    }

    #[test]
    fn images_of_two_sizes_are_refused() {
        let (a, b) = (Image::filled(20, 12, WHITE).unwrap(), Image::filled(12, 20, WHITE).unwrap());
        for error in [psnr(&a, &b).unwrap_err(), ssim(&a, &b).unwrap_err()] {
            assert_eq!(error.argument(), Some("other"));
            assert_eq!(error.hint(), Some("bring it to the same size with resize(20, 12)"));
        }
        let small = Image::filled(20, 10, WHITE).unwrap();
        assert_eq!(ssim(&small, &small).unwrap_err().argument(), Some("image"));
    }
}
