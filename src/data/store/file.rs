//! Blocks of rows as Parquet files, which other programs read.
//!
//! A row for each image: `index`, `name`, `content`, `label`, and a list of numbers for each column. What the numbers are of stands in the
//! file's metadata.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, FloatType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{PrimitiveTypeBuilder, Type};
use serde::{Deserialize, Serialize};

use super::block::{Block, Column, Kept, Row};
use crate::error::{Error, Kind, Result};
use crate::files::write_file;

/// Where the metadata stands in a file.
const KEY: &str = "percept";
/// Columns before those of numbers.
const FIRST: usize = 4;

/// What the rows of a file are of: files that differ in this do not belong together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct About {
    /// The version of the form of the files.
    pub(super) version: u32,
    /// The network's name, with its edits.
    pub(super) model: String,
    /// The hash of its weights.
    pub(super) weights: String,
    /// How images become its input.
    pub(super) recipe: String,
    /// The layers, and the shape of each for one image.
    pub(super) layers: Vec<(String, Vec<usize>)>,
    /// Whether the maps are kept.
    pub(super) maps: bool,
}

impl About {
    /// Refuses files that are of something else.
    pub(super) fn check(&self, other: &Self, path: &Path) -> Result<()> {
        let names = |about: &Self| about.layers.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>().join(", ");
        let (what, own, theirs) = if (&self.model, &self.weights) != (&other.model, &other.weights) {
            (
                "another network",
                format!("{}@{}", self.model, self.weights),
                format!("{}@{}", other.model, other.weights),
            )
        } else if self.recipe != other.recipe {
            ("another input", self.recipe.clone(), other.recipe.clone())
        } else if self.layers != other.layers {
            ("other layers", names(self), names(other))
        } else if self.maps != other.maps {
            let maps = |about: &Self| if about.maps { "with maps" } else { "without maps" }.to_owned();
            ("another form", maps(self), maps(other))
        } else if self.version != other.version {
            ("another version", self.version.to_string(), other.version.to_string())
        } else {
            return Ok(());
        };
        let message = format!("`{}` is of {what}: {theirs}, not {own}", path.display());
        Err(Error::new(Kind::Argument, message).with_hint("take another folder"))
    }

    pub(super) fn columns(&self) -> Vec<Column> {
        let kept = [Kept::Max, Kept::At, Kept::Mean, Kept::Map];
        let of_layer = |(name, shape): &(String, Vec<usize>)| {
            let (layer, all) = (name.clone(), shape.iter().product());
            let channels = shape.first().copied().unwrap_or(0);
            let column = move |kept| {
                let width = if kept == Kept::Map { all } else { channels };
                Column { layer: layer.clone(), kept, width }
            };
            kept[..if self.maps { 4 } else { 3 }].iter().map(move |kept| column(*kept)).collect::<Vec<_>>()
        };
        self.layers.iter().flat_map(of_layer).collect()
    }
}

/// A file of rows, without its numbers.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) path: PathBuf,
    pub(super) about: About,
    pub(super) rows: Vec<Row>,
}

impl Part {
    /// Writes a block whole or not at all.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub(super) fn write(path: &Path, about: &About, block: &Block) -> Result<()> {
        let bytes = encoded(about, block).map_err(|error| fault(path, "cannot be written", &error))?;
        write_file(path, &bytes)
    }

    /// What stands in a file besides the numbers.
    ///
    /// # Errors
    /// It cannot be read, or is no part of a store.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let reader = reader(path)?;
        let metadata = reader.metadata().file_metadata();
        let own = metadata.key_value_metadata().into_iter().flatten().find(|pair| pair.key == KEY);
        let about = own.and_then(|pair| serde_json::from_str::<About>(pair.value.as_deref()?).ok());
        let about = about.ok_or_else(|| {
            let message = format!("`{}` is no part of a store: Percept did not write it", path.display());
            Error::new(Kind::File, message)
        })?;
        let columns = about.columns();
        if reader.metadata().num_row_groups() != 1 || metadata.schema_descr().num_columns() != FIRST + columns.len() {
            return Err(damaged(path));
        }
        let rows = rows(&reader).map_err(|error| fault(path, "cannot be read", &error))?;
        Ok(Self { path: path.to_owned(), about, rows })
    }

    /// The numbers of a column, given by its place in [`About::columns`].
    ///
    /// # Errors
    /// The file cannot be read, or is damaged.
    pub(super) fn numbers(&self, place: usize) -> Result<Vec<f32>> {
        let columns = self.about.columns();
        let column = columns.get(place).ok_or_else(|| damaged(&self.path))?;
        let (rows, reader) = (self.rows.len(), reader(&self.path)?);
        let failed = |error: ParquetError| fault(&self.path, "cannot be read", &error);
        let numbers = if column.kept == Kept::At {
            let places = list::<Int32Type>(&reader, FIRST + place, rows, column.width).map_err(failed)?;
            places.into_iter().map(|place| place as f32).collect()
        } else {
            list::<FloatType>(&reader, FIRST + place, rows, column.width).map_err(failed)?
        };
        if numbers.len() == rows * column.width { Ok(numbers) } else { Err(damaged(&self.path)) }
    }
}

fn reader(path: &Path) -> Result<SerializedFileReader<File>> {
    let file = File::open(path)
        .map_err(|error| Error::new(Kind::File, format!("`{}` cannot be read: {error}", path.display())))?;
    SerializedFileReader::new(file).map_err(|error| fault(path, "cannot be read", &error))
}

fn fault(path: &Path, what: &str, error: &ParquetError) -> Error {
    Error::new(Kind::File, format!("`{}` {what}: {error}", path.display()))
}

fn damaged(path: &Path) -> Error {
    let error = Error::new(Kind::File, format!("`{}` is damaged", path.display()));
    error.with_hint("delete it: what stood in it is computed again")
}

fn primitive(name: &str, physical: Physical, repetition: Repetition) -> PrimitiveTypeBuilder<'_> {
    Type::primitive_type_builder(name, physical).with_repetition(repetition)
}

fn schema(columns: &[Column]) -> Result<Type, ParquetError> {
    let mut fields = vec![
        Arc::new(primitive("index", Physical::INT64, Repetition::REQUIRED).build()?),
        Arc::new(
            primitive("name", Physical::BYTE_ARRAY, Repetition::REQUIRED)
                .with_logical_type(Some(LogicalType::String))
                .build()?,
        ),
        Arc::new(primitive("content", Physical::INT64, Repetition::REQUIRED).build()?),
        Arc::new(
            primitive("label", Physical::BYTE_ARRAY, Repetition::OPTIONAL)
                .with_logical_type(Some(LogicalType::String))
                .build()?,
        ),
    ];
    for column in columns {
        let physical = if column.kept == Kept::At { Physical::INT32 } else { Physical::FLOAT };
        let element = Arc::new(primitive("element", physical, Repetition::REQUIRED).build()?);
        let list = Type::group_type_builder("list").with_repetition(Repetition::REPEATED).with_fields(vec![element]);
        let name = column.name();
        let outer = Type::group_type_builder(&name)
            .with_repetition(Repetition::REQUIRED)
            .with_logical_type(Some(LogicalType::List))
            .with_fields(vec![Arc::new(list.build()?)]);
        fields.push(Arc::new(outer.build()?));
    }
    Type::group_type_builder("percept").with_fields(fields).build()
}

fn encoded(about: &About, block: &Block) -> Result<Vec<u8>, ParquetError> {
    let columns = about.columns();
    let own = serde_json::to_string(about).map_err(|error| ParquetError::General(error.to_string()))?;
    let properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(Compression::UNCOMPRESSED)
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_created_by("percept".to_owned())
        .set_max_row_group_row_count(None)
        .set_key_value_metadata(Some(vec![KeyValue::new(KEY.to_owned(), own)]))
        .build();
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema(&columns)?), Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    let index: Vec<i64> = block.rows.iter().map(|row| row.index as i64).collect();
    let names: Vec<ByteArray> = block.rows.iter().map(|row| ByteArray::from(&*row.name)).collect();
    let content: Vec<i64> = block.rows.iter().map(|row| row.content as i64).collect();
    let labels: Vec<ByteArray> =
        block.rows.iter().filter_map(|row| row.label.as_deref()).map(ByteArray::from).collect();
    let labelled: Vec<i16> = block.rows.iter().map(|row| i16::from(row.label.is_some())).collect();
    write::<Int64Type>(&mut group, &index, None, None)?;
    write::<ByteArrayType>(&mut group, &names, None, None)?;
    write::<Int64Type>(&mut group, &content, None, None)?;
    write::<ByteArrayType>(&mut group, &labels, Some(&labelled), None)?;
    for (column, numbers) in columns.iter().zip(&block.columns) {
        let defined = vec![1i16; numbers.len()];
        // a new list begins where this is 0
        let repeated: Vec<i16> = (0..numbers.len()).map(|at| i16::from(at % column.width.max(1) != 0)).collect();
        if column.kept == Kept::At {
            let places: Vec<i32> = numbers.iter().map(|place| *place as i32).collect();
            write::<Int32Type>(&mut group, &places, Some(&defined), Some(&repeated))?;
        } else {
            write::<FloatType>(&mut group, numbers, Some(&defined), Some(&repeated))?;
        }
    }
    group.close()?;
    writer.into_inner()
}

/// Writes the next column.
fn write<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    values: &[T::T],
    defined: Option<&[i16]>,
    repeated: Option<&[i16]>,
) -> Result<(), ParquetError> {
    let missing = || ParquetError::General("a column too many".to_owned());
    let mut column = group.next_column()?.ok_or_else(missing)?;
    column.typed::<T>().write_batch(values, defined, repeated)?;
    column.close()
}

fn rows(reader: &SerializedFileReader<File>) -> Result<Vec<Row>, ParquetError> {
    let group = reader.get_row_group(0)?;
    let count = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
    let (mut index, mut names, mut content) = (Vec::new(), Vec::new(), Vec::new());
    let (mut labels, mut labelled) = (Vec::new(), Vec::new());
    get_typed_column_reader::<Int64Type>(group.get_column_reader(0)?).read_records(count, None, None, &mut index)?;
    get_typed_column_reader::<ByteArrayType>(group.get_column_reader(1)?)
        .read_records(count, None, None, &mut names)?;
    get_typed_column_reader::<Int64Type>(group.get_column_reader(2)?).read_records(count, None, None, &mut content)?;
    let mut label = get_typed_column_reader::<ByteArrayType>(group.get_column_reader(3)?);
    label.read_records(count, Some(&mut labelled), None, &mut labels)?;
    let mut labels = labels.into_iter();
    let row = |(((index, name), content), labelled): (((i64, ByteArray), i64), i16)| {
        let label = if labelled == 1 { labels.next() } else { None };
        let label = label.map(|label| label.as_utf8().map(str::to_owned)).transpose()?;
        Ok(Row { index: index as u64, name: name.as_utf8()?.into(), content: content as u64, label })
    };
    index.into_iter().zip(names).zip(content).zip(labelled).map(row).collect()
}

/// The numbers of a column of lists of this length; fewer or none if the lists have others.
fn list<T: DataType>(
    reader: &SerializedFileReader<File>,
    column: usize,
    rows: usize,
    width: usize,
) -> Result<Vec<T::T>, ParquetError> {
    let group = reader.get_row_group(0)?;
    let mut column = get_typed_column_reader::<T>(group.get_column_reader(column)?);
    let count = rows.saturating_mul(width);
    let (mut values, mut defined, mut repeated) = (Vec::new(), Vec::new(), Vec::new());
    let mut read = 0;
    while read < rows {
        let (records, ..) = column.read_records(rows - read, Some(&mut defined), Some(&mut repeated), &mut values)?;
        if records == 0 || values.len() > count {
            break;
        }
        read += records;
    }
    let whole = repeated.iter().enumerate().all(|(at, repeated)| (at % width.max(1) != 0) == (*repeated == 1));
    Ok(if whole { values } else { Vec::new() })
}
