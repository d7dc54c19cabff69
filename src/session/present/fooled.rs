//! Adversarial examples: the original, what was added, the result, both answers, and how the answer changed by step.

use super::{Presenter, on_type};
use crate::error::Result;
use crate::image::Image;
use crate::render::{Body, Figure, Row};
use crate::vis::fooling::{Change, Fooled};

/// How much what was added is magnified: the most of these with which it still fits between black and white.
const SCALES: [f64; 9] = [1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 50.0, 100.0, 127.0];

inventory::submit! {
    Presenter {
        figure: Some(on_type!(Fooled, figure, Ok(None))),
        name: on_type!(Fooled, |value: &Fooled| Some(format!("{} {}", value.method, value.headline())), None),
        ..Presenter::of::<Fooled>()
    }
}

fn figure(value: &Fooled) -> Result<Option<Figure>> {
    let said = |change: &Change, after: bool| {
        let scored = if after { &change.after } else { &change.before };
        format!("{:?} {}", scored.name, value.model.answer().describe(scored.score, scored.probability))
    };
    let both = |after: bool| {
        let (first, second) = if after { (&value.rival, &value.own) } else { (&value.own, &value.rival) };
        format!("{}; {}", said(first, after), said(second, after))
    };
    let scale = magnification(value.linf);
    let added = match value.changed {
        0 => "Nothing was changed.".to_owned(),
        _ => format!("What was added, ×{scale}: grey is no change. {}.", value.distance()),
    };
    let picture = |image: Image, caption: String| Figure::new(Body::Picture(image)).captioned(caption);
    let strip = Row {
        figures: vec![
            picture(value.original.clone(), both(false)).titled("Original"),
            picture(magnified(value, scale)?, added).titled("Perturbation"),
            picture(value.image.clone(), both(true)).titled("Result"),
        ],
        columns: Some(3),
    };
    let title = format!("{}: {}", value.method, value.headline());
    let mut caption = match (value.success, value.targeted) {
        (true, _) => "The network is fooled".to_owned(),
        (false, true) => format!("The network does not take the result for {:?}", value.rival.after.name),
        (false, false) => "The network takes the result for the same as the original".to_owned(),
    };
    caption += ", as measured on the PNG that is read back.";
    if let Some(length) = value.unrounded_l2 {
        caption += &format!(" Before it was rounded to 8 bits the perturbation had a length of {length:.4}.");
    }
    let strip = Figure::new(Body::Row(strip));
    let body = match value.plot()? {
        None => strip.body,
        Some(plot) => {
            let figures = vec![strip, Figure::new(Body::Plot(plot)).titled("What the network says on the way")];
            Body::Row(Row { figures, columns: Some(1) })
        }
    };
    Ok(Some(Figure::new(body).titled(title).captioned(caption)))
}

/// How much a perturbation of at most `linf` is magnified.
fn magnification(linf: f64) -> f64 {
    SCALES.into_iter().filter(|scale| scale * linf <= 0.5).fold(1.0, f64::max)
}

/// What was added, on grey.
fn magnified(value: &Fooled, scale: f64) -> Result<Image> {
    let both = value.image.planes().iter().zip(value.original.planes());
    let planes = both.map(|(after, before)| 0.5 + scale as f32 * (after - before)).collect();
    Image::from_planes(value.image.width(), value.image.height(), planes, None)
}

#[cfg(test)]
mod tests {
    use super::magnification;

    #[test]
    fn what_was_added_fits_between_black_and_white() {
        for (levels, scale) in [(1.0, 127.0), (2.0, 50.0), (8.0, 10.0), (16.0, 5.0), (100.0, 1.0), (255.0, 1.0)] {
            assert_eq!(magnification(levels / 255.0), scale, "{levels}");
        }
        assert_eq!(magnification(0.0), 127.0);
    }
}
