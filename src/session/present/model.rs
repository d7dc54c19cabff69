//! Models: their name and recipe, and the table of their layers.

use super::{Presenter, on_type, table};
use crate::error::Result;
use crate::model::{Model, layer_table};
use crate::render::escape;
use crate::session::Output;

inventory::submit! {
    Presenter {
        extend: on_type!(Model, extend),
        ..Presenter::of::<Model>()
    }
}

fn extend(model: &Model, output: &mut Output) -> Result<()> {
    let layers = layer_table(model);
    output.html = Some(format!("<p>{}</p>{}", escape(&output.text).replace('\n', "<br>"), table::html(&layers)));
    output.text = format!("{}\n{layers}", output.text);
    Ok(())
}
