//! What a network makes of images, a block at a time.

use std::ops::Range;

use candle_core::Tensor;
use rayon::prelude::*;

use super::block::{Block, Column, Kept, Row};
use crate::data::ImageSet;
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::model::{Layer, Model, NodeId, Rules, budget};
use crate::tensor::with_values;

/// How many images are run at once.
const BATCH: usize = 16;

/// An image that cannot be read, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its name in the set.
    pub name: String,
    /// What is wrong with it.
    pub why: String,
}

/// Runs a network over images of a set.
pub(super) struct Filler<'a> {
    job: &'a Job<'a>,
    model: &'a Model,
    set: &'a ImageSet,
    taps: Vec<NodeId>,
    columns: &'a [Column],
    batch: usize,
}

impl<'a> Filler<'a> {
    pub(super) fn new(
        job: &'a Job<'a>,
        model: &'a Model,
        set: &'a ImageSet,
        layers: &[Layer],
        columns: &'a [Column],
    ) -> Self {
        let bytes: usize = layers.iter().map(|layer| 4 * layer.shape().iter().product::<usize>()).sum();
        let batch = (budget::memory() / 4 / bytes.max(1)).clamp(1, BATCH);
        Self { job, model, set, taps: layers.iter().map(Layer::id).collect(), columns, batch }
    }

    /// The rows of some images, with what tells each image's content; those that cannot be read are skipped. `done` hears how many were looked at.
    ///
    /// # Errors
    /// A function of the script that changes images failed, or the run was interrupted.
    pub(super) fn block(
        &self,
        images: &[usize],
        content: &[u64],
        done: &mut dyn FnMut(usize),
    ) -> Result<(Block, Vec<Skipped>)> {
        let mut block = Block { rows: Vec::new(), columns: vec![Vec::new(); self.columns.len()] };
        let mut skipped = Vec::new();
        for images in images.chunks(self.batch) {
            let inputs = self.set.read_each(self.job, images, |image| self.model.input(&self.model.view(&image)?))?;
            let mut batch = Vec::with_capacity(images.len());
            for (index, input) in images.iter().zip(inputs) {
                let Some(entry) = self.set.entries().get(*index) else { continue };
                match input {
                    Ok(input) => {
                        let label = self.set.class_of(entry).map(str::to_owned);
                        let content = content.get(*index).copied().unwrap_or(0);
                        block.rows.push(Row { index: *index as u64, name: entry.name.clone(), content, label });
                        batch.push(input);
                    }
                    Err(error) => {
                        skipped.push(Skipped { name: entry.name.to_string(), why: error.message().to_owned() })
                    }
                }
            }
            if !batch.is_empty() {
                self.run(&batch, &mut block)?;
            }
            done(images.len());
        }
        Ok((block, skipped))
    }

    fn run(&self, inputs: &[Tensor], block: &mut Block) -> Result<()> {
        let rules = Rules::default();
        let values = self.model.run(&Tensor::cat(inputs, 0)?, &self.taps, &rules, self.job.interrupt())?;
        let each = self.columns.len() / self.taps.len().max(1);
        for (value, columns) in values.iter().zip(self.columns.chunks(each).zip(block.columns.chunks_mut(each))) {
            let (columns, kept) = columns;
            let channels = value.dim(1)?;
            with_values(value, |numbers| {
                let place = numbers.len() / (inputs.len() * channels).max(1);
                for (column, kept) in columns.iter().zip(kept) {
                    kept.extend(numbers_of(column.kept, numbers, place));
                }
            })?;
        }
        Ok(())
    }
}

/// What is kept of maps of so many places each, one after the other.
fn numbers_of(kept: Kept, numbers: &[f32], places: usize) -> Vec<f32> {
    let maps = numbers.par_chunks(places.max(1));
    match kept {
        Kept::Max => maps.map(|map| map[largest(map)]).collect(),
        // at most 2²⁴ places, which are whole numbers in this form
        Kept::At => maps.map(|map| largest(map) as f32).collect(),
        Kept::Mean => {
            maps.map(|map| (map.iter().map(|v| f64::from(*v)).sum::<f64>() / map.len() as f64) as f32).collect()
        }
        Kept::Map => numbers.to_vec(),
    }
}

/// The place of the largest number; of none that is a number, the first.
fn largest(map: &[f32]) -> usize {
    let mut best = 0;
    for (place, value) in map.iter().enumerate() {
        if *value > map[best] || map[best].is_nan() {
            best = place;
        }
    }
    best
}

/// What a layer needs to be kept.
pub(super) fn check(model: &Model, layers: &[Layer]) -> Result<()> {
    if layers.is_empty() {
        let error = Error::new(Kind::Argument, "store: there is no layer to keep").at_argument("layers");
        return Err(error.with_hint("such as [\"fire5\"]"));
    }
    for (place, layer) in layers.iter().enumerate() {
        if !layer.model().same(model) {
            let message = format!("store: layer {} is another network's", layer.name());
            return Err(Error::new(Kind::Argument, message).at_argument("layers"));
        }
        if layers[..place].iter().any(|other| other.id() == layer.id()) {
            let message = format!("store: layer {} is there twice", layer.name());
            return Err(Error::new(Kind::Argument, message).at_argument("layers"));
        }
    }
    Ok(())
}

/// Parts of a set of so many images: the last one may be smaller.
pub(super) fn parts(count: usize, size: usize) -> impl Iterator<Item = Range<usize>> {
    (0..count.div_ceil(size)).map(move |part| part * size..count.min((part + 1) * size))
}
