//! One number as the sum that it is: patches times kernels, row by row.

use super::table::html;
use super::{Presenter, on_type};
use crate::error::Result;
use crate::image::Image;
use crate::model::NodeId;
use crate::render::{Body, Figure, Ledger, Term, escape};
use crate::session::Output;
use crate::vis::attribution::{Part, Why};

/// How many parts get a row of their own.
const SHOWN: usize = 8;
/// More constants than that share one row.
const CONSTANTS: usize = 4;
/// The colour of the frame around what the unit sees.
const FRAME: [f32; 3] = [1.0, 0.85, 0.1];

inventory::submit! {
    Presenter {
        figure: Some(on_type!(Why, figure, Ok(None))),
        name: on_type!(Why, |value: &Why| Some(format!("why {}", value.name())), None),
        extend: on_type!(Why, extend),
        ..Presenter::of::<Why>()
    }
}

fn figure(value: &Why) -> Result<Option<Figure>> {
    let term = |(index, part): (usize, &Part)| Term {
        name: format!("{}. {}", index + 1, value.part_name(part)),
        detail: value.part_place(part),
        planes: Some((part.size, part.patch.clone(), part.kernel.iter().map(|weight| *weight as f32).collect())),
        value: part.value,
    };
    let plain = |name: String, value: f64| Term { name, detail: String::new(), planes: None, value };
    let mut terms: Vec<Term> = value.parts.iter().take(SHOWN).enumerate().map(term).collect();
    if let Some(rest) = value.parts.get(SHOWN..).filter(|rest| !rest.is_empty()) {
        terms.push(plain(format!("{} smaller parts", rest.len()), rest.iter().map(|part| part.value).sum()));
    }
    let constants = &value.constants;
    if constants.len() > CONSTANTS {
        let sum = constants.iter().map(|constant| constant.value).sum();
        terms.push(plain(format!("{} biases and shifts on the way", constants.len()), sum));
    } else {
        terms.extend(constants.iter().map(|constant| plain(constant.what.clone(), constant.value)));
    }
    let of_pixels = value.parts.first().is_some_and(|part| part.unit.layer == NodeId::INPUT);
    let ledger = Ledger {
        terms,
        total: "sum of all parts".into(),
        units: [if of_pixels { "input" } else { "activation" }, "weight"],
        thumbnail: Some(framed(value)?),
    };
    let clipped = ledger.is_clipped();
    let held_back = value.parts.iter().any(|part| part.kernel.contains(&0.0));
    let title = format!("Why {} is {:.*}", value.name(), value.digits(), value.value);
    let depth = match value.depth {
        1 => "One layer with weights is taken apart.".to_owned(),
        usize::MAX => {
            "All is taken apart down to the pixels; rectifiers and poolings are as this image has them.".to_owned()
        }
        depth => {
            format!("{depth} layers with weights are taken apart; rectifiers and poolings are as this image has them.")
        }
    };
    let mut caption = value.story().join(" ");
    if of_pixels {
        caption += " Pixels count as the network reads them, from its mean on.";
    }
    if clipped {
        caption += " The scales of weights and products end where 1 % of them are beyond.";
    }
    if held_back && value.depth == 1 {
        caption += " A weight is 0 where a rectifier or pooling on the way holds that place back.";
    }
    caption += &format!(
        " {depth} Parts add up to {:.*}, the network computed {:.*}: difference {:.1e}. Each bar begins where the one above \
         it ends; orange adds, blue takes away. The frame is what the unit sees.",
        value.digits() + 2,
        value.sum(),
        value.digits() + 2,
        value.value,
        value.sum() - value.value
    );
    Ok(Some(Figure::new(Body::Ledger(ledger)).titled(title).captioned(caption.trim().to_owned())))
}

/// The image with a frame around what the unit sees.
fn framed(value: &Why) -> Result<Image> {
    let view = &value.view;
    let (width, height) = (view.width(), view.height());
    let field = value.layer.receptive_field();
    let places = value.layer.shape().len() == 3;
    let side = |place: usize, length: usize| {
        let start = field.start.saturating_add_unsigned((place * field.jump) as u64);
        let end = start.saturating_add_unsigned(field.size as u64);
        let within = |at: i64| usize::try_from(at.max(0)).unwrap_or(0).min(length);
        (within(start), within(end))
    };
    let ((top, bottom), (left, right)) = match places {
        true => (side(value.unit.y, height), side(value.unit.x, width)),
        false => ((0, height), (0, width)),
    };
    let thick = (width.max(height) / 110).max(1);
    let mut planes = view.planes().to_vec();
    for y in top..bottom {
        for x in left..right {
            let near = |at: usize, start: usize, end: usize| at < start + thick || at + thick >= end;
            if near(y, top, bottom) || near(x, left, right) {
                for (plane, colour) in planes.chunks_mut(width * height).zip(FRAME) {
                    plane[y * width + x] = colour;
                }
            }
        }
    }
    Image::from_planes(width, height, planes, None)
}

fn extend(value: &Why, output: &mut Output) -> Result<()> {
    let story: String = value.story().iter().map(|line| format!("<p>{}</p>", escape(line))).collect();
    let (name, number, digits) = (escape(&value.name()), value.value, value.digits() + 2);
    output.html = Some(format!("<p>{name} = {number:.digits$}</p>{story}{}", html(&value.table(SHOWN))));
    Ok(())
}
