//! Buffers that are used again and again, so that memory stays where it is.

use std::sync::{Arc, Mutex};

/// Buffers that nobody uses at the moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Pool(Arc<Mutex<Vec<Vec<f32>>>>);

/// A buffer on loan; it goes back when it is dropped.
#[derive(Debug)]
pub(super) struct Loan {
    values: Vec<f32>,
    length: usize,
    pool: Pool,
}

impl Pool {
    /// A buffer of so many floats with whatever was in it before.
    pub(super) fn take(&self, length: usize) -> Loan {
        let mut free = self.0.lock().map(|mut free| take_best(&mut free, length)).ok().flatten().unwrap_or_default();
        if free.len() < length {
            // not resize: what is in there need not be copied
            free = vec![0.0; length];
        }
        Loan { values: free, length, pool: self.clone() }
    }

    /// Gives back what lies idle beyond `budget` bytes.
    pub(super) fn shrink(&self, budget: usize) {
        if let Ok(mut free) = self.0.lock() {
            free.sort_by_key(Vec::len);
            let mut bytes = 0;
            free.retain(|values| {
                bytes += 4 * values.len();
                bytes <= budget
            });
        }
    }
}

/// The smallest buffer that is large enough, but not one that is much too large.
fn take_best(free: &mut Vec<Vec<f32>>, length: usize) -> Option<Vec<f32>> {
    let fits = |(_, values): &(usize, &Vec<f32>)| values.len() >= length && values.len() / 2 <= length;
    let (best, _) = free.iter().enumerate().filter(fits).min_by_key(|(_, values)| values.len())?;
    Some(free.swap_remove(best))
}

impl std::ops::Deref for Loan {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.values[..self.length]
    }
}

impl std::ops::DerefMut for Loan {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values[..self.length]
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if let Ok(mut free) = self.pool.0.lock() {
            free.push(std::mem::take(&mut self.values));
        }
    }
}
