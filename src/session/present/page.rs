//! Pages of documentation.

use super::{Presenter, on_type};
use crate::error::Result;
use crate::session::Output;
use crate::session::help::plain;
use crate::session::shown::Page;

inventory::submit! {
    Presenter {
        extend: on_type!(Page, extend),
        ..Presenter::of::<Page>()
    }
}

fn extend(page: &Page, output: &mut Output) -> Result<()> {
    output.text = plain(&page.0);
    output.markdown = Some(page.0.clone());
    Ok(())
}
