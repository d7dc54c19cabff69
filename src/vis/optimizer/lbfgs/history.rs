//! The model of a function's curvature that L-BFGS learns from its last steps, in compact form.

use std::collections::VecDeque;

use nalgebra::{DMatrix, DVector};
use rayon::prelude::*;

use super::vector::{PART, add_scaled, dot, dot_part};

/// A step and the change of the gradient over it, both divided by the step's length: of the same model, and better to
/// compute with.
#[derive(Clone, Debug)]
struct Pair {
    step: Vec<f64>,
    change: Vec<f64>,
}

/// B = θ I − W M Wᵀ with W = [Y, θ S]: the steps are the columns of S, the changes of the gradient those of Y, and M
/// follows from SᵀY and SᵀS (Byrd, Nocedal and Schnabel, 1994).
#[derive(Clone, Debug)]
pub(super) struct History {
    /// How many pairs are kept, oldest first.
    most: usize,
    pairs: VecDeque<Pair>,
    /// The curvature of all that no pair says anything about.
    pub(super) theta: f64,
    steps_changes: DMatrix<f64>,
    steps_steps: DMatrix<f64>,
    /// M, twice as large as there are pairs.
    middle: DMatrix<f64>,
}

impl History {
    /// Of nothing: the identity.
    pub(super) fn new(most: usize) -> Self {
        let none = DMatrix::zeros(0, 0);
        Self {
            most: most.max(1),
            pairs: VecDeque::new(),
            theta: 1.0,
            steps_changes: none.clone(),
            steps_steps: none.clone(),
            middle: none,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(self.most);
    }

    /// Takes in a step and the change of the gradient over it, unless the function does not curve upwards along it.
    /// Where the numbers leave no model, everything is forgotten.
    pub(super) fn push(&mut self, mut step: Vec<f64>, mut change: Vec<f64>, slope: f64) {
        let (curvature, length) = (dot(&step, &change), dot(&step, &step).sqrt());
        let enough = curvature > f64::EPSILON * slope.abs() && length > 0.0;
        if !enough {
            return;
        }
        for numbers in [&mut step, &mut change] {
            numbers.par_iter_mut().with_min_len(PART).for_each(|number| *number /= length);
        }
        let dropped = usize::from(self.pairs.len() == self.most);
        if dropped > 0 {
            self.pairs.pop_front();
        }
        self.pairs.push_back(Pair { step, change });
        let Some(new) = self.pairs.back() else { return };
        let last = self.pairs.len() - 1;
        let (old_changes, old_steps) = (&self.steps_changes, &self.steps_steps);
        let steps_changes = DMatrix::from_fn(last + 1, last + 1, |i, j| match (i == last, j == last) {
            (false, false) => old_changes[(i + dropped, j + dropped)],
            (true, _) => dot(&new.step, &self.pairs[j].change),
            (false, true) => dot(&self.pairs[i].step, &new.change),
        });
        let steps_steps = DMatrix::from_fn(last + 1, last + 1, |i, j| match (i == last, j == last) {
            (false, false) => old_steps[(i + dropped, j + dropped)],
            _ => dot(&self.pairs[i].step, &self.pairs[j].step),
        });
        self.theta = dot(&new.change, &new.change) / steps_changes[(last, last)];
        (self.steps_changes, self.steps_steps) = (steps_changes, steps_steps);
        match self.inner().try_inverse().filter(|inverse| inverse.iter().all(|value| value.is_finite())) {
            Some(middle) => self.middle = middle,
            None => self.clear(),
        }
    }

    /// [[−D, Lᵀ], [L, θ SᵀS]]: D is the diagonal of SᵀY and L what lies below it.
    fn inner(&self) -> DMatrix<f64> {
        let count = self.pairs.len();
        DMatrix::from_fn(2 * count, 2 * count, |i, j| {
            let below = |i: usize, j: usize| if i > j { self.steps_changes[(i, j)] } else { 0.0 };
            match (i < count, j < count) {
                (true, true) if i == j => -self.steps_changes[(i, i)],
                (true, true) => 0.0,
                (true, false) => below(j - count, i),
                (false, true) => below(i - count, j),
                (false, false) => self.theta * self.steps_steps[(i - count, j - count)],
            }
        })
    }

    /// The columns of W, each with its factor.
    fn columns(&self) -> impl Iterator<Item = (&[f64], f64)> {
        let changes = self.pairs.iter().map(|pair| (pair.change.as_slice(), 1.0));
        changes.chain(self.pairs.iter().map(|pair| (pair.step.as_slice(), self.theta)))
    }

    /// Wᵀ v.
    pub(super) fn along(&self, v: &[f64]) -> DVector<f64> {
        DVector::from_iterator(2 * self.pairs.len(), self.columns().map(|(column, factor)| factor * dot(column, v)))
    }

    /// One row of W.
    pub(super) fn row(&self, place: usize) -> DVector<f64> {
        let at = |(column, factor): (&[f64], f64)| factor * column.get(place).copied().unwrap_or(0.0);
        DVector::from_iterator(2 * self.pairs.len(), self.columns().map(at))
    }

    /// M v.
    pub(super) fn bent(&self, v: &DVector<f64>) -> DVector<f64> {
        &self.middle * v
    }

    /// to ← to + factor · W v.
    pub(super) fn add(&self, to: &mut [f64], factor: f64, v: &DVector<f64>) {
        for ((column, scale), share) in self.columns().zip(v.iter()) {
            add_scaled(to, factor * scale * share, column);
        }
    }

    /// The step −B⁻¹ g to the minimum of the model (Nocedal, 1980, by two loops over the pairs).
    pub(super) fn newton(&self, gradient: &[f64]) -> Vec<f64> {
        let mut step: Vec<f64> = gradient.iter().map(|slope| -slope).collect();
        let mut shares = Vec::with_capacity(self.pairs.len());
        for (index, pair) in self.pairs.iter().enumerate().rev() {
            let share = dot(&pair.step, &step) / self.steps_changes[(index, index)];
            add_scaled(&mut step, -share, &pair.change);
            shares.push(share);
        }
        step.iter_mut().for_each(|value| *value /= self.theta);
        for ((index, pair), share) in self.pairs.iter().enumerate().zip(shares.iter().rev()) {
            let back = dot(&pair.change, &step) / self.steps_changes[(index, index)];
            add_scaled(&mut step, share - back, &pair.step);
        }
        step
    }

    /// The step to the minimum of the model over the free numbers alone: the model's slopes there are `slopes`, 0
    /// elsewhere, and the step is 0 elsewhere too. None where the numbers leave no such minimum.
    pub(super) fn free_newton(&self, slopes: &[f64], free: &[bool]) -> Option<Vec<f64>> {
        let size = 2 * self.pairs.len();
        let bent = self.bent(&self.along(slopes));
        let matrix = DMatrix::identity(size, size) - &self.middle * self.gram(free) / self.theta;
        let inner = matrix.lu().solve(&bent)?;
        let mut step: Vec<f64> = slopes.iter().map(|slope| -slope / self.theta).collect();
        self.add(&mut step, -1.0 / self.theta.powi(2), &inner);
        step.iter_mut().zip(free).filter(|(_, free)| !**free).for_each(|(value, _)| *value = 0.0);
        step.iter().all(|value| value.is_finite()).then_some(step)
    }

    /// WᵀZZᵀW: the products of the columns of W over the free numbers.
    fn gram(&self, free: &[bool]) -> DMatrix<f64> {
        let size = 2 * self.pairs.len();
        let part = |(index, free): (usize, &[bool])| {
            let start = index * PART;
            // what is free of each column, one after the other
            let columns: Vec<Vec<f64>> = self
                .columns()
                .map(|(column, factor)| {
                    let kept = column[start..].iter().zip(free).filter(|(_, free)| **free);
                    kept.map(|(value, _)| factor * value).collect()
                })
                .collect();
            DMatrix::from_fn(size, size, |i, j| if i <= j { dot_part(&columns[i], &columns[j]) } else { 0.0 })
        };
        let parts: Vec<DMatrix<f64>> = free.par_chunks(PART).enumerate().map(part).collect();
        let upper = parts.iter().fold(DMatrix::zeros(size, size), |sum, part| sum + part);
        DMatrix::from_fn(size, size, |i, j| upper[(i.min(j), i.max(j))])
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Pairs of a quadratic function, whose matrix is returned, and the model of them by the recursion of BFGS.
    fn learnt(size: usize, steps: usize, kept: usize) -> (History, DMatrix<f64>) {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let root = DMatrix::from_fn(size, size, |_, _| random.random_range(-1.0..1.0));
        let matrix = root.transpose() * root + DMatrix::identity(size, size);
        let mut history = History::new(kept);
        let pairs: Vec<[DVector<f64>; 2]> = (0..steps)
            .map(|_| {
                let step = DVector::from_fn(size, |_, _| random.random_range(-3.0..3.0));
                [step.clone(), &matrix * step]
            })
            .collect();
        for [step, change] in &pairs {
            history.push(step.as_slice().to_vec(), change.as_slice().to_vec(), -1.0);
        }
        let last = &pairs[pairs.len() - 1];
        let theta = last[1].dot(&last[1]) / last[0].dot(&last[1]);
        let mut model = DMatrix::identity(size, size) * theta;
        for [step, change] in pairs.iter().skip(steps.saturating_sub(kept)) {
            let bent = &model * step;
            model =
                &model - &bent * bent.transpose() / step.dot(&bent) + change * change.transpose() / step.dot(change);
        }
        (history, model)
    }

    fn assert_close(ours: &[f64], truth: &[f64]) {
        let scale = truth.iter().fold(1e-9f64, |most, value| most.max(value.abs()));
        for (a, b) in ours.iter().zip(truth) {
            assert!((a - b).abs() < 1e-8 * scale, "{a} instead of {b}");
        }
    }

    #[test]
    fn the_compact_form_is_the_matrix_of_the_recursion() {
        for (steps, kept) in [(1, 5), (4, 5), (9, 5)] {
            let (history, model) = learnt(8, steps, kept);
            for column in 0..8 {
                let mut unit = vec![0.0; 8];
                unit[column] = 1.0;
                let mut ours: Vec<f64> = unit.iter().map(|value| history.theta * value).collect();
                let bent = history.bent(&history.along(&unit));
                history.add(&mut ours, -1.0, &bent);
                assert_close(&ours, model.column(column).as_slice());
            }
        }
    }

    #[test]
    fn newton_steps_solve_the_model() {
        let (history, model) = learnt(8, 9, 5);
        let gradient: Vec<f64> = (0..8).map(|i| f64::from(i) - 2.5).collect();
        let step = DVector::from_vec(history.newton(&gradient));
        assert_close((-(&model * step)).as_slice(), &gradient);

        let free: Vec<bool> = (0..8).map(|i| i % 3 != 1).collect();
        let slopes: Vec<f64> =
            gradient.iter().zip(&free).map(|(slope, free)| if *free { *slope } else { 0.0 }).collect();
        let step = history.free_newton(&slopes, &free).map(DVector::from_vec);
        let bent = -(&model * step.as_ref().map_or(DVector::zeros(8), Clone::clone));
        let kept: Vec<f64> = bent.iter().zip(&free).map(|(slope, free)| if *free { *slope } else { 0.0 }).collect();
        assert_close(&kept, &slopes);
        assert!(step.is_some_and(|step| step.iter().zip(&free).all(|(value, free)| *free || *value == 0.0)));
    }

    #[test]
    fn steps_along_which_nothing_curves_upwards_are_left_out() {
        let mut history = History::new(3);
        history.push(vec![1.0, 0.0], vec![-1.0, 0.0], -1.0);
        history.push(vec![0.0, 0.0], vec![0.0, 0.0], -1.0);
        assert!(history.is_empty());
        assert_eq!(history.newton(&[2.0, -3.0]), [-2.0, 3.0]);
    }
}
