//! Which shape every node has for an image of a given size, and how small an image may be.

use super::{Graph, NodeId};
use crate::error::{Error, Kind, Result};

impl Graph {
    /// The shapes of all nodes up to `last`, for one image `[channels, height, width]`, without the batch.
    pub fn shapes(&self, image: [usize; 3], last: NodeId) -> Result<Vec<Vec<usize>>> {
        let mut shapes: Vec<Vec<usize>> = Vec::with_capacity(last.index() + 1);
        for node in self.nodes().iter().take(last.index() + 1) {
            let shape = if node.inputs.is_empty() {
                node.op.output_shape(&[&image])
            } else {
                let inputs: Vec<&[usize]> = node.inputs.iter().map(|id| shapes[id.index()].as_slice()).collect();
                node.op.output_shape(&inputs)
            };
            shapes.push(shape.map_err(|error| error.context(format!("layer `{}`", node.name)))?);
        }
        Ok(shapes)
    }

    /// The smallest height and width for which all of `taps` can be computed, given a size [height, width] that is known
    /// to be enough.
    pub fn minimum_size(&self, taps: &[NodeId], enough: [usize; 2]) -> Result<(usize, usize)> {
        let [most_height, most_width] = enough;
        let last = taps.iter().copied().max().unwrap_or(self.output());
        let channels = self.input_channels();
        let fits = |height, width| self.shapes([channels, height, width], last).is_ok();
        if !fits(most_height, most_width) {
            // reports which node is at fault
            self.shapes([channels, most_height, most_width], last)?;
        }
        let height = smallest(most_height, |height| fits(height, most_width));
        Ok((height, smallest(most_width, |width| fits(most_height, width))))
    }

    /// An error that names the smallest possible size if an image [height, width] is too small for `taps`, or the only
    /// possible one, given a size that is known to be enough.
    pub fn check_size(&self, taps: &[NodeId], image: [usize; 2], enough: [usize; 2]) -> Result<()> {
        let ([height, width], (least_height, least_width)) = (image, self.minimum_size(taps, enough)?);
        let last = taps.iter().copied().max().unwrap_or(self.output());
        if height >= least_height && width >= least_width {
            // a linear layer behind a flattened image takes one size only
            return self.shapes([self.input_channels(), height, width], last).map(drop).map_err(|error| {
                error.with_hint(format!("the network takes images of {}×{} pixels", enough[1], enough[0]))
            });
        }
        let up_to =
            if last == self.output() { "the network".to_owned() } else { format!("layer `{}`", self.node(last).name) };
        Err(Error::new(Kind::Tensor, format!("an image of {width}×{height} pixels is too small for {up_to}"))
            .with_hint(format!("it needs at least {least_width}×{least_height}")))
    }

    /// Channels of the input.
    pub fn input_channels(&self) -> usize {
        match self.nodes().first().map(|node| &node.op) {
            Some(super::Op::Input { channels }) => *channels,
            _ => 3,
        }
    }
}

/// The smallest size from 1 to `enough` that fits, given that all larger ones do.
fn smallest(enough: usize, fits: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (1, enough);
    while low < high {
        let middle = (low + high) / 2;
        if fits(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    high
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::model::zoo::squeezenet::squeezenet1_1;

    #[test]
    fn the_smallest_image_is_torchvisions() {
        let graph = squeezenet1_1().unwrap();
        // torchvision.models.SqueezeNet1_1_Weights: min_size (17, 17)
        assert_eq!(graph.minimum_size(&[graph.output()], [227; 2]).unwrap(), (17, 17));
        assert_eq!(graph.minimum_size(&[graph.find("conv1").unwrap()], [227; 2]).unwrap(), (3, 3));
        assert!(graph.check_size(&[graph.output()], [17, 17], [227; 2]).is_ok());
        let error = graph.check_size(&[graph.output()], [300, 16], [227; 2]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "an image of 16×300 pixels is too small for the network (it needs at least 17×17)"
        );
    }

    #[test]
    fn pooling_rounds_up() {
        let graph = squeezenet1_1().unwrap();
        let shape = |name: &str, side| {
            let id = graph.find(name).unwrap();
            graph.shapes([3, side, side + 32], id).unwrap().pop().unwrap()
        };
        assert_eq!(shape("pool1", 227), [64, 56, 64]);
        assert_eq!(shape("pool1", 224), [64, 55, 63]);
        assert_eq!(shape("fire9", 227), [512, 14, 16]);
    }
}
