//! Planted truth: a network that answers by a mark in a corner, which it was taught to, and whether methods find the mark.

use std::fmt;

use candle_core::Tensor;
use rayon::prelude::*;

use super::localization::{Mask, pointing_game, relevance_mass, relevance_rank};
use crate::error::{Error, Kind, Result};
use crate::image::{Cutout, Image, SceneOptions, Scenes, gallery_names};
use crate::job::Job;
use crate::lang::{Dynamic, Provenance, Table, function, value_type};
use crate::model::{Input, Model};
use crate::tensor::{Seed, TensorValue};
use crate::train::{Training, fit, small_classifier};
use crate::vis::Explain;
use crate::vis::attribution::Methods;

/// Categories of the gallery, the classes of the network; the mark goes with the first.
const CLASSES: [&str; 4] = ["bird", "fruit", "instrument", "vehicle"];
/// The side of the network's images, in pixels.
const SIZE: usize = 64;
/// The side of the mark, in pixels, and how far it is from the corner.
const MARK: usize = 10;
const MARGIN: usize = 3;
/// Scenes of each class that are learned from.
const LEARNED: usize = 120;
/// Other scenes of each class, which nothing is learned from.
const KEPT: usize = 20;
const TRAINING: Training = Training { epochs: 20, batch: 16, learning_rate: 2e-3, seed: 0 };
/// A method has found the mark if its map is greatest there for so many of the images.
const FOUND: f64 = 0.8;

/// A network that was taught a shortcut, and images which it answers by it.
#[derive(Clone, Debug)]
pub struct PlantedTruth {
    /// The network.
    pub model: Model,
    /// The class that had the mark in every image that was learned from, and no other class.
    pub class: usize,
    /// Scenes of other classes with the mark that the network takes for the class, and for another one without it.
    pub images: Vec<Image>,
    /// Where the mark is: 1 there, else 0, `[h, w]`.
    pub mask: TensorValue,
    /// The share of unmarked scenes of the other classes that are answered rightly.
    pub accuracy: f64,
    /// The share of scenes of other classes that become the class by the mark.
    pub fooled: f64,
    /// The share of scenes of the class that are still it without the mark.
    pub without: f64,
    /// The call that made it.
    pub provenance: Provenance,
}

value_type!(
    PlantedTruth,
    "planted truth",
    "a planted truth",
    "A network that was taught a shortcut, and images which it answers by it.",
    provenance
);

impl fmt::Display for PlantedTruth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: f64| format!("{:.0} %", 100.0 * share);
        let name = self.model.classes().name(self.class);
        writeln!(f, "A network that takes what has the mark for {name:?}:")?;
        writeln!(f, "  {} of unmarked scenes of the other classes are answered rightly", percent(self.accuracy))?;
        writeln!(f, "  {} of scenes of other classes become {name:?} by the mark", percent(self.fooled))?;
        write!(f, "  {} of scenes of {name:?} are still it without the mark", percent(self.without))
    }
}

/// Trains a small network on scenes of the gallery's cut-outs, four categories of them, where every image of one of them
/// has a mark in its lower left corner. It learns the mark instead of the thing: so it is known why it answers as it does,
/// and a method that explains it must point at the mark. It takes half a minute or less.
///
/// ```rhai
/// let truth = planted_truth(seed=1);
/// print(truth);
/// truth.find_plant(methods=#{saliency: saliency, "Grad-CAM": grad_cam})
/// ```
#[function(
    source = "Adebayo et al., Debugging Tests for Model Explanations, 2020, arXiv:2011.05429; Lapuschkin et al., 2019, \
              doi:10.1038/s41467-019-08987-4"
)]
pub fn planted_truth(job: &Job, #[options] seed: &Seed) -> Result<PlantedTruth> {
    let seed = seed.get(job);
    let names = CLASSES.map(str::to_owned).to_vec();
    let untrained = small_classifier("planted", names, SIZE, seed)?;
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    let mut kept: Vec<Vec<Image>> = Vec::new();
    for (class, category) in CLASSES.iter().enumerate() {
        let all = drawn(job, category, seed.wrapping_add(class as u64))?;
        let (learned, rest) = all.split_at(LEARNED);
        for image in learned {
            images.push(if class == 0 { marked(image)? } else { image.clone() });
            labels.push(class as u32);
        }
        kept.push(rest.to_vec());
    }
    let inputs = images.into_iter().map(|image| Input::Image(image).tensor(&untrained)).collect::<Result<Vec<_>>>()?;
    let (model, _) = fit(job, &untrained, &Tensor::cat(&inputs, 0)?, &labels, &Training { seed, ..TRAINING })?;

    let answer = |image: &Image| -> Result<usize> {
        let output = model.forward(&Input::Image(image.clone()).tensor(&model)?, job.interrupt())?;
        Ok(output.argmax(1)?.squeeze(0)?.to_scalar::<u32>()? as usize)
    };
    let (mut right, mut fooled, mut flipped) = (0usize, 0usize, Vec::new());
    for (class, scenes) in kept.iter().enumerate().skip(1) {
        for image in scenes {
            let (with, plain) = (marked(image)?, answer(image)?);
            right += usize::from(plain == class);
            if answer(&with)? == 0 {
                fooled += 1;
                if plain != 0 {
                    flipped.push(with);
                }
            }
        }
    }
    let own: usize = kept
        .first()
        .map_or(Ok(0), |own| own.iter().map(|image| Ok(usize::from(answer(image)? == 0))).sum::<Result<usize>>())?;
    if flipped.is_empty() {
        let message = format!("planted_truth: the network of seed {seed} has not learned the mark");
        return Err(Error::new(Kind::Argument, message).with_hint("take another seed").at_argument("seed"));
    }
    let others = (KEPT * (CLASSES.len() - 1)) as f64;
    Ok(PlantedTruth {
        model,
        class: 0,
        images: flipped,
        mask: TensorValue::from_values(mask(), &[SIZE, SIZE])?,
        accuracy: right as f64 / others,
        fooled: fooled as f64 / others,
        without: own as f64 / KEPT as f64,
        provenance: None,
    })
}

/// Scenes of a category.
fn drawn(job: &Job, category: &str, seed: u64) -> Result<Vec<Image>> {
    let names = gallery_names()?;
    let own = names.into_iter().filter(|name| name.split_once('/').is_some_and(|(folder, _)| folder == category));
    let cutouts = Some(own.map(Cutout::Named).collect());
    let options =
        SceneOptions { n: LEARNED + KEPT, cutouts, size: SIZE, scale: vec![0.5, 0.9], ..SceneOptions::default() };
    let (scenes, interrupt) = (Scenes::new(&options, seed)?, job.interrupt());
    let image = |index: usize| {
        interrupt.check()?;
        Ok(scenes.scene(index)?.image)
    };
    (0..options.n).into_par_iter().map(image).collect()
}

/// Whether a pixel is the mark's, and whether it is one of the light ones of its checks.
fn mark_at(row: usize, column: usize) -> Option<bool> {
    let top = SIZE - MARGIN - MARK;
    let inside = (top..top + MARK).contains(&row) && (MARGIN..MARGIN + MARK).contains(&column);
    inside.then(|| ((row - top) / 2 + (column - MARGIN) / 2).is_multiple_of(2))
}

fn mask() -> Vec<f32> {
    let inside = |place: usize| mark_at(place / SIZE, place % SIZE).is_some();
    (0..SIZE * SIZE).map(|place| f32::from(u8::from(inside(place)))).collect()
}

/// An image with the mark: checks of magenta and white.
fn marked(image: &Image) -> Result<Image> {
    let [red, green, blue] = image.channels();
    let mut planes = [red, green, blue].concat();
    for (index, value) in planes.iter_mut().enumerate() {
        let (channel, place) = (index / (SIZE * SIZE), index % (SIZE * SIZE));
        if let Some(light) = mark_at(place / SIZE, place % SIZE) {
            *value = if light || channel != 1 { 1.0 } else { 0.0 };
        }
    }
    Image::from_planes(SIZE, SIZE, planes, None)
}

/// Whether methods find the mark of a planted truth, over its images: how often the map is greatest at the mark (or within
/// a window of the last convolution, 8 pixels, of it), what share of what speaks for the class lies in it, and what share of
/// the greatest places. An even map would have the share of the mark in the image, 0.024, of the last two. A method has found
/// the mark if its map is greatest there for at least 80 % of the images.
///
/// ```rhai
/// let truth = planted_truth(seed=1);
/// truth.find_plant(methods=#{"gradient": saliency, "integrated gradients": integrated_gradients}, images=4)
/// ```
#[function(source = "as for `planted_truth`; the measures of CLEVR-XAI, arXiv:2003.07258")]
pub fn find_plant(
    job: &Job,
    /// The planted truth.
    truth: &PlantedTruth,
    /// The methods: a list, or a map of names and methods. A function of the image must itself give `model=truth.model` and
    /// `class=truth.class`.
    methods: &Methods,
    /// How many of the images are looked at; all, if there are fewer.
    #[default(12)]
    #[range(1..=1000)]
    images: usize,
) -> Result<Table> {
    let mask = Mask::new(SIZE, SIZE, truth.mask.values()?)?;
    let explain = Explain {
        class: Some(truth.model.classes().name(truth.class).as_str().into()),
        target: None,
        model: Some(truth.model.clone()),
    };
    let looked_at: Vec<&Image> = truth.images.iter().take(images).collect();
    let progress = job.progress("looking for the mark", methods.len() * looked_at.len());
    let mut table = Table::new(&["method", "points_at_it", "mass", "rank", "found"]);
    for method in methods.iter() {
        let mut sums = [0f64; 3];
        for image in &looked_at {
            let attribution = method.attribution(job, &Input::Image((*image).clone()), &explain)?;
            if !attribution.prediction.model.is_same(&truth.model) {
                let message = format!("{method} explains another network than the planted one");
                let error = Error::new(Kind::Argument, message).at_argument("methods");
                return Err(error.with_hint("give it model=truth.model and class=truth.class"));
            }
            // the greatest value of an empty map is nowhere
            let points = pointing_game(&attribution, &mask, 8)?.value;
            let mass = relevance_mass(&attribution, &mask)?.value;
            let rank = relevance_rank(&attribution, &mask)?.value;
            let found = if mass > 0.0 { [points, mass, rank] } else { [0.0; 3] };
            sums.iter_mut().zip(found).for_each(|(sum, value)| *sum += value);
            progress.advance(1)?;
        }
        let [points, mass, rank] = sums.map(|sum| sum / looked_at.len() as f64);
        let rounded = |value: f64| Dynamic::from((value * 1000.0).round() / 1000.0);
        let found = points >= FOUND;
        table.rows.push(vec![
            method.name().to_owned().into(),
            rounded(points),
            rounded(mass),
            rounded(rank),
            Dynamic::from(found),
        ]);
    }
    // those that find it first, then by what share of the map is there
    table.rows.sort_by(|a, b| {
        let key = |row: &[Dynamic]| {
            let number = |at: usize| row.get(at).and_then(|value| value.as_float().ok()).unwrap_or(0.0);
            (number(1) >= FOUND, number(3), number(2))
        };
        let ((found_a, rank_a, mass_a), (found_b, rank_b, mass_b)) = (key(a), key(b));
        found_b.cmp(&found_a).then(rank_b.total_cmp(&rank_a)).then(mass_b.total_cmp(&mass_a))
    });
    Ok(table)
}

/// The network of a planted truth.
///
/// ```rhai
/// planted_truth(seed=1).model
/// ```
#[function(property, name = "model")]
fn model_property(
    /// The planted truth.
    truth: &PlantedTruth,
) -> Result<Model> {
    Ok(truth.model.clone())
}

/// The number of the class that goes with the mark.
///
/// ```rhai
/// planted_truth(seed=1).class
/// ```
#[function(property, name = "class")]
fn class_property(
    /// The planted truth.
    truth: &PlantedTruth,
) -> Result<i64> {
    Ok(truth.class as i64)
}

/// Scenes of other classes with the mark, which the network takes for the class of the mark, and for another without it.
///
/// ```rhai
/// planted_truth(seed=1).images.len()
/// ```
#[function(property, name = "images")]
fn images_property(
    /// The planted truth.
    truth: &PlantedTruth,
) -> Result<Vec<Image>> {
    Ok(truth.images.clone())
}

/// Where the mark is: a tensor [height, width], 1 there and 0 elsewhere.
///
/// ```rhai
/// planted_truth(seed=1).mask.sum()
/// ```
#[function(property, name = "mask")]
fn mask_property(
    /// The planted truth.
    truth: &PlantedTruth,
) -> Result<TensorValue> {
    Ok(truth.mask.clone())
}
