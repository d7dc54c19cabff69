//! An image that was changed to fool a network, and what came of it: measured on its file.

use std::fmt;
use std::sync::Arc;

use super::ball::{difference, length, level};
use super::lens::Said;
use super::victim::{Victim, only};
use crate::error::Result;
use crate::image::Image;
use crate::job::Interrupt;
use crate::lang::{Provenance, function, value_type};
use crate::model::{Model, Scored};
use crate::plot::{Data, Plot};
use crate::tensor::TensorValue;

/// What a network said about both classes at one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// The step; 0 is the original.
    pub step: usize,
    /// Score and probability of the class that the original is taken for.
    pub own: [f32; 2],
    /// Those of the target, or of the highest other class.
    pub rival: [f32; 2],
}

/// A class, and what the network says about it before and after.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// For the original.
    pub before: Scored,
    /// For the result.
    pub after: Scored,
}

/// What is kept of the way to a result.
#[derive(Clone, Debug, Default)]
pub(super) struct Course {
    pub moments: Vec<Moment>,
    /// Images that the network looked at.
    pub looks: usize,
    /// The length of the perturbation before it was rounded, where the method has one.
    pub unrounded_l2: Option<f64>,
}

/// An image that was changed such that a network takes it for something else: original and result, both of 8 bits as a
/// file holds them, and what the network says about each. The result is encoded as a PNG and read back before it is
/// judged.
#[derive(Clone, Debug)]
pub struct Fooled {
    /// How it was made: "PGD".
    pub method: &'static str,
    /// The network.
    pub model: Model,
    /// The image as the network sees it.
    pub original: Image,
    /// The changed image, as its PNG holds it.
    pub image: Image,
    /// The class that the original is taken for.
    pub own: Change,
    /// The class that stands against it: the target, or the highest of all others.
    pub rival: Change,
    /// The class that the result is taken for.
    pub taken_for: Scored,
    /// Whether a class was asked for.
    pub targeted: bool,
    /// Whether the result is taken for the target; without one, for another class than the original.
    pub success: bool,
    /// The root of the sum of all squared changes, in units of pixels from 0 to 1.
    pub l2: f64,
    /// The greatest change of a value, in units of pixels from 0 to 1.
    pub linf: f64,
    /// Peak signal-to-noise ratio in dB: 10·log₁₀ of 1 over the mean squared change; infinite where nothing changed.
    pub psnr: f64,
    /// How many values of the image, of which a pixel has three, have changed.
    pub changed: usize,
    /// The L2 length of the perturbation before it was rounded to 8 bits, where the method finds one.
    pub unrounded_l2: Option<f64>,
    /// How many images the network looked at.
    pub looks: usize,
    /// What the network said on the way.
    pub moments: Arc<[Moment]>,
    /// The call that made it.
    pub provenance: Provenance,
}

value_type!(
    Fooled,
    "adversarial example",
    "an adversarial example",
    "An image that was changed such that a network takes it for something else, with both answers and the distance.",
    provenance
);

impl Moment {
    /// What was said at a step.
    pub(super) fn of(step: usize, said: &Said, own: usize, rival: usize) -> Self {
        let both = |class: usize| [said.score(class), said.probability(class)];
        Self { step, own: both(own), rival: both(rival) }
    }
}

impl Fooled {
    /// Judges pixels of 8 bits. It does so after an interrupt too, so that what there is can be handed back.
    pub(super) fn judge(victim: &Victim, method: &'static str, pixels: &[f32], course: Course) -> Result<Self> {
        let (width, height) = (victim.original.width(), victim.original.height());
        let made = Image::from_planes(width, height, pixels.to_vec(), None)?;
        let image = Image::decode(&made.encode_png()?, "the result")?;
        let said = only(victim.lens.says(&Interrupt::never(), image.planes().to_vec())?)?;
        let model = victim.lens.model.clone();
        let scored = |said: &Said, class: usize| Scored {
            class,
            name: model.classes().name(class),
            score: said.score(class),
            probability: said.probability(class),
        };
        let change = |class: usize| Change { before: scored(&victim.said, class), after: scored(&said, class) };
        let perturbation = difference(image.planes(), victim.pixels());
        let values = perturbation.len().max(1) as f64;
        let l2 = length(&perturbation);
        let levels = image.planes().iter().zip(victim.pixels()).map(|(after, before)| level(*after) - level(*before));
        let greatest = levels.clone().fold(0f32, |most, change| most.max(change.abs()));
        Ok(Self {
            method,
            own: change(victim.own),
            rival: change(victim.rival(&said)),
            taken_for: scored(&said, said.best()),
            targeted: victim.target.is_some(),
            success: victim.advantage(&said) > 0.0,
            l2,
            linf: f64::from(greatest) / 255.0,
            psnr: if l2 > 0.0 { 10.0 * (values / (l2 * l2)).log10() } else { f64::INFINITY },
            changed: levels.filter(|change| *change != 0.0).count(),
            unrounded_l2: course.unrounded_l2,
            looks: course.looks,
            moments: course.moments.into(),
            original: victim.original.clone(),
            image,
            model,
            provenance: None,
        })
    }

    /// What was added to the original, `[3, height, width]`, in units of pixels from 0 to 1.
    ///
    /// # Errors
    /// The tensor cannot be made.
    pub fn perturbation(&self) -> Result<TensorValue> {
        let shape = [3, self.image.height(), self.image.width()];
        TensorValue::from_values(difference(self.image.planes(), self.original.planes()), &shape)
    }

    /// The first step at which the class that stands against the original's own one was above it.
    pub fn crossing(&self) -> Option<usize> {
        self.moments.iter().find(|moment| moment.rival[0] > moment.own[0]).map(|moment| moment.step)
    }

    /// The probabilities of both classes by step, if there were several.
    ///
    /// # Errors
    /// The plot cannot be made.
    pub fn plot(&self) -> Result<Option<Plot>> {
        if self.moments.len() < 2 {
            return Ok(None);
        }
        let steps: Arc<[f64]> = self.moments.iter().map(|moment| moment.step as f64).collect();
        let line = |label: String, value: &dyn Fn(&Moment) -> f32| {
            let y = self.moments.iter().map(|moment| f64::from(value(moment))).collect();
            Plot::new(Data::Line { x: Arc::clone(&steps), y, error: None }).map(|plot| plot.label(label))
        };
        let rival = if self.targeted { self.rival.after.name.clone() } else { "the strongest other class".to_owned() };
        let own = line(self.own.before.name.clone(), &|moment| moment.own[1])?;
        let mut plot = own.over(line(rival, &|moment| moment.rival[1])?)?.axis_titles("step", "probability");
        if let Some(step) = self.crossing() {
            plot = plot.over(Plot::new(Data::VerticalLine(step as f64))?.label(format!("crossing at step {step}")))?;
        }
        Ok(Some(plot))
    }

    /// What happened, in a few words: `"Egyptian cat" becomes "tabby"`.
    pub fn headline(&self) -> String {
        let (own, taken_for) = (&self.own.before.name, &self.taken_for.name);
        match (self.success, self.own.before.class == self.taken_for.class) {
            (true, _) => format!("{own:?} becomes {taken_for:?}"),
            (false, true) => format!("{own:?} stays {own:?}"),
            (false, false) => format!("{own:?} becomes {taken_for:?}, not {:?}", self.rival.after.name),
        }
    }

    /// How far the result is from the original, in words.
    pub fn distance(&self) -> String {
        if self.changed == 0 {
            return "nothing changed".to_owned();
        }
        let levels = (self.linf * 255.0).round();
        format!(
            "L2 {:.3}, L∞ {:.4} ({levels} of 255 levels), PSNR {:.1} dB, {} of {} values changed",
            self.l2,
            self.linf,
            self.psnr,
            self.changed,
            self.image.planes().len()
        )
    }
}

impl fmt::Display for Fooled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |probability: f32| format!("{:.1} %", 100.0 * probability);
        writeln!(f, "{}: {}", self.method, self.headline())?;
        for change in [&self.own, &self.rival] {
            let (before, after) = (percent(change.before.probability), percent(change.after.probability));
            writeln!(f, "  {}: {before} before, {after} after", change.before.name)?;
        }
        write!(f, "  {}", self.distance())
    }
}

/// The changed image, of 8 bits, at the network's own size. A network whose input is the middle of a larger picture
/// looks at another part of it if it is classified as a picture; `prepare(f.image.to_tensor())` is its input as it is.
///
/// ```rhai
/// fgsm(photo("chelsea")).image
/// ```
#[function(property)]
fn image(
    /// The adversarial example.
    fooled: &Fooled,
) -> Result<Image> {
    Ok(fooled.image.clone())
}

/// The image before it was changed, as the network sees it, at 8 bits.
///
/// ```rhai
/// fgsm(photo("chelsea")).original
/// ```
#[function(property)]
fn original(
    /// The adversarial example.
    fooled: &Fooled,
) -> Result<Image> {
    Ok(fooled.original.clone())
}

/// What was added to the image: a tensor [3, height, width] in units of pixels from 0 to 1.
///
/// ```rhai
/// abs(fgsm(photo("chelsea")).perturbation).max() * 255
/// ```
#[function(property)]
fn perturbation(
    /// The adversarial example.
    fooled: &Fooled,
) -> Result<TensorValue> {
    fooled.perturbation()
}

/// Whether the network takes the changed image, read back from its PNG, for the target; without a target, for another
/// class than the original.
///
/// ```rhai
/// fgsm(photo("chelsea")).success
/// ```
#[function(property)]
fn success(
    /// The adversarial example.
    fooled: &Fooled,
) -> Result<bool> {
    Ok(fooled.success)
}

/// The distance of the changed image from the original: the root of the sum of all squared changes, in units of pixels
/// from 0 to 1.
///
/// ```rhai
/// smallest_flip(photo("chelsea"), steps=5).l2
/// ```
#[function(property)]
fn l2(
    /// The adversarial example.
    fooled: &Fooled,
) -> Result<f64> {
    Ok(fooled.l2)
}

/// The greatest change of a value of the image, in units of pixels from 0 to 1.
///
/// ```rhai
/// fgsm(photo("chelsea")).linf * 255
/// ```
#[function(property)]
fn linf(
    /// The adversarial example.
    fooled: &Fooled,
) -> Result<f64> {
    Ok(fooled.linf)
}

/// The peak signal-to-noise ratio of the changed image in dB: 10·log₁₀ of 1 over the mean squared change; infinite if
/// nothing changed.
///
/// ```rhai
/// fgsm(photo("chelsea")).psnr
/// ```
#[function(property)]
fn psnr(
    /// The adversarial example.
    fooled: &Fooled,
) -> Result<f64> {
    Ok(fooled.psnr)
}

/// How many values of the image have changed, of which a pixel has three.
///
/// ```rhai
/// smallest_flip(photo("chelsea"), steps=5).changed
/// ```
#[function(property)]
fn changed(
    /// The adversarial example.
    fooled: &Fooled,
) -> Result<usize> {
    Ok(fooled.changed)
}

/// The L2 length of the perturbation before it was rounded to 8 bits, for methods that look for the smallest one; else
/// nothing.
///
/// ```rhai
/// deepfool(photo("chelsea")).unrounded_l2
/// ```
#[function(property)]
fn unrounded_l2(
    /// The adversarial example.
    fooled: &Fooled,
) -> Result<Option<f64>> {
    Ok(fooled.unrounded_l2)
}

/// How many images the network looked at until this one was found.
///
/// ```rhai
/// square_attack(photo("chelsea"), queries=50, seed=1).looks
/// ```
#[function(property)]
fn looks(
    /// The adversarial example.
    fooled: &Fooled,
) -> Result<usize> {
    Ok(fooled.looks)
}

/// The number of the class that the changed image is taken for.
///
/// ```rhai
/// fgsm(photo("chelsea")).class
/// ```
#[function(property)]
fn class(
    /// The adversarial example.
    fooled: &Fooled,
) -> Result<usize> {
    Ok(fooled.taken_for.class)
}

/// The name of the class that the changed image is taken for.
///
/// ```rhai
/// fgsm(photo("chelsea")).name
/// ```
#[function(property)]
fn name(
    /// The adversarial example.
    fooled: &Fooled,
) -> Result<String> {
    Ok(fooled.taken_for.name.clone())
}

/// The probability of the class that the changed image is taken for, from 0 to 1.
///
/// ```rhai
/// fgsm(photo("chelsea")).probability
/// ```
#[function(property)]
fn probability(
    /// The adversarial example.
    fooled: &Fooled,
) -> Result<f64> {
    Ok(f64::from(fooled.taken_for.probability))
}

/// The scores of both classes by step, a tensor [steps, 2]: first the class that the original is taken for, then the
/// target, or the highest other class. The first row is the original's.
///
/// ```rhai
/// pgd(photo("chelsea"), steps=3, seed=1).scores
/// ```
#[function(property)]
fn scores(
    /// The adversarial example.
    fooled: &Fooled,
) -> Result<TensorValue> {
    by_step(fooled, 0)
}

/// The probabilities of both classes by step, a tensor [steps, 2]: first the class that the original is taken for, then
/// the target, or the highest other class. The first row is the original's.
///
/// ```rhai
/// pgd(photo("chelsea"), steps=3, seed=1).probabilities
/// ```
#[function(property)]
fn probabilities(
    /// The adversarial example.
    fooled: &Fooled,
) -> Result<TensorValue> {
    by_step(fooled, 1)
}

fn by_step(fooled: &Fooled, number: usize) -> Result<TensorValue> {
    let both = fooled.moments.iter().flat_map(|moment| [moment.own, moment.rival]);
    let values: Vec<f32> = both.filter_map(|said| said.get(number).copied()).collect();
    let steps = fooled.moments.len();
    TensorValue::from_values(values, &[steps, 2])
}

/// The first step at which the target, or the highest other class, was above the class that the original is taken for;
/// nothing if it never was.
///
/// ```rhai
/// pgd(photo("chelsea"), steps=3, seed=1).crossing
/// ```
#[function(property)]
fn crossing(
    /// The adversarial example.
    fooled: &Fooled,
) -> Result<Option<usize>> {
    Ok(fooled.crossing())
}
