//! Sums and multiples of objectives.

use candle_core::Tensor;
use rhai::Engine;

use super::{Goal, Objective};
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::lang::Extension;
use crate::model::{Model, NodeId};

/// Objectives, each with its factor, added up.
#[derive(Clone, Debug)]
pub struct Sum(Vec<(f64, Goal)>);

impl Sum {
    /// The terms of a sum, each with its factor.
    pub fn new(terms: Vec<(f64, Goal)>) -> Self {
        Self(terms)
    }
}

impl Objective for Sum {
    fn model(&self) -> Option<&Model> {
        self.0.iter().find_map(|(_, term)| term.model())
    }

    fn taps(&self, job: &Job, model: &Model, input: &Tensor) -> Result<Vec<NodeId>> {
        for part in self.0.iter().filter_map(|(_, term)| term.model()) {
            if !part.same(model) {
                let message =
                    format!("the target is about two networks, {} and {}", part.fingerprint(), model.fingerprint());
                return Err(Error::new(Kind::Argument, message).at_argument("target"));
            }
        }
        let taps: Result<Vec<_>> = self.0.iter().map(|(_, term)| term.taps(job, model, input)).collect();
        Ok(taps?.concat())
    }

    fn reads(&self) -> usize {
        self.0.iter().map(|(_, term)| term.reads()).sum()
    }

    fn channels(&self, model: &Model) -> Result<Option<Vec<usize>>> {
        let mut all = Vec::new();
        for (_, term) in &self.0 {
            let Some(channels) = term.channels(model)? else { return Ok(None) };
            all.extend(channels);
        }
        all.sort_unstable();
        all.dedup();
        Ok(Some(all))
    }

    fn values(&self, job: &Job, model: &Model, activations: &[Tensor]) -> Result<Tensor> {
        let mut rest = activations;
        let mut sum: Option<Tensor> = None;
        for (factor, term) in &self.0 {
            // a term reads its taps from the front of what is left
            let count = term.reads();
            if count > rest.len() {
                return Err(Error::new(Kind::Internal, "a term of a sum lacks its activations"));
            }
            let (own, others) = rest.split_at(count);
            rest = others;
            let value = (term.values(job, model, own)? * *factor)?;
            sum = Some(match sum {
                Some(sum) => (sum + value)?,
                None => value,
            });
        }
        sum.ok_or_else(|| Error::new(Kind::Internal, "a sum of no objectives"))
    }

    fn description(&self, model: &Model) -> String {
        let mut text = String::new();
        for (factor, term) in &self.0 {
            text += match (*factor < 0.0, text.is_empty()) {
                (true, true) => "−",
                (true, false) => " − ",
                (false, true) => "",
                (false, false) => " + ",
            };
            // a sum within a sum keeps its brackets
            let nested = term.reads() > 1 && factor.abs() != 1.0;
            if factor.abs() != 1.0 {
                text += &format!("{} · ", (factor.abs() * 1000.0).round() / 1000.0);
            }
            let part = term.description(model);
            text += &if nested { format!("({part})") } else { part };
        }
        text
    }
}

inventory::submit! { Extension(operators) }

/// `a + b`, `a - b`, `-a`, `2 * a`, `a * 2`, `a / 2`.
fn operators(engine: &mut Engine) {
    fn sum(a: (f64, Goal), b: (f64, Goal)) -> Goal {
        Goal::new(Sum(vec![a, b]))
    }
    fn scaled(goal: Goal, factor: f64) -> Goal {
        Goal::new(Sum(vec![(factor, goal)]))
    }
    engine.register_fn("+", |a: Goal, b: Goal| sum((1.0, a), (1.0, b)));
    engine.register_fn("-", |a: Goal, b: Goal| sum((1.0, a), (-1.0, b)));
    engine.register_fn("-", |a: Goal| scaled(a, -1.0));
    engine.register_fn("*", |a: Goal, b: f64| scaled(a, b));
    engine.register_fn("*", |a: Goal, b: i64| scaled(a, b as f64));
    engine.register_fn("*", |a: f64, b: Goal| scaled(b, a));
    engine.register_fn("*", |a: i64, b: Goal| scaled(b, a as f64));
    engine.register_fn("/", |a: Goal, b: f64| scaled(a, 1.0 / b));
    engine.register_fn("/", |a: Goal, b: i64| scaled(a, 1.0 / b as f64));
}
