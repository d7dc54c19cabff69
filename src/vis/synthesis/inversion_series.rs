//! Inversions over the depth of a network: what each layer forgets.

use super::invert::{InversionOptions, InversionStart};
use super::resume::images;
use crate::error::{Error, Kind, Result};
use crate::image::{Image, psnr, ssim};
use crate::job::Job;
use crate::lang::function;
use crate::model::{Layer, LayerName, Model, resolve_layers};
use crate::plot::{Data, Plot};
use crate::vis::ascent::{Ascent, Ended};
use crate::vis::objective::{FeatureDistance, Objective};
use crate::vis::{Panel, Panels};

/// How near an inversion came.
#[derive(Clone, Copy, Debug)]
struct Nearness {
    /// ‖Φ − Φ₀‖² / ‖Φ₀‖² in the layer.
    distance: f64,
    /// In decibels.
    psnr: f64,
    /// From about 0 to 1.
    ssim: f64,
}

/// Inversions of an image from one layer after the other, beside the original: what each layer still knows, and so what it
/// forgets.
///
/// Under each stands how far the layer's activations are from those of the original (0 if the layer cannot tell them apart, 1 if
/// nothing is left), the peak signal-to-noise ratio to the original in decibels, and their structural similarity; plots show
/// both over the depth. If it is interrupted, it has what was made so far.
///
/// ```rhai
/// inversion_series(photo("chelsea"), layers=["conv1", "fire3"], steps=10)
/// ```
#[function(source = "Mahendran and Vedaldi, 2015, arXiv:1412.0035")]
pub fn inversion_series(
    job: &Job,
    /// The image, brought to the network's size.
    image: &Image,
    /// The layers, in the order in which they are shown. If not given, those over the depth of the network that everything
    /// passes.
    #[default]
    layers: Option<Vec<LayerName>>,
    #[options] options: &InversionOptions,
) -> Result<Panels> {
    let layers = resolve_layers(job, layers.as_deref(), options.model.as_ref(), Model::stages)?;
    let Some(model) = layers.first().map(Layer::model) else {
        return Err(Error::new(Kind::Internal, "a network without stages"));
    };
    let view = model.view(image)?;
    let seed = job.seed(options.seed);
    // all are checked before the first is begun
    let ascents = layers.iter().map(|layer| options.ascent(job, &view, layer, seed));
    let mut ascents: Vec<Ascent> = ascents.collect::<Result<_>>()?;

    let mut panels = vec![Panel::new(view.clone(), "original")];
    let mut found = Vec::new();
    let progress = job.progress("inversion_series", layers.len() * options.steps);
    for (layer, ascent) in layers.iter().zip(&mut ascents) {
        let ended = ascent.climb(job, &progress)?;
        for inverted in images(ascent)? {
            let near = nearness(layer, &view, &inverted)?;
            let Nearness { distance, psnr, ssim } = near;
            let label =
                format!("{}\ndistance {}\nPSNR {psnr:.1} dB\nSSIM {ssim:.2}", layer.known_as(), significant(distance));
            panels.push(Panel::new(inverted, label));
            found.push((layer.known_as().to_owned(), near));
        }
        if ended == Ended::Interrupted {
            break;
        }
    }
    let mut series = Panels::new("What each layer forgets", panels);
    series.caption = Some(format!(
        "Images that each layer of {} can hardly tell from the original, made from {}. Distance: of the layer's activations, \
         1 if nothing is left of them.",
        model.name(),
        if options.start == InversionStart::Grey { "grey" } else { "noise" },
    ));
    series.plots = plots(&found)?;
    Ok(series)
}

/// How near an image is to the one that it was inverted from.
fn nearness(layer: &Layer, view: &Image, inverted: &Image) -> Result<Nearness> {
    // what was made is measured even if the work was interrupted
    let (job, model) = (Job::detached(), layer.model());
    let distance = FeatureDistance::new(view.clone(), Some(layer.clone().into()));
    let input = model.input(inverted)?;
    distance.taps(&job, model, &input)?;
    let activations = layer.activations(&input, job.interrupt())?;
    let distance = distance.values(&job, model, &[activations])?.sum_all()?.to_scalar::<f32>()?;
    Ok(Nearness { distance: f64::from(distance), psnr: psnr(view, inverted)?, ssim: ssim(view, inverted)? })
}

/// Two digits that count: 0.0031, 0.12.
fn significant(value: f64) -> String {
    let digits = if value > 0.0 { (1 - value.log10().floor() as i32).clamp(0, 9) } else { 0 };
    format!("{value:.*}", usize::try_from(digits).unwrap_or(0))
}

/// Both measures over the depth.
fn plots(found: &[(String, Nearness)]) -> Result<Vec<Plot>> {
    let names: Vec<String> = found.iter().map(|(name, _)| name.clone()).collect();
    let over_depth = |measure: fn(&Nearness) -> f64, unit: &str, title: &str| -> Result<Plot> {
        let x = (0..found.len()).map(|place| place as f64).collect();
        let y =
            found.iter().map(|(_, near)| measure(near)).map(|value| if value.is_finite() { value } else { f64::NAN });
        let mut plot = Plot::new(Data::Line { x, y: y.collect(), error: None })?;
        plot.x.names = Some(names.clone().into());
        Ok(plot.axis_titles("layer", unit.to_owned()).title(title.to_owned()))
    };
    if found.len() < 2 {
        return Ok(Vec::new());
    }
    Ok(vec![
        over_depth(|near| near.psnr, "PSNR (dB)", "How near the pixels are to the original's")?,
        over_depth(|near| near.ssim, "SSIM", "How alike the structure is to the original's")?,
    ])
}

#[cfg(test)]
mod tests {
    use super::significant;

    #[test]
    fn two_digits_count() {
        let cases =
            [(0.0, "0"), (0.123, "0.12"), (0.003_14, "0.0031"), (1.26, "1.3"), (12.6, "13"), (4.0e-7, "0.00000040")];
        for (value, text) in cases {
            assert_eq!(significant(value), text);
        }
    }
}
