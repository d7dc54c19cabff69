//! What each channel of a layer contributes: bars of the strongest.

use super::table::html;
use super::{Presenter, on_type};
use crate::error::Result;
use crate::render::{Body, Figure, escape};
use crate::session::Output;
use crate::vis::attribution::ChannelShares;

inventory::submit! {
    Presenter {
        figure: Some(on_type!(ChannelShares, figure, Ok(None))),
        name: on_type!(ChannelShares, |value: &ChannelShares| Some(name(value)), None),
        extend: on_type!(ChannelShares, extend),
        ..Presenter::of::<ChannelShares>()
    }
}

fn name(value: &ChannelShares) -> String {
    format!(
        "{} {} {}",
        value.method.to_lowercase().replace(" × ", " "),
        value.layer.known_as(),
        value.prediction.target()
    )
}

fn figure(value: &ChannelShares) -> Result<Option<Figure>> {
    let plot = value.plot()?;
    let (title, caption) =
        (plot.title.as_ref().map(ToString::to_string), plot.caption.as_ref().map(ToString::to_string));
    Ok(Some(Figure { title, caption, ..Figure::new(Body::Plot(plot)) }))
}

fn extend(value: &ChannelShares, output: &mut Output) -> Result<()> {
    output.html = Some(format!("<p>{}</p>{}", escape(&value.summary()), html(&value.table())));
    Ok(())
}
