//! Buffers that are used again and again, so that memory stays where it is.

use std::sync::{Arc, Mutex};

use crate::model::budget;

/// The buffers of one model's runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Arena(Arc<Mutex<Buffers>>);

#[derive(Debug, Default)]
struct Buffers {
    /// Those that nobody uses at the moment.
    free: Vec<Vec<f32>>,
    /// Floats on loan.
    lent: usize,
}

/// A buffer on loan; it goes back when it is dropped.
#[derive(Debug)]
pub(super) struct Loan {
    values: Vec<f32>,
    length: usize,
    arena: Arena,
}

/// Bytes that buffers may take; as much again is for prepared weights.
fn share() -> usize {
    budget::memory() / 2
}

impl Arena {
    /// A buffer of so many floats with whatever was in it before.
    pub(super) fn take(&self, length: usize) -> Loan {
        let found = self.0.lock().ok().and_then(|mut buffers| {
            let found = take_best(&mut buffers.free, length);
            if found.is_none() {
                // what lies idle makes room for what is needed
                let lent = buffers.lent + length;
                buffers.shrink(share().saturating_sub(4 * lent));
            }
            buffers.lent += found.as_ref().map_or(length, Vec::len);
            found
        });
        Loan { values: found.unwrap_or_else(|| vec![0.0; length]), length, arena: self.clone() }
    }

    /// Gives back what lies idle beyond the share.
    pub(super) fn shrink(&self) {
        if let Ok(mut buffers) = self.0.lock() {
            buffers.shrink(share());
        }
    }
}

impl Buffers {
    /// Keeps the smallest of the idle ones, up to so many bytes.
    fn shrink(&mut self, budget: usize) {
        self.free.sort_by_key(Vec::len);
        let mut bytes = 0;
        self.free.retain(|values| {
            bytes += 4 * values.len();
            bytes <= budget
        });
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
        if let Ok(mut buffers) = self.arena.0.lock() {
            buffers.lent -= self.values.len();
            buffers.free.push(std::mem::take(&mut self.values));
        }
    }
}
