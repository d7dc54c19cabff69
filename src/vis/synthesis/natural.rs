//! Parts of photographs and what a unit answers to them: natural examples beside synthetic ones.

use std::rc::Rc;

use candle_core::Tensor;

use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::job::Job;
use crate::model::{Layer, Model};
use crate::vis::objective::Goal;

/// Photographs to look for natural examples in.
#[derive(Clone, Debug)]
pub(super) struct Natural {
    layer: Layer,
    channel: usize,
    /// As the network sees them.
    views: Vec<Rc<Image>>,
}

/// A place of a layer for one of the photographs.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// What the unit answers there.
    pub value: f64,
    view: Rc<Image>,
    /// Left, top, width and height of what the unit sees of it.
    area: [usize; 4],
}

impl Natural {
    /// Photographs, for the unit that an objective is about.
    ///
    /// # Errors
    /// There is no photograph, or the objective is about no single unit.
    pub fn new(model: &Model, goal: &Goal, photos: &[Image]) -> Result<Self> {
        let wrong = |message: String, hint: &str| {
            Err(Error::new(Kind::Argument, message).with_hint(hint).at_argument("patches"))
        };
        if photos.is_empty() {
            return wrong("there are no photographs to take patches from".to_owned(), "give a list of images, or none");
        }
        let Some((layer, channel)) = goal.unit(model)? else {
            let message = format!("patches are natural examples of one unit, and this is {}", goal.description(model));
            return wrong(message, "give channel(…) or neuron(…), or leave out `patches`");
        };
        let views = photos.iter().map(|photo| Ok(Rc::new(model.view(photo)?))).collect::<Result<Vec<_>>>()?;
        Ok(Self { layer, channel, views })
    }

    /// How many photographs there are.
    pub fn count(&self) -> usize {
        self.views.len()
    }

    /// All places of the unit's layer for all photographs, with what the unit answers and sees there.
    ///
    /// # Errors
    /// The run was interrupted.
    pub fn places(&self, job: &Job) -> Result<Vec<Place>> {
        let progress = job.progress("photographs", self.views.len());
        let mut places = Vec::new();
        for view in &self.views {
            let activations = self.layer.activations(&self.layer.model().input(view)?, job.interrupt())?;
            let map = activations.narrow(1, self.channel, 1)?;
            places.extend(self.of(view, &map)?);
            progress.advance(1)?;
        }
        Ok(places)
    }

    /// The places of one photograph, given the unit's map.
    fn of(&self, view: &Rc<Image>, map: &Tensor) -> Result<Vec<Place>> {
        let columns = if map.rank() == 4 { map.dim(3)? } else { 1 };
        let has_places = map.elem_count() > 1;
        let values: Vec<f32> = map.flatten_all()?.to_vec1()?;
        let place = |(index, value): (usize, &f32)| {
            let (row, column) = (index / columns.max(1), index % columns.max(1));
            let area = match has_places {
                true => {
                    let [left, width] = self.seen(column, view.width());
                    let [top, height] = self.seen(row, view.height());
                    [left, top, width, height]
                }
                false => [0, 0, view.width(), view.height()],
            };
            Place { value: f64::from(*value), view: view.clone(), area }
        };
        Ok(values.iter().enumerate().map(place).collect())
    }

    /// The first pixel that a row or column of units sees, and how many it sees, of `side`.
    fn seen(&self, index: usize, side: usize) -> [usize; 2] {
        seen(&self.layer, index, side)
    }
}

/// The first pixel that the units of a row or column of a layer see, and how many they see, of the `side` pixels that there
/// are.
pub(super) fn seen(layer: &Layer, index: usize, side: usize) -> [usize; 2] {
    let field = layer.receptive_field();
    let start = field.start.saturating_add_unsigned(index.saturating_mul(field.jump) as u64);
    let end = start.saturating_add_unsigned(field.size as u64);
    let within = |pixel: i64| usize::try_from(pixel).unwrap_or(0).min(side);
    let first = within(start).min(side.saturating_sub(1));
    [first, within(end).saturating_sub(first).max(1)]
}

impl Place {
    /// What the unit sees there, as far as it lies in the photograph.
    ///
    /// # Errors
    /// It lies outside.
    pub fn patch(&self) -> Result<Image> {
        let [left, top, width, height] = self.area;
        self.view.crop(left, top, width, height)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::image::photo;
    use crate::job::Interrupt;
    use crate::vis::objective::{Channel, Sum};

    #[test]
    fn a_unit_sees_its_patch() {
        let (job, model) = (Job::detached(), Model::embedded().unwrap());
        let goal = Goal::new(Channel { layer: "pool1".into(), channel: 7 });
        let natural = Natural::new(&model, &goal, &[photo("chelsea").unwrap()]).unwrap();
        let places = natural.places(&job).unwrap();
        let [_, height, width] = *model.layer("pool1").unwrap().shape() else { unreachable!() };
        assert_eq!((natural.count(), places.len()), (1, height * width));
        // an inner patch, seen alone, gives the value of its place
        let place = &places[20 * width + 30];
        let patch = place.patch().unwrap();
        let input = model.input(&patch).unwrap();
        let alone = model.layer("pool1").unwrap().activations(&input, &Interrupt::never()).unwrap();
        let alone: Vec<f32> = alone.narrow(1, 7, 1).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        assert_eq!(alone.len(), 1);
        assert!((f64::from(alone[0]) - place.value).abs() < 1e-3 * place.value.abs().max(1.0));
    }

    #[test]
    fn fields_are_cut_at_the_edges() {
        let layer = Model::embedded().unwrap().layer("fire9").unwrap();
        assert_eq!(seen(&layer, 0, 227)[0], 0);
        for index in 0..14 {
            let [first, count] = seen(&layer, index, 227);
            assert!(count > 0 && first + count <= 227);
        }
        assert_eq!(seen(&layer, 100_000, 227), [226, 1]);
    }

    #[test]
    fn what_is_no_unit_has_no_patches() {
        let model = Model::embedded().unwrap();
        let channel = Goal::new(Channel { layer: "fire2".into(), channel: 7 });
        let sum = Goal::new(Sum::new(vec![(2.0, channel.clone())]));
        let photos = [photo("chelsea").unwrap()];
        assert_eq!(Natural::new(&model, &sum, &photos).unwrap_err().argument(), Some("patches"));
        assert_eq!(Natural::new(&model, &channel, &[]).unwrap_err().argument(), Some("patches"));
    }
}
