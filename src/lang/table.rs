//! A table: rows of text and numbers, shown aligned.

use std::fmt;

use rhai::{Dynamic, Map};

use super::{IntoValue, function, value_type};
use crate::error::Result;

/// Rows under named columns.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// What each column is called.
    pub columns: Vec<&'static str>,
    /// The rows; each has one entry for each column.
    pub rows: Vec<Vec<Dynamic>>,
}

value_type!(Table, "table", "a table", "Rows of values under named columns.");

impl Table {
    /// An empty table.
    pub fn new(columns: &[&'static str]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::NOTHING).set_header(self.columns.iter().copied());
        for row in &self.rows {
            table.add_row(row.iter().map(ToString::to_string));
        }
        for (index, column) in table.column_iter_mut().enumerate() {
            let numeric =
                self.rows.iter().all(|row| row.get(index).is_some_and(|cell| cell.is_int() || cell.is_float()));
            if numeric {
                column.set_cell_alignment(comfy_table::CellAlignment::Right);
            }
        }
        f.write_str(table.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_end())
    }
}

/// The rows of a table as a list of maps, one entry for each column.
///
/// ```rhai
/// model("squeezenet1_1").layers().rows()[1].layer
/// ```
#[function]
fn rows(
    /// The table.
    table: Table,
) -> Result<Vec<Dynamic>> {
    Ok(table
        .rows
        .iter()
        .map(|row| {
            let entries = table.columns.iter().zip(row).map(|(name, cell)| ((*name).into(), cell.clone()));
            entries.collect::<Map>().into_value()
        })
        .collect())
}
