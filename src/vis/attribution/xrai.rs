//! XRAI: which regions have the most integrated gradient.

use candle_core::Tensor;

use super::integrated_gradients::integrate;
use super::{Attribution, Baseline, Quadrature, Sign};
use crate::error::Result;
use crate::image::Image;
use crate::image::superpixels::{Felzenszwalb, felzenszwalb};
use crate::job::Job;
use crate::lang::{Options, function};
use crate::model::Input;
use crate::vis::Explain;

/// The scales of the segmentations whose regions compete.
const SCALES: [f64; 6] = [50.0, 100.0, 150.0, 250.0, 500.0, 1200.0];
/// Their blur, in pixels.
const SIGMA: f64 = 0.8;
/// The least size of a region, in pixels.
const LEAST: f64 = 150.0;
/// How far regions are grown beyond their edges, in pixels.
const GROWN: f64 = 5.0;
/// A region that adds fewer pixels is left out.
const LEAST_GAIN: f64 = 50.0;
/// The side of the images that these numbers are for; they are scaled for others.
const SIDE: f64 = 224.0;

/// How finely the gradients are integrated.
#[derive(Clone, Debug, Options)]
pub struct XraiOptions {
    /// Places on the line from each of the two baselines to the image where the gradient is taken.
    #[default(100)]
    #[range(2..=10000)]
    pub steps: usize,
}

/// Which regions speak for a class: overlapping regions of six segmentations of the image, from small to large, of which the
/// one with the densest integrated gradient is taken first, then the one that adds most to it, and so on. Each pixel has the
/// density of the region that it was taken with.
///
/// The gradients are integrated from two baselines, plain images of the image's darkest and of its brightest value; of the
/// colour channels the largest counts.
///
/// ```rhai
/// xrai(photo("chelsea"), steps=10)
/// ```
#[function(
    source = "Kapishnikov et al., XRAI: Better Attributions Through Regions, 2019, arXiv:1906.02825; the authors' \
code, PAIR-code/saliency"
)]
pub fn xrai(
    job: &Job,
    /// The image, or a tensor in the network's input space.
    #[each]
    image: &Input,
    #[options] options: &XraiOptions,
    #[options] explain: &Explain,
) -> Result<Attribution> {
    let prediction = explain.prediction(job, image)?;
    let view = &prediction.view;
    let ends = |(dark, bright): (f32, f32), value: &f32| (dark.min(*value), bright.max(*value));
    let (dark, bright) = view.planes().iter().fold((1.0, 0.0), ends);
    let starts = [dark, bright].map(|light| Baseline::Color([light; 3]).input(job, &prediction, None));
    let starts = starts.into_iter().collect::<Result<Vec<Tensor>>>()?;
    let integrated = integrate(job, &prediction, &starts, Quadrature::GaussLegendre, options.steps)?;
    let area = view.width() * view.height();
    let greatest =
        |place: usize| integrated.iter().skip(place).step_by(area).copied().fold(f64::NEG_INFINITY, f64::max);
    let density: Vec<f64> = (0..area).map(greatest).collect();

    let scale = Scale::of(view);
    let regions = regions(job, view, (dark, bright), &scale)?;
    let map = ranked(job, &density, regions, scale.pixels(LEAST_GAIN))?;
    let map = Tensor::from_vec(map, (1, view.height(), view.width()), prediction.input.device())?;
    let unit = format!("integrated gradient of the {}, a pixel", prediction.score_name());
    Ok(Attribution::new("XRAI", &prediction, map, Sign::Signed, unit))
}

/// How much larger an image is than those that the numbers are for.
struct Scale(f64);

impl Scale {
    fn of(image: &Image) -> Self {
        Self((image.width() * image.height()) as f64 / (SIDE * SIDE))
    }

    /// A number of pixels.
    fn pixels(&self, count: f64) -> usize {
        ((count * self.0).round() as usize).max(1)
    }

    /// A length in pixels.
    fn length(&self, length: f64) -> i64 {
        (length * self.0.sqrt()).round() as i64
    }
}

/// The pixels of all regions of all segmentations, each grown by a disk.
fn regions(job: &Job, view: &Image, (dark, bright): (f32, f32), scale: &Scale) -> Result<Vec<Vec<u32>>> {
    let range = if bright > dark { bright - dark } else { 1.0 };
    let planes = view.planes().iter().map(|value| (value - dark) / range).collect();
    let stretched = Image::from_planes(view.width(), view.height(), planes, None)?;
    let grown = scale.length(GROWN);
    let mut regions = Vec::new();
    for size in SCALES {
        // the scales are for colours from −1 to 1, whose differences are twice as large
        let options = Felzenszwalb { scale: size / 2.0 * scale.0, sigma: SIGMA, min_size: scale.pixels(LEAST) };
        let found = felzenszwalb(&stretched, &options, job.interrupt())?;
        regions.extend(found.pixels().iter().map(|pixels| dilated(pixels, (view.width(), view.height()), grown)));
    }
    Ok(regions)
}

/// The pixels that are at most `radius` from one of a region, in order.
fn dilated(pixels: &[u32], (width, height): (usize, usize), radius: i64) -> Vec<u32> {
    let mut inside = vec![false; width * height];
    for place in pixels {
        let (x, y) = (i64::from(*place) % width as i64, i64::from(*place) / width as i64);
        for row in (y - radius).max(0)..=(y + radius).min(height as i64 - 1) {
            let reach = ((radius * radius - (row - y).pow(2)) as f64).sqrt() as i64;
            let columns = (x - reach).max(0) as usize..=(x + reach).min(width as i64 - 1) as usize;
            let line = row as usize * width;
            inside[line + columns.start()..=line + columns.end()].fill(true);
        }
    }
    (0..inside.len() as u32).filter(|place| inside[*place as usize]).collect()
}

/// Takes the region with the greatest mean of what it adds, again and again; each pixel gets the mean that it was taken with.
/// Regions that add fewer than `least` pixels are left out, and what no region has gets its own mean.
fn ranked(job: &Job, density: &[f64], mut regions: Vec<Vec<u32>>, least: usize) -> Result<Vec<f32>> {
    let mean = |pixels: &[u32]| {
        let sum: f64 = pixels.iter().map(|place| density[*place as usize]).sum();
        sum / pixels.len() as f64
    };
    let mut map: Vec<Option<f32>> = vec![None; density.len()];
    loop {
        job.interrupt().check()?;
        for pixels in &mut regions {
            pixels.retain(|place| map[*place as usize].is_none());
        }
        regions.retain(|pixels| pixels.len() >= least);
        let mut best: Option<(usize, f64)> = None;
        for (index, pixels) in regions.iter().enumerate() {
            let gain = mean(pixels);
            if best.is_none_or(|(_, greatest)| gain > greatest) {
                best = Some((index, gain));
            }
        }
        let Some((index, gain)) = best else { break };
        for place in regions.remove(index) {
            map[place as usize] = Some(gain as f32);
        }
    }
    let left: Vec<u32> = (0..density.len() as u32).filter(|place| map[*place as usize].is_none()).collect();
    let rest = if left.is_empty() { 0.0 } else { mean(&left) as f32 };
    Ok(map.into_iter().map(|value| value.unwrap_or(rest)).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_densest_region_comes_first_and_what_it_has_counts_no_more() {
        let density = [9.0, 9.0, 1.0, 1.0, 0.0, 0.0, -1.0, -3.0];
        let regions = vec![vec![0, 1, 2, 3], vec![0, 1], vec![2, 3, 4, 5], vec![7]];
        let map = ranked(&Job::detached(), &density, regions, 2).unwrap();
        // {0, 1} with 9, then {2, 3} with 1, then {4, 5} with 0; {7} adds too little
        assert_eq!(map, [9.0, 9.0, 1.0, 1.0, 0.0, 0.0, -2.0, -2.0]);
        assert_eq!(map.iter().sum::<f32>(), density.iter().sum::<f64>() as f32, "nothing is lost");
    }

    #[test]
    fn a_point_grows_to_a_disk() {
        let disk = dilated(&[5 * 11 + 5], (11, 11), 5);
        assert_eq!(disk.len(), 81);
        assert_eq!(dilated(&[0], (11, 11), 1), [0, 1, 11]);
        assert_eq!(dilated(&[0, 7], (4, 2), 0), [0, 7]);
    }
}
