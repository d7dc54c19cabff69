//! How each kind of value is shown.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::Output;
use super::builtins::{Lettered, Page};
use crate::error::Result;
use crate::image::Image;
use crate::lang::{Dynamic, Table, provenance, text};
use crate::model::{Model, layer_table};
use crate::render::{Bar, Bars, Body, Colormap, Figure, Grid, Heatmap, Range, Raster, Tile, percent, to_png};
use crate::vis::Classification;
use crate::vis::attribution::{Attribution, Sign};
use crate::vis::representation::{Activations, Filters};

/// What stands above a classification.
const CLASSIFIED: &str = "What the network says it is";
/// How much text a value is shown as at most; `print` writes all of it.
const MOST_CHARACTERS: usize = 20_000;
/// How many rows of a table a notebook shows at most.
const MOST_ROWS: usize = 1000;
/// How many channels or pictures one figure shows at most.
const MOST_TILES: usize = 144;
/// How many rows and columns a matrix of kernels shows at most.
const MOST_KERNELS: usize = 64;

/// A value in every form that suits it.
pub(super) fn present(value: &Dynamic, title: Option<&str>) -> Result<Output> {
    if let Some(Page(markdown)) = value.clone().try_cast() {
        return Ok(Output { text: super::help::plain(&markdown), markdown: Some(markdown), ..Output::default() });
    }
    let mut output = Output { title: title.map(str::to_owned), text: bounded(text(value)), ..Output::default() };
    if let Some(table) = value.clone().try_cast::<Table>() {
        output.html = Some(html(&table));
    }
    if let Some(model) = value.clone().try_cast::<Model>() {
        let table = layer_table(&model);
        output.html = Some(format!("<p>{}</p>{}", escape(&output.text), html(&table)));
        output.text = format!("{}\n{table}", output.text);
    }
    if let Some(value) = value.clone().try_cast::<Classification>()
        && !value.is_regression()
    {
        output.html = Some(bars(&value, title.unwrap_or(CLASSIFIED))?);
    }
    output.provenance = told(value);
    if let Some(mut figure) = figure(value)? {
        if let Some(title) = title {
            figure.title = Some(title.to_owned());
        }
        output.title = output.title.or_else(|| figure.title.clone());
        output.figure = Some(figure);
    }
    Ok(output)
}

/// A text that a person can read: of a longer one, its beginning.
fn bounded(text: String) -> String {
    match text.char_indices().nth(MOST_CHARACTERS) {
        None => text,
        Some((end, _)) => format!(
            "{}…\n({} characters, of which these are the first {MOST_CHARACTERS})",
            &text[..end],
            text.chars().count()
        ),
    }
}

/// How a value was made; of several side by side, each.
fn told(value: &Dynamic) -> Option<String> {
    if let Some(lettered) = value.clone().try_cast::<Lettered>() {
        return told(&lettered.value);
    }
    if let Some(items) = value.read_lock::<rhai::Array>() {
        let all: Vec<String> = items.iter().filter_map(told).collect();
        return (!all.is_empty()).then(|| all.join("; "));
    }
    provenance(value)
}

/// The figure that shows a value, if it can be seen.
fn figure(value: &Dynamic) -> Result<Option<Figure>> {
    if let Some(image) = value.clone().try_cast::<Image>() {
        return Ok(Some(Figure::new(Body::Picture(image))));
    }
    if let Some(value) = value.clone().try_cast::<Classification>() {
        return Ok(Some(classification(&value)));
    }
    if let Some(value) = value.clone().try_cast::<Filters>() {
        return filters(&value).map(Some);
    }
    if let Some(value) = value.clone().try_cast::<Activations>() {
        return activations(&value).map(Some);
    }
    if let Some(value) = value.clone().try_cast::<Attribution>() {
        return attribution(&value).map(Some);
    }
    if let Some(lettered) = value.clone().try_cast::<Lettered>() {
        let Some(mut inner) = figure(&lettered.value)? else { return Ok(None) };
        inner.title = lettered.title.or(inner.title);
        inner.caption = lettered.caption.or(inner.caption);
        return Ok(Some(inner));
    }
    if let Some(items) = value.read_lock::<rhai::Array>() {
        return row(&items);
    }
    Ok(None)
}

/// A list of things to look at is shown side by side; pictures alone make a sheet.
fn row(items: &[Dynamic]) -> Result<Option<Figure>> {
    let images: Vec<Image> = items.iter().filter_map(|item| item.clone().try_cast::<Image>()).collect();
    if !images.is_empty() && images.len() == items.len() && images.len() > 3 {
        let all = images.len();
        let tiles = images.into_iter().take(MOST_TILES).map(Tile::image).collect();
        let figure = Figure::new(Body::Grid(Grid::new(tiles)));
        return Ok(Some(if all > MOST_TILES {
            figure.captioned(format!("The first {MOST_TILES} of {all}."))
        } else {
            figure
        }));
    }
    let figures = items.iter().map(figure).collect::<Result<Option<Vec<_>>>>()?;
    Ok(figures.filter(|figures| !figures.is_empty()).map(|figures| Figure::new(Body::Row(figures))))
}

fn classification(value: &Classification) -> Figure {
    if value.is_regression() {
        let values: Vec<String> =
            value.ranked.iter().map(|ranked| format!("{}: {}", ranked.name, ranked.score)).collect();
        return Figure::new(Body::Picture(value.image.clone()))
            .titled("What the network measures")
            .captioned(values.join("; "));
    }
    let bars = value.ranked.iter().map(|ranked| Bar { name: ranked.name.clone(), value: ranked.probability }).collect();
    Figure::new(Body::Bars(Bars::new(bars).thumbnail(value.image.clone()))).titled(CLASSIFIED)
}

fn filters(value: &Filters) -> Result<Figure> {
    let name = format!("{} ({})", value.layer.label(), value.layer.name());
    if value.colored {
        let tiles = (0..value.outputs).map(|output| color_filter(value, output)).collect::<Result<Vec<_>>>()?;
        return Ok(Figure::new(Body::Grid(Grid::new(tiles)))
            .titled(format!("The {} filters of {name}", value.outputs))
            .captioned(
                "Red, green and blue weights as colours. Each filter has its own scale, written under it: grey is \
                 weight 0, full colour is plus or minus that number.",
            ));
    }
    let (rows, columns) = (value.outputs.min(MOST_KERNELS), value.inputs.min(MOST_KERNELS));
    let tiles = (0..rows)
        .flat_map(|output| (0..columns).map(move |input| (output, input)))
        .map(|(output, input)| Tile::plane(value.width, value.height, value.kernel(output, input).to_vec()))
        .collect::<Result<Vec<_>>>()?;
    let grid = Grid::new(tiles)
        .matrix(columns, "output channel", "input channel")
        .colormap(Colormap::Grey)
        .range(Range::Symmetric)
        .label("weight");
    let size = format!("{}×{}", value.height, value.width);
    let mut caption = format!("One {size} kernel for each output (row) and input channel (column), on one scale.");
    if (rows, columns) != (value.outputs, value.inputs) {
        caption +=
            &format!(" Shown: the first {rows} of {} outputs, {columns} of {} inputs.", value.outputs, value.inputs);
    }
    Ok(Figure::new(Body::Grid(grid)).titled(format!("The filters of {name}")).captioned(caption))
}

/// A filter as colours around grey.
fn color_filter(value: &Filters, output: usize) -> Result<Tile> {
    let weights = value.filter(output);
    let scale = weights.iter().fold(0f32, |most, weight| most.max(weight.abs()));
    let planes = weights.iter().map(|weight| 0.5 + 0.5 * weight / scale.max(f32::MIN_POSITIVE)).collect();
    let image = Image::from_planes(value.width, value.height, planes, None)?;
    Ok(Tile::image(image).label(format!("{output}: ±{scale:.2}")))
}

fn activations(value: &Activations) -> Result<Figure> {
    let shown = value.channels.min(MOST_TILES);
    let order: Vec<usize> = if shown < value.channels { value.by_strength() } else { (0..value.channels).collect() };
    let tiles = order
        .iter()
        .take(shown)
        .map(|index| {
            Ok(Tile::plane(value.width, value.height, value.channel(*index).to_vec())?.label(index.to_string()))
        })
        .collect::<Result<Vec<_>>>()?;
    let grid = Grid::new(tiles).smooth().colormap(Colormap::Magma).label("activation");
    let mut caption = format!("Each tile is one channel, {}×{} units, all on one scale.", value.height, value.width);
    if shown < value.channels {
        caption += &format!(" The {shown} strongest of {} channels, strongest first.", value.channels);
    }
    Ok(Figure::new(Body::Grid(grid))
        .titled(format!("What {} ({}) sees", value.layer.label(), value.layer.name()))
        .captioned(caption))
}

fn attribution(value: &Attribution) -> Result<Figure> {
    let (colormap, range) = match value.sign {
        Sign::Signed => (Colormap::Diverging, Range::Symmetric),
        Sign::Magnitude => (Colormap::Inferno, Range::Auto),
    };
    let heatmap = Heatmap::new(value.width, value.height, value.values.clone())?
        .over(value.image.clone())
        .colormap(colormap)
        .range(range)
        .label(value.measures.clone())
        .show_input(true);
    let (name, verdict) = (&value.class_name, &value.verdict);
    let caption = match value.sign {
        Sign::Signed => "Red speaks for the class, blue against it.",
        Sign::Magnitude => "Bright pixels change the score most, in either direction.",
    };
    Ok(Figure::new(Body::Heatmap(heatmap))
        .titled(format!("{} for \"{name}\"", capital(value.method)))
        .captioned(format!("The network gives \"{name}\" {verdict}. {caption}")))
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

/// A classification for notebooks: the picture, and bars in the colours of the page.
fn bars(value: &Classification, title: &str) -> Result<String> {
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
    let title = escape(title);
    let png = BASE64.encode(to_png(&Raster::from_image(&value.image), &[])?);
    Ok(format!(
        "<div style=\"font-weight:600;margin-bottom:6px\">{title}</div>\
         <div style=\"display:flex;align-items:center;gap:20px\">\
         <img alt=\"the image as the network saw it\" style=\"width:160px\" src=\"data:image/png;base64,{png}\">\
         <table style=\"border:none;margin:0\"><tbody>{rows}</tbody></table></div>"
    ))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A table for notebooks.
fn html(table: &Table) -> String {
    let align = |cell: &Dynamic| if cell.is_int() || cell.is_float() { "right" } else { "left" };
    let head: Vec<String> = table
        .columns
        .iter()
        .enumerate()
        .map(|(index, column)| {
            // a heading stands over its values
            let align = table.rows.last().and_then(|row| row.get(index)).map_or("left", align);
            format!("<th style=\"text-align:{align}\">{}</th>", escape(column))
        })
        .collect();
    let rows: Vec<String> = table
        .rows
        .iter()
        .take(MOST_ROWS)
        .map(|row| {
            let cells: Vec<String> = row
                .iter()
                .map(|cell| format!("<td style=\"text-align:{}\">{}</td>", align(cell), escape(&cell.to_string())))
                .collect();
            format!("<tr>{}</tr>", cells.join(""))
        })
        .collect();
    let all = table.rows.len();
    let more = if all > MOST_ROWS { format!("<p>The first {MOST_ROWS} of {all} rows.</p>") } else { String::new() };
    format!("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>{more}", head.join(""), rows.join(""))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn large_values_are_cut_and_say_so() {
        let long = present(&Dynamic::from("é".repeat(30_000)), None).unwrap().text;
        assert!(long.chars().count() < MOST_CHARACTERS + 100);
        assert!(
            long.ends_with("(30002 characters, of which these are the first 20000)"),
            "{}",
            &long[long.len() - 90..]
        );
        let mut table = Table::new(&["number"]);
        table.rows = (0..5000i64).map(|number| vec![number.into()]).collect();
        let html = present(&Dynamic::from(table), None).unwrap().html.unwrap();
        assert_eq!(html.matches("<tr>").count(), MOST_ROWS + 1);
        assert!(html.ends_with("<p>The first 1000 of 5000 rows.</p>"));
    }
}
