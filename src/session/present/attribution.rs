//! Attributions: the map over the image, with its scale.

use super::{Presenter, capital, on_type};
use crate::error::Result;
use crate::render::{Body, Colormap, Figure, Heatmap, Range};
use crate::vis::attribution::{Attribution, Sign};

inventory::submit! {
    Presenter {
        figure: Some(on_type!(Attribution, figure, Ok(None))),
        name: on_type!(Attribution, |value: &Attribution| Some(format!("{} {}", value.method, value.prediction.target())), None),
        ..Presenter::of::<Attribution>()
    }
}

fn figure(value: &Attribution) -> Result<Option<Figure>> {
    let (colormap, range) = match value.sign {
        Sign::Signed => (Colormap::Diverging, Range::Symmetric),
        Sign::Magnitude | Sign::Positive => (Colormap::Inferno, Range::Auto),
    };
    let (width, height) = (value.prediction.view.width(), value.prediction.view.height());
    let heatmap = Heatmap::new(width, height, value.map_of_image()?)?
        .over(value.prediction.view.clone())
        .colormap(colormap)
        .range(range)
        .label(value.unit.clone())
        .show_input(true);
    let title = format!("{} for {}", capital(&value.method), value.prediction.target());
    Ok(Some(Figure::new(Body::Heatmap(heatmap)).titled(title).captioned(caption(value)?)))
}

/// What the network answers, how the colours read, and what the numbers rest on.
fn caption(value: &Attribution) -> Result<String> {
    let mut caption = match &value.prediction.class {
        Some(class) => format!("The network gives \"{}\" {}. ", class.name, value.prediction.verdict()),
        None => format!("For the whole image: {}. ", value.prediction.verdict()),
    };
    caption += match value.sign {
        Sign::Signed => "Red speaks for the class, blue against it.",
        Sign::Positive => "Bright places speak for the class.",
        Sign::Magnitude => "Bright pixels change the score most, in either direction.",
    };
    if let Some(layer) = &value.layer {
        let (_, height, width) = value.values.dims3()?;
        caption += &format!(" From the {width}×{height} maps of layer {} ({}).", layer.label(), layer.name());
    }
    if let Some(error) = value.completeness_error {
        caption += &format!(" Sum off by {error:.2e}.");
    }
    if let Some(note) = &value.note {
        caption += &format!(" {note}");
    }
    Ok(caption)
}
