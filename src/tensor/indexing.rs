//! `t[…]`: parts of tensors, their assignment, and iteration over the first dimension.

use std::collections::HashMap;
use std::ops::{Range, RangeInclusive};

use candle_core::{Device, Tensor};
use rhai::{Array, Engine, EvalAltResult};

use super::arithmetic::raise;
use super::create::check_size;
use super::operand::Operand;
use super::order::pick;
use super::sum::sum_to;
use super::{Rule, TensorValue, with_backwards};
use crate::error::{Error, Kind, Result};
use crate::lang::{Dynamic, Extension, FromValue, describe};

inventory::submit! { Extension(indexing) }

type Scripted<T> = Result<T, Box<EvalAltResult>>;

fn indexing(engine: &mut Engine) {
    engine.register_indexer_get(|tensor: &mut TensorValue, index: Dynamic| -> Scripted<TensorValue> {
        part(tensor, &entries(index)).map_err(raise)
    });
    engine.register_indexer_set(|tensor: &mut TensorValue, index: Dynamic, value: Dynamic| -> Scripted<()> {
        if index.is_string() {
            // Rhai looks here for a property without a setter when it writes back what it read; this makes it leave it
            return Err(Box::new(EvalAltResult::ErrorIndexingType("a property".into(), rhai::Position::NONE)));
        }
        *tensor = with_part(tensor, &entries(index), &value).map_err(raise)?;
        Ok(())
    });
    engine.register_iterator_result::<TensorValue, TensorValue>();
}

/// `t[i]` is `t[[i]]`: a list has an entry for each dimension.
fn entries(index: Dynamic) -> Array {
    if index.is_array() { index.into_array().unwrap_or_default() } else { vec![index] }
}

/// What an entry of an index picks along its dimension.
enum Entry {
    /// One place; the dimension goes.
    At(usize),
    /// Places one after the other.
    Range(usize, usize),
    /// Places in any order: the dimension is replaced by those of the index.
    Places(Tensor),
    /// Where a mask of several dimensions is not 0: they are replaced by one.
    Mask(Tensor, usize),
}

impl Entry {
    /// Reads the entry for dimension `at`.
    fn new(index: &Dynamic, dims: &[usize], at: usize) -> Result<Self> {
        let size = dims[at];
        if index.is_unit() {
            return Ok(Self::Range(0, size));
        }
        if let Ok(number) = index.as_int() {
            return Ok(Self::At(within(number, size, dims)?));
        }
        if let Some(tensor) = index.read_lock::<TensorValue>() {
            return Self::of_tensor(&tensor, dims, at);
        }
        if let Some(list) = index.read_lock::<Array>() {
            let places = list.iter().map(|item| {
                let number = item.as_int().map_err(|_| {
                    Error::new(Kind::Argument, format!("a list of indices holds integers, not {}", describe(item)))
                })?;
                within(number, size, dims)
            });
            let places = places.map(|place| place.map(|place| place as u32)).collect::<Result<Vec<u32>>>()?;
            let count = places.len();
            return Ok(Self::Places(Tensor::from_vec(places, count, &Device::Cpu)?));
        }
        let (start, end) = bounds(index)?;
        let (start, end) = (within_end(start, size, dims)?, within_end(end, size, dims)?);
        if start >= end {
            return Err(Error::new(Kind::Argument, format!("the range {start}..{end} is empty")));
        }
        Ok(Self::Range(start, end))
    }

    fn of_tensor(tensor: &TensorValue, dims: &[usize], at: usize) -> Result<Self> {
        let values = tensor.values()?;
        if tensor.is_mask() {
            let rank = tensor.inner().rank();
            if rank == 0 || dims.get(at..at + rank) != Some(tensor.inner().dims()) {
                let message = format!("a mask of shape {:?} for a tensor of shape {dims:?}", tensor.inner().dims());
                return Err(Error::new(Kind::Argument, message).with_hint("a mask has the sizes of what it picks from"));
            }
            let places = values.iter().enumerate().filter(|(_, value)| **value != 0.0);
            let places: Vec<u32> = places.map(|(place, _)| place as u32).collect();
            let count = places.len();
            return Ok(Self::Mask(Tensor::from_vec(places, count, &Device::Cpu)?, rank));
        }
        let places = values.iter().map(|value| {
            if value.fract() != 0.0 {
                let message = format!("a tensor of indices holds integers, not {value}");
                return Err(Error::new(Kind::Argument, message).with_hint("t[t > 0] picks by a condition"));
            }
            within(*value as i64, dims[at], dims)
        });
        let places = places.map(|place| place.map(|place| place as u32)).collect::<Result<Vec<u32>>>()?;
        Ok(Self::Places(Tensor::from_vec(places, tensor.inner().dims(), &Device::Cpu)?))
    }
}

/// The part that an index picks. Integers drop their dimension, ranges and `()` keep it, lists and tensors of indices
/// replace it by their own.
pub(super) fn part(tensor: &TensorValue, indices: &[Dynamic]) -> Result<TensorValue> {
    let dims = tensor.inner().dims();
    let entries = read(indices, dims)?;
    if entries.iter().all(|entry| matches!(entry, Entry::At(_) | Entry::Range(..))) {
        return Ok(tensor.with(take(tensor.inner(), &entries)?));
    }
    let offsets = take(&all_places(tensor.inner())?, &entries)?;
    Ok(tensor.with(pick(tensor.inner(), &offsets)?))
}

/// Reads an index; at most one of its entries is a list, a mask or a tensor.
fn read(indices: &[Dynamic], dims: &[usize]) -> Result<Vec<Entry>> {
    let mut at = 0;
    let mut entries = Vec::with_capacity(indices.len());
    for index in indices {
        if at >= dims.len() {
            let message = format!("{} indices for a tensor of shape {dims:?}", indices.len());
            return Err(Error::new(Kind::Argument, message));
        }
        let entry = Entry::new(index, dims, at)?;
        at += if let Entry::Mask(_, rank) = entry { rank } else { 1 };
        entries.push(entry);
    }
    if entries.iter().filter(|entry| matches!(entry, Entry::Places(_) | Entry::Mask(..))).count() > 1 {
        let message = "an index holds more than one list or tensor of indices";
        let hint = "pick along one dimension after the other, or pairs of places with gather";
        return Err(Error::new(Kind::Argument, message).with_hint(hint));
    }
    Ok(entries)
}

/// Picks from a tensor of any type, dimension by dimension.
fn take(x: &Tensor, entries: &[Entry]) -> Result<Tensor> {
    let mut part = x.clone();
    let mut at = 0;
    for entry in entries {
        match entry {
            Entry::At(place) => part = part.narrow(at, *place, 1)?.squeeze(at)?,
            Entry::Range(start, end) => {
                part = part.narrow(at, *start, end - start)?;
                at += 1;
            }
            Entry::Places(places) => {
                part = select(&part, at, 1, places)?;
                at += places.rank();
            }
            Entry::Mask(places, rank) => {
                part = select(&part, at, *rank, places)?;
                at += 1;
            }
        }
    }
    Ok(part)
}

/// Replaces `rank` dimensions from `at` on, counted as one, by those of `places`.
fn select(x: &Tensor, at: usize, rank: usize, places: &Tensor) -> Result<Tensor> {
    let dims = x.dims();
    let (before, after) = (&dims[..at], &dims[at + rank..]);
    let shape = [before, places.dims(), after].concat();
    check_size(&shape, "indexing")?;
    let joined = [before, &[dims[at..at + rank].iter().product()], after].concat();
    if places.elem_count() == 0 {
        return Ok(Tensor::zeros(shape, x.dtype(), x.device())?);
    }
    let x = x.contiguous()?.reshape(joined)?;
    Ok(x.index_select(&places.flatten_all()?, at)?.reshape(shape)?)
}

/// The place of each number of a tensor in row-major order.
fn all_places(x: &Tensor) -> Result<Tensor> {
    Ok(Tensor::arange(0u32, x.elem_count() as u32, &Device::Cpu)?.reshape(x.dims())?)
}

/// The tensor with a part replaced by a number, or by a tensor whose shape is broadcast to the part's.
fn with_part(tensor: &TensorValue, indices: &[Dynamic], value: &Dynamic) -> Result<TensorValue> {
    let value = Operand::from_value(value)
        .map_err(|_| Error::new(Kind::Argument, format!("a tensor holds numbers, not {}", describe(value))))?
        .tensor()?;
    let x = tensor.inner();
    let places = take(&all_places(x)?, &read(indices, x.dims())?)?;
    let shape = places.dims().to_vec();
    let spread = value.detach().broadcast_as(shape.as_slice()).map_err(|_| {
        let message = format!("the shape {:?} does not fit the part of shape {shape:?}", value.dims());
        let hint = "sizes must be equal, or the value's 1, counted from the last dimension";
        Error::new(Kind::Tensor, message).with_hint(hint)
    })?;
    let places: Vec<u32> = places.flatten_all()?.to_vec1()?;
    let mut values = tensor.values()?;
    let written: Vec<f32> = spread.flatten_all()?.to_vec1()?;
    places.iter().zip(&written).for_each(|(place, value)| values[*place as usize] = *value);
    let y = Tensor::from_vec(values, x.dims(), x.device())?;

    let last: HashMap<u32, usize> = match value.track_op() {
        true => places.iter().enumerate().map(|(i, place)| (*place, i)).collect(),
        false => HashMap::new(),
    };
    let (targets, value_shape) = (places.clone(), value.dims().to_vec());
    let for_x: Rule = Box::new(move |gradient| {
        let mut values: Vec<f32> = gradient.flatten_all()?.to_vec1()?;
        places.iter().for_each(|place| values[*place as usize] = 0.0);
        Ok(Tensor::from_vec(values, gradient.dims(), gradient.device())?)
    });
    let for_value: Rule = Box::new(move |gradient| {
        let values: Vec<f32> = gradient.flatten_all()?.to_vec1()?;
        // of numbers written to one place, the last one stays
        let picked = targets.iter().enumerate();
        let picked = picked.map(|(i, place)| if last.get(place) == Some(&i) { values[*place as usize] } else { 0.0 });
        sum_to(&Tensor::from_vec(picked.collect::<Vec<_>>(), shape.as_slice(), gradient.device())?, &value_shape)
    });
    Ok(with_backwards(vec![(x, for_x), (&value, for_value)], y)?.into())
}

fn bounds(index: &Dynamic) -> Result<(i64, i64)> {
    if let Some(range) = index.read_lock::<Range<i64>>() {
        return Ok((range.start, range.end));
    }
    if let Some(range) = index.read_lock::<RangeInclusive<i64>>() {
        return Ok((*range.start(), range.end().saturating_add(1)));
    }
    let message = format!("a tensor is indexed by an integer, a range or (), not {}", describe(index));
    let hint = "or by a list or tensor of integers, or by a mask such as t > 0";
    Err(Error::new(Kind::Argument, message).with_hint(hint))
}

fn within(index: i64, size: usize, dims: &[usize]) -> Result<usize> {
    let found = if index < 0 { index.checked_add(size as i64).unwrap_or(-1) } else { index };
    usize::try_from(found).ok().filter(|place| *place < size).ok_or_else(|| {
        let message = format!("the index {index} is outside a tensor of shape {dims:?}");
        let error = Error::new(Kind::Argument, message);
        if size == 0 { error } else { error.with_hint(format!("it goes from 0 to {}", size - 1)) }
    })
}

fn within_end(index: i64, size: usize, dims: &[usize]) -> Result<usize> {
    let found = if index < 0 { index.checked_add(size as i64).unwrap_or(-1) } else { index };
    usize::try_from(found).ok().filter(|place| *place <= size).ok_or_else(|| {
        let message = format!("the range ends at {index}, outside a tensor of shape {dims:?}");
        Error::new(Kind::Argument, message).with_hint(format!("it goes up to {size}"))
    })
}

/// The parts of a tensor along its first dimension.
pub struct TensorRows {
    tensor: TensorValue,
    next: usize,
}

impl Iterator for TensorRows {
    type Item = Scripted<TensorValue>;

    fn next(&mut self) -> Option<Self::Item> {
        let place = self.next;
        self.next += 1;
        match self.tensor.inner().dims().first() {
            Some(size) if place >= *size => None,
            Some(_) => Some(part(&self.tensor, &[Dynamic::from(place as i64)]).map_err(raise)),
            None if place > 0 => None,
            None => {
                let error = Error::new(Kind::Tensor, "a tensor without dimensions holds nothing to go through");
                Some(Err(raise(error.with_hint("it is a single number; .item() gives it"))))
            }
        }
    }
}

impl IntoIterator for TensorValue {
    type Item = Scripted<Self>;
    type IntoIter = TensorRows;

    /// The parts along the first dimension; a tensor without dimensions gives an error.
    fn into_iter(self) -> TensorRows {
        TensorRows { tensor: self, next: 0 }
    }
}
