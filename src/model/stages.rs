//! The stages of a network: the layers over its depth that everything passes.

use super::{Layer, Model, NodeId, Op};
use crate::error::Result;

/// How many stages a network has at most, besides its first and its last layer.
const MOST: usize = 8;

impl Model {
    /// Layers from the first that holds features to the last that has places, all of which everything passes: the first, up to
    /// eight ends of blocks, and the last. Of SqueezeNet the first ReLU, `fire2` to `fire9`, and the ReLU of the map of each
    /// class.
    ///
    /// # Errors
    /// No layer has places.
    pub fn stages(&self) -> Result<Vec<Layer>> {
        let mut stages = stages_up_to(&self.default_cam_layer()?, MOST);
        let all = passed_by_all(&self.output());
        // behind the first convolution there may be a normalisation and an activation, which see no more than it
        let sees_more =
            |layer: &&Layer| stages.first().is_none_or(|first| layer.receptive_field() != first.receptive_field());
        let first = all.first().filter(sees_more).cloned();
        let is_later = |layer: &&Layer| stages.last().is_none_or(|last| layer.id().index() > last.id().index());
        let last = all.last().filter(is_later).cloned();
        stages.splice(0..0, first);
        stages.extend(last);
        Ok(stages)
    }
}

/// The layers up to `last` that hold features at places and that everything passes on its way to the output: where a network
/// has three blocks or more, their ends; at most so many, evenly chosen, with `last`.
pub fn stages_up_to(last: &Layer, most: usize) -> Vec<Layer> {
    let graph = last.model().graph();
    let mut found = passed_by_all(last);
    if found.last().is_none_or(|found| found.id() != last.id()) {
        found.push(last.clone());
    }
    // where paths join, a block of the network ends
    let joins = |id: NodeId| matches!(graph.node(id).op, Op::Concat | Op::Add);
    let ends_block = |layer: &Layer| joins(layer.id()) || layer.node().inputs.iter().any(|input| joins(*input));
    let blocks: Vec<Layer> = found.iter().filter(|layer| ends_block(layer)).cloned().collect();
    let found = if blocks.len() >= 3 { blocks } else { found };
    let (count, kept) = (found.len(), found.len().min(most));
    (1..=kept).filter_map(|index| found.get(index * count / kept - 1).cloned()).collect()
}

/// The layers up to `last` that hold features at places, the results of activations and of joins, and that all of the input
/// passes on its way to the output.
fn passed_by_all(last: &Layer) -> Vec<Layer> {
    let graph = last.model().graph();
    // the furthest node that reads something from before
    let mut reaches = vec![0; graph.nodes().len()];
    for (place, id) in graph.ids().enumerate() {
        for input in &graph.node(id).inputs {
            if let Some(at) = reaches.get_mut(input.index()) {
                *at = place.max(*at);
            }
        }
    }
    let (mut furthest, mut found) = (0, Vec::new());
    for ((place, id), reach) in graph.ids().enumerate().zip(reaches) {
        let layer = last.sibling(id);
        let holds_features = matches!(layer.node().op, Op::Activation(_) | Op::Add | Op::Concat);
        if furthest <= place && holds_features && layer.has_places() {
            found.push(layer);
        }
        furthest = furthest.max(reach);
        if id == last.id() {
            break;
        }
    }
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn names(model: &Model) -> Vec<String> {
        model.stages().unwrap().iter().map(|layer| layer.known_as().to_owned()).collect()
    }

    #[test]
    fn a_network_is_divided_at_the_ends_of_its_blocks() {
        let fires = (2..=9).map(|number| format!("fire{number}"));
        let expected: Vec<String> =
            std::iter::once("relu_conv1".to_owned()).chain(fires).chain(["relu_conv10".into()]).collect();
        assert_eq!(names(&Model::embedded().unwrap()), expected);
    }

    #[test]
    fn the_last_is_kept_and_others_are_evenly_chosen() {
        let model = Model::embedded().unwrap();
        let fire9 = model.layer("fire9").unwrap();
        let names =
            |most| stages_up_to(&fire9, most).iter().map(|layer| layer.known_as().to_owned()).collect::<Vec<_>>();
        assert_eq!(names(4), ["fire3", "fire5", "fire7", "fire9"]);
        assert_eq!(names(1), ["fire9"]);
        assert_eq!(names(100).len(), 8);
        // up to a layer inside a block, which is no stage by itself
        let inside = model.layer("fire3/squeeze1x1").unwrap();
        assert_eq!(stages_up_to(&inside, 8).last().unwrap().id(), inside.id());
    }
}
