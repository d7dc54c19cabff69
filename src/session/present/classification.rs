//! Classifications: bars beside the picture.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::{Presenter, on_type};
use crate::error::Result;
use crate::render::{Bar, Bars, Body, Figure, Raster, escape, percent, to_png};
use crate::session::Output;
use crate::vis::Classification;

/// What stands above a classification.
const TITLE: &str = "What the network says it is";

inventory::submit! {
    Presenter {
        figure: Some(on_type!(Classification, |value: &Classification| Ok(Some(figure(value))), Ok(None))),
        name: on_type!(Classification, name, None),
        extend: on_type!(Classification, extend),
        ..Presenter::of::<Classification>()
    }
}

fn name(value: &Classification) -> Option<String> {
    Some(format!("classes {}", value.ranked.first().map_or("", |ranked| &ranked.name)))
}

fn figure(value: &Classification) -> Figure {
    if value.is_regression() {
        let values: Vec<String> =
            value.ranked.iter().map(|ranked| format!("{}: {}", ranked.name, ranked.score)).collect();
        return Figure::new(Body::Picture(value.image.clone()))
            .titled("What the network measures")
            .captioned(values.join("; "));
    }
    let bars = value.ranked.iter().map(|ranked| Bar { name: ranked.name.clone(), value: ranked.probability }).collect();
    Figure::new(Body::Bars(Bars::new(bars).thumbnail(value.image.clone()))).titled(TITLE)
}

/// For notebooks: the picture, and bars in the colours of the page.
fn extend(value: &Classification, output: &mut Output) -> Result<()> {
    if value.is_regression() {
        return Ok(());
    }
    let rows = value.ranked.iter().enumerate().map(|(rank, ranked)| {
        let weight = if rank == 0 { "font-weight:600" } else { "opacity:0.85" };
        let width = (ranked.probability * 100.0).clamp(0.0, 100.0);
        let bar = format!(
            "<div style=\"width:{width:.1}%;min-width:1px;height:0.8em;background:#2f6fb0;border-radius:2px\"></div>"
        );
        format!(
            "<tr style=\"{weight};background:none\"><td style=\"text-align:left;white-space:nowrap;padding:2px 8px\">{}</td><td>\
             <div style=\"width:20em;background:rgba(128,128,128,0.2);border-radius:2px\">{bar}</div></td>\
             <td style=\"text-align:right;white-space:nowrap;padding:2px 8px\">{}</td></tr>",
            escape(&ranked.name),
            percent(ranked.probability)
        )
    });
    let rows: String = rows.collect();
    let title = escape(output.title.as_deref().unwrap_or(TITLE));
    let png = BASE64.encode(to_png(&Raster::from_image(&value.image), &[])?);
    output.html = Some(format!(
        "<div style=\"font-weight:600;margin-bottom:6px\">{title}</div>\
         <div style=\"display:flex;align-items:center;gap:20px\">\
         <img alt=\"the image as the network saw it\" style=\"width:160px\" src=\"data:image/png;base64,{png}\">\
         <table style=\"border:none;margin:0\"><tbody>{rows}</tbody></table></div>"
    ));
    Ok(())
}
