//! Whole numbers of an ONNX graph: shapes, axes, indices and padding, which exporters compute with.

use std::sync::Arc;

use crate::error::{Error, Kind, Result};

/// Whole numbers are shapes, axes and indices, of which there are few.
pub(super) const MOST_INTS: usize = 1 << 16;

/// Whole numbers with their shape.
#[derive(Clone, Debug)]
pub(super) struct Ints {
    pub dims: Vec<usize>,
    pub values: Arc<[i64]>,
}

impl Ints {
    pub fn new(dims: Vec<usize>, values: Vec<i64>) -> Result<Self> {
        if values.len() > MOST_INTS {
            return Err(too_many_ints(values.len()));
        }
        if count(&dims) != Some(values.len()) {
            return Err(Error::new(Kind::File, format!("{} numbers do not make {dims:?}", values.len())));
        }
        Ok(Self { dims, values: values.into() })
    }

    pub fn list(values: Vec<i64>) -> Result<Self> {
        Self::new(vec![values.len()], values)
    }

    /// The numbers at these places, each given by one index for every axis.
    fn picked(&self, dims: Vec<usize>, source: impl Fn(&[usize]) -> Vec<usize>) -> Result<Self> {
        let total = count(&dims).unwrap_or(0);
        let mut values = Vec::with_capacity(total.min(MOST_INTS));
        for at in 0..total {
            let mut rest = at;
            let mut index = vec![0; dims.len()];
            for (index, size) in index.iter_mut().zip(&dims).rev() {
                *index = rest % size;
                rest /= size;
            }
            let flat = source(&index).iter().zip(&self.dims).fold(0, |flat, (index, size)| flat * size + index);
            values.push(
                self.values.get(flat).copied().ok_or_else(|| Error::new(Kind::File, "an index is beyond the end"))?,
            );
        }
        Self::new(dims, values)
    }

    /// The axes in another order: axis `order[i]` becomes axis `i`.
    pub fn transposed(&self, order: &[usize]) -> Result<Self> {
        let dims = order.iter().map(|axis| self.dims[*axis]).collect();
        self.picked(dims, |index| {
            let mut source = vec![0; index.len()];
            order.iter().zip(index).for_each(|(axis, at)| source[*axis] = *at);
            source
        })
    }

    /// Every `step`th part along one axis from `start` to before `end`, backwards if `step` is negative.
    pub fn sliced(&self, axis: usize, start: i64, end: i64, step: i64) -> Result<Self> {
        let size = self.dims[axis] as i64;
        if step == 0 {
            return Err(Error::new(Kind::File, "its step is 0"));
        }
        // where a walk backwards ends, before the first, is −1
        let (low, high) = if step > 0 { (0, size) } else { (-1, size - 1) };
        let bound = |at: i64| (if at < 0 { at.saturating_add(size) } else { at }).clamp(low, high);
        let (start, end) = (bound(start), bound(end));
        let mut places = Vec::new();
        let mut at = start;
        while (step > 0 && at < end) || (step < 0 && at > end) {
            places.push(at as usize);
            at = at.saturating_add(step);
        }
        let dims =
            self.dims.iter().enumerate().map(|(at, size)| if at == axis { places.len() } else { *size }).collect();
        self.picked(dims, |index| {
            index.iter().enumerate().map(|(at, index)| if at == axis { places[*index] } else { *index }).collect()
        })
    }
}

pub(super) fn too_many_ints(count: usize) -> Error {
    let message = format!("{count} whole numbers: only floating-point weights are supported");
    Error::new(Kind::File, message).with_hint("export the network before it is quantized")
}

/// How many numbers a shape has; none if that is beyond counting.
pub(super) fn count(dims: &[usize]) -> Option<usize> {
    dims.iter().try_fold(1usize, |product, size| product.checked_mul(*size)).filter(|count| *count < 1 << 40)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_sliced_and_transposed() {
        let ints = |dims: &[usize], values: &[i64]| Ints::new(dims.to_vec(), values.to_vec()).unwrap();
        let table = ints(&[3, 2], &[0, 1, 10, 11, 20, 21]);
        assert_eq!(*table.transposed(&[1, 0]).unwrap().values, [0, 10, 20, 1, 11, 21]);
        // as tf.pad's sizes are turned round: [::-1]
        let back = table.sliced(0, -1, i64::MIN, -1).unwrap();
        assert_eq!((back.dims.as_slice(), &*back.values), (&[3, 2][..], &[20, 21, 10, 11, 0, 1][..]));
        assert_eq!(*table.sliced(0, 0, i64::MAX, 2).unwrap().values, [0, 1, 20, 21]);
        assert_eq!(*table.sliced(1, 1, 2, 1).unwrap().values, [1, 11, 21]);
        assert_eq!(table.sliced(0, 2, 1, 1).unwrap().dims, [0, 2]);
        // numpy: arange(10)[8:2:-3]
        let line = ints(&[10], &(0..10).collect::<Vec<_>>());
        assert_eq!(*line.sliced(0, 8, 2, -3).unwrap().values, [8, 5]);
        assert_eq!(*line.sliced(0, 100, -100, -4).unwrap().values, [9, 5, 1]);
        assert!(line.sliced(0, 0, 5, 0).is_err());
        let cube = ints(&[2, 3, 4], &(0..24).collect::<Vec<_>>());
        let turned = cube.transposed(&[2, 0, 1]).unwrap();
        // numpy: arange(24).reshape(2, 3, 4).transpose(2, 0, 1)[3, 1, 2]
        assert_eq!((turned.dims.as_slice(), turned.values[3 * 6 + 3 + 2]), (&[4, 2, 3][..], 23));
        assert_eq!(turned.values[6], 1);
    }
}
