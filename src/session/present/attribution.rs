//! Attributions: the map over the image, with its scale.

use candle_core::Tensor;

use super::{Presenter, capital, on_type};
use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::render::{Body, Colormap, Figure, Heatmap, Range, Span};
use crate::vis::attribution::{Attribution, Sampled, Sign, Style};

/// How bright the parts of a masked image are that the map leaves out.
const DARK: f32 = 0.12;

/// The part of the pixels that may be beyond the end of the scale.
const BEYOND: f64 = 0.005;
/// Less than this part of the greatest number counts as nothing.
const NOTHING: f32 = 1e-4;
/// The scale ends before the greatest number only if that leaves it so much shorter.
const SPIKY: f32 = 0.8;

inventory::submit! {
    Presenter {
        figure: Some(on_type!(Attribution, figure, Ok(None))),
        name: on_type!(Attribution, |value: &Attribution| Some(format!("{} {}", value.method, value.prediction.target())), None),
        ..Presenter::of::<Attribution>()
    }
}

fn figure(value: &Attribution) -> Result<Option<Figure>> {
    let view = &value.prediction.view;
    if value.look.style == Style::Error {
        return errors(value).map(Some);
    }
    let map: Vec<f32> = match value.look.style {
        Style::Positive => value.map_of_image()?.into_iter().map(|value| value.max(0.0)).collect(),
        Style::Negative => value.map_of_image()?.into_iter().map(|value| (-value).max(0.0)).collect(),
        _ => value.map_of_image()?,
    };
    let Scale { colormap, range, clipped } = Scale::of(value, &map)?;
    let caption = caption(value, &map, range.span(map.iter().copied())?, clipped)?;
    let body = if value.look.style == Style::Masked {
        Body::Picture(masked(view, &map, range)?)
    } else {
        let heatmap = Heatmap::new(view.width(), view.height(), map)?.colormap(colormap).range(range);
        let (wide, tall) = (view.width() as f32, view.height() as f32);
        let boxed = value.spots.iter().map(|spot| {
            let [left, top, width, height] =
                [spot.area.left, spot.area.top, spot.area.width, spot.area.height].map(|pixels| pixels as f32);
            [left / wide, top / tall, width / wide, height / tall]
        });
        let heatmap = heatmap.label(value.unit.clone()).boxes(boxed.collect());
        Body::Heatmap(match value.look.style {
            Style::Heat => heatmap,
            _ => heatmap.over(view.clone()).show_input(!value.look.beside),
        })
    };
    let title = match &value.look.title {
        Some(title) => title.clone(),
        None => format!("{} for {}", capital(&value.method), value.prediction.target()),
    };
    Ok(Some(Figure::new(body).titled(title).captioned(caption)))
}

/// The standard error of each place, on a scale of its own.
fn errors(value: &Attribution) -> Result<Figure> {
    let view = &value.prediction.view;
    let lost = || Error::new(Kind::Argument, format!("{} has no standard error", value.method)).at_argument("style");
    let errors = value.error_of_image()?.ok_or_else(lost)?;
    let label = format!("standard error, {}", value.unit);
    let heatmap = Heatmap::new(view.width(), view.height(), errors)?.colormap(Colormap::Inferno).label(label);
    let title = format!("Standard error of {} for {}", value.method, value.prediction.target());
    let caption = value.sampled.as_ref().map(|sampled| rests_on(sampled, value.standard_error.as_ref())).transpose()?;
    let body = Body::Heatmap(heatmap.over(view.clone()).show_input(!value.look.beside));
    Ok(Figure::new(body).titled(title).captioned(caption.unwrap_or_default()))
}

/// Which colours the numbers of a map get.
struct Scale {
    colormap: Colormap,
    range: Range,
    /// Whether some pixels are beyond its end.
    clipped: bool,
}

impl Scale {
    /// That of a map as it is shown, at the size of the image.
    fn of(value: &Attribution, map: &[f32]) -> Result<Self> {
        let one_sided = value.sign != Sign::Signed || matches!(value.look.style, Style::Positive | Style::Negative);
        let end = clipped(value, map)?;
        let colormap = if one_sided { Colormap::Inferno } else { Colormap::Diverging };
        let range = match (one_sided, value.look.range, end) {
            (true, Some((low, high)), _) => Range::Fixed(low.max(0.0), high),
            (false, Some((low, high)), _) => Range::Fixed(low, high),
            (true, None, Some(end)) => Range::Fixed(0.0, end),
            (false, None, Some(end)) => Range::Fixed(-end, end),
            (true, None, None) => Range::Auto,
            (false, None, None) => Range::Symmetric,
        };
        Ok(Self { colormap, range, clipped: value.look.range.is_none() && end.is_some() })
    }
}

/// Maps of single pixels have few that stand far above all others: where the scale ends, so that those few are beyond it. Pixels
/// that are nothing beside the greatest, as outside of a receptive field, do not count.
fn clipped(value: &Attribution, map: &[f32]) -> Result<Option<f32>> {
    let (_, height, width) = value.values.dims3()?;
    let view = &value.prediction.view;
    if (width, height) != (view.width(), view.height()) {
        return Ok(None);
    }
    let most = map.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    let mut sizes: Vec<f32> = map.iter().map(|value| value.abs()).filter(|size| *size > NOTHING * most).collect();
    if sizes.is_empty() {
        return Ok(None);
    }
    let place = ((sizes.len() - 1) as f64 * (1.0 - BEYOND)) as usize;
    let end = *sizes.select_nth_unstable_by(place, f32::total_cmp).1;
    Ok((end < SPIKY * most).then_some(end))
}

/// The image, as bright as a map.
fn masked(view: &Image, map: &[f32], range: Range) -> Result<Image> {
    let span = range.span(map.iter().copied())?;
    let planes = view.channels().map(|plane| {
        let pixels = plane.iter().zip(map);
        pixels.map(|(pixel, value)| pixel * (DARK + (1.0 - DARK) * span.position(*value))).collect::<Vec<f32>>()
    });
    Image::from_planes(view.width(), view.height(), planes.concat(), None)
}

/// What the network answers, how the colours read, and what the numbers rest on.
fn caption(value: &Attribution, map: &[f32], span: Span, clipped: bool) -> Result<String> {
    let mut caption = if value.look.beside {
        // the title above may not say it
        format!("For {}. ", value.prediction.target())
    } else {
        match &value.prediction.class {
            Some(class) => format!("The network gives \"{}\" {}. ", class.name, value.prediction.verdict()),
            None => format!("For the whole image: {}. ", value.prediction.verdict()),
        }
    };
    let values: Vec<f32> = value.map()?.flatten_all()?.to_vec1()?;
    let empty = map.iter().all(|value| *value == 0.0);
    caption += if values.iter().all(|value| *value == 0.0) {
        "The map is blank: every number in it is 0."
    } else if value.sign == Sign::Signed && values.iter().all(|value| *value <= 0.0) {
        "Everything speaks against it: no number of the map is positive."
    } else {
        match (value.look.style, value.sign) {
            (Style::Masked, _) => "The brighter, the larger the map.",
            (Style::Positive, _) if empty => "Nothing speaks for it.",
            (Style::Negative, _) if empty => "Nothing speaks against it.",
            (Style::Positive, _) | (Style::Overlay | Style::Heat | Style::Error, Sign::Positive) => {
                "Bright places speak for it."
            }
            (Style::Negative, _) => "Bright places speak against it.",
            (_, Sign::Signed) => "Red speaks for it, blue against it.",
            (_, Sign::Magnitude) => "Bright pixels change the score most, in either direction.",
        }
    };
    if value.look.style == Style::Masked {
        let (low, high) = span.ends();
        caption += &format!(" From {low} to {high}: {}.", value.unit);
    }
    if clipped {
        caption += " The scale ends where 0.5 % of the pixels are beyond it.";
    }
    if let Some(layer) = &value.layer {
        let (_, height, width) = value.values.dims3()?;
        caption += &format!(" From the {width}×{height} maps of layer {} ({}).", layer.label(), layer.name());
    }
    if let Some(error) = value.completeness_error {
        caption += &format!(" Sum off by {error:.2e}.");
    }
    if !value.spots.is_empty() && value.look.style != Style::Masked {
        let drops: Vec<String> = value.spots.iter().map(|spot| format!("{:.2}", spot.drop)).collect();
        let boxes = if drops.len() == 1 { "The box costs" } else { "The boxes cost" };
        caption += &format!(" {boxes} {} when covered.", drops.join(", "));
    }
    if let Some(sampled) = &value.sampled {
        caption += &format!(" {}", rests_on(sampled, value.standard_error.as_ref())?);
    }
    for more in [&value.note, &value.look.caption].into_iter().flatten() {
        caption += &format!(" {more}");
    }
    Ok(caption)
}

/// How many samples a map rests on, how far off it may be, and whether its ranking is known.
fn rests_on(sampled: &Sampled, standard_error: Option<&Tensor>) -> Result<String> {
    let Sampled { samples, most, stability } = *sampled;
    let mut text = if samples < most { format!("{samples} of {most} samples") } else { format!("{samples} samples") };
    if let Some(error) = standard_error {
        let most = error.flatten_all()?.max(0)?.to_scalar::<f32>()?;
        let most = if most >= 0.001 { format!("{most:.4}") } else { format!("{most:.1e}") };
        text += &format!(", standard error up to {most}");
    }
    let percent = stability.unwrap_or(0.0) * 100.0;
    text += &match stability {
        Some(_) if sampled.resolved() => format!(". Ranking resolved: {percent:.0} % of the top tenth is sure."),
        Some(_) => format!(". Ranking not resolved: only {percent:.0} % of the top tenth is sure."),
        None => ". Ranking not resolved: too few samples to say.".into(),
    };
    Ok(text)
}
