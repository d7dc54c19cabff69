//! Images that are made together, each for an objective of its own.

use std::cell::RefCell;

use candle_core::Tensor;

use super::{Goal, Objective};
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::model::{Model, NodeId};

/// Objectives of N images that are made together, one for each: the number of image i is that of objective i. Where transforms
/// show several versions of all images, one after the other, that holds for each of them: `[count N]`.
///
/// The layers of all objectives are read in one run, so many channels of a layer cost hardly more than one.
#[derive(Clone, Debug)]
pub struct PerImage {
    goals: Vec<Goal>,
    /// Where the layers of each objective stand among those of all.
    places: RefCell<Vec<Vec<usize>>>,
}

/// An objective, the places of its layers among all, and what these hold for one image.
type Asked<'a> = (&'a Goal, Vec<usize>, Vec<Tensor>);

impl PerImage {
    /// One objective for each image.
    pub fn new(goals: Vec<Goal>) -> Self {
        Self { goals, places: RefCell::default() }
    }

    /// What each image of a batch is asked, and the activations that are read for it.
    fn each(&self, activations: &[Tensor]) -> Result<Vec<Asked<'_>>> {
        let images = activations.first().map_or(Ok(0), |first| first.dim(0))?;
        let places = self.places.borrow();
        if images == 0 || !images.is_multiple_of(self.goals.len().max(1)) || places.len() != self.goals.len() {
            let message = format!("{} objectives for {images} images", self.goals.len());
            return Err(Error::new(Kind::Internal, message));
        }
        let goals = self.goals.iter().zip(places.iter()).cycle().take(images).enumerate();
        let asked = goals.map(|(image, (goal, places))| {
            let read = places.iter().filter_map(|place| activations.get(*place));
            let own = read.map(|layer| layer.narrow(0, image, 1)).collect::<candle_core::Result<Vec<_>>>()?;
            Ok((goal, places.clone(), own))
        });
        asked.collect()
    }
}

impl Objective for PerImage {
    fn model(&self) -> Option<&Model> {
        self.goals.iter().find_map(|goal| goal.model())
    }

    fn taps(&self, job: &Job, model: &Model, input: &Tensor) -> Result<Vec<NodeId>> {
        let (mut all, mut places) = (Vec::new(), Vec::new());
        for goal in &self.goals {
            let mut own = Vec::new();
            for tap in goal.taps(job, model, input)? {
                let place = all.iter().position(|known| *known == tap).unwrap_or(all.len());
                if place == all.len() {
                    all.push(tap);
                }
                own.push(place);
            }
            places.push(own);
        }
        *self.places.borrow_mut() = places;
        Ok(all)
    }

    fn reads(&self) -> usize {
        self.places.borrow().iter().flatten().max().map_or(0, |most| most + 1)
    }

    fn channels(&self, model: &Model) -> Result<Option<Vec<usize>>> {
        let mut all = Vec::new();
        for goal in &self.goals {
            let Some(channels) = goal.channels(model)? else { return Ok(None) };
            all.extend(channels);
        }
        all.sort_unstable();
        all.dedup();
        Ok(Some(all))
    }

    fn values(&self, job: &Job, model: &Model, activations: &[Tensor]) -> Result<Tensor> {
        let asked = self.each(activations)?.into_iter();
        let values = asked.map(|(goal, _, own)| goal.values(job, model, &own)).collect::<Result<Vec<_>>>()?;
        Ok(Tensor::cat(&values, 0)?)
    }

    /// Image by image: a layer of all images is never on the tape, whose slices would each become a gradient for all.
    fn gradients(&self, job: &Job, model: &Model, activations: &[Tensor]) -> Result<Vec<Tensor>> {
        let mut parts: Vec<Vec<Tensor>> = vec![Vec::new(); activations.len()];
        for (image, (goal, places, own)) in self.each(activations)?.into_iter().enumerate() {
            let found = goal.gradients(job, model, &own)?;
            for (place, (layer, parts)) in activations.iter().zip(&mut parts).enumerate() {
                // an objective may read a layer twice, as sums do
                let mut here = places.iter().zip(&found).filter(|(own, _)| **own == place).map(|(_, found)| found);
                parts.push(match here.next() {
                    None => layer.narrow(0, image, 1)?.zeros_like()?,
                    Some(first) => here.try_fold(first.clone(), |sum, other| sum + other)?,
                });
            }
        }
        Ok(parts.iter().map(|parts| Tensor::cat(parts, 0)).collect::<candle_core::Result<_>>()?)
    }

    fn description(&self, model: &Model) -> String {
        match self.goals.as_slice() {
            [] => "nothing".to_owned(),
            [goal] => goal.description(model),
            [first, .., last] => {
                format!(
                    "{} objectives, from {} to {}",
                    self.goals.len(),
                    first.description(model),
                    last.description(model)
                )
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::tensor::testing::{assert_close, random, rng, values};
    use crate::vis::ascent::gradient;
    use crate::vis::objective::{Channel, L2, Sum};

    fn channel(layer: &str, channel: usize) -> Goal {
        Goal::new(Channel { layer: layer.into(), channel })
    }

    /// Every image has the gradient that it has when it is made alone, also where several versions of it are shown.
    #[test]
    fn each_image_has_the_gradient_of_its_own_objective() {
        let (job, model) = (Job::detached(), Model::embedded().unwrap());
        let twice = Goal::new(Sum::new(vec![(1.0, channel("fire2", 3)), (2.0, channel("fire2", 9))]));
        let goals = vec![channel("fire2", 3), Goal::new(L2 { layer: "fire3".into() }), twice];
        let images = ((random(&mut rng(1), (6, 3, 40, 40)) * 0.4).unwrap() + 0.5).unwrap();
        let together = PerImage::new(goals.clone());
        let found = gradient(&job, &model, &together, &images).unwrap();
        assert_eq!(together.reads(), 2);
        for image in 0..6 {
            let alone = images.narrow(0, image, 1).unwrap();
            let truth = gradient(&job, &model, &*goals[image % 3], &alone).unwrap();
            let own = found.narrow(0, image, 1).unwrap();
            assert_close(&values(&own), &values(&truth), 1e-4, &format!("image {image}"));
        }
    }

    #[test]
    fn values_are_those_of_the_objectives() {
        let (job, model) = (Job::detached(), Model::embedded().unwrap());
        let goals = vec![channel("fire2", 3), channel("fire3", 4)];
        let together = PerImage::new(goals.clone());
        let images = ((random(&mut rng(2), (2, 3, 40, 40)) * 0.4).unwrap() + 0.5).unwrap();
        let input = model.recipe().to_input(&images).unwrap();
        let run = |goal: &dyn Objective, input: &Tensor| {
            let taps = goal.taps(&job, &model, input).unwrap();
            let activations = model.run(input, &taps, &Default::default(), job.interrupt()).unwrap();
            values(&goal.values(&job, &model, &activations).unwrap())
        };
        let found = run(&together, &input);
        for (image, goal) in goals.iter().enumerate() {
            let truth = run(&**goal, &input.narrow(0, image, 1).unwrap());
            assert_close(&found[image..=image], &truth, 1e-4, "value");
        }
        let three = Tensor::cat(&[&input, &input.narrow(0, 0, 1).unwrap()], 0).unwrap();
        let taps = together.taps(&job, &model, &three).unwrap();
        let activations = model.run(&three, &taps, &Default::default(), job.interrupt()).unwrap();
        assert!(together.values(&job, &model, &activations).is_err(), "two objectives for three images");
    }
}
