//! The layers that methods look at if none is given: those of the zoo's entry, or found in the graph.

use super::zoo::{self, DefaultLayers, Visualization};
use super::{Layer, Model, NodeId, Op};
use crate::error::{Error, Kind, Result};

/// So many blocks of branches make a network that is counted in blocks.
const FEWEST_BLOCKS: usize = 3;

/// Pixels from one place to the next of the deepest layers that count for a style, and for the content of a picture.
const STYLE_REACH: usize = 16;
const CONTENT_REACH: usize = 8;

impl Model {
    /// Is it the very same network, weights, edits and all?
    pub fn same(&self, other: &Self) -> bool {
        std::ptr::eq(self.graph(), other.graph())
    }

    /// The layer whose activations a dream amplifies.
    ///
    /// # Errors
    /// No layer has places.
    pub fn default_dream_layer(&self) -> Result<Layer> {
        self.default_layer(|layers| layers.dream, |spatial| spatial.len().saturating_sub(1) * 3 / 5)
    }

    /// The layer of class activation maps: the last one that still has places.
    ///
    /// # Errors
    /// No layer has places.
    pub fn default_cam_layer(&self) -> Result<Layer> {
        self.default_layer(|layers| layers.cam, |spatial| spatial.len().saturating_sub(1))
    }

    /// A layer half way through the network, whose features are of parts rather than of lines or of whole things.
    ///
    /// # Errors
    /// No layer has places.
    pub fn default_middle_layer(&self) -> Result<Layer> {
        let blocks: Vec<NodeId> =
            self.graph().ids().filter(|id| self.has_features(*id) && self.ends_block(*id)).collect();
        match blocks.get(blocks.len().saturating_sub(1) / 2).filter(|_| blocks.len() >= FEWEST_BLOCKS) {
            Some(id) => Ok(self.output().sibling(*id)),
            None => self.layer_among_features(|spatial| spatial.len().saturating_sub(1) / 2),
        }
    }

    /// Does a node join the branches of a block?
    fn ends_block(&self, id: NodeId) -> bool {
        matches!(self.graph().node(id).op, Op::Add | Op::Concat)
    }

    /// The layers whose Gram matrices are a texture or a style: those of the zoo, or of each size of maps the last layer,
    /// as far as its places are at most 16 pixels apart.
    ///
    /// # Errors
    /// No layer has places.
    pub fn default_style_layers(&self) -> Result<Vec<Layer>> {
        let named = zoo::find(self.name()).map_or(&[][..], |entry| entry.layers.style);
        let named: Vec<Layer> = named.iter().filter_map(|name| self.layer(name).ok()).collect();
        if !named.is_empty() {
            return Ok(named);
        }
        let mut found: Vec<Layer> = Vec::new();
        for layer in self.layers_with_features().filter(|layer| layer.receptive_field().jump <= STYLE_REACH) {
            if found.last().is_some_and(|last| last.shape().get(1..) == layer.shape().get(1..)) {
                found.pop();
            }
            found.push(layer);
        }
        if found.is_empty() {
            return Err(Error::new(Kind::Argument, format!("{} has no layer with height and width", self.name())));
        }
        Ok(found)
    }

    /// The layer whose activations are the content of a picture: that of the zoo, or the last one whose places are at most 8
    /// pixels apart.
    ///
    /// # Errors
    /// No layer has places.
    pub fn default_content_layer(&self) -> Result<Layer> {
        if let Some(entry) = zoo::find(self.name())
            && let Ok(layer) = self.layer(entry.layers.content)
        {
            return Ok(layer);
        }
        let near = self.layers_with_features().filter(|layer| layer.receptive_field().jump <= CONTENT_REACH).last();
        near.map_or_else(|| self.default_cam_layer(), Ok)
    }

    fn layers_with_features(&self) -> impl Iterator<Item = Layer> {
        let is_convolution = |id: &NodeId| matches!(self.graph().node(*id).op, Op::Conv2d(_));
        let features = self.graph().ids().filter(move |id| self.has_features(*id) && !is_convolution(id));
        features.map(|id| self.output().sibling(id))
    }

    /// How an image is made that shows what a part of the network looks for, unless said otherwise.
    pub fn visualization(&self) -> Visualization {
        zoo::find(self.name()).map_or(Visualization::USUAL, |entry| entry.visualization)
    }

    /// The layer that the zoo names, or the one at a place among those of the graph that a method could look at.
    fn default_layer(&self, named: fn(&DefaultLayers) -> &'static str, at: fn(&[NodeId]) -> usize) -> Result<Layer> {
        if let Some(entry) = zoo::find(self.name())
            && let Ok(layer) = self.layer(named(&entry.layers))
        {
            return Ok(layer);
        }
        self.layer_among_features(at)
    }

    /// The layer at a place among those of the graph that a method could look at.
    fn layer_among_features(&self, at: fn(&[NodeId]) -> usize) -> Result<Layer> {
        let spatial: Vec<NodeId> = self.graph().ids().filter(|id| self.has_features(*id)).collect();
        spatial
            .get(at(&spatial))
            .map(|id| self.output().sibling(*id))
            .ok_or_else(|| Error::new(Kind::Argument, format!("{} has no layer with height and width", self.name())))
    }

    /// Does a node hold features at places: the result of an activation, an addition or a concatenation that is more than
    /// one unit high and wide, and not one channel for each answer?
    fn has_features(&self, id: NodeId) -> bool {
        let is_result = matches!(self.graph().node(id).op, Op::Activation(_) | Op::Add | Op::Concat | Op::Conv2d(_));
        let answers = self.output().units();
        matches!(*self.nominal_shape(id), [channels, height, width] if height * width > 1 && channels != answers && is_result)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::model::ModelOptions;

    #[test]
    fn the_middle_is_in_the_middle() {
        assert_eq!(Model::embedded().unwrap().default_middle_layer().unwrap().known_as(), "fire5");
        for name in ["alexnet", "resnet18"] {
            let model = Model::untrained(name, 1, &ModelOptions::default()).unwrap();
            let layer = model.default_middle_layer().unwrap();
            let share = layer.id().index() as f64 / model.graph().output().index() as f64;
            assert!((0.2..0.7).contains(&share) && layer.shape().len() == 3, "{name}: {layer}");
        }
    }
}
