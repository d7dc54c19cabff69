//! L-BFGS with bounds: a quasi-Newton method for functions of many numbers, each of which may be kept in a range.
//!
//! It needs the function's value beside the gradient and looks several times in a step, so it is no
//! [`Optimizer`](super::Optimizer) but runs a function by itself.

mod bounds;
mod cauchy;
mod history;
mod search;
#[cfg(test)]
mod tests;
mod vector;

use std::ops::ControlFlow;

pub use bounds::Bounds;
use cauchy::Cauchy;
use history::History;
use search::{Next, Search};
use vector::{add_scaled, dot};

use crate::error::{Error, Kind, Result};

/// How often the function is looked at along one direction.
const LOOKS: usize = 20;
/// The longest step along a direction without bounds.
const LONGEST: f64 = 1e10;
/// How many steps are remembered.
const KEPT: usize = 10;

/// Why a run of iterations ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// All iterations that were asked for were taken.
    Finished,
    /// The caller said so after an iteration.
    Told,
    /// The gradient, less what the bounds take of it, is nowhere above `gradient_tolerance`.
    Flat,
    /// The last iteration brought less than `decrease_tolerance`.
    Settled,
    /// No lower point was found along the direction of steepest descent: there is none to the precision of the
    /// function.
    Stuck,
}

/// A function of many numbers: its value and its gradient at a point.
pub type Function<'a> = dyn FnMut(&[f64]) -> Result<(f64, Vec<f64>)> + 'a;

/// Minimizes a function by L-BFGS-B (Byrd, Lu, Nocedal and Zhu, A Limited Memory Algorithm for Bound Constrained
/// Optimization, 1995), with the projected step of Morales and Nocedal (2011) and the line search of Moré and Thuente
/// (1994), as SciPy's `minimize(method="L-BFGS-B")`. Without bounds it is L-BFGS (Nocedal, 1980).
///
/// Everything it knows is in it: a run may end after any iteration and go on later, and a run whose function failed (or
/// was interrupted) goes on from the last whole iteration; either way it takes the same iterations as one that was not.
/// A copy does too. It holds some thirty vectors of 8 bytes for each number. Sums do not depend on the number of
/// threads.
#[derive(Clone, Debug)]
pub struct Lbfgs {
    /// A run ends where the projected gradient is nowhere above this; SciPy's default is 10⁻⁵.
    pub gradient_tolerance: f64,
    /// A run ends when an iteration lowers the value f by at most this times max(|f|, 1); SciPy's default is 2.2·10⁻⁹.
    pub decrease_tolerance: f64,
    bounds: Bounds,
    point: Vec<f64>,
    /// The function's value and gradient at the point, once it was looked at.
    seen: Option<(f64, Vec<f64>)>,
    history: History,
    iterations: usize,
    looks: usize,
}

impl Lbfgs {
    /// A minimization that begins at a point, brought into the bounds.
    ///
    /// # Errors
    /// The point is not finite, there are more or fewer bounds, or a least is above a most.
    pub fn new(start: Vec<f64>, bounds: Bounds) -> Result<Self> {
        if let Some(value) = start.iter().find(|value| !value.is_finite()) {
            return Err(Error::new(Kind::Argument, format!("a minimization cannot start at {value}")));
        }
        bounds.check(start.len())?;
        let mut point = start;
        bounds.clip(&mut point);
        Ok(Self {
            gradient_tolerance: 1e-5,
            decrease_tolerance: 1e7 * f64::EPSILON,
            bounds,
            point,
            seen: None,
            history: History::new(KEPT),
            iterations: 0,
            looks: 0,
        })
    }

    /// The best point so far.
    pub fn point(&self) -> &[f64] {
        &self.point
    }

    /// The function's value there, once it was looked at.
    pub fn value(&self) -> Option<f64> {
        self.seen.as_ref().map(|(value, _)| *value)
    }

    /// How many iterations were taken.
    pub fn iterations(&self) -> usize {
        self.iterations
    }

    /// How often the function was looked at in them.
    pub fn looks(&self) -> usize {
        self.looks
    }

    /// Takes up to so many iterations. `each` hears of every one, with the new point in place, and may end the run.
    ///
    /// # Errors
    /// The function or `each` fails; the function has no finite value at the start, or a gradient of another length.
    /// The minimization is then where it was after the last whole iteration.
    pub fn run(
        &mut self,
        f: &mut Function<'_>,
        iterations: usize,
        each: &mut dyn FnMut(&Self) -> Result<ControlFlow<()>>,
    ) -> Result<Stopped> {
        for _ in 0..iterations {
            let before = self.start(f)?;
            if self.steepness() <= self.gradient_tolerance {
                return Ok(Stopped::Flat);
            }
            let Some(value) = self.iterate(f)? else { return Ok(Stopped::Stuck) };
            if each(self)?.is_break() {
                return Ok(Stopped::Told);
            }
            if before - value <= self.decrease_tolerance * before.abs().max(value.abs()).max(1.0) {
                return Ok(Stopped::Settled);
            }
        }
        Ok(Stopped::Finished)
    }

    /// The value at the point, which is looked at if it was not yet.
    fn start(&mut self, f: &mut Function<'_>) -> Result<f64> {
        if let Some((value, _)) = &self.seen {
            return Ok(*value);
        }
        let (value, gradient) = look(f, &self.point)?;
        if !value.is_finite() || gradient.iter().any(|slope| !slope.is_finite()) {
            let message =
                format!("the function to be minimized is {value} at the start, or its gradient is not finite");
            return Err(Error::new(Kind::Tensor, message));
        }
        self.looks += 1;
        self.seen = Some((value, gradient));
        Ok(value)
    }

    /// The largest slope that the bounds let the point follow; but no more than there is room.
    fn steepness(&self) -> f64 {
        let gradient = self.seen.as_ref().map_or(&[][..], |(_, gradient)| gradient);
        let ranges = self.bounds.each(self.point.len());
        let slopes = self.point.iter().zip(gradient).zip(ranges).map(|((value, slope), (least, most))| {
            let followed = if *slope < 0.0 { slope.max(value - most) } else { slope.min(value - least) };
            followed.abs()
        });
        slopes.fold(0.0, f64::max)
    }

    /// One iteration: the value at the new point, or none if there is no lower one.
    fn iterate(&mut self, f: &mut Function<'_>) -> Result<Option<f64>> {
        let mut looks = 0;
        loop {
            let Some((value, gradient)) = &self.seen else { return Ok(None) };
            let found = match self.direction(gradient) {
                Some(direction) => self.search(f, *value, gradient, &direction, &mut looks)?,
                None => None,
            };
            match found {
                Some(Found { point, value, gradient: new, slope }) => {
                    let difference = |new: &[f64], old: &[f64]| new.iter().zip(old).map(|(a, b)| a - b).collect();
                    self.history.push(difference(&point, &self.point), difference(&new, gradient), slope);
                    (self.point, self.seen) = (point, Some((value, new)));
                    self.iterations += 1;
                    self.looks += looks;
                    return Ok(Some(value));
                }
                None if self.history.is_empty() => return Ok(None),
                // the model misleads: begin again from here with none, as a run that goes on from here would
                None => self.history.clear(),
            }
        }
    }

    /// Where the model has its minimum within the bounds, seen from the point; none if the numbers leave no answer or
    /// the function does not fall that way.
    fn direction(&self, gradient: &[f64]) -> Option<Vec<f64>> {
        let direction = if self.bounds == Bounds::None {
            self.history.newton(gradient)
        } else {
            let cauchy = Cauchy::find(&self.point, gradient, &self.bounds, &self.history);
            let mut target = if self.history.is_empty() { cauchy.point } else { self.subspace(gradient, &cauchy)? };
            target.iter_mut().zip(&self.point).for_each(|(target, value)| *target -= value);
            target
        };
        let slope = dot(&direction, gradient);
        (slope < 0.0 && slope.is_finite()).then_some(direction)
    }

    /// The minimum of the model over the numbers that no bound holds at the Cauchy point, brought into the bounds.
    fn subspace(&self, gradient: &[f64], cauchy: &Cauchy) -> Option<Vec<f64>> {
        let theta = self.history.theta;
        // the model's slopes at the Cauchy point
        let mut slopes: Vec<f64> = gradient
            .iter()
            .zip(cauchy.point.iter().zip(&self.point))
            .map(|(slope, (there, here))| slope + theta * (there - here))
            .collect();
        self.history.add(&mut slopes, -1.0, &self.history.bent(&cauchy.moved));
        slopes.iter_mut().zip(&cauchy.free).filter(|(_, free)| !**free).for_each(|(slope, _)| *slope = 0.0);
        let step = self.history.free_newton(&slopes, &cauchy.free)?;

        let mut target = cauchy.point.clone();
        add_scaled(&mut target, 1.0, &step);
        self.bounds.clip(&mut target);
        let away: f64 = {
            let moved: Vec<f64> = target.iter().zip(&self.point).map(|(target, value)| target - value).collect();
            dot(&moved, gradient)
        };
        if away > 0.0 {
            // what was clipped points uphill: only as far as the first bound
            let mut share = 1.0f64;
            for ((value, step), (least, most)) in cauchy.point.iter().zip(&step).zip(self.bounds.each(step.len())) {
                if *step != 0.0 {
                    let room = if *step > 0.0 { most - value } else { least - value };
                    share = share.min((room / step).max(0.0));
                }
            }
            target.copy_from_slice(&cauchy.point);
            add_scaled(&mut target, share, &step);
            self.bounds.clip(&mut target);
        }
        Some(target)
    }

    /// A point along a direction that is lower, by the strong Wolfe conditions.
    fn search(
        &self,
        f: &mut Function<'_>,
        value: f64,
        gradient: &[f64],
        direction: &[f64],
        looks: &mut usize,
    ) -> Result<Option<Found>> {
        let slope = dot(direction, gradient);
        let most = self.longest(direction);
        let is_boxed = self.bounds.each(self.point.len()).all(|(least, most)| least.is_finite() && most.is_finite());
        // nothing is known of how far to go: a first step of length 1
        let first: f64 =
            if self.history.is_empty() && !is_boxed { 1.0 / dot(direction, direction).sqrt() } else { 1.0 };
        let mut step = first.min(most);
        if !(step > 0.0 && step.is_finite()) {
            return Ok(None);
        }
        let mut search = Search::new(value, slope, step, most);
        for _ in 0..LOOKS {
            let mut point = self.point.clone();
            add_scaled(&mut point, step, direction);
            self.bounds.clip(&mut point);
            let (there, new) = look(f, &point)?;
            *looks += 1;
            let along = dot(direction, &new);
            if !(there.is_finite() && along.is_finite()) {
                step = search.refuse();
                continue;
            }
            match search.look(there, along) {
                Next::Try(next) => step = next,
                Next::Accept if there < value => {
                    return Ok(Some(Found { point, value: there, gradient: new, slope: step * slope }));
                }
                Next::Accept => return Ok(None),
            }
        }
        Ok(None)
    }

    /// How far a direction leads inside the bounds.
    fn longest(&self, direction: &[f64]) -> f64 {
        if self.bounds == Bounds::None {
            return LONGEST;
        }
        if self.iterations == 0 {
            return 1.0;
        }
        let ranges = self.bounds.each(direction.len());
        self.point.iter().zip(direction).zip(ranges).fold(LONGEST, |longest, ((value, step), (least, most))| {
            let room = if *step > 0.0 { (most - value) / step } else { (least - value) / step };
            if *step == 0.0 || room.is_nan() { longest } else { longest.min(room.max(0.0)) }
        })
    }
}

/// A lower point.
struct Found {
    point: Vec<f64>,
    value: f64,
    gradient: Vec<f64>,
    /// How far the function would have fallen by its slope at the start.
    slope: f64,
}

/// # Errors
/// The function fails, or its gradient has another length.
fn look(f: &mut Function<'_>, point: &[f64]) -> Result<(f64, Vec<f64>)> {
    let (value, gradient) = f(point)?;
    if gradient.len() == point.len() {
        return Ok((value, gradient));
    }
    let message = format!("the gradient of a function of {} numbers has {}", point.len(), gradient.len());
    Err(Error::new(Kind::Tensor, message))
}
