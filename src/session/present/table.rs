//! Tables, for notebooks.

use super::{Presenter, on_type};
use crate::error::Result;
use crate::lang::{Dynamic, Table};
use crate::render::escape;
use crate::session::Output;

/// How many rows of a table a notebook shows at most.
const MOST_ROWS: usize = 1000;

inventory::submit! {
    Presenter {
        extend: on_type!(Table, extend),
        ..Presenter::of::<Table>()
    }
}

fn extend(table: &Table, output: &mut Output) -> Result<()> {
    output.html = Some(html(table));
    Ok(())
}

/// A table as HTML, numbers to the right.
pub fn html(table: &Table) -> String {
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
mod tests {
    use super::*;

    #[test]
    fn long_tables_are_cut_and_say_so() {
        let mut table = Table::new(&["number"]);
        table.rows = (0..5000i64).map(|number| vec![number.into()]).collect();
        let html = html(&table);
        assert_eq!(html.matches("<tr>").count(), MOST_ROWS + 1);
        assert!(html.ends_with("<p>The first 1000 of 5000 rows.</p>"));
    }
}
